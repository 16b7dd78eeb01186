//! A disk whose bytes are ours. It keeps SQLite's promise (a commit is there whole or not at all) and nothing else: power goes, the last
//! commit is lost or torn off its answer, a sync fails, there is no room, bits flip.

use crate::dice::mix;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};
use store::engine::{Change, Document, Engine, Key, Memory, Order, Row, Span, Table};
use store::{Error, Room};

/// What is on the platter: every synced commit in order, and the rows that they make.
#[derive(Default)]
pub(crate) struct Platter {
    journal: Mutex<Vec<Vec<Change>>>,
    rows: Memory,
}

impl Platter {
    pub(crate) fn write(&self, changes: &[Change]) {
        self.rows.commit(changes).expect("memory takes all");
        self.journal.lock().unwrap().push(changes.to_vec());
    }
    /// Another disk with the same bytes.
    pub(crate) fn copy(&self) -> Self {
        let copy = Self::default();
        self.journal.lock().unwrap().iter().for_each(|changes| copy.write(changes));
        copy
    }
    pub(crate) fn commits(&self) -> usize {
        self.journal.lock().unwrap().len()
    }
    /// Rows whose bytes carry our checksums.
    pub(crate) fn rows(&self, table: Table) -> Vec<Row> {
        let found = self.rows.keys(table).expect("keys").into_iter().map(|key| {
            let span = Span { part: key.part, from: key.at, to: key.at };
            self.rows.range(table, span, Order::Ascending, 1).expect("range").remove(0)
        });
        found.collect()
    }
    /// Flips one bit of a row.
    pub(crate) fn flip(&self, table: Table, row: &Row, bit: usize) {
        let mut row = row.clone();
        row.body[bit / 8] ^= 1 << (bit % 8);
        self.rows.commit(&[Change::Put { table, row }]).expect("memory takes all");
    }
}

/// How a commit goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// The power goes before anything of it is on disk.
    Lost,
    /// The power goes after all of it is on disk, before anybody is told.
    Torn,
    /// The sync fails; nothing of it got there.
    FailedLost,
    /// The sync fails; all of it got there.
    FailedKept,
    /// There is no room; the next one may have some.
    Full,
}

#[derive(Default)]
struct Power {
    /// Commits until the fault.
    fault: Option<(u64, Fault)>,
    fired: Option<Fault>,
    is_off: bool,
    /// Commits wait until the writer has company.
    held: bool,
    arrived: bool,
    trace: u64,
}

/// A platter under power: what the store is opened on. After a crash another one is made on the same platter.
pub(crate) struct Disk {
    platter: Arc<Platter>,
    power: Mutex<Power>,
    turn: Condvar,
}

impl Disk {
    pub(crate) fn on(platter: Arc<Platter>) -> Arc<Self> {
        Arc::new(Self { platter, power: Mutex::default(), turn: Condvar::new() })
    }
    /// The commit after `after` others will go wrong.
    pub(crate) fn plan(&self, after: u64, fault: Fault) {
        self.power.lock().unwrap().fault = Some((after, fault));
    }
    /// The fault has been.
    pub(crate) fn fired(&self) -> bool {
        self.what_fired().is_some()
    }
    pub(crate) fn what_fired(&self) -> Option<Fault> {
        self.power.lock().unwrap().fired
    }
    /// The next commit waits for [`Disk::release`].
    pub(crate) fn hold(&self) {
        let mut power = self.power.lock().unwrap();
        (power.held, power.arrived) = (true, false);
    }
    pub(crate) fn wait_for_the_writer(&self) {
        let power = self.power.lock().unwrap();
        drop(self.turn.wait_while(power, |power| !power.arrived).unwrap());
    }
    pub(crate) fn release(&self) {
        self.power.lock().unwrap().held = false;
        self.turn.notify_all();
    }
    /// A number that follows from all that was written.
    pub(crate) fn trace(&self) -> u64 {
        self.power.lock().unwrap().trace
    }
}

fn poisoned(cause: &str) -> Error {
    Error::Poisoned { commit: 0, cause: cause.to_owned() }
}

impl Engine for Disk {
    fn commit(&self, changes: &[Change]) -> Result<(), Error> {
        let mut power = self.power.lock().unwrap();
        power.arrived = true;
        self.turn.notify_all();
        let mut power = self.turn.wait_while(power, |power| power.held).unwrap();
        if power.is_off {
            return Err(poisoned("there is no power"));
        }
        power.trace = mix(power.trace ^ changes.iter().map(hash).fold(0, u64::wrapping_add));
        let fault = match &mut power.fault {
            Some((0, fault)) => Some(*fault),
            Some((left, _)) => {
                *left -= 1;
                None
            }
            None => None,
        };
        let Some(fault) = fault else {
            self.platter.write(changes);
            return Ok(());
        };
        (power.fault, power.fired) = (None, Some(fault));
        if matches!(fault, Fault::Torn | Fault::FailedKept) {
            self.platter.write(changes);
        }
        if fault == Fault::Full {
            return Err(Error::Full);
        }
        power.is_off = true;
        Err(poisoned("input/output error"))
    }
    fn range(&self, table: Table, span: Span, order: Order, limit: usize) -> Result<Vec<Row>, Error> {
        self.platter.rows.range(table, span, order, limit)
    }
    fn covering(&self, table: Table, span: Span, limit: usize) -> Result<Vec<Row>, Error> {
        self.platter.rows.covering(table, span, limit)
    }
    fn keys(&self, table: Table) -> Result<Vec<Key>, Error> {
        self.platter.rows.keys(table)
    }
    fn documents(&self, kind: &str) -> Result<Vec<Document>, Error> {
        self.platter.rows.documents(kind)
    }
    fn disk_bytes(&self) -> u64 {
        0
    }
    fn room(&self) -> Option<Room> {
        None
    }
    fn settle(&self) -> Result<(), Error> {
        Ok(())
    }
    fn copy_to(&self, path: &Path) -> Result<(), Error> {
        self.platter.rows.copy_to(path)
    }
}

/// Of one change; the order of changes in a commit says nothing.
fn hash(change: &Change) -> u64 {
    format!("{change:?}").bytes().fold(0xCBF2_9CE4_8422_2325, |sum, byte| (sum ^ u64::from(byte)).wrapping_mul(0x100_0000_01B3))
}
