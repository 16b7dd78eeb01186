//! What happened, counted: a run in which a fault never fired proves nothing.

use std::fmt;

/// Counts of one seed or of many.
#[derive(Clone, Default)]
pub(crate) struct Seen {
    pub(crate) trace: u64,
    pub(crate) twice: u64,
    pub(crate) acked: u64,
    pub(crate) duplicates: u64,
    pub(crate) revised: u64,
    pub(crate) corrections: u64,
    pub(crate) grouped: u64,
    pub(crate) seals: u64,
    /// Power cuts with the last commit lost, with the last commit whole but unanswered, and between commits.
    pub(crate) lost: u64,
    pub(crate) torn: u64,
    pub(crate) cuts: u64,
    pub(crate) every: u64,
    pub(crate) failed: u64,
    pub(crate) full: u64,
    pub(crate) chunk_flips: u64,
    pub(crate) log_flips: u64,
    /// Observations that a flip cost, each named.
    pub(crate) fenced: u64,
    pub(crate) jumps: u64,
    pub(crate) closed: u64,
}

impl Seen {
    fn counts(&self) -> [(&'static str, u64); 18] {
        [
            ("observations acknowledged", self.acked),
            ("repetitions", self.duplicates),
            ("revisions", self.revised),
            ("corrections", self.corrections),
            ("group commits of many", self.grouped),
            ("seals", self.seals),
            ("power cuts with the last commit lost", self.lost),
            ("torn (there, but never answered)", self.torn),
            ("power cuts between commits", self.cuts),
            ("crash points tried one by one", self.every),
            ("failed syncs", self.failed),
            ("full disks", self.full),
            ("bits flipped in chunks", self.chunk_flips),
            ("bits flipped in the log", self.log_flips),
            ("observations fenced off", self.fenced),
            ("jumps of the clock", self.jumps),
            ("quiet ends", self.closed),
            ("seeds played twice alike", self.twice),
        ]
    }
    pub(crate) fn add(&mut self, other: &Self) {
        self.twice += other.twice;
        self.acked += other.acked;
        self.duplicates += other.duplicates;
        self.revised += other.revised;
        self.corrections += other.corrections;
        self.grouped += other.grouped;
        self.seals += other.seals;
        self.lost += other.lost;
        self.torn += other.torn;
        self.cuts += other.cuts;
        self.every += other.every;
        self.failed += other.failed;
        self.full += other.full;
        self.chunk_flips += other.chunk_flips;
        self.log_flips += other.log_flips;
        self.fenced += other.fenced;
        self.jumps += other.jumps;
        self.closed += other.closed;
    }
    /// What never happened, if anything.
    pub(crate) fn missing(&self) -> Option<&'static str> {
        self.counts().into_iter().find(|(_, count)| *count == 0).map(|(what, _)| what)
    }
}

impl fmt::Display for Seen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said: Vec<String> = self.counts().iter().map(|(what, count)| format!("{what} {count}")).collect();
        f.write_str(&said.join(", "))
    }
}
