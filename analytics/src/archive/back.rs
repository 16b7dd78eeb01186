//! A month comes back from its file into the store.

use super::Archive;
use super::file::{Reader, compare};
use super::rows::{Kind, Row};
use crate::Error;
use model::{DatastreamId, Interval, Observation, Quality, Timestamp, UtcMonth};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::sync::Arc;
use store::Batch;

/// Observations of a commit, when a month is brought back.
const AT_ONCE: usize = 5000;

/// A month that was brought back.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BroughtBack {
    pub rows: u64,
    pub accepted: u64,
    pub there_already: u64,
    /// Where the store now holds what the file says, in the place of another value.
    pub revised: u64,
    /// Deleted since the file was written, and so they stay.
    pub deleted: u64,
    /// For which the store has another value that came later, and stays.
    pub newer_here: u64,
    pub datastreams: usize,
    pub months: BTreeSet<UtcMonth>,
}

impl Archive {
    /// Takes the observations of a month's file into the store, where they are served again and stay for `days`. Values that the store
    /// has by now stay, unless the file's came later. All of it is on disk when it returns.
    ///
    /// # Errors
    /// [`Error::File`] when it is no file of a month, names a datastream that nobody knows, or is cut short or damaged: nothing is taken in
    /// before the file was read to its end and compared with the checksum that it carries.
    pub fn bring_back(&self, path: &Path, days: u32, telling: &mut dyn FnMut(u64, u64)) -> Result<BroughtBack, Error> {
        let wrong = |what: String| Error::File { path: path.display().to_string(), what };
        compare(path, Kind::Observations)?;
        let mut reader = Reader::open(path, Kind::Observations)?;
        let registry = self.store.registry();
        let is_deleted = self.store.is_deleted()?;
        let mut replaced = replaced_beside(path)?;
        let mut back = BroughtBack::default();
        let mut datastreams: BTreeMap<String, DatastreamId> = BTreeMap::new();
        let of = reader.len() as u64;
        loop {
            let rows = reader.next()?;
            if rows.is_empty() {
                break;
            }
            let mut wanted: Vec<(Observation, Vec<Observation>)> = Vec::with_capacity(rows.len());
            for Row { about, observation, .. } in rows {
                back.rows += 1;
                let id = match datastreams.get(&*about.datastream) {
                    Some(id) => *id,
                    None => {
                        let known = registry.datastream_by_key(&about.datastream);
                        let known = known.ok_or_else(|| unknown(&registry, &about.datastream)).map_err(&wrong)?;
                        if known.property.word() != about.property {
                            let (key, was, is) = (&about.datastream, about.property, known.property.word());
                            return Err(wrong(format!("{key} was {was} in it and is {is} here; mend the network file first")));
                        }
                        datastreams.insert(about.datastream.to_string(), known.id);
                        known.id
                    }
                };
                if is_deleted(&about.datastream, &observation) {
                    back.deleted += 1;
                    continue;
                }
                back.months.insert(UtcMonth::around(observation.phenomenon_time));
                let of_it = |one: Observation| Observation { datastream: id, ..one };
                let mut before = replaced.remove(&(about.datastream.clone(), observation.phenomenon_time)).unwrap_or_default();
                before.retain(|one| !is_deleted(&about.datastream, one));
                wanted.push((of_it(observation), before.into_iter().map(of_it).collect()));
            }
            self.take_in(&wanted, &mut back)?;
            telling(back.rows, of);
        }
        // What is left of the replaced has nothing served: it was withdrawn, and stays so.
        let mut withdrawn = Vec::new();
        for ((key, _), mut before) in replaced {
            before.retain(|one| !is_deleted(&key, one));
            let Some(known) = registry.datastream_by_key(&key) else { continue };
            let of_it = |one: Observation| Observation { datastream: known.id, ..one };
            if let Some(last) = before.pop().filter(|last| last.quality == Quality::WITHDRAWN) {
                withdrawn.push((of_it(last), before.into_iter().map(of_it).collect::<Vec<_>>()));
            }
        }
        withdrawn.sort_by_key(|(one, _)| (one.datastream, one.phenomenon_time));
        self.take_in(&withdrawn, &mut back)?;
        back.datastreams = datastreams.len();
        let ids: Vec<_> = datastreams.into_values().collect();
        let until = self.store.clock().now().plus_seconds(i64::from(days) * 86_400);
        back.months.iter().try_for_each(|month| self.store.brought_back(*month, &ids, until))?;
        Ok(back)
    }

    fn take_in(&self, wanted: &[(Observation, Vec<Observation>)], back: &mut BroughtBack) -> Result<(), Error> {
        for some in wanted.chunks(AT_ONCE) {
            let observations = self.not_newer_here(some, back)?;
            self.store.commit_blocking(Batch { observations, as_it_was: true, ..Batch::default() })?;
        }
        Ok(())
    }

    /// What of a file is to be committed: where the store has nothing, what was replaced and then what is served; else what came later.
    fn not_newer_here(&self, some: &[(Observation, Vec<Observation>)], back: &mut BroughtBack) -> Result<Vec<Observation>, Error> {
        let mut kept = Vec::with_capacity(some.len());
        for of_one in some.chunk_by(|(one, _), (next, _)| one.datastream == next.datastream) {
            let (Some((first, _)), Some((last, _))) = (of_one.first(), of_one.last()) else { continue };
            let interval = Interval::new(first.phenomenon_time, last.phenomenon_time.plus_micros(1));
            let mut here = HashMap::new();
            self.store.each_last(first.datastream, interval, |known| {
                here.insert(known.phenomenon_time, known);
            })?;
            for (one, before) in of_one {
                let is_gone = one.quality == Quality::WITHDRAWN;
                match here.get(&one.phenomenon_time) {
                    Some(known) if known.result.to_bits() == one.result.to_bits() && (known.quality == Quality::WITHDRAWN) == is_gone => {
                        back.there_already += u64::from(!is_gone);
                    }
                    Some(known) if known.received_at >= one.received_at => back.newer_here += 1,
                    known => {
                        match known {
                            Some(_) => back.revised += 1,
                            None => back.accepted += u64::from(!is_gone),
                        }
                        let is_later = |earlier: &&Observation| known.is_none_or(|known| earlier.received_at > known.received_at);
                        kept.extend(before.iter().filter(is_later));
                        kept.push(*one);
                    }
                }
            }
        }
        Ok(kept)
    }
}

/// What was replaced, by datastream and time, in the order in which it was: of the file beside a month's observations, if it is there.
type ReplacedBy = HashMap<(Arc<str>, Timestamp), Vec<Observation>>;

fn replaced_beside(path: &Path) -> Result<ReplacedBy, Error> {
    let (mut found, beside) = (ReplacedBy::new(), path.with_file_name("replaced.parquet"));
    if path.file_name().is_none_or(|name| name != "observations.parquet") || !beside.exists() {
        return Ok(found);
    }
    compare(&beside, Kind::Replaced)?;
    let mut reader = Reader::open(&beside, Kind::Replaced)?;
    loop {
        let rows = reader.next()?;
        if rows.is_empty() {
            return Ok(found);
        }
        for Row { about, observation, .. } in rows {
            found.entry((about.datastream.clone(), observation.phenomenon_time)).or_default().push(observation);
        }
    }
}

fn unknown(registry: &store::Registry, key: &str) -> String {
    let keys = registry.datastreams().map(|datastream| datastream.key.as_str());
    let near = store::nearest(key, keys).map_or_else(String::new, |near| format!(" (\"{near}\" is known)"));
    format!("it names the datastream \"{key}\", which nobody knows here{near}; apply the network file that describes it first")
}
