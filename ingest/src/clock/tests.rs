use super::*;
use crate::bind::Limits;
use crate::fixture::{self, HTTP_DEVICE};
use crate::frame::Frame;
use crate::meters::Meters;
use model::{Clock, Interval, Scope, Timestamp, Uptime, Viewer};
use std::sync::{Arc, Mutex};
use store::{Store, View, Wanted};

/// A board whose clock begins where somebody sets it.
struct Board(Mutex<(Timestamp, Uptime)>);

impl Board {
    fn new() -> Arc<Self> {
        Arc::new(Self(Mutex::new((at("1970-01-01T00:00:05Z"), Uptime { boot: "first".into(), micros: 5_000_000 }))))
    }
    fn seconds_go_by(&self, seconds: i64) {
        let mut board = self.0.lock().unwrap();
        board.0 = board.0.plus_seconds(seconds);
        board.1.micros += seconds * 1_000_000;
    }
    fn set(&self, time: &str) {
        self.0.lock().unwrap().0 = at(time);
    }
    fn reboot(&self, boot: &str) {
        *self.0.lock().unwrap() = (at("1970-01-01T00:00:05Z"), Uptime { boot: boot.into(), micros: 5_000_000 });
    }
}

impl Clock for Board {
    fn now(&self) -> Timestamp {
        self.0.lock().unwrap().0
    }
    fn uptime(&self) -> Option<Uptime> {
        Some(self.0.lock().unwrap().1.clone())
    }
    fn built_at(&self) -> Timestamp {
        at("2026-11-01T00:00:00Z")
    }
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).expect(text)
}

struct World {
    intake: Intake,
    board: Arc<Board>,
}

impl World {
    fn new() -> Self {
        let board = Board::new();
        let store = Store::in_memory(board.clone()).expect("a store");
        fixture::apply(&store, HTTP_DEVICE);
        Self { intake: Intake::new(store, Limits::default(), Meters::default()), board }
    }
    fn says(&self, text: &str) {
        let is_bare = !text.starts_with('{');
        let frame = Frame {
            source: "mqtt",
            format: if is_bare { "bare" } else { "native" },
            route: "pescaia/v1/demo/prova".into(),
            owner: "demo".into(),
            device: Some("prova".into()),
            channel: is_bare.then(|| "level".into()),
            received_at: self.board.now(),
            bytes: text.to_owned().into(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async { self.intake.take(frame).await.await }).expect("on disk");
    }
    fn view(&self) -> View {
        self.intake.store().seen_by(&Viewer::Token { owner: "demo".into(), scopes: vec![Scope::Read, Scope::Manage] })
    }
    fn kept(&self) -> Vec<(String, f64)> {
        let view = self.view();
        let found = view.observations(&view.datastream("prova-level").expect("there"), Interval::ALL, 99).expect("read");
        found.iter().map(|one| (one.phenomenon_time.to_string(), one.result)).collect()
    }
    fn waits(&self) -> Vec<&'static str> {
        let entries = self.view().quarantine(&Wanted::default(), 99).expect("read");
        entries.iter().flat_map(|entry| entry.refusals.iter().map(|refused| refused.reason.code())).collect()
    }
    /// Received, accepted, quarantined of all days.
    fn ledger(&self) -> (u64, u64, u64) {
        let lines = self.view().ledger(Interval::new(at("1969-12-01T00:00:00Z"), at("2027-01-01T00:00:00Z")), None).expect("read");
        assert!(lines.iter().all(|line| line.account.balances()), "{lines:?}");
        let sum = |of: fn(&model::Account) -> u64| lines.iter().map(|line| of(&line.account)).sum();
        (sum(|account| account.received), sum(|account| account.accepted), sum(|account| account.quarantined))
    }
}

fn readings(kept: &[(&str, f64)]) -> Vec<(String, f64)> {
    kept.iter().map(|(time, value)| ((*time).to_owned(), *value)).collect()
}

#[test]
fn what_comes_before_the_clock_is_set_waits_and_goes_in_by_itself_with_the_times_at_which_it_came() {
    let world = World::new();
    world.says("220");
    world.board.seconds_go_by(10);
    world.says("220");
    world.says(r#"{"time":"2026-11-30T09:59:00Z","values":{"level":250}}"#);
    assert_eq!((world.kept(), world.waits()), (Vec::new(), vec!["untrusted-clock"; 3]), "all of it waits, the same number twice");
    assert_eq!(world.ledger(), (3, 0, 3));
    assert_eq!(world.intake.replay_untrusted().expect("read"), Caught { stored: 0, left: 3 }, "as long as it is wrong");

    world.board.seconds_go_by(20);
    world.board.set("2026-11-30T10:00:00Z");
    assert_eq!(world.intake.replay_untrusted().expect("read"), Caught { stored: 3, left: 0 });
    let expected = readings(&[("2026-11-30T09:59:00Z", 2.5), ("2026-11-30T09:59:30Z", 2.2), ("2026-11-30T09:59:40Z", 2.2)]);
    assert_eq!((world.kept(), world.waits()), (expected, Vec::new()));
    assert_eq!(world.ledger(), (3, 3, 0));
}

#[test]
fn numbers_without_a_time_of_an_earlier_boot_wait_with_its_name_and_are_given_no_time() {
    let world = World::new();
    world.says("220");
    world.says(r#"{"time":"2026-11-30T09:59:00Z","values":{"level":250}}"#);
    world.board.reboot("second");
    world.says("230");
    world.board.set("2026-11-30T10:00:00Z");
    assert_eq!(world.intake.replay_untrusted().expect("read"), Caught { stored: 2, left: 1 });
    assert_eq!(world.kept(), readings(&[("2026-11-30T09:59:00Z", 2.5), ("2026-11-30T10:00:00Z", 2.3)]));
    let entries = world.view().quarantine(&Wanted::default(), 9).expect("read");
    let detail = &entries[0].refusals[0].detail;
    assert!(detail.contains("boot first") && detail.contains("nobody knows"), "{detail}");
    for times in [crate::replay::Times::Arrival, crate::replay::Times::Shifted(1_000_000)] {
        let mending = Mending { times, format: None };
        let outcomes = world.intake.replay(&entries[0], &mending, Mode::Write).expect("read");
        assert_eq!((outcomes.accepted, outcomes.left.len()), (0, 1), "{times:?}");
    }
    assert_eq!(world.ledger(), (3, 2, 1));
}

#[test]
fn nothing_counts_as_current_while_the_clock_can_t_be_right() {
    let world = World::new();
    world.board.set("2026-11-30T10:00:00Z");
    world.says("220");
    assert!(!world.view().latest().expect("read")[0].state.stale);
    world.board.set("1970-01-01T00:00:05Z");
    let latest = world.view().latest().expect("read").remove(0);
    assert!(latest.state.stale && latest.age_s.is_none(), "{latest:?}");
    world.intake.store().trust_clock().expect("noted");
    assert!(world.intake.store().clock_trust().is_err(), "no word of a person makes a clock right that is older than the program");
}
