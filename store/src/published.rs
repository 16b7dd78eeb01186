//! Datasets as they were published: files and what describes them change together, in one commit, or not at all.

#[cfg(test)]
mod tests;
mod wire;

use crate::digest::sha256_hex;
use crate::engine::{Change, Document, Engine, Order, Row, Span, Table, last_at};
use crate::writer::Work;
use crate::{Error, Store, View};
use model::{Dataset, Timestamp};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

const KIND: &str = "dataset";
const STAGED: &str = "staged";

/// The formats in which every dataset is shared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    Csv,
    Parquet,
    GeoJson,
}

impl Format {
    pub const ALL: [Self; 3] = [Self::Csv, Self::Parquet, Self::GeoJson];

    /// As in file names.
    #[must_use]
    pub const fn extension(self) -> &'static str {
        match self {
            Self::Csv => "csv",
            Self::Parquet => "parquet",
            Self::GeoJson => "geojson",
        }
    }
    #[must_use]
    pub const fn media_type(self) -> &'static str {
        match self {
            Self::Csv => "text/csv; charset=utf-8",
            Self::Parquet => "application/vnd.apache.parquet",
            Self::GeoJson => "application/geo+json",
        }
    }
}

/// One file of a dataset: one calendar month in one format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedFile {
    /// `{dataset}-{month}.{extension}`
    pub name: String,
    /// `2026-10`
    pub month: String,
    pub format: Format,
    pub rows: u64,
    pub bytes: u64,
    /// Lower-case hexadecimal, of the file's bytes.
    pub sha256: String,
    /// When its content last changed.
    pub changed_at: Timestamp,
    number: i64,
}

/// One whole version of a dataset.
#[derive(Debug, Clone, PartialEq)]
pub struct Published {
    pub dataset: Arc<Dataset>,
    /// By month, then format.
    pub files: Vec<PublishedFile>,
    /// Grows by one with each publication.
    pub edition: u64,
    pub published_at: Timestamp,
    /// Nothing at or after this instant is in it: the end of the last civil day that was over.
    pub complete_to: Timestamp,
    /// Late observations up to this commit are in it.
    pub watermark: u64,
    /// What it was made from besides observations; when this changes all of it is made again.
    pub basis: String,
}

impl Published {
    /// Rows of all months; each is in every format.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.files.iter().filter(|file| file.format == Format::Csv).map(|file| file.rows).sum()
    }
}

/// The next version of a dataset, whole.
#[derive(Debug, Clone)]
pub struct Edition {
    pub dataset: Dataset,
    pub complete_to: Timestamp,
    pub watermark: u64,
    pub basis: String,
    /// Every file of it: those of the last version that go on, and those staged since.
    pub files: Vec<PublishedFile>,
}

/// The versions that hold, in memory.
pub(crate) struct Shelf {
    published: RwLock<BTreeMap<String, Arc<Published>>>,
    /// Taken for the length of a publication, so that there is one at a time.
    numbers: Mutex<Numbers>,
}

/// Of files.
struct Numbers {
    next: i64,
    /// Those of the version before: whoever asked for one a moment ago still gets it. They go with the next publication.
    outgoing: Vec<i64>,
}

impl Shelf {
    /// Also drops the files that were staged for a version that never came, and those of versions that went.
    pub(crate) fn restore(engine: &dyn Engine) -> Result<Self, Error> {
        let mut published = BTreeMap::new();
        for document in engine.documents(KIND)? {
            published.insert(document.id.clone(), Arc::new(wire::read(&document)?));
        }
        let next = last_at(engine, Table::File)? + 1;
        let numbers = Mutex::new(Numbers { next, outgoing: Vec::new() });
        let mut changes = Vec::new();
        for document in engine.documents(STAGED)? {
            if let Ok(at) = document.id.parse() {
                changes.push(Change::Delete { table: Table::File, part: 0, at });
            }
            changes.push(Change::DeleteDocument { kind: STAGED, id: document.id });
        }
        if !changes.is_empty() {
            engine.commit(&changes)?;
        }
        Ok(Self { published: RwLock::new(published), numbers })
    }
    fn get(&self, id: &str) -> Option<Arc<Published>> {
        self.published.read().unwrap_or_else(PoisonError::into_inner).get(id).cloned()
    }
}

fn changed(file: &PublishedFile) -> Error {
    Error::Damaged { what: format!("the published file {}: its bytes are not those that were written", file.name) }
}

/// What is wrong with the files of every dataset.
///
/// # Errors
/// [`Error::Io`] when they can't be read at all.
pub(crate) fn damage(engine: &dyn Engine) -> Result<Vec<Error>, Error> {
    let mut damage = Vec::new();
    for document in engine.documents(KIND)? {
        for file in &wire::read(&document)?.files {
            let span = Span { part: 0, from: file.number, to: file.number };
            let row = engine.range(Table::File, span, Order::Ascending, 1)?.pop();
            if row.is_none_or(|row| sha256_hex(&row.body) != file.sha256) {
                damage.push(changed(file));
            }
        }
    }
    Ok(damage)
}

impl Store {
    /// Puts a file of the next version on disk, where nobody sees it before [`Store::publish`]. The version that holds now may have
    /// the same bytes: then that file goes on, with its age. What is staged and never published is dropped at the next start.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn stage_file(&self, dataset: &str, month: &str, format: Format, rows: u64, bytes: Vec<u8>) -> Result<PublishedFile, Error> {
        let shelf = self.shelf();
        let sha256 = sha256_hex(&bytes);
        let same = |file: &&PublishedFile| file.month == month && file.format == format && file.sha256 == sha256;
        if let Some(file) = shelf.get(dataset).and_then(|old| old.files.iter().find(same).cloned()) {
            return Ok(file);
        }
        let mut numbers = shelf.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        let number = numbers.next;
        let file = PublishedFile {
            name: format!("{dataset}-{month}.{}", format.extension()),
            month: month.to_owned(),
            format,
            rows,
            bytes: bytes.len() as u64,
            sha256,
            changed_at: self.clock().now(),
            number,
        };
        let staged = Document { kind: STAGED.into(), id: number.to_string(), body: file.name.clone() };
        let row = Row { part: 0, at: number, weight: 0, summary: Vec::new(), body: bytes };
        let changes = vec![Change::Put { table: Table::File, row }, Change::PutDocument(staged)];
        self.ask(|answer| Work::Documents(changes, answer))?;
        numbers.next = number + 1;
        tracing::debug!(event = "staged", file = file.name, bytes = file.bytes, "a file of the next version is on disk");
        Ok(file)
    }

    /// Publishes a version. When it returns `Ok` the new version is on disk and served; a kill before that leaves the old one whole.
    ///
    /// # Errors
    /// As [`Store::commit`]; the old version holds then.
    pub fn publish(&self, edition: Edition) -> Result<Arc<Published>, Error> {
        let shelf = self.shelf();
        let mut numbers = shelf.numbers.lock().unwrap_or_else(PoisonError::into_inner);
        let Edition { dataset, complete_to, watermark, basis, mut files } = edition;
        files.sort_by(|one, other| (&one.month, one.format).cmp(&(&other.month, other.format)));
        let old = shelf.get(&dataset.id);
        let old_files = old.as_ref().map_or(&[][..], |old| old.files.as_slice());
        let gone = |file: &&PublishedFile| !files.iter().any(|kept| kept.number == file.number);
        let outgoing: Vec<i64> = old_files.iter().filter(gone).map(|file| file.number).collect();
        let unlisted = |number: &i64| Change::DeleteDocument { kind: STAGED, id: number.to_string() };
        let mut changes: Vec<_> = numbers.outgoing.iter().map(|at| Change::Delete { table: Table::File, part: 0, at: *at }).collect();
        changes.extend(numbers.outgoing.iter().map(unlisted));
        changes.extend(files.iter().map(|file| unlisted(&file.number)));
        let listed = |number: &i64| Change::PutDocument(Document { kind: STAGED.into(), id: number.to_string(), body: String::new() });
        changes.extend(outgoing.iter().map(listed));
        let id = dataset.id.clone();
        let edition = old.as_ref().map_or(1, |old| old.edition + 1);
        let published_at = self.clock().now();
        let published = Published { dataset: Arc::new(dataset), files, edition, published_at, complete_to, watermark, basis };
        changes.push(Change::PutDocument(Document { kind: KIND.into(), id: id.clone(), body: wire::write(&published)? }));
        self.ask(|answer| Work::Documents(changes, answer))?;
        let published = Arc::new(published);
        shelf.published.write().unwrap_or_else(PoisonError::into_inner).insert(id, published.clone());
        numbers.outgoing = outgoing;
        Ok(published)
    }
}

impl View {
    /// The versions of all datasets that hold now, by id. Datasets are made from what the public sees, so everybody sees them.
    #[must_use]
    pub fn datasets(&self) -> Vec<Arc<Published>> {
        self.store.shelf().published.read().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
    #[must_use]
    pub fn dataset(&self, id: &str) -> Option<Arc<Published>> {
        self.store.shelf().get(id)
    }
    /// A file of a dataset by its name, with its description; of the version that holds now.
    ///
    /// # Errors
    /// [`Error::Io`] when the store can't be read, [`Error::Damaged`] when the file is not as it was written.
    pub fn dataset_file(&self, id: &str, name: &str) -> Result<Option<(PublishedFile, Vec<u8>)>, Error> {
        // Two versions may be published between a description and its bytes: ask again then.
        for _ in 0..3 {
            let Some(file) = self.dataset(id).and_then(|found| found.files.iter().find(|file| file.name == name).cloned()) else {
                return Ok(None);
            };
            let span = Span { part: 0, from: file.number, to: file.number };
            if let Some(row) = self.store.shared().engine.range(Table::File, span, Order::Ascending, 1)?.pop() {
                return if sha256_hex(&row.body) == file.sha256 { Ok(Some((file, row.body))) } else { Err(changed(&file)) };
            }
        }
        Err(Error::Damaged { what: format!("the file {name}") })
    }
}
