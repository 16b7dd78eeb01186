/// What became of everything that a device sent: the ledger's line. Nothing is lost while it balances.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Account {
    /// Readings that came in, counted as they were decoded, before anything could go wrong with them.
    pub received: u64,
    pub accepted: u64,
    /// The same value was there already.
    pub duplicates: u64,
    /// Another value was there; the new one is served, the old one kept.
    pub revised: u64,
    /// What waits in the quarantine, or went from there for want of room.
    pub quarantined: u64,
}

impl Account {
    /// Everything received is stored, a repetition, a correction or in the quarantine.
    #[must_use]
    pub const fn balances(&self) -> bool {
        self.received == self.accepted + self.duplicates + self.revised + self.quarantined
    }

    /// Both together.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self {
            received: self.received + other.received,
            accepted: self.accepted + other.accepted,
            duplicates: self.duplicates + other.duplicates,
            revised: self.revised + other.revised,
            quarantined: self.quarantined + other.quarantined,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_balances_when_everything_received_is_somewhere() {
        let account = Account { received: 144, accepted: 72, duplicates: 70, revised: 1, quarantined: 1 };
        assert!(account.balances() && account.plus(account).balances());
        assert!(!Account { received: 145, ..account }.balances());
    }
}
