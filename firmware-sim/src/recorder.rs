//! A device that measures into its own memory and delivers over MQTT, at least once, in order, one message on its way at a time.

use crate::link::{Identity, Link, Told};
use crate::memory::{Memory, Reading};
use model::{Clock, Timestamp};
use std::hash::{BuildHasher, RandomState};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::time::Instant;

/// What a sensor says at an instant, by channel.
pub type Measure = Arc<dyn Fn(Timestamp) -> Vec<(&'static str, f64)> + Send + Sync>;

/// A device's memory holds a day.
const REMEMBERS_S: i64 = 86_400;
const SHORTEST_BACK_OFF: Duration = Duration::from_millis(500);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(30);

/// When a device measures: at the multiples of its period on the wall clock.
#[derive(Clone)]
pub struct Sampling {
    pub period_s: i64,
    pub measure: Measure,
}

/// A radio that goes silent as if by a timetable.
#[derive(Debug, Clone, Copy)]
pub struct LostLink {
    pub from: Timestamp,
    pub every_s: i64,
    pub lasting_s: i64,
}

impl LostLink {
    /// When it comes back, if it is lost at this instant.
    fn until(&self, now: Timestamp) -> Option<Timestamp> {
        let since = now.seconds() - self.from.seconds();
        let into = since.rem_euclid(self.every_s.max(1));
        (since >= 0 && into < self.lasting_s).then(|| now.plus_seconds(self.lasting_s - into))
    }
}

/// A message on its way.
struct InHand {
    payload: String,
    /// The time of its last reading.
    until: Timestamp,
    /// Known once it has gone out.
    id: Option<u16>,
}

pub struct Recorder {
    identity: Identity,
    memory: Memory,
    sampling: Option<Sampling>,
    /// The next time to measure.
    next: Timestamp,
    lost_link: Option<LostLink>,
    /// Readings in one message.
    batch: usize,
    /// Between two messages.
    pause: Duration,
    clock: Arc<dyn Clock>,
    in_hand: Option<InHand>,
}

impl Recorder {
    /// A device that measures by itself. What it missed since it last delivered, or since `since` when it never did, it measures
    /// at once on its first turn, at most a day of it.
    #[must_use]
    pub fn sampling(identity: Identity, memory: Memory, sampling: Sampling, since: Timestamp, clock: Arc<dyn Clock>) -> Self {
        let period = sampling.period_s.max(1);
        let earliest = clock.now().plus_seconds(-REMEMBERS_S);
        let done = memory.delivered().unwrap_or(since).max(earliest);
        let next = Timestamp::from_seconds((done.seconds().div_euclid(period) + 1) * period);
        Self { next, sampling: Some(sampling), ..Self::delivering(identity, memory, Duration::ZERO, clock) }
    }

    /// A device that only delivers what its memory holds, a message every `pause`.
    #[must_use]
    pub fn delivering(identity: Identity, memory: Memory, pause: Duration, clock: Arc<dyn Clock>) -> Self {
        let next = Timestamp::MAX;
        Self { identity, memory, sampling: None, next, lost_link: None, batch: 200, pause, clock, in_hand: None }
    }

    #[must_use]
    pub fn with_lost_link(self, lost_link: LostLink) -> Self {
        Self { lost_link: Some(lost_link), ..self }
    }

    /// Measures and delivers until `stop` is true. What is not delivered then is measured again after the next start.
    pub async fn run(mut self, door: SocketAddr, mut stop: watch::Receiver<bool>) {
        let halted = async move {
            let _ = stop.wait_for(|stop| *stop).await;
        };
        tokio::select! {
            () = self.work(door) => {}
            () = halted => {}
        }
    }

    async fn work(&mut self, door: SocketAddr) {
        let mut failures = 0;
        loop {
            self.wait_for_link().await;
            match self.deliver(door, &mut failures).await {
                Some(cause) => {
                    failures += 1;
                    let wait = back_off(failures);
                    tracing::debug!(
                        device = self.identity.device,
                        cause,
                        wait_s = wait.as_secs_f64(),
                        "a simulated device lost its connection"
                    );
                    self.measure_for(wait).await;
                }
                None => failures = 0,
            }
        }
    }

    /// One connection's life. `None` when it ended by the timetable, else why it broke.
    async fn deliver(&mut self, door: SocketAddr, failures: &mut u32) -> Option<String> {
        let unthanked = self.in_hand.as_ref().and_then(|in_hand| Some((in_hand.id?, in_hand.payload.clone())));
        let mut link = Link::open(door, &self.identity, unthanked);
        let mut connected = false;
        let mut not_before = Instant::now();
        loop {
            self.measure();
            if self.link_back().is_some() {
                return None;
            }
            let idle = self.in_hand.is_none() && connected;
            if idle && !self.memory.is_empty() && Instant::now() >= not_before {
                self.take_in_hand();
                self.send(&link);
                not_before = Instant::now() + self.pause;
            }
            let wake = tokio::time::sleep(self.until_next().min(if self.pause.is_zero() { Duration::MAX } else { self.pause }));
            let told = tokio::select! {
                told = link.told() => told,
                () = wake => continue,
            };
            match told {
                Told::Connected { session_present } => {
                    (connected, *failures) = (true, 0);
                    let sent_before = self.in_hand.as_ref().is_some_and(|in_hand| in_hand.id.is_some());
                    if self.in_hand.is_some() && !(session_present && sent_before) {
                        self.send(&link);
                    }
                }
                Told::Sent(id) => {
                    if let Some(in_hand) = &mut self.in_hand {
                        in_hand.id = Some(id);
                    }
                }
                Told::Thanked(id) => self.thanked(id),
                Told::Broken(cause) => return Some(cause),
            }
        }
    }

    fn take_in_hand(&mut self) {
        let readings = self.memory.oldest(self.batch);
        if let Some(last) = readings.last() {
            self.in_hand = Some(InHand { payload: payload(&readings), until: last.time, id: None });
        }
    }

    fn send(&mut self, link: &Link) {
        if let Some(in_hand) = &mut self.in_hand {
            in_hand.id = None;
            link.publish(self.identity.topic(), in_hand.payload.clone());
        }
    }

    fn thanked(&mut self, id: u16) {
        if let Some(in_hand) = self.in_hand.take_if(|in_hand| in_hand.id == Some(id))
            && let Err(cause) = self.memory.thanked(in_hand.until)
        {
            tracing::warn!(device = self.identity.device, cause = %cause, "a simulated device can't write its memory; it will send again after a restart");
        }
    }

    /// Everything that has come due.
    fn measure(&mut self) {
        let Some(Sampling { period_s, measure }) = &self.sampling else { return };
        let now = self.clock.now();
        while self.next <= now {
            self.memory.keep(Reading { time: self.next, values: measure(self.next) });
            self.next = self.next.plus_seconds((*period_s).max(1));
        }
    }

    /// Goes on measuring for a while without a connection.
    async fn measure_for(&mut self, length: Duration) {
        let end = Instant::now() + length;
        while Instant::now() < end {
            self.measure();
            tokio::time::sleep(self.until_next().min(end.saturating_duration_since(Instant::now()))).await;
        }
    }

    async fn wait_for_link(&mut self) {
        while let Some(back) = self.link_back() {
            self.measure();
            let wait = back.micros() - self.clock.now().micros();
            tokio::time::sleep(self.until_next().min(Duration::from_micros(wait.max(1000).unsigned_abs()))).await;
        }
    }

    fn link_back(&self) -> Option<Timestamp> {
        self.lost_link.and_then(|lost_link| lost_link.until(self.clock.now()))
    }

    /// To the next measurement, at most a second, so that a timetable is kept and a clock that was set is noticed.
    fn until_next(&self) -> Duration {
        let wait = self.next.micros().saturating_sub(self.clock.now().micros());
        Duration::from_micros(wait.clamp(1000, 1_000_000).unsigned_abs())
    }
}

/// Longer after each failure, spread by a quarter each way.
fn back_off(failures: u32) -> Duration {
    let wait = SHORTEST_BACK_OFF.saturating_mul(1 << failures.min(10).saturating_sub(1)).min(LONGEST_BACK_OFF);
    let quarters = u32::try_from(RandomState::new().hash_one(failures) % 512).unwrap_or(0);
    wait * (768 + quarters) / 1024
}

/// A JSON array of `{"time", "values"}`, oldest first.
fn payload(readings: &[Reading]) -> String {
    let readings: Vec<serde_json::Value> = readings
        .iter()
        .map(|reading| {
            let values: serde_json::Map<String, serde_json::Value> =
                reading.values.iter().map(|(channel, value)| ((*channel).to_owned(), (*value).into())).collect();
            serde_json::json!({ "time": reading.time.to_string(), "values": values })
        })
        .collect();
    serde_json::Value::Array(readings).to_string()
}

#[cfg(test)]
mod tests;
