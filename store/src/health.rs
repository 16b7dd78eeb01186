/// How the store is, for `/readyz`, `/status`, `/metrics` and `doctor`.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// Set when a commit failed for good; the process is about to end.
    pub poisoned: Option<String>,
    /// The disk is full: nothing is acknowledged until there is room.
    pub full: bool,
    pub commits: u64,
    pub observations: u64,
    pub datastreams: u64,
    /// Bytes of the database and its write-ahead log on disk.
    pub disk_bytes: u64,
    /// Batches that wait for the writer.
    pub waiting: u64,
    /// Seconds that the last commit took, with its sync.
    pub last_commit_s: f64,
    /// When the store was opened, the write-ahead log that it had was gone: what was acknowledged after this commit is not there.
    pub log_removed_after: Option<u64>,
    pub damaged_chunks: u64,
    /// Other rows and documents that are not as they were written, also those that the start mended from their second copies.
    pub damaged_rows: u64,
    /// What kinds these are of, e.g. `datastream`.
    pub damaged_kinds: Vec<String>,
    /// Datastreams that hold something of a time well ahead of now: a clock was wrong, this machine's or a device's.
    pub ahead: u64,
    /// Of the disk; `None` for a store in memory.
    pub room: Option<crate::Room>,
    /// Seconds that a small synced write took when the store was opened; `None` where it could not be measured.
    pub sync_s: Option<f64>,
    /// The way to an InfluxDB, where there is one.
    pub influx: Option<crate::InfluxHealth>,
    /// Why this machine's clock can't be right, if it can't.
    pub distrust: Option<crate::Distrust>,
    /// The long-running parts of the instance.
    pub parts: Vec<crate::PartHealth>,
}

impl Health {
    /// Everything that is not as it was written.
    #[must_use]
    pub fn damaged(&self) -> u64 {
        self.damaged_chunks + self.damaged_rows
    }
}
