//! Who may come in: a certificate, or user and password or token, against what the registry keeps of them.

use super::certificate::Presented;
use super::pass::Pass;
use crate::source::guard::Attempt;
use argon2::{Argon2, PasswordHash, PasswordVerifier};
use model::{Credential, Device, Link};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use store::Registry;
use tokio::sync::Semaphore;

/// Compared with when there is no such user, so that the answer takes as long. Of no password anybody has.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$cGVzY2FpYS1ub2JvZHk$uCI1yL7vCLfhcLnEJ7Xh7T5lQ6WmWb1vJvTn3XG6mJk";

/// What a client shows to come in.
#[derive(Clone, Copy)]
pub(super) struct Shown<'a> {
    pub(super) certificate: Option<&'a Presented>,
    pub(super) user: Option<&'a str>,
    pub(super) password: Option<&'a [u8]>,
}

/// Why nobody is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    Wrong,
    /// It was not looked at: there were too many wrong ones from there.
    Later,
}

/// Remembers what was verified, so that a storm of reconnecting devices costs little.
pub(super) struct Gate {
    verified: Mutex<HashSet<[u8; 32]>>,
    hashing: Semaphore,
}

impl Default for Gate {
    fn default() -> Self {
        // Hashing is made to be slow; half of the cores stay free of it, whoever knocks.
        let at_once = std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1));
        Self { verified: Mutex::default(), hashing: Semaphore::new(at_once) }
    }
}

impl Gate {
    /// The pass of the device whose credentials these are; `begin` is asked before a password is hashed that was not seen to be right
    /// before.
    pub(super) async fn admit<'a>(
        &self,
        registry: &Registry,
        shown: Shown<'_>,
        begin: impl FnOnce() -> Option<Attempt<'a>>,
    ) -> Result<Pass, Denied> {
        let Shown { certificate, user, password } = shown;
        if let Some((certificate, device)) = certificate.and_then(|certificate| certificate.device(registry)) {
            // The certificate says who it is; a user name may repeat that and nothing else.
            let own = matches!(&device.link, Link::Mqtt { user: own, .. } if user.is_none_or(|user| user.is_empty() || own.as_deref() == Some(user)));
            return own.then(|| Pass::of_certificate(certificate, device)).ok_or(Denied::Wrong);
        }
        let user = user.unwrap_or_default();
        let device = self.holder(registry, user, password.unwrap_or_default(), begin).await?;
        Ok(Pass::of_user(user, device))
    }

    /// The device of this user, if the password or token is its own. Every no takes as long as any other.
    async fn holder<'a>(
        &self,
        registry: &Registry,
        user: &str,
        password: &[u8],
        begin: impl FnOnce() -> Option<Attempt<'a>>,
    ) -> Result<Arc<Device>, Denied> {
        let (device, hash) = match registry.device_by_user(user).map(|device| (device, &device.link)) {
            Some((device, Link::Mqtt { credential: Credential::Password(hash), .. })) => (Some(device.clone()), hash.clone()),
            // 256 random bits need no slow hash; compared by their digests, a guess learns nothing of how near it was.
            Some((device, Link::Mqtt { credential: Credential::Token(digest), .. })) if hex(&Sha256::digest(password)) == *digest => {
                return Ok(device.clone());
            }
            _ => (None, NOBODY.to_owned()),
        };
        let password = password.to_vec();
        let key = fingerprint(user, &hash, &password);
        let known = || self.verified.lock().unwrap_or_else(PoisonError::into_inner).contains(&key);
        if known() {
            return device.ok_or(Denied::Wrong);
        }
        let attempt = begin().ok_or(Denied::Later)?;
        let _permit = self.hashing.acquire().await.map_err(|_| Denied::Later)?;
        // Another connection may have verified the same while this one waited.
        if known() {
            attempt.was_right();
            return device.ok_or(Denied::Wrong);
        }
        let matches = tokio::task::spawn_blocking(move || {
            PasswordHash::new(&hash).is_ok_and(|hash| Argon2::default().verify_password(&password, &hash).is_ok())
        });
        if !matches.await.unwrap_or(false) {
            return Err(Denied::Wrong);
        }
        let device = device.ok_or(Denied::Wrong)?;
        attempt.was_right();
        self.verified.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
        Ok(device)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Changes with the user, the stored hash and the password; the hash holds a random salt.
fn fingerprint(user: &str, hash: &str, password: &[u8]) -> [u8; 32] {
    let mut digest = Sha256::new();
    for part in [user.as_bytes(), hash.as_bytes(), password] {
        digest.update(part.len().to_le_bytes());
        digest.update(part);
    }
    digest.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A stand-in that could not be read would be refused at once, and tell by that which users there are.
    #[test]
    fn nobody_costs_as_much_as_a_password_of_ours() {
        let ours = store::hash_password("prova").expect("a hash");
        let (nobody, ours) = (PasswordHash::new(NOBODY).expect("a hash"), PasswordHash::new(&ours).expect("a hash"));
        let cost =
            |hash: &PasswordHash<'_>| (hash.algorithm.to_string(), hash.version, hash.params.to_string(), hash.hash.map(|hash| hash.len()));
        assert_eq!(cost(&nobody), cost(&ours));
    }
}
