//! The way of a reading, in order: decode, bind, qualify, commit, settle. The only file that knows the order.

use crate::bind::{ArrivalTimes, Limits, bind};
use crate::commit::Settling;
use crate::decode::{Decoded, Decoder, Placed, Refusal};
use crate::frame::Frame;
use crate::meters::Meters;
use crate::qualify::qualify;
use model::{Reject, RejectReason};
use std::sync::Arc;
use std::time::Instant;
use store::{Batch, Store};

/// The way in, for every door. Cheap to clone.
#[derive(Clone)]
pub struct Intake {
    store: Store,
    decoders: Arc<[Box<dyn Decoder>]>,
    limits: Arc<Limits>,
    arrivals: Arc<ArrivalTimes>,
    meters: Meters,
}

impl Intake {
    #[must_use]
    pub fn new(store: Store, limits: Limits, meters: Meters) -> Self {
        Self { store, decoders: crate::decode::all().into(), limits: Arc::new(limits), arrivals: Arc::default(), meters }
    }

    #[must_use]
    pub fn store(&self) -> &Store {
        &self.store
    }

    /// Decodes, binds, qualifies and hands the frame to the store's writer, in the order of the calls.
    /// The answer resolves when all of it is on disk, or can't be.
    #[must_use]
    pub fn take(&self, frame: Frame) -> Settling {
        let since = Instant::now();
        let Decoded { readings, mut rejects } = self.decode(&frame);
        let registry = self.store.registry();
        let mut observations = Vec::with_capacity(readings.len());
        let mut indexes = Vec::with_capacity(readings.len());
        for Placed { index, what: reading } in readings {
            match bind(&reading, &registry, frame.received_at, &self.limits, &self.arrivals) {
                Ok(observation) => {
                    let qualified =
                        registry.datastream(observation.datastream).map_or(observation, |datastream| qualify(observation, datastream));
                    observations.push(qualified);
                    indexes.push(index);
                }
                Err(refusal) => rejects.push(Placed { index, what: refusal }),
            }
        }
        let batch = Batch { observations, rejects: quarantined(&frame, &rejects), ..Batch::default() };
        let receipt = self.store.submit(batch);
        self.meters.inflight.inc();
        Settling { receipt, indexes, rejected: rejects, protocol: frame.source, owner: frame.owner, since, meters: self.meters.clone() }
    }

    fn decode(&self, frame: &Frame) -> Decoded {
        if let Some(decoder) = self.decoders.iter().find(|decoder| decoder.name() == frame.format) {
            return decoder.decode(frame);
        }
        let detail = format!("no decoder {:?} in this pescaia", frame.format);
        Decoded { readings: Vec::new(), rejects: vec![Placed { index: 0, what: Refusal { reason: RejectReason::Unreadable, detail } }] }
    }
}

/// What is refused, each with the whole message, which they share.
fn quarantined(frame: &Frame, rejects: &[Placed<Refusal>]) -> Vec<Reject> {
    if rejects.is_empty() {
        return Vec::new();
    }
    let bytes: Arc<[u8]> = frame.bytes.as_ref().into();
    let reject = |placed: &Placed<Refusal>| Reject {
        reason: placed.what.reason,
        detail: placed.what.detail.clone(),
        received_at: frame.received_at,
        source: frame.source,
        route: frame.route.clone(),
        owner: Some(frame.owner.clone()),
        device: frame.device.clone(),
        bytes: bytes.clone(),
    };
    rejects.iter().map(reject).collect()
}
