//! The doors over one store, from the first that opens to the last that closes.

use analytics::keeper::Keeper;
use anyhow::Context;
use ingest::bind::Limits;
use ingest::edge::{EdgeSettings, Forwarder};
use ingest::meters::Meters;
use ingest::pipeline::Intake;
use ingest::source::broker::{Broker, BrokerSettings};
use ingest::source::modbus::Poller;
use ingest::source::mqtt::{Door, DoorSettings};
use ingest::source::{Source, http};
use prometheus_client::registry::Registry;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;
use store::Store;
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

/// Open doors.
pub(crate) struct Doors {
    pub(crate) http: SocketAddr,
    pub(crate) mqtt: SocketAddr,
    stop: watch::Sender<bool>,
    running: JoinSet<()>,
    store: Store,
    intake: Intake,
    meters: Meters,
}

impl Doors {
    /// Opens HTTP, MQTT, the Modbus poller and the control socket of `dir` over `store`.
    ///
    /// # Errors
    /// Which address can't be had, and the cure.
    pub(crate) async fn open(
        store: Store,
        dir: &Path,
        http: SocketAddr,
        mqtt: SocketAddr,
        limits: Limits,
        role: Role,
    ) -> anyhow::Result<Self> {
        let meters = Meters::default();
        let mut registry = Registry::default();
        meters.register(&mut registry);
        let keeper_meters = analytics::keeper::Meters::default();
        keeper_meters.register(&mut registry);
        let intake = Intake::new(store.clone(), limits, meters.clone());
        let taken = |what: &str, addr: SocketAddr, flag: &str| {
            format!("{what} can't listen on {addr}; stop what holds it, or choose another address with {flag} (port 0 picks a free one)")
        };
        let door = Door::bind(mqtt, store.clone(), DoorSettings::default(), meters.clone())
            .await
            .with_context(|| taken("MQTT", mqtt, "--mqtt or [mqtt] listen"))?;
        let listener = TcpListener::bind(http).await.with_context(|| taken("HTTP", http, "--http or [http] listen"))?;
        let addresses = (listener.local_addr()?, door.local_addr()?);
        let (stop, stopping) = watch::channel(false);
        let mut running = JoinSet::new();
        running.spawn(door.run(intake.clone(), stopping.clone()));
        match role {
            Role::Centre => {
                running.spawn(Keeper::new(store.clone(), analytics::dataset::all(), keeper_meters).run(stopping.clone()));
            }
            Role::Edge(settings) => {
                running.spawn(Forwarder::new(settings, store.clone(), meters.clone()).run(stopping.clone()));
            }
        }
        running.spawn(Poller::new(meters.clone()).run(intake.clone(), stopping.clone()));
        let started = store.clock().now();
        let app = axum::Router::new()
            .merge(api::router(store.clone(), registry, started, stopping.clone()))
            .merge(http::router(intake.clone()))
            .merge(dashboards::router(store.clone()))
            .fallback(api::not_found)
            .layer(CompressionLayer::new())
            .layer(TimeoutLayer::with_status_code(axum::http::StatusCode::SERVICE_UNAVAILABLE, Duration::from_secs(30)))
            .layer(CatchPanicLayer::new());
        let mut http_stop = stopping.clone();
        running.spawn(async move {
            let stopped = async move { drop(http_stop.wait_for(|stop| *stop).await) };
            if let Err(cause) = axum::serve(listener, app).with_graceful_shutdown(stopped).await {
                tracing::error!(event = "http_ended", %cause, "the HTTP door ended");
            }
        });
        let control = crate::control::listen(intake.clone(), dir)?;
        running.spawn(control.serve(stopping));
        Ok(Self { http: addresses.0, mqtt: addresses.1, stop, running, store, intake, meters })
    }

    /// Takes what these brokers have as well.
    pub(crate) fn listening_to(mut self, brokers: Vec<BrokerSettings>) -> Self {
        for settings in brokers {
            if self.store.registry().owner(settings.owner.as_str()).is_none() {
                tracing::error!(event = "broker_owner", broker = settings.name, owner = %settings.owner, "nothing from this broker can be bound: there is no such owner; add it to a network file");
            }
            let broker = Broker::new(settings, self.meters.clone());
            self.running.spawn(broker.run(self.intake.clone(), self.stop.subscribe()));
        }
        self
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
