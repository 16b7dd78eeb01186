//! The doors over one store, from the first that opens to the last that closes.

use crate::descriptors::Descriptors;
use crate::logs::Log;
use crate::reload::Reload;
use analytics::archive::Archive;
use analytics::keeper::Keeper;
use anyhow::Context;
use ingest::bind::Limits;
use ingest::edge::{EdgeSettings, Forwarder};
use ingest::meters::Meters;
use ingest::pipeline::Intake;
use ingest::source::broker::{Broker, BrokerSettings};
use ingest::source::modbus::Poller;
use ingest::source::mqtt::{Door, DoorSettings, TlsSettings};
use ingest::source::{Source, http};
use prometheus_client::registry::Registry;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};
use store::{InfluxForwarder, InfluxSettings, Part, Store, supervise};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::compression::CompressionLayer;
use tower_http::timeout::TimeoutLayer;

/// What this instance is for.
pub(crate) enum Role {
    /// It derives and serves.
    Centre,
    /// It hands on what it has, and derives nothing.
    Edge(EdgeSettings),
}

/// How the MQTT door is to be opened.
pub(crate) struct MqttSettings {
    pub(crate) listen: SocketAddr,
    pub(crate) tls: Option<TlsSettings>,
    pub(crate) door: DoorSettings,
}

impl From<SocketAddr> for MqttSettings {
    fn from(listen: SocketAddr) -> Self {
        Self { listen, tls: None, door: DoorSettings::default() }
    }
}

/// The promise of an acknowledgement rests on this disk: how fast it syncs, and how much room there is.
fn say_disk(store: &Store) {
    let health = store.health();
    let (Some(sync_s), Some(room)) = (health.sync_s, health.room) else { return };
    let (sync_ms, free_mb) = (format!("{:.2}", sync_s * 1e3), room.free_bytes / 1_000_000);
    match crate::doctor::doubt_of_sync(sync_s) {
        Some(doubt) => tracing::warn!(event = "disk", sync_ms, free_mb, "a synced write on this disk was measured: {doubt}"),
        None => tracing::info!(event = "disk", sync_ms, free_mb, "a synced write on this disk was measured"),
    }
}

/// A disk that is shared over a network, or passed through by a program, may lack what the store needs.
fn say_place(dir: &Path) {
    if let Some(doubt) = store::doubt_of_place(dir) {
        tracing::warn!(event = "data_dir", dir = %dir.display(), "the data directory lies on {doubt}");
    }
}

/// The tasks that run until the stop, each of them supervised.
struct Tasks {
    store: Store,
    stopping: watch::Receiver<bool>,
    running: JoinSet<()>,
}

impl Tasks {
    /// A part of which there is one.
    fn keep<F>(&mut self, kind: &'static str, start: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.keep_part(self.store.part(kind, "", None), start);
    }

    fn keep_part<F>(&mut self, part: Part, start: impl FnMut() -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        self.running.spawn(supervise(part, self.stopping.clone(), start));
    }
}

/// How often is looked whether the log can be written.
const LOOK_AT_LOG: Duration = Duration::from_secs(2);

/// Says in `/readyz` what the log itself can't say.
async fn watch_log(log: Log, part: Part, mut stop: watch::Receiver<bool>) {
    loop {
        match log.trouble() {
            (lost, Some(cause)) => part.degraded(format!(
                "it can't be written ({cause}), {lost} lines were lost; free its disk, or mend what reads the standard error: it goes on by itself"
            )),
            (0, None) => part.ok("every line was written"),
            (lost, None) => part.ok(format!("it is written; {lost} lines were lost since the start")),
        }
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(LOOK_AT_LOG) => {}
        }
    }
}

/// What is opened, and where.
pub(crate) struct Opening<'a> {
    /// For the control socket.
    pub(crate) dir: &'a Path,
    pub(crate) http: SocketAddr,
    pub(crate) mqtt: MqttSettings,
    pub(crate) limits: Limits,
    pub(crate) role: Role,
    pub(crate) brokers: Vec<BrokerSettings>,
    pub(crate) influx: Option<InfluxSettings>,
    pub(crate) log: Log,
    pub(crate) descriptors: Descriptors,
}

/// Open doors.
pub(crate) struct Doors {
    pub(crate) http: SocketAddr,
    pub(crate) mqtt: SocketAddr,
    /// Where MQTT is spoken over TLS, if it is.
    pub(crate) mqtts: Option<SocketAddr>,
    stop: watch::Sender<bool>,
    running: JoinSet<()>,
    store: Store,
}

impl Doors {
    /// Opens HTTP, MQTT, the Modbus poller, the way to external brokers and the control socket over `store`.
    ///
    /// # Errors
    /// Which address can't be had, and the cure.
    pub(crate) async fn open(store: Store, opening: Opening<'_>) -> anyhow::Result<Self> {
        let Opening { dir, http, mqtt, limits, role, brokers, influx, log, descriptors } = opening;
        say_disk(&store);
        say_place(dir);
        let meters = Meters::default();
        let mut registry = Registry::default();
        meters.register(&mut registry);
        let keeper_meters = analytics::keeper::Meters::default();
        keeper_meters.register(&mut registry);
        let intake = Intake::new(store.clone(), limits, meters.clone());
        // First of all: who can't be asked anything is not begun.
        let control = crate::control::listen(intake.clone(), dir)?;
        let taken = |what: &str, addr: SocketAddr, flag: &str| {
            format!("{what} can't listen on {addr}; stop what holds it, or choose another address with {flag} (port 0 picks a free one)")
        };
        let door = DoorSettings { max_connections: mqtt.door.max_connections.min(descriptors.mqtt), ..mqtt.door };
        let mut door = Door::bind(mqtt.listen, store.clone(), door, meters.clone())
            .await
            .with_context(|| taken("MQTT", mqtt.listen, "--mqtt or [mqtt] listen"))?;
        if let Some(tls) = mqtt.tls {
            door = door.with_tls(tls).await?;
        }
        let listener = TcpListener::bind(http).await.with_context(|| taken("HTTP", http, "--http or [http] listen"))?;
        let addresses = (listener.local_addr()?, door.local_addr()?, door.tls_addr()?);
        let (stop, stopping) = watch::channel(false);
        let mut tasks = Tasks { store: store.clone(), stopping: stopping.clone(), running: JoinSet::new() };
        tasks.keep("mqtt-door", {
            let (intake, stopping) = (intake.clone(), stopping.clone());
            move || door.clone().run(intake.clone(), stopping.clone())
        });
        match role {
            Role::Centre => {
                if let Some(archive) = Archive::of(&store)? {
                    let stopping = stopping.clone();
                    tasks.keep("archive", move || archive.clone().run(stopping.clone()));
                }
                let (store, stopping) = (store.clone(), stopping.clone());
                tasks.keep("datasets", move || {
                    Keeper::new(store.clone(), analytics::dataset::all(), keeper_meters.clone()).run(stopping.clone())
                });
            }
            Role::Edge(settings) => {
                let (store, meters, stopping) = (store.clone(), meters.clone(), stopping.clone());
                tasks.keep(ingest::edge::PART, move || {
                    Forwarder::new(settings.clone(), store.clone(), meters.clone()).run(stopping.clone())
                });
            }
        }
        tasks.keep("modbus", {
            let (intake, meters, stopping) = (intake.clone(), meters.clone(), stopping.clone());
            move || Poller::new(meters.clone()).run(intake.clone(), stopping.clone())
        });
        if let Some(settings) = influx {
            store.read_beyond(&settings)?;
            let (store, stopping) = (store.clone(), stopping.clone());
            tasks.keep(store::INFLUX_PART, move || InfluxForwarder::new(store.clone(), settings.clone()).run(stopping.clone()));
        }
        for settings in brokers {
            if store.registry().owner(settings.owner.as_str()).is_none() {
                tracing::error!(event = "broker_owner", broker = settings.name, owner = %settings.owner, "nothing from this broker can be bound: there is no such owner; add it to a network file");
            }
            let part = store.part("broker", &settings.name, Some(settings.owner.clone()));
            let (intake, meters, stopping) = (intake.clone(), meters.clone(), stopping.clone());
            tasks.keep_part(part, move || Broker::new(settings.clone(), meters.clone()).run(intake.clone(), stopping.clone()));
        }
        tasks.keep("clock-watch", {
            let (intake, stopping) = (intake.clone(), stopping.clone());
            move || ingest::clock::watch(intake.clone(), stopping.clone())
        });
        let app = axum::Router::new()
            .merge(api::router(store.clone(), registry, Instant::now(), stopping.clone()))
            .merge(http::router(intake.clone()))
            .merge(dashboards::router(store.clone()))
            .fallback(api::not_found)
            .layer(CompressionLayer::new())
            .layer(TimeoutLayer::with_status_code(axum::http::StatusCode::SERVICE_UNAVAILABLE, Duration::from_secs(30)))
            .layer(CatchPanicLayer::new());
        tasks.keep("http-door", {
            let (listener, stopping) = (Arc::new(listener), stopping.clone());
            move || crate::http::serve(listener.clone(), app.clone(), descriptors.http, stopping.clone())
        });
        tasks.keep("control", {
            let stopping = stopping.clone();
            move || control.clone().serve(stopping.clone())
        });
        tasks.keep("log", {
            let store = store.clone();
            move || watch_log(log.clone(), store.part("log", "", None), stopping.clone())
        });
        let running = tasks.running;
        Ok(Self { http: addresses.0, mqtt: addresses.1, mqtts: addresses.2, stop, running, store })
    }

    /// Takes a changed configuration over at SIGHUP, as far as a running instance can.
    pub(crate) fn on_hangup(&mut self, reload: Reload) {
        self.running.spawn(reload.run(self.store.clone(), self.stop.subscribe()));
    }

    /// What becomes true when everything should stop.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// Waits for Ctrl-C or SIGTERM, then closes the doors, lets what was taken be settled, and closes the store: 10 s at most.
    pub(crate) async fn until_stopped(mut self) -> anyhow::Result<()> {
        let mut terminate = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            _ = terminate.recv() => {}
            pressed = tokio::signal::ctrl_c() => pressed?,
        }
        tracing::info!(event = "stopping", "closing the doors; what was taken is settled first");
        self.stop.send_replace(true);
        let all_closed = async { while self.running.join_next().await.is_some() {} };
        let _ = tokio::time::timeout(Duration::from_secs(10), all_closed).await;
        self.store.close().await;
        Ok(())
    }
}
