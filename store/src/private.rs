//! The data directory is its owner's alone: it holds hashes of passwords, and what is private.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::Path;

/// Makes a directory that only its owner enters, where there is none yet; those above it as usual.
///
/// # Errors
/// The operating system's.
pub fn make_private_dir(dir: &Path) -> std::io::Result<()> {
    if let Some(above) = dir.parent().filter(|above| !above.as_os_str().is_empty()) {
        std::fs::create_dir_all(above)?;
    }
    match DirBuilder::new().mode(0o700).create(dir) {
        Err(_) if dir.is_dir() => Ok(()),
        made => made,
    }
}

/// Makes a file that only its owner reads, or empties it.
///
/// # Errors
/// The operating system's.
pub fn create_private(path: &Path) -> std::io::Result<File> {
    OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path)
}

/// What a store has made in its directory, by the beginnings of the names; nobody else's files are touched.
const OURS: [&str; 7] = ["store.", "control.sock", "sync.tmp", "demo-", "parquet", "field", "pescaia-"];

/// Takes the rights of others away from a data directory and from what a store made in it: what an older pescaia, another umask or a copy
/// left. Says so in the log.
pub(crate) fn narrow(dir: &Path) {
    let (mut narrowed, mut failed) = (0_u64, None);
    // A directory that everybody may write to is not made for a store.
    if std::fs::metadata(dir).is_ok_and(|found| found.permissions().mode() & 0o1000 == 0) {
        narrow_one(dir, &mut narrowed, &mut failed);
    }
    for entry in std::fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_name().to_str().is_some_and(|name| OURS.iter().any(|ours| name.starts_with(ours))) {
            narrow_all(&entry.path(), &mut narrowed, &mut failed);
        }
    }
    if narrowed > 0 {
        tracing::info!(
            event = "narrowed",
            path = %dir.display(),
            narrowed,
            "what lies in the data directory could be read by others; only its owner reads it now"
        );
    }
    if let Some(cause) = failed {
        tracing::warn!(event = "not_narrowed", path = %dir.display(), %cause, "others may read the data directory; chmod -R go-rwx takes that away");
    }
}

fn narrow_all(path: &Path, narrowed: &mut u64, failed: &mut Option<std::io::Error>) {
    let Ok(found) = std::fs::symlink_metadata(path) else { return };
    if found.is_symlink() {
        return;
    }
    narrow_one(path, narrowed, failed);
    if found.is_dir() {
        for entry in std::fs::read_dir(path).into_iter().flatten().flatten() {
            narrow_all(&entry.path(), narrowed, failed);
        }
    }
}

fn narrow_one(path: &Path, narrowed: &mut u64, failed: &mut Option<std::io::Error>) {
    let Ok(found) = std::fs::symlink_metadata(path) else { return };
    let mode = found.permissions().mode() & 0o7777;
    let own = if found.is_dir() { 0o700 } else { 0o600 };
    if mode & 0o077 != 0 {
        match std::fs::set_permissions(path, Permissions::from_mode(mode & own)) {
            Ok(()) => *narrowed += 1,
            Err(cause) => *failed = Some(cause),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::scratch::{Dir, Still};
    use std::os::unix::fs::PermissionsExt;
    use std::path::Path;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).expect("there").permissions().mode() & 0o777
    }

    #[test]
    fn what_a_store_writes_is_its_owner_s_alone_and_what_was_wider_is_narrowed() {
        let dir = Dir::new("private");
        let inner = crate::scratch::Dir(dir.0.join("data"));
        let check = |when: &str| {
            assert_eq!(mode(&inner.0), 0o700, "{when}");
            for entry in std::fs::read_dir(&inner.0).expect("read").flatten() {
                assert_eq!(mode(&entry.path()) & 0o077, 0, "{when}: {}", entry.path().display());
            }
        };
        let store = inner.open(Still(1_795_400_000));
        check("made");
        store.close_blocking();
        drop(store);
        let foreign = inner.0.join("notes.txt");
        std::fs::write(&foreign, "mine").expect("written");
        for path in [&inner.0, &inner.file()] {
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).expect("widened");
        }
        let was = mode(&foreign);
        inner.open(Still(1_795_400_000)).close_blocking();
        assert_eq!((mode(&inner.0), mode(&inner.file()), mode(&foreign)), (0o700, 0o600, was));
    }
}
