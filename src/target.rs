//! Where a command writes what it was asked for: a file that is there whole or not at all, or a pipe or device that is written into.

use anyhow::Context;
use std::fs::{File, OpenOptions};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

/// What may stand at the place already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    /// A plain file is replaced by the new one.
    Replace,
    /// There must be none.
    New,
}

/// An open place for bytes. Dropped before [`Target::finish`] it leaves nothing behind.
pub(crate) struct Target {
    file: File,
    /// Of a plain file: the name it gets, and the one it has until it is whole.
    names: Option<Names>,
}

struct Names {
    whole: PathBuf,
    part: PathBuf,
}

impl Target {
    /// Follows links. Only the user of this command needs to see the place.
    ///
    /// # Errors
    /// Why it can't be written.
    pub(crate) fn open(path: &Path, before: Before) -> anyhow::Result<Self> {
        let failed = || format!("{} can't be written", path.display());
        match std::fs::metadata(path) {
            Ok(found) if found.is_dir() => anyhow::bail!("{} is a directory; name a file in it", path.display()),
            Ok(found) if !found.is_file() => {
                let file = OpenOptions::new().write(true).open(path).with_context(failed)?;
                return Ok(Self { file, names: None });
            }
            Ok(_) if before == Before::New => {
                anyhow::bail!("{}: it is there already; name another file, e.g. with the day in its name", path.display())
            }
            Ok(_) | Err(_) => {}
        }
        let whole = followed(path).with_context(failed)?;
        let mut part = whole.as_os_str().to_owned();
        part.push(".incoming");
        let part = PathBuf::from(part);
        let _ = std::fs::remove_file(&part);
        // A backup holds hashes of passwords, and what is private.
        let mode = if before == Before::New { 0o600 } else { 0o644 };
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(mode).open(&part).with_context(failed)?;
        Ok(Self { file, names: Some(Names { whole, part }) })
    }

    pub(crate) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// Where the bytes lie until they are whole; nowhere to be read again in a pipe or device.
    pub(crate) fn part(&self) -> Option<&Path> {
        self.names.as_ref().map(|names| names.part.as_path())
    }

    /// Where the file will be.
    pub(crate) fn whole(&self) -> Option<&Path> {
        self.names.as_ref().map(|names| names.whole.as_path())
    }

    /// Syncs it and gives it its name: on return it is there, whatever happens to the machine.
    ///
    /// # Errors
    /// Why not; then it is not there.
    pub(crate) fn finish(mut self) -> anyhow::Result<()> {
        let Some(names) = self.names.take() else { return Ok(()) };
        let put = self.file.sync_all().and_then(|()| store::put_in_place(&names.part, &names.whole));
        if put.is_err() {
            let _ = std::fs::remove_file(&names.part);
        }
        put.with_context(|| format!("{} can't be written", names.whole.display()))
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        if let Some(names) = &self.names {
            let _ = std::fs::remove_file(&names.part);
        }
    }
}

/// The place that links lead to, which need not be there yet.
fn followed(path: &Path) -> std::io::Result<PathBuf> {
    let mut place = std::path::absolute(path)?;
    for _ in 0..40 {
        match std::fs::read_link(&place) {
            Ok(to) => place = place.parent().unwrap_or(Path::new("/")).join(to),
            Err(_) => return Ok(place),
        }
    }
    Err(std::io::Error::other("its links lead in a circle"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn links_are_followed_files_are_whole_and_what_is_given_up_leaves_nothing() {
        let dir = std::env::temp_dir().join(format!("pescaia-target-{}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let (real, link) = (dir.join("real"), dir.join("link"));
        std::fs::write(&real, "old").unwrap();
        std::os::unix::fs::symlink("real", &link).unwrap();
        let mut target = Target::open(&link, Before::Replace).unwrap();
        target.file().write_all(b"new").unwrap();
        assert_eq!(std::fs::read(&real).unwrap(), b"old", "until it is whole");
        target.finish().unwrap();
        assert_eq!(std::fs::read(&real).unwrap(), b"new");
        assert!(link.is_symlink());
        assert!(Target::open(&link, Before::New).is_err(), "it is there");
        drop(Target::open(&dir.join("given-up"), Before::New).unwrap());
        assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 2);
        let mut null = Target::open(Path::new("/dev/null"), Before::New).unwrap();
        null.file().write_all(b"gone").unwrap();
        assert!(null.part().is_none());
        null.finish().unwrap();
        std::fs::remove_dir_all(&dir).unwrap();
    }
}
