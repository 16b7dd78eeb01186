//! How documents lie in SQLite: each with its checksum, some in two copies, of which either may be damaged.

use super::damage::Noted;
use super::{Damaged, Document, sums};
use rusqlite::types::{ToSqlOutput, ValueRef};
use rusqlite::{Connection, Row, ToSql, Transaction, params};
use std::collections::{BTreeMap, BTreeSet};

const MAIN: &str = "document";
const SPARE: &str = "spare";
/// Stands for every kind that is no text.
pub(super) const NAMELESS: &str = "";

/// A copy: its text, or nothing when it is damaged.
type Copy = Option<String>;
/// Both copies of one document, where they are.
#[derive(Default)]
struct Pair {
    main: Option<Copy>,
    spare: Option<Copy>,
}

impl Pair {
    /// What is sound, and whether anything is not.
    fn judge(self, is_spared: bool) -> (Option<String>, bool) {
        let is_whole = matches!(self.main, Some(Some(_))) && (!is_spared || matches!(self.spare, Some(Some(_))));
        (self.main.flatten().or(self.spare.flatten()), !is_whole)
    }
}

/// Bytes that need not be text any more.
struct Raw<'a>(&'a [u8]);
impl ToSql for Raw<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(ValueRef::Text(self.0)))
    }
}

fn bytes<'a>(row: &'a Row<'_>, column: usize) -> rusqlite::Result<&'a [u8]> {
    Ok(match row.get_ref(column)? {
        ValueRef::Text(bytes) | ValueRef::Blob(bytes) => bytes,
        _ => &[],
    })
}

/// The text of a copy whose columns from `at` on are id, body and checksum.
fn copy(row: &Row<'_>, kind: &[u8], at: usize) -> rusqlite::Result<(Vec<u8>, Copy)> {
    let (id, body) = (bytes(row, at)?, bytes(row, at + 1)?);
    let is_sound = matches!(row.get_ref(at + 2)?, ValueRef::Integer(sum) if sum == i64::from(sums::of_document(kind, id, body)));
    let text = std::str::from_utf8(body).ok().filter(|_| is_sound && std::str::from_utf8(id).is_ok());
    Ok((id.to_vec(), text.map(ToOwned::to_owned)))
}

/// The text of a row whose columns are id, body and checksum; `None` when it is not as it was written.
pub(super) fn sound_text(row: &Row<'_>, kind: &str) -> rusqlite::Result<Option<String>> {
    Ok(copy(row, kind.as_bytes(), 0)?.1)
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Those of a kind that are sound in either copy; what is damaged is noted.
pub(super) fn read(connection: &Connection, kind: &str, noted: &Noted) -> rusqlite::Result<Vec<Document>> {
    let is_spared = sums::is_spared(kind);
    let mut pairs: BTreeMap<Vec<u8>, Pair> = BTreeMap::new();
    for table in if is_spared { &[MAIN, SPARE][..] } else { &[MAIN][..] } {
        let mut statement = connection.prepare_cached(&format!("SELECT id, body, sum FROM {table} WHERE kind = ?1"))?;
        let mut rows = statement.query([kind])?;
        while let Some(row) = rows.next()? {
            let (id, copy) = copy(row, kind.as_bytes(), 0)?;
            let pair = pairs.entry(id).or_default();
            *(if *table == MAIN { &mut pair.main } else { &mut pair.spare }) = Some(copy);
        }
    }
    let mut found = Vec::with_capacity(pairs.len());
    for (id, pair) in pairs {
        let id = lossy(&id);
        let (sound, is_damaged) = pair.judge(is_spared);
        let kind = kind.to_owned();
        if is_damaged {
            let (kind, id) = (kind.clone(), id.clone());
            noted.note(if sound.is_some() { Damaged::Copy { kind, id } } else { Damaged::Document { kind, id } });
        }
        found.extend(sound.map(|body| Document { kind, id, body }));
    }
    Ok(found)
}

/// Every kind that stands in either table, whether anybody knows it or not.
pub(super) fn kinds(connection: &Connection) -> rusqlite::Result<BTreeSet<String>> {
    let mut statement = connection.prepare(&format!("SELECT DISTINCT kind FROM {MAIN} UNION SELECT DISTINCT kind FROM {SPARE}"))?;
    let mut rows = statement.query([])?;
    let mut found = BTreeSet::new();
    while let Some(row) = rows.next()? {
        match std::str::from_utf8(bytes(row, 0)?) {
            Ok(kind) => drop(found.insert(kind.to_owned())),
            Err(_) => drop(found.insert(NAMELESS.to_owned())),
        }
    }
    Ok(found)
}

/// Notes the documents of kinds that are no text.
pub(super) fn note_nameless(connection: &Connection, noted: &Noted) -> rusqlite::Result<()> {
    let mut statement = connection.prepare(&format!("SELECT kind, id FROM {MAIN} UNION ALL SELECT kind, id FROM {SPARE}"))?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        let (kind, id) = (bytes(row, 0)?, bytes(row, 1)?);
        if std::str::from_utf8(kind).is_err() {
            noted.note(Damaged::Document { kind: lossy(kind), id: lossy(id) });
        }
    }
    Ok(())
}

pub(super) fn put(transaction: &Transaction<'_>, Document { kind, id, body }: &Document) -> rusqlite::Result<()> {
    let sum = sums::of_document(kind.as_bytes(), id.as_bytes(), body.as_bytes());
    for table in if sums::is_spared(kind) { &[MAIN, SPARE][..] } else { &[MAIN][..] } {
        let sql = format!("INSERT OR REPLACE INTO {table}(kind, id, body, sum) VALUES(?1, ?2, ?3, ?4)");
        transaction.prepare_cached(&sql)?.execute(params![kind, id, body, sum])?;
    }
    Ok(())
}

pub(super) fn delete(transaction: &Transaction<'_>, kind: &str, id: &str) -> rusqlite::Result<()> {
    for table in if sums::is_spared(kind) { &[MAIN, SPARE][..] } else { &[MAIN][..] } {
        let sql = format!("DELETE FROM {table} WHERE kind = ?1 AND id = ?2");
        transaction.prepare_cached(&sql)?.execute(params![kind, id])?;
    }
    Ok(())
}

/// Writes every copy that is damaged or gone from the one that is sound. What stands under a key that nothing else knows goes, when as
/// many are missing under theirs: it is those. How many copies.
pub(super) fn mend(transaction: &Transaction<'_>) -> rusqlite::Result<u64> {
    let mut pairs: BTreeMap<(Vec<u8>, Vec<u8>), Pair> = BTreeMap::new();
    for table in [MAIN, SPARE] {
        let mut statement = transaction.prepare(&format!("SELECT kind, id, body, sum FROM {table}"))?;
        let mut rows = statement.query([])?;
        while let Some(row) = rows.next()? {
            let kind = bytes(row, 0)?.to_vec();
            let (id, copy) = copy(row, &kind, 1)?;
            let pair = pairs.entry((kind, id)).or_default();
            *(if table == MAIN { &mut pair.main } else { &mut pair.spare }) = Some(copy);
        }
    }
    let is_known = |kind: &[u8]| pairs.iter().any(|((of, _), pair)| of == kind && matches!(pair.main, Some(Some(_))));
    let (mut missing, mut strays) = ([0, 0], [Vec::new(), Vec::new()]);
    for ((kind, id), pair) in &pairs {
        let is_spared = std::str::from_utf8(kind).is_ok_and(sums::is_spared);
        let may_stray = is_spared || !is_known(kind);
        match (&pair.main, &pair.spare) {
            (None, Some(Some(_))) => missing[0] += 1,
            (Some(Some(_)), None) if is_spared => missing[1] += 1,
            (Some(None), None) if may_stray => strays[0].push((kind.clone(), id.clone())),
            (None, Some(None)) => strays[1].push((kind.clone(), id.clone())),
            _ => {}
        }
    }
    for (table, (missing, strays)) in [MAIN, SPARE].into_iter().zip(missing.into_iter().zip(strays)) {
        if strays.len() == missing {
            for (kind, id) in strays {
                let sql = format!("DELETE FROM {table} WHERE kind = ?1 AND id = ?2");
                transaction.execute(&sql, params![Raw(&kind), Raw(&id)])?;
            }
        }
    }
    let mut mended = 0;
    for ((kind, id), pair) in pairs {
        let (Ok(kind), Ok(id)) = (String::from_utf8(kind), String::from_utf8(id)) else { continue };
        if !sums::is_spared(&kind) {
            continue;
        }
        if let (Some(body), true) = pair.judge(true) {
            put(transaction, &Document { kind, id, body })?;
            mended += 1;
        }
    }
    Ok(mended)
}
