//! The doors over one store, from the first that opens to the last that closes.

use crate::config::PublicUrl;
use crate::descriptors::Descriptors;
use crate::headers::{self, Reached};
use crate::http::HttpSettings;
use crate::logs::Log;
use crate::outgoing::{self, Compressing, Outgoing};
use crate::reload::Reload;
use crate::stopping::Stopping;
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

/// For connections and jobs to end by themselves.
const FOR_DOORS: Duration = Duration::from_secs(4);
/// How often it is written down when tokens were used last, and by how much what is written may be behind.
const TOKEN_USES: Duration = Duration::from_secs(600);
const TOKEN_USES_BEHIND: Duration = Duration::from_secs(3600);

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
    pub(crate) http_settings: HttpSettings,
    pub(crate) mqtt: MqttSettings,
    pub(crate) limits: Limits,
    pub(crate) role: Role,
    pub(crate) brokers: Vec<BrokerSettings>,
    pub(crate) influx: Option<InfluxSettings>,
    /// How this instance is reached from outside, where somebody said.
    pub(crate) public_url: Option<PublicUrl>,
    /// The name above every page.
    pub(crate) site: model::Text,
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

/// What every answer passes on its way out, from the inside: compressed, without a panic, in so much room, with its headers.
fn dressed(routes: axum::Router, reached: Reached) -> axum::Router {
    routes
        .layer(axum::middleware::from_fn(outgoing::mark_small))
        .layer(CompressionLayer::new().no_br().compress_when(Compressing::Large))
        .layer(CompressionLayer::new().compress_when(Compressing::Small))
        .layer(CatchPanicLayer::new())
        .layer(axum::middleware::from_fn_with_state(Outgoing::default(), outgoing::bounded))
        .layer(axum::middleware::from_fn_with_state(reached, headers::guarded))
}

async fn write_token_uses(store: Store, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(TOKEN_USES) => {}
        }
        let store = store.clone();
        if let Ok(Err(cause)) = tokio::task::spawn_blocking(move || store.write_token_uses(TOKEN_USES_BEHIND)).await {
            tracing::debug!(event = "token_uses", %cause, "when tokens were used last could not be written; it is tried again");
        }
    }
}

impl Doors {
    /// Opens HTTP, MQTT, the Modbus poller, the way to external brokers and the control socket over `store`.
    ///
    /// # Errors
    /// Which address can't be had, and the cure.
    pub(crate) async fn open(store: Store, opening: Opening<'_>) -> anyhow::Result<Self> {
        let Opening { dir, http, http_settings, mqtt, limits, role, brokers, influx, public_url, site, log, descriptors } = opening;
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
        let reached = if public_url.as_ref().is_some_and(PublicUrl::is_over_tls) { Reached::OverTls } else { Reached::Plainly };
        let public_url = public_url.as_ref().map(PublicUrl::as_str);
        let routes = axum::Router::new()
            .merge(api::router(store.clone(), registry, Instant::now(), stopping.clone(), public_url))
            .merge(dashboards::router(store.clone(), site, |uri| Box::pin(api::not_found(uri))))
            .layer(TimeoutLayer::with_status_code(axum::http::StatusCode::SERVICE_UNAVAILABLE, Duration::from_secs(30)))
            // Behind it: a large body may take longer over a narrow link, and has limits of its own.
            .merge(http::router(intake.clone()));
        let app = dressed(routes, reached);
        tasks.keep("http-door", {
            let (listener, stopping) = (Arc::new(listener), stopping.clone());
            move || crate::http::serve(listener.clone(), app.clone(), http_settings.clone(), descriptors.http, stopping.clone())
        });
        tasks.keep("control", {
            let stopping = stopping.clone();
            move || control.clone().serve(stopping.clone())
        });
        tasks.keep("token-uses", {
            let (store, stopping) = (store.clone(), stopping.clone());
            move || write_token_uses(store.clone(), stopping.clone())
        });
        tasks.keep("log", {
            let store = store.clone();
            move || watch_log(log.clone(), store.part("log", "", None), stopping.clone())
        });
        let running = tasks.running;
        Ok(Self { http: addresses.0, mqtt: addresses.1, mqtts: addresses.2, stop, running, store })
    }

    /// Takes a changed configuration over at SIGHUP, as far as a running instance can.
    pub(crate) fn on_hangup(&mut self, reload: Reload, hangups: watch::Receiver<u64>) {
        self.running.spawn(reload.run(self.store.clone(), hangups, self.stop.subscribe()));
    }

    /// What becomes true when everything should stop.
    pub(crate) fn stopping(&self) -> watch::Receiver<bool> {
        self.stop.subscribe()
    }

    /// Waits until the process is to end, then closes the doors, lets what was taken be settled, and closes the store. What has not ended
    /// by then is given up: a client that does not read, a job that computes, a command beside the instance.
    pub(crate) async fn until_stopped(mut self, stopping: &Stopping) -> anyhow::Result<()> {
        stopping.asked().await;
        tracing::info!(event = "stopping", "closing the doors; what was taken is settled first");
        self.stop.send_replace(true);
        let all_closed = async { while self.running.join_next().await.is_some() {} };
        if tokio::time::timeout(FOR_DOORS, all_closed).await.is_err() {
            tracing::warn!(event = "given_up", doors = self.running.len(), "some had not ended by themselves and were given up");
            self.running.abort_all();
        }
        self.store.close().await;
        Ok(())
    }
}
