//! Whether a write-ahead log that is not there held something: SQLite takes a database without its log for one that has none.
//!
//! A document in the database counts generations, and says of each whether the database *file* holds all that was committed by then
//! ([`State`]). It is changed so that the file alone says [`State::Behind`] from before anything can be committed to the log alone, and the
//! file with its log says [`State::Whole`]. The number of the generation is then written into a small file beside, `store.db-mark`, synced:
//! a database that knows only of an earlier one lacks what was committed since. Which kill leaves what, step by step, is in
//! `docs/decisions/0016-format-1.md`.

use super::documents;
use super::{Change, Document};
use rusqlite::{Connection, OptionalExtension};
use std::fs::File;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};

pub(super) const SUFFIX: &str = "-mark";
const KIND: &str = "wal";

/// What the database says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    /// What is committed from now on is in the log alone.
    Behind,
    /// All that was committed by then is there.
    Whole,
    /// It was closed, and there is no log.
    Closed,
}

/// A generation of a store's log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mark {
    /// Tells a store from another that was put in its place.
    pub(super) store: u64,
    pub(super) generation: u64,
    pub(super) state: State,
    /// The last record of the log at that time; 0 without one.
    pub(super) record: i64,
}

impl Mark {
    /// Of the generation after those that are known.
    pub(super) fn next(known: Option<Self>, beside: Option<Beside>) -> Self {
        let beside = beside.filter(|beside| known.is_none_or(|known| known.store == beside.store));
        let of_store = known.map(|known| known.store).or(beside.map(|beside| beside.store));
        let last = known.map_or(0, |known| known.generation).max(beside.map_or(0, |beside| beside.generation));
        Self { store: of_store.unwrap_or_else(another), generation: last.saturating_add(1), state: State::Behind, record: 0 }
    }

    pub(super) fn put(self) -> Change {
        let state = match self.state {
            State::Behind => "behind",
            State::Whole => "whole",
            State::Closed => "closed",
        };
        let body = format!("{} {} {state} {}", self.store, self.generation, self.record);
        Change::PutDocument(Document { kind: KIND.into(), id: KIND.into(), body })
    }

    fn parse(text: &str) -> Option<Self> {
        let mut words = text.split(' ');
        let (store, generation) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
        let state = match words.next()? {
            "behind" => State::Behind,
            "whole" => State::Whole,
            "closed" => State::Closed,
            _ => return None,
        };
        Some(Self { store, generation, state, record: words.next()?.parse().ok()? })
    }

    /// As the database says, its log included; `None` where it says nothing that can be read.
    pub(super) fn of(connection: &Connection) -> rusqlite::Result<Option<Self>> {
        let mut statement = connection.prepare_cached("SELECT id, body, sum FROM document WHERE kind = ?1 AND id = ?1")?;
        let found = statement.query_row([KIND], |row| documents::sound_text(row, KIND)).optional()?;
        Ok(found.flatten().as_deref().and_then(Self::parse))
    }

    /// Whether what was committed to a log is not in what is seen.
    pub(super) fn lacks_log(self, beside: Option<Beside>, has_log: bool) -> bool {
        let is_behind = self.state == State::Behind && !has_log;
        is_behind || beside.is_some_and(|beside| beside.store == self.store && beside.generation > self.generation)
    }
}

/// A number that no other store has.
fn another() -> u64 {
    let mut random = [0_u8; 6];
    match getrandom::fill(&mut random) {
        Ok(()) => random.iter().fold(1, |number, byte| number << 8 | u64::from(*byte)),
        // Then it is told from no other, and an older copy put in its place counts as another's.
        Err(_) => 1,
    }
}

/// What the file beside a database says: of this generation something was committed to its log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Beside {
    store: u64,
    generation: u64,
}

impl Beside {
    pub(super) fn read(database: &Path) -> Option<Self> {
        let text = std::fs::read_to_string(beside(database, SUFFIX)).ok()?;
        let mut words = text.split_whitespace();
        Some(Self { store: words.next()?.parse().ok()?, generation: words.next()?.parse().ok()? })
    }

    /// Durable when it returns `Ok`.
    pub(super) fn write(database: &Path, mark: Mark) -> std::io::Result<()> {
        let (path, part) = (beside(database, SUFFIX), beside(database, "-mark.part"));
        let mut file = crate::private::create_private(&part)?;
        writeln!(file, "{} {}", mark.store, mark.generation)?;
        file.sync_all()?;
        crate::disk::put_in_place(&part, &path)
    }
}

fn beside(database: &Path, suffix: &str) -> PathBuf {
    let mut name = database.as_os_str().to_owned();
    name.push(suffix);
    name.into()
}

/// Whether there is a log beside it with something in it, or none is expected: SQLite's header says at its 18th and 19th byte whether the file
/// is written through a log. To be asked before it is opened, which may make one.
pub(super) fn has_log(database: &Path) -> bool {
    let mut head = [0; 20];
    let expects = File::open(database).and_then(|mut file| file.read_exact(&mut head)).is_ok() && head.ends_with(&[2, 2]);
    !expects || std::fs::metadata(beside(database, "-wal")).is_ok_and(|found| found.len() > 0)
}
