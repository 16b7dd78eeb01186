//! One Parquet file of a month, written and read a piece at a time: memory does not grow with the month.

use super::rows::{About, Kind, Row, RowsDigest, frame, rows};
use crate::Error;
use polars::prelude::*;
use polars_io::SerReader;
use polars_io::parquet::read::ParquetReader;
use polars_io::parquet::write::BatchedWriter;
use polars_parquet::write::KeyValue;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError};

/// Rows of a row group, and in memory at once.
const ROWS: usize = 1 << 18;

/// What a file says of its rows, for those who take it in: a bit that is flipped in it mostly gives other numbers and no error. How many
/// there are, and the digest of [`RowsDigest`].
const SAYS: [&str; 2] = ["pescaia.rows", "pescaia.sha256"];

fn wrong(path: &Path) -> impl Fn(String) -> Error {
    let path = path.display().to_string();
    move |what| Error::File { path: path.clone(), what }
}

/// A file that is being written, readable by its owner only.
pub(super) struct Writer {
    path: PathBuf,
    kind: Kind,
    writer: BatchedWriter<BufWriter<File>>,
    schema: SchemaRef,
    waiting: Vec<Row>,
    pub(super) rows: u64,
    pub(super) digest: RowsDigest,
}

impl Writer {
    pub(super) fn new(path: &Path, kind: Kind) -> Result<Self, Error> {
        let failed = wrong(path);
        let opened = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(path);
        let file = opened.map_err(|cause| failed(format!("it can't be written: {cause}")))?;
        let empty = frame(&[], kind)?;
        let writer = crate::file::writer(BufWriter::new(file), empty.schema()).set_parallel(false).batched(empty.schema())?;
        let (path, schema) = (path.to_owned(), empty.schema().clone());
        Ok(Self { path, kind, writer, schema, waiting: Vec::new(), rows: 0, digest: RowsDigest::default() })
    }
    pub(super) fn push(&mut self, row: Row) -> Result<(), Error> {
        self.digest.add(&row);
        self.rows += 1;
        self.waiting.push(row);
        if self.waiting.len() == ROWS { self.flush() } else { Ok(()) }
    }
    fn flush(&mut self) -> Result<(), Error> {
        if !self.waiting.is_empty() {
            self.writer.write_batch(&frame(&self.waiting, self.kind)?)?;
            self.waiting.clear();
        }
        Ok(())
    }
    /// The file is synced when it returns. Rows and their digest.
    pub(super) fn finish(mut self) -> Result<(u64, RowsDigest), Error> {
        self.flush()?;
        let says = SAYS.into_iter().zip([self.rows.to_string(), self.digest.clone().text()]);
        let says = says.map(|(key, value)| KeyValue { key: key.into(), value: Some(value) });
        let all = std::iter::once(crate::file::plain_schema(&self.schema)).chain(says).collect();
        let ended = self.writer.get_writer().lock().unwrap_or_else(PoisonError::into_inner).end(Some(all));
        ended.map_err(|cause| wrong(&self.path)(format!("it can't be ended: {cause}")))?;
        drop(self.writer);
        let synced = File::open(&self.path).and_then(|file| file.sync_all());
        synced.map_err(|cause| wrong(&self.path)(format!("it can't be synced: {cause}")))?;
        Ok((self.rows, self.digest))
    }
}

/// A file that is read from its first row to its last.
pub(super) struct Reader {
    path: PathBuf,
    kind: Kind,
    rows: usize,
    next: usize,
    about: Option<Arc<About>>,
}

impl Reader {
    /// # Errors
    /// [`Error::File`] when it is not there, or is no Parquet file: cut short, foreign or damaged.
    pub(super) fn open(path: &Path, kind: Kind) -> Result<Self, Error> {
        let mut reader = ParquetReader::new(open(path)?);
        let unreadable = |cause| wrong(path)(format!("it is no whole Parquet file ({cause}); take it from a backup"));
        let rows = guarded(|| reader.num_rows()).map_err(unreadable)?;
        Ok(Self { path: path.to_owned(), kind, rows, next: 0, about: None })
    }
    pub(super) fn len(&self) -> usize {
        self.rows
    }
    /// The next rows, none after the last.
    pub(super) fn next(&mut self) -> Result<Vec<Row>, Error> {
        if self.next >= self.rows {
            return Ok(Vec::new());
        }
        let slice = Some((self.next, ROWS));
        let file = open(&self.path)?;
        let read = guarded(|| ParquetReader::new(file).with_slice(slice).set_low_memory(true).finish());
        let unreadable =
            |cause| wrong(&self.path)(format!("what follows row {} can't be read ({cause}); take the file from a backup", self.next));
        let frame = read.map_err(unreadable)?;
        let found = rows(&frame, self.kind, &mut self.about).map_err(wrong(&self.path))?;
        if found.is_empty() {
            return Err(wrong(&self.path)(format!("it ends after {} of {} rows; take it from a backup", self.next, self.rows)));
        }
        self.next += found.len();
        Ok(found)
    }
}

fn open(path: &Path) -> Result<File, Error> {
    File::open(path).map_err(|cause| wrong(path)(format!("it can't be read: {cause}")))
}

/// The library panics over some damaged files: that too is an answer.
fn guarded<T>(work: impl FnOnce() -> PolarsResult<T>) -> Result<T, String> {
    match std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)) {
        Ok(done) => done.map_err(|cause| cause.to_string()),
        Err(_) => Err("its bytes make no sense".into()),
    }
}

/// Rows of a sorted file, a datastream at a time.
pub(super) struct Groups {
    reader: Option<Reader>,
    waiting: std::collections::VecDeque<Row>,
}

impl Groups {
    pub(super) fn of(reader: Option<Reader>) -> Self {
        Self { reader, waiting: std::collections::VecDeque::new() }
    }
    fn peek(&mut self) -> Result<Option<&Row>, Error> {
        if self.waiting.is_empty()
            && let Some(reader) = &mut self.reader
        {
            self.waiting = reader.next()?.into();
        }
        Ok(self.waiting.front())
    }
    /// The datastream of the next row.
    pub(super) fn key(&mut self) -> Result<Option<Arc<str>>, Error> {
        Ok(self.peek()?.map(|row| row.about.datastream.clone()))
    }
    /// All rows of the next datastream, if it is this one.
    pub(super) fn take(&mut self, key: &str) -> Result<Vec<Row>, Error> {
        let mut rows = Vec::new();
        while self.peek()?.is_some_and(|row| &*row.about.datastream == key) {
            rows.extend(self.waiting.pop_front());
        }
        Ok(rows)
    }
}

/// Reads a file whole: rows and their digest.
pub(super) fn digest_of(path: &Path, kind: Kind) -> Result<(u64, RowsDigest), Error> {
    let (mut reader, mut digest, mut count) = (Reader::open(path, kind)?, RowsDigest::default(), 0);
    loop {
        let rows = reader.next()?;
        if rows.is_empty() {
            return Ok((count, digest));
        }
        count += rows.len() as u64;
        rows.iter().for_each(|row| digest.add(row));
    }
}

/// Reads a file whole, before anything of it is taken, and compares it with what it says of itself.
///
/// # Errors
/// [`Error::File`] when it is not as it was written, or says nothing of itself.
pub(super) fn compare(path: &Path, kind: Kind) -> Result<(), Error> {
    let mut reader = ParquetReader::new(open(path)?);
    let metadata = guarded(|| reader.get_metadata().cloned());
    let unreadable = |cause| wrong(path)(format!("it is no whole Parquet file ({cause}); take it from a backup"));
    let kept = metadata.map_err(unreadable)?.key_value_metadata.clone().unwrap_or_default();
    let said = SAYS.map(|key| kept.iter().find(|one| one.key == key).and_then(|one| one.value.clone()));
    let (rows, digest) = digest_of(path, kind)?;
    match said {
        [None, None] => {
            let what = "it carries no checksum, as every file of a month does: pescaia did not write it, or something wrote it anew; take it from a backup";
            Err(wrong(path)(what.into()))
        }
        [Some(said_rows), Some(said_digest)] if said_rows == rows.to_string() && said_digest == digest.text() => Ok(()),
        _ => Err(wrong(path)("its rows are not those that were written: it is damaged, or was changed; take it from a backup".into())),
    }
}

/// SHA-256 of a file's bytes.
pub(super) fn sha256_of(path: &Path) -> Result<String, Error> {
    use sha2::Digest;
    struct Into(sha2::Sha256);
    impl Write for Into {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.update(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let mut into = Into(sha2::Sha256::new());
    std::io::copy(&mut open(path)?, &mut into).map_err(|cause| wrong(path)(format!("it can't be read: {cause}")))?;
    Ok(into.0.finalize().iter().map(|byte| format!("{byte:02x}")).collect())
}
