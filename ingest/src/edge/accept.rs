//! The centre's side: a batch is committed whole with the edge's cursor, and answered then.

use super::wire::{Parcel, Unread};
use crate::bounds::MOST_REFUSALS;
use crate::import;
use crate::pipeline::{Intake, tally};
use bytes::Bytes;
use model::{Datastream, DeviceId, Gap, Message, Observation, OwnerId, Reject, RejectReason, Said, Timestamp};
use std::sync::Arc;
use store::{Batch, Cursor, Distrust, Error};

/// Why a batch was not taken.
#[derive(Debug)]
pub(crate) enum Unaccepted {
    /// It can't be read.
    Broken(String),
    /// It holds more than a batch may.
    TooLarge(String),
    /// Its owner has as many edges as it may have.
    TooManyEdges(usize),
    /// Nothing is on disk; send it again.
    Store(Error),
    /// Nothing is on disk; send it again once the clock of this machine is set.
    Clock(Distrust),
}

impl From<Unread> for Unaccepted {
    fn from(cause: Unread) -> Self {
        match cause {
            Unread::TooLarge(cause) => Self::TooLarge(cause),
            Unread::Broken(cause) => Self::Broken(cause),
        }
    }
}

/// Commits a batch in the name of `owner`, and gives its epoch: all of it is on disk, and the edge may forget it. Observations keep their quality; they were received now, so that days that are over
/// are derived again. What is of no datastream here, or of a time that can't be, waits in the quarantine: it has been taken all the
/// same, or the edge would send it for ever.
pub(crate) async fn accept(intake: &Intake, owner: &OwnerId, edge: &str, bytes: Bytes) -> Result<u64, Unaccepted> {
    // The edge keeps it, and its times are judged by a clock that is right.
    intake.store().clock_trust().map_err(Unaccepted::Clock)?;
    let most = intake.limits().edges;
    if !intake.store().has_room_for_edge(owner, edge, most) {
        return Err(Unaccepted::TooManyEdges(most));
    }
    let (length, sender) = (bytes.len(), Sender { owner: owner.clone(), edge: edge.into() });
    let read = intake.in_turn(owner, length, move |intake| Ok::<_, Unread>(sender.batch(intake, Parcel::parse(&bytes)?))).await;
    let (batch, epoch) = read.ok_or(Unaccepted::Store(Error::Closed))??;
    intake.store().commit(batch).await.map_err(Unaccepted::Store)?;
    Ok(epoch)
}

/// An edge, in whose name a batch is taken.
struct Sender {
    owner: OwnerId,
    edge: DeviceId,
}

/// An observation of an edge that is not taken.
struct Refused<'a> {
    observation: &'a Observation,
    reason: RejectReason,
}

impl Sender {
    /// What a parcel adds to the store, and its epoch.
    fn batch(&self, intake: &Intake, parcel: Parcel) -> (Batch, u64) {
        let (registry, now) = (intake.store().registry(), intake.store().clock().now());
        let known: Vec<Option<&Arc<Datastream>>> =
            parcel.keys.iter().map(|key| registry.datastream_by_key(key.as_str()).filter(|found| found.owner == self.owner)).collect();
        let of = |place: usize| known.get(place).copied().flatten();
        let (earliest, latest) = believed(intake, now);
        let mut tally = tally(&self.owner, &self.edge, now);
        tally.received = i32::try_from(parcel.observations.len()).unwrap_or(i32::MAX);
        let (mut observations, mut refused) = (Vec::with_capacity(parcel.observations.len()), Vec::new());
        for observation in &parcel.observations {
            let at = observation.phenomenon_time;
            match of(observation.datastream.index()) {
                None => refused.push(Refused { observation, reason: RejectReason::UnknownChannel }),
                Some(_) if at > latest => refused.push(Refused { observation, reason: RejectReason::FutureTime }),
                Some(_) if at < earliest => refused.push(Refused { observation, reason: RejectReason::AncientTime }),
                Some(datastream) => observations.push(Observation { datastream: datastream.id, received_at: now, ..*observation }),
            }
        }
        tally.observations = u32::try_from(observations.len()).unwrap_or(u32::MAX);
        tally.quarantined = i32::try_from(refused.len()).unwrap_or(i32::MAX);
        let rejects = self.quarantined(&parcel, &refused, now);
        let Parcel { epoch, sequences, gaps, .. } = parcel;
        let cursor = Cursor { owner: self.owner.clone(), edge: self.edge.to_string(), epoch, sequences };
        // A batch that is sent again, because our answer got lost, brings its gaps again.
        let gaps = if intake.store().has_received(&cursor) { Vec::new() } else { gaps };
        let is_believed = |gap: &Gap| earliest <= gap.from && gap.from <= gap.to && gap.to <= latest;
        let brought = gaps.len();
        let gaps: Vec<Gap> = gaps
            .into_iter()
            .filter(is_believed)
            .filter_map(|gap| Some(Gap { datastream: of(gap.datastream.index())?.id, ..gap }))
            .collect();
        if gaps.len() < brought {
            let (left_out, edge) = (brought - gaps.len(), &self.edge);
            tracing::warn!(event = "edge_gaps", %edge, left_out, "an edge told of gaps at times that can't be, or of datastreams that are not here; they are left out");
        }
        (Batch { observations, gaps, rejects, tallies: vec![tally], cursors: vec![cursor], ..Batch::default() }, epoch)
    }

    /// What is refused, as messages that can be read again: the edge is the device, the key its channel.
    fn quarantined(&self, parcel: &Parcel, refused: &[Refused<'_>], now: Timestamp) -> Vec<Reject> {
        let mut rejects = Vec::new();
        let edge = &self.edge;
        let key = |one: &Observation| parcel.keys.get(one.datastream.index()).map_or("", |key| key.as_str());
        let object = |one: &Refused<'_>| {
            let Observation { result, phenomenon_time, .. } = one.observation;
            let value = serde_json::Number::from_f64(*result).map_or(serde_json::Value::Null, serde_json::Value::Number);
            let values = serde_json::Map::from_iter([(key(one.observation).to_owned(), value)]);
            serde_json::json!({ "device": edge.as_str(), "time": phenomenon_time.to_string(), "values": values })
        };
        for group in refused.chunks(1000) {
            let bytes = serde_json::to_vec(&group.iter().map(object).collect::<Vec<_>>()).unwrap_or_default();
            let message = Arc::new(Message {
                source: "edge",
                format: "native",
                route: format!("{}{edge}", super::PATH),
                owner: Some(self.owner.clone()),
                device: None,
                channel: None,
                received_at: now,
                uptime: None,
                bytes: bytes.into(),
            });
            let reject = |reason, detail, place, said, count| Reject {
                reason,
                detail,
                place,
                said,
                line: edge.clone(),
                count,
                message: message.clone(),
            };
            let (listed, others) = group.split_at(group.len().min(MOST_REFUSALS.saturating_sub(rejects.len())));
            rejects.extend(listed.iter().enumerate().map(|(place, one)| {
                let Observation { result, phenomenon_time, .. } = *one.observation;
                let (device, channel) = (edge.clone(), key(one.observation).to_owned());
                let detail = self.detail(one.reason, &channel, phenomenon_time);
                reject(one.reason, detail, place, Some(Said { device, channel, value: result, time: Some(phenomenon_time), unit: None }), 1)
            }));
            for reason in [RejectReason::UnknownChannel, RejectReason::FutureTime, RejectReason::AncientTime] {
                let count = others.iter().filter(|one| one.reason == reason).count();
                if let Some(first) = others.iter().position(|one| one.reason == reason) {
                    let place = listed.len() + first;
                    let detail = format!(
                        "{count} observations more of the edge {edge} are refused as {}; only the first {MOST_REFUSALS} of a batch are listed",
                        reason.code()
                    );
                    rejects.push(reject(reason, detail, place, None, u32::try_from(count).unwrap_or(u32::MAX)));
                }
            }
        }
        rejects
    }

    fn detail(&self, reason: RejectReason, key: &str, at: Timestamp) -> String {
        let edge = &self.edge;
        match reason {
            RejectReason::FutureTime => format!("the edge {edge} sends {key} of {at}, which lies ahead of now; set the edge's clock"),
            RejectReason::AncientTime => {
                format!("the edge {edge} sends {key} of {at}, before anything that is taken; set the clock of what measured it")
            }
            _ => format!("the edge {edge} sends {key}, which is no datastream here; apply the edge's network file at the centre too"),
        }
    }
}

/// The times that an edge may send, both ends included. An edge's own doors have refused what lies before the year 2000; what it sends
/// of earlier years it has imported as history, which is taken here from where it is taken there.
fn believed(intake: &Intake, now: Timestamp) -> (Timestamp, Timestamp) {
    let limits = intake.limits();
    (limits.earliest.min(Timestamp::from_seconds(import::EARLIEST_S)), now.plus_seconds(limits.future_s))
}
