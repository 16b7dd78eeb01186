//! The edge's side: live first, the backlog on a second lane, freed only when the centre says that it has it on disk.

use super::wire::Parcel;
use crate::bounds::{MOST_EDGE_ITEMS, MOST_READINGS};
use crate::meters::Meters;
use crate::source::{Stop, stopped};
use model::Timestamp;
use std::time::{Duration, Instant};
use store::{Owed, Part, SecretFile, Store, Waiting};

const SHORTEST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Bytes of one batch: from what a narrow link takes in a moment to what a wide one takes at once.
const SMALLEST: usize = 1 << 10;
const LARGEST: usize = 1 << 20;
/// A batch of the backlog should take about so long: nothing live waits longer behind it.
const AIM: Duration = Duration::from_secs(2);
/// How slow a link may be before a request is given up: bytes a second.
const SLOWEST: u64 = 200;
/// The way to the centre in `/readyz`.
pub const PART: &str = "edge-centre";

/// Where an edge sends what it has, and how.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeSettings {
    /// Names this edge at the centre.
    pub name: String,
    /// `https://host[:port]`
    pub centre: String,
    pub token: SecretFile,
    /// How long a reading waits for company on its way, milliseconds.
    pub gather_ms: u64,
    /// What may wait, bytes; for the alarm.
    pub max_bytes: u64,
}

/// Hands on what the store owes.
pub struct Forwarder {
    settings: EdgeSettings,
    store: Store,
    meters: Meters,
    agent: ureq::Agent,
    part: Part,
}

/// How sending went.
enum Sent {
    /// On the centre's disk.
    Kept,
    /// No way there, or no room there: later.
    Later(String),
    /// The centre refuses us: a person must mend that.
    Refused(String),
}

/// What is sent next, and where the link stands.
struct Lanes {
    /// From here on it is live; what lies before is backlog.
    live_from: u64,
    /// The last try failed: the newest goes first.
    is_cut: bool,
    wait: Duration,
    /// Bytes of a batch of the backlog.
    size: usize,
    said_full: bool,
    /// The first that waits, and when it came in.
    oldest: Option<(u64, Timestamp)>,
}

impl Forwarder {
    #[must_use]
    pub fn new(settings: EdgeSettings, store: Store, meters: Meters) -> Self {
        // Every byte counts on a narrow link: no header that nobody needs.
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .user_agent("")
            .accept("")
            .accept_encoding("")
            .timeout_connect(Some(Duration::from_secs(10)))
            // The centre closes what says nothing for ten seconds.
            .max_idle_age(Duration::from_secs(5))
            .max_redirects(0);
        let part = store.part(PART, "", None);
        Self { settings, store, meters, agent: config.build().into(), part }
    }

    /// Forwards until `stop`.
    pub async fn run(self, mut stop: Stop) {
        let mut news = self.store.commits();
        let mut lanes = Lanes { live_from: u64::MAX, is_cut: true, wait: SHORTEST_WAIT, size: 16 << 10, said_full: false, oldest: None };
        let this = std::sync::Arc::new(self);
        loop {
            let waiting = this.store.waiting_for_centre().unwrap_or_default();
            this.tell(&waiting, &mut lanes);
            let Some((first, last)) = waiting.ends else {
                tokio::select! {
                    () = stopped(&mut stop) => return,
                    _ = news.changed() => tokio::time::sleep(Duration::from_millis(this.settings.gather_ms)).await,
                    () = tokio::time::sleep(Duration::from_secs(1)) => {}
                }
                continue;
            };
            if lanes.is_cut {
                lanes.live_from = last;
            }
            let wanted = if last >= lanes.live_from {
                (lanes.live_from, u64::MAX, 64 << 10)
            } else {
                (first, lanes.live_from.saturating_sub(1), lanes.size)
            };
            let (forwarder, start) = (this.clone(), Instant::now());
            let sending = tokio::task::spawn_blocking(move || forwarder.send(wanted));
            let sent = tokio::select! {
                () = stopped(&mut stop) => return,
                sent = sending => sent.unwrap_or_else(|_| (Sent::Later("sending panicked".into()), Vec::new(), 0)),
            };
            let pause = this.settle(sent, start.elapsed(), wanted.0 >= lanes.live_from, &mut lanes).await;
            tokio::select! {
                () = stopped(&mut stop) => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Frees what the centre has; how long to wait before the next batch.
    async fn settle(
        &self,
        (sent, sequences, bytes): (Sent, Vec<u64>, usize),
        took: Duration,
        is_live: bool,
        lanes: &mut Lanes,
    ) -> Duration {
        match &sent {
            Sent::Kept => {}
            Sent::Later(cause) => {
                self.part.degraded(format!("the centre can't be reached: {cause}; what comes is kept here and goes on later"))
            }
            Sent::Refused(cause) => {
                self.part.degraded(format!(
                    "the centre refuses this edge: {cause}; mend [edge], or make a new token there and put it into token_file"
                ));
            }
        }
        match sent {
            Sent::Kept => {
                if lanes.is_cut {
                    tracing::info!(event = "edge_connected", centre = self.settings.centre, "the centre takes what this edge has");
                }
                (lanes.is_cut, lanes.wait) = (false, SHORTEST_WAIT);
                self.part.ok("the centre takes what this edge has");
                if !is_live && bytes > 0 {
                    let rate = bytes as u128 * 1000 / took.as_millis().max(1);
                    let aimed = usize::try_from(rate * AIM.as_millis() / 1000).unwrap_or(LARGEST);
                    lanes.size = aimed.clamp(lanes.size / 2, lanes.size * 2).clamp(SMALLEST, LARGEST);
                }
                let store = self.store.clone();
                let freed = tokio::task::spawn_blocking(move || store.free_owed(&sequences)).await;
                if let Ok(Err(cause)) = freed {
                    // It is sent again, and the centre knows it already.
                    tracing::warn!(event = "edge_free", %cause, "what the centre has could not be freed");
                }
                let has_more = self.store.waiting_for_centre().is_some_and(|waiting| waiting.ends.is_some());
                if has_more && !is_live { Duration::ZERO } else { Duration::from_millis(self.settings.gather_ms.min(50)) }
            }
            Sent::Later(cause) | Sent::Refused(cause) if lanes.is_cut && lanes.wait > SHORTEST_WAIT => {
                tracing::debug!(event = "edge_waits", cause, "the centre can't be reached yet");
                self.back_off(lanes)
            }
            Sent::Later(cause) => {
                tracing::warn!(
                    event = "edge_cut",
                    centre = self.settings.centre,
                    cause,
                    "the centre can't be reached; what comes is kept here and goes on later"
                );
                self.back_off(lanes)
            }
            Sent::Refused(cause) => {
                tracing::error!(
                    event = "edge_refused",
                    centre = self.settings.centre,
                    cause,
                    "the centre refuses this edge; mend [edge] or make a new token there"
                );
                self.back_off(lanes)
            }
        }
    }

    fn back_off(&self, lanes: &mut Lanes) -> Duration {
        lanes.is_cut = true;
        lanes.size = (lanes.size / 2).max(SMALLEST);
        let wait = lanes.wait;
        lanes.wait = (wait * 2).min(LONGEST_WAIT);
        let millis = u64::try_from(wait.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(millis / 2 + self.store.clock().now().micros().unsigned_abs() % (millis / 2 + 1))
    }

    /// One batch on its way. Blocks.
    fn send(&self, (from, to, bytes): (u64, u64, usize)) -> (Sent, Vec<u64>, usize) {
        let owed: Vec<Owed> = match self.store.owed(from, to, bytes) {
            Ok(owed) => owed,
            Err(cause) => return (Sent::Later(cause.to_string()), Vec::new(), 0),
        };
        if owed.is_empty() {
            return (Sent::Kept, Vec::new(), 0);
        }
        let owed = one_batch(owed);
        let registry = self.store.registry();
        let parcel = Parcel::of(self.store.outbox_epoch(), &owed, |id| registry.datastream(id).map(|datastream| datastream.key.clone()));
        let body = parcel.bytes();
        let length = body.len();
        let patience = Duration::from_secs(30 + length as u64 / SLOWEST);
        let request = self.agent.post(format!("{}{}{}", self.settings.centre, super::PATH, self.settings.name));
        let request = request
            .header("authorization", format!("Bearer {}", self.settings.token.current()))
            .config()
            .timeout_global(Some(patience))
            .build();
        let sent = match request.send(&body[..]) {
            Ok(mut answer) => match answer.status().as_u16() {
                204 if epoch_of(&answer) == Some(parcel.epoch) => Sent::Kept,
                200..300 => Sent::Later("the answer is not a pescaia's".into()),
                status => {
                    let text = answer.body_mut().with_config().limit(64 << 10).read_to_string().unwrap_or_default();
                    if status == 429 || status >= 500 {
                        Sent::Later(format!("{status}: {text}"))
                    } else {
                        Sent::Refused(format!("{status}: {text}"))
                    }
                }
            },
            Err(cause) => Sent::Later(cause.to_string()),
        };
        (sent, owed.iter().map(|one| one.sequence).collect(), length)
    }

    /// How long the oldest has waited, seconds; 0 when nothing does.
    fn oldest_s(&self, waiting: &Waiting, lanes: &mut Lanes) -> i64 {
        let Some((first, _)) = waiting.ends else { return 0 };
        if lanes.oldest.is_none_or(|(known, _)| known != first) {
            let owed = self.store.owed(first, first, 1).unwrap_or_default();
            let since = owed.first().and_then(|owed| owed.observations.first()).map(|one| one.received_at);
            lanes.oldest = since.map(|since| (first, since));
        }
        lanes.oldest.map_or(0, |(_, since)| self.store.clock().now().seconds() - since.seconds())
    }

    fn tell(&self, waiting: &Waiting, lanes: &mut Lanes) {
        self.meters.spool(waiting.bytes, self.settings.max_bytes, self.oldest_s(waiting, lanes));
        let is_near = waiting.bytes >= self.settings.max_bytes / 5 * 4;
        if is_near && !lanes.said_full {
            tracing::error!(
                event = "spool_nearly_full",
                bytes = waiting.bytes,
                limit = self.settings.max_bytes,
                "what waits for the centre is nearly as much as it may be; mend the link"
            );
        }
        if is_near {
            self.part.degraded(format!(
                "{} of {} bytes wait for the centre, nearly as much as may; mend the link",
                waiting.bytes, self.settings.max_bytes
            ));
        }
        lanes.said_full = is_near;
    }
}

/// The first of what is owed, as far as a centre takes it in one batch; never none of it.
fn one_batch(mut owed: Vec<Owed>) -> Vec<Owed> {
    let (mut observations, mut gaps) = (0, 0);
    let fits = owed.iter().take_while(|one| {
        observations += one.observations.len();
        gaps += one.gaps.len();
        observations <= MOST_READINGS && gaps <= MOST_EDGE_ITEMS / 10
    });
    let fits = fits.count().max(1);
    owed.truncate(fits);
    owed
}

fn epoch_of<B>(answer: &ureq::http::Response<B>) -> Option<u64> {
    answer.headers().get(super::EPOCH)?.to_str().ok()?.parse().ok()
}
