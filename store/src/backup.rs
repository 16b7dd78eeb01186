//! A backup: one file of one moment, made beside a writer that goes on, and read again before it counts.

use crate::check::{Checked, check};
use crate::{Error, Store};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// How far a long command is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Progress {
    /// Bytes of the copy that are written, of at most so many.
    Copied { bytes: u64, of: u64 },
    /// Datastreams that were read back, or taken over.
    Read { datastreams: u64, of: u64 },
}

impl Store {
    /// Writes all that was committed so far into a new file, and reads every byte of it back. When it returns `Ok` the file has its
    /// name, is synced, and was found sound; it is readable by its owner only. Committing goes on meanwhile.
    ///
    /// # Errors
    /// [`Error::Io`] when `to` exists or can't be written, or there is no room; [`Error::Damaged`] when what was copied is not sound:
    /// the copy is then left as `….part` to look at.
    pub fn backup(&self, to: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Checked, Error> {
        let failed = |action: String| move |cause: std::io::Error| Error::Io { action, cause: cause.to_string() };
        if to.exists() {
            let cause = "it is there already; name another file, e.g. with the day in its name".into();
            return Err(Error::Io { action: format!("writing {}", to.display()), cause });
        }
        let of = self.shared().engine.disk_bytes();
        let dir = to.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let free = crate::disk::free_bytes(dir).map_err(failed(format!("looking for room in {}", dir.display())))?;
        if free < of {
            let cause = format!("the backup may take {of} bytes and {free} are free; free some space or name another disk");
            return Err(Error::Io { action: format!("writing {}", to.display()), cause });
        }
        let part = part_of(to);
        let _ = std::fs::remove_file(&part);
        owner_only(&part).map_err(failed(format!("making {}", part.display())))?;
        copy(self, &part, of, progress)?;
        let checked = check(&part, &mut |datastreams, of| progress(Progress::Read { datastreams, of }))?;
        if let Some(first) = checked.damage.first() {
            return Err(Error::Damaged { what: format!("the copy in {}: {first}", part.display()) });
        }
        crate::disk::put_in_place(&part, to).map_err(failed(format!("naming {}", to.display())))?;
        Ok(checked)
    }
}

/// Copies, and tells meanwhile how far it is.
fn copy(store: &Store, part: &Path, of: u64, progress: &mut dyn FnMut(Progress)) -> Result<(), Error> {
    std::thread::scope(|scope| {
        let copying = scope.spawn(|| store.shared().engine.copy_to(part));
        while !copying.is_finished() {
            std::thread::sleep(Duration::from_millis(50));
            let bytes = std::fs::metadata(part).map_or(0, |found| found.len());
            progress(Progress::Copied { bytes, of: of.max(bytes) });
        }
        copying.join().unwrap_or_else(|_| Err(Error::Io { action: "copying the store".into(), cause: "the copy ended early".into() }))
    })
}

/// Copies a database file that nobody has open, with what lies in the log beside it; synced when it returns.
fn copy_whole(from: &Path, to: &Path) -> Result<(), Error> {
    let failed = |cause: String| Error::Io { action: format!("copying {}", from.display()), cause };
    let flags = rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY | rusqlite::OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let copied = rusqlite::Connection::open_with_flags(from, flags)
        .and_then(|connection| connection.execute("VACUUM INTO ?1", [to.display().to_string()]));
    copied.map_err(|cause| failed(cause.to_string()))?;
    std::fs::File::open(to).and_then(|file| file.sync_all()).map_err(|cause| failed(cause.to_string()))
}

fn part_of(path: &Path) -> PathBuf {
    let mut part = path.as_os_str().to_owned();
    part.push(".part");
    part.into()
}

/// An empty file that only its owner reads: a backup holds hashes of passwords, and what is private.
fn owner_only(path: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new().write(true).create_new(true).mode(0o600).open(path).map(drop)
}

/// Makes the store in `dir` out of a backup, where there is none yet. The backup is read whole before, and what stands in `dir` is synced
/// when it returns `Ok`.
///
/// # Errors
/// [`Error::Io`] when there is a store already, or no room; [`Error::Damaged`] names the first damage of the backup.
pub fn restore_into(dir: &Path, backup: &Path, progress: &mut dyn FnMut(Progress)) -> Result<Checked, Error> {
    let failed = |action: &'static str| move |cause: std::io::Error| Error::Io { action: action.to_owned(), cause: cause.to_string() };
    let target = dir.join("store.db");
    if target.exists() {
        let cause = "there is a store already; it takes the backup in by a merge".into();
        return Err(Error::Io { action: format!("restoring into {}", dir.display()), cause });
    }
    // SQLite would play it over whatever is put beside it.
    if std::fs::metadata(dir.join("store.db-wal")).is_ok_and(|log| log.len() > 0) {
        let cause = "there is a store.db-wal without its store.db, and it would be played over what is restored; bring store.db back, or take the log away (what it holds is lost then), or restore into another directory".into();
        return Err(Error::Io { action: format!("restoring into {}", dir.display()), cause });
    }
    let checked = check(backup, &mut |datastreams, of| progress(Progress::Read { datastreams, of }))?;
    if let Some(first) = checked.damage.first() {
        return Err(Error::Damaged { what: format!("the backup {}: {first}", backup.display()) });
    }
    crate::private::make_private_dir(dir).map_err(failed("making the directory"))?;
    let part = part_of(&target);
    let _ = std::fs::remove_file(&part);
    owner_only(&part).map_err(failed("making the database"))?;
    // Not byte by byte: what lies beside it in a write-ahead log belongs to it.
    copy_whole(backup, &part)?;
    let copied = check(&part, &mut |datastreams, of| progress(Progress::Read { datastreams, of }))?;
    if (copied.digest.as_str(), copied.commit, copied.is_sound()) != (checked.digest.as_str(), checked.commit, true) {
        return Err(Error::Damaged { what: format!("what was written into {} is not what the backup holds", part.display()) });
    }
    // What a store that stood here before said of its log says nothing of this one.
    let _ = std::fs::remove_file(dir.join("store.db-mark"));
    crate::disk::put_in_place(&part, &target).map_err(failed("naming the database"))?;
    Ok(checked)
}
