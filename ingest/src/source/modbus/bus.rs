//! The units behind one endpoint, asked in turn over one connection.

use super::line::{Failure, Line};
use super::unit::{Said, Unit};
use crate::commit::Settling;
use crate::meters::Meters;
use crate::pipeline::Intake;
use crate::source::{Stop, stopped};
use model::{Clock, Gap, GapReason, ModbusWire};
use std::collections::BTreeMap;
use std::task::Poll;
use std::time::Duration;
use store::{Batch, Part, Receipt, Store};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// Polls that may wait for the disk before the bus itself waits.
const UNSETTLED: usize = 256;

/// What was handed over and is not yet known to be on disk. The order of the calls is the order of the commits.
enum Unsettled {
    Frame(Box<Settling>),
    Gaps(oneshot::Receiver<Result<Receipt, store::Error>>),
}

/// One endpoint.
pub(super) struct Bus {
    endpoint: String,
    units: Vec<(Unit, Interval)>,
    line: Line,
    part: Part,
    /// Devices that could not be read at their last poll, by place, and why.
    ailing: BTreeMap<usize, String>,
}

/// Devices that are named at once in `/readyz`.
const NAMED: usize = 3;

impl Bus {
    /// Every interval starts at a multiple of itself on the wall clock: 10 s polls fall on :00, :10, … Must be called on a runtime.
    pub(super) fn new(wire: &ModbusWire, units: Vec<Unit>, clock: &dyn Clock, part: Part) -> Self {
        let paced = |unit: Unit| {
            let interval = unit.interval;
            let micros = i64::try_from(interval.as_micros()).unwrap_or(i64::MAX).max(1);
            let wait = micros - clock.now().micros().rem_euclid(micros);
            let start = Instant::now() + Duration::from_micros(wait.unsigned_abs());
            let mut ticks = interval_at(start, interval);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            (unit, ticks)
        };
        let units = units.into_iter().map(paced).collect();
        Self { endpoint: wire.to_string(), units, line: Line::new(wire), part, ailing: BTreeMap::new() }
    }

    /// Polls until `stop`, then waits until what was taken has been settled.
    pub(super) async fn run(mut self, intake: Intake, meters: Meters, mut stop: Stop) {
        let store = intake.store().clone();
        let (unsettled, settling) = mpsc::channel(UNSETTLED);
        let settler = tokio::spawn(settle(settling, self.endpoint.clone()));
        let mut last = 0;
        while let Some(due) = self.next(last, &mut stop).await {
            last = due;
            let Self { endpoint, units, line, .. } = &mut self;
            let Some((unit, _)) = units.get_mut(due) else { continue };
            let Said { frame, gaps, outcome } = unit.turn(line, endpoint, store.clock().now()).await;
            if let Some(outcome) = outcome {
                meters.polled(result(&outcome));
                let trouble = outcome.err().map(|failure| format!("{}: {}", unit.device(), failure.cause));
                self.report(due, trouble);
            }
            hand_over_gaps(&store, &meters, &unsettled, gaps).await;
            if let Some(frame) = frame {
                let settling = intake.take(frame).await;
                // Nobody says any more what could not be committed: the line begins anew.
                if unsettled.send(Unsettled::Frame(Box::new(settling))).await.is_err() {
                    return;
                }
            }
        }
        for (unit, _) in &mut self.units {
            hand_over_gaps(&store, &meters, &unsettled, unit.gaps_while_resting()).await;
        }
        drop(unsettled);
        let _ = settler.await;
    }

    /// Keeps `/readyz` as the last poll of each device says.
    fn report(&mut self, place: usize, trouble: Option<String>) {
        match trouble {
            Some(trouble) => drop(self.ailing.insert(place, trouble)),
            None if self.ailing.remove(&place).is_none() => return,
            None => {}
        }
        if self.ailing.is_empty() {
            return self.part.ok("all its devices answer");
        }
        let named: Vec<&str> = self.ailing.values().take(NAMED).map(String::as_str).collect();
        let (ailing, all, named) = (self.ailing.len(), self.units.len(), named.join("; "));
        self.part.degraded(format!(
            "{ailing} of {all} devices can't be read: {named}; look at their power, cable and unit number, e.g. with pescaia probe modbus"
        ));
    }

    /// Waits for the next unit whose turn it is, looking first at those behind `last`, so that a slow one can't crowd the
    /// others out; `None` when it is time to stop.
    async fn next(&mut self, last: usize, stop: &mut Stop) -> Option<usize> {
        let units = &mut self.units;
        let due = std::future::poll_fn(|context| {
            let behind = |index: &usize| *index > last;
            let order = (0..units.len()).filter(behind).chain((0..units.len()).filter(|index| !behind(index)));
            for index in order {
                if units.get_mut(index).is_some_and(|(_, ticks)| ticks.poll_tick(context).is_ready()) {
                    return Poll::Ready(index);
                }
            }
            Poll::Pending
        });
        tokio::select! {
            biased;
            () = stopped(stop) => None,
            index = due => Some(index),
        }
    }
}

async fn hand_over_gaps(store: &Store, meters: &Meters, unsettled: &mpsc::Sender<Unsettled>, gaps: Vec<Gap>) {
    // A gap of a time that never was would say nothing; that nothing is there says enough.
    if !gaps.is_empty() && store.clock_trust().is_ok() {
        for gap in &gaps {
            meters.gap(&gap.reason, gap.count);
        }
        let receipt = store.submit(Batch { gaps, ..Batch::default() });
        let _ = unsettled.send(Unsettled::Gaps(receipt)).await;
    }
}

/// The word in `/metrics`: a few, whatever the devices say.
fn result(outcome: &Result<(), Failure>) -> &'static str {
    match outcome.as_ref().map_err(|failure| &failure.reason) {
        Ok(()) => "ok",
        Err(GapReason::Timeout) => "timeout",
        Err(GapReason::Unreachable) => "unreachable",
        Err(GapReason::Exception(_)) => "exception",
        Err(GapReason::Frozen) => "frozen",
        Err(
            GapReason::BadAnswer
            | GapReason::NoNumber
            | GapReason::BrokenWire
            | GapReason::Dropped
            | GapReason::Damaged
            | GapReason::Archived,
        ) => "bad-answer",
    }
}

/// Nobody waits for the answer to a poll: what could not be committed is lost, and is said aloud.
async fn settle(mut settling: mpsc::Receiver<Unsettled>, endpoint: String) {
    while let Some(unsettled) = settling.recv().await {
        let failed = match unsettled {
            Unsettled::Frame(settling) => settling.await.err(),
            Unsettled::Gaps(receipt) => receipt.await.unwrap_or(Err(store::Error::Closed)).err(),
        };
        if let Some(cause) = failed {
            tracing::error!(event = "poll_lost", endpoint, cause = %cause, "what a poll said could not be committed and is lost");
        }
    }
}
