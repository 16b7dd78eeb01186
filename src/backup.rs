//! `pescaia backup`, `pescaia restore`, `pescaia verify`: the store as one file, and back.

use crate::cli::{At, VerifyOptions};
use crate::control::{self, Answer, Request};
use crate::history::Line;
use crate::say;
use crate::target::{Before, Target};
use analytics::archive::Archive;
use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use std::fs::File;
use std::io::IsTerminal;
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};
use store::{Checked, Progress, Store};

/// Where nobody watches a bar, a line this often.
const SPEAK: Duration = Duration::from_secs(10);

pub(crate) fn backup_command(file: &Path, at: &At) -> anyhow::Result<()> {
    anyhow::ensure!(file != Path::new("-"), "a backup is read back before it counts, so it needs a file; write ./- for one of that name");
    let dir = at.data_dir()?;
    anyhow::ensure!(dir.join("store.db").exists(), "there is no store in {}; name another directory with --data", dir.display());
    let mut target = Target::open(file, Before::New)?;
    let mut telling = Telling::new();
    let answer = backup_to(&mut target, file, &dir, &mut |line| telling.line(&line));
    telling.end();
    let lines = match answer? {
        Answer::Lines(lines) => lines,
        // Nothing is wrong with the configuration: a backup failed.
        Answer::Wrong(wrong) => anyhow::bail!(wrong.join("\n")),
    };
    if target.whole().is_none() {
        // The pipe may be the standard output, and holds the backup.
        lines.iter().for_each(|line| say::error(line));
        return Ok(());
    }
    settle(target)?;
    crate::apply::tell(Answer::Lines(lines))
}

/// Has the backup made, by the instance that runs or without one.
fn backup_to(target: &mut Target, file: &Path, dir: &Path, line: &mut dyn FnMut(Line)) -> anyhow::Result<Answer> {
    let whole = target.whole().map_or_else(|| std::path::absolute(file), |whole| Ok(whole.to_owned()))?;
    let request = Request::Backup { file: whole.clone() };
    let directory = match target.whole() {
        Some(whole) => Some(File::open(whole.parent().unwrap_or(Path::new("/")))?),
        None => None,
    };
    let own = target.file().try_clone()?;
    let along: Vec<_> = [Some(own.as_fd()), directory.as_ref().map(AsFd::as_fd)].into_iter().flatten().collect();
    if let Some(answer) = control::long_with(dir, &request, &along, line)? {
        return Ok(answer);
    }
    let along = std::iter::once(own).chain(directory).collect();
    control::on_store(dir, |store| Ok(carry_out_into(store, &whole, along, line)))
}

/// The file is where it was asked for, and sound; or it is not there and this fails.
fn settle(target: Target) -> anyhow::Result<()> {
    let (Some(part), Some(whole)) = (target.part().map(Path::to_owned), target.whole().map(Path::to_owned)) else { return Ok(()) };
    if std::fs::metadata(&part)?.len() == 0 {
        // The instance sees the same directory, and has put it there itself.
        anyhow::ensure!(whole.is_file(), "the backup is not in {}, although the running pescaia says so", whole.display());
        return Ok(());
    }
    let checked = store::check(&part, &mut |_, _| ())?;
    if let Some(damage) = checked.damage.first() {
        anyhow::bail!("what was written for {} is not sound: {damage}", whole.display());
    }
    target.finish()
}

/// Makes the backup `file`. Where this process sees its directory as who asked does, it is written there; else it is made beside the store
/// and its bytes go into the first of the descriptors `along`.
pub(crate) fn carry_out_into(store: &Store, file: &Path, along: Vec<File>, line: &mut dyn FnMut(Line)) -> Answer {
    let mut along = along.into_iter();
    let (out, directory) = (along.next(), along.next());
    let Some(mut out) = out else { return carry_out(store, &Request::Backup { file: file.to_owned() }, line) };
    if directory.as_ref().is_some_and(|directory| is_seen(file, directory)) {
        return carry_out(store, &Request::Backup { file: file.to_owned() }, line);
    }
    let Some(own) = store.dir().map(|dir| dir.join("backup.tmp")) else {
        return Answer::Wrong(vec!["a store in memory has no backup".into()]);
    };
    let _ = std::fs::remove_file(&own);
    let started = Instant::now();
    let made = store.backup(&own, &mut |progress| line(Line::from(progress))).map_err(|cause| cause.to_string());
    let copied = made.and_then(|checked| {
        let copied = File::open(&own).and_then(|mut from| std::io::copy(&mut from, &mut out));
        let synced = copied.and_then(|_| if directory.is_some() { out.sync_all() } else { Ok(()) });
        synced.map(|()| checked).map_err(|cause| format!("{} can't be written: {cause}", file.display()))
    });
    let _ = std::fs::remove_file(&own);
    let checked = match copied {
        Ok(checked) => checked,
        Err(cause) => return Answer::Wrong(vec![cause]),
    };
    // What lies beside a backup is reached through the open directory, as far as this user may.
    let beside = match &directory {
        Some(directory) => {
            let name = file.file_name().unwrap_or_default();
            let path = Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join(name);
            crate::delete::keep_beside(store, &path).and_then(|()| Ok(copy_months(store, &path)?))
        }
        None => lies_beside(store).map(|_| None),
    };
    let mut lines = vec![format!("backed up into {}", file.display())];
    lines.extend(words(&checked));
    match beside {
        Ok(None) => {}
        Ok(Some(line)) => lines.push(line),
        Err(cause) => {
            return Answer::Wrong(vec![format!(
                "what belongs beside the backup can't be put there: {cause:#}; name a directory that the user of the service may write"
            )]);
        }
    }
    let s = started.elapsed().as_secs_f64();
    lines.push(format!("written in {s:.1} s; all that was acknowledged up to commit {} is in it", checked.commit));
    Answer::Lines(lines)
}

/// A pipe has no beside.
fn lies_beside(store: &Store) -> anyhow::Result<()> {
    anyhow::ensure!(
        store.tombstones()?.is_empty() && store.archived()?.is_empty(),
        "months that were put away, and the list of deletions, lie beside a backup, and a pipe or device has no such place; name a file"
    );
    Ok(())
}

/// Whether the directory of `file` is, for this process too, the one that was opened, and may be written.
fn is_seen(file: &Path, directory: &File) -> bool {
    let Some(dir) = file.parent() else { return false };
    let same = |one: &std::fs::Metadata, other: &std::fs::Metadata| (one.dev(), one.ino()) == (other.dev(), other.ino());
    let is_same = std::fs::metadata(dir).is_ok_and(|own| directory.metadata().is_ok_and(|other| same(&own, &other)));
    is_same && rustix::fs::access(dir, rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK).is_ok()
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
