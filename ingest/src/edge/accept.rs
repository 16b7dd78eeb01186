//! The centre's side: a batch is committed whole with the edge's cursor, and answered then.

use super::wire::Parcel;
use crate::pipeline::{Intake, tally};
use model::{Datastream, DeviceId, Gap, Message, Observation, OwnerId, Reject, RejectReason, Said};
use std::sync::Arc;
use store::{Batch, Cursor, Distrust, Error};

/// Why a batch was not taken.
#[derive(Debug)]
pub(crate) enum Unaccepted {
    /// It can't be read.
    Broken(String),
    /// Nothing is on disk; send it again.
    Store(Error),
    /// Nothing is on disk; send it again once the clock of this machine is set.
    Clock(Distrust),
}

/// Commits a batch in the name of `owner`, and gives its epoch: all of it is on disk, and the edge may forget it. Observations keep their quality; they were received now, so that days that are over
/// are derived again.
pub(crate) async fn accept(intake: &Intake, owner: &OwnerId, edge: &str, bytes: &[u8]) -> Result<u64, Unaccepted> {
    let parcel = Parcel::parse(bytes).map_err(Unaccepted::Broken)?;
    // The edge keeps it, and its times are judged by a clock that is right.
    intake.store().clock_trust().map_err(Unaccepted::Clock)?;
    let (registry, now) = (intake.store().registry(), intake.store().clock().now());
    let known: Vec<Option<&Arc<Datastream>>> =
        parcel.keys.iter().map(|key| registry.datastream_by_key(key.as_str()).filter(|found| found.owner == *owner)).collect();
    let of = |place: usize| known.get(place).copied().flatten();
    let device = DeviceId::from(edge);
    let mut tally = tally(owner, &device, now);
    tally.received = i32::try_from(parcel.observations.len()).unwrap_or(i32::MAX);
    let (mut observations, mut strangers) = (Vec::with_capacity(parcel.observations.len()), Vec::new());
    for one in &parcel.observations {
        match of(one.datastream.index()) {
            Some(datastream) => observations.push(Observation { datastream: datastream.id, received_at: now, ..*one }),
            None => strangers.push(one),
        }
    }
    tally.observations = u32::try_from(observations.len()).unwrap_or(u32::MAX);
    tally.quarantined = i32::try_from(strangers.len()).unwrap_or(i32::MAX);
    let cursor = Cursor { owner: owner.clone(), edge: edge.to_owned(), epoch: parcel.epoch, sequences: parcel.sequences.clone() };
    // A batch that is sent again, because our answer got lost, brings its gaps again.
    let gaps = if intake.store().has_received(&cursor) {
        Vec::new()
    } else {
        let gap = |gap: &Gap| Some(Gap { datastream: of(gap.datastream.index())?.id, ..gap.clone() });
        parcel.gaps.iter().filter_map(gap).collect()
    };
    let rejects = quarantined(&parcel, &strangers, owner, &device, now);
    let batch = Batch { observations, gaps, rejects, tallies: vec![tally], cursors: vec![cursor], ..Batch::default() };
    intake.store().commit(batch).await.map_err(Unaccepted::Store)?;
    Ok(parcel.epoch)
}

/// What is of no datastream here, as messages that can be read again once it is: the edge is the device, the key its channel.
fn quarantined(parcel: &Parcel, strangers: &[&Observation], owner: &OwnerId, device: &DeviceId, now: model::Timestamp) -> Vec<Reject> {
    let mut rejects = Vec::new();
    for group in strangers.chunks(1000) {
        let key = |one: &Observation| parcel.keys.get(one.datastream.index()).map_or("", |key| key.as_str());
        let object = |one: &&Observation| {
            let value = serde_json::Number::from_f64(one.result).map_or(serde_json::Value::Null, serde_json::Value::Number);
            let values = serde_json::Map::from_iter([(key(one).to_owned(), value)]);
            serde_json::json!({ "device": device.as_str(), "time": one.phenomenon_time.to_string(), "values": values })
        };
        let bytes = serde_json::to_vec(&group.iter().map(object).collect::<Vec<_>>()).unwrap_or_default();
        let message = Arc::new(Message {
            source: "edge",
            format: "native",
            route: format!("{}{device}", super::PATH),
            owner: Some(owner.clone()),
            device: None,
            channel: None,
            received_at: now,
            uptime: None,
            bytes: bytes.into(),
        });
        rejects.extend(group.iter().map(|one| Reject {
            reason: RejectReason::UnknownChannel,
            detail: format!(
                "the edge {device} sends {}, which is no datastream here; apply the edge's network file at the centre too",
                key(one)
            ),
            said: Some(Said {
                device: device.clone(),
                channel: key(one).to_owned(),
                value: one.result,
                time: Some(one.phenomenon_time),
                unit: None,
            }),
            line: device.clone(),
            message: message.clone(),
        }));
    }
    rejects
}
