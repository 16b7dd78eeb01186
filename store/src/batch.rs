//! What goes into one commit and what comes back.

use crate::{AuditEntry, Cursor, Payload, Tally};
use model::{DatastreamId, Gap, Observation, Reject, Timestamp};

/// Committed whole or not at all.
#[derive(Debug, Default)]
pub struct Batch {
    /// Already bound and qualified, in the order of receipt.
    pub observations: Vec<Observation>,
    pub rejects: Vec<Reject>,
    pub gaps: Vec<Gap>,
    pub sessions: Vec<SessionMark>,
    /// For the ledger: whose the observations are, in their order.
    pub tallies: Vec<Tally>,
    /// What people changed with it, and why.
    pub audit: Vec<AuditEntry>,
    /// Raw payloads, kept so that they can be read again.
    pub payloads: Vec<Payload>,
    /// What edge nodes of Sparkplug said at their birth, by id: kept, so that it is known after a restart.
    pub births: Vec<(String, String)>,
    /// Datastreams whose device said that it falls silent, and since when: what is older is not current.
    pub silenced: Vec<(DatastreamId, Timestamp)>,
    /// What of an edge has come with it.
    pub cursors: Vec<Cursor>,
    /// Entries of the quarantine that were read again.
    pub replayed: Vec<Replayed>,
    /// The observations are a history that another store, or a file, held: each version of a time in its order, down to the one that was
    /// served or withdrawn. It is kept as it was, and not judged again as if a device had sent it.
    pub as_it_was: bool,
}

/// An entry of the quarantine that was read again: it goes when nothing of it is refused any more, in the commit that holds the rest.
#[derive(Debug)]
pub struct Replayed {
    pub number: u64,
    /// What is still refused.
    pub left: Vec<Reject>,
}

/// That a client id has, or no longer has, a session: kept so that CONNACK can say so after a restart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SessionMark {
    /// User and client id, as the door names them.
    pub client: String,
    pub exists: bool,
}

impl Batch {
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.observations.is_empty()
            && self.rejects.is_empty()
            && self.gaps.is_empty()
            && self.sessions.is_empty()
            && self.replayed.is_empty()
            && self.cursors.is_empty()
            && self.payloads.is_empty()
            && self.births.is_empty()
            && self.silenced.is_empty()
    }
    /// A person's change, or what was once one: a commit of its own, which stands above what devices say.
    #[must_use]
    pub fn is_correction(&self) -> bool {
        self.as_it_was || !self.audit.is_empty()
    }
    /// Points, and rejects and others counted as one point each.
    #[must_use]
    pub fn len(&self) -> usize {
        self.observations.len() + self.rejects.len() + self.gaps.len() + self.sessions.len() + self.replayed.len()
    }
}

/// What an observation turned out to be at commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// New.
    Accepted,
    /// The same value was already there; nothing changed.
    Duplicate,
    /// Another value was there; this one is served from now on, the other is kept.
    Revised,
}

/// Proof that a batch is on disk.
#[derive(Debug, Clone)]
pub struct Receipt {
    /// The commit that holds it; grows by one with each.
    pub commit: u64,
    /// One for each observation of the batch, in its order.
    pub outcomes: Vec<Outcome>,
}
