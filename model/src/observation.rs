use crate::{ChannelName, DatastreamId, DeviceId, Flag, OwnerId, Quality, Timestamp, Unit};

/// What a device said, in its own words: not yet tied to a datastream.
#[derive(Debug, Clone, PartialEq)]
pub struct Reading {
    pub owner: OwnerId,
    pub device: DeviceId,
    pub channel: ChannelName,
    /// The device's own time; `None` when it sent a bare number, which then takes the time of arrival.
    pub phenomenon_time: Option<Timestamp>,
    /// Finite; in `unit` if the device named one, else in the unit that the network file gives the channel.
    pub value: f64,
    pub unit: Option<Unit>,
    /// What the device itself says of how far the value can be trusted; `None` when it says nothing.
    pub flag: Option<Flag>,
}

/// One value of one datastream at one instant. `(datastream, phenomenon_time)` is its identity:
/// written twice it is still one observation, so a message delivered again changes nothing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Observation {
    pub datastream: DatastreamId,
    /// When the water stood like this; not when we heard of it.
    pub phenomenon_time: Timestamp,
    /// When we heard of it. Kept to the whole second.
    pub received_at: Timestamp,
    /// Finite, in the canonical unit of the datastream's property.
    pub result: f64,
    pub quality: Quality,
}
