//! `--name value` pairs.

use std::collections::BTreeMap;
use std::str::FromStr;

/// What stands on the command line after the mode.
pub(crate) struct Args(BTreeMap<String, String>);

impl Args {
    pub(crate) fn read(words: impl Iterator<Item = String>) -> Self {
        let mut found = BTreeMap::new();
        let mut name: Option<String> = None;
        for word in words {
            match (name.take(), word.strip_prefix("--")) {
                (_, Some(next)) => name = Some(next.to_owned()),
                (Some(name), None) => drop(found.insert(name, word)),
                (None, None) => panic!("{word}: a value without a name"),
            }
        }
        Self(found)
    }
    pub(crate) fn text(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
    pub(crate) fn number<T: FromStr>(&self, name: &str) -> Option<T> {
        self.text(name).map(|text| text.parse().unwrap_or_else(|_| panic!("--{name} {text}: not a number")))
    }
}
