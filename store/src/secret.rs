//! A password or token that lies in a file of its own, which may be mended while the instance runs.

use std::fmt;
use std::path::{Path, PathBuf};

/// Never shown. Two are equal when they are of the same file, whatever is in it now.
#[derive(Clone)]
pub struct SecretFile {
    path: PathBuf,
    read: String,
}

impl SecretFile {
    /// Reads the file at `path`; white space around the secret is no part of it.
    ///
    /// # Errors
    /// The operating system's.
    pub fn read(path: &Path) -> std::io::Result<Self> {
        Ok(Self { path: path.to_owned(), read: trimmed(&std::fs::read_to_string(path)?) })
    }

    /// What the file holds now; what it held when it can't be read.
    #[must_use]
    pub fn current(&self) -> String {
        std::fs::read_to_string(&self.path).map_or_else(|_| self.read.clone(), |text| trimmed(&text))
    }
}

fn trimmed(text: &str) -> String {
    text.trim().to_owned()
}

/// Of no file.
impl From<&str> for SecretFile {
    fn from(text: &str) -> Self {
        Self { path: PathBuf::new(), read: text.to_owned() }
    }
}

impl PartialEq for SecretFile {
    fn eq(&self, other: &Self) -> bool {
        self.path == other.path
    }
}

impl Eq for SecretFile {}

impl fmt::Debug for SecretFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "*** of {}", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mended_file_counts_at_the_next_try_and_nothing_shows_what_is_in_it() {
        let path = std::env::temp_dir().join(format!("pescaia-secret-{}", std::process::id()));
        std::fs::write(&path, "first\n").unwrap();
        let secret = SecretFile::read(&path).unwrap();
        assert_eq!(secret.current(), "first");
        std::fs::write(&path, "second\n").unwrap();
        assert_eq!(secret.current(), "second");
        assert_eq!(secret, SecretFile::read(&path).unwrap());
        std::fs::remove_file(&path).unwrap();
        assert_eq!(secret.current(), "first");
        assert!(!format!("{secret:?}").contains("first"));
    }
}
