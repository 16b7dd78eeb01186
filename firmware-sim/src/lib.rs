//! Field hardware that speaks and fails, to the byte: level loggers and rain gauges over MQTT, a radar and the PLC of a
//! pumping station over Modbus TCP, a recorder that replays a real year; for tests a bus of Modbus devices that lie on command, LoRaWAN
//! fleets, a Sparkplug node, and a logger with a backlog. Bytes are written from datasheets; nothing here knows a decoder.

pub mod backlog;
pub mod bus;
pub mod conduct;
pub mod fleet;
pub mod frame;
pub mod gauge;
pub mod image;
pub mod life;
pub mod link;
pub mod logger;
pub mod lorawan;
pub mod memory;
pub mod plant;
pub mod plc;
pub mod radar;
pub mod rain;
pub mod recorder;
pub mod replay;
pub mod roster;
pub mod slave;
pub mod sparkplug;
pub mod wave;
pub mod zoo;

pub use fleet::{Fleet, Settings};
pub use wave::Wave;
