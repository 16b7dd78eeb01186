//! `pescaia archive`, and `pescaia import` of a month's file: months that were put away, and back.

use crate::cli::At;
use crate::control::{self, Answer, Request};
use crate::history::Line;
use crate::say;
use analytics::archive::{Archive, BroughtBack};
use std::path::Path;
use store::{Archived, Store};

pub(crate) fn archive_command(now: bool, check: bool, at: &At) -> anyhow::Result<()> {
    let dir = at.data_dir()?;
    anyhow::ensure!(dir.join("store.db").exists(), "there is no store in {}; name another directory with --data", dir.display());
    crate::apply::tell(control::long(&dir, &Request::Archive { now, check }, &mut say_month("writing"))?)
}

pub(crate) fn bring_back_command(file: &Path, days: u32, at: &At) -> anyhow::Result<()> {
    let (dir, file) = (at.data_dir()?, std::path::absolute(file)?);
    anyhow::ensure!(file.is_file(), "there is no file {}", file.display());
    let mut spoke = 0;
    let mut line = |line: Line| {
        if let Line::Progress { rows, bytes: of } = line {
            let percent = rows.saturating_mul(100) / of.max(1);
            if percent >= spoke + 10 {
                spoke = percent;
                say::error(&format!("{rows} of {of} rows"));
            }
        }
    };
    crate::apply::tell(control::long(&dir, &Request::BringBack { file, days }, &mut line)?)
}

pub(crate) fn export_all_command(dir: &Path, at: &At) -> anyhow::Result<()> {
    let (data, to) = (at.data_dir()?, std::path::absolute(dir)?);
    anyhow::ensure!(data.join("store.db").exists(), "there is no store in {}; name another directory with --data", data.display());
    crate::apply::tell(control::long(&data, &Request::ExportAll { dir: to }, &mut say_month("writing"))?)
}

pub(crate) fn import_all_command(dir: &Path, days: u32, at: &At) -> anyhow::Result<()> {
    let (data, from) = (at.data_dir()?, std::path::absolute(dir)?);
    crate::apply::tell(control::long(&data, &Request::ImportAll { dir: from, days }, &mut say_month("taking in"))?)
}

fn say_month(doing: &'static str) -> impl FnMut(Line) {
    move |line| {
        if let Line::Month { month } = line {
            say::error(&format!("{doing} {month}"));
        }
    }
}

/// Everything into a new directory.
pub(crate) fn export_all(store: &Store, dir: &Path, line: &mut dyn FnMut(Line)) -> Answer {
    let line = std::cell::RefCell::new(line);
    with_archive(store, |archive| {
        let everything = archive.export_all(dir, &|month| (line.borrow_mut())(Line::Month { month: month.to_string() }))?;
        let observations: u64 = everything.months.iter().map(|month| month.observations).sum();
        let replaced: u64 = everything.months.iter().map(|month| month.replaced).sum();
        let described = &everything.described;
        Ok(vec![
            format!(
                "{observations} observations and {replaced} replaced values of {} months, each file read back and compared",
                everything.months.len()
            ),
            format!(
                "{} entries of the network, {} gaps, {} deletions in {}",
                described.network.len(),
                described.gaps.len(),
                described.deletions.len(),
                dir.join("pescaia.json").display()
            ),
            "not in it: tokens, the quarantine, the ledger, the audit; pescaia backup has those".into(),
        ])
    })
}

/// Everything back, and compared.
pub(crate) fn import_all(store: &Store, dir: &Path, days: u32, line: &mut dyn FnMut(Line)) -> Answer {
    let line = std::cell::RefCell::new(line);
    with_archive(store, |archive| {
        let imported = archive.import_all(dir, days, &|month| (line.borrow_mut())(Line::Month { month: month.to_string() }))?;
        let mut lines: Vec<String> = imported.added.iter().map(|entry| format!("+ {entry}")).collect();
        let total = &imported.total;
        lines.push(format!(
            "{} rows: {} taken in, {} there already, {} revised, {} with a later value here that stays, {} deleted since and left so",
            total.rows, total.accepted, total.there_already, total.revised, total.newer_here, total.deleted
        ));
        lines.push(format!("{} months have the checksum that was written", imported.equal));
        if !imported.different.is_empty() {
            let months: Vec<String> = imported.different.iter().map(ToString::to_string).collect();
            lines.push(format!("{} differ, for this store held or deleted something of them: {}", months.len(), months.join(", ")));
        }
        Ok(lines)
    })
}

fn with_archive(store: &Store, work: impl FnOnce(&Archive) -> Result<Vec<String>, analytics::Error>) -> Answer {
    let done = match Archive::of(store) {
        Ok(Some(archive)) => work(&archive),
        Ok(None) => return Answer::Wrong(vec!["this store has no directory".into()]),
        Err(cause) => Err(cause),
    };
    match done {
        Ok(lines) => Answer::Lines(lines),
        Err(cause) => Answer::Wrong(vec![cause.to_string()]),
    }
}

/// Says which months are put away; `now` puts away what is due before, `check` reads every byte of their files.
pub(crate) fn archive(store: &Store, (now, check): (bool, bool), line: &mut dyn FnMut(Line)) -> Answer {
    match lines(store, now, check, line) {
        Ok((lines, wrong)) if wrong.is_empty() => Answer::Lines(lines),
        Ok((lines, wrong)) => Answer::Wrong(lines.into_iter().chain(wrong).collect()),
        Err(cause) => Answer::Wrong(vec![cause.to_string()]),
    }
}

fn lines(store: &Store, now: bool, check: bool, line: &mut dyn FnMut(Line)) -> Result<(Vec<String>, Vec<String>), analytics::Error> {
    let Some(archive) = Archive::of(store)? else { return Ok((Vec::new(), Vec::new())) };
    let (mut lines, mut wrong) = (Vec::new(), Vec::new());
    if now {
        let line = std::cell::RefCell::new(line);
        let kept = archive.keep(&|month| (line.borrow_mut())(Line::Month { month: month.to_string() }))?;
        lines.push(format!("{} months written, read back and compared", kept.written.len()));
        lines.extend(kept.trimmed.iter().map(|(month, went)| format!("{went} observations of {month} now lie only in its file")));
        wrong.extend(kept.failed.iter().map(|(month, cause)| format!("{month} could not be put away and stays in the store: {cause}")));
    }
    for (month, file) in store.archived()? {
        let Archived { observations, datastreams, bytes, replaced, .. } = file;
        let place = archive.place(month);
        lines.push(format!(
            "{month}  {observations} observations of {datastreams} datastreams, {replaced} replaced values, {} kB, SHA-256 {}",
            bytes.div_ceil(1000),
            file.sha256
        ));
        if !place.join("observations.parquet").exists() {
            wrong.push(format!("{} is gone; put it back from a backup (pescaia-parquet beside it)", place.display()));
        }
    }
    if check {
        let found = archive.check()?;
        if found.is_empty() {
            lines.push("every byte of them was read: they are as they were compared".into());
        }
        wrong.extend(found);
    }
    if lines.is_empty() {
        lines.push("no month is put away yet; each is a day after its end".into());
    }
    Ok((lines, wrong))
}

/// Takes a month's file into the store.
pub(crate) fn bring_back(store: &Store, file: &Path, days: u32, line: &mut dyn FnMut(Line)) -> Answer {
    with_archive(store, |archive| {
        let BroughtBack { rows, accepted, there_already, revised, deleted, newer_here, datastreams, months } =
            archive.bring_back(file, days, &mut |rows, of| line(Line::Progress { rows, bytes: of }))?;
        let months: Vec<String> = months.iter().map(ToString::to_string).collect();
        Ok(vec![
            format!(
                "{rows} rows of {datastreams} datastreams, {}: {accepted} taken in, {there_already} there already, {revised} revised, {newer_here} with a later value here that stays, {deleted} deleted since and left so",
                months.join(", ")
            ),
            "every row was compared with the checksum that the file carries".into(),
            format!("they stay for {days} days, whatever keep_months says"),
        ])
    })
}
