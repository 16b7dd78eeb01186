//! Everything that a store holds, in open formats: a Parquet file for each month and one JSON file, and back to the same checksums.

use super::export::{digest_now, export, make_private, names, place};
use super::{Archive, BroughtBack};
use crate::Error;
use model::UtcMonth;
use serde::{Deserialize, Serialize};
use std::path::Path;
use store::{Archived, Described};

/// The JSON file beside the months.
const NAME: &str = "pescaia.json";
const FORMAT: u32 = 1;

/// What the JSON file says.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Everything {
    /// Of this file; 1.
    pub format: u32,
    /// RFC 3339.
    pub written_at: String,
    pub months: Vec<Archived>,
    #[serde(flatten)]
    pub described: Described,
}

/// What came of taking everything in.
#[derive(Debug, Clone, Default)]
pub struct Imported {
    /// Entries of the network that were not known, e.g. `station empoli`.
    pub added: Vec<String>,
    pub total: BroughtBack,
    /// Months that the store now says as the files do, checksum by checksum.
    pub equal: usize,
    /// Months that it says otherwise: it held, or deleted, something of them before.
    pub different: Vec<UtcMonth>,
}

impl Archive {
    /// Writes everything into an empty or new directory, which only its owner reads. Not the tokens, the quarantine, the ledger and the
    /// audit: those are in a backup. All of it is synced when it returns.
    ///
    /// # Errors
    /// [`Error::File`] names the file, also when the directory is not empty; [`Error::Store`] when something can't be read: then there is
    /// no JSON file.
    pub fn export_all(&self, to: &Path, telling: &dyn Fn(UtcMonth)) -> Result<Everything, Error> {
        let _one_at_a_time = self.lock()?;
        let failed = |what: String| Error::File { path: to.display().to_string(), what };
        make_private(to).map_err(|cause| failed(cause.to_string()))?;
        if std::fs::read_dir(to).map_err(|cause| failed(cause.to_string()))?.next().is_some() {
            return Err(failed("it is not empty; name a new directory".into()));
        }
        let written_at = self.store.clock().now().to_string();
        let trimmed = self.store.trimmed_months();
        let archived = self.store.archived()?;
        let mut months = Vec::new();
        for month in self.store.months().into_iter().chain(trimmed.iter().copied()).collect::<std::collections::BTreeSet<_>>() {
            telling(month);
            self.is_whole(month, archived.get(&month), &trimmed)?;
            if let Some(staged) = export(&self.store, &self.dir, to, month)? {
                staged.put_in_place()?;
                months.push(staged.archived);
            }
        }
        let everything = Everything { format: FORMAT, written_at, months, described: self.store.described()? };
        write_json(&to.join(NAME), &everything).map_err(|cause| failed(format!("{NAME}: {cause}")))?;
        Ok(everything)
    }

    /// Takes in what [`Archive::export_all`] wrote, then compares. What is here already stays; twice is once.
    ///
    /// # Errors
    /// [`Error::File`] names what is missing, damaged or of a newer format: nothing of a month is taken in before its file was read to
    /// its end and compared.
    pub fn import_all(&self, from: &Path, days: u32, telling: &dyn Fn(UtcMonth)) -> Result<Imported, Error> {
        let path = from.join(NAME);
        let failed = |what: String| Error::File { path: path.display().to_string(), what };
        let bytes = std::fs::read(&path)
            .map_err(|cause| failed(format!("it can't be read: {cause}; is this a directory of pescaia export --all?")))?;
        let Head { format } = serde_json::from_slice(&bytes).map_err(|cause| failed(format!("it is no export of everything: {cause}")))?;
        if format > FORMAT {
            return Err(failed(format!("its format is {format}, and this pescaia reads {FORMAT}; take a newer pescaia")));
        }
        let everything: Everything = serde_json::from_slice(&bytes).map_err(|cause| failed(format!("it is damaged: {cause}")))?;
        for known in &everything.months {
            let Some(month) = UtcMonth::parse(&known.month) else { return Err(failed(format!("it names a month {}", known.month))) };
            let file = &names(&place(from, month))[0].0;
            if super::file::sha256_of(file)? != known.sha256 {
                let what = "its bytes are not those that were written; nothing was taken in".into();
                return Err(Error::File { path: file.display().to_string(), what });
            }
        }
        let mut imported = Imported { added: self.store.take_in(&everything.described)?, ..Imported::default() };
        for known in &everything.months {
            let Some(month) = UtcMonth::parse(&known.month) else { continue };
            telling(month);
            let back = self.bring_back(&names(&place(from, month))[0].0, days, &mut |_, _| ())?;
            let total = &mut imported.total;
            total.rows += back.rows;
            total.accepted += back.accepted;
            total.there_already += back.there_already;
            total.revised += back.revised;
            total.deleted += back.deleted;
            total.newer_here += back.newer_here;
            total.datastreams = total.datastreams.max(back.datastreams);
            if digest_now(&self.store, &self.dir, month)?.as_ref() == Some(&known.digest) {
                imported.equal += 1;
            } else {
                imported.different.push(month);
            }
        }
        Ok(imported)
    }
}

#[derive(Deserialize)]
struct Head {
    format: u32,
}

fn write_json(path: &Path, everything: &Everything) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let part = path.with_extension("json.part");
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
    let mut out = std::io::BufWriter::new(file);
    serde_json::to_writer_pretty(&mut out, everything)?;
    out.into_inner().map_err(std::io::IntoInnerError::into_error)?.sync_all()?;
    store::put_in_place(&part, path)
}
