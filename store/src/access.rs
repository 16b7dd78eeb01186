//! Tokens: 256 random bits, shown once; only their SHA-256 is kept, compared as a whole. A token may expire, and is revoked for good: its
//! document stays, so that a backup from before can't bring it back.

use crate::Error;
use crate::digest::{hex, sha256_hex};
use crate::engine::{Change, Document};
use model::{OwnerId, Scope, Timestamp, Viewer};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

const KIND: &str = "token";
/// A use that was never noted.
const NEVER: i64 = i64::MIN;

/// Why a token is not taken, with the cure; the scope that is needed goes behind it. One text, so that nobody learns whether a token that
/// does not hold ever did.
pub const TOKEN_REFUSED: &str = "this token is unknown, has expired or was revoked; pescaia token list shows those that hold, and a new one is made with: pescaia token new --owner … --scope";

/// A token just made.
#[derive(Clone)]
pub struct NewToken {
    /// Names the token in lists and logs; not secret.
    pub id: String,
    /// The secret, shown once.
    pub text: String,
}

impl std::fmt::Debug for NewToken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewToken").field("id", &self.id).field("text", &"***").finish()
    }
}

/// A token as lists show it, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenLine {
    pub id: String,
    pub owner: OwnerId,
    pub scopes: Vec<Scope>,
    /// `None` when it was made by a version that did not note it.
    pub made: Option<Timestamp>,
    /// The first instant at which it no longer holds; `None` when it never expires.
    pub expires: Option<Timestamp>,
    /// Written to disk lazily: after a crash it may be up to an hour too early.
    pub last_used: Option<Timestamp>,
    pub revoked: Option<Timestamp>,
}

/// Whoever showed a valid token. Whether it still holds is asked with [`crate::Store::holds`].
#[derive(Debug, Clone)]
pub struct Holder {
    pub viewer: Viewer,
    /// The first instant at which the token no longer holds.
    pub expires: Option<Timestamp>,
    id: Arc<str>,
}

/// As it lies on disk. Times are microseconds since 1970.
#[derive(Clone, Serialize, Deserialize)]
struct Kept {
    owner: String,
    scopes: Vec<String>,
    sha256: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    made_us: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    expires_us: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    used_us: Option<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    revoked_us: Option<i64>,
}

impl Kept {
    fn change(&self, id: &str) -> Result<Change, Error> {
        let body = serde_json::to_string(self).map_err(|cause| Error::Io { action: "keeping a token".into(), cause: cause.to_string() })?;
        Ok(Change::PutDocument(Document { kind: KIND.into(), id: id.to_owned(), body }))
    }
}

struct Entry {
    id: Arc<str>,
    kept: Kept,
    viewer: Viewer,
    /// Of the last use; [`NEVER`] before the first.
    used_us: AtomicI64,
}

impl Entry {
    fn of(id: &str, kept: Kept) -> Arc<Self> {
        let scopes = kept.scopes.iter().filter_map(|word| Scope::from_word(word)).collect();
        let viewer = Viewer::Token { owner: kept.owner.as_str().into(), scopes };
        let used_us = AtomicI64::new(kept.used_us.unwrap_or(NEVER));
        Arc::new(Self { id: id.into(), kept, viewer, used_us })
    }
    fn is_valid(&self, now: Timestamp) -> bool {
        self.kept.revoked_us.is_none() && self.kept.expires_us.is_none_or(|expires| now.micros() < expires)
    }
    fn used(&self) -> Option<i64> {
        Some(self.used_us.load(Ordering::Relaxed)).filter(|used| *used != NEVER)
    }
    fn line(&self) -> TokenLine {
        let at = |micros: Option<i64>| micros.map(Timestamp::from_micros);
        let (owner, scopes) = match &self.viewer {
            Viewer::Token { owner, scopes } => (owner.clone(), scopes.clone()),
            Viewer::Public => (self.kept.owner.as_str().into(), Vec::new()),
        };
        TokenLine {
            id: self.id.to_string(),
            owner,
            scopes,
            made: at(self.kept.made_us),
            expires: at(self.kept.expires_us),
            last_used: at(self.used()),
            revoked: at(self.kept.revoked_us),
        }
    }
}

/// Every token by its id, and those that are not revoked by their SHA-256: looking one up tells nothing about how near a guess was.
#[derive(Default)]
pub(crate) struct Tokens {
    by_id: BTreeMap<Arc<str>, Arc<Entry>>,
    by_digest: HashMap<[u8; 32], Arc<Entry>>,
}

impl Tokens {
    pub(crate) fn restore(documents: &[Document]) -> Self {
        let mut tokens = Self::default();
        for document in documents {
            if let Ok(kept) = serde_json::from_str::<Kept>(&document.body) {
                tokens.insert(&document.id, kept);
            }
        }
        tokens
    }

    fn insert(&mut self, id: &str, kept: Kept) {
        let Some(digest) = from_hex(&kept.sha256) else { return };
        let is_revoked = kept.revoked_us.is_some();
        let entry = Entry::of(id, kept);
        self.by_id.insert(entry.id.clone(), entry.clone());
        if is_revoked {
            self.by_digest.remove(&digest);
        } else {
            self.by_digest.insert(digest, entry);
        }
    }

    /// Whoever holds this token now; notes that it was used.
    pub(crate) fn holder_of(&self, token: &str, now: Timestamp) -> Option<Holder> {
        let entry = self.by_digest.get(&digest(token)).filter(|entry| entry.is_valid(now))?;
        entry.used_us.fetch_max(now.micros(), Ordering::Relaxed);
        let expires = entry.kept.expires_us.map(Timestamp::from_micros);
        Some(Holder { viewer: entry.viewer.clone(), expires, id: entry.id.clone() })
    }

    pub(crate) fn holds(&self, holder: &Holder, now: Timestamp) -> bool {
        self.by_id.get(&holder.id).is_some_and(|entry| entry.is_valid(now))
    }

    /// All of them, the revoked too, by owner and id.
    pub(crate) fn lines(&self) -> Vec<TokenLine> {
        let mut lines: Vec<_> = self.by_id.values().map(|entry| entry.line()).collect();
        lines.sort_by(|one, other| (&one.owner, &one.id).cmp(&(&other.owner, &other.id)));
        lines
    }

    /// The revocation of a token, to be committed and then taken in with [`Tokens::take`]; `None` when there is none to revoke.
    pub(crate) fn revocation(&self, id: &str, now: Timestamp) -> Option<Pending> {
        let entry = self.by_id.get(id).filter(|entry| entry.kept.revoked_us.is_none())?;
        let kept = Kept { revoked_us: Some(now.micros()), used_us: entry.used(), ..entry.kept.clone() };
        Some(Pending { id: id.to_owned(), kept })
    }

    /// Uses that are not on disk yet and differ by at least `by_s` seconds from what is.
    pub(crate) fn unwritten_uses(&self, by_s: i64) -> Vec<Pending> {
        let is_due = |entry: &&Arc<Entry>| {
            let written = entry.kept.used_us.unwrap_or(NEVER);
            entry.used().is_some_and(|used| used.saturating_sub(written) >= by_s * 1_000_000 && used > written)
        };
        let pending = |entry: &Arc<Entry>| Pending { id: entry.id.to_string(), kept: Kept { used_us: entry.used(), ..entry.kept.clone() } };
        self.by_id.values().filter(is_due).map(pending).collect()
    }

    /// What is on disk now.
    pub(crate) fn take(&mut self, pending: Pending) {
        let used_since = self.by_id.get(pending.id.as_str()).and_then(|entry| entry.used());
        self.insert(&pending.id, pending.kept);
        if let (Some(used), Some(entry)) = (used_since, self.by_id.get(pending.id.as_str())) {
            entry.used_us.fetch_max(used, Ordering::Relaxed);
        }
    }
}

/// A token's document before it is on disk.
pub(crate) struct Pending {
    id: String,
    kept: Kept,
}

impl Pending {
    pub(crate) fn change(&self) -> Result<Change, Error> {
        self.kept.change(&self.id)
    }
}

/// Makes a token, to be committed and then taken in with [`Tokens::take`].
pub(crate) fn make(owner: &OwnerId, scopes: &[Scope], now: Timestamp, expires: Option<Timestamp>) -> Result<(NewToken, Pending), Error> {
    let mut random = [0_u8; 36];
    getrandom::fill(&mut random).map_err(|cause| Error::Io { action: "drawing a random token".into(), cause: cause.to_string() })?;
    let (name, secret) = random.split_at(4);
    let id = hex(name);
    let text = format!("pescaia_{id}_{}", hex(secret));
    let kept = Kept {
        owner: owner.to_string(),
        scopes: scopes.iter().map(|scope| scope.word().to_owned()).collect(),
        sha256: sha256_hex(text.as_bytes()),
        made_us: Some(now.micros()),
        expires_us: expires.map(Timestamp::micros),
        used_us: None,
        revoked_us: None,
    };
    Ok((NewToken { id: id.clone(), text }, Pending { id, kept }))
}

fn digest(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

fn from_hex(text: &str) -> Option<[u8; 32]> {
    let mut bytes = [0_u8; 32];
    if text.len() != 64 {
        return None;
    }
    for (place, byte) in bytes.iter_mut().enumerate() {
        *byte = u8::from_str_radix(text.get(place * 2..place * 2 + 2)?, 16).ok()?;
    }
    Some(bytes)
}
