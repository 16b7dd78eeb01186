//! The way there: what is live first, then the history that was here before, and again what was deleted.

use super::client::{Client, Wrote};
use super::{InfluxHealth, InfluxSettings, RefusedLine, line};
use crate::{Error, Part, Store, Tombstone};
use model::{GapReason, Interval, Observation, Quality, Timestamp};
use std::collections::BTreeSet;
use std::sync::PoisonError;
use std::time::Duration;
use tokio::sync::watch;

const SHORTEST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Bytes of the list that go at once: about five thousand points.
const AT_ONCE: usize = 64 << 10;
/// Points of the history that go at once.
const STEP: usize = 5000;

/// Writes to an InfluxDB what the store owes it.
pub struct InfluxForwarder {
    store: Store,
    settings: InfluxSettings,
    wait: Duration,
    health: InfluxHealth,
}

/// Not now: why, and how long to wait.
struct Later(String, Option<Duration>);

impl From<Error> for Later {
    fn from(cause: Error) -> Self {
        Self(cause.to_string(), None)
    }
}

impl InfluxForwarder {
    #[must_use]
    pub fn new(store: Store, settings: InfluxSettings) -> Self {
        Self { store, settings, wait: SHORTEST_WAIT, health: InfluxHealth::default() }
    }

    /// Runs until it is told to stop; what was not written then is owed still.
    pub async fn run(mut self, mut stop: watch::Receiver<bool>) {
        let mut client = match Client::new(&self.settings) {
            Ok(client) => client,
            Err(cause) => {
                tracing::error!(event = "influx_address", cause, "nothing goes to InfluxDB; mend url under [influx]");
                self.part().degraded(format!("nothing goes there: {cause}; mend url under [influx] and start again"));
                let _ = stop.wait_for(|stop| *stop).await;
                return;
            }
        };
        let mut commits = self.store.commits();
        loop {
            commits.mark_unchanged();
            let went = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                went = self.round(&client) => went,
            };
            let pause = match went {
                Ok(true) => Duration::ZERO,
                Ok(false) => LONGEST_WAIT,
                Err(Later(cause, asked)) => {
                    // Its token file may be mended meanwhile.
                    client = Client::new(&self.settings).unwrap_or(client);
                    self.back_off(&cause, asked)
                }
            };
            self.tell();
            let is_idle = self.health.trouble.is_none();
            tokio::select! {
                _ = stop.wait_for(|stop| *stop) => return,
                () = tokio::time::sleep(pause) => {}
                _ = commits.changed(), if is_idle => {}
            }
        }
    }

    /// Whether there may be more to do at once.
    async fn round(&mut self, client: &Client) -> Result<bool, Later> {
        self.bury(client).await?;
        let live = self.live(client).await?;
        let history = self.history(client).await?;
        self.wait = SHORTEST_WAIT;
        if self.health.trouble.take().is_some() {
            tracing::info!(event = "influx_back", url = self.settings.url, "InfluxDB takes what is written again");
        }
        Ok(live || history)
    }

    fn back_off(&mut self, cause: &str, asked: Option<Duration>) -> Duration {
        if self.health.trouble.is_none() {
            let url = &self.settings.url;
            tracing::warn!(
                event = "influx_trouble",
                url,
                cause,
                "InfluxDB does not take what is written; it waits here and goes there later"
            );
        }
        self.health.trouble = Some(cause.to_owned());
        let millis = u64::try_from(self.wait.as_millis()).unwrap_or(u64::MAX);
        self.wait = (self.wait * 2).min(LONGEST_WAIT);
        let jitter = self.store.clock().now().micros().unsigned_abs() % (millis / 2 + 1);
        asked.unwrap_or(Duration::ZERO).max(Duration::from_millis(millis / 2 + jitter))
    }

    /// What came since.
    async fn live(&mut self, client: &Client) -> Result<bool, Later> {
        let Some((first, last)) = self.store.waiting_for_centre().and_then(|waiting| waiting.ends) else {
            self.health.lag_s = 0;
            return Ok(false);
        };
        let owed = self.store.owed(first, last, AT_ONCE)?;
        let oldest = owed.iter().find_map(|one| one.observations.first()).map(|one| one.received_at);
        self.health.lag_s = oldest.map_or(0, |at| self.store.clock().now().seconds() - at.seconds());
        let all = || owed.iter().flat_map(|one| &one.observations);
        let stands = |one: &&Observation| one.quality != Quality::WITHDRAWN;
        self.write(client, all().filter(stands)).await?;
        for gone in all().filter(|one| !stands(one)) {
            self.again(client, gone.datastream, Interval::new(gone.phenomenon_time, gone.phenomenon_time.plus_micros(1))).await?;
        }
        // What went from the list for want of room is still in the store.
        for gap in owed.iter().flat_map(|one| &one.gaps).filter(|gap| gap.reason == GapReason::Dropped) {
            self.rewrite(client, gap.datastream, Interval::new(gap.from, gap.to.plus_micros(1))).await?;
        }
        self.store.free_owed(&owed.iter().map(|one| one.sequence).collect::<Vec<_>>())?;
        Ok(true)
    }

    /// A step of what was here before there was an InfluxDB.
    async fn history(&mut self, client: &Client) -> Result<bool, Later> {
        let (place, done) = (self.settings.place(), "done");
        let mark = self.store.influx_mark("history")?;
        let at = mark.as_deref().and_then(|mark| mark.strip_prefix(&format!("{place}\n"))).unwrap_or("");
        if at == done {
            return Ok(false);
        }
        // The datastream that is next, and from when on.
        let (key, from) = at
            .split_once('\n')
            .map_or(("", Timestamp::MIN), |(key, from)| (key, from.parse().map_or(Timestamp::MIN, Timestamp::from_micros)));
        let registry = self.store.registry();
        let Some((key, id)) = registry.by_key.range(key.to_owned()..).next().map(|(key, id)| (key.clone(), *id)) else {
            self.health.walking = None;
            self.store.put_influx_mark("history", format!("{place}\n{done}"))?;
            tracing::info!(event = "influx_history", url = self.settings.url, "all that was here before is in InfluxDB");
            return Ok(false);
        };
        self.health.walking = Some(key.clone());
        let points = self.store.shared().chunks.scan(id, Interval::new(from, Timestamp::MAX), STEP, None)?;
        self.write(client, points.iter()).await?;
        let next = match points.last() {
            Some(last) if points.len() == STEP => format!("{key}\n{}", last.phenomenon_time.micros() + 1),
            // The key that follows it in order.
            _ => format!("{key}\0\n{}", i64::MIN),
        };
        self.store.put_influx_mark("history", format!("{place}\n{next}"))?;
        Ok(true)
    }

    /// Deletions that are not yet done there.
    async fn bury(&mut self, client: &Client) -> Result<(), Later> {
        let all = self.store.tombstones()?;
        if all.is_empty() {
            return Ok(());
        }
        let known: BTreeSet<String> = self.store.influx_mark("deleted")?.unwrap_or_default().lines().map(str::to_owned).collect();
        let name = |one: &Tombstone| format!("{} {} {} {}", one.datastream, one.from_us, one.to_us, one.at_s);
        for tombstone in all.iter().filter(|one| one.subject.is_none() && !one.pending && !known.contains(&name(one))) {
            if let Some(datastream) = self.store.registry().datastream_by_key(&tombstone.datastream) {
                let interval = Interval::new(Timestamp::from_micros(tombstone.from_us), Timestamp::from_micros(tombstone.to_us));
                self.again(client, datastream.id, interval).await?;
            }
            let names: Vec<String> = all.iter().map(name).filter(|one| known.contains(one) || *one == name(tombstone)).collect();
            self.store.put_influx_mark("deleted", names.join("\n"))?;
        }
        Ok(())
    }

    /// Deletes an interval there, and writes what stands here.
    async fn again(&mut self, client: &Client, id: model::DatastreamId, interval: Interval) -> Result<(), Later> {
        let registry = self.store.registry();
        let Some(datastream) = registry.datastream(id) else { return Ok(()) };
        let deleted = client.delete(datastream.property.word(), datastream.key.as_str(), interval).await;
        deleted.map_err(|cause| Later(cause, None))?;
        self.rewrite(client, id, interval).await
    }

    /// Writes what stands here of an interval.
    async fn rewrite(&mut self, client: &Client, id: model::DatastreamId, interval: Interval) -> Result<(), Later> {
        let mut from = interval.from;
        loop {
            let points = self.store.shared().chunks.scan(id, Interval::new(from, interval.to), STEP, None)?;
            self.write(client, points.iter()).await?;
            match points.last() {
                Some(last) if points.len() == STEP => from = last.phenomenon_time.plus_micros(1),
                _ => return Ok(()),
            }
        }
    }

    /// Writes observations; what InfluxDB refuses is found by halves, kept aside with its words, and the rest goes on.
    async fn write(&mut self, client: &Client, observations: impl Iterator<Item = &Observation>) -> Result<(), Later> {
        let registry = self.store.registry();
        let mut text = String::new();
        observations.for_each(|one| line::put(&mut text, &registry, one));
        let lines: Vec<&str> = text.lines().collect();
        let mut waiting = vec![lines.as_slice()];
        let mut refused = Vec::new();
        while let Some(part) = waiting.pop() {
            if part.is_empty() {
                continue;
            }
            let halves = part.split_at(part.len() / 2);
            match client.write(part.join("\n")).await {
                Wrote::Kept => self.health.points_written += part.len() as u64,
                Wrote::Later(cause, asked) => return Err(Later(cause, asked)),
                Wrote::Wrong(reason) if part.len() == 1 => {
                    refused.push(RefusedLine { line: part.concat(), reason, at: self.store.clock().now().to_string() });
                }
                Wrote::TooLarge if part.len() == 1 => return Err(Later("it takes not even one line".into(), None)),
                Wrote::Wrong(_) | Wrote::TooLarge => waiting.extend([halves.1, halves.0]),
            }
        }
        if !refused.is_empty() {
            self.health.lines_refused += refused.len() as u64;
            if let Some(first) = refused.first() {
                let (count, line, reason) = (refused.len(), &first.line, &first.reason);
                tracing::warn!(
                    event = "influx_refused",
                    count,
                    line,
                    reason,
                    "InfluxDB refuses lines; they are kept aside: pescaia influx"
                );
            }
            self.store.refuse_influx(refused)?;
        }
        Ok(())
    }

    fn part(&self) -> Part {
        self.store.part(super::PART, "", None)
    }

    fn tell(&mut self) {
        self.health.waiting_bytes = self.store.waiting_for_centre().map_or(0, |waiting| waiting.bytes);
        self.store.shared().health.lock().unwrap_or_else(PoisonError::into_inner).influx = Some(self.health.clone());
        match &self.health.trouble {
            // Nothing waits for it: readings are taken and kept.
            Some(cause) => self.part().degraded(format!("{cause}; {} bytes wait and go there later", self.health.waiting_bytes)),
            None => self.part().ok(format!("{} s behind", self.health.lag_s)),
        }
    }
}
