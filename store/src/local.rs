//! How far back this store itself reaches: of a datastream whose oldest went from here, what is older is asked of InfluxDB.

use crate::engine::{Change, Document, Engine};
use crate::influx::Beyond;
use crate::writer::{Cut, Purpose, Work};
use crate::{Error, InfluxSettings, Store};
use model::{DatastreamId, Interval, Timestamp};
use std::collections::HashMap;
use std::sync::{OnceLock, PoisonError, RwLock};

/// Of documents, by the datastream's number: from when on it is here.
const KIND: &str = "local";

/// From when on each datastream is here, and where the rest is.
#[derive(Default)]
pub(crate) struct Local {
    from: RwLock<HashMap<DatastreamId, Timestamp>>,
    beyond: OnceLock<Beyond>,
}

impl Local {
    pub(crate) fn restore(engine: &dyn Engine) -> Result<Self, Error> {
        let read = |mark: Document| {
            let damaged = || Error::Damaged { what: format!("from when on datastream {} is here", mark.id) };
            let id: u32 = mark.id.parse().map_err(|_| damaged())?;
            let at: i64 = mark.body.parse().map_err(|_| damaged())?;
            Ok((DatastreamId(id), Timestamp::from_micros(at)))
        };
        let from = engine.documents(KIND)?.into_iter().map(read).collect::<Result<_, Error>>()?;
        Ok(Self { from: RwLock::new(from), beyond: OnceLock::new() })
    }
}

impl Store {
    /// The instant before which this store holds nothing of a datastream but what came since; `None` where all that ever came is here.
    #[must_use]
    pub fn local_from(&self, datastream: DatastreamId) -> Option<Timestamp> {
        self.local().from.read().unwrap_or_else(PoisonError::into_inner).get(&datastream).copied()
    }

    /// Takes what a datastream has from before an instant out of this store, without a tombstone: it is nobody's wish that it be gone
    /// elsewhere. To be read again it must be in InfluxDB by then ([`Store::influx_has_all`]). Observations that went.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn keep_from(&self, datastream: DatastreamId, at: Timestamp) -> Result<u64, Error> {
        // First, so that a kill in between leaves nothing that nobody looks for.
        let at = self.reaches_from(datastream, at)?;
        let interval = Interval::new(Timestamp::MIN, at);
        let cut = Cut { datastreams: vec![datastream], interval, came_by: Timestamp::MAX, purpose: Purpose::Erase };
        Ok(self.cut(cut)?.into_iter().sum())
    }

    /// What is older is asked of InfluxDB from now on.
    pub(crate) fn reaches_from(&self, datastream: DatastreamId, at: Timestamp) -> Result<Timestamp, Error> {
        let at = self.local_from(datastream).map_or(at, |before| before.max(at));
        let mark = Document { kind: KIND.into(), id: datastream.0.to_string(), body: at.micros().to_string() };
        self.ask(|answer| Work::Documents(vec![Change::PutDocument(mark)], answer))?;
        self.local().from.write().unwrap_or_else(PoisonError::into_inner).insert(datastream, at);
        Ok(at)
    }

    /// Whether what lies before an instant is served from InfluxDB.
    pub(crate) fn is_beyond(&self, datastream: DatastreamId, at: Timestamp) -> bool {
        self.local().beyond.get().is_some() && self.local_from(datastream).is_some_and(|from| at < from)
    }

    /// What is no longer here is read from this InfluxDB from now on.
    ///
    /// # Errors
    /// [`Error::Io`] when its address is none.
    pub fn read_beyond(&self, settings: &InfluxSettings) -> Result<(), Error> {
        let beyond = Beyond::new(settings)?;
        // The first stays: it is set once, at the start.
        let _ = self.local().beyond.set(beyond);
        Ok(())
    }

    /// Where what lies before an instant is to be looked for; `None` when it is here, or nowhere.
    pub(crate) fn beyond(&self, datastream: DatastreamId, from: Timestamp) -> Option<(&Beyond, Timestamp)> {
        let beyond = self.local().beyond.get()?;
        self.local_from(datastream).filter(|local_from| from < *local_from).map(|local_from| (beyond, local_from))
    }
}
