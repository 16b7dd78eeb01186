//! How many descriptors this process may hold, and who gets how many: viewers must not keep devices out.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// More than any instance needs, should the hard limit be none.
const ENOUGH: u64 = 65_536;
/// For the store, its files, brokers, lines and commands.
const OWN: u64 = 128;
/// Connections of each door.
const MOST: u64 = 10_000;

/// Descriptors by who may hold them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Descriptors {
    /// In all.
    pub(crate) limit: u64,
    pub(crate) http: usize,
    pub(crate) mqtt: usize,
}

impl Descriptors {
    /// Raises this process's limit as far as it may, and shares out what that gives.
    pub(crate) fn raise() -> Self {
        let before = getrlimit(Resource::Nofile);
        let (soft, hard) = (before.current.unwrap_or(ENOUGH), before.maximum.unwrap_or(ENOUGH));
        let wanted = hard.min(ENOUGH);
        if wanted > soft {
            let raised = setrlimit(Resource::Nofile, Rlimit { current: Some(wanted), maximum: before.maximum });
            if raised.is_ok() {
                return Self::share(wanted);
            }
        }
        Self::share(soft)
    }

    fn share(limit: u64) -> Self {
        let free = limit.saturating_sub(OWN);
        let http = (free / 2).clamp(16, MOST);
        let mqtt = free.saturating_sub(http).clamp(16, MOST);
        let count = |share: u64| usize::try_from(share).unwrap_or(usize::MAX);
        Self { limit, http: count(http), mqtt: count(mqtt) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_and_viewers_each_have_their_share_and_some_are_kept_for_ourselves() {
        for (limit, http, mqtt) in [(1024, 448, 448), (4096, 1984, 1984), (65_536, 10_000, 10_000), (100, 16, 16)] {
            assert_eq!(Descriptors::share(limit), Descriptors { limit, http, mqtt });
        }
    }
}
