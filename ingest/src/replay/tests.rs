use super::*;
use crate::bind::Limits;
use crate::fixture::{self, HTTP_DEVICE};
use crate::meters::Meters;
use model::{Account, Clock, Interval, RejectReason, Scope, Timestamp, Viewer};
use store::{View, Wanted};

const RAIN: &str = r#"
    [[datastream]]
    id = "prova-rain"
    station = "prova"
    property = "rain_increment"
    period_s = 60
"#;

struct World {
    intake: Intake,
}

impl World {
    fn new() -> Self {
        Self { intake: Intake::new(fixture::store(&format!("{RAIN}{HTTP_DEVICE}")), Limits::default(), Meters::default()) }
    }
    fn view(&self) -> View {
        self.intake.store().seen_by(&Viewer::Token { owner: "demo".into(), scopes: vec![Scope::Read, Scope::Manage] })
    }
    fn says(&self, text: &str) {
        let frame = Frame {
            source: "http",
            format: "native",
            route: "/api/v1/observations".into(),
            owner: "demo".into(),
            device: None,
            channel: None,
            received_at: fixture::Fixed.now(),
            bytes: text.to_owned().into(),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        runtime.block_on(async { self.intake.take(frame).await.await }).expect("on disk");
    }
    /// Gives the device one more channel.
    fn mend(&self) {
        let feed = r#"{ channel = "level", datastream = "prova-level", unit = "cm" }"#;
        let more = HTTP_DEVICE.replace(feed, &format!(r#"{feed}, {{ channel = "pioggia", datastream = "prova-rain" }}"#));
        fixture::apply(self.intake.store(), &format!("{RAIN}{more}"));
    }
    /// Accepted, duplicates, and the codes of what is left, of each entry.
    fn replay(&self, mending: Mending) -> Vec<(u64, u64, Vec<&'static str>)> {
        let mut all = Vec::new();
        for entry in self.view().quarantine(&Wanted::default(), 99).expect("read") {
            let outcomes = self.intake.replay(&entry, &mending, Mode::Write).expect("replayed");
            all.push((outcomes.accepted, outcomes.duplicates, outcomes.left.iter().map(|left| left.reason.code()).collect()));
        }
        all
    }
    /// Each device's account of the day: received, accepted, duplicates, revised, quarantined.
    fn check(&self, expected: &[(&str, [u64; 5])]) {
        let now = fixture::Fixed.now();
        let lines = self.view().ledger(Interval::new(now, now.plus_seconds(1)), None).expect("read");
        let counts = |account: Account| [account.received, account.accepted, account.duplicates, account.revised, account.quarantined];
        let found: Vec<_> = lines.iter().map(|line| (line.device.as_str(), counts(line.account))).collect();
        assert_eq!(found, expected);
        assert!(lines.iter().all(|line| line.account.balances()), "{found:?}");
    }
    fn observed(&self, datastream: &str) -> Vec<(String, f64)> {
        let view = self.view();
        let found = view.observations(&view.datastream(datastream).expect("there"), Interval::ALL, 99).expect("read");
        found.iter().map(|one| (one.phenomenon_time.to_string(), one.result)).collect()
    }
}

#[test]
fn what_was_refused_is_taken_once_the_network_knows_it_and_the_ledger_balances_throughout() {
    let world = World::new();
    let message = r#"{"device": "prova", "time": "2026-11-23T06:20:00Z", "values": {"level": 142, "pioggia": 0.2}}"#;
    world.says(message);
    world.check(&[("prova", [2, 1, 0, 0, 1])]);
    world.says(message);
    world.check(&[("prova", [4, 1, 1, 0, 2])]);
    let entries = world.view().quarantine(&Wanted::default(), 9).expect("read");
    assert_eq!((entries.len(), entries[0].count, entries[0].refusals[0].reason), (1, 2, RejectReason::UnknownChannel));
    assert_eq!(world.replay(Mending::default()), [(0, 0, vec!["unknown-channel"])], "nothing is mended yet");
    world.check(&[("prova", [4, 1, 1, 0, 2])]);
    world.mend();
    let dry = world.intake.replay(&entries[0], &Mending::default(), Mode::DryRun).expect("tried");
    assert_eq!((dry.accepted, dry.left.len()), (1, 0));
    world.check(&[("prova", [4, 1, 1, 0, 2])]);
    assert_eq!(world.replay(Mending::default()), [(1, 0, vec![])]);
    world.check(&[("prova", [4, 2, 2, 0, 0])]);
    assert_eq!(world.observed("prova-rain"), [("2026-11-23T06:20:00Z".to_owned(), 0.2)]);
    assert!(world.view().quarantine(&Wanted::default(), 9).expect("read").is_empty());
}

#[test]
fn what_was_deleted_for_good_does_not_come_back_out_of_the_quarantine() {
    let world = World::new();
    world.says(r#"{"device": "prova", "time": "2026-11-23T06:20:00Z", "values": {"level": 142, "pioggia": 0.2}}"#);
    world.mend();
    let rain = world.intake.store().registry().datastream_by_key("prova-rain").expect("there").id;
    world.intake.store().delete(rain, Interval::ALL, "anna", "asked for").expect("deleted");
    let entry = world.view().quarantine(&Wanted::default(), 9).expect("read").remove(0);
    for mode in [Mode::DryRun, Mode::Write] {
        let outcomes = world.intake.replay(&entry, &Mending::default(), mode).expect("replayed");
        assert_eq!((outcomes.accepted, outcomes.deleted, outcomes.left.len()), (0, 1, 0));
    }
    assert_eq!(world.observed("prova-rain"), []);
    world.check(&[("prova", [1, 1, 0, 0, 0])]);
    assert!(world.view().quarantine(&Wanted::default(), 9).expect("read").is_empty());
}

#[test]
fn a_wrong_clock_is_mended_on_the_way_out() {
    let world = World::new();
    world.says(r#"{"device": "prova", "time": "2027-11-23T06:20:00Z", "values": {"level": 142}}"#);
    world.says(r#"{"device": "prova", "time": "2027-11-23T06:21:00Z", "values": {"level": 143}}"#);
    assert_eq!(world.replay(Mending { times: Times::Shifted(-3_600_000_000), ..Mending::default() }).len(), 2);
    assert_eq!(world.observed("prova-level"), []);
    let year = Mending { times: Times::Shifted(-365 * 86_400_000_000), ..Mending::default() };
    assert_eq!(world.replay(year), [(1, 0, vec![]), (1, 0, vec![])]);
    let at = |time: &str, value| (time.to_owned(), value);
    assert_eq!(world.observed("prova-level"), [at("2026-11-23T06:20:00Z", 1.42), at("2026-11-23T06:21:00Z", 1.43)]);
    world.says(r#"{"device": "prova", "time": "1970-01-01T00:00:07Z", "values": {"level": 144}}"#);
    assert_eq!(world.replay(Mending { times: Times::Arrival, ..Mending::default() }), [(1, 0, vec![])]);
    assert_eq!(world.observed("prova-level").last(), Some(&at("2026-11-23T06:30:00Z", 1.44)));
    world.check(&[("prova", [3, 3, 0, 0, 0])]);
}

#[test]
fn what_a_stranger_said_moves_to_its_line_once_it_is_known() {
    let world = World::new();
    world.says(r#"{"device": "nuovo", "time": "2026-11-23T06:20:00Z", "values": {"level": 1.5}}"#);
    world.says("{ no json");
    world.check(&[("?", [2, 0, 0, 0, 2]), ("prova", [0; 5])]);
    let nuovo = r#"
    [[datastream]]
    id = "nuovo-level"
    station = "prova"
    property = "water_level"
    period_s = 600
    [[device]]
    id = "il-nuovo"
    owner = "demo"
    address = "nuovo"
    feeds = [{ channel = "level", datastream = "nuovo-level" }]
    "#;
    fixture::apply(world.intake.store(), &format!("{RAIN}{HTTP_DEVICE}{nuovo}"));
    assert_eq!(world.replay(Mending::default()), [(0, 0, vec!["unreadable"]), (1, 0, vec![])]);
    world.check(&[("?", [1, 0, 0, 0, 1]), ("il-nuovo", [1, 1, 0, 0, 0]), ("prova", [0; 5])]);
    assert_eq!(world.observed("nuovo-level"), [("2026-11-23T06:20:00Z".to_owned(), 1.5)]);
}

#[test]
fn the_ledger_says_what_should_have_come_and_where_it_is_missing() {
    let world = World::new();
    for time in ["05:00:00", "05:00:10", "05:00:20", "05:10:20"] {
        let text = format!(r#"{{"device": "prova", "time": "2026-11-23T{time}Z", "values": {{"level": 100}}}}"#);
        world.says(&text);
    }
    let now = fixture::Fixed.now();
    let line = world.view().ledger(Interval::new(now, now.plus_seconds(1)), Some("prova")).expect("read").remove(0);
    assert_eq!((line.expected, line.present), (540, 4), "an hour and a half of ten seconds each since the first");
    let at = |text: &str| Timestamp::parse(text).expect("a time");
    let missing: Vec<_> = line.missing.iter().map(|missing| (missing.from, missing.to)).collect();
    assert_eq!(missing, [(at("2026-11-23T05:00:20Z"), at("2026-11-23T05:10:20Z")), (at("2026-11-23T05:10:20Z"), now)]);
    let stranger = Viewer::Token { owner: "other".into(), scopes: vec![Scope::Read] };
    assert!(world.intake.store().seen_by(&stranger).ledger(Interval::new(now, now.plus_seconds(1)), None).expect("read").is_empty());
}

#[test]
fn what_was_accepted_stays_where_it_is_when_its_message_is_replayed() {
    for times in [Times::Shifted(-86_400_000_000), Times::Arrival, Times::AsSaid] {
        let world = World::new();
        let good = |time: &str| format!(r#"{{"device": "prova", "time": "2026-11-23T{time}Z", "values": {{"level": 142}}}}"#);
        let bad = r#"{"device": "prova", "time": "yesterday", "values": {"level": 7}}"#;
        let nan = r#"{"device": "prova", "time": "2026-11-23T06:22:00Z", "values": {"level": NaN, "pioggia": 0.2}}"#;
        world.says(&format!("[{}, {bad}, {}, {nan}]", good("06:20:00"), good("06:21:00")));
        let before = world.observed("prova-level");
        world.check(&[("?", [1, 0, 0, 0, 1]), ("prova", [4, 2, 0, 0, 2])]);
        for _ in 0..3 {
            world.replay(Mending { times, ..Mending::default() });
            assert_eq!(world.observed("prova-level"), before, "{times:?}");
            world.check(&[("?", [1, 0, 0, 0, 1]), ("prova", [4, 2, 0, 0, 2])]);
        }
        // What was refused is moved, and nothing else.
        world.mend();
        world.replay(Mending { times, ..Mending::default() });
        assert_eq!(world.observed("prova-level"), before, "{times:?}");
        assert_eq!(world.observed("prova-rain").len(), 1);
        world.check(&[("?", [1, 0, 0, 0, 1]), ("prova", [4, 3, 0, 0, 1])]);
    }
}

/// Messages, and how many things each holds.
const MESSAGES: [(&str, u64); 7] = [
    (r#"{"device": "prova", "time": "2026-11-23T06:20:00Z", "values": {"level": 142, "pioggia": 0.2}}"#, 2),
    (r#"{"device": "prova", "time": "2026-11-23T06:21:00Z", "values": {"level": null, "pioggia": "x"}}"#, 2),
    (
        r#"[{"device": "prova", "time": "2026-11-23T06:22:00Z", "values": {"level": 1}}, {"device": "prova", "time": "?", "values": {"level": 2}}]"#,
        2,
    ),
    ("{ no json", 1),
    (r#"{"device": "prova", "time": "2027-11-23T06:20:00Z", "values": {"level": 142}}"#, 1),
    (r#"{"device": "prova", "time": "2026-11-23T06:23:00Z", "values": {"level": NaN, "pioggia": 1}}"#, 2),
    (r#"{"device": "nuovo", "time": "2026-11-23T06:24:00Z", "values": {"level": 9007199254740993, "a": 1}}"#, 2),
];

#[test]
fn the_ledger_counts_what_was_sent_whatever_is_replayed_and_mended() {
    for seed in 0..40_u64 {
        let world = World::new();
        let (mut random, mut sent) = (seed, 0);
        let mut next = |most: usize| {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(random >> 33).expect("31 bits") % most
        };
        for _ in 0..25 {
            match next(8) {
                0..=3 => {
                    let (text, count) = MESSAGES[next(MESSAGES.len())];
                    world.says(text);
                    sent += count;
                }
                4 => drop(world.replay(Mending::default())),
                5 => drop(world.replay(Mending { times: Times::Shifted(-365 * 86_400_000_000), ..Mending::default() })),
                6 => drop(world.replay(Mending { times: Times::Arrival, ..Mending::default() })),
                _ if next(4) == 0 => world.mend(),
                _ => fixture::apply(world.intake.store(), &format!("{RAIN}{HTTP_DEVICE}")),
            }
            let now = fixture::Fixed.now();
            let lines = world.view().ledger(Interval::new(now, now.plus_seconds(1)), None).expect("read");
            assert!(lines.iter().all(|line| line.account.balances()), "seed {seed}");
            let received: u64 = lines.iter().map(|line| line.account.received).sum();
            assert_eq!(received, sent, "seed {seed}");
        }
    }
}
