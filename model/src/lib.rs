//! The words of the house: what is measured, where, when, how well, and how we say it to people.
//! Types, units, time, quality, states and sentences; no input or output, no async, no clock, no wire format.

mod account;
mod comune;
mod counter;
mod dataset;
mod decimal;
mod gap;
mod id;
mod layout;
mod month;
mod network;
mod observation;
mod profile;
mod property;
mod quality;
mod rain;
mod rating;
mod reject;
mod sentence;
mod state;
mod text;
mod time;
mod unit;
mod viewer;

pub use account::Account;
pub use comune::Comune;
pub use counter::{Counter, CounterStep, Increment, MeterChange, increments};
pub use dataset::{Column, ColumnKind, Dataset};
pub use decimal::{Decimal, exact, scale};
pub use gap::{Gap, GapReason};
pub use id::{ChannelName, DatastreamId, DatastreamKey, DeviceId, OwnerId, StationId, is_slug};
pub use layout::{Endian, Field, FieldKind, Layout, Meaning, Repeat};
pub use month::UtcMonth;
pub use network::{
    Channel, Credential, Datastream, Device, Feed, GaugeZero, Link, ModbusWire, Owner, PAYLOAD_FORMATS, Parity, Place, Station, Threshold,
    Validity, Visibility, is_inside, own_topics,
};
pub use observation::{Observation, Reading};
pub use profile::{ByteOrder, NumberType, Profile, Register, RegisterSpace, Role, Span};
pub use property::{ObservedProperty, SignalClass};
pub use quality::{Flag, Quality, QualityTest};
pub use rain::{RAIN_WINDOWS_H, RainSum, RainSums};
pub use rating::{Beyond, Discharge, NoDischarge, Rating, RatingFault, Segment, significant};
pub use reject::{Message, Reject, RejectReason, Said};
pub use sentence::{
    Trend, age_and_time, age_words, local_time, local_time_seen_from, number, rain_sentence, rain_sum_words, sentence, threshold_words,
};
pub use state::{Approach, Level, MOST_AHEAD_S, State, approach, hysteresis, level, rise_per_hour, stale_after};
pub use text::{Lang, Text};
pub use time::{
    Clock, Interval, TimeError, Timestamp, TimestampWriter, Uptime, civil_day, civil_day_around, civil_day_start, civil_days, day_of_epoch,
    epoch_day, parse_civil_day, parse_rome, seconds_of_duration,
};
pub use unit::Unit;
pub use viewer::{Scope, Viewer};
