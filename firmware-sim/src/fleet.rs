//! All devices of the demonstration at once.

use crate::gauge::Gauge;
use crate::link::Identity;
use crate::memory::Memory;
use crate::plant::Plant;
use crate::recorder::{LostLink, Recorder, Sampling};
use crate::roster::{
    self, CONSORTIUM, LOGGERS, PERIOD_S, PLC, RADAR, RAIN_GAUGES, REPLAY, UNIVERSITY, WITH_BATTERY, WITH_FAULTY_SENSOR, WITH_LOST_LINK,
};
use crate::slave::Slave;
use crate::wave::Wave;
use crate::{logger, plc, radar, rain, replay};
use model::{Clock, Timestamp};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// A memory holds a day of readings.
const A_DAY: usize = 86_400 / PERIOD_S as usize;
/// Between two messages of the recorder of a year: the whole of it takes about a minute and a half.
const REPLAY_PAUSE: Duration = Duration::from_secs(2);

/// What the demonstration is told.
#[derive(Clone)]
pub struct Settings {
    pub seed: u64,
    /// When the demonstration was first started. Kept with its data, so that the same wave goes on after a restart.
    pub epoch: Timestamp,
    /// Where the devices over MQTT keep how far they delivered; `None` to begin anew with each start.
    pub memory_dir: Option<PathBuf>,
    pub clock: Arc<dyn Clock>,
}

/// The devices, with their ports taken and not yet at work.
pub struct Fleet {
    settings: Settings,
    wave: Wave,
    plant: Arc<Plant>,
    slaves: Vec<Slave>,
    /// Device to port.
    endpoints: BTreeMap<&'static str, SocketAddr>,
}

impl Fleet {
    /// Takes a port of the loopback for each device over Modbus TCP and makes the directory of the memories. Nothing answers before [`Fleet::run`].
    ///
    /// # Errors
    /// The system's, when it has no port or the directory can't be made.
    pub async fn new(settings: Settings) -> io::Result<Self> {
        if let Some(dir) = &settings.memory_dir {
            std::fs::create_dir_all(dir)?;
        }
        let wave = Wave::new(settings.seed, settings.epoch);
        let plant = Arc::new(Plant::new(wave));
        let radar = Slave::bind(radar::UNIT, radar::registers(wave, Gauge::Gamberame), settings.clock.clone()).await?;
        let plc = Slave::bind(plc::UNIT, plc::registers(plant.clone()), settings.clock.clone()).await?;
        let endpoints = BTreeMap::from([(RADAR, radar.address()?), (PLC, plc.address()?)]);
        Ok(Self { settings, wave, plant, slaves: vec![radar, plc], endpoints })
    }

    /// Where each device over Modbus TCP answers, by its id: to be put into the network file in place of what it says.
    #[must_use]
    pub fn endpoints(&self) -> &BTreeMap<&'static str, SocketAddr> {
        &self.endpoints
    }

    /// The datastreams that have a history, by key.
    pub fn keys(&self) -> impl Iterator<Item = &'static str> + use<> {
        roster::keys()
    }

    /// What was measured for a datastream at the multiples of `step_s` in `[from, to)`, in its canonical unit, ascending: to be
    /// imported before the doors open. Ask up to the epoch: what comes after it the devices deliver themselves.
    #[must_use]
    pub fn history(&self, key: &str, from: Timestamp, to: Timestamp, step_s: i64) -> Vec<(Timestamp, f64)> {
        roster::history(&self.wave, &self.plant, key, from, to, step_s)
    }

    /// Answers over Modbus and delivers over MQTT to `door` until `stop` is true.
    pub async fn run(self, door: SocketAddr, stop: watch::Receiver<bool>) {
        let mut working = JoinSet::new();
        for recorder in self.recorders() {
            working.spawn(recorder.run(door, stop.clone()));
        }
        for slave in self.slaves {
            let stop = stop.clone();
            working.spawn(async move {
                if let Err(cause) = slave.run(stop).await {
                    tracing::error!(event = "simulator_lost_port", cause = %cause, "a simulated Modbus device lost its port");
                }
            });
        }
        while working.join_next().await.is_some() {}
    }

    fn recorders(&self) -> Vec<Recorder> {
        let levels = LOGGERS.iter().map(|(device, gauge)| self.logger(device, *gauge));
        let rains = RAIN_GAUGES.iter().map(|(device, gauge)| self.sampling(device, rain::increments(self.wave, *gauge, PERIOD_S)));
        levels.chain(rains).chain([self.replay()]).collect()
    }

    fn logger(&self, device: &str, gauge: Gauge) -> Recorder {
        let measure = match gauge {
            WITH_BATTERY => logger::level_and_battery(self.wave, gauge),
            WITH_FAULTY_SENSOR => logger::level_of_a_faulty_sensor(self.wave, gauge, self.settings.epoch),
            _ => logger::level(self.wave, gauge),
        };
        let recorder = self.sampling(device, measure);
        if gauge == WITH_LOST_LINK {
            // First a quarter of an hour in, so that a visitor sees it go and come back.
            let from = self.settings.epoch.plus_seconds(900);
            return recorder.with_lost_link(LostLink { from, every_s: 3600, lasting_s: 600 });
        }
        recorder
    }

    fn sampling(&self, device: &str, measure: crate::recorder::Measure) -> Recorder {
        let memory = Memory::new(A_DAY, self.memory_file(device));
        let sampling = Sampling { period_s: PERIOD_S, measure };
        Recorder::sampling(identity(CONSORTIUM, device), memory, sampling, self.settings.epoch, self.settings.clock.clone())
    }

    /// The year, but for what is known to have arrived.
    fn replay(&self) -> Recorder {
        let year = replay::readings();
        let mut memory = Memory::new(year.len(), self.memory_file(REPLAY));
        let delivered = memory.delivered();
        for reading in year.into_iter().filter(|reading| delivered.is_none_or(|delivered| reading.time > delivered)) {
            memory.keep(reading);
        }
        Recorder::delivering(identity(UNIVERSITY, REPLAY), memory, REPLAY_PAUSE, self.settings.clock.clone())
    }

    fn memory_file(&self, device: &str) -> Option<PathBuf> {
        self.settings.memory_dir.as_deref().map(|dir: &Path| dir.join(format!("{device}.delivered")))
    }
}

/// The demonstration's passwords are no secret: `demo-` and the device.
fn identity(owner: &str, device: &str) -> Identity {
    Identity { owner: owner.to_owned(), device: device.to_owned(), password: format!("demo-{device}") }
}

#[cfg(test)]
mod tests;
