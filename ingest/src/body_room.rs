//! Room in memory for the larger bodies of HTTP.

use model::OwnerId;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Bytes that the larger bodies of one owner may take at the same time, and those of all owners.
const ROOM_OF_OWNER: usize = 16 << 20;
const ROOM: usize = 64 << 20;
/// How long a body waits for room. Meanwhile nothing of it is read, so that its sender waits too.
const LONGEST_WAIT: Duration = Duration::from_secs(20);
/// Room is counted in steps of so many bytes.
const STEP: usize = 1024;

/// Room for larger bodies, so that many of them at once stay within what memory there is. Cheap to clone.
#[derive(Clone)]
pub(crate) struct BodyRoom {
    of: Arc<Mutex<HashMap<OwnerId, Arc<Semaphore>>>>,
    all: Arc<Semaphore>,
}

impl Default for BodyRoom {
    fn default() -> Self {
        Self { of: Arc::default(), all: Arc::new(Semaphore::new(ROOM / STEP)) }
    }
}

/// Room that a body has; given back when it is dropped.
#[derive(Debug)]
pub(crate) struct Held {
    _of_owner: OwnedSemaphorePermit,
    _of_all: OwnedSemaphorePermit,
}

impl BodyRoom {
    /// Waits for room for so many bytes; `None` when there is none in time.
    pub(crate) async fn take(&self, owner: &OwnerId, bytes: usize) -> Option<Held> {
        let steps = u32::try_from(bytes.min(ROOM_OF_OWNER).div_ceil(STEP)).ok()?;
        let of_owner = {
            let mut of = self.of.lock().unwrap_or_else(PoisonError::into_inner);
            // As many as there are owners in the network file: only who has a token comes here.
            of.entry(owner.clone()).or_insert_with(|| Arc::new(Semaphore::new(ROOM_OF_OWNER / STEP))).clone()
        };
        let waiting = async {
            // The owner's own first: who waits for it holds nothing of what others need.
            let of_owner = of_owner.acquire_many_owned(steps).await.ok()?;
            let of_all = self.all.clone().acquire_many_owned(steps).await.ok()?;
            Some(Held { _of_owner: of_owner, _of_all: of_all })
        };
        tokio::time::timeout(LONGEST_WAIT, waiting).await.ok().flatten()
    }
}
