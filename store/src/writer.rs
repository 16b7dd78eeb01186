//! The one writer: takes what waits, makes one commit of it, answers. Nothing else ever writes.

use crate::archive::{self, Trimmed};
use crate::audit::Chain;
use crate::batch::{Batch, Outcome, Receipt};
use crate::chunk::{ChunkWriter, Chunks, Group, Records, Staged};
use crate::cursor::{self, Edges};
use crate::engine::{Change, Document, Engine, Order, Span, Table};
use crate::gaps::OpenGaps;
use crate::late::LateMarks;
use crate::ledger::{Book, Bookkeeper, Entry, Kept};
use crate::merge::TakenIn;
use crate::outbox::{self, Outbox, Owed};
use crate::parts::panic_text;
use crate::payload;
use crate::quarantine::{Plan, Shelf};
use crate::silence::{self, Silenced};
use crate::trust::Note;
use crate::{Error, Health};
use model::{Clock, DatastreamId, Interval, Observation, Quality, Timestamp, UtcMonth};
use std::collections::{BTreeSet, HashSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};
use tokio::sync::{broadcast, mpsc, oneshot, watch};

/// A group holds at most this many points, so that no commit takes long …
const GROUP_POINTS: usize = 5000;
/// … and about this many bytes of refused messages.
const GROUP_BYTES: usize = 4 << 20;

pub(crate) type Answer<T> = oneshot::Sender<Result<T, Error>>;

/// What the writer is asked to do.
pub(crate) enum Work {
    Batch(Box<Batch>, Answer<Receipt>),
    Documents(Vec<Change>, Answer<()>),
    /// Seals every buffer and gives freed space back.
    SealAll(Answer<()>),
    /// How many observations went of each datastream.
    Cut(Cut, Answer<Vec<u64>>),
    /// How many messages came in.
    TakeIn(TakenIn, Answer<u64>),
    Stop(Answer<()>),
}

/// Takes what had come by a time of an interval out of some datastreams.
pub(crate) struct Cut {
    pub(crate) datastreams: Vec<DatastreamId>,
    pub(crate) interval: Interval,
    pub(crate) came_by: Timestamp,
    pub(crate) purpose: Purpose,
}

/// What observations are taken out for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Purpose {
    /// They are deleted for good: gaps go with them, and what is derived is made again.
    Erase,
    /// They lie in a file of the month too, with all that was committed by then: only room is made. Nothing goes when the month has
    /// changed since.
    Trim { month: UtcMonth, commit: u64 },
}

/// What the writer shares with everybody else.
pub(crate) struct Shared {
    pub(crate) engine: Arc<dyn Engine>,
    pub(crate) chunks: Chunks,
    pub(crate) book: RwLock<Book>,
    /// What an edge owes its centre.
    pub(crate) outbox: Mutex<Option<Outbox>>,
    /// What waits there, without the bytes.
    pub(crate) quarantine: Mutex<Shelf>,
    pub(crate) edges: RwLock<Edges>,
    pub(crate) silenced: RwLock<Silenced>,
    pub(crate) sessions: RwLock<HashSet<String>>,
    pub(crate) health: Mutex<Health>,
    /// Months of datastreams that lie only in files.
    pub(crate) trimmed: RwLock<Trimmed>,
    /// Months that are in files: what comes for one of them makes its file be written again.
    pub(crate) archived: RwLock<BTreeSet<UtcMonth>>,
    pub(crate) waiting: AtomicU64,
    pub(crate) committed: broadcast::Sender<Arc<[Observation]>>,
    /// The last commit with something of a day that was over.
    pub(crate) late: watch::Sender<u64>,
    pub(crate) last_commit: watch::Sender<u64>,
    /// When something was committed last before this run, microseconds: no right clock says an earlier time.
    pub(crate) last_commit_us: AtomicI64,
    /// What is done when a commit fails for good, after everybody who waited was told.
    pub(crate) on_poison: fn(&Error),
}

pub(crate) struct Writer {
    shared: Arc<Shared>,
    chunks: ChunkWriter,
    gaps: OpenGaps,
    keeper: Bookkeeper,
    audit: Chain,
    late: LateMarks,
    trimmed: payload::Trimmed,
    linger: Duration,
    clock: Arc<dyn Clock>,
    /// That there is no room was said, and has not changed since.
    said_full: bool,
    note: Note,
}

impl Writer {
    pub(crate) fn new(
        shared: Arc<Shared>,
        chunks: ChunkWriter,
        keeper: Bookkeeper,
        linger: Duration,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, Error> {
        let audit = Chain::restore(shared.engine.as_ref())?;
        Ok(Self {
            shared,
            chunks,
            gaps: OpenGaps::default(),
            keeper,
            audit,
            late: LateMarks::default(),
            trimmed: payload::Trimmed::new(),
            linger,
            clock,
            said_full: false,
            note: Note::default(),
        })
    }

    /// As [`Writer::run`]; a panic poisons the store as a failed sync does: what was staged is in an unknown state, and only a new start
    /// knows what is on disk.
    pub(crate) fn run_or_poison(self, work: mpsc::UnboundedReceiver<Work>) {
        let shared = self.shared.clone();
        let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.run(work))) else { return };
        let words = panic_text(panic.as_ref());
        let cause = Error::Poisoned { commit: *shared.last_commit.borrow(), cause: format!("the writer panicked: {words}") };
        shared.health.lock().unwrap_or_else(PoisonError::into_inner).poisoned = Some(cause.to_string());
        (shared.on_poison)(&cause);
    }

    /// Runs until it is told to stop or nobody can ask any more.
    fn run(mut self, mut work: mpsc::UnboundedReceiver<Work>) {
        let mut held: Option<Work> = None;
        while let Some(next) = held.take().or_else(|| work.blocking_recv()) {
            match next {
                Work::Batch(batch, answer) => {
                    let mut group = vec![(*batch, answer)];
                    held = self.gather(&mut group, &mut work);
                    self.shared.waiting.fetch_sub(group.len() as u64, Ordering::Relaxed);
                    self.commit_group(group);
                }
                Work::Documents(changes, answer) => {
                    let outcome = self.commit(&changes);
                    self.answer_one(answer, outcome);
                }
                Work::SealAll(answer) => {
                    let outcome = self.seal_all();
                    self.answer_one(answer, outcome);
                }
                Work::Cut(cut, answer) => {
                    let outcome = self.cut(&cut);
                    self.answer_one(answer, outcome);
                }
                Work::TakeIn(taken, answer) => {
                    let outcome = self.take_in(taken);
                    self.answer_one(answer, outcome);
                }
                Work::Stop(answer) => {
                    drop(work);
                    let _ = answer.send(Ok(()));
                    return;
                }
            }
        }
    }

    /// Adds what waits to the group, until it is large enough; gives back what can't be part of it.
    fn gather(&self, group: &mut Vec<(Batch, Answer<Receipt>)>, work: &mut mpsc::UnboundedReceiver<Work>) -> Option<Work> {
        let deadline = Instant::now() + self.linger;
        let (mut points, mut bytes) =
            group.iter().fold((0, 0), |(points, bytes), (batch, _)| (points + batch.len(), bytes + weight(batch)));
        // A correction is a commit of its own: its entry in the audit names the commit.
        if group.iter().any(|(batch, _)| batch.is_correction()) {
            return None;
        }
        while points < GROUP_POINTS && bytes < GROUP_BYTES {
            match work.try_recv() {
                Ok(Work::Batch(batch, answer)) if batch.is_correction() => return Some(Work::Batch(batch, answer)),
                Ok(Work::Batch(batch, answer)) => {
                    points += batch.len();
                    bytes += weight(&batch);
                    group.push((*batch, answer));
                }
                Ok(other) => return Some(other),
                Err(_) if Instant::now() < deadline => std::thread::sleep(self.linger.min(Duration::from_micros(200))),
                Err(_) => break,
            }
        }
        None
    }

    fn commit_group(&mut self, group: Vec<(Batch, Answer<Receipt>)>) {
        match self.try_commit_group(&group) {
            Ok((commit, outcomes)) => {
                self.said_full = false;
                let mut rest = outcomes.into_iter();
                for (batch, answer) in group {
                    let outcomes = rest.by_ref().take(batch.observations.len()).collect();
                    let _ = answer.send(Ok(Receipt { commit, outcomes }));
                }
            }
            Err(cause) => {
                for (_, answer) in group {
                    let _ = answer.send(Err(cause.clone()));
                }
                self.after_failure(&cause);
            }
        }
    }

    fn try_commit_group(&mut self, group: &[(Batch, Answer<Receipt>)]) -> Result<(u64, Vec<Outcome>), Error> {
        let gathered: Vec<Observation>;
        let observations = match group {
            [(only, _)] => only.observations.as_slice(),
            many => {
                gathered = many.iter().flat_map(|(batch, _)| batch.observations.iter().copied()).collect();
                gathered.as_slice()
            }
        };
        let mut changes = Vec::new();
        let is_correction = group.iter().any(|(batch, _)| batch.is_correction());
        let mut staged = self.shared.chunks.stage(&mut self.chunks, Group { observations, is_correction }, &mut changes)?;
        let (engine, mut plan) = (self.shared.engine.as_ref(), Plan::default());
        let shelf = self.shared.quarantine.lock().unwrap_or_else(PoisonError::into_inner);
        for (batch, _) in group {
            shelf.put(&batch.rejects, &mut plan);
            batch.replayed.iter().try_for_each(|replayed| shelf.replayed(replayed, engine, &mut plan, &mut changes))?;
            for gap in &batch.gaps {
                let last = self.shared.chunks.last(gap.datastream).map(|last| last.phenomenon_time);
                self.gaps.put(gap, last, engine, &mut changes)?;
            }
            for (place, payload) in batch.payloads.iter().enumerate() {
                let number = self.keeper.number(&payload.owner, &payload.device);
                payload::put(payload, number, place, &mut self.trimmed, &mut changes);
            }
            silence::put(&batch.silenced, &batch.births, &mut changes);
            changes.extend(batch.sessions.iter().map(|session| {
                if session.exists {
                    Change::PutDocument(Document { kind: "session".into(), id: session.client.clone(), body: String::new() })
                } else {
                    Change::DeleteDocument { kind: "session", id: session.client.clone() }
                }
            }));
        }
        shelf.end(&mut plan, engine, &mut changes)?;
        drop(shelf);
        let chain = self.audit.put(group.iter().flat_map(|(batch, _)| &batch.audit), staged.commit, &mut changes);
        let has_late = {
            let archived = self.shared.archived.read().unwrap_or_else(PoisonError::into_inner);
            self.late.put(staged.commit, self.clock.now(), &archived, observations, &staged.outcomes, &mut changes)
        };
        let edges = {
            let known = self.shared.edges.read().unwrap_or_else(PoisonError::into_inner);
            cursor::put(&known, group.iter().flat_map(|(batch, _)| &batch.cursors), self.clock.now(), &mut changes)
        };
        let owed = self.owe(group, observations, &staged.outcomes, &mut changes)?;
        let entries = self.keeper.enter(group.iter().map(|(batch, _)| batch), &staged.outcomes);
        let mut note = None;
        // Nothing but repetitions: all of it is on disk already.
        let kept = if changes.is_empty() && staged.points.is_empty() {
            Kept::Nowhere
        } else {
            let kept = self.put_log(&mut staged, &entries, &mut changes)?;
            let last_commit = Timestamp::from_micros(self.shared.last_commit_us.load(Ordering::Relaxed));
            note = Some(self.note.put(self.clock.as_ref(), last_commit, &mut changes));
            self.commit(&changes)?;
            kept
        };
        self.note = note.unwrap_or(std::mem::take(&mut self.note));
        self.shared.quarantine.lock().unwrap_or_else(PoisonError::into_inner).publish(plan);
        self.shared.chunks.publish(&mut self.chunks, &mut staged);
        self.publish_entries(&entries, kept)?;
        if let (Some(put), Some(outbox)) = (owed, self.shared.outbox.lock().unwrap_or_else(PoisonError::into_inner).as_mut()) {
            outbox.publish(put);
        }
        self.audit = chain;
        self.remember_sessions(group);
        if group.iter().any(|(batch, _)| !batch.silenced.is_empty()) {
            let silenced = group.iter().flat_map(|(batch, _)| batch.silenced.iter().copied());
            self.shared.silenced.write().unwrap_or_else(PoisonError::into_inner).extend(silenced);
        }
        if !edges.is_empty() {
            self.shared.edges.write().unwrap_or_else(PoisonError::into_inner).extend(edges);
        }
        self.shared.last_commit.send_replace(staged.commit);
        if has_late {
            self.shared.late.send_replace(staged.commit);
        }
        if self.shared.committed.receiver_count() > 0 {
            let kept = observations
                .iter()
                .zip(&staged.outcomes)
                .filter(|(observation, outcome)| **outcome != Outcome::Duplicate && observation.quality != Quality::WITHDRAWN);
            let kept: Arc<[Observation]> = kept.map(|(observation, _)| *observation).collect();
            if !kept.is_empty() {
                let _ = self.shared.committed.send(kept);
            }
        }
        Ok((staged.commit, staged.outcomes))
    }

    /// Where this is an edge's store: adds what the group owes the centre.
    fn owe(
        &self,
        group: &[(Batch, Answer<Receipt>)],
        observations: &[Observation],
        outcomes: &[Outcome],
        changes: &mut Vec<Change>,
    ) -> Result<Option<outbox::Put>, Error> {
        let mut outbox = self.shared.outbox.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(outbox) = outbox.as_mut() else { return Ok(None) };
        let new = observations.iter().zip(outcomes).filter(|(_, outcome)| **outcome != Outcome::Duplicate);
        let owed = Owed {
            sequence: 0,
            observations: new.map(|(observation, _)| *observation).collect(),
            gaps: group.iter().flat_map(|(batch, _)| batch.gaps.iter().cloned()).collect(),
        };
        outbox.put(self.shared.engine.as_ref(), &owed, changes)
    }

    /// Ends the preparation of a commit: its log record, and the ledger's lines as rows when records are dropped.
    fn put_log(&self, staged: &mut Staged, entries: &[Entry], changes: &mut Vec<Change>) -> Result<Kept, Error> {
        Chunks::put_log(staged, &self.keeper.logged(entries), changes);
        self.keeper.put_names(changes);
        if staged.freed.is_none() {
            return Ok(Kept::InLog);
        }
        let book = self.shared.book.read().unwrap_or_else(PoisonError::into_inner);
        Bookkeeper::put_rows(&book, self.shared.engine.as_ref(), entries, staged.commit, changes)?;
        Ok(Kept::InRows)
    }

    fn publish_entries(&mut self, entries: &[Entry], kept: Kept) -> Result<(), Error> {
        let mut book = self.shared.book.write().unwrap_or_else(PoisonError::into_inner);
        self.keeper.publish(&mut book, self.shared.engine.as_ref(), entries, kept)
    }

    fn remember_sessions(&self, group: &[(Batch, Answer<Receipt>)]) {
        if group.iter().all(|(batch, _)| batch.sessions.is_empty()) {
            return;
        }
        let mut sessions = self.shared.sessions.write().unwrap_or_else(PoisonError::into_inner);
        for session in group.iter().flat_map(|(batch, _)| &batch.sessions) {
            if session.exists {
                sessions.insert(session.client.clone());
            } else {
                sessions.remove(&session.client);
            }
        }
    }

    /// The buffers are sealed first, so that no record of the log holds anything of it any more.
    fn cut(&mut self, cut: &Cut) -> Result<Vec<u64>, Error> {
        if let Purpose::Trim { month, commit } = cut.purpose
            && archive::changed_months(self.shared.engine.as_ref())?.get(&month).is_some_and(|last| *last > commit)
        {
            return Ok(vec![0; cut.datastreams.len()]);
        }
        self.seal_buffers()?;
        let mut drops_log = true;
        let removed = cut.datastreams.iter().map(|datastream| self.cut_one(cut, *datastream, &mut drops_log)).collect::<Result<_, _>>()?;
        self.gaps.forget();
        self.shared.engine.settle()?;
        Ok(removed)
    }

    fn cut_one(&mut self, of: &Cut, datastream: DatastreamId, drops_log: &mut bool) -> Result<u64, Error> {
        let Cut { interval, came_by, purpose, .. } = of;
        let mut removed = 0;
        loop {
            let records = if *drops_log { Records::Go } else { Records::Stay };
            let Some(mut cut) = self.shared.chunks.stage_cut(&self.chunks, datastream, *interval, *came_by, records)? else { break };
            let mut is_late = false;
            if *purpose == Purpose::Erase {
                is_late = self.late.mark(cut.commit, datastream, &cut.days, &mut cut.changes);
                let span = Span { part: i64::from(datastream.0), from: interval.from.micros(), to: interval.to.micros().saturating_sub(1) };
                for gap in self.shared.engine.range(Table::Gap, span, Order::Ascending, usize::MAX)? {
                    cut.changes.push(Change::Delete { table: Table::Gap, part: gap.part, at: gap.at });
                }
            }
            // Every record of the log is in chunks by now, and may hold what goes.
            if *drops_log {
                let book = self.shared.book.read().unwrap_or_else(PoisonError::into_inner);
                Bookkeeper::put_rows(&book, self.shared.engine.as_ref(), &[], cut.commit, &mut cut.changes)?;
                cut.changes.push(Change::DropThrough { table: Table::Log, part: 0, at: cut.commit.cast_signed() - 1 });
            }
            self.commit(&cut.changes)?;
            if std::mem::take(drops_log) {
                self.publish_entries(&[], Kept::InRows)?;
                self.chunks.forget_all_records();
            }
            self.shared.chunks.publish_cut(&mut self.chunks, &cut);
            self.shared.last_commit.send_replace(cut.commit);
            if is_late {
                self.shared.late.send_replace(cut.commit);
            }
            removed += cut.removed;
        }
        Ok(removed)
    }

    /// Lines of the ledger and messages of another store, all of a day or nothing. The lines become rows at once, as all others do.
    fn take_in(&mut self, taken: TakenIn) -> Result<u64, Error> {
        let TakenIn { day, lines, messages } = taken;
        let lines: Vec<_> = lines.into_iter().map(|(owner, device, account)| (self.keeper.number(&owner, &device), account)).collect();
        let mut changes = Vec::new();
        let put = self.shared.quarantine.lock().unwrap_or_else(PoisonError::into_inner).take_in(messages, &mut changes);
        self.keeper.put_names(&mut changes);
        let book = self.shared.book.read().unwrap_or_else(PoisonError::into_inner).with(day, lines.into_iter());
        Bookkeeper::put_rows(&book, self.shared.engine.as_ref(), &[], self.chunks.next_commit - 1, &mut changes)?;
        self.commit(&changes)?;
        self.publish_entries(&[], Kept::InRows)?;
        let count = put.len() as u64;
        self.shared.quarantine.lock().unwrap_or_else(PoisonError::into_inner).publish_taken(put);
        Ok(count)
    }

    fn seal_all(&mut self) -> Result<(), Error> {
        self.seal_buffers()?;
        self.shared.engine.settle()
    }

    fn seal_buffers(&mut self) -> Result<(), Error> {
        // Once for what was fresh, once more for what the first made short.
        let mut changes = Vec::new();
        let mut staged = self.shared.chunks.stage_seal_all(&mut self.chunks, &mut changes)?;
        if !staged.seals.is_empty() {
            let kept = self.put_log(&mut staged, &[], &mut changes)?;
            self.commit(&changes)?;
            self.shared.chunks.publish(&mut self.chunks, &mut staged);
            self.publish_entries(&[], kept)?;
        }
        Ok(())
    }

    fn commit(&self, changes: &[Change]) -> Result<(), Error> {
        let start = Instant::now();
        let outcome = self.shared.engine.commit(changes);
        let mut health = self.shared.health.lock().unwrap_or_else(PoisonError::into_inner);
        health.last_commit_s = start.elapsed().as_secs_f64();
        match &outcome {
            Ok(()) => {
                health.commits += 1;
                health.full = false;
            }
            Err(Error::Full) => health.full = true,
            Err(cause) => health.poisoned = Some(cause.to_string()),
        }
        outcome
    }

    fn answer_one<T>(&mut self, answer: Answer<T>, outcome: Result<T, Error>) {
        let failure = outcome.as_ref().err().cloned();
        let _ = answer.send(outcome);
        if let Some(cause) = failure {
            self.after_failure(&cause);
        }
    }

    fn after_failure(&mut self, cause: &Error) {
        self.gaps.forget();
        match cause {
            Error::Full => {
                let mut health = self.shared.health.lock().unwrap_or_else(PoisonError::into_inner);
                health.full = true;
                // Once, not for every sender that tries again.
                if !self.said_full {
                    tracing::error!(
                        event = "disk_full",
                        "there is no room, on the disk or for what waits for the centre; nothing is acknowledged until there is; free some space, and it goes on by itself"
                    );
                }
                self.said_full = true;
            }
            Error::Poisoned { .. } => (self.shared.on_poison)(cause),
            other => {
                tracing::error!(event = "commit_failed", cause = %other, "a commit could not be prepared; its senders will send again")
            }
        }
    }
}

fn weight(batch: &Batch) -> usize {
    let of_message = |rejects: &[model::Reject]| rejects.first().map_or(0, |reject| reject.message.bytes.len());
    let messages = batch.rejects.chunk_by(|one, next| Arc::ptr_eq(&one.message, &next.message));
    messages.map(of_message).sum()
}
