//! What a logger keeps until it is told that it arrived.

use model::Timestamp;
use std::collections::VecDeque;
use std::io;
use std::path::PathBuf;

/// Everything that was measured at one instant, by channel.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    pub time: Timestamp,
    pub values: Vec<(&'static str, f64)>,
}

/// A ring of readings, oldest first, and how far they were delivered; the latter survives in a file if one is given.
#[derive(Debug)]
pub struct Memory {
    ring: VecDeque<Reading>,
    capacity: usize,
    delivered: Option<Timestamp>,
    file: Option<PathBuf>,
}

impl Memory {
    /// Remembers what the file says was delivered; a file that isn't there or can't be read says nothing, which
    /// costs no more than sending again.
    #[must_use]
    pub fn new(capacity: usize, file: Option<PathBuf>) -> Self {
        let text = file.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
        let delivered = text.and_then(|text| Timestamp::parse(&text).ok());
        Self { ring: VecDeque::new(), capacity: capacity.max(1), delivered, file }
    }

    /// The time of the last reading known to have arrived.
    #[must_use]
    pub fn delivered(&self) -> Option<Timestamp> {
        self.delivered
    }

    /// Keeps a reading; the oldest goes when there is no room.
    pub fn keep(&mut self, reading: Reading) {
        if self.ring.len() == self.capacity {
            self.ring.pop_front();
        }
        self.ring.push_back(reading);
    }

    /// The oldest readings, at most `limit`.
    #[must_use]
    pub fn oldest(&self, limit: usize) -> Vec<Reading> {
        self.ring.iter().take(limit).cloned().collect()
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ring.is_empty()
    }

    /// Forgets everything up to and including `until`: it arrived.
    ///
    /// # Errors
    /// The file could not be written; the readings are forgotten all the same.
    pub fn thanked(&mut self, until: Timestamp) -> io::Result<()> {
        while self.ring.front().is_some_and(|reading| reading.time <= until) {
            self.ring.pop_front();
        }
        self.delivered = Some(until);
        let Some(file) = &self.file else { return Ok(()) };
        // Beside and renamed, so that a kill leaves the old one or the new one.
        let fresh = file.with_extension("new");
        std::fs::write(&fresh, until.to_string())?;
        std::fs::rename(&fresh, file)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn reading(second: i64) -> Reading {
        Reading { time: Timestamp::from_seconds(second), values: vec![("level", 1.0)] }
    }
    fn seconds(readings: &[Reading]) -> Vec<i64> {
        readings.iter().map(|reading| reading.time.seconds()).collect()
    }

    #[test]
    fn a_reading_is_kept_until_it_is_thanked_for_or_too_old() {
        let mut memory = Memory::new(3, None);
        for second in 1..=4 {
            memory.keep(reading(second));
        }
        assert_eq!(seconds(&memory.oldest(9)), [2, 3, 4], "the oldest went");
        assert_eq!(seconds(&memory.oldest(2)), [2, 3]);
        memory.thanked(Timestamp::from_seconds(3)).expect("no file");
        assert_eq!(seconds(&memory.oldest(9)), [4]);
        assert!(!memory.is_empty());
    }

    #[test]
    fn how_far_it_was_delivered_survives_a_restart() {
        let file = std::env::temp_dir().join(format!("pescaia-memory-{}", std::process::id()));
        let mut memory = Memory::new(3, Some(file.clone()));
        assert_eq!(memory.delivered(), None);
        memory.thanked(Timestamp::from_seconds(77)).expect("written");
        assert_eq!(Memory::new(3, Some(file.clone())).delivered(), Some(Timestamp::from_seconds(77)));
        std::fs::remove_file(file).expect("there");
    }
}
