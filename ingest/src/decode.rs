//! Formats. A format is one file below and one line in [`all`].

mod bare;
mod chirpstack;
mod json;
pub(crate) mod layout;
mod line;
pub(crate) mod logger;
mod native;
mod number;
pub mod registers;
mod senml;
pub(crate) mod sparkplug;
mod text;
mod tts;
mod uplink;
#[cfg(test)]
mod wires;

use crate::frame::Frame;
use model::{ChannelName, DeviceId, Reading, RejectReason, Timestamp};

/// Every format there is.
#[must_use]
pub fn all() -> Vec<Box<dyn Decoder>> {
    vec![
        Box::new(native::Native),
        Box::new(bare::Bare),
        Box::new(registers::Registers),
        Box::new(senml::Senml),
        Box::new(chirpstack::Chirpstack),
        Box::new(tts::Tts),
        Box::new(line::Line),
        Box::new(sparkplug::Sparkplug),
        Box::new(logger::Logger),
    ]
}

/// The decoder's name for a payload format of [`model::PAYLOAD_FORMATS`].
#[must_use]
pub fn spoken(word: &str) -> Option<&'static str> {
    model::PAYLOAD_FORMATS.into_iter().find(|known| *known == word)
}

/// What one frame held: nothing of it is lost.
#[derive(Debug, Default)]
pub struct Decoded {
    pub readings: Vec<Placed<Reading>>,
    pub rejects: Vec<Placed<Refusal>>,
    /// Values of channels that could be named, and that are no numbers.
    pub unread: Vec<Placed<Unread>>,
    /// Bytes that only their device's layout makes readings of.
    pub payloads: Vec<Placed<RawPayload>>,
    /// The uplink that the message tells of, where its network server names it.
    pub heard: Option<Heard>,
    /// Gateways whose clocks were not believed.
    pub wrong_clocks: Vec<WrongClock>,
}

/// One uplink, as its network server names it: two messages with the same name tell of one measurement.
#[derive(Debug, Clone, PartialEq)]
pub struct Heard {
    /// What the message calls the device.
    pub device: DeviceId,
    pub id: String,
    pub heard_at: Timestamp,
    /// The name is another's when it comes after longer, s: counters may begin anew in one session.
    pub within_s: f64,
}

/// A gateway whose clock is far from that of its network server.
#[derive(Debug, Clone, PartialEq)]
pub struct WrongClock {
    pub gateway: String,
    /// By how much, seconds; negative where it is behind.
    pub ahead_s: f64,
}

/// A value of one channel that is no number that can be kept, while others of its message may be good.
#[derive(Debug, Clone, PartialEq)]
pub struct Unread {
    /// What the message calls the device.
    pub device: DeviceId,
    pub channel: ChannelName,
    pub time: Option<Timestamp>,
    pub refusal: Refusal,
    pub matters: Matters,
}

/// For whom a value that is no number is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Matters {
    /// A number was meant.
    Always,
    /// A word or nothing, which many devices say beside what they measure: it matters where the channel feeds a datastream.
    WhereFed,
}

/// What a device sent, as bytes: kept, so that it can be read again when its layout is mended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RawPayload {
    /// What the message calls the device.
    pub device: DeviceId,
    /// LoRaWAN's port, which tells kinds of payloads apart.
    pub port: Option<u8>,
    /// When it was heard.
    pub time: Option<Timestamp>,
    pub bytes: Vec<u8>,
}

/// Something with its place among the objects of its message, from 0; a message that can't be read at all is place 0.
#[derive(Debug, Clone, PartialEq)]
pub struct Placed<T> {
    pub index: usize,
    pub what: T,
}

/// Why one reading was refused, and the cure, in a sentence.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    pub reason: RejectReason,
    pub detail: String,
}

/// Turns the bytes of one frame into readings. Pure: no clock, no I/O, no registry.
pub trait Decoder: Send + Sync {
    /// The word that configuration, logs and rejects use for this format, e.g. `"native"`.
    fn name(&self) -> &'static str;
    /// Never fails as a whole: what cannot be read is in `rejects`, beside what can.
    fn decode(&self, frame: &Frame) -> Decoded;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_format_that_a_network_file_may_name_has_its_decoder() {
        let names: Vec<_> = all().iter().map(|decoder| decoder.name()).collect();
        assert!(model::PAYLOAD_FORMATS.iter().all(|format| names.contains(format)), "{names:?}");
    }
}
