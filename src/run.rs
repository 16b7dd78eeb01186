//! The service: a configuration, its networks, the doors.

use crate::clock::SystemClock;
use crate::config::Config;
use crate::descriptors::Descriptors;
use crate::logs::{Log, Outlet};
use crate::reload::Reload;
use crate::say::Complaints;
use crate::serve::{Doors, MqttSettings, Opening, Role};
use crate::stopping::Stopping;
use anyhow::Context;
use ingest::bind::Limits;
use ingest::source::mqtt::DoorSettings;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use store::{InfluxSettings, Network, Settings, Store, load_network_to_start};

/// Changes of the network that are told one by one: ten thousand meters would fill the log.
const MOST_TOLD: usize = 20;

pub(crate) async fn run(path: &Path, log: &Log, stopping: &Stopping) -> anyhow::Result<()> {
    let config = Config::read(path).map_err(Complaints::from)?;
    if let Err(cause) = log.follow(config.log.as_deref()) {
        let message =
            format!("log = \"{}\" can't be read: {cause}; write e.g. \"info\" or \"ingest=debug\"", config.log.unwrap_or_default());
        return Err(Complaints(vec![format!("{}  {message}", path.display())]).into());
    }
    let reload = Reload { path: path.to_owned(), config: config.clone(), log: log.clone() };
    let Some(mut doors) = stopping.unless_asked(open(config, log, stopping)).await? else { return Ok(()) };
    doors.on_hangup(reload, stopping.hangups());
    let mqtts = doors.mqtts.map_or_else(String::new, |addr| format!(" mqtts={addr}"));
    // Nobody may be reading it: it must not hold up what it announces.
    let out = Outlet::new("stdout", std::io::stdout(), None);
    out.say(format!("ready http={} mqtt={}{mqtts}\n", doors.http, doors.mqtt).into_bytes());
    doors.until_stopped(stopping).await
}

async fn open(config: Config, log: &Log, stopping: &Stopping) -> anyhow::Result<Doors> {
    let network = load_network_to_start(&config.networks).map_err(Complaints::from)?;
    let room = config.edge.as_ref().map(|edge| edge.room).or_else(|| config.influx.as_ref().map(|_| InfluxSettings::room()));
    let settings = Settings { linger: Duration::from_millis(config.linger_ms), outbox: room };
    let store = Store::open(&config.data_dir, settings, Arc::new(SystemClock::new()))
        .with_context(|| format!("the store in {} can't be opened", config.data_dir.display()))?;
    stopping.closes(&store);
    if config.influx.is_none() && config.edge.is_none() {
        store.forget_influx()?;
    }
    store.starts_with(&config.networks);
    take(&store, &network);
    let limits =
        Limits { future_s: config.future_min * 60, earliest: config.earliest, datastreams: config.datastreams, edges: config.edges };
    let role = config.edge.map_or(Role::Centre, |edge| Role::Edge(edge.settings));
    let door = DoorSettings {
        messages_per_s: config.messages_per_s,
        max_sessions: config.sessions,
        per_address: config.http_settings.per_address,
        exempt: config.http_settings.exempt.clone(),
        ..DoorSettings::default()
    };
    let mqtt = MqttSettings { listen: config.mqtt, tls: config.mqtt_tls, door };
    let opening = Opening {
        dir: &config.data_dir,
        http: config.http,
        http_settings: config.http_settings,
        mqtt,
        limits,
        role,
        brokers: config.brokers,
        influx: config.influx,
        public_url: config.public_url,
        site: config.site,
        log: log.clone(),
        descriptors: Descriptors::raise(),
    };
    Doors::open(store, opening).await
}

/// Makes the registry what the files say, as far as it can stand, and tells the log what changed and what could not.
pub(crate) fn take(store: &Store, network: &Network) {
    let started = store.start_with(network);
    for change in started.changes.iter().take(MOST_TOLD) {
        tracing::info!(event = "network", change = %change, "the network changed");
    }
    if started.changes.len() > MOST_TOLD {
        tracing::info!(
            event = "network",
            changes = started.changes.len(),
            "the network changed; only the first changes are told one by one"
        );
    }
    for fault in started.faults.iter().take(MOST_TOLD) {
        tracing::error!(
            event = "network_fault",
            kind = fault.kind,
            id = fault.id,
            file = fault.file,
            cause = fault.message,
            "an entry of the network can't stand and is left out; all else goes on, and what is sent of it waits in the quarantine"
        );
    }
    if started.faults.len() > MOST_TOLD {
        tracing::error!(
            event = "network_fault",
            faults = started.faults.len(),
            "only the first are told one by one; pescaia doctor tells all"
        );
    }
}
