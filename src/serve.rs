//! The doors over one store, from the first that opens to the last that closes.

use crate::http::HttpSettings;
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
use std::time::Duration;
use store::{InfluxForwarder, InfluxSettings, Store};
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

/// What is opened, and where.
pub(crate) struct Opening<'a> {
    /// For the control socket.
    pub(crate) dir: &'a Path,
    pub(crate) http: SocketAddr,
    pub(crate) http_settings: HttpSettings,
    pub(crate) mqtt: MqttSettings,
    pub(crate) limits: Limits,
    pub(crate) role: Role,
    pub(crate) brokers: Vec<BrokerSettings>,
    pub(crate) influx: Option<InfluxSettings>,
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
        let Opening { dir, http, http_settings, mqtt, limits, role, brokers, influx } = opening;
        say_disk(&store);
        let meters = Meters::default();
        let mut registry = Registry::default();
        meters.register(&mut registry);
        let keeper_meters = analytics::keeper::Meters::default();
        keeper_meters.register(&mut registry);
        let intake = Intake::new(store.clone(), limits, meters.clone());
        let taken = |what: &str, addr: SocketAddr, flag: &str| {
            format!("{what} can't listen on {addr}; stop what holds it, or choose another address with {flag} (port 0 picks a free one)")
        };
        let mut door = Door::bind(mqtt.listen, store.clone(), mqtt.door, meters.clone())
            .await
            .with_context(|| taken("MQTT", mqtt.listen, "--mqtt or [mqtt] listen"))?;
        if let Some(tls) = mqtt.tls {
            door = door.with_tls(tls).await?;
        }
        let listener = TcpListener::bind(http).await.with_context(|| taken("HTTP", http, "--http or [http] listen"))?;
        let addresses = (listener.local_addr()?, door.local_addr()?, door.tls_addr()?);
        let (stop, stopping) = watch::channel(false);
        let mut running = JoinSet::new();
        running.spawn(door.run(intake.clone(), stopping.clone()));
        match role {
            Role::Centre => {
                if let Some(archive) = Archive::of(&store)? {
                    running.spawn(archive.run(stopping.clone()));
                }
                running.spawn(Keeper::new(store.clone(), analytics::dataset::all(), keeper_meters).run(stopping.clone()));
            }
            Role::Edge(settings) => {
                running.spawn(Forwarder::new(settings, store.clone(), meters.clone()).run(stopping.clone()));
            }
        }
        running.spawn(Poller::new(meters.clone()).run(intake.clone(), stopping.clone()));
        if let Some(settings) = influx {
            store.read_beyond(&settings)?;
            running.spawn(InfluxForwarder::new(store.clone(), settings).run(stopping.clone()));
        }
        for settings in brokers {
            if store.registry().owner(settings.owner.as_str()).is_none() {
                tracing::error!(event = "broker_owner", broker = settings.name, owner = %settings.owner, "nothing from this broker can be bound: there is no such owner; add it to a network file");
            }
            running.spawn(Broker::new(settings, meters.clone()).run(intake.clone(), stopping.clone()));
        }
        let started = store.clock().now();
        let app = axum::Router::new()
            .merge(api::router(store.clone(), registry, started, stopping.clone()))
            .merge(dashboards::router(store.clone()))
            .fallback(api::not_found)
            .layer(TimeoutLayer::with_status_code(axum::http::StatusCode::SERVICE_UNAVAILABLE, Duration::from_secs(30)))
            // Behind it: a large body may take longer over a narrow link, and has limits of its own.
            .merge(http::router(intake.clone()))
            .layer(CompressionLayer::new())
            .layer(CatchPanicLayer::new());
        running.spawn(crate::http::serve(listener, app, http_settings, stopping.clone()));
        let control = crate::control::listen(intake.clone(), dir)?;
        running.spawn(control.serve(stopping));
        Ok(Self { http: addresses.0, mqtt: addresses.1, mqtts: addresses.2, stop, running, store })
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
