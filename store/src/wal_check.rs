//! What is said of a store whose write-ahead log is not there (`engine/wal_mark.rs` finds it): what was acknowledged last is not in it, and
//! SQLite says nothing.

/// After which commit something is missing, and what to do.
pub(crate) fn words(commit: u64) -> String {
    format!(
        "its write-ahead log, store.db-wal, was removed, or store.db was copied without it or replaced by an older one: what was acknowledged after \
         commit {commit} is not in it; bring store.db-wal back before anything is started on it, or take a backup that pescaia backup made; \
         if this is all there is, start on it: it holds what was committed until then"
    )
}

#[cfg(test)]
mod tests {
    use crate::{Batch, Error, Settings, Store, check, restore_into};
    use model::{Clock, Timestamp};
    use std::path::Path;
    use std::sync::Arc;

    struct Fixed;
    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            Timestamp::from_seconds(1_795_400_000)
        }
    }

    fn open(dir: &Path) -> Store {
        Store::open(dir, Settings::default(), Arc::new(Fixed)).expect("open")
    }

    fn observations(path: &Path) -> Result<u64, String> {
        let found = check(path, &mut |_, _| ()).map_err(|cause| cause.to_string())?;
        found.damage.first().map_or(Ok(found.observations), |damage| Err(damage.clone()))
    }

    #[test]
    fn a_copy_made_by_hand_is_named_or_restored_whole() {
        let dir = std::env::temp_dir().join(format!("pescaia-wal-check-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let place = |name: &str| {
            let place = dir.join(name);
            std::fs::create_dir_all(&place).expect("a directory");
            place
        };
        let (live, bare, whole) = (place("live"), place("bare"), place("whole"));
        let network = "[[owner]]\nid=\"o\"\nname=\"o\"\n[[station]]\nid=\"s\"\nowner=\"o\"\nname=\"s\"\nwhere=[43.9,11.1]\n\
                       [[datastream]]\nid=\"d\"\nstation=\"s\"\nproperty=\"water_level\"\nperiod_s=60\n";
        let store = open(&live);
        store.apply(&crate::load_embedded("n", network, &[]).expect("a network")).expect("applied");
        let time = |minute: i64| Timestamp::from_seconds(1_795_000_000 + minute * 60);
        let one = |minute| model::Observation {
            datastream: model::DatastreamId(0),
            phenomenon_time: time(minute),
            received_at: time(minute),
            result: 1.5,
            quality: model::Quality::GOOD,
        };
        store.commit_blocking(Batch { observations: (0..300).map(one).collect(), ..Batch::default() }).expect("committed");
        for name in ["store.db", "store.db-wal"] {
            std::fs::copy(live.join(name), whole.join(name)).expect("copied");
        }
        std::fs::copy(live.join("store.db"), bare.join("store.db")).expect("copied");
        assert_eq!(observations(&live.join("store.db")), Ok(300), "beside the running one");

        // With its log nothing is missing, and a restore takes the log's part over too.
        assert_eq!(observations(&whole.join("store.db")), Ok(300));
        restore_into(&dir.join("restored"), &whole.join("store.db"), &mut |_| ()).expect("restored");
        assert_eq!(observations(&dir.join("restored/store.db")), Ok(300));

        // A log that is left of another store is not played over what is restored.
        let left = place("left");
        std::fs::write(left.join("store.db-wal"), b"of another").expect("written");
        let refused = restore_into(&left, &whole.join("store.db"), &mut |_| ()).expect_err("refused").to_string();
        assert!(refused.contains("without its store.db") && !left.join("store.db").exists(), "{refused}");

        // Without it: named, however often one looks, and restored nowhere.
        for _ in 0..2 {
            let said = observations(&bare.join("store.db")).expect_err("named");
            assert!(said.contains("store.db-wal") && said.contains("pescaia backup"), "{said}");
        }
        let refused = restore_into(&dir.join("nowhere"), &bare.join("store.db"), &mut |_| ());
        assert!(matches!(refused, Err(Error::Damaged { .. })), "{refused:?}");
        assert!(!dir.join("nowhere/store.db").exists());
        // It is all there is: it opens, and is then a store like another.
        open(&bare).close_blocking();
        assert_eq!(observations(&bare.join("store.db")), Ok(0));

        // A backup, and the one file of a store that was closed, are whole.
        let backup = dir.join("backup.db");
        store.backup(&backup, &mut |_| ()).expect("backed up");
        assert_eq!(observations(&backup), Ok(300));
        store.close_blocking();
        drop(store);
        std::fs::copy(live.join("store.db"), place("closed").join("store.db")).expect("copied");
        assert_eq!(observations(&dir.join("closed/store.db")), Ok(300));
        let _ = std::fs::remove_dir_all(&dir);
    }

    /// What a hard end leaves: the files as they lie.
    fn left(live: &Path, to: &Path, without: &[&str]) {
        let _ = std::fs::remove_dir_all(to);
        std::fs::create_dir_all(to).expect("a directory");
        for name in ["store.db", "store.db-wal", "store.db-mark"].iter().filter(|name| !without.contains(name)) {
            std::fs::copy(live.join(name), to.join(name)).expect("copied");
        }
    }

    fn minute(store: &Store, minute: i64) {
        let time = Timestamp::from_seconds(1_795_000_000 + minute * 60);
        let one = model::Observation {
            datastream: model::DatastreamId(0),
            phenomenon_time: time,
            received_at: time,
            result: 1.5,
            quality: model::Quality::GOOD,
        };
        store.commit_blocking(Batch { observations: vec![one], ..Batch::default() }).expect("committed");
    }

    #[test]
    fn a_log_that_was_removed_after_a_hard_end_is_named_and_nothing_else_is() {
        let dir = std::env::temp_dir().join(format!("pescaia-log-removed-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let (live, at) = (dir.join("live"), dir.join("left"));
        std::fs::create_dir_all(&live).expect("a directory");
        let network = "[[owner]]\nid=\"o\"\nname=\"o\"\n[[station]]\nid=\"s\"\nowner=\"o\"\nname=\"s\"\nwhere=[43.9,11.1]\n\
                       [[datastream]]\nid=\"d\"\nstation=\"s\"\nproperty=\"water_level\"\nperiod_s=60\n";
        let said = || observations(&at.join("store.db"));
        let removed = |store: &Store| store.health().log_removed_after;
        let store = open(&live);
        store.apply(&crate::load_embedded("n", network, &[]).expect("a network")).expect("applied");
        minute(&store, 0);
        // However the log was begun: at the start, after what gives room back, and where another program moved it into the file.
        for round in 1..4_i64 {
            left(&live, &at, &[]);
            assert_eq!(said(), Ok(round.cast_unsigned()), "round {round}: with its log nothing is missing");
            let raw = rusqlite::Connection::open(at.join("store.db")).expect("raw");
            raw.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).expect("moved");
            drop(raw);
            assert_eq!(said(), Ok(round.cast_unsigned()), "round {round}: another program moved it into the file");
            let again = open(&at);
            assert_eq!((removed(&again), again.health().observations), (None, round.cast_unsigned()), "round {round}");
            again.close_blocking();
            drop(again);

            left(&live, &at, &["store.db-wal"]);
            assert!(said().is_err_and(|said| said.contains("store.db-wal") && said.contains("was removed")), "round {round}");
            let again = open(&at);
            assert!(removed(&again).is_some(), "round {round}");
            again.close_blocking();
            drop(again);
            assert!(said().is_ok(), "round {round}: it was said, and the store goes on with what it has: {:?}", said());
            let again = open(&at);
            assert_eq!(removed(&again), None, "round {round}");
            again.close_blocking();
            drop(again);
            minute(&store, round);
            if round == 1 {
                store.seal_all().expect("sealed");
                // Nothing was committed to the log since, but that it was begun.
                left(&live, &at, &[]);
                assert_eq!(said(), Ok(2), "a hard end without a commit since");
            }
        }
        // An older file under the mark of a newer one.
        left(&live, &at, &["store.db-wal"]);
        std::fs::copy(dir.join("live/store.db"), dir.join("older.db")).expect("copied");
        store.seal_all().expect("sealed");
        minute(&store, 9);
        left(&live, &at, &["store.db", "store.db-wal"]);
        std::fs::copy(dir.join("older.db"), at.join("store.db")).expect("copied");
        assert!(said().is_err_and(|said| said.contains("replaced by an older one")));
        // A start that comes to nothing, and a clean end.
        store.close_blocking();
        drop(store);
        drop(open(&live));
        assert_eq!(observations(&live.join("store.db")), Ok(5));
        let store = open(&live);
        assert_eq!(removed(&store), None);
        store.close_blocking();
        drop(store);
        for _ in 0..2 {
            let _ = std::fs::remove_file(live.join("store.db-wal"));
            assert_eq!(observations(&live.join("store.db")), Ok(5), "closed, it needs no log");
        }
        let _ = std::fs::remove_dir_all(&dir);
    }
}
