//! The service: a configuration, its networks, the doors.

use crate::clock::SystemClock;
use crate::config::Config;
use crate::descriptors::Descriptors;
use crate::logs::{Log, Outlet};
use crate::reload::Reload;
use crate::say::Complaints;
use crate::serve::{Doors, MqttSettings, Opening, Role};
use anyhow::Context;
use ingest::bind::Limits;
use ingest::source::mqtt::DoorSettings;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use store::{InfluxSettings, Settings, Store, load_network};

/// Changes of the network that are told one by one: ten thousand meters would fill the log.
const MOST_TOLD: usize = 20;

pub(crate) async fn run(path: &Path, log: &Log) -> anyhow::Result<()> {
    let config = Config::read(path).map_err(Complaints::from)?;
    let reload = Reload { path: path.to_owned(), config: config.clone(), log: log.clone() };
    if let Err(cause) = log.follow(config.log.as_deref()) {
        let message =
            format!("log = \"{}\" can't be read: {cause}; write e.g. \"info\" or \"ingest=debug\"", config.log.unwrap_or_default());
        return Err(Complaints(vec![format!("{}  {message}", path.display())]).into());
    }
    let network = load_network(&config.networks).map_err(Complaints::from)?;
    let room = config.edge.as_ref().map(|edge| edge.room).or_else(|| config.influx.as_ref().map(|_| InfluxSettings::room()));
    let settings = Settings { linger: Duration::from_millis(config.linger_ms), outbox: room };
    let store = Store::open(&config.data_dir, settings, Arc::new(SystemClock::new()))
        .with_context(|| format!("the store in {} can't be opened", config.data_dir.display()))?;
    if config.influx.is_none() && config.edge.is_none() {
        store.forget_influx()?;
    }
    if !config.networks.is_empty() {
        let changes = store.apply(&network).map_err(Complaints::from)?;
        for change in changes.iter().take(MOST_TOLD) {
            tracing::info!(event = "network", change = %change, "the network changed");
        }
        if changes.len() > MOST_TOLD {
            tracing::info!(event = "network", changes = changes.len(), "the network changed; only the first changes are told one by one");
        }
    }
    let limits = Limits { future_s: config.future_min * 60, earliest: config.earliest, datastreams: config.datastreams };
    let role = config.edge.map_or(Role::Centre, |edge| Role::Edge(edge.settings));
    let door = DoorSettings { messages_per_s: config.messages_per_s, ..DoorSettings::default() };
    let mqtt = MqttSettings { listen: config.mqtt, tls: config.mqtt_tls, door };
    let opening = Opening {
        dir: &config.data_dir,
        http: config.http,
        mqtt,
        limits,
        role,
        brokers: config.brokers,
        influx: config.influx,
        log: log.clone(),
        descriptors: Descriptors::raise(),
    };
    let mut doors = Doors::open(store, opening).await?;
    doors.on_hangup(reload);
    let mqtts = doors.mqtts.map_or_else(String::new, |addr| format!(" mqtts={addr}"));
    // Nobody may be reading it: it must not hold up what it announces.
    let out = Outlet::new("stdout", std::io::stdout(), None);
    out.say(format!("ready http={} mqtt={}{mqtts}\n", doors.http, doors.mqtt).into_bytes());
    doors.until_stopped().await
}
