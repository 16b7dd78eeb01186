//! Commands beside a running instance: a Unix socket in the data directory, for its owner only. One line of JSON asks, the bytes of
//! an import follow it; lines of JSON answer, the last of them says how it ended.

use crate::cli::At;
use crate::correct::{self, CorrectOrder};
use crate::delete::DeleteOrder;
use crate::history::{self, ExportOrder, ImportOrder, Line};
use crate::proposals::{self, AdoptOrder};
use crate::quarantine::{self, Choice, LedgerOrder, RedecodeOrder, ReplayOrder};
use crate::token;
use anyhow::Context;
use ingest::bind::Limits;
use ingest::meters::Meters;
use ingest::pipeline::Intake;
use ingest::source::guard::AcceptFailures;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufRead, BufReader, BufWriter, Read, Seek, Write};
use std::net::Shutdown;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::os::unix::net::UnixStream as Blocking;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use store::{Complaint, Reason, Settings, Store, load_network};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

mod descriptors;

/// Bytes; a pattern is a part of it.
const LONGEST_REQUEST: u64 = 1 << 20;

/// How long a command may take to say what it wants.
const REQUEST_PATIENCE: Duration = Duration::from_secs(10);

/// What a command asks of the store.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Request {
    TokenNew(token::NewOrder),
    TokenList {
        json: bool,
    },
    TokenRevoke {
        id: String,
    },
    NetworkApply {
        files: Vec<PathBuf>,
        dry_run: bool,
        /// Every change is told.
        #[serde(default)]
        all: bool,
        /// Who changes it, and why.
        #[serde(default)]
        reason: Reason,
    },
    QuarantineList(Choice),
    QuarantineShow {
        number: u64,
    },
    QuarantineReplay(ReplayOrder),
    Ledger(LedgerOrder),
    Redecode(RedecodeOrder),
    Correct(CorrectOrder),
    Delete(DeleteOrder),
    Audit,
    /// The clock is right as it is.
    ClockTrust,
    Influx {
        again: bool,
    },
    Archive {
        now: bool,
        check: bool,
    },
    /// A month's file into the store.
    BringBack {
        file: PathBuf,
        days: u32,
    },
    ExportAll {
        dir: PathBuf,
    },
    ImportAll {
        dir: PathBuf,
        days: u32,
    },
    /// What in the network can't stand.
    NetworkFaults,
    Proposals,
    Adopt(AdoptOrder),
    Adopted,
    Import(ImportOrder),
    Export(ExportOrder),
    /// With two descriptors along, where there is an instance: where the bytes may be written, and the directory in which the file is to
    /// be. Only the command sees for certain what its user means by a path.
    Backup {
        file: PathBuf,
    },
    Restore {
        file: PathBuf,
        who: String,
    },
}

impl Request {
    fn takes_long(&self) -> bool {
        use Request::{Archive, Backup, BringBack, ExportAll, ImportAll, Restore};
        matches!(self, Backup { .. } | Restore { .. } | Archive { .. } | BringBack { .. } | ExportAll { .. } | ImportAll { .. })
    }
}

/// Lines for the terminal, or what is wrong.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Answer {
    Lines(Vec<String>),
    Wrong(Vec<String>),
}

fn socket(dir: &Path) -> PathBuf {
    dir.join("control.sock")
}

/// What the address of a Unix socket may hold.
const LONGEST_ADDRESS: usize = 107;

/// The socket by a path that is short enough for its address, and what must be held open as long as that path is used.
fn short(dir: &Path) -> std::io::Result<(PathBuf, Option<File>)> {
    let path = socket(dir);
    if path.as_os_str().len() <= LONGEST_ADDRESS {
        return Ok((path, None));
    }
    let held = File::open(dir)?;
    Ok((PathBuf::from(format!("/proc/self/fd/{}/control.sock", held.as_raw_fd())), Some(held)))
}

/// A connection to the instance that runs on `dir`.
///
/// # Errors
/// The operating system's, when there is none.
pub(crate) fn connect(dir: &Path) -> std::io::Result<Blocking> {
    let (path, _held) = short(dir)?;
    Blocking::connect(path)
}

/// Does what is asked on an open store.
fn carry_out(intake: &Intake, request: &Request) -> Answer {
    let store = intake.store();
    let wrong = |complaints: Vec<Complaint>| Answer::Wrong(complaints.iter().map(ToString::to_string).collect());
    match request {
        Request::TokenNew(order) => token::make(store, order),
        Request::TokenList { json } => token::lines(store, *json),
        Request::TokenRevoke { id } => token::take_back(store, id),
        Request::NetworkApply { files, dry_run, all, reason } => {
            let network = match load_network(files) {
                Ok(network) => network,
                Err(complaints) => return wrong(complaints),
            };
            match if *dry_run { store.preview(&network) } else { store.apply_as(&network, reason) } {
                Ok(changes) if changes.is_empty() => Answer::Lines(vec!["no change".into()]),
                Ok(changes) => Answer::Lines(crate::apply::lines(&changes, *all)),
                Err(complaints) => wrong(complaints),
            }
        }
        Request::QuarantineList(choice) => quarantine::list(store, choice),
        Request::QuarantineShow { number } => quarantine::show(store, *number),
        Request::QuarantineReplay(order) => quarantine::replay(intake, order),
        Request::Ledger(order) => quarantine::ledger(store, order),
        Request::Redecode(order) => quarantine::redecode(intake, order),
        Request::Correct(order) => correct::correct(intake, order),
        Request::Delete(order) => crate::delete::delete(intake, order),
        Request::Influx { again } => crate::influx::influx(store, *again),
        Request::ClockTrust => match store.trust_clock() {
            Ok(()) => Answer::Lines(vec![format!("{} counts as right from now on", store.clock().now())]),
            Err(cause) => Answer::Wrong(vec![cause.to_string()]),
        },
        Request::Audit => correct::audit(intake),
        Request::NetworkFaults => Answer::Lines(store.network_faults().iter().map(ToString::to_string).collect()),
        Request::Proposals => proposals::list(intake),
        Request::Adopt(order) => proposals::adopt(intake, order),
        Request::Adopted => proposals::adopted(intake),
        long if long.takes_long() => carry_out_long(store, request, &mut |_| ()),
        // Those that take long stand above.
        _ => Answer::Wrong(vec!["this command carries a file".into()]),
    }
}

/// What takes its time: `line` hears how far it is.
fn carry_out_long(store: &Store, request: &Request, line: &mut dyn FnMut(Line)) -> Answer {
    match request {
        Request::Archive { now, check } => crate::archive::archive(store, (*now, *check), line),
        Request::BringBack { file, days } => crate::archive::bring_back(store, file, *days, line),
        Request::ExportAll { dir } => crate::archive::export_all(store, dir, line),
        Request::ImportAll { dir, days } => crate::archive::import_all(store, dir, *days, line),
        _ => crate::backup::carry_out(store, request, line),
    }
}

/// What an instance says while it works; the last is always [`Reply::Done`].
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reply {
    Goes(Line),
    /// A piece of a file.
    Text(String),
    Done(Answer),
}

/// Asks the instance that runs on `dir`, or opens the store itself when none does.
pub(crate) fn ask(at: &At, request: &Request) -> anyhow::Result<Answer> {
    let dir = at.data_dir()?;
    let Ok(stream) = connect(&dir) else {
        let started = at.networks()?;
        return on_store(&dir, |store| {
            store.starts_with(&started);
            Ok(carry_out(&Intake::new(store.clone(), Limits::default(), Meters::default()), request))
        });
    };
    send(&stream, request)?;
    replies(stream, &mut |_| Ok(()))
}

/// As [`long`], with descriptors along, for the instance to write into. `None` when none runs.
pub(crate) fn long_with(dir: &Path, request: &Request, along: &[BorrowedFd], line: &mut dyn FnMut(Line)) -> anyhow::Result<Option<Answer>> {
    let Ok(stream) = connect(dir) else { return Ok(None) };
    let text = request_line(request)?;
    descriptors::send(&stream, text.as_bytes(), along)?;
    let answer = replies(stream, &mut |said| {
        if let Reply::Goes(said) = said {
            line(said);
        }
        Ok(())
    });
    answer.map(Some)
}

/// As [`ask`], for what takes its time: `line` hears how far it is.
pub(crate) fn long(dir: &Path, request: &Request, line: &mut dyn FnMut(Line)) -> anyhow::Result<Answer> {
    let Ok(stream) = connect(dir) else {
        return on_store(dir, |store| Ok(carry_out_long(store, request, line)));
    };
    send(&stream, request)?;
    replies(stream, &mut |said| {
        if let Reply::Goes(said) = said {
            line(said);
        }
        Ok(())
    })
}

/// As [`ask`], for an import: the bytes of `source` go along.
pub(crate) fn import(dir: &Path, order: ImportOrder, mut source: File, line: &mut dyn FnMut(Line)) -> anyhow::Result<Answer> {
    let Ok(stream) = connect(dir) else {
        return on_store(dir, |store| Ok(answer(history::import(store, &order, source, line))));
    };
    send(&stream, &Request::Import(order))?;
    let mut sending = stream.try_clone()?;
    // The instance may stop reading at a wrong header: what it says then is the answer.
    let sender = std::thread::spawn(move || {
        let _ = std::io::copy(&mut source, &mut sending);
        let _ = sending.shutdown(Shutdown::Write);
    });
    let outcome = replies(stream, &mut |said| {
        if let Reply::Goes(said) = said {
            line(said);
        }
        Ok(())
    });
    let _ = sender.join();
    outcome
}

/// As [`ask`], for an export into `out`.
pub(crate) fn export(dir: &Path, order: ExportOrder, out: &mut dyn Write) -> anyhow::Result<Answer> {
    let Ok(stream) = connect(dir) else {
        return on_store(dir, |store| history::export(store, &order, out).map(|()| Answer::Lines(Vec::new())));
    };
    send(&stream, &Request::Export(order))?;
    replies(stream, &mut |said| match said {
        Reply::Text(text) => Ok(out.write_all(text.as_bytes())?),
        _ => Ok(()),
    })
}

pub(crate) fn on_store<T>(dir: &Path, work: impl FnOnce(&Store) -> anyhow::Result<T>) -> anyhow::Result<T> {
    let store = Store::open(dir, Settings::default(), Arc::new(crate::clock::SystemClock::new()))
        .with_context(|| format!("the store in {} can't be opened", dir.display()))?;
    let outcome = work(&store);
    store.close_blocking();
    drop(store);
    give_back(dir);
    outcome
}

/// What root made in the directory of another user is given to that user: the service could not open it.
fn give_back(dir: &Path) {
    let Ok(owner) = std::fs::metadata(dir).map(|found| (found.uid(), found.gid())) else { return };
    if owner.0 == 0 || !rustix::process::geteuid().is_root() {
        return;
    }
    let mut folders = vec![dir.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = entry.path();
            let Ok(found) = std::fs::symlink_metadata(&path) else { continue };
            if found.uid() == 0
                && let Err(cause) = std::os::unix::fs::lchown(&path, Some(owner.0), Some(owner.1))
            {
                tracing::warn!(event = "not_given_back", path = %path.display(), %cause, "this file is root's, and the service can't open it");
            }
            if found.is_dir() {
                folders.push(path);
            }
        }
    }
}

fn request_line(request: &Request) -> anyhow::Result<String> {
    let mut line = serde_json::to_string(request)?;
    line.push('\n');
    Ok(line)
}

fn send(mut stream: &Blocking, request: &Request) -> anyhow::Result<()> {
    Ok(stream.write_all(request_line(request)?.as_bytes())?)
}

fn replies(stream: Blocking, each: &mut dyn FnMut(Reply) -> anyhow::Result<()>) -> anyhow::Result<Answer> {
    for line in BufReader::new(stream).lines() {
        let line = serde_json::from_str(&line?).context("the running pescaia answered something else; is it another version?")?;
        match line {
            Reply::Done(answer) => return Ok(answer),
            other => each(other)?,
        }
    }
    anyhow::bail!("the running pescaia ended before it had answered; what it had acknowledged is on disk, try again")
}

fn answer(outcome: Result<Vec<String>, Vec<Complaint>>) -> Answer {
    match outcome {
        Ok(lines) => Answer::Lines(lines),
        Err(complaints) => Answer::Wrong(complaints.iter().map(ToString::to_string).collect()),
    }
}

/// The socket of a running instance.
#[derive(Clone)]
pub(crate) struct Control {
    listener: Arc<UnixListener>,
    intake: Intake,
    path: PathBuf,
}

/// # Errors
/// The operating system's.
pub(crate) fn listen(intake: Intake, dir: &Path) -> anyhow::Result<Control> {
    let path = socket(dir);
    // The lock is ours, so a socket that is there is of an instance that died.
    let _ = std::fs::remove_file(&path);
    let (address, _held) = short(dir)?;
    let listener = UnixListener::bind(address).with_context(|| format!("{} can't be made", path.display()))?;
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600))?;
    Ok(Control { listener: Arc::new(listener), intake, path })
}

impl Control {
    pub(crate) async fn serve(self, mut stop: watch::Receiver<bool>) {
        let mut failures = AcceptFailures::default();
        loop {
            let accepted = tokio::select! {
                _ = stop.wait_for(|stop| *stop) => break,
                accepted = self.listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _)) => {
                    failures.over();
                    tokio::spawn(one(self.intake.clone(), stream));
                }
                Err(cause) => {
                    let (pause, is_told) = failures.another(&cause, tokio::time::Instant::now());
                    if is_told {
                        tracing::warn!(event = "control_accept", %cause, "commands can't reach this pescaia; if descriptors have run out, raise the service's limit of open files (LimitNOFILE)");
                    }
                    tokio::time::sleep(pause).await;
                }
            }
        }
        let _ = std::fs::remove_file(&self.path);
    }
}

async fn one(intake: Intake, stream: UnixStream) -> anyhow::Result<()> {
    let stream = stream.into_std()?;
    stream.set_nonblocking(false)?;
    tokio::task::spawn_blocking(move || serve_one(&intake, &stream)).await?
}

fn serve_one(intake: &Intake, stream: &Blocking) -> anyhow::Result<()> {
    let store = intake.store();
    let (first, along) = descriptors::receive(stream)?;
    let mut source = BufReader::new(std::io::Cursor::new(first).chain(stream.try_clone()?));
    let mut text = String::new();
    // Who connects and never asks must not keep a thread; the file behind an import may come as slowly as it likes.
    stream.set_read_timeout(Some(REQUEST_PATIENCE))?;
    source.by_ref().take(LONGEST_REQUEST).read_line(&mut text)?;
    stream.set_read_timeout(None)?;
    let mut out = BufWriter::new(stream);
    let mut say = |reply: &Reply| -> anyhow::Result<()> {
        serde_json::to_writer(&mut out, reply)?;
        out.write_all(b"\n")?;
        Ok(out.flush()?)
    };
    let done = match serde_json::from_str::<Request>(&text) {
        // A command that is gone does not stop what it began: importing again changes nothing.
        // An import reads its file twice, and what comes here can be read once.
        Ok(Request::Import(order)) => match spooled(&mut source, store.dir().unwrap_or(&std::env::temp_dir())) {
            Ok(file) => answer(history::import(store, &order, file, &mut |line| drop(say(&Reply::Goes(line))))),
            Err(cause) => Answer::Wrong(vec![format!("{} can't be kept while it is read: {cause}", order.file)]),
        },
        Ok(Request::Export(order)) => match history::export(store, &order, &mut Pieces(&mut say)) {
            Ok(()) => Answer::Lines(Vec::new()),
            Err(cause) => Answer::Wrong(vec![format!("{cause:#}")]),
        },
        Ok(Request::Backup { file }) => crate::backup::carry_out_into(store, &file, along, &mut |line| drop(say(&Reply::Goes(line)))),
        Ok(request) if request.takes_long() => carry_out_long(store, &request, &mut |line| drop(say(&Reply::Goes(line)))),
        Ok(request) => carry_out(intake, &request),
        Err(cause) => Answer::Wrong(vec![format!("this pescaia does not know that command: {cause}")]),
    };
    say(&Reply::Done(done))
}

/// The rest of a source in a file of `dir` that has no name: it is gone with its last reader.
pub(crate) fn spooled(source: &mut impl Read, dir: &Path) -> std::io::Result<File> {
    let path = dir.join(format!("pescaia-import-{}-{:?}", std::process::id(), std::thread::current().id()));
    let mut file = File::options().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    std::fs::remove_file(&path)?;
    std::io::copy(source, &mut file)?;
    file.rewind()?;
    Ok(file)
}

/// A file that goes out in pieces.
struct Pieces<'a>(&'a mut dyn FnMut(&Reply) -> anyhow::Result<()>);

impl Write for Pieces<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let text = std::str::from_utf8(bytes).map_err(std::io::Error::other)?;
        (self.0)(&Reply::Text(text.to_owned())).map_err(std::io::Error::other)?;
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}
