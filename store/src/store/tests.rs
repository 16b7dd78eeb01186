//! Documents with a bit of them flipped: what they say is not believed, and what is beside them goes on.

use crate::engine::{Change, Document, Engine, Sqlite};
use crate::scratch::{Dir, Still};
use crate::{Batch, Cursor, Error, OutboxRoom, SessionMark, Settings, Store, Subject, WhenFull, check, load_embedded};
use model::{DatastreamId, Interval, Observation, OwnerId, Quality, Scope, Timestamp, Viewer};
use rusqlite::{Connection, params};
use std::sync::Arc;

mod bits;
mod sequences;

const NOW: Still = Still(1_795_400_000);
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
id = "a"
station = "s"
property = "water_level"
period_s = 60
[[datastream]]
id = "b"
station = "s"
property = "water_level"
period_s = 60
[[datastream.threshold]]
value = 2.5
label = "soglia"
"#;

fn one(store: &Store, key: &str, result: f64) -> Observation {
    let at = Timestamp::from_seconds(NOW.0 - 60);
    let datastream = store.registry().datastream_by_key(key).expect("there").id;
    Observation { datastream, phenomenon_time: at, received_at: at, result, quality: Quality::GOOD }
}

fn apply(store: &Store, network: &str) -> Result<usize, String> {
    let applied = store.apply(&load_embedded("n", network, &[]).expect("a network"));
    applied.map(|changes| changes.len()).map_err(|complaints| complaints[0].message.clone())
}

fn with_a_network(dir: &Dir) -> Store {
    let store = dir.open(NOW);
    assert_eq!(apply(&store, NETWORK), Ok(4));
    let observations = vec![one(&store, "a", 1.0), one(&store, "b", 2.0)];
    let mark = SessionMark { client: "logger".into(), exists: true };
    store.commit_blocking(Batch { observations, sessions: vec![mark], ..Batch::default() }).expect("committed");
    store
}

/// Changes a character of what is kept, in one copy or in both.
fn change(dir: &Dir, tables: &[&str], kind: &str, (from, to): (&str, &str)) {
    let raw = Connection::open(dir.file()).expect("raw");
    for table in tables {
        let sql = format!("UPDATE {table} SET body = replace(body, ?1, ?2) WHERE kind = ?3 AND instr(body, ?1) > 0");
        assert_eq!(raw.execute(&sql, params![from, to, kind]).expect("changed"), 1, "{table} {kind}");
    }
}

/// Nobody holds it any more when this returns.
fn close(store: Store) {
    store.close_blocking();
}

const BOTH: &[&str] = &["document", "spare"];

fn damage(dir: &Dir) -> Vec<String> {
    check(&dir.file(), &mut |_, _| ()).expect("checked").damage
}

#[test]
fn a_flipped_threshold_is_not_served_and_is_mended_from_its_second_copy() {
    let dir = Dir::new("flipped-threshold");
    with_a_network(&dir).close_blocking();
    change(&dir, &["document"], "datastream", ("2.5", "6.5"));
    assert!(damage(&dir)[0].starts_with("datastream b: one of its two copies"), "{:?}", damage(&dir));
    let store = dir.open(NOW);
    let viewer = Viewer::Token { owner: "o".into(), scopes: vec![Scope::Read] };
    assert_eq!(store.seen_by(&viewer).datastream("b").expect("served").thresholds[0].value, 2.5);
    let health = store.health();
    assert_eq!((health.damaged_rows, health.damaged_kinds), (1, vec!["datastream".to_owned()]), "named until the next start");
    close(store);
    assert_eq!(damage(&dir), [""; 0]);
    let store = dir.open(NOW);
    assert_eq!(store.health().damaged_rows, 0);
    close(store);
}

#[test]
fn an_entry_that_is_damaged_in_both_copies_is_fenced_off_with_its_number() {
    let (dir, kept) = (Dir::new("flipped-entry"), Dir::new("flipped-entry-backups"));
    let backups = ["own.db", "foreign.db"].map(|name| kept.0.join(name));
    let store = with_a_network(&dir);
    store.backup(&backups[0], &mut |_| ()).expect("backed up");
    close(store);
    // Another store that knows the same datastream under another number.
    let other = Dir::new("flipped-entry-other");
    let store = other.open(NOW);
    let first = NETWORK.split("[[datastream]]\nid = \"b\"").next().expect("the first");
    assert!(apply(&store, first).is_ok() && apply(&store, &NETWORK.replace("id = \"b\"", "id = \"aa\"")).is_ok());
    assert!(apply(&store, NETWORK).is_ok());
    store.backup(&backups[1], &mut |_| ()).expect("backed up");
    close(store);
    change(&dir, BOTH, "datastream", ("2.5", "6.5"));
    assert!(damage(&dir).iter().any(|what| what.starts_with("datastream b is not as it was written")), "{:?}", damage(&dir));
    let store = dir.open(NOW);
    assert!(store.registry().datastream_by_key("b").is_none() && store.health().damaged_kinds == ["datastream"]);
    assert_eq!(store.latest_of(&[DatastreamId(0)])[0].map(|last| last.result), Some(1.0), "the rest is served");
    // The file that it came from may be applied at every start; nothing gets its number.
    assert_eq!(apply(&store, NETWORK), Ok(0));
    let more = "[[datastream]]\nid = \"c\"\nstation = \"s\"\nproperty = \"water_level\"\nperiod_s = 60\n";
    let said = apply(&store, &format!("{NETWORK}{more}")).expect_err("refused");
    assert!(said.contains("datastream b can't be read") && said.contains("pescaia restore FILE"), "{said}");
    let refused = store.merge(&backups[1], "test", &mut |_| ());
    assert!(matches!(&refused, Err(Error::Damaged { what }) if what.contains("datastream b")), "{refused:?}");
    store.merge(&backups[0], "test", &mut |_| ()).expect("a backup of this store brings it back");
    assert_eq!(store.registry().datastream_by_key("b").map(|known| (known.id, known.thresholds[0].value)), Some((DatastreamId(1), 2.5)));
    assert_eq!(store.latest_of(&[DatastreamId(1)])[0].map(|last| last.result), Some(2.0), "what it measured is there");
    assert_eq!((apply(&store, &format!("{NETWORK}{more}")), store.health().damaged_rows), (Ok(1), 0));
    assert_eq!(store.registry().datastream_by_key("c").map(|known| known.id), Some(DatastreamId(2)));
    close(store);
}

#[test]
fn a_damaged_token_opens_no_door() {
    let dir = Dir::new("flipped-token");
    let store = with_a_network(&dir);
    let [token, other] = ["o", "p"].map(|owner| store.new_token(&OwnerId::from(owner), &[Scope::Read]).expect("a token"));
    close(store);
    // A scope that it never had.
    change(&dir, BOTH, "token", (r#""owner":"o""#, r#""owner":"q""#));
    let store = dir.open(NOW);
    assert_eq!(store.viewer_of(&token.text), None);
    assert!(store.viewer_of(&other.text).is_some() && store.health().damaged_kinds == ["token"]);
    close(store);
}

#[test]
fn what_was_deleted_does_not_come_back_while_a_deletion_cant_be_read() {
    let (dir, later) = (Dir::new("flipped-deletion"), Dir::new("flipped-deletion-backup"));
    let store = with_a_network(&dir);
    let backup = later.0.join("before.db");
    store.backup(&backup, &mut |_| ()).expect("backed up");
    store.delete(DatastreamId(1), Interval::ALL, "anna", "asked for").expect("deleted");
    let list = store.tombstones().expect("known");
    close(store);
    change(&dir, BOTH, "deleted", (r#""datastream":"b""#, r#""datastream":"c""#));
    let store = dir.open(NOW);
    assert_eq!(store.tombstones().expect("known"), []);
    let refused = store.merge(&backup, "test", &mut |_| ());
    assert!(matches!(&refused, Err(Error::Damaged { what }) if what.contains("could come back")), "{refused:?}");
    assert_eq!(store.latest_of(&[DatastreamId(1)]), [None]);
    // The list that lies beside the backups brings it back.
    store.delete_again(&list).expect("known again");
    assert_eq!(store.merge(&backup, "test", &mut |_| ()).expect("taken in").deleted, 1);
    assert_eq!((store.latest_of(&[DatastreamId(1)]), store.health().damaged_rows), (vec![None], 0));
    close(store);
}

/// Makes the bytes of a document others than those that its checksum is of.
fn spoil(dir: &Dir, kind: &str, id: &str) {
    let raw = Connection::open(dir.file()).expect("raw");
    for table in BOTH {
        raw.execute(&format!("UPDATE {table} SET body = body || '0' WHERE kind = ?1 AND id = ?2"), [kind, id]).expect("spoilt");
    }
}

#[test]
fn marks_that_cant_be_read_make_nothing_count_twice_or_for_another() {
    let dir = Dir::new("flipped-marks");
    let outbox = || Settings { outbox: Some(OutboxRoom { bytes: 1 << 20, when_full: WhenFull::Stop }), ..Settings::default() };
    let open = || Store::open(&dir.0, outbox(), Arc::new(NOW)).expect("open");
    let tally = |device: &str| crate::Tally {
        owner: "o".into(),
        device: device.into(),
        received_at: Timestamp::from_seconds(NOW.0),
        received: 1,
        observations: 1,
        repeated: 0,
        quarantined: 0,
    };
    let say = |store: &Store, device: &str, key: &str, result: f64| {
        let batch = Batch { observations: vec![one(store, key, result)], tallies: vec![tally(device)], ..Batch::default() };
        store.commit_blocking(batch).expect("committed")
    };
    with_a_network(&dir).close_blocking();
    let store = open();
    say(&store, "first", "a", 3.0);
    say(&store, "second", "b", 3.0);
    let epoch = store.outbox_epoch();
    let cursor = Cursor { owner: "o".into(), edge: "e".into(), epoch: 5, sequences: vec![(1, 2)] };
    store.commit_blocking(Batch { cursors: vec![cursor.clone()], ..Batch::default() }).expect("committed");
    assert!(store.has_received(&cursor));
    close(store);
    for (kind, id) in [("session", "logger"), ("outbox", "next"), ("ledger-name", "0"), ("edge", "o/e")] {
        spoil(&dir, kind, id);
    }
    let store = open();
    assert!(store.has_session("logger"), "whose session it was is in its id");
    assert_ne!(store.outbox_epoch(), epoch, "a sequence never means two things");
    assert!(!store.has_received(&cursor), "it comes again, and is known by its times");
    say(&store, "third", "a", 4.0);
    let engine = Sqlite::open(&dir.file()).expect("read");
    let names = engine.documents("ledger-name").expect("read");
    assert_eq!(
        names.iter().map(|name| (name.id.as_str(), name.body.as_str())).collect::<Vec<_>>(),
        [("1", "o\nsecond"), ("2", "o\nthird")]
    );
    let mut kinds = store.health().damaged_kinds;
    kinds.sort_unstable();
    assert_eq!(kinds, ["edge", "ledger-name", "session"]);
    close(store);
}

#[test]
fn what_was_adopted_and_when_the_network_changed_is_not_guessed() {
    let dir = Dir::new("flipped-former");
    let store = with_a_network(&dir);
    apply(&store, &NETWORK.replace("2.5", "3.5")).expect("applied");
    let adopted = Document { kind: "adopted".into(), id: "text".into(), body: "# nothing\n".into() };
    close(store);
    Sqlite::open(&dir.file()).expect("open").commit(&[Change::PutDocument(adopted)]).expect("put");
    spoil(&dir, "adopted", "text");
    change(&dir, BOTH, "former", ("2.5", "6.5"));
    let store = dir.open(NOW);
    assert!(matches!(store.adopted(), Err(Error::Damaged { .. })), "what comes after it would be all there is");
    let before = store.registry_at(Timestamp::from_seconds(NOW.0 - 1));
    assert!(matches!(before, Err(Error::Damaged { .. })) && store.registry_at(Timestamp::from_seconds(NOW.0)).is_ok());
    let subject = Subject { owner: "o".into(), device: "x".into() };
    assert!(store.ever_fed_by(&subject).is_ok());
    close(store);
}

#[test]
fn chunks_that_changed_places_are_named() {
    let dir = Dir::new("swapped-chunks");
    let store = with_a_network(&dir);
    store.seal_all().expect("sealed");
    close(store);
    assert_eq!(damage(&dir), [""; 0]);
    let raw = Connection::open(dir.file()).expect("raw");
    assert_eq!(raw.execute("UPDATE chunk SET part = 1 - part", []).expect("swapped"), 2);
    let damage = damage(&dir);
    assert!(
        damage.iter().filter(|one| one.contains("its key, or what stands beside it, is not as it was written")).count() == 2,
        "{damage:?}"
    );
    let store = dir.open(NOW);
    let served = ["a", "b"].map(|key| {
        let id = store.registry().datastream_by_key(key).expect("there").id;
        crate::History::scan(&store, id, Interval::ALL, 9).expect("read").len()
    });
    assert_eq!((served, store.health().observations), ([0, 0], 0), "the values of another are nobody's");
    assert!(store.health().damaged_kinds.contains(&"chunk".to_owned()));
    close(store);
}

#[test]
fn bodies_of_chunks_that_changed_places_are_fenced_off() {
    let dir = Dir::new("swapped-bodies");
    let store = with_a_network(&dir);
    store.seal_all().expect("sealed");
    close(store);
    let raw = Connection::open(dir.file()).expect("raw");
    let swap = "UPDATE chunk SET body = (SELECT other.body FROM chunk AS other WHERE other.part = 1 - chunk.part)";
    raw.execute_batch(&format!("CREATE TEMP TABLE was AS SELECT part, body FROM chunk; {}", swap.replace("FROM chunk AS", "FROM was AS")))
        .expect("swapped");
    drop(raw);
    assert_eq!(damage(&dir).len(), 2);
    let store = dir.open(NOW);
    for key in ["a", "b"] {
        let id = store.registry().datastream_by_key(key).expect("there").id;
        assert_eq!(crate::History::scan(&store, id, Interval::ALL, 9).expect("read").len(), 0, "{key}");
        assert_eq!(crate::History::count(&store, id), 0, "{key}");
    }
    assert_eq!((store.health().damaged_chunks, store.health().observations), (2, 0));
    close(store);
}
