//! One month into its two files, read back and compared before it counts.

use super::file::{Groups, Reader, Writer, digest_of, sha256_of};
use super::rows::{About, Kind, Row, RowsDigest};
use crate::Error;
use model::{Datastream, Quality, UtcMonth};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use store::{Archived, Store};

/// Where a month's files lie: `month=2026-10`, as every program that reads partitions knows it.
pub(super) fn place(dir: &Path, month: UtcMonth) -> PathBuf {
    dir.join(format!("month={month}"))
}

/// The served observations of a month's directory, and what they replaced.
pub(super) fn names(place: &Path) -> [(PathBuf, Kind); 2] {
    [(place.join("observations.parquet"), Kind::Observations), (place.join("replaced.parquet"), Kind::Replaced)]
}

fn part_of(path: &Path) -> PathBuf {
    path.with_extension("parquet.part")
}

/// What a month holds, of the store and of the file before, datastream by datastream in the order of their keys.
struct Month<'a> {
    store: &'a Store,
    month: UtcMonth,
    observations: Groups,
    replaced: Groups,
}

impl Month<'_> {
    fn about(datastream: &Datastream) -> Arc<About> {
        Arc::new(About {
            datastream: datastream.key.as_str().into(),
            station: datastream.station.to_string(),
            property: datastream.property.word(),
            unit: datastream.unit().symbol(),
        })
    }

    /// Served and replaced rows of a datastream. Of what lies only in the file before, that file says it, unless it was deleted since or
    /// the store has something later; what was once replaced stays so.
    fn rows(&mut self, datastream: &Datastream) -> Result<(Vec<Row>, Vec<Row>), Error> {
        let about = Self::about(datastream);
        let interval = self.month.interval();
        let (mut served, mut replaced) = (Vec::new(), Vec::new());
        // What was withdrawn ends the list of what was replaced of its time: nothing is served of it.
        let mut withdrawn = Vec::new();
        self.store.each_last(datastream.id, interval, |observation| {
            let of = if observation.quality == Quality::WITHDRAWN { &mut withdrawn } else { &mut served };
            of.push(Row { about: about.clone(), observation, order: 0 });
        })?;
        for one in self.store.replaced(datastream.id, interval)? {
            replaced.push(Row { about: about.clone(), observation: one.observation, order: one.order });
        }
        if !withdrawn.is_empty() {
            ended_by(withdrawn, &mut replaced);
        }
        let (mut before, before_that) = (self.observations.take(&about.datastream)?, self.replaced.take(&about.datastream)?);
        if !self.store.is_trimmed(datastream.id, self.month) {
            before.clear();
        }
        if !before.is_empty() || !before_that.is_empty() {
            self.join(&about, (before, before_that), &mut served, &mut replaced)?;
        }
        Ok((served, replaced))
    }

    fn join(&self, about: &Arc<About>, before: (Vec<Row>, Vec<Row>), served: &mut Vec<Row>, replaced: &mut Vec<Row>) -> Result<(), Error> {
        let is_deleted = self.store.is_deleted()?;
        let mut by_time: BTreeMap<_, Row> = BTreeMap::new();
        let mut replaced_of: BTreeMap<_, Vec<Row>> = BTreeMap::new();
        let stays = |row: &Row| !is_deleted(&about.datastream, &row.observation);
        let again = |row: Row| Row { about: about.clone(), ..row };
        for row in before.1.into_iter().filter(stays).map(again).chain(replaced.drain(..)) {
            replaced_of.entry(row.observation.phenomenon_time).or_default().push(row);
        }
        by_time.extend(before.0.into_iter().filter(stays).map(|row| (row.observation.phenomenon_time, again(row))));
        for row in served.drain(..) {
            let at = row.observation.phenomenon_time;
            let value = row.observation.result.to_bits();
            if let Some(old) = by_time.insert(at, row).filter(|old| old.observation.result.to_bits() != value) {
                replaced_of.entry(at).or_default().push(old);
            }
        }
        served.extend(by_time.into_values());
        for (_, mut rows) in replaced_of {
            rows.sort_by_key(|row| row.observation.received_at);
            rows.dedup_by_key(|row| (row.observation.received_at, row.observation.result.to_bits(), row.observation.quality));
            replaced.extend(rows.into_iter().zip(0..).map(|(row, order)| Row { order, ..row }));
        }
        Ok(())
    }
}

/// Puts each of `last` behind what was replaced of its time before; both in the order of time.
fn ended_by(last: Vec<Row>, replaced: &mut Vec<Row>) {
    let before = std::mem::take(replaced);
    let mut before = before.into_iter().peekable();
    for mut row in last {
        let at = row.observation.phenomenon_time;
        while let Some(earlier) = before.next_if(|earlier| earlier.observation.phenomenon_time <= at) {
            if earlier.observation.phenomenon_time == at {
                row.order = earlier.order + 1;
            }
            replaced.push(earlier);
        }
        replaced.push(row);
    }
    replaced.extend(before);
}

/// Both files of a month, synced, read back and compared, beside those that they take the place of.
pub(super) struct Staged {
    pub(super) archived: Archived,
    files: [(PathBuf, Kind); 2],
}

impl Staged {
    /// When it returns `Ok` they have their names, durably.
    pub(super) fn put_in_place(&self) -> Result<(), Error> {
        for (path, _) in &self.files {
            store::put_in_place(&part_of(path), path).map_err(|cause| failed(path, &cause))?;
        }
        Ok(())
    }
}

fn failed(path: &Path, cause: &std::io::Error) -> Error {
    Error::File { path: path.display().to_string(), what: cause.to_string() }
}

/// Writes a month into `dir` and reads it back; what the store no longer has of it comes from the files in `archive`, which may be the
/// same directory. `None` when the month is empty; nothing is written then.
///
/// # Errors
/// The files before stay as they were.
pub(super) fn export(store: &Store, archive: &Path, dir: &Path, month: UtcMonth) -> Result<Option<Staged>, Error> {
    // Before anything is read: what comes meanwhile may be in it or not, and makes it be written again.
    let (commit, at_s) = (store.last_commit(), store.clock().now().seconds());
    let place = place(dir, month);
    let files = names(&place);
    make_private(&place).map_err(|cause| failed(&place, &cause))?;
    let [observations, replaced] = [&files[0], &files[1]].map(|(path, kind)| Writer::new(&part_of(path), *kind));
    let (mut observations, mut replaced) = (observations?, replaced?);
    let datastreams = each_row(store, archive, month, &mut |kind, row| match kind {
        Kind::Observations => observations.push(row),
        Kind::Replaced => replaced.push(row),
    })?;
    let (observations, replaced) = (observations.finish()?, replaced.finish()?);
    if observations.0 == 0 && replaced.0 == 0 && !files[0].0.exists() {
        for (path, _) in &files {
            let _ = std::fs::remove_file(part_of(path));
        }
        let _ = std::fs::remove_dir(&place);
        return Ok(None);
    }
    let written = [observations, replaced];
    let counts = written.each_ref().map(|(rows, _)| *rows);
    let digests = written.map(|(_, digest)| digest.text());
    for (((path, kind), count), digest) in files.iter().zip(counts).zip(&digests) {
        let part = part_of(path);
        let (rows, read) = digest_of(&part, *kind)?;
        if rows != count || read.text() != *digest {
            let what = "what was read back is not what was written; the disk or the memory is at fault".into();
            return Err(Error::File { path: part.display().to_string(), what });
        }
    }
    let sha256 = sha256_of(&part_of(&files[0].0))?;
    let before = files[0].0.exists().then(|| sha256_of(&files[0].0)).transpose()?;
    let bytes = files.iter().filter_map(|(path, _)| std::fs::metadata(part_of(path)).ok()).map(|found| found.len()).sum();
    let digest = both(&digests);
    let [observations, replaced] = counts;
    let archived = Archived { month: month.to_string(), observations, datastreams, replaced, bytes, digest, sha256, before, commit, at_s };
    Ok(Some(Staged { archived, files }))
}

/// One digest of the digests of both files.
fn both(digests: &[String; 2]) -> String {
    store::sha256_hex(digests.concat().as_bytes())
}

/// The digest of a month as its files would have it now; nothing is written. `None` when it is empty.
pub(super) fn digest_now(store: &Store, archive: &Path, month: UtcMonth) -> Result<Option<String>, Error> {
    let (mut observations, mut replaced) = (RowsDigest::default(), RowsDigest::default());
    let mut count = 0_u64;
    each_row(store, archive, month, &mut |kind, row| {
        count += 1;
        match kind {
            Kind::Observations => observations.add(&row),
            Kind::Replaced => replaced.add(&row),
        }
        Ok(())
    })?;
    Ok((count > 0).then(|| both(&[observations.text(), replaced.text()])))
}

/// Gives the rows of a month, those of each file in its order. How many datastreams have something in it.
fn each_row(store: &Store, archive: &Path, month: UtcMonth, each: &mut dyn FnMut(Kind, Row) -> Result<(), Error>) -> Result<u64, Error> {
    let files = names(&place(archive, month));
    let before = |(path, kind): &(PathBuf, Kind)| path.exists().then(|| Reader::open(path, *kind)).transpose();
    let mut rows = Month { store, month, observations: Groups::of(before(&files[0])?), replaced: Groups::of(before(&files[1])?) };
    let registry = store.registry();
    let mut known: Vec<_> = registry.datastreams().cloned().collect();
    known.sort_by(|one, other| one.key.as_str().cmp(other.key.as_str()));
    let mut count = 0;
    for datastream in known {
        rows.pass_unknown(datastream.key.as_str())?;
        let (served, old) = rows.rows(&datastream)?;
        count += u64::from(!served.is_empty());
        served.into_iter().try_for_each(|row| each(Kind::Observations, row))?;
        old.into_iter().try_for_each(|row| each(Kind::Replaced, row))?;
    }
    Ok(count)
}

impl Month<'_> {
    /// A file may name a datastream that this store does not know: it came from elsewhere, and is not ours to keep.
    fn pass_unknown(&mut self, until: &str) -> Result<(), Error> {
        for groups in [&mut self.observations, &mut self.replaced] {
            while let Some(key) = groups.key()?.filter(|key| &**key < until) {
                groups.take(&key)?;
            }
        }
        Ok(())
    }
}

/// Makes a directory that only its owner reads: what is private lies in it.
pub(super) fn make_private(dir: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::DirBuilderExt;
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)
}
