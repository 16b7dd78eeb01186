//! Steps 5 and 6: from the writer's receipt to an answer for the sender.

use crate::decode::Placed;
use crate::decode::Refusal;
use crate::decode::sparkplug::Rebirth;
use crate::meters::Meters;
use model::OwnerId;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Instant;
use store::{Error, Outcome, Receipt};
use tokio::sync::oneshot;

/// What became of one frame, once it is on disk.
#[derive(Debug, Clone)]
pub struct Settled {
    /// The commit that holds it.
    pub commit: u64,
    /// `(index in the message, outcome)` of what was stored.
    pub stored: Vec<(usize, Outcome)>,
    /// `(index, refusal)` of what went to the quarantine.
    pub rejected: Vec<Placed<Refusal>>,
}

/// A frame on its way to the disk. Await it in the order of receipt of its connection. It fails with the store's error when
/// the frame is not on disk: then the sender must not be told that it is.
pub struct Settling {
    pub(crate) receipt: oneshot::Receiver<Result<Receipt, Error>>,
    pub(crate) indexes: Vec<usize>,
    pub(crate) rejected: Vec<Placed<Refusal>>,
    /// Readings that they stand for.
    pub(crate) quarantined: u64,
    /// What the sender is asked for, if it can be asked.
    pub(crate) rebirth: Option<Rebirth>,
    pub(crate) protocol: &'static str,
    pub(crate) owner: OwnerId,
    pub(crate) since: Instant,
    pub(crate) meters: Meters,
}

impl Future for Settling {
    type Output = Result<Settled, Error>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let receipt = match Pin::new(&mut self.receipt).poll(context) {
            Poll::Pending => return Poll::Pending,
            Poll::Ready(answer) => answer.unwrap_or(Err(Error::Closed)),
        };
        Poll::Ready(receipt.map(|receipt| self.settle(receipt)))
    }
}

impl Settling {
    fn settle(&mut self, receipt: Receipt) -> Settled {
        let stored: Vec<_> = std::mem::take(&mut self.indexes).into_iter().zip(receipt.outcomes).collect();
        let rejected = std::mem::take(&mut self.rejected);
        let of = |wanted| stored.iter().filter(|(_, outcome)| *outcome == wanted).count() as u64;
        for (result, amount) in [
            ("accepted", of(Outcome::Accepted)),
            ("duplicate", of(Outcome::Duplicate)),
            ("revised", of(Outcome::Revised)),
            ("quarantined", self.quarantined),
        ] {
            self.meters.count(self.protocol, self.owner.as_str(), result, amount);
        }
        self.meters.acked_after(self.since.elapsed().as_secs_f64());
        Settled { commit: receipt.commit, stored, rejected }
    }
}

impl Drop for Settling {
    fn drop(&mut self) {
        self.meters.inflight.dec();
    }
}
