//! How much memory a process of many threads takes from the system.

use std::os::unix::process::CommandExt;
use std::process::Command;

/// The C library's own setting for how many heaps threads share.
const HEAPS: &str = "MALLOC_ARENA_MAX";

/// Lets all threads share as few heaps as there are cores to use them, as glibc would not: it makes eight for each core, and what was freed
/// in one is of no use to the others (`docs/decisions/0018-few-heaps.md`). glibc reads the setting when a process starts and nothing
/// safe sets it later, so the process begins once more, with the same number. A setting that is there already stands.
pub(crate) fn share_heaps() {
    if !cfg!(all(target_os = "linux", target_env = "gnu")) || std::env::var_os(HEAPS).is_some() {
        return;
    }
    let (Ok(own), cores) = (std::env::current_exe(), std::thread::available_parallelism().map_or(2, usize::from)) else { return };
    let mut again = Command::new(own);
    let mut words = std::env::args_os();
    if let Some(name) = words.next() {
        again.arg0(name);
    }
    // Comes back only when it could not: then it goes on as it is.
    let cause = again.args(words).env(HEAPS, cores.max(2).to_string()).exec();
    tracing::debug!(%cause, "could not begin again with few heaps");
}
