use super::file::{Reader, compare};
use super::rows::Kind;
use super::*;
use model::{Clock, Flag, GapReason, Interval, Observation, Quality, QualityTest, Viewer};
use std::path::Path;
use store::{AuditEntry, Batch};

/// A clock that is set by hand.
struct Set(Mutex<Timestamp>);

impl Clock for Set {
    fn now(&self) -> Timestamp {
        *self.0.lock().expect("a clock")
    }
}

const NETWORK: &str = r#"
[[owner]]
id = "o"
name = "O"
[[station]]
id = "s"
owner = "o"
name = "S"
where = [43.9, 11.1]
[[datastream]]
id = "b-level"
station = "s"
property = "water_level"
period_s = 3600
[[datastream]]
id = "a-level"
station = "s"
property = "water_level"
period_s = 3600
"#;

struct World {
    dir: PathBuf,
    store: Store,
    clock: Arc<Set>,
    archive: Archive,
}

impl Drop for World {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

fn at(text: &str) -> Timestamp {
    Timestamp::parse(text).expect(text)
}

fn month(name: &str) -> UtcMonth {
    UtcMonth::parse(name).expect(name)
}

impl World {
    /// Two datastreams with a value an hour from September to November, and today is in December.
    fn new(name: &str) -> Self {
        let world = Self::empty(name, NETWORK);
        world.says("a-level", "2026-09-10T00:00:00Z", 2000, 0, 1.0);
        world.says("b-level", "2026-09-10T00:00:00Z", 2000, 0, 2.0);
        world
    }
    fn empty(name: &str, network: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("pescaia-archive-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let clock = Arc::new(Set(Mutex::new(at("2026-12-10T12:00:00Z"))));
        let store = Store::open(&dir, store::Settings::default(), clock.clone()).expect("a store");
        let archive = Archive::of(&store).expect("a directory").expect("on disk");
        let world = Self { dir, store, clock, archive };
        world.apply(network);
        world
    }
    fn apply(&self, network: &str) {
        self.store.apply(&store::load_embedded("n.toml", network, &[]).expect("a network")).expect("applied");
    }
    fn now(&self, now: &str) {
        *self.clock.0.lock().expect("a clock") = at(now);
    }
    fn id(&self, key: &str) -> DatastreamId {
        self.store.registry().datastream_by_key(key).expect(key).id
    }
    /// `late_s` 0: each value came with its time.
    #[expect(clippy::cast_precision_loss, reason = "small")]
    fn says(&self, key: &str, from: &str, hours: i64, late_s: i64, value: f64) {
        let id = self.id(key);
        let observation = |hour: i64| {
            let phenomenon_time = at(from).plus_seconds(hour * 3600);
            let received_at = if late_s > 0 { self.clock.now() } else { phenomenon_time.plus_seconds(7) };
            let quality = Quality::GOOD.with(QualityTest::GrossRange, Flag::Suspect);
            let quality = if hour % 5 == 0 { quality } else { Quality::GOOD };
            Observation { datastream: id, phenomenon_time, received_at, result: value + hour as f64 / 1000.0, quality }
        };
        let observations = (0..hours).map(observation).collect();
        self.store.commit_blocking(Batch { observations, ..Batch::default() }).expect("committed");
    }
    fn keep(&self) -> Kept {
        self.archive.keep(&|_| ()).expect("kept")
    }
    fn served(&self, key: &str, interval: Interval) -> Vec<Observation> {
        let mut found = Vec::new();
        self.store.each_kept(self.id(key), interval, |one| found.push(one)).expect("read");
        found
    }
    fn file(&self, name: &str) -> PathBuf {
        self.archive.place(month(name)).join("observations.parquet")
    }
    /// What a month's file says of a datastream: time, bits, arrival, quality.
    fn in_file(&self, path: &Path, key: &str) -> Vec<(Timestamp, u64, Timestamp, Quality)> {
        let mut reader = Reader::open(path, Kind::Observations).expect("opened");
        let mut found = Vec::new();
        loop {
            let rows = reader.next().expect("read");
            if rows.is_empty() {
                return found;
            }
            let of_it = rows.iter().filter(|row| &*row.about.datastream == key).map(|row| row.observation);
            found.extend(of_it.map(|one| (one.phenomenon_time, one.result.to_bits(), one.received_at, one.quality)));
        }
    }
    fn gaps(&self, key: &str) -> Vec<(String, String, u64)> {
        let view = self.store.seen_by(&Viewer::Token { owner: "o".into(), scopes: vec![model::Scope::Read] });
        let datastream = view.datastream(key).expect(key);
        let gaps = view.gaps(&datastream, Interval::ALL).expect("gaps").into_iter().filter(|gap| gap.reason == GapReason::Archived);
        gaps.map(|gap| (gap.from.to_string(), gap.to.to_string(), gap.count)).collect()
    }
}

fn of(observations: &[Observation]) -> Vec<(Timestamp, u64, Timestamp, Quality)> {
    observations.iter().map(|one| (one.phenomenon_time, one.result.to_bits(), one.received_at, one.quality)).collect()
}

fn names_of(kept: &Kept) -> Vec<&str> {
    kept.written.iter().map(|file| file.month.as_str()).collect()
}

#[test]
fn closed_months_are_written_once_and_again_when_something_comes_late() {
    let world = World::new("late");
    world.now("2026-12-01T20:00:00Z");
    assert_eq!(names_of(&world.keep()), ["2026-09", "2026-10"], "November's last civil day may still go on");
    world.now("2026-12-10T12:00:00Z");
    assert_eq!(names_of(&world.keep()), ["2026-11"]);
    assert_eq!(world.keep(), Kept::default(), "nothing to do");
    for name in ["2026-09", "2026-10", "2026-11"] {
        for key in ["a-level", "b-level"] {
            assert_eq!(world.in_file(&world.file(name), key), of(&world.served(key, month(name).interval())), "{name} {key}");
        }
    }
    // Another value for a time, in October, and one more.
    world.says("b-level", "2026-10-20T10:00:00Z", 1, 1, 9.0);
    world.says("b-level", "2026-10-20T10:30:00Z", 1, 1, 9.5);
    // The datasets strike off the mark first.
    world.store.forget_late(*world.store.late_changes().borrow()).expect("struck off");
    let kept = world.keep();
    assert_eq!(names_of(&kept), ["2026-10"]);
    assert_eq!((kept.written[0].observations, kept.written[0].replaced), (2 * 744 + 1, 1));
    assert_eq!(world.in_file(&world.file("2026-10"), "b-level"), of(&world.served("b-level", month("2026-10").interval())));
    assert_eq!(world.keep(), Kept::default());
}

#[test]
fn what_an_owner_does_not_keep_lies_only_in_the_file_and_comes_back_equal() {
    let world = World::new("trim");
    let all = [world.served("a-level", Interval::ALL), world.served("b-level", Interval::ALL)];
    assert!(world.keep().trimmed.is_empty(), "nobody said so");
    world.apply(&NETWORK.replace("name = \"O\"", "name = \"O\"\nkeep_months = 1"));
    let kept = world.keep();
    assert_eq!(kept.trimmed, BTreeMap::from([(month("2026-09"), 2 * 504), (month("2026-10"), 2 * 744)]));
    assert!(kept.written.is_empty() && kept.failed.is_empty(), "making room is no change: {kept:?}");
    assert_eq!(world.served("a-level", Interval::ALL).len(), 2000 - 504 - 744);
    assert_eq!(world.gaps("a-level"), [("2026-09-01T00:00:00Z".into(), "2026-10-31T23:59:59.999999Z".into(), 504 + 744)]);
    assert_eq!(world.keep(), Kept::default());

    // Late for a month that lies only in its file: both are in the file then, and the store has nothing of it.
    world.says("a-level", "2026-10-05T10:30:00Z", 1, 1, 7.0);
    world.now("2026-12-10T12:10:00Z");
    let kept = world.keep();
    assert_eq!((names_of(&kept), kept.written[0].observations), (vec!["2026-10"], 2 * 744 + 1));
    assert_eq!(kept.trimmed, BTreeMap::from([(month("2026-10"), 1)]));
    assert_eq!(world.in_file(&world.file("2026-10"), "a-level").len(), 745);

    // Deleted for good, from the file too.
    let hour = Interval::new(at("2026-10-05T10:30:00Z"), at("2026-10-05T11:00:00Z"));
    world.now("2026-12-10T12:20:00Z");
    world.store.delete(world.id("a-level"), hour, "io", "prova").expect("deleted");
    world.now("2026-12-10T12:30:00Z");
    assert_eq!(names_of(&world.keep()), ["2026-10"]);
    assert_eq!(world.in_file(&world.file("2026-10"), "a-level").len(), 744);

    // Back, as it was.
    for name in ["2026-09", "2026-10"] {
        let back = world.archive.bring_back(&world.file(name), 30, &mut |_, _| ()).expect("back");
        assert_eq!((back.rows, back.rows, back.datastreams), (back.accepted, back.rows, 2), "{back:?}");
    }
    assert_eq!([world.served("a-level", Interval::ALL), world.served("b-level", Interval::ALL)], all);
    assert!(world.gaps("a-level").is_empty());
    assert!(world.keep().trimmed.is_empty(), "it stays for thirty days");
    let again = world.archive.bring_back(&world.file("2026-09"), 30, &mut |_, _| ()).expect("back");
    assert_eq!((again.accepted, again.there_already), (0, again.rows), "twice is once");
    world.now("2027-01-11T12:30:00Z");
    assert_eq!(world.keep().trimmed.values().sum::<u64>(), 2 * (504 + 744 + 720), "and then it goes, with what is old by now");
}

#[test]
fn a_file_that_holds_what_is_nowhere_else_is_never_overwritten() {
    let world = World::new("fence");
    world.apply(&NETWORK.replace("name = \"O\"", "name = \"O\"\nkeep_months = 1"));
    world.keep();
    let (file, whole) = (world.file("2026-10"), std::fs::read(world.file("2026-10")).expect("bytes"));
    world.says("a-level", "2026-10-05T10:30:00Z", 1, 1, 7.0);
    world.now("2026-12-10T13:00:00Z");
    let mut flipped = whole.clone();
    flipped[whole.len() / 3] ^= 4;
    for (what, bytes) in [("a flipped bit", flipped), ("cut short", whole[..whole.len() / 2].to_vec())] {
        std::fs::write(&file, &bytes).expect("written");
        let kept = world.keep();
        assert!(kept.failed[&month("2026-10")].contains("put back the file of a backup"), "{what}: {kept:?}");
        assert_eq!(std::fs::read(&file).expect("bytes"), bytes, "{what}: it stays to be looked at");
        assert_eq!(world.archive.check().expect("checked").len(), 1, "{what}");
    }
    std::fs::remove_file(&file).expect("gone");
    assert!(world.keep().failed[&month("2026-10")].contains("can't be read"));
    std::fs::write(&file, &whole).expect("back");
    assert_eq!(names_of(&world.keep()), ["2026-10"], "and it goes on");
}

#[test]
fn a_foreign_or_damaged_file_is_refused_with_the_cure() {
    let world = World::new("foreign");
    world.keep();
    let whole = std::fs::read(world.file("2026-10")).expect("bytes");
    let path = world.dir.join("other.parquet");
    let check = |bytes: &[u8], words: &str| {
        std::fs::write(&path, bytes).expect("written");
        let said = world.archive.bring_back(&path, 1, &mut |_, _| ()).expect_err(words).to_string();
        assert!(said.contains(words) && said.contains("other.parquet"), "{said}");
    };
    check(b"", "it is no whole Parquet file");
    check(b"time;level\n2026;1\n", "it is no whole Parquet file");
    check(&whole[..whole.len() - 100], "it is no whole Parquet file");
    let mut foreign = Vec::new();
    let mut frame = polars::df!("time" => [1_i64], "value" => [1.0]).expect("a frame");
    polars_io::parquet::write::ParquetWriter::new(&mut foreign).finish(&mut frame).expect("written");
    check(&foreign, "it has no column \"datastream\"");
    let other = World::empty("foreign-other", &NETWORK.replace("a-level", "alfa-level"));
    let said = other.archive.bring_back(&world.file("2026-10"), 1, &mut |_, _| ()).expect_err("unknown").to_string();
    assert!(said.contains("\"a-level\", which nobody knows here (\"b-level\" is known)"), "{said}");
    let other = World::empty("foreign-property", &NETWORK.replace("water_level", "flow"));
    let said = other.archive.bring_back(&world.file("2026-10"), 1, &mut |_, _| ()).expect_err("another").to_string();
    assert!(said.contains("was water_level in it and is flow here"), "{said}");
}

#[test]
fn everything_goes_out_and_comes_back_to_the_same_checksums() {
    let world = World::new("everything");
    world.says("b-level", "2026-10-20T10:00:00Z", 3, 1, 9.0);
    world.says("b-level", "2026-12-09T10:00:00Z", 3, 1, 1.0);
    world.now("2026-12-10T12:05:00Z");
    world.says("b-level", "2026-10-20T10:00:00Z", 1, 1, 9.5);
    world.apply(&NETWORK.replace("name = \"O\"", "name = \"O\"\nkeep_months = 1"));
    world.keep();
    let to = world.dir.join("all");
    let everything = world.archive.export_all(&to, &|_| ()).expect("exported");
    let months: Vec<_> = everything.months.iter().map(|file| (file.month.as_str(), file.observations, file.replaced)).collect();
    assert_eq!(
        months,
        [("2026-09", 1008, 0), ("2026-10", 1488, 4), ("2026-11", 1440, 0), ("2026-12", 67, 0)],
        "also what lies only in files"
    );
    assert!(world.archive.export_all(&to, &|_| ()).expect_err("twice").to_string().contains("it is not empty"));

    let other = World::empty("everything-other", "");
    let imported = other.archive.import_all(&to, 30, &|_| ()).expect("imported");
    assert_eq!((imported.equal, imported.different.as_slice()), (4, &[][..]), "{imported:?}");
    assert_eq!((imported.total.accepted, imported.added.len()), (1008 + 1488 + 1440 + 67, 4));
    let again = other.archive.import_all(&to, 30, &|_| ()).expect("again");
    assert_eq!((again.equal, again.total.accepted, again.total.revised), (4, 0, 0), "{again:?}");
    let view = other.store.seen_by(&Viewer::Token { owner: "o".into(), scopes: vec![model::Scope::Read] });
    let then = view.as_of(at("2026-12-10T12:01:00Z")).expect("then");
    let level = then.datastream("b-level").expect("known");
    let ten = Interval::new(at("2026-10-20T10:00:00Z"), at("2026-10-20T10:00:01Z"));
    assert_eq!(then.observations(&level, ten, 9).expect("read")[0].result.to_bits(), 9.0_f64.to_bits(), "as it was served then");

    let file = to.join("month=2026-11/observations.parquet");
    let mut bytes = std::fs::read(&file).expect("bytes");
    bytes[500] ^= 1;
    std::fs::write(&file, bytes).expect("written");
    let third = World::empty("everything-third", "");
    let said = third.archive.import_all(&to, 30, &|_| ()).expect_err("damaged").to_string();
    assert!(said.contains("month=2026-11") && said.contains("nothing was taken in"), "{said}");
    assert!(third.store.registry().datastreams().next().is_none());
}

/// In the name of a person: of every so manieth value of a month another, or none any more.
fn changes(world: &World, every: usize, quality: Quality, change: impl Fn(f64) -> f64, originals: &[Observation]) {
    let received_at = world.clock.now();
    let changed = |one: &Observation| Observation { received_at, quality, result: change(one.result), ..*one };
    let observations: Vec<_> = originals.iter().step_by(every).map(changed).collect();
    let text = String::new;
    let entry = AuditEntry {
        number: 0,
        commit: 0,
        at: text(),
        who: "anna".into(),
        what: "correct".into(),
        datastream: "a-level".into(),
        from: text(),
        to: text(),
        change: text(),
        why: "prova".into(),
        shift_s: 0,
        count: observations.len() as u64,
        undoes: None,
    };
    world.store.commit_blocking(Batch { observations, audit: vec![entry], ..Batch::default() }).expect("committed");
}

#[test]
fn what_was_withdrawn_corrected_and_taken_back_goes_out_and_comes_back_with_all_its_versions() {
    let world = World::new("versions");
    let october = world.served("a-level", month("2026-10").interval());
    let corrected = Quality::GOOD.with(QualityTest::Corrected, Flag::Good);
    let same = |value: f64| value;
    type Change = fn(f64) -> f64;
    let steps: [(usize, Quality, Change); 5] = [
        (2, Quality::WITHDRAWN, same),
        (4, Quality::GOOD, same),
        (3, corrected, |value| value / 2.0),
        (6, Quality::GOOD, same),
        (5, Quality::WITHDRAWN, same),
    ];
    for (step, (every, quality, change)) in steps.into_iter().enumerate() {
        world.now(&format!("2026-12-10T13:0{step}:00Z"));
        changes(&world, every, quality, change, &october);
    }
    world.now("2026-12-10T14:00:00Z");
    let served = world.served("a-level", Interval::ALL);
    let to = world.dir.join("all");
    world.archive.export_all(&to, &|_| ()).expect("exported");
    let other = World::empty("versions-other", "");
    other.now("2026-12-10T14:00:00Z");
    let imported = other.archive.import_all(&to, 30, &|_| ()).expect("imported");
    assert_eq!((imported.equal, imported.different.as_slice()), (4, &[][..]), "{imported:?}");
    assert_eq!(other.served("a-level", Interval::ALL), served);

    // A month that lies only in its file comes back the same, and what was withdrawn is not believed when it is sent again.
    world.apply(&NETWORK.replace("name = \"O\"", "name = \"O\"\nkeep_months = 1"));
    world.keep();
    assert!(world.served("a-level", month("2026-10").interval()).is_empty());
    world.archive.bring_back(&world.file("2026-10"), 30, &mut |_, _| ()).expect("back");
    let served: Vec<_> = served.into_iter().filter(|one| month("2026-10").interval().contains(one.phenomenon_time)).collect();
    assert_eq!(world.served("a-level", month("2026-10").interval()), served);
    let again = october.iter().map(|one| Observation { received_at: world.clock.now(), ..*one }).collect();
    world.store.commit_blocking(Batch { observations: again, ..Batch::default() }).expect("committed");
    assert_eq!(world.served("a-level", month("2026-10").interval()), served);
}

#[test]
fn a_flipped_bit_never_makes_another_number() {
    let world = World::new("flipped");
    world.keep();
    let whole = std::fs::read(world.file("2026-10")).expect("bytes");
    // Arrivals are kept to the second.
    let rows = |path: &Path| -> Vec<_> {
        let rows = world.in_file(path, "a-level").into_iter();
        rows.map(|(time, bits, received, quality)| (time, bits, received.seconds(), quality)).collect()
    };
    let written = rows(&world.file("2026-10"));
    let path = world.dir.join("flipped.parquet");
    let mut refused = 0;
    for place in (0..whole.len()).step_by(19) {
        let mut bytes = whole.clone();
        bytes[place] ^= 1 << (place % 8);
        std::fs::write(&path, &bytes).expect("written");
        match compare(&path, Kind::Observations) {
            Err(_) => refused += 1,
            // What is flipped is not the rows.
            Ok(()) => assert!(rows(&path) == written, "byte {place}"),
        }
    }
    assert!(refused > whole.len() / 19 / 2, "{refused}");
    let mut bytes = whole.clone();
    bytes[whole.len() / 2] ^= 4;
    std::fs::write(&path, &bytes).expect("written");
    world.apply(&NETWORK.replace("name = \"O\"", "name = \"O\"\nkeep_months = 1"));
    world.keep();
    let said = world.archive.bring_back(&path, 30, &mut |_, _| ()).expect_err("damaged").to_string();
    assert!(said.contains("flipped.parquet") && said.contains("from a backup"), "{said}");
    assert!(world.served("a-level", month("2026-10").interval()).is_empty(), "nothing of it was taken in");
}

#[test]
fn a_clock_that_went_ahead_and_came_back_costs_no_observation() {
    let world = World::empty("clock", &NETWORK.replace("name = \"O\"", "name = \"O\"\nkeep_months = 1"));
    let says = |from: &str, hours: i64| {
        let id = world.id("a-level");
        let observation = |hour: i64| {
            let time = at(from).plus_seconds(hour * 3600);
            Observation { datastream: id, phenomenon_time: time, received_at: time.plus_seconds(7), result: 1.5, quality: Quality::GOOD }
        };
        world.store.commit_blocking(Batch { observations: (0..hours).map(observation).collect(), ..Batch::default() }).expect("committed");
    };
    world.now("2026-11-20T12:00:00Z");
    says("2026-11-10T00:00:00Z", 240);
    world.now("2026-12-05T12:00:00Z");
    assert_eq!(world.keep().written[0].observations, 240, "November passes for over");
    // The clock is set right, and the month goes on.
    for hour in 0..240 {
        let time = at("2026-11-20T12:00:00Z").plus_seconds(hour * 3600);
        *world.clock.0.lock().expect("a clock") = time.plus_seconds(8);
        says(&time.to_string(), 1);
    }
    world.store.forget_late(*world.store.late_changes().borrow()).expect("struck off");
    world.now("2027-03-01T12:00:00Z");
    let kept = world.keep();
    assert_eq!((kept.written[0].month.as_str(), kept.written[0].observations), ("2026-11", 480));
    assert_eq!(kept.trimmed, BTreeMap::from([(month("2026-11"), 480)]));
    assert_eq!(world.in_file(&world.file("2026-11"), "a-level").len(), 480);
}
