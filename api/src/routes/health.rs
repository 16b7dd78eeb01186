//! Is it alive, is it ready, how is it, and the meters.

use crate::api::Api;
use crate::auth::Seen;
use crate::discreet::{Named, discreet};
use crate::problem::Problem;
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use model::{OwnerId, Scope, Viewer};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use serde::Serialize;
use std::collections::BTreeMap;
use std::time::Duration;
use store::{Batch, Error, Fault, Health, PartHealth, PartState, Store};
use utoipa::ToSchema;

/// How long the writer may take to answer before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(2);

/// The event loop and the store's writer answer.
#[utoipa::path(get, path = "/healthz", tag = "health", responses((status = 200, body = String), (status = 503, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn alive(State(api): State<Api>) -> Response {
    // An empty batch passes the writer without touching the disk.
    match tokio::time::timeout(PATIENCE, api.store.commit(Batch::default())).await {
        // A full disk is an answer: a restart would mend nothing, and room does.
        Ok(Ok(_) | Err(Error::Full)) => "ok\n".into_response(),
        _ => Problem::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "The writer does not answer",
            "commits hang; restart the process and look at the disk",
        )
        .at("/healthz")
        .into_response(),
    }
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Ready {
    #[schema(example = true)]
    ready: bool,
    /// Something is wrong, but readings are taken and kept.
    #[schema(example = false)]
    degraded: bool,
    parts: Vec<Part>,
    commits: u64,
    waiting: u64,
}

/// One thing that readings need on their way to the disk.
#[derive(Debug, Serialize, ToSchema)]
struct Part {
    #[schema(example = "disk")]
    part: &'static str,
    /// `ok`, `degraded` (readings are taken) or `failing` (they are not).
    #[schema(example = "ok")]
    state: &'static str,
    /// In words, with the cure when there is something to mend.
    detail: String,
    /// Which one, where there are several: a broker, a line, a dataset.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<String>,
    /// Whose it is; others are not told of it by name.
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<String>,
}

impl Part {
    fn new(part: &'static str, state: &'static str, detail: String) -> Self {
        Self { part, state, detail, name: None, owner: None }
    }
}

/// Readings can be taken: the writer answers, the disk takes a commit, there is room. A degraded part is named too, with 200.
#[utoipa::path(get, path = "/readyz", tag = "health", responses((status = 200, body = Ready), (status = 503, description = "`detail` names the failing part and the cure", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn ready(State(api): State<Api>, headers: HeaderMap) -> Response {
    let writer = tokio::time::timeout(PATIENCE, api.store.commit(Batch::default())).await;
    let store = api.store.clone();
    // What failed before may work again; only trying tells.
    if store.health().full {
        let _ = tokio::task::spawn_blocking(move || store.try_disk()).await;
    }
    let health = api.store.health();
    let token = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()?.strip_prefix("Bearer "));
    let viewer = token.and_then(|token| api.store.viewer_of(token.trim())).unwrap_or(Viewer::Public);
    let mut parts = parts(&health, matches!(writer, Ok(Ok(_) | Err(Error::Full))), &viewer);
    parts.push(network(&api.store.network_faults(), &viewer));
    if let Some(failing) = parts.iter().find(|part| part.state == "failing") {
        let detail = format!("{}: {}", failing.part, failing.detail);
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, "Not ready", detail).at("/readyz").into_response();
    }
    let degraded = parts.iter().any(|part| part.state != "ok");
    Json(Ready { ready: true, degraded, parts, commits: health.commits, waiting: health.waiting }).into_response()
}

/// Where the disk gets short: this many times the reserve.
const GETTING_SHORT: u64 = 10;

fn parts(health: &Health, writer_answers: bool, viewer: &Viewer) -> Vec<Part> {
    let part = Part::new;
    let store = match &health.poisoned {
        Some(cause) => part("store", "failing", format!("{cause}; restart to recover")),
        None => match said_of_store(health).as_slice() {
            [] => part("store", "ok", "no damage was found".into()),
            said => part("store", "degraded", said.join("; ")),
        },
    };
    let writer = match writer_answers {
        true => part("writer", "ok", format!("the last commit took {:.1} ms", health.last_commit_s * 1e3)),
        false => part("writer", "failing", "commits hang; look at the disk, then restart the process".into()),
    };
    let free = health.room.map_or_else(String::new, |room| format!("{} MB free", room.free_bytes / 1_000_000));
    let disk = match health.room {
        Some(room) if room.is_short() => {
            let reserve = room.reserve_bytes / 1_000_000;
            part("disk", "failing", format!("full: {free}, of which {reserve} MB stay in reserve; free some space, it goes on by itself"))
        }
        _ if health.full => part("disk", "failing", format!("full ({free}); free some space, it goes on by itself")),
        Some(room) if room.free_bytes < GETTING_SHORT * room.reserve_bytes => {
            part("disk", "degraded", format!("{free}: it will be full; free some space"))
        }
        _ => part("disk", "ok", free),
    };
    let clock = match (&health.distrust, health.ahead) {
        (Some(distrust), _) => {
            let detail = format!(
                "{distrust}: what comes waits in the quarantine and goes in by itself once the clock is set, by NTP or by hand; if it is right, say so with pescaia clock --trust"
            );
            part("clock", "degraded", detail)
        }
        (None, 0) => part("clock", "ok", "nothing kept lies ahead of it".into()),
        (None, ahead) => {
            let detail = format!(
                "{ahead} datastreams hold values of times ahead of now, which are nobody's last value: the clock of this machine, or of a device, \
                 is or was wrong; look at it, then move them with pescaia correct --shift or take them out with pescaia delete"
            );
            part("clock", "degraded", detail)
        }
    };
    let running = running(&health.parts, viewer);
    [writer, store, disk, clock].into_iter().chain(running).collect()
}

/// Entries that are named at once.
const NAMED: usize = 20;

/// How many entries of the network can't stand; each by its name, with the cure, to those whose it is.
fn network(faults: &[Fault], viewer: &Viewer) -> Part {
    if faults.is_empty() {
        return Part::new("network", "ok", "all of it is in service".into());
    }
    let is_own = |fault: &&Fault| matches!(viewer, Viewer::Token { owner, .. } if fault.owner.as_ref() == Some(owner));
    let named: Vec<String> =
        faults.iter().filter(is_own).take(NAMED).map(|fault| format!("{} {}: {}", fault.kind, fault.id, fault.message)).collect();
    let mut kinds: Vec<&str> = faults.iter().map(|fault| fault.kind).collect();
    kinds.sort_unstable();
    kinds.dedup();
    let mut detail = format!(
        "{} entries ({}) can't stand and are left out, all else goes on; what is sent of them waits in the quarantine; pescaia doctor names them with the cure",
        faults.len(),
        kinds.join(", ")
    );
    if !named.is_empty() {
        detail = format!("{detail}; yours: {}", named.join("; "));
    }
    Part::new("network", "degraded", detail)
}

/// What is not as it should be, each with its cure.
fn said_of_store(health: &Health) -> Vec<String> {
    let removed = health.log_removed_after.map(|commit| {
        format!(
            "when it was opened, its write-ahead log (store.db-wal) had been removed: what was acknowledged after commit {commit} is not there; \
             take it in from a backup with pescaia restore FILE, or let its senders send again; this is said until the next start"
        )
    });
    removed.into_iter().chain((health.damaged() > 0).then(|| damage(health))).collect()
}

/// The long-running parts as the viewer may see them: what belongs to an owner is named to that owner only, and counted for all others.
fn running(parts: &[PartHealth], viewer: &Viewer) -> Vec<Part> {
    let sees = |owner: &OwnerId| matches!(viewer, Viewer::Token { owner: own, .. } if own == owner);
    let mut shown = Vec::new();
    let mut hidden: BTreeMap<&'static str, (usize, usize)> = BTreeMap::new();
    for part in parts {
        let is_ok = part.state == PartState::Ok;
        if part.owner.as_ref().is_some_and(|owner| !sees(owner)) {
            let (all, degraded) = hidden.entry(part.kind).or_default();
            (*all, *degraded) = (*all + 1, *degraded + usize::from(!is_ok));
            continue;
        }
        shown.push(Part {
            name: Some(part.name.clone()).filter(|name| !name.is_empty()),
            owner: part.owner.as_ref().map(ToString::to_string),
            ..Part::new(part.kind, if is_ok { "ok" } else { "degraded" }, part.detail.clone())
        });
    }
    shown.extend(hidden.into_iter().map(|(kind, (all, degraded))| match degraded {
        0 => Part::new(kind, "ok", format!("{all} of them work")),
        _ => Part::new(kind, "degraded", format!("{degraded} of {all} are in trouble; a token of their owner shows which, and the cure")),
    }));
    shown
}

/// Of what kinds, not of whom: everybody may ask.
fn damage(health: &Health) -> String {
    let kinds = match health.damaged_kinds.as_slice() {
        [] => String::new(),
        kinds => format!(" ({})", kinds.join(", ")),
    };
    format!(
        "{} damaged records{kinds} are not served, the rest is; look with pescaia verify, mend with pescaia restore FILE; what was mended from a second copy counts until the next start",
        health.damaged()
    )
}

/// As ModI wants it: a problem document that says there is none, with figures beside.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StatusOut {
    r#type: String,
    #[schema(example = "OK")]
    title: String,
    #[schema(example = 200)]
    status: u16,
    detail: String,
    version: String,
    /// Since the start, whatever the clock was set to.
    uptime_s: u64,
    /// Of the datastreams that you may see.
    observations: u64,
    datastreams: u64,
    /// Since the start.
    commits: u64,
    disk_bytes: u64,
    last_commit_s: f64,
}

/// How the service is, with what the one who asks may see of it.
#[utoipa::path(get, path = "/status", tag = "health", responses((status = 200, body = StatusOut, content_type = "application/problem+json"), (status = 401, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn status(State(api): State<Api>, seen: Seen) -> Response {
    let health = api.store.health();
    let visible = seen.view.datastreams(None);
    let counts = visible.iter().filter_map(|datastream| seen.view.extent(datastream).ok().flatten());
    let well = health.poisoned.is_none() && !health.full && said_of_store(&health).is_empty();
    let out = StatusOut {
        r#type: "about:blank".into(),
        title: if well { "OK" } else { "Degraded" }.into(),
        status: 200,
        detail: if well { "everything works".into() } else { "see /readyz".into() },
        version: env!("CARGO_PKG_VERSION").into(),
        uptime_s: api.started.elapsed().as_secs(),
        observations: counts.map(|(count, ..)| count).sum(),
        datastreams: visible.len() as u64,
        commits: health.commits,
        disk_bytes: health.disk_bytes,
        last_commit_s: health.last_commit_s,
    };
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"))], Json(out).into_response().into_body()).into_response()
}

/// Meters in the Prometheus text format. An owner is named if it publishes something, or to a token of scope read that sees it; what is of
/// the others is counted together.
#[utoipa::path(get, path = "/metrics", tag = "health", responses((status = 200, body = String, content_type = "application/openmetrics-text"), (status = 401, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn metrics(State(api): State<Api>, seen: Seen) -> Response {
    let mut text = String::new();
    let encoded = prometheus_client::encoding::text::encode(&mut text, &api.metrics);
    let own = match seen.view.viewer() {
        viewer @ Viewer::Token { owner, .. } if viewer.may(Scope::Read) => Some(owner.to_string()),
        _ => None,
    };
    let owners = seen.view.datastreams(None).iter().map(|datastream| datastream.owner.to_string()).collect();
    let text = discreet(&text, &Named { owners, own });
    match encoded {
        Ok(()) => ([(header::CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// The store's health as meters, asked when somebody scrapes.
#[derive(Debug)]
pub(crate) struct StoreMeters(pub(crate) StoreRef);

/// A store that prints as nothing.
#[derive(Clone)]
pub(crate) struct StoreRef(pub(crate) Store);

impl std::fmt::Debug for StoreRef {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Store")
    }
}

impl Collector for StoreMeters {
    #[expect(clippy::cast_precision_loss, reason = "meters are floats")]
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let health = self.0.0.health();
        let meters = [
            ("pescaia_series", "Datastreams in service", health.datastreams as f64),
            ("pescaia_store_observations", "Observations kept", health.observations as f64),
            ("pescaia_store_commits", "Commits since the start", health.commits as f64),
            ("pescaia_store_disk_bytes", "Database and write-ahead log, bytes", health.disk_bytes as f64),
            ("pescaia_store_waiting", "Batches that wait for the writer", health.waiting as f64),
            ("pescaia_store_corrupt_segments", "Damaged records found", health.damaged() as f64),
            ("pescaia_journal_commit_seconds", "The last commit with its sync, seconds", health.last_commit_s),
            ("pescaia_ready", "1 when readings can be taken", f64::from(u8::from(health.poisoned.is_none() && !health.full))),
        ];
        let room = health.room.map(|room| ("pescaia_disk_free_bytes", "Free on the disk of the store, bytes", room.free_bytes as f64));
        let sync =
            health.sync_s.map(|sync_s| ("pescaia_disk_sync_seconds", "A small synced write, measured at the start, seconds", sync_s));
        let influx = health.influx.iter().flat_map(|influx| {
            [
                ("pescaia_forward_lag_seconds", "How long the oldest that waits for InfluxDB has waited", influx.lag_s as f64),
                ("pescaia_influx_waiting_bytes", "What waits for InfluxDB", influx.waiting_bytes as f64),
                ("pescaia_influx_points", "Points that InfluxDB took since the start", influx.points_written as f64),
                ("pescaia_influx_refused_lines", "Lines that InfluxDB refused since the start", influx.lines_refused as f64),
            ]
        });
        for (name, help, value) in meters.into_iter().chain(room).chain(sync).chain(influx) {
            let gauge = ConstGauge::new(value);
            let metric = encoder.encode_descriptor(name, help, None, gauge.metric_type())?;
            gauge.encode(metric)?;
        }
        // Without it the meters above are still worth reading.
        let ledger = self.0.0.ledger_of_today().unwrap_or_default();
        let help = "Readings of this civil day in the ledger, by owner; received is the sum of the others";
        let mut family = encoder.encode_descriptor("pescaia_ledger_readings", help, None, MetricType::Gauge)?;
        for (owner, account) in &ledger {
            let counts = [
                ("received", account.received),
                ("accepted", account.accepted),
                ("duplicate", account.duplicates),
                ("revised", account.revised),
                ("quarantined", account.quarantined),
            ];
            for (what, count) in counts {
                let labels = [("owner", owner.as_str()), ("what", what)];
                ConstGauge::new(count as f64).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
