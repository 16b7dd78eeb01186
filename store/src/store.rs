//! The store's front door.

use crate::access::Tokens;
use crate::chunk::{Chunks, Recovered};
use crate::engine::{self, Change, Damaged, Depth, Engine, Memory, Sqlite, Table};
use crate::history::History;
use crate::late::{LateDay, last_late, late_days};
use crate::ledger::Book;
use crate::local::Local;
use crate::outbox::{Outbox, OutboxRoom};
use crate::parts::Parts;
use crate::published::Shelf;
use crate::quarantine;
use crate::registry::Registry;
use crate::view::AHEAD_S;
use crate::writer::{Cut, Shared, Work, Writer};
use crate::{Batch, Error, Health, InfluxHealth, Outcome, Receipt, View, explain, private, wal_check};
use model::{Clock, DatastreamId, Interval, Observation, Timestamp, Viewer};
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use tokio::sync::{broadcast, mpsc, oneshot, watch};

mod former;
mod networks;
#[cfg(test)]
mod tests;
mod tokens;
pub use former::{NetworkChange, Reason, Revision};
use networks::Networks;
pub use networks::Started;
pub(crate) use networks::{KINDS, registry_of};
pub use networks::{Preview, preview_of};

/// Commits that a slow follower may lag behind before it is told that it missed some.
const FOLLOW_COMMITS: usize = 1024;

/// How the writer behaves. The default is right for a disk; a slow card wants a longer linger.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// How long the writer waits for company before it commits; it never waits when a group is full.
    pub linger: Duration,
    /// An edge keeps what it owes its centre, in so much room.
    pub outbox: Option<OutboxRoom>,
}

/// Cheap to clone; all clones are the same store.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    shared: Arc<Shared>,
    work: mpsc::UnboundedSender<Work>,
    writer: Mutex<Option<std::thread::JoinHandle<()>>>,
    clock: Arc<dyn Clock>,
    networks: Networks,
    shelf: Shelf,
    local: Local,
    tokens: RwLock<Tokens>,
    /// Taken while a token's document is written, so that no write undoes another.
    token_writes: Mutex<()>,
    token_changes: watch::Sender<u64>,
    parts: Parts,
    /// Where it lies, and its lock, held as long as the store is open; nothing in memory.
    place: Option<Place>,
}

struct Place {
    dir: PathBuf,
    _lock: File,
}

impl Store {
    /// Opens or makes the store in `dir` and takes its lock. Recovers what a crash left before it returns.
    ///
    /// # Errors
    /// [`Error::Locked`], [`Error::Newer`], [`Error::Foreign`] name what is in the way; nothing was touched then.
    pub fn open(dir: &Path, settings: Settings, clock: Arc<dyn Clock>) -> Result<Self, Error> {
        let failed = |action: &str, cause: std::io::Error| Error::Io { action: action.to_owned(), cause: cause.to_string() };
        private::make_private_dir(dir).map_err(|cause| failed(&format!("making {}", dir.display()), cause))?;
        let lock = private::create_private(&dir.join("store.lock")).map_err(|cause| failed("making the lock file", cause))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(Error::Locked { dir: dir.to_owned() }),
            Err(TryLockError::Error(cause)) => {
                let doubt = crate::disk::doubt_of_place(dir)
                    .map_or_else(|| "put data_dir on a disk that has locks".to_owned(), |doubt| format!("it lies on {doubt}"));
                return Err(failed(&format!("taking the lock in {}; {doubt}", dir.display()), cause));
            }
        }
        private::narrow(dir);
        let path = dir.join("store.db");
        let engine = match Sqlite::open(&path) {
            // On a full disk not even the index of the write-ahead log has room.
            Err(Error::Io { .. }) if crate::disk::drop_ballast(dir) => Sqlite::open(&path),
            opened => opened,
        };
        let engine = engine.map_err(|cause| explain::of_file(&path, cause))?;
        let engine = Arc::new(engine);
        crate::disk::keep_ballast(dir);
        let place = Some(Place { dir: dir.to_owned(), _lock: lock });
        let store = Self::on(engine, settings, clock, place, abort).map_err(|cause| explain::of_file(&path, cause))?;
        // What a kill left half deleted.
        store.delete_again(&[])?;
        store.inner.shared.health.lock().unwrap_or_else(PoisonError::into_inner).sync_s = crate::disk::time_of_sync(dir).ok();
        Ok(store)
    }

    /// A store that lives as long as the process, for tests.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn in_memory(clock: Arc<dyn Clock>) -> Result<Self, Error> {
        Self::on(Arc::new(Memory::default()), Settings::default(), clock, None, |_| ())
    }

    /// A store on an engine that the caller made, e.g. a simulated disk: recovers what it holds. `on_poison` is called when a commit
    /// fails for good; the product ends its process there.
    ///
    /// # Errors
    /// As [`Store::open`].
    pub fn open_on(engine: Arc<dyn Engine>, settings: Settings, clock: Arc<dyn Clock>, on_poison: fn(&Error)) -> Result<Self, Error> {
        Self::on(engine, settings, clock, None, on_poison)
    }

    fn on(
        engine: Arc<dyn Engine>,
        settings: Settings,
        clock: Arc<dyn Clock>,
        place: Option<Place>,
        on_poison: fn(&Error),
    ) -> Result<Self, Error> {
        let networks = Networks::restore(engine.as_ref())?;
        let shelf = Shelf::restore(engine.as_ref())?;
        let local = Local::restore(engine.as_ref())?;
        let tokens = Tokens::restore(&engine.documents("token")?);
        let sessions = engine.documents("session")?.into_iter().map(|document| document.id);
        // Whose session it was is in its id: that one keeps what it has not been told of.
        let sessions = sessions.chain(engine::unreadable(engine.as_ref(), "session")).collect();
        let Recovered { chunks, writer: writer_chunks, damage, entries } = Chunks::recover(engine.clone())?;
        let (book, keeper) = Book::restore(engine.as_ref(), entries)?;
        for cause in &damage {
            tracing::error!(event = "damaged", cause = %cause, "damaged bytes were found while opening; they are not served");
        }
        let edges = crate::cursor::restore(engine.as_ref())?;
        let silenced = crate::silence::restore(engine.as_ref())?;
        let trimmed = RwLock::new(crate::archive::restore_trimmed(engine.as_ref())?);
        let archived = RwLock::new(crate::archive::restore_archived(engine.as_ref())?);
        engine.look_over(Depth::Documents)?;
        let found = engine.damaged();
        if engine.mend()? > 0 {
            tracing::warn!(
                event = "mended",
                "what was damaged in one of two copies is written anew; look whether this disk can be trusted"
            );
        }
        let last_commit = writer_chunks.next_commit - 1;
        let log_removed_after = engine.lacks_log().then_some(last_commit);
        if let Some(commit) = log_removed_after {
            tracing::error!(event = "log_removed", commit, "{}", wal_check::words(commit));
        }
        let copies: Vec<&Damaged> = found.iter().filter(|damaged| damaged.is_mended_by_a_start()).collect();
        let health = Health {
            damaged_chunks: damage.len() as u64,
            damaged_rows: copies.len() as u64,
            log_removed_after,
            damaged_kinds: copies.iter().map(|damaged| damaged.kind().to_owned()).collect(),
            ..Health::default()
        };
        let last_commit_at = crate::trust::restore(engine.as_ref())?;
        let late = watch::channel(last_late(engine.as_ref())?).0;
        let shared = Arc::new(Shared {
            outbox: Mutex::new(settings.outbox.map(|room| Outbox::restore(engine.as_ref(), room)).transpose()?),
            quarantine: Mutex::new(quarantine::Shelf::restore(engine.as_ref())?),
            engine,
            chunks,
            book: RwLock::new(book),
            edges: RwLock::new(edges),
            silenced: RwLock::new(silenced),
            sessions: RwLock::new(sessions),
            health: Mutex::new(health),
            trimmed,
            archived,
            waiting: 0.into(),
            committed: broadcast::channel(FOLLOW_COMMITS).0,
            late,
            last_commit: watch::channel(last_commit).0,
            last_commit_us: last_commit_at.micros().into(),
            on_poison,
        });
        let writer = Writer::new(shared.clone(), writer_chunks, keeper, settings.linger, clock.clone())?;
        let (work, todo) = mpsc::unbounded_channel();
        let thread = std::thread::Builder::new().name("store-writer".into()).spawn(move || writer.run_or_poison(todo));
        let thread = thread.map_err(|cause| Error::Io { action: "starting the writer".into(), cause: cause.to_string() })?;
        Ok(Self {
            inner: Arc::new(Inner {
                shared,
                work,
                writer: Mutex::new(Some(thread)),
                clock,
                networks,
                shelf,
                local,
                tokens: RwLock::new(tokens),
                token_writes: Mutex::new(()),
                token_changes: watch::channel(0).0,
                parts: Parts::default(),
                place,
            }),
        })
    }

    /// The directory in which it lies; `None` when it is in memory only.
    #[must_use]
    pub fn dir(&self) -> Option<&Path> {
        self.inner.place.as_ref().map(|place| place.dir.as_path())
    }

    #[must_use]
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.inner.clock
    }

    /// Hands a batch to the writer at once, in the order of the calls. The receiver answers when it is on disk.
    #[must_use]
    pub fn submit(&self, batch: Batch) -> oneshot::Receiver<Result<Receipt, Error>> {
        let (answer, receiver) = oneshot::channel();
        self.inner.shared.waiting.fetch_add(1, Ordering::Relaxed);
        self.send(Work::Batch(Box::new(batch), answer));
        receiver
    }

    fn send(&self, work: Work) {
        if let Err(mpsc::error::SendError(unsent)) = self.inner.work.send(work) {
            match unsent {
                Work::Batch(_, answer) => drop(answer.send(Err(Error::Closed))),
                Work::Cut(_, answer) => drop(answer.send(Err(Error::Closed))),
                Work::TakeIn(_, answer) => drop(answer.send(Err(Error::Closed))),
                Work::Documents(_, answer) | Work::SealAll(answer) | Work::Stop(answer) => drop(answer.send(Err(Error::Closed))),
            }
        }
    }

    /// As [`Store::submit`], waiting for the answer.
    ///
    /// # Errors
    /// The batch is not on disk; see [`Error`] for what to do.
    pub async fn commit(&self, batch: Batch) -> Result<Receipt, Error> {
        self.submit(batch).await.unwrap_or(Err(Error::Closed))
    }

    /// As [`Store::commit`], for threads that may block.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn commit_blocking(&self, batch: Batch) -> Result<Receipt, Error> {
        self.submit(batch).blocking_recv().unwrap_or(Err(Error::Closed))
    }

    pub(crate) fn ask(&self, work: impl FnOnce(oneshot::Sender<Result<(), Error>>) -> Work) -> Result<(), Error> {
        let (answer, receiver) = oneshot::channel();
        self.send(work(answer));
        // The writer answers within a commit; short enough to wait for even on an async thread.
        let mut receiver = receiver;
        loop {
            match receiver.try_recv() {
                Ok(outcome) => return outcome,
                Err(oneshot::error::TryRecvError::Closed) => return Err(Error::Closed),
                Err(oneshot::error::TryRecvError::Empty) => std::thread::sleep(Duration::from_micros(200)),
            }
        }
    }

    /// Seals every buffer into chunks and gives freed space back to the disk: for benches and before a long rest.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn seal_all(&self) -> Result<(), Error> {
        self.ask(Work::SealAll)
    }

    /// Takes observations out, physically; how many of each datastream.
    pub(crate) fn cut(&self, cut: Cut) -> Result<Vec<u64>, Error> {
        self.hand_over(|answer| Work::Cut(cut, answer))
    }

    /// Gives the writer something that may take long, and waits.
    pub(crate) fn hand_over<T>(&self, work: impl FnOnce(oneshot::Sender<Result<T, Error>>) -> Work) -> Result<T, Error> {
        let (answer, receiver) = oneshot::channel();
        self.send(work(answer));
        receiver.blocking_recv().unwrap_or(Err(Error::Closed))
    }

    /// What is known of owners, stations, datastreams and devices, as of now.
    #[must_use]
    pub fn registry(&self) -> Arc<Registry> {
        self.inner.networks.registry()
    }

    /// Changes whenever a network is applied.
    #[must_use]
    pub fn registry_changes(&self) -> watch::Receiver<Arc<Registry>> {
        self.inner.networks.changes()
    }

    #[must_use]
    pub fn seen_by(&self, viewer: &Viewer) -> View {
        View { store: self.clone(), viewer: viewer.clone(), as_of: None, then: None }
    }

    /// Every observation as it was committed, in commit order, unfiltered: for the live feed and derivations, which filter with a view.
    #[must_use]
    pub fn follow(&self) -> broadcast::Receiver<Arc<[Observation]>> {
        self.inner.shared.committed.subscribe()
    }

    /// The number of the last commit with something to hand on: for those who only want to know that there is something.
    #[must_use]
    pub fn commits(&self) -> watch::Receiver<u64> {
        self.inner.shared.last_commit.subscribe()
    }

    /// Civil days that were over when something of them was committed and that [`Store::forget_late`] has not yet struck off.
    ///
    /// # Errors
    /// [`Error::Io`] when the store can't be read.
    pub fn late_days(&self) -> Result<Vec<LateDay>, Error> {
        late_days(self.inner.shared.engine.as_ref())
    }

    /// The last commit with something of a day that was over: what it and those before it hold is seen by every read from now on.
    #[must_use]
    pub fn late_changes(&self) -> watch::Receiver<u64> {
        self.inner.shared.late.subscribe()
    }

    /// Strikes off the marks up to and with a commit: all datasets that are derived from them are on disk. Which months they were of is
    /// remembered for [`Store::changed_months`].
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn forget_late(&self, through: u64) -> Result<(), Error> {
        let mut changes = crate::archive::changed_by(self.inner.shared.engine.as_ref(), through)?;
        changes.push(Change::DropThrough { table: Table::Late, part: 0, at: through.cast_signed() });
        self.ask(|answer| Work::Documents(changes, answer))
    }

    /// How many MQTT clients whose name begins so are remembered to have a session.
    #[must_use]
    pub fn sessions_of(&self, beginning: &str) -> usize {
        let sessions = self.inner.shared.sessions.read().unwrap_or_else(PoisonError::into_inner);
        sessions.iter().filter(|client| client.starts_with(beginning)).count()
    }

    /// Whether an MQTT client is remembered to have a session.
    #[must_use]
    pub fn has_session(&self, client: &str) -> bool {
        self.inner.shared.sessions.read().unwrap_or_else(PoisonError::into_inner).contains(client)
    }

    #[must_use]
    pub fn health(&self) -> Health {
        let shared = &self.inner.shared;
        let kept = shared.health.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let registry = self.registry();
        let ids: Vec<DatastreamId> =
            registry.datastreams().filter(|datastream| !datastream.retired).map(|datastream| datastream.id).collect();
        let ahead = self.clock().now().plus_seconds(AHEAD_S);
        let damaged = shared.engine.damaged();
        let unmended = damaged.iter().filter(|damaged| !damaged.is_mended_by_a_start());
        let mut damaged_kinds = kept.damaged_kinds.clone();
        damaged_kinds.extend(unmended.clone().map(|damaged| damaged.kind().to_owned()));
        damaged_kinds.sort_unstable();
        damaged_kinds.dedup();
        let is_ahead = |last: &Option<Observation>| last.is_some_and(|last| last.phenomenon_time > ahead);
        Health {
            observations: shared.chunks.observations(),
            datastreams: ids.len() as u64,
            ahead: shared.chunks.last_of(&ids).iter().filter(|last| is_ahead(last)).count() as u64,
            disk_bytes: shared.engine.disk_bytes(),
            waiting: shared.waiting.load(Ordering::Relaxed),
            room: shared.engine.room(),
            damaged_chunks: kept.damaged_chunks.max(shared.chunks.fences.len() as u64),
            damaged_rows: kept.damaged_rows + unmended.count() as u64,
            damaged_kinds,
            parts: self.inner.parts.health(),
            distrust: self.clock_trust().err(),
            // As it is, also while the forwarder waits for an answer.
            influx: kept
                .influx
                .map(|influx| InfluxHealth { waiting_bytes: self.waiting_for_centre().map_or(0, |waiting| waiting.bytes), ..influx }),
            ..kept
        }
    }

    /// Makes a commit that changes nothing of what is kept: whether the disk takes one, now.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn try_disk(&self) -> Result<(), Error> {
        let change = Change::PutDocument(crate::engine::Document { kind: "probe".into(), id: "probe".into(), body: String::new() });
        self.ask(|answer| Work::Documents(vec![change], answer))
    }

    /// Waits for the writer to finish what was submitted, then stops it. Later submissions answer [`Error::Closed`].
    pub async fn close(&self) {
        let store = self.clone();
        let _ = tokio::task::spawn_blocking(move || store.close_blocking()).await;
    }

    /// As [`Store::close`], for threads that may block.
    pub fn close_blocking(&self) {
        let _ = self.write_token_uses(Duration::ZERO);
        let _ = self.ask(Work::Stop);
        if let Some(writer) = self.inner.writer.lock().unwrap_or_else(PoisonError::into_inner).take() {
            let _ = writer.join();
            // Then all of it is in one file, for those who copy that one.
            if self.inner.place.is_some() {
                let _ = self.inner.shared.engine.close();
            }
        }
    }

    pub(crate) fn shelf(&self) -> &Shelf {
        &self.inner.shelf
    }

    pub(crate) fn local(&self) -> &Local {
        &self.inner.local
    }

    pub(crate) fn parts(&self) -> &Parts {
        &self.inner.parts
    }

    pub(crate) fn shared(&self) -> &Shared {
        &self.inner.shared
    }

    /// The last observation of each, in the order asked: of a hundred thousand in the time that one page takes.
    #[must_use]
    pub fn latest_of(&self, datastreams: &[DatastreamId]) -> Vec<Option<Observation>> {
        self.inner.shared.chunks.last_of(datastreams)
    }

    /// What revisions replaced, in the order of commits.
    #[cfg(test)]
    pub(crate) fn superseded(&self, datastream: DatastreamId) -> Result<Vec<Observation>, Error> {
        self.inner.shared.chunks.superseded(datastream, 0, u64::MAX)
    }
}

impl History for Store {
    fn append(&self, group: &[Observation]) -> Result<Vec<Outcome>, Error> {
        let batch = Batch { observations: group.to_vec(), ..Batch::default() };
        self.commit_blocking(batch).map(|receipt| receipt.outcomes)
    }
    fn scan(&self, datastream: DatastreamId, interval: Interval, limit: usize) -> Result<Vec<Observation>, Error> {
        self.inner.shared.chunks.scan(datastream, interval, limit, None)
    }
    fn scan_back(&self, datastream: DatastreamId, to: Timestamp, limit: usize) -> Result<Vec<Observation>, Error> {
        let points = self.inner.shared.chunks.last_before(datastream, to.micros(), limit, None)?;
        Ok(points.into_iter().map(|point| point.observation(datastream)).collect())
    }
    fn latest(&self, datastream: DatastreamId) -> Option<Observation> {
        self.inner.shared.chunks.last(datastream)
    }
    fn count(&self, datastream: DatastreamId) -> u64 {
        self.inner.shared.chunks.extent(datastream).map_or(0, |(count, ..)| count)
    }
}

/// Ends the process at once, without closing the database: after a failed sync, closing would sync again and could lie.
fn abort(cause: &Error) {
    tracing::error!(event = "poisoned", cause = %cause, "a commit failed on the disk; ending at once, nothing unacknowledged is claimed; restart to recover");
    std::process::abort();
}
