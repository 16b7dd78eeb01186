//! `pescaia backup`, `pescaia restore`, `pescaia verify`: the store as one file, and back.

use crate::cli::{At, VerifyOptions};
use crate::control::{self, Answer, Request};
use crate::history::Line;
use crate::say;
use analytics::archive::Archive;
use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use store::{Checked, Progress, Store};

/// Where nobody watches a bar, a line this often.
const SPEAK: Duration = Duration::from_secs(10);

pub(crate) fn backup_command(file: &Path, at: &At) -> anyhow::Result<()> {
    anyhow::ensure!(file != Path::new("-"), "a backup is read back before it counts, so it needs a file; write ./- for one of that name");
    let dir = at.data_dir()?;
    anyhow::ensure!(dir.join("store.db").exists(), "there is no store in {}; name another directory with --data", dir.display());
    // The running instance may stand in another directory.
    let request = Request::Backup { file: std::path::absolute(file)? };
    let mut telling = Telling::new();
    let answer = control::long(&dir, &request, &mut |line| telling.line(&line));
    telling.end();
    crate::apply::tell(answer?)
}

pub(crate) fn restore_command(file: &Path, at: &At) -> anyhow::Result<()> {
    let dir = at.data_dir()?;
    let file = std::path::absolute(file)?;
    anyhow::ensure!(file.is_file(), "there is no file {}", file.display());
    let mut telling = Telling::new();
    let answer = if dir.join("store.db").exists() {
        let answer = control::long(&dir, &Request::Restore { file, who: crate::correct::person() }, &mut |line| telling.line(&line));
        telling.end();
        answer?
    } else {
        let restored = store::restore_into(&dir, &file, &mut |progress| telling.line(&Line::from(progress)));
        telling.end();
        let checked = restored.with_context(|| format!("nothing was restored into {}", dir.display()))?;
        let mut lines = vec![format!("restored {} into {}", file.display(), dir.display())];
        lines.extend(words(&checked));
        lines.extend(control::on_store(&dir, |store| months_back(store, &file))?);
        let deleted = crate::delete::read_beside(&file)?;
        if !deleted.is_empty() {
            let again = control::on_store(&dir, |store| Ok(store.delete_again(&deleted)?))?;
            lines.push(format!("{again} observations that were deleted since the backup are deleted again"));
        }
        lines.push("start it with: pescaia run --config FILE, whose data_dir is this directory".into());
        Answer::Lines(lines)
    };
    crate::apply::tell(answer)
}

pub(crate) fn verify_command(options: &VerifyOptions) -> anyhow::Result<()> {
    let path = options.database()?;
    let started = Instant::now();
    let mut telling = Telling::new();
    let checked = store::check(&path, &mut |datastreams, of| telling.line(&Line::from(Progress::Read { datastreams, of })));
    telling.end();
    let checked = checked?;
    let mut lines = vec![path.display().to_string()];
    lines.extend(words(&checked));
    if checked.is_sound() {
        lines.push(format!("every byte was read in {:.1} s: it is sound", started.elapsed().as_secs_f64()));
        return crate::apply::tell(Answer::Lines(lines));
    }
    lines.iter().for_each(|line| say::line(line));
    let mut wrong = checked.damage;
    if checked.more_damage > 0 {
        wrong.push(format!("… and {} more", checked.more_damage));
    }
    wrong.push("it is damaged: what is named is not served, the rest is; take in a sound backup with: pescaia restore FILE".into());
    Err(say::Failures(wrong).into())
}

/// Does what is asked on an open store.
pub(crate) fn carry_out(store: &Store, request: &Request, line: &mut dyn FnMut(Line)) -> Answer {
    let started = Instant::now();
    let mut progress = |progress| line(Line::from(progress));
    match request {
        Request::Backup { file } => match store.backup(file, &mut progress) {
            Ok(checked) => {
                if let Err(cause) = crate::delete::keep_beside(store, file) {
                    return Answer::Wrong(vec![format!("the backup {} is whole, but {cause:#}", file.display())]);
                }
                let mut lines = vec![format!("backed up into {}", file.display())];
                lines.extend(words(&checked));
                match copy_months(store, file) {
                    Ok(None) => {}
                    Ok(Some(line)) => lines.push(line),
                    Err(cause) => {
                        return Answer::Wrong(vec![format!(
                            "the backup {} is whole, but a month that was put away is not with it: {cause}",
                            file.display()
                        )]);
                    }
                }
                let s = started.elapsed().as_secs_f64();
                lines.push(format!(
                    "written, synced and read back in {s:.1} s; all that was acknowledged up to commit {} is in it",
                    checked.commit
                ));
                Answer::Lines(lines)
            }
            Err(cause) => Answer::Wrong(vec![cause.to_string()]),
        },
        Request::Restore { file, who } => match store.merge(file, who, &mut progress) {
            Ok(merged) => {
                let mut lines = vec![format!("took in {}", file.display())];
                lines.extend(words(&merged.backup));
                match crate::delete::read_beside(file).and_then(|deleted| Ok(store.delete_again(&deleted)?)) {
                    Ok(0) => {}
                    Ok(again) => lines.push(format!("{again} observations that were deleted since the backup are deleted again")),
                    Err(cause) => return Answer::Wrong(vec![format!("{cause:#}")]),
                }
                match months_back(store, file) {
                    Ok(line) => lines.extend(line),
                    Err(cause) => return Answer::Wrong(vec![format!("{cause:#}")]),
                }
                let beside = months_beside(file);
                if beside.is_dir() {
                    let example = beside.join("month=YYYY-MM/observations.parquet");
                    lines.push(format!(
                        "what the backup held only in months that were put away comes in with: pescaia import {}",
                        example.display()
                    ));
                }
                lines.extend(merged.added.iter().map(|entry| format!("+ {entry}")));
                lines.push(format!(
                    "{} observations taken in, {} revised by later values of the backup, {} there already, {} with a later value here that stays, {} deleted here since; {} gaps",
                    merged.accepted, merged.revised, merged.there_already, merged.newer_here, merged.deleted, merged.gaps
                ));
                if merged.former > 0 || merged.payloads > 0 {
                    lines.push(format!(
                        "{} earlier changes of the network, for those who look back; {} raw payloads",
                        merged.former, merged.payloads
                    ));
                }
                if merged.lines > 0 || merged.quarantined > 0 || merged.audited > 0 {
                    lines.push(format!(
                        "{} refused messages wait here too, {} lines of the ledger are as the backup had them; {} entries of its audit are told beside this one's",
                        merged.quarantined, merged.lines, merged.audited
                    ));
                }
                if merged.quarantined_left > 0 {
                    lines.push(format!(
                        "{} refused messages stay in the backup: this store heard as much of their days itself and has mended them or let them go, or has no room for them; to read or replay them, restore it into a directory of its own",
                        merged.quarantined_left
                    ));
                }
                Answer::Lines(lines)
            }
            Err(cause) => Answer::Wrong(vec![cause.to_string()]),
        },
        _ => Answer::Wrong(vec!["this is not a long command".into()]),
    }
}

/// Months that were put away lie beside the backups, once for all of them.
fn months_beside(file: &Path) -> PathBuf {
    file.with_file_name("pescaia-parquet")
}

fn copy_months(store: &Store, file: &Path) -> Result<Option<String>, analytics::Error> {
    let (Some(archive), all) = (Archive::of(store)?, store.archived()?.len()) else { return Ok(None) };
    if all == 0 {
        return Ok(None);
    }
    let beside = months_beside(file);
    let copied = archive.copy_to(&beside)?;
    Ok(Some(format!("  {all} months that were put away lie in {}, {copied} of them copied now", beside.display())))
}

/// Gives a store that was restored the months that lie beside the backup.
fn months_back(store: &Store, file: &Path) -> anyhow::Result<Option<String>> {
    let Some(archive) = Archive::of(store)? else { return Ok(None) };
    if store.archived()?.is_empty() {
        return Ok(None);
    }
    let beside = months_beside(file);
    anyhow::ensure!(
        beside.is_dir() || store.trimmed_months().is_empty(),
        "some months lie only in Parquet files, and {} is not there; put the directory that lay beside the backup beside it, and restore again",
        beside.display()
    );
    if !beside.is_dir() {
        return Ok(None);
    }
    let copied = archive.copy_from(&beside)?;
    Ok(Some(format!("{copied} months that were put away are back from {}", beside.display())))
}

fn words(checked: &Checked) -> Vec<String> {
    let Checked { commit, observations, datastreams, replaced, bytes, digest, .. } = checked;
    #[expect(clippy::cast_precision_loss, reason = "megabytes for a person")]
    let megabytes = *bytes as f64 / 1e6;
    vec![
        format!(
            "  up to commit {commit}: {observations} observations of {datastreams} datastreams, {replaced} replaced values; {megabytes:.1} MB"
        ),
        format!("  SHA-256 of the observations: {digest}"),
    ]
}

impl From<Progress> for Line {
    fn from(progress: Progress) -> Self {
        match progress {
            Progress::Copied { bytes, of } => Self::Copied { bytes, of },
            Progress::Read { datastreams, of } => Self::Read { datastreams, of },
        }
    }
}

/// Shows how it goes: a bar for who watches, a line now and then for a log.
struct Telling {
    bar: Option<ProgressBar>,
    spoke: Instant,
}

impl Telling {
    fn new() -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:40} {percent:>3} %  {msg}");
            ProgressBar::new(100).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar, spoke: Instant::now() }
    }

    fn line(&mut self, line: &Line) {
        let (done, of, what) = match line {
            Line::Copied { bytes, of } => (*bytes, *of, "copying"),
            Line::Read { datastreams, of } => (*datastreams, *of, "reading"),
            _ => return,
        };
        match &self.bar {
            Some(bar) => {
                bar.set_length(of);
                bar.set_position(done);
                bar.set_message(what);
            }
            None if self.spoke.elapsed() >= SPEAK => {
                self.spoke = Instant::now();
                say::error(&format!("{what}: {} %", done.saturating_mul(100) / of.max(1)));
            }
            None => {}
        }
    }

    fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
