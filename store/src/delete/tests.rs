use super::{Erased, Subject, Tombstone};
use crate::scratch::{Dir, Still, refusal};
use crate::{Batch, Payload, Store, Wanted, load_embedded};
use model::{Interval, Scope, Timestamp, Viewer};

const NOW: i64 = 1_795_400_000;

fn subject(device: &str) -> Subject {
    Subject { owner: "o".into(), device: device.into() }
}

/// Three raw payloads and two refused messages of each of two meters, an hour apart.
fn with_two_meters(dir: &Dir) -> Store {
    let store = dir.open(Still(NOW));
    let network = "[[owner]]\nid = \"o\"\nname = \"o\"\n";
    store.apply(&load_embedded("n", network, &[]).expect("a network")).expect("applied");
    for device in ["meter", "other"] {
        let payload = |hour: i64| Payload {
            owner: "o".into(),
            device: device.into(),
            received_at: Timestamp::from_seconds(NOW - 86_400 + hour * 3600),
            port: None,
            heard_at: None,
            bytes: vec![1, 2, 3],
        };
        let tally = crate::Tally {
            owner: "o".into(),
            device: device.into(),
            received_at: payload(0).received_at,
            received: 0,
            observations: 0,
            repeated: 0,
            quarantined: 0,
        };
        let payloads = (0..3).map(payload).collect();
        store.commit_blocking(Batch { payloads, tallies: vec![tally], ..Batch::default() }).expect("committed");
        let reject = |hour: i64| refusal(device, Timestamp::from_seconds(NOW - 86_400 + hour * 3600), &hour.to_le_bytes());
        store.commit_blocking(Batch { rejects: (0..2).map(reject).collect(), ..Batch::default() }).expect("committed");
    }
    store
}

fn held(store: &Store, device: &str) -> (usize, usize) {
    let view = store.seen_by(&Viewer::Token { owner: "o".into(), scopes: Scope::ALL.to_vec() });
    let wanted = Wanted { device: Some(device.into()), ..Wanted::default() };
    let payloads = store.payloads(&"o".into(), &device.into(), Interval::ALL, usize::MAX).expect("read");
    (payloads.len(), view.quarantine(&wanted, 99).expect("read").len())
}

#[test]
fn what_a_meter_said_stays_erased_when_an_old_backup_is_restored_alone() {
    let (dir, other) = (Dir::new("erase"), Dir::new("erase-other"));
    let store = with_two_meters(&dir);
    let backup = dir.0.join("before.db");
    store.backup(&backup, &mut |_| ()).expect("backed up");
    assert_eq!(store.count_of(&subject("meter"), Interval::ALL).expect("counted"), Erased { payloads: 3, messages: 2 });
    let erased = store.delete_subject(&subject("meter"), Interval::ALL, "anna", "asked for").expect("deleted");
    assert_eq!((erased, held(&store, "meter"), held(&store, "other")), (Erased { payloads: 3, messages: 2 }, (0, 0), (3, 2)));
    let list = store.tombstones().expect("known");
    let text = serde_json::to_string(&list).expect("text");
    assert!(text.contains(r#""subject":{"owner":"o","device":"meter"}"#), "{text}");
    store.close_blocking();

    crate::restore_into(&other.0, &backup, &mut |_| ()).expect("restored");
    let store = other.open(Still(NOW));
    assert_eq!(held(&store, "meter"), (3, 2), "as the old backup has it");
    store.delete_again(&serde_json::from_str::<Vec<Tombstone>>(&text).expect("read")).expect("again");
    assert_eq!((held(&store, "meter"), held(&store, "other")), ((0, 0), (3, 2)));
    store.close_blocking();
}

#[test]
fn an_interval_spares_what_came_outside_it() {
    let dir = Dir::new("erase-interval");
    let store = with_two_meters(&dir);
    let hour = |hour: i64| Timestamp::from_seconds(NOW - 86_400 + hour * 3600);
    let erased = store.delete_subject(&subject("meter"), Interval::new(hour(1), hour(2)), "anna", "on the bench").expect("deleted");
    assert_eq!((erased, held(&store, "meter")), (Erased { payloads: 1, messages: 1 }, (2, 1)));
    let audit = store.audit().expect("read");
    assert!(audit.iter().any(|entry| entry.datastream == "device o/meter" && entry.count == 2), "{audit:?}");
    store.close_blocking();
}

#[test]
fn a_backup_brings_its_deletions_along() {
    let (dir, other) = (Dir::new("erase-from"), Dir::new("erase-into"));
    let store = with_two_meters(&dir);
    store.delete_subject(&subject("meter"), Interval::ALL, "anna", "asked for").expect("deleted");
    let backup = dir.0.join("after.db");
    store.backup(&backup, &mut |_| ()).expect("backed up");
    store.close_blocking();
    let into = with_two_meters(&other);
    into.merge(&backup, "test", &mut |_| ()).expect("taken in");
    assert_eq!((held(&into, "meter"), held(&into, "other")), ((0, 0), (3, 2)));
    into.close_blocking();
}
