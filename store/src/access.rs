//! Tokens: 256 random bits, shown once; only their SHA-256 is kept, compared as a whole.

use crate::Error;
use crate::digest::{hex, sha256_hex};
use crate::engine::{Change, Document};
use model::{OwnerId, Scope, Viewer};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::HashMap;

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

/// As it lies on disk.
#[derive(Serialize, Deserialize)]
struct Kept {
    owner: String,
    scopes: Vec<String>,
    sha256: String,
}

/// Who holds which token, by the token's SHA-256: looking it up tells nothing about how near a guess was.
#[derive(Default)]
pub(crate) struct Tokens {
    holders: HashMap<[u8; 32], Viewer>,
}

impl Tokens {
    pub(crate) fn restore(documents: &[Document]) -> Self {
        let mut tokens = Self::default();
        for document in documents {
            if let Ok(kept) = serde_json::from_str::<Kept>(&document.body)
                && let Some(digest) = from_hex(&kept.sha256)
            {
                let scopes = kept.scopes.iter().filter_map(|word| Scope::from_word(word)).collect();
                tokens.holders.insert(digest, Viewer::Token { owner: kept.owner.into(), scopes });
            }
        }
        tokens
    }

    pub(crate) fn viewer_of(&self, token: &str) -> Option<Viewer> {
        self.holders.get(&digest(token)).cloned()
    }

    pub(crate) fn insert(&mut self, token: &str, owner: &OwnerId, scopes: &[Scope]) {
        self.holders.insert(digest(token), Viewer::Token { owner: owner.clone(), scopes: scopes.to_vec() });
    }
}

/// Makes a token and the change that keeps it.
pub(crate) fn make(owner: &OwnerId, scopes: &[Scope]) -> Result<(NewToken, Change), Error> {
    let mut random = [0_u8; 36];
    getrandom::fill(&mut random).map_err(|cause| Error::Io { action: "drawing a random token".into(), cause: cause.to_string() })?;
    let (name, secret) = random.split_at(4);
    let id = hex(name);
    let text = format!("pescaia_{id}_{}", hex(secret));
    let kept = Kept {
        owner: owner.to_string(),
        scopes: scopes.iter().map(|scope| scope.word().to_owned()).collect(),
        sha256: sha256_hex(text.as_bytes()),
    };
    let body = serde_json::to_string(&kept).map_err(|cause| Error::Io { action: "keeping a token".into(), cause: cause.to_string() })?;
    let change = Change::PutDocument(Document { kind: "token".into(), id: id.clone(), body });
    Ok((NewToken { id, text }, change))
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
