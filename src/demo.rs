//! A river in flood on one machine: simulated field devices, as real network devices, against the real doors.

use crate::cli::DemoOptions;
use crate::clock::SystemClock;
use crate::descriptors::Descriptors;
use crate::http::HttpSettings;
use crate::logs::Log;
use crate::say::{self, Complaints};
use crate::serve::{Doors, Opening, Role};
use crate::stopping::Stopping;
use anyhow::Context;
use firmware_sim::{Fleet, Settings as FieldSettings};
use ingest::bind::Limits;
use ingest::qualify::qualify;
use model::{Clock, Observation, Quality, Scope, Timestamp};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::{Batch, Settings, Store, load_embedded};

const NETWORK: &str = include_str!("../demo/network.toml");
const PROFILES: [(&str, &str); 2] = [
    ("profiles/radar-vegapuls-c21.toml", include_str!("../demo/profiles/radar-vegapuls-c21.toml")),
    ("profiles/plc-castelletti.toml", include_str!("../demo/profiles/plc-castelletti.toml")),
];
/// The same wave on every machine.
const SEED: u64 = 20_231_102;
const HISTORY_S: i64 = 30 * 86_400;
/// Observations in one commit of the history.
const COMMIT: usize = 5000;

pub(crate) async fn demo(options: DemoOptions, log: &Log, stopping: &Stopping) -> anyhow::Result<()> {
    let Some((doors, words)) = stopping.unless_asked(start(options, log, stopping)).await? else { return Ok(()) };
    say::line(&format!("ready http={} mqtt={}", doors.http, doors.mqtt));
    say::page(&words);
    doors.until_stopped(stopping).await
}

/// The doors, and what is said once they are open.
async fn start(options: DemoOptions, log: &Log, stopping: &Stopping) -> anyhow::Result<(Doors, String)> {
    anyhow::ensure!(
        options.mqtt.ip().is_loopback() || options.allow_plaintext,
        "MQTT on {} would send passwords unencrypted over the network; leave --mqtt on 127.0.0.1, or accept it with --allow-plaintext",
        options.mqtt
    );
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let store = Store::open(&options.data, Settings::default(), clock.clone())
        .with_context(|| format!("the demonstration's store in {} can't be opened", options.data.display()))?;
    stopping.closes(&store);
    let epoch = epoch(&options.data, clock.as_ref())?;
    let memory_dir = Some(options.data.join("field"));
    let fleet = Fleet::new(FieldSettings { seed: SEED, epoch, memory_dir, clock }).await.context("the simulated devices can't start")?;
    let mut network = load_embedded("demo/network.toml", NETWORK, &PROFILES).map_err(Complaints::from)?;
    for (device, endpoint) in fleet.endpoints() {
        network.set_modbus_endpoint(device, &endpoint.to_string());
    }
    store.starts_with(&[PathBuf::from("demo/network.toml")]);
    crate::run::take(&store, &network);
    let fleet = if options.no_field { fleet } else { with_history(&options.data, &store, fleet, epoch).await? };
    open(options, store, fleet, log).await
}

/// Puts the history before the epoch into the store, once; a start that was interrupted does it again, which changes nothing.
async fn with_history(dir: &Path, store: &Store, fleet: Fleet, epoch: Timestamp) -> anyhow::Result<Fleet> {
    let done = dir.join("demo-history");
    if done.exists() {
        return Ok(fleet);
    }
    say::line("measuring 30 days of history …");
    let store = store.clone();
    let fleet = tokio::task::spawn_blocking(move || import_history(&store, &fleet, epoch).map(|()| fleet)).await??;
    std::fs::write(&done, "the thirty days before demo-epoch are in the store\n")
        .with_context(|| format!("{} can't be written", done.display()))?;
    Ok(fleet)
}

async fn open(options: DemoOptions, store: Store, fleet: Fleet, log: &Log) -> anyhow::Result<(Doors, String)> {
    let token = store.new_token(&"demo".into(), &[Scope::Ingest, Scope::Read, Scope::Manage])?;
    let opening = Opening {
        dir: &options.data,
        http: options.http,
        http_settings: HttpSettings::default(),
        mqtt: options.mqtt.into(),
        limits: Limits::default(),
        role: Role::Centre,
        brokers: Vec::new(),
        influx: None,
        public_url: None,
        site: crate::config::Config::default().site,
        log: log.clone(),
        descriptors: Descriptors::raise(),
    };
    let doors = Doors::open(store, opening).await?;
    if !options.no_field {
        tokio::spawn(fleet.run(doors.mqtt, doors.stopping()));
    }
    let (http, mqtt) = (doors.http, doors.mqtt);
    let words = format!(
        "\n  The rivers           http://{http}/\n  A gauge in flood     http://{http}/stazioni/bisenzio-gamberame\n\n\
         Publish a level of your own, and read it back:\n\n  \
         mosquitto_pub -h {} -p {} -u prova -P prova -i prova-1 -q 1 -t pescaia/v1/demo/prova/level -m 1.42\n  \
         curl -s 'http://{http}/api/v1/datastreams/prova-level/observations?period=PT1H'\n\n\
         The same over HTTP (the token is shown this once):\n\n  \
         curl -s -X POST http://{http}/api/v1/observations -H 'Authorization: Bearer {}' -H 'Content-Type: application/json' \
         -d '{{\"device\": \"prova\", \"time\": '$(date +%s)', \"values\": {{\"level\": 1.43}}}}'\n\nCtrl-C ends it; started again with --data {} it goes on.",
        mqtt.ip(),
        mqtt.port(),
        token.text,
        options.data.display(),
    );
    Ok((doors, words))
}

/// When this demonstration was first started; the file beside the store says so, that its wave goes on after a restart.
fn epoch(dir: &Path, clock: &dyn Clock) -> anyhow::Result<Timestamp> {
    let path = dir.join("demo-epoch");
    if let Ok(text) = std::fs::read_to_string(&path) {
        return Timestamp::parse(&text)
            .with_context(|| format!("{} is not as it was written; remove the directory to start anew", path.display()));
    }
    let epoch = Timestamp::from_seconds(clock.now().seconds());
    std::fs::write(&path, epoch.to_string()).with_context(|| format!("{} can't be written", path.display()))?;
    Ok(epoch)
}

/// Puts what the devices measured before the epoch into the store, as if it had arrived at its time.
fn import_history(store: &Store, fleet: &Fleet, epoch: Timestamp) -> anyhow::Result<()> {
    let registry = store.registry();
    for key in fleet.keys() {
        let Some(datastream) = registry.datastream_by_key(key) else { continue };
        let step_s = i64::from(datastream.period_s);
        let measured = fleet.history(key, epoch.plus_seconds(-HISTORY_S), epoch, step_s);
        for group in measured.chunks(COMMIT) {
            let observation = |(at, result): &(Timestamp, f64)| {
                let plain = Observation {
                    datastream: datastream.id,
                    phenomenon_time: *at,
                    received_at: *at,
                    result: *result,
                    quality: Quality::NOT_EVALUATED,
                };
                qualify(plain, datastream)
            };
            store.commit_blocking(Batch { observations: group.iter().map(observation).collect(), ..Batch::default() })?;
        }
    }
    Ok(())
}
