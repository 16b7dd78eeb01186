use std::path::PathBuf;

/// Why the store said no. Each variant tells the caller what to do next.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// Stop taking data and restart: a write or sync inside a commit failed, so a later one could lie.
    #[error("the store is poisoned since commit {commit}: {cause}")]
    Poisoned { commit: u64, cause: String },
    /// Try again when there is room; nothing of the batch was written, reading goes on.
    #[error("the disk is full; nothing was written; free some space and the store goes on by itself")]
    Full,
    /// Another process owns the data directory.
    #[error("{} is in use by another pescaia; stop it, or give this one a directory of its own with --data", dir.display())]
    Locked { dir: PathBuf },
    /// A newer pescaia wrote this store; nothing was touched.
    #[error("the store is of format {found}, this pescaia knows up to {known}; use the newer pescaia")]
    Newer { found: i64, known: i64 },
    /// It was written before there was a release, in a format that is read no more; nothing was touched.
    #[error(
        "{} was written by a development version of pescaia before 0.1, in a format of its own; export what it holds with that version (pescaia export) and import it here, or begin a new data directory with --data DIR",
        path.display()
    )]
    Development { path: PathBuf },
    /// Not a store of ours; nothing was touched.
    #[error(
        "{} is not a pescaia store, or its first bytes are damaged; take the file of a backup, or restore one into another directory with: pescaia restore FILE --data DIR",
        path.display()
    )]
    Foreign { path: PathBuf },
    /// Something emptied it; nothing was touched.
    #[error(
        "{} is there and has no bytes: something emptied it, and a new store is not begun in its place; take the empty file away, and its store.db-wal too if there is one, and restore a backup with: pescaia restore FILE --data DIR, or start anew without what it held",
        path.display()
    )]
    Empty { path: PathBuf },
    /// Kept bytes do not match their checksum; they are not served.
    #[error("damaged: {what}; restore it from a backup")]
    Damaged { what: String },
    /// Opening, reading or preparing failed; the operating system's words are in `cause`.
    #[error("{action}: {cause}")]
    Io { action: String, cause: String },
    /// Try again later, or ask for what is here only: InfluxDB, which alone holds what is older, did not give all of it.
    #[error(
        "what is older than {before} is in InfluxDB, which does not give it: {cause}; start or mend it, or ask for less, or from {before} on"
    )]
    Elsewhere { before: model::Timestamp, cause: String },
    /// Ask without `as_of`, or from there on.
    #[error(
        "what was served at an earlier moment is not kept of anything older than {before}: InfluxDB holds the last value of each time; leave as_of out, or ask from {before} on"
    )]
    Forgotten { before: model::Timestamp },
    /// The store has been closed.
    #[error("the store is closed")]
    Closed,
}
