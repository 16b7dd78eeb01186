//! What is older than what is kept here, asked of InfluxDB. Whoever reads may stand on any thread; the asking is done on one of its own.

use super::InfluxSettings;
use super::client::{Client, Page, Which};
use crate::Error;
use model::{Datastream, Interval, Observation, Timestamp};
use std::future::Future;
use std::ops::ControlFlow;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

/// For one page …
const PATIENCE: Duration = Duration::from_secs(10);
/// … and for all of what one reader wants: less than the HTTP door waits.
const WHOLE: Duration = Duration::from_secs(20);
/// Observations asked for at once.
const PAGE: usize = 5000;
/// Looking back from an instant: so many days, then all.
const BACK_DAYS: i64 = 60;

type Asking = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The way back from an InfluxDB.
pub(crate) struct Beyond {
    client: Arc<Client>,
    asked: tokio::sync::mpsc::UnboundedSender<Asking>,
}

impl Beyond {
    /// # Errors
    /// [`Error::Io`] when the address is none.
    pub(crate) fn new(settings: &InfluxSettings) -> Result<Self, Error> {
        let failed = |cause: String| Error::Io { action: "preparing to read from InfluxDB".into(), cause };
        let client = Arc::new(Client::with_patience(settings, PATIENCE).map_err(failed)?);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime = runtime.map_err(|cause| failed(cause.to_string()))?;
        let (asked, mut asking) = tokio::sync::mpsc::unbounded_channel::<Asking>();
        let serve = move || {
            runtime.block_on(async {
                while let Some(one) = asking.recv().await {
                    tokio::spawn(one);
                }
            });
        };
        std::thread::Builder::new().name("influx-reader".into()).spawn(serve).map_err(|cause| failed(cause.to_string()))?;
        Ok(Self { client, asked })
    }

    /// Gives every observation of an interval to `each`, ascending, until it breaks. About `limit` are wanted.
    ///
    /// # Errors
    /// [`Error::Elsewhere`] when InfluxDB does not answer in time; what `each` was given then is not all.
    pub(crate) fn visit(
        &self,
        datastream: &Arc<Datastream>,
        interval: Interval,
        limit: usize,
        mut each: impl FnMut(Observation) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let end = Instant::now() + WHOLE;
        let mut from = interval.from;
        loop {
            let page = self.page(datastream, Interval::new(from, interval.to), Which::First(limit.clamp(1, PAGE)), end)?;
            for one in page.observations {
                if each(one).is_break() {
                    return Ok(());
                }
            }
            match page.next.filter(|next| *next < interval.to) {
                Some(next) => from = next,
                None => return Ok(()),
            }
        }
    }

    /// The last `limit` before `to`, ascending.
    ///
    /// # Errors
    /// As [`Beyond::visit`].
    pub(crate) fn last_before(&self, datastream: &Arc<Datastream>, to: Timestamp, limit: usize) -> Result<Vec<Observation>, Error> {
        let end = Instant::now() + WHOLE;
        let mut found: Vec<Observation> = Vec::new();
        // The last days first: most that is asked for lies there, and all there is takes long to look through.
        for interval in [Interval::new(to.plus_seconds(-BACK_DAYS * 86_400), to), Interval::new(Timestamp::MIN, to)] {
            found.clear();
            let mut upto = interval.to;
            while found.len() < limit {
                let page = self.page(datastream, Interval::new(interval.from, upto), Which::Last(limit.clamp(1, PAGE)), end)?;
                found.splice(0..0, page.observations);
                match page.next {
                    Some(next) => upto = next,
                    None => break,
                }
            }
            if found.len() >= limit {
                break;
            }
        }
        Ok(found.split_off(found.len().saturating_sub(limit)))
    }

    fn page(&self, datastream: &Arc<Datastream>, interval: Interval, which: Which, end: Instant) -> Result<Page, Error> {
        let (client, wanted) = (self.client.clone(), datastream.clone());
        let (answer, answered) = mpsc::sync_channel(1);
        let asking = async move { drop(answer.send(client.read(&wanted, interval, which).await)) };
        let elsewhere = |cause: String| Error::Elsewhere { before: interval.to, cause };
        self.asked.send(Box::pin(asking)).map_err(|_| Error::Closed)?;
        let left = end.saturating_duration_since(Instant::now());
        match answered.recv_timeout(left) {
            Ok(page) => page.map_err(elsewhere),
            Err(mpsc::RecvTimeoutError::Timeout) => Err(elsewhere(format!("not all of it came within {} s", WHOLE.as_secs()))),
            Err(mpsc::RecvTimeoutError::Disconnected) => Err(elsewhere("its answer could not be read".into())),
        }
    }
}
