use crate::{OwnerId, Visibility};

/// What a token may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scope {
    Ingest,
    Read,
    Manage,
    Audit,
}

impl Scope {
    pub const ALL: [Self; 4] = [Self::Ingest, Self::Read, Self::Manage, Self::Audit];

    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ingest => "ingest",
            Self::Read => "read",
            Self::Manage => "manage",
            Self::Audit => "audit",
        }
    }
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scope| scope.word() == word)
    }
}

/// On whose behalf something is read. Decides what exists for the reader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Viewer {
    /// Anybody: sees what is public.
    Public,
    /// The holder of a token of one owner.
    Token { owner: OwnerId, scopes: Vec<Scope> },
}

impl Viewer {
    #[must_use]
    pub fn may(&self, wanted: Scope) -> bool {
        matches!(self, Self::Token { scopes, .. } if scopes.contains(&wanted))
    }
    /// Whether a datastream of `owner` with this visibility exists for this viewer.
    #[must_use]
    pub fn sees(&self, owner: &OwnerId, visibility: &Visibility) -> bool {
        match (visibility, self) {
            (Visibility::Public, _) => true,
            (_, Self::Public) => false,
            (Visibility::Private, Self::Token { owner: own, .. }) => own == owner && self.may(Scope::Read),
            (Visibility::Shared(with), Self::Token { owner: own, .. }) => (own == owner || with.contains(own)) && self.may(Scope::Read),
        }
    }
}
