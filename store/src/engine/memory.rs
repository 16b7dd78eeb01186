use super::{Change, Document, Engine, Key, Order, Row, Span, Table};
use crate::Error;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{PoisonError, RwLock};

/// Rows in the memory of the process: for tests, gone at its end.
#[derive(Debug, Default)]
pub struct Memory {
    kept: RwLock<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    rows: BTreeMap<(Table, i64, i64), Row>,
    documents: BTreeMap<(String, String), String>,
}

impl Engine for Memory {
    fn commit(&self, changes: &[Change]) -> Result<(), Error> {
        let mut kept = self.kept.write().unwrap_or_else(PoisonError::into_inner);
        for change in changes {
            match change {
                Change::Put { table, row } => {
                    kept.rows.insert((*table, row.part, row.at), row.clone());
                }
                Change::Delete { table, part, at } => {
                    kept.rows.remove(&(*table, *part, *at));
                }
                Change::DropThrough { table, part, at } => {
                    kept.rows.retain(|key, _| !(key.0 == *table && key.1 == *part && key.2 <= *at));
                }
                Change::PutDocument(document) => {
                    kept.documents.insert((document.kind.clone(), document.id.clone()), document.body.clone());
                }
                Change::DeleteDocument { kind, id } => {
                    kept.documents.remove(&((*kind).to_owned(), id.clone()));
                }
            }
        }
        Ok(())
    }

    fn range(&self, table: Table, span: Span, order: Order, limit: usize) -> Result<Vec<Row>, Error> {
        if span.from > span.to {
            return Ok(Vec::new());
        }
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let found = kept.rows.range((table, span.part, span.from)..=(table, span.part, span.to));
        Ok(match order {
            Order::Ascending => found.take(limit).map(row).collect(),
            Order::Descending => found.rev().take(limit).map(row).collect(),
        })
    }

    fn covering(&self, table: Table, span: Span, limit: usize) -> Result<Vec<Row>, Error> {
        let before = self.range(table, Span { from: i64::MIN, to: span.from, ..span }, Order::Descending, 1)?;
        let from = before.first().map_or(span.from, |row| row.at);
        self.range(table, Span { from, ..span }, Order::Ascending, limit)
    }

    fn keys(&self, table: Table) -> Result<Vec<Key>, Error> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let of_table = kept.rows.iter().filter(|(key, _)| key.0 == table);
        let key = |row: &Row| Key { part: row.part, at: row.at, weight: row.weight, summary: row.summary.clone() };
        Ok(of_table.map(|(_, row)| key(row)).collect())
    }

    fn documents(&self, kind: &str) -> Result<Vec<Document>, Error> {
        let kept = self.kept.read().unwrap_or_else(PoisonError::into_inner);
        let of_kind = kept.documents.iter().filter(|((found, _), _)| found == kind);
        Ok(of_kind.map(|((kind, id), body)| Document { kind: kind.clone(), id: id.clone(), body: body.clone() }).collect())
    }

    fn disk_bytes(&self) -> u64 {
        0
    }

    fn room(&self) -> Option<crate::Room> {
        None
    }

    fn settle(&self) -> Result<(), Error> {
        Ok(())
    }

    fn copy_to(&self, path: &Path) -> Result<(), Error> {
        let cause = "what lives in memory has no file".to_owned();
        Err(Error::Io { action: format!("copying into {}", path.display()), cause })
    }
}

fn row((_, row): (&(Table, i64, i64), &Row)) -> Row {
    Row { summary: Vec::new(), ..row.clone() }
}
