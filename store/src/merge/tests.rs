use crate::scratch::{Dir, Still};
use crate::{AuditEntry, Batch, Store, check, load_embedded};
use model::{Flag, Interval, Observation, Quality, QualityTest, Scope, Timestamp, Viewer};

const NOW: i64 = 1_795_400_000;

const NETWORK: &str = r#"
[[owner]]
id = "o"
name = "o"
[[station]]
id = "s"
owner = "o"
name = "s"
where = [43.9, 11.1]
[[datastream]]
id = "d"
station = "s"
property = "water_level"
period_s = 60
"#;

fn open(dir: &Dir) -> Store {
    let store = dir.open(Still(NOW));
    store.apply(&load_embedded("n", NETWORK, &[]).expect("a network")).expect("applied");
    store
}

fn digest(dir: &Dir) -> (u64, u64, String) {
    let found = check(&dir.file(), &mut |_, _| ()).expect("checked");
    (found.observations, found.replaced, found.digest)
}

/// A minute's value as it came, or as a person changed it, so many seconds later.
fn value(store: &Store, minute: i64, result: f64, quality: Quality, later_s: i64) -> Observation {
    let time = Timestamp::from_seconds(NOW - 86_400 + minute * 60);
    let datastream = store.registry().datastream_by_key("d").expect("there").id;
    Observation { datastream, phenomenon_time: time, received_at: time.plus_seconds(later_s), result, quality }
}

fn says(store: &Store, observations: Vec<Observation>) {
    store.commit_blocking(Batch { observations, ..Batch::default() }).expect("committed");
}

/// In the name of a person.
fn changes(store: &Store, observations: Vec<Observation>) {
    let text = String::new;
    let entry = AuditEntry {
        number: 0,
        commit: 0,
        at: text(),
        who: "anna".into(),
        what: "correct".into(),
        datastream: "d".into(),
        from: text(),
        to: text(),
        change: text(),
        why: "a test".into(),
        shift_s: 0,
        count: observations.len() as u64,
        undoes: None,
    };
    store.commit_blocking(Batch { observations, audit: vec![entry], ..Batch::default() }).expect("committed");
}

/// Values that were corrected, withdrawn, and both taken back: every way in which one can follow another.
fn with_a_past(store: &Store) {
    let corrected = Quality::GOOD.with(QualityTest::Corrected, Flag::Good);
    let all = |result: f64, quality, later_s| (0..500).map(|minute| value(store, minute, result, quality, later_s)).collect::<Vec<_>>();
    let some = |every: usize, of: Vec<Observation>| of.into_iter().step_by(every).collect::<Vec<_>>();
    says(store, all(1.5, Quality::GOOD, 1));
    changes(store, some(2, all(1.5, Quality::WITHDRAWN, 1000)));
    changes(store, some(4, all(1.5, Quality::GOOD, 2000)));
    changes(store, some(3, all(0.75, corrected, 3000)));
    changes(store, some(6, all(1.5, Quality::GOOD, 4000)));
    changes(store, some(5, all(1.5, Quality::WITHDRAWN, 5000)));
}

#[test]
fn a_merge_gives_back_what_was_withdrawn_and_corrected_and_both_taken_back() {
    let (there, empty, partly) = (Dir::new("merge-there"), Dir::new("merge-empty"), Dir::new("merge-partly"));
    let store = open(&there);
    with_a_past(&store);
    let backup = there.0.join("backup.db");
    store.backup(&backup, &mut |_| ()).expect("backed up");
    let viewer = Viewer::Token { owner: "o".into(), scopes: vec![Scope::Read] };
    let at_every_moment = |store: &Store| {
        let view = |after_s: i64| {
            let view = store.seen_by(&viewer).as_of(Timestamp::from_seconds(NOW - 86_400 + 500 * 60 + after_s)).expect("a view");
            let d = view.datastream("d").expect("seen");
            view.observations(&d, Interval::ALL, usize::MAX).expect("read")
        };
        (0..6).map(|step| view(step * 1000 + 500)).collect::<Vec<_>>()
    };
    let as_it_was = at_every_moment(&store);
    store.close_blocking();
    for into in [&empty, &partly] {
        let store = open(into);
        if into.0 == partly.0 {
            // It heard the same devices for a while, and nothing of the corrections.
            says(&store, (0..300).map(|minute| value(&store, minute, 1.5, Quality::GOOD, 1)).collect());
        }
        store.merge(&backup, "test", &mut |_| ()).expect("taken in");
        assert_eq!(at_every_moment(&store), as_it_was);
        let again = store.merge(&backup, "test", &mut |_| ()).expect("taken in again");
        assert_eq!((again.accepted, again.revised, again.newer_here), (0, 0, 0), "twice is once");
        // The device says it all once more: nothing of it comes back.
        says(&store, (0..500).map(|minute| value(&store, minute, 1.5, Quality::GOOD, 1)).collect());
        store.close_blocking();
        assert_eq!(digest(into), digest(&there));
    }
}

#[test]
fn what_the_network_was_before_and_raw_payloads_come_along_once() {
    let (there, into) = (Dir::new("former-there"), Dir::new("former-into"));
    let store = open(&there);
    let now = Timestamp::from_seconds(NOW);
    let next = NETWORK.replace("period_s = 60", "period_s = 60\n[[datastream.threshold]]\nvalue = 2.5\nlabel = \"soglia\"");
    store.apply(&load_embedded("n", &next, &[]).expect("a network")).expect("applied");
    says(&store, vec![value(&store, 0, 1.5, Quality::GOOD, 1)]);
    let payload = |second: i64| crate::Payload {
        owner: "o".into(),
        device: "probe".into(),
        received_at: now.plus_seconds(second - 100),
        port: Some(2),
        heard_at: None,
        bytes: second.to_le_bytes().to_vec(),
    };
    store.commit_blocking(Batch { payloads: (0..30).map(payload).collect(), ..Batch::default() }).expect("committed");
    let backup = there.0.join("backup.db");
    store.backup(&backup, &mut |_| ()).expect("backed up");
    let held = |store: &Store| store.payloads(&"o".into(), &"probe".into(), Interval::ALL, 99).expect("read");
    let sent = held(&store);
    store.close_blocking();

    // Another number, and a network that came before the backup did.
    let store = into.open(Still(NOW));
    let first = NETWORK.replace("id = \"d\"", "id = \"c\"");
    store.apply(&load_embedded("n", &first, &[]).expect("a network")).expect("applied");
    let merged = store.merge(&backup, "test", &mut |_| ()).expect("taken in");
    assert_eq!((merged.former, merged.payloads, merged.audited), (1, 30, 0));
    assert!(sent.len() == 30 && held(&store) == sent);
    let viewer = Viewer::Token { owner: "o".into(), scopes: vec![Scope::Read] };
    let then = store.seen_by(&viewer).as_of(now.plus_seconds(-1)).expect("then");
    let d = then.datastream("d").expect("known then");
    assert!(d.thresholds.is_empty() && d.id == store.registry().datastream_by_key("d").expect("here").id);
    assert_eq!(then.observations(&d, Interval::ALL, 9).expect("read").len(), 1);
    assert_eq!(store.seen_by(&viewer).datastream("d").expect("now").thresholds.len(), 1);
    let again = store.merge(&backup, "test", &mut |_| ()).expect("again");
    assert_eq!((again.former, again.payloads), (0, 0));
    store.close_blocking();
}

mod accounts;

/// A store and a backup of another, whose networks are [`NETWORK`] with `here` and with `there`.
fn two(name: &str, here: &str, there: &str) -> (Dir, Store, std::path::PathBuf) {
    let (dir, other) = (Dir::new(&format!("{name}-here")), Dir::new(&format!("{name}-there")));
    let backup = dir.0.join("backup.db");
    let apply = |dir: &Dir, more: &str| {
        let store = dir.open(Still(NOW));
        store.apply(&load_embedded("n", &format!("{NETWORK}{more}"), &[]).expect("a network")).expect("applied");
        store
    };
    let theirs = apply(&other, there);
    theirs.backup(&backup, &mut |_| ()).expect("backed up");
    theirs.close_blocking();
    let ours = apply(&dir, here);
    (dir, ours, backup)
}

#[test]
fn a_device_of_the_backup_that_contradicts_this_network_comes_in_out_of_service() {
    let device = |id: &str| {
        format!("[[device]]\nid = \"{id}\"\nowner = \"o\"\nhttp = true\nfeeds = [{{ channel = \"level\", datastream = \"d\" }}]\n")
    };
    let (dir, store, backup) = two("contradicts", &device("ours"), &device("another"));
    let merged = store.merge(&backup, "anna", &mut |_| ()).expect("taken in");
    let said = merged.added.iter().find(|one| one.starts_with("device o/another, out of service: ")).expect("it is said");
    assert!(said.contains("o/ours feeds the same datastream"), "{said}");
    store.close_blocking();
    drop(store);
    let again = dir.open(Still(NOW));
    assert!(again.network_faults().is_empty());
    assert!(again.registry().device("o", "ours").is_some() && again.registry().device("o", "another").is_none());
    assert_eq!(again.registry().device("o", "ours").expect("there").feeds.len(), 1);
}

#[test]
fn a_backup_in_which_a_name_stands_for_something_else_is_refused_whole() {
    let datastream = |property: &str| format!("[[datastream]]\nid = \"e\"\nstation = \"s\"\nproperty = \"{property}\"\nperiod_s = 60\n");
    let (_dir, store, backup) = two("otherwise", &datastream("flow"), &datastream("water_level"));
    let said = store.merge(&backup, "anna", &mut |_| ()).expect_err("refused").to_string();
    assert!(said.contains("e measures water_level there and flow here") && said.contains("directory of its own"), "{said}");
    assert!(store.audit().expect("read").is_empty());
    let owned = |owner: &str| {
        format!("[[owner]]\nid = \"p\"\nname = \"p\"\n[[station]]\nid = \"t\"\nowner = \"{owner}\"\nname = \"t\"\nwhere = [43.9, 11.1]\n")
    };
    let (_dir, store, backup) = two("owners", &owned("o"), &owned("p"));
    let said = store.merge(&backup, "anna", &mut |_| ()).expect_err("refused").to_string();
    assert!(said.contains("the station t belongs to p there and to o here"), "{said}");
}
