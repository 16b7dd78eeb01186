//! A store that was copied by hand while a pescaia ran on it, without its write-ahead log: what was acknowledged last is not in it, and
//! SQLite says nothing. While a store is open a mark lies in its file; closing takes it away.

use crate::Error;
use crate::engine::{Change, Document, Engine};
use std::fs::{File, TryLockError};
use std::io::Read;
use std::path::{Path, PathBuf};

const KIND: &str = "open";

/// Whose last commits may be missing, and what to do.
pub(crate) const WORDS: &str = "it was copied by hand from a running pescaia without its store.db-wal: what was acknowledged last is not in it; \
     take a backup that pescaia backup made, or copy store.db-wal along; if it is all there is, put it into an empty directory as store.db and start on that";

/// Marks the store as open, in its file and not only in the log beside it.
///
/// # Errors
/// As [`Engine::commit`]; a full disk is none: then there is no mark.
pub(crate) fn mark(engine: &dyn Engine) -> Result<(), Error> {
    let mark = || Change::PutDocument(Document { kind: KIND.into(), id: KIND.into(), body: String::new() });
    // The log of an open store is never empty, so that one that is tells something: hence twice.
    let marked = engine.commit(&[mark()]).and_then(|()| engine.settle()).and_then(|()| engine.commit(&[mark()]));
    match marked {
        Err(Error::Full) => Ok(()),
        Err(Error::Io { cause, .. }) if cause.contains("disk is full") => Ok(()),
        marked => marked,
    }
}

/// What takes the mark away.
pub(crate) fn unmark() -> Change {
    Change::DeleteDocument { kind: KIND, id: KIND.into() }
}

/// Whether the file at `path` expects a log beside it that is not there. To be asked before it is opened, which may make one.
pub(crate) fn lacks_log(path: &Path) -> bool {
    expects_log(path).unwrap_or(false) && has_no_log(path) && !is_held(path)
}

/// Whether there is no log beside it, or one in which nothing is.
pub(crate) fn has_no_log(path: &Path) -> bool {
    let mut log = path.as_os_str().to_owned();
    log.push("-wal");
    std::fs::metadata(PathBuf::from(log)).map_or(0, |found| found.len()) == 0
}

/// Whether the store was open when it was copied.
///
/// # Errors
/// [`Error::Io`] when it can't be read.
pub(crate) fn was_open(engine: &dyn Engine) -> Result<bool, Error> {
    Ok(!engine.documents(KIND)?.is_empty())
}

/// SQLite's header says at its 18th and 19th byte whether the file is written through a log; a backup is not.
pub(crate) fn expects_log(path: &Path) -> std::io::Result<bool> {
    let mut head = [0; 20];
    File::open(path)?.read_exact(&mut head)?;
    Ok(head.ends_with(&[2, 2]))
}

/// Whether a pescaia runs on it.
fn is_held(path: &Path) -> bool {
    let lock = File::open(path.with_file_name("store.lock"));
    lock.is_ok_and(|lock| matches!(lock.try_lock_shared(), Err(TryLockError::WouldBlock)))
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
        let dir = std::env::temp_dir().join(format!("pescaia-handmade-{}", std::process::id()));
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
}
