//! F7: the machine's clock is set, by an hour or by ten years, in either direction and in the middle of everything. Commits are made in
//! time all the same, what a device dates itself is kept under its own time, order is kept, and a civil day is as long as it is.

use crate::support::{Dir, one_gauge};
use ingest::bind::Limits;
use ingest::frame::Frame;
use ingest::meters::Meters;
use ingest::pipeline::Intake;
use model::{Clock, Interval, Observation, Timestamp, Viewer};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use store::{Bucket, Settings, Store, load_embedded};

/// A clock that is somewhere else whenever it is asked: its moment, and then an hour or ten years away from it.
struct Leaping {
    moment: AtomicI64,
    asked: AtomicU64,
}

const LEAPS_S: [i64; 7] = [0, 3600, -3600, 0, 315_576_000, -315_576_000, 0];

impl Clock for Leaping {
    fn now(&self) -> Timestamp {
        let asked = self.asked.fetch_add(1, Ordering::Relaxed).wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        let leap = usize::try_from(asked).unwrap() % LEAPS_S.len();
        Timestamp::from_seconds(self.moment.load(Ordering::Relaxed) + LEAPS_S[leap])
    }
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).expect(text)
}

struct World {
    intake: Intake,
    clock: Arc<Leaping>,
}

impl World {
    fn open(dir: &Dir) -> Self {
        let clock = Arc::new(Leaping { moment: AtomicI64::new(at("2026-10-25T00:00:00Z").seconds()), asked: AtomicU64::new(0) });
        // With a linger: a writer that measured it by this clock would wait for years.
        let settings = Settings { linger: Duration::from_millis(5), ..Settings::default() };
        let store = Store::open(dir.path(), settings, clock.clone()).unwrap();
        store.apply(&load_embedded("n", &one_gauge(), &[]).unwrap()).unwrap();
        Self { intake: Intake::new(store, Limits::default(), Meters::default()), clock }
    }
    /// A message that comes at a moment of its own, with a time of the device's or a bare number; how many of its readings were stored and
    /// refused. In time.
    fn hears(&self, received_at: Timestamp, text: &str) -> (usize, usize) {
        let is_bare = !text.starts_with('{');
        let frame = Frame {
            source: "mqtt",
            format: if is_bare { "bare" } else { "native" },
            route: "pescaia/v1/demo/prova".into(),
            owner: "demo".into(),
            device: Some("prova".into()),
            channel: is_bare.then(|| "level".into()),
            received_at,
            bytes: text.to_owned().into(),
        };
        let begun = Instant::now();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        let settled =
            runtime.block_on(async { tokio::time::timeout(Duration::from_secs(20), async { self.intake.take(frame).await.await }).await });
        let settled = settled.unwrap_or_else(|_| panic!("not on disk after {:?}: {text}", begun.elapsed())).expect("on disk");
        (settled.stored.len(), settled.rejected.len())
    }
    fn all(&self) -> Vec<Observation> {
        let view = self.intake.store().seen_by(&Viewer::Public);
        view.observations(&view.datastream("prova-level").unwrap(), Interval::ALL, usize::MAX).unwrap()
    }
}

#[test]
fn a_clock_that_leaps_by_an_hour_and_by_ten_years_delays_nothing_and_mixes_nothing_up() {
    let dir = Dir::new("clock");
    let world = World::open(&dir);
    let (mut stored, mut refused) = (0, 0);
    // Through the night in which the clocks go back, through a leap day, and through the spring; the device's own clock is right.
    let nights = ["2026-10-24T20:00:00Z", "2028-02-28T20:00:00Z", "2028-02-29T20:00:00Z", "2029-03-24T20:00:00Z"];
    for night in nights.map(at) {
        for quarter in 0..60 {
            let now = night.plus_seconds(quarter * 900);
            world.clock.moment.store(now.seconds(), Ordering::Relaxed);
            let (taken, not) = world.hears(world.clock.now(), &format!(r#"{{"time":"{now}","values":{{"level":1.5}}}}"#));
            (stored, refused) = (stored + taken, refused + not);
            // One without a time gets the time at which it came, whatever that was.
            let arrival = world.clock.now().plus_micros(quarter + 1);
            assert_eq!(world.hears(arrival, "0.5"), (1, 0));
            let view = world.intake.store().seen_by(&Viewer::Public);
            let latest = view.latest().unwrap().remove(0);
            assert_eq!(latest.state.stale, latest.age_s.is_none_or(|age| age > 30), "judged by the clock as it is: {latest:?}");
            assert!(latest.age_s.is_none_or(|age| age >= -600), "what a wrong clock stamped is not shown as now: {latest:?}");
        }
    }
    // Half past two comes twice in that night.
    let twice = ["2026-10-25T02:31:00+02:00", "2026-10-25T02:31:00+01:00"];
    for time in twice {
        assert_eq!(world.hears(at(time), &format!(r#"{{"time":"{time}","values":{{"level":1.5}}}}"#)), (1, 0));
        stored += 1;
    }
    let twice = twice.map(at);
    assert_eq!(twice[1].seconds_since(twice[0]), 3600.0);
    let all = world.all();
    assert!(all.is_sorted_by(|one, next| one.phenomenon_time < next.phenomenon_time), "in order, each time once");
    let own: Vec<&Observation> = all.iter().filter(|one| one.result == 1.5).collect();
    assert_eq!((own.len(), stored + refused), (stored, 242), "each is there or refused");
    assert_eq!(all.len(), stored + 240, "and so is each that had no time");
    assert!(refused > 0, "a clock that is behind refuses what seems to come from the future");
    assert!(twice.iter().all(|time| own.iter().any(|one| one.phenomenon_time == *time)), "both are there");
    days_are_as_long_as_they_are(&world);
    world.intake.store().close_blocking();
    drop(world);
    assert_eq!(World::open(&dir).all(), all, "after a restart");
}

fn days_are_as_long_as_they_are(world: &World) {
    let view = world.intake.store().seen_by(&Viewer::Public);
    let days = view.buckets(&view.datastream("prova-level").unwrap(), Interval::ALL, Bucket::CivilDay, usize::MAX).unwrap();
    assert_eq!(days.iter().map(|day| day.count).sum::<u64>(), world.all().len() as u64, "each in one day");
    let rome = jiff::tz::TimeZone::get("Europe/Rome").unwrap();
    let mut lengths = std::collections::BTreeSet::new();
    for day in &days {
        let civil = jiff::Timestamp::from_second(day.start.seconds()).unwrap().to_zoned(rome.clone());
        let next = civil.tomorrow().unwrap().timestamp().as_second();
        assert_eq!((civil.hour(), civil.minute(), day.end.seconds()), (0, 0, next), "{civil}");
        lengths.insert((day.end.seconds() - day.start.seconds()) / 3600);
    }
    assert_eq!(lengths.into_iter().collect::<Vec<_>>(), [23, 24, 25]);
    let leap_day = days.iter().find(|day| day.start == at("2028-02-28T23:00:00Z")).expect("the 29th of February");
    assert_eq!(leap_day.end, at("2028-02-29T23:00:00Z"));
}
