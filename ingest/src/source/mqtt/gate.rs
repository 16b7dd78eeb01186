//! Who may come in: user and password against the registry's Argon2 hashes.

use argon2::{Argon2, PasswordHash, PasswordVerifier};
use model::{Device, Link};
use sha2::{Digest, Sha256};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, PoisonError};
use store::Registry;
use tokio::sync::Semaphore;

/// Compared with when there is no such user, so that the answer takes as long. Of no password anybody has.
const NOBODY: &str = "$argon2id$v=19$m=19456,t=2,p=1$cGVzY2FpYS1ub2JvZHk$uCI1yL7vCLfhcLnEJ7Xh7T5lQ6WmWb1vJvTn3XG6mJk";

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
    /// The device whose credentials these are.
    pub(super) async fn admit(&self, registry: &Registry, user: Option<&str>, password: Option<&[u8]>) -> Option<Arc<Device>> {
        let device = user.and_then(|user| registry.device_by_user(user)).cloned();
        let hash = match device.as_deref() {
            Some(Device { link: Link::Mqtt { password_hash, .. }, .. }) => password_hash.clone(),
            _ => NOBODY.to_owned(),
        };
        let password = password.unwrap_or_default().to_vec();
        let key = fingerprint(user.unwrap_or_default(), &hash, &password);
        let known = || self.verified.lock().unwrap_or_else(PoisonError::into_inner).contains(&key);
        if known() {
            return device;
        }
        let _permit = self.hashing.acquire().await.ok()?;
        // Another connection may have verified the same while this one waited.
        if known() {
            return device;
        }
        let matches = tokio::task::spawn_blocking(move || {
            PasswordHash::new(&hash).is_ok_and(|hash| Argon2::default().verify_password(&password, &hash).is_ok())
        });
        if !matches.await.unwrap_or(false) {
            return None;
        }
        let device = device?;
        self.verified.lock().unwrap_or_else(PoisonError::into_inner).insert(key);
        Some(device)
    }
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
