//! What the operating system says of the disk.

use std::io::Write;
use std::path::Path;

/// Bytes that are free for this process on the disk that holds `path`.
///
/// # Errors
/// The operating system's.
pub fn free_bytes(path: &Path) -> std::io::Result<u64> {
    Room::at(path).map(|room| room.free_bytes)
}

/// What stays free on a disk, so that there is room to free room: 2 % of it, at most 64 MiB.
pub(crate) const MOST_RESERVED: u64 = 64 << 20;

/// The room on the disk of a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Room {
    pub free_bytes: u64,
    /// Below this nothing is taken in.
    pub reserve_bytes: u64,
}

impl Room {
    /// # Errors
    /// The operating system's.
    pub fn at(path: &Path) -> std::io::Result<Self> {
        let found = rustix::fs::statvfs(path)?;
        let bytes = |blocks: u64| blocks.saturating_mul(found.f_frsize);
        Ok(Self { free_bytes: bytes(found.f_bavail), reserve_bytes: (bytes(found.f_blocks) / 50).min(MOST_RESERVED) })
    }
    #[must_use]
    pub fn is_short(&self) -> bool {
        self.free_bytes < self.reserve_bytes
    }
}

/// File systems that lack what SQLite needs of a disk, by the number in `statfs(2)`, or can't be trusted with it.
const DOUBTFUL: [(u64, &str); 7] = [
    (0x6969, "NFS"),
    (0xFF53_4D42, "CIFS"),
    (0xFE53_4D42, "SMB"),
    (0x517B, "SMB"),
    (0x6573_5546, "FUSE"),
    (0x0102_1997, "9P"),
    (0x5346_414F, "AFS"),
];

/// Why a store should not lie in `dir`, with the cure; `None` where nothing is known against it.
#[must_use]
pub fn doubt_of_place(dir: &Path) -> Option<String> {
    let found = rustix::fs::statfs(dir).ok()?;
    // The number is of another width and sign on each machine.
    #[expect(clippy::cast_sign_loss, reason = "four bytes, however they are called")]
    let magic = found.f_type as u64 & 0xFFFF_FFFF;
    let (_, name) = DOUBTFUL.iter().find(|(number, _)| *number == magic)?;
    Some(format!(
        "{name}, which may lack locks, shared memory or a sync that reaches the disk: what is acknowledged could be lost; put data_dir on a disk of this machine, and backups there"
    ))
}

/// Bytes kept in a file of their own: what opening a store takes on a disk that others have filled to the last byte.
const BALLAST: usize = 1 << 20;
const BALLAST_NAME: &str = "store.reserve";

/// Puts the ballast into `dir`, if it is not there and there is room. Without it a store still works.
pub(crate) fn keep_ballast(dir: &Path) {
    let path = dir.join(BALLAST_NAME);
    if path.exists() || Room::at(dir).map_or(true, |room| room.is_short()) {
        return;
    }
    if crate::private::create_private(&path).and_then(|mut file| file.write_all(&vec![0; BALLAST])).is_err() {
        let _ = std::fs::remove_file(&path);
    }
}

/// Throws the ballast out; whether there was any.
pub(crate) fn drop_ballast(dir: &Path) -> bool {
    std::fs::remove_file(dir.join(BALLAST_NAME)).is_ok()
}

/// Synced writes that are timed.
const SYNCS: u32 = 10;

/// How long a small synced write takes in `dir`, on average of ten, in seconds.
///
/// # Errors
/// The operating system's, when `dir` can't be written.
pub fn time_of_sync(dir: &Path) -> std::io::Result<f64> {
    let path = dir.join("sync.tmp");
    let mut file = crate::private::create_private(&path)?;
    let start = std::time::Instant::now();
    let timed = (0..SYNCS).try_for_each(|_| {
        file.write_all(&[0; 4096])?;
        file.sync_data()
    });
    let each = start.elapsed().as_secs_f64() / f64::from(SYNCS);
    std::fs::remove_file(&path)?;
    timed.map(|()| each)
}

/// Gives a file that is synced its name, so that a loss of power leaves it whole under that name or not there at all.
pub fn put_in_place(part: &Path, target: &Path) -> std::io::Result<()> {
    std::fs::rename(part, target)?;
    let dir = target.parent().filter(|dir| !dir.as_os_str().is_empty()).unwrap_or(Path::new("."));
    std::fs::File::open(dir)?.sync_all()
}
