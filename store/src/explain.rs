//! Why a database file can't be opened, in words and with the cure: what SQLite says names neither the file nor what to do.

use crate::Error;
use std::fs::File;
use std::io::Read;
use std::path::Path;

/// The same failure, of this file.
pub(crate) fn of_file(path: &Path, cause: Error) -> Error {
    match cause {
        Error::Io { action, cause } if cause.contains("malformed") || cause.contains("not a database") => {
            let what = match cut_short(path) {
                Some((is, was)) => format!("it is cut short, {is} of {was} bytes"),
                None => format!("{action}: {cause}"),
            };
            Error::Damaged { what: format!("{}: {what}", path.display()) }
        }
        Error::Io { action, cause } => {
            let doubt =
                path.parent().and_then(crate::disk::doubt_of_place).map_or_else(String::new, |doubt| format!("; it lies on {doubt}"));
            Error::Io { action: format!("{action} {}", path.display()), cause: format!("{cause}{doubt}") }
        }
        other => other,
    }
}

/// How many bytes there are, and how many there were by the file's own head; `None` when nothing is missing.
fn cut_short(path: &Path) -> Option<(u64, u64)> {
    let mut head = [0_u8; 32];
    File::open(path).and_then(|mut file| file.read_exact(&mut head)).ok()?;
    let is = std::fs::metadata(path).ok()?.len();
    let (size, pages) = (head.get(16..18)?.try_into().ok()?, head.get(28..32)?.try_into().ok()?);
    let was = u64::from(u16::from_be_bytes(size)) * u64::from(u32::from_be_bytes(pages));
    (is < was).then_some((is, was))
}

#[cfg(test)]
mod tests {
    use crate::{Settings, Store, check, restore_into};
    use model::{Clock, Timestamp};
    use std::sync::Arc;

    struct Fixed;
    impl Clock for Fixed {
        fn now(&self) -> Timestamp {
            Timestamp::from_seconds(1_795_400_000)
        }
    }

    #[test]
    fn a_file_that_is_cut_short_or_foreign_is_named_with_the_cure() {
        let dir = std::env::temp_dir().join(format!("pescaia-explain-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&dir);
        let open = || Store::open(&dir, Settings::default(), Arc::new(Fixed));
        open().expect("a store").close_blocking();
        let whole = std::fs::read(dir.join("store.db")).expect("bytes");
        let mut flipped = whole.clone();
        flipped[3] ^= 1;
        let cases: [(&str, &[u8], &str); 3] = [
            ("cut short", &whole[..whole.len() / 2 + 100], "it is cut short, "),
            ("foreign", b"time;level\n2026;1\n", "is not a pescaia store"),
            ("another head", &flipped, "is not a pescaia store"),
        ];
        for (what, bytes, words) in cases {
            for name in ["store.db", "backup.db"] {
                std::fs::write(dir.join(name), bytes).expect("written");
                let _ = std::fs::remove_file(dir.join("store.db-wal"));
            }
            let checked = check(&dir.join("backup.db"), &mut |_, _| ()).expect_err(what).to_string();
            let restored = restore_into(&dir.join("new"), &dir.join("backup.db"), &mut |_| ()).expect_err(what).to_string();
            let opened = open().err().expect(what).to_string();
            for (said, file) in [(checked, "backup.db"), (restored, "backup.db"), (opened, "store.db")] {
                assert!(said.contains(words) && said.contains(file) && said.contains("backup"), "{what}: {said}");
            }
            assert_eq!(std::fs::read(dir.join("store.db")).expect("bytes"), bytes, "{what}: nothing was touched");
        }
        let _ = std::fs::remove_dir_all(&dir);
    }
}
