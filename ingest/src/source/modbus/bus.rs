//! The units behind one endpoint, asked in turn over one connection.

use super::line::Line;
use super::unit::{Said, Unit};
use crate::commit::Settling;
use crate::pipeline::Intake;
use crate::source::Stop;
use model::{Clock, Gap};
use std::time::Duration;
use store::{Batch, Receipt, Store};
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at};

/// Polls that may wait for the disk before the bus itself waits.
const UNSETTLED: usize = 256;

/// What was handed over and is not yet known to be on disk. The order of the calls is the order of the commits.
enum Unsettled {
    Frame(Settling),
    Gaps(oneshot::Receiver<Result<Receipt, store::Error>>),
}

/// One endpoint.
pub(super) struct Bus {
    endpoint: String,
    units: Vec<(Unit, Interval)>,
    line: Line,
}

impl Bus {
    /// Every interval starts at a multiple of itself on the wall clock: 10 s polls fall on :00, :10, … Must be called on a runtime.
    pub(super) fn new(endpoint: &str, units: Vec<Unit>, clock: &dyn Clock) -> Self {
        let paced = |unit: Unit| {
            let interval = unit.interval;
            let micros = i64::try_from(interval.as_micros()).unwrap_or(i64::MAX).max(1);
            let wait = micros - clock.now().micros().rem_euclid(micros);
            let start = Instant::now() + Duration::from_micros(wait.unsigned_abs());
            let mut ticks = interval_at(start, interval);
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            (unit, ticks)
        };
        Self { endpoint: endpoint.to_owned(), units: units.into_iter().map(paced).collect(), line: Line::new(endpoint) }
    }

    /// Polls until `stop`, then waits until what was taken has been settled.
    pub(super) async fn run(mut self, intake: Intake, store: Store, meters: Meters, mut stop: Stop) {
        let (unsettled, settling) = mpsc::channel(UNSETTLED);
        let settler = tokio::spawn(settle(settling, self.endpoint.clone()));
        while let Some(due) = self.next(&mut stop).await {
            let Self { endpoint, units, line } = &mut self;
            let Some((unit, _)) = units.get_mut(due) else { continue };
            let said = unit.turn(line, endpoint, store.clock().now()).await;
            report(unit, endpoint, &said, &meters);
            let Said { frame, gaps, .. } = said;
            if !gaps.is_empty() {
                let receipt = store.submit(Batch { gaps, ..Batch::default() });
                if unsettled.send(Unsettled::Gaps(receipt)).await.is_err() {
                    break;
                }
            }
            if let Some(frame) = frame
                && unsettled.send(Unsettled::Frame(intake.take(frame))).await.is_err()
            {
                break;
            }
        }
        drop(unsettled);
        let _ = settler.await;
    }

    /// Waits for the next unit whose turn it is; `None` when it is time to stop.
    async fn next(&mut self, stop: &mut Stop) -> Option<usize> {
        let units = &mut self.units;
        let due = std::future::poll_fn(|context| {
            for (index, (_, ticks)) in units.iter_mut().enumerate() {
                if ticks.poll_tick(context).is_ready() {
                    return std::task::Poll::Ready(index);
                }
            }
            std::task::Poll::Pending
        });
        tokio::select! {
            biased;
            _ = stop.wait_for(|stop| *stop) => None,
            index = due => Some(index),
        }
    }
}
