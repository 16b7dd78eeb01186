//! Step 3: what a device said becomes an observation of a datastream, in its canonical unit, at a believable time.

use crate::decode::Refusal;
use crate::shown::{nearest, shown};
use model::{
    DatastreamId, Device, DeviceId, Feed, MOST_AHEAD_S, Observation, OwnerId, Quality, QualityTest, Reading, RejectReason, Timestamp,
};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use store::Registry;

/// Channels that an unknown one is compared with, and that are named where none is like it. A gateway has thousands, and says thousands
/// that nobody knows: each sentence must cost little.
const MOST_COMPARED: usize = 256;
const MOST_NAMED: usize = 20;

/// What a live door believes.
#[derive(Debug, Clone)]
pub struct Limits {
    /// How far ahead of now a time may lie, seconds.
    pub future_s: i64,
    /// The earliest time.
    pub earliest: Timestamp,
    /// Datastreams that one owner may come to by adopting proposals; a network file is not bounded.
    pub datastreams: usize,
    /// Edges of one owner that a centre takes batches of.
    pub edges: usize,
}

impl Default for Limits {
    /// Ten minutes ahead; nothing before the year 2000; 10,000 datastreams; 1,000 edges.
    fn default() -> Self {
        Self { future_s: MOST_AHEAD_S, earliest: Timestamp::from_seconds(946_684_800), datastreams: 10_000, edges: 1000 }
    }
}

/// Times given to bare numbers: never the same twice for one datastream, unless the clock was set back by more than a device's clock
/// may differ. Then the new time counts: what was stamped by the wrong one must not be gone on with for years.
#[derive(Debug, Default)]
pub struct ArrivalTimes {
    last: Mutex<HashMap<DatastreamId, i64>>,
}

impl ArrivalTimes {
    fn next(&self, datastream: DatastreamId, arrival: Timestamp, future_s: i64) -> Timestamp {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let given = last.entry(datastream).or_insert(i64::MIN);
        let next = given.saturating_add(1);
        let was_set_back = next > arrival.plus_seconds(future_s).micros();
        *given = if was_set_back { arrival.micros() } else { arrival.micros().max(next) };
        Timestamp::from_micros(*given)
    }
}

/// The device that a message calls so.
///
/// # Errors
/// That there is none, with the cure.
pub fn device<'a>(owner: &OwnerId, name: &DeviceId, registry: &'a Registry) -> Result<&'a Arc<Device>, Refusal> {
    registry.device_called(owner.as_str(), name.as_str()).ok_or_else(|| Refusal {
        reason: RejectReason::UnknownDevice,
        detail: format!("there is no device {} of {owner}; add it to a network file and apply it", shown(name.as_str())),
    })
}

/// # Errors
/// Why the reading of this device can't be taken, with the cure.
pub fn bind(
    reading: &Reading,
    device: &Device,
    registry: &Registry,
    received_at: Timestamp,
    limits: &Limits,
    arrivals: &ArrivalTimes,
) -> Result<Observation, Refusal> {
    let refuse = |reason, detail: String| Refusal { reason, detail };
    let Some(feed) = feed(device, reading.channel.as_str()) else {
        let known = || device.feeds.iter().map(|feed| feed.channel.as_str());
        let cure = nearest(reading.channel.as_str(), known().take(MOST_COMPARED))
            .map_or_else(|| format!("it has {}", listed(known())), |near| format!("did you mean {near:?}?"));
        let detail = format!(
            "device {} has no channel {}; {cure}; add a feed to its network file to take it",
            device.id,
            shown(reading.channel.as_str())
        );
        return Err(refuse(RejectReason::UnknownChannel, detail));
    };
    let missing = || refuse(RejectReason::UnknownChannel, format!("the datastream of channel {:?} is not there", reading.channel.as_str()));
    let datastream = registry.datastream(feed.datastream).ok_or_else(missing)?;
    let phenomenon_time = match reading.phenomenon_time {
        None => arrivals.next(datastream.id, received_at, limits.future_s),
        Some(time) if time > received_at.plus_seconds(limits.future_s) => {
            let detail = format!("{time} lies {:.0} min ahead of now; set the device's clock", time.seconds_since(received_at) / 60.0);
            return Err(refuse(RejectReason::FutureTime, detail));
        }
        Some(time) if time < limits.earliest => {
            let detail = format!("{time} lies before {}; set the device's clock, or import old data with pescaia import", limits.earliest);
            return Err(refuse(RejectReason::AncientTime, detail));
        }
        Some(time) => time,
    };
    let unit = reading.unit.unwrap_or(feed.unit);
    let Some(result) = unit.convert(reading.value, datastream.unit()).filter(|result| result.is_finite()) else {
        let detail = format!("{unit} can't be turned into {}, the unit of {}", datastream.unit(), datastream.key);
        return Err(refuse(RejectReason::WrongUnit, detail));
    };
    let quality = reading.flag.map_or(Quality::NOT_EVALUATED, |flag| Quality::NOT_EVALUATED.with(QualityTest::DeviceStatus, flag));
    // A zero has no sign here: -0.0 and 0.0 are the same water.
    let result = if result == 0.0 { 0.0 } else { result };
    Ok(Observation { datastream: datastream.id, phenomenon_time, received_at, result, quality })
}

/// A few of the names, and how many more there are.
fn listed<'a>(mut names: impl Iterator<Item = &'a str>) -> String {
    let few: Vec<&str> = names.by_ref().take(MOST_NAMED).collect();
    match names.count() {
        _ if few.is_empty() => "none yet".to_owned(),
        0 => few.join(", "),
        more => format!("{} and {more} more", few.join(", ")),
    }
}

fn feed<'a>(device: &'a Device, channel: &str) -> Option<&'a Feed> {
    device.feeds.iter().find(|feed| feed.channel == channel)
}

#[cfg(test)]
mod tests;
