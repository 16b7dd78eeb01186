//! What the operating system says of the disk.

use std::path::Path;

/// Bytes that are free for this process on the disk that holds `path`.
///
/// # Errors
/// The operating system's.
pub fn free_bytes(path: &Path) -> std::io::Result<u64> {
    let found = rustix::fs::statvfs(path)?;
    Ok(found.f_bavail.saturating_mul(found.f_frsize))
}

/// Gives a file that is synced its name, so that a loss of power leaves it whole under that name or not there at all.
pub(crate) fn put_in_place(part: &Path, target: &Path) -> std::io::Result<()> {
    std::fs::rename(part, target)?;
    let dir = target.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(dir)?.sync_all()
}
