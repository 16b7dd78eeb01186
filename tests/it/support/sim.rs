//! Simulated hardware that runs while a test does.

use firmware_sim::bus::{Bus, Instrument};
use firmware_sim::frame::Framing;
use model::{Clock, Timestamp};
use std::future::Future;
use tokio::runtime::Runtime;
use tokio::sync::watch;

/// Devices at work; they fall silent with it.
pub(crate) struct Field {
    runtime: Runtime,
    stop: watch::Sender<bool>,
}

impl Field {
    pub(crate) fn new() -> Self {
        Self {
            runtime: tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap(),
            stop: watch::channel(false).0,
        }
    }
    /// Puts devices on one wire; how a network file names it, without the unit: `tcp = "…"` or `rtu_tcp = "…"`.
    pub(crate) fn wire(&self, framing: Framing, instruments: Vec<(u8, Instrument)>) -> String {
        let bus = self.runtime.block_on(Bus::bind(framing, instruments)).unwrap();
        let address = bus.address().unwrap();
        self.work(bus.run(self.stop.subscribe()));
        let key = if framing == Framing::Mbap { "tcp" } else { "rtu_tcp" };
        format!("{key} = \"{address}\"")
    }
    /// Lets something run beside the test.
    fn work<T: Send + 'static>(&self, work: impl Future<Output = T> + Send + 'static) {
        self.runtime.spawn(work);
    }
    /// Waits for something to be done.
    pub(crate) fn done<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.block_on(work)
    }
}

/// Simulated hardware at real brokers lives in real time.
pub(crate) struct WallClock;

impl Clock for WallClock {
    #[allow(clippy::disallowed_methods, reason = "tests live in real time")]
    fn now(&self) -> Timestamp {
        Timestamp::from_micros(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap().as_micros().try_into().unwrap())
    }
}

/// A device that is polled.
pub(crate) struct Polled<'a> {
    pub(crate) id: &'a str,
    /// As [`Field::wire`] gives it.
    pub(crate) wire: &'a str,
    pub(crate) unit: u8,
    pub(crate) profile: &'a str,
    pub(crate) channels: &'a [&'a str],
}

/// A network file with one public station and the levels of these devices, called `{device}-{channel}`.
pub(crate) fn network(devices: &[Polled<'_>], poll_s: u32, timeout_s: f64) -> String {
    let mut text =
        String::from("[[owner]]\nid = \"o\"\nname = \"o\"\n[[station]]\nid = \"s\"\nowner = \"o\"\nname = \"s\"\nwhere = [43.9, 11.1]\n");
    for Polled { id, wire, unit, profile, channels } in devices {
        let mut feeds = Vec::new();
        for channel in *channels {
            text += &format!(
                "[[datastream]]\nid = \"{id}-{channel}\"\nstation = \"s\"\nproperty = \"water_level\"\nspan = [-2, 15]\nperiod_s = {poll_s}\nvisibility = \"public\"\n"
            );
            feeds.push(format!("{{ channel = \"{channel}\", datastream = \"{id}-{channel}\" }}"));
        }
        text += &format!(
            "[[device]]\nid = \"{id}\"\nowner = \"o\"\nmodbus = {{ {wire}, unit = {unit}, poll_s = {poll_s}, timeout_s = {timeout_s}, profile = \"{profile}\" }}\nfeeds = [{}]\n",
            feeds.join(", ")
        );
    }
    text
}

/// A profile of levels: channel, table, address, type, byte order, scale.
pub(crate) fn profile(name: &str, registers: &[(&str, &str, u16, &str, &str, f64)]) -> String {
    let mut text = format!("name = \"{name}\"\ntitle = \"{name}\"\n");
    for (channel, space, address, number, order, scale) in registers {
        text += &format!(
            "[[register]]\nchannel = \"{channel}\"\nspace = \"{space}\"\naddress = {address}\ntype = \"{number}\"\norder = \"{order}\"\nscale = {scale}\nunit = \"m\"\n"
        );
    }
    text
}

/// The longest pause between two values in a row, seconds.
pub(crate) fn longest_pause_s(observations: &[(String, f64)]) -> f64 {
    let at = |(time, _): &(String, f64)| time.parse::<jiff::Timestamp>().unwrap().as_microsecond() as f64 / 1e6;
    observations.windows(2).map(|pair| at(&pair[1]) - at(&pair[0])).fold(0.0, f64::max)
}
