//! The ledger for its owner: what became of what each device sent, and what should have come.

use super::View;
use crate::{Error, Store};
use model::{
    Account, Datastream, DatastreamKey, Device, DeviceId, Interval, OwnerId, Scope, Timestamp, Viewer, civil_day, civil_days, epoch_day,
};
use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError};

/// Stretches without observations that one line names; more are only counted.
const NAMED: usize = 50;

/// One device on one civil day of Europe/Rome.
#[derive(Debug, Clone)]
pub struct LedgerLine {
    /// The day: `[from, to)`.
    pub day: Interval,
    pub device: DeviceId,
    /// What came in on this day, whenever it was measured.
    pub account: Account,
    /// Observations of the device's datastreams that this day should have, from their periods, as far as it is over.
    pub expected: u64,
    /// Those that it has, whenever they came in.
    pub present: u64,
    /// Where nothing was measured for longer than one and a half periods, at most fifty.
    pub missing: Vec<Missing>,
}

/// A stretch `[from, to)` without observations.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    pub datastream: DatastreamKey,
    pub from: Timestamp,
    pub to: Timestamp,
}

impl Store {
    /// The sum of every owner's ledger on the civil day that it is now, by owner.
    ///
    /// # Errors
    /// [`Error::Io`] when the store can't be read.
    pub fn ledger_of_today(&self) -> Result<BTreeMap<OwnerId, Account>, Error> {
        let shared = self.shared();
        let book = shared.book.read().unwrap_or_else(PoisonError::into_inner);
        let mut sums: BTreeMap<OwnerId, Account> = BTreeMap::new();
        for (number, account) in book.day(shared.engine.as_ref(), epoch_day(civil_day(self.clock().now())))? {
            if let Some((owner, _)) = book.name(number) {
                let sum = sums.entry(owner.clone()).or_default();
                *sum = sum.plus(account);
            }
        }
        Ok(sums)
    }
}

impl View {
    /// The ledger of the viewer's owner for the civil days that touch `interval`, by day and device; only of `device` if given.
    /// Needs a token of the scope `read`, `audit` or `manage`, else it is empty.
    ///
    /// # Errors
    /// As [`View::observations`].
    pub fn ledger(&self, interval: Interval, device: Option<&str>) -> Result<Vec<LedgerLine>, Error> {
        let Viewer::Token { owner, .. } = &self.viewer else { return Ok(Vec::new()) };
        if ![Scope::Read, Scope::Audit, Scope::Manage].iter().any(|scope| self.viewer.may(*scope)) {
            return Ok(Vec::new());
        }
        let registry = self.registry();
        let wanted = |id: &DeviceId| device.is_none_or(|device| id.as_str() == device);
        let own: Vec<&Arc<Device>> = registry.devices().filter(|device| device.owner == *owner && wanted(&device.id)).collect();
        let mut lines = Vec::new();
        for day in civil_days(interval) {
            let mut of_day: BTreeMap<DeviceId, Account> = own.iter().map(|device| (device.id.clone(), Account::default())).collect();
            let book = self.store.shared().book.read().unwrap_or_else(PoisonError::into_inner);
            for (number, account) in book.day(self.store.shared().engine.as_ref(), epoch_day(civil_day(day.from)))? {
                if let Some((_, id)) = book.name(number).filter(|(of, id)| of == owner && wanted(id)) {
                    of_day.insert(id.clone(), account);
                }
            }
            drop(book);
            for (id, account) in of_day {
                let mut line = LedgerLine { day, device: id, account, expected: 0, present: 0, missing: Vec::new() };
                if let Some(device) = registry.device(owner.as_str(), line.device.as_str()) {
                    for feed in &device.feeds {
                        if let Some(datastream) = registry.datastream(feed.datastream).filter(|datastream| !datastream.retired) {
                            self.complete(datastream, &mut line)?;
                        }
                    }
                }
                lines.push(line);
            }
        }
        Ok(lines)
    }

    /// Adds what one datastream has and should have on the line's day, from its first observation on.
    fn complete(&self, datastream: &Datastream, line: &mut LedgerLine) -> Result<(), Error> {
        let Some((_, first, _)) = self.store.shared().chunks.extent(datastream.id) else { return Ok(()) };
        let day = Interval::new(line.day.from.max(Timestamp::from_micros(first)), line.day.to.min(self.now()));
        let period_s = i64::from(datastream.period_s.max(1));
        if day.from >= day.to {
            return Ok(());
        }
        line.expected += u64::try_from((day.to.seconds() - day.from.seconds()).div_euclid(period_s)).unwrap_or(0);
        let allowed_s = period_s + period_s / 2;
        let mut covered_to = day.from;
        let mut present = 0;
        let mut missing = Vec::new();
        let mut look = |at: Timestamp, next: Timestamp| {
            if next.seconds() - at.seconds() > allowed_s && missing.len() < NAMED {
                missing.push(Missing { datastream: datastream.key.clone(), from: at, to: next });
            }
        };
        self.visit(datastream.id, day, |point| {
            let at = Timestamp::from_micros(point.at);
            look(covered_to, at);
            covered_to = at;
            present += 1;
            std::ops::ControlFlow::Continue(())
        })?;
        look(covered_to, day.to);
        line.present += present;
        let room = NAMED.saturating_sub(line.missing.len());
        line.missing.extend(missing.into_iter().take(room));
        Ok(())
    }
}
