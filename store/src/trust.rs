//! Whether this machine's own clock can be right: many a board has none that goes on without power, and begins in 1970 or where it was
//! switched off.

use crate::Error;
use crate::Store;
use crate::engine::{Change, Document, Engine};
use crate::quarantine::QuarantineEntry;
use crate::writer::Work;
use model::{Clock, RejectReason, Timestamp};
use std::fmt;
use std::sync::atomic::Ordering;

const KIND: &str = "clock";
const LAST: &str = "last-commit";
/// By so much a clock may be set back and is still believed.
const SLACK_S: i64 = 600;
/// The time of the last commit is noted at most so often.
const NOTE_EVERY_S: i64 = 60;

/// Why this machine's clock can't be right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Distrust {
    /// The time that it says.
    pub now: Timestamp,
    /// It can't be earlier than this …
    pub not_before: Timestamp,
    /// … because something was committed then; else because the program was built then.
    pub is_commit: bool,
}

impl fmt::Display for Distrust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { now, not_before, is_commit } = self;
        let what = if *is_commit { "something was committed" } else { "this pescaia was built" };
        write!(f, "this machine's clock says {now}, and {what} at {not_before}")
    }
}

/// When something was committed last, by earlier runs.
pub(crate) fn restore(engine: &dyn Engine) -> Result<Timestamp, Error> {
    let noted = engine.documents(KIND)?.into_iter().find(|document| document.id == LAST);
    Ok(noted.and_then(|document| document.body.parse().ok()).map_or(Timestamp::MIN, Timestamp::from_micros))
}

/// Judges `clock` by when something was committed last.
pub(crate) fn judge(clock: &dyn Clock, last_commit: Timestamp) -> Result<(), Distrust> {
    if clock.uptime().is_none() {
        return Ok(());
    }
    let (now, built) = (clock.now(), clock.built_at());
    let (not_before, is_commit) = if last_commit.plus_seconds(-SLACK_S) > built { (last_commit, true) } else { (built, false) };
    let earliest = if is_commit { last_commit.plus_seconds(-SLACK_S) } else { built };
    if now < earliest { Err(Distrust { now, not_before, is_commit }) } else { Ok(()) }
}

/// The writer's note of when it committed last.
#[derive(Default)]
pub(crate) struct Note(Option<Timestamp>);

impl Note {
    /// Adds the note to a commit, if it is time and the clock can be believed. To be made true with [`Note::publish`].
    pub(crate) fn put(&self, clock: &dyn Clock, last_commit: Timestamp, changes: &mut Vec<Change>) -> Self {
        if clock.uptime().is_none() || judge(clock, last_commit).is_err() {
            return Self(self.0);
        }
        let now = clock.now();
        if self.0.is_some_and(|noted| now >= noted && now < noted.plus_seconds(NOTE_EVERY_S)) {
            return Self(self.0);
        }
        changes.push(note(now));
        Self(Some(now))
    }
}

fn note(at: Timestamp) -> Change {
    Change::PutDocument(Document { kind: KIND.into(), id: LAST.into(), body: at.micros().to_string() })
}

impl Store {
    /// Whether the clock of this machine can be right.
    ///
    /// # Errors
    /// Why it can't.
    pub fn clock_trust(&self) -> Result<(), Distrust> {
        let last_commit = Timestamp::from_micros(self.shared().last_commit_us.load(Ordering::Relaxed));
        judge(self.clock().as_ref(), last_commit)
    }

    /// A person says that the clock is right as it is, and was wrong when it was ahead: durable on return.
    ///
    /// # Errors
    /// As [`Store::commit`].
    pub fn trust_clock(&self) -> Result<(), Error> {
        let now = self.clock().now();
        self.ask(|answer| Work::Documents(vec![note(now)], answer))?;
        self.shared().last_commit_us.store(now.micros(), Ordering::Relaxed);
        Ok(())
    }

    /// Messages that came while the clock could not be right, in the order of their numbers, behind `after`; at most `limit` are looked at.
    /// With the number behind which to go on; `None` when there are no more.
    ///
    /// # Errors
    /// [`Error::Io`] when the store can't be read.
    pub fn untrusted_entries(&self, after: u64, limit: usize) -> Result<(Vec<QuarantineEntry>, Option<u64>), Error> {
        let (entries, last) = crate::quarantine::ascending(self.shared().engine.as_ref(), after, limit)?;
        let is_meant = |entry: &QuarantineEntry| entry.refusals.iter().any(|refused| refused.reason == RejectReason::UntrustedClock);
        Ok((entries.into_iter().filter(is_meant).collect(), last))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::Uptime;

    struct Machine {
        now: Timestamp,
        built: Timestamp,
    }

    impl Clock for Machine {
        fn now(&self) -> Timestamp {
            self.now
        }
        fn uptime(&self) -> Option<Uptime> {
            Some(Uptime { boot: "boot".into(), micros: 5_000_000 })
        }
        fn built_at(&self) -> Timestamp {
            self.built
        }
    }

    #[test]
    fn a_clock_before_the_build_or_the_last_commit_can_t_be_right() {
        let at = |text: &str| Timestamp::parse(text).expect(text);
        let built = at("2026-11-01T00:00:00Z");
        for (now, last_commit, expected) in [
            ("1970-01-01T00:00:05Z", "2026-11-20T00:00:00Z", Some(true)),
            ("1970-01-01T00:00:05Z", "1970-01-01T00:00:00Z", Some(false)),
            ("2026-11-19T23:49:59Z", "2026-11-20T00:00:00Z", Some(true)),
            ("2026-11-19T23:51:00Z", "2026-11-20T00:00:00Z", None),
            ("2026-11-01T00:00:00Z", "1970-01-01T00:00:00Z", None),
            ("2036-11-01T00:00:00Z", "2026-11-20T00:00:00Z", None),
        ] {
            let judged = judge(&Machine { now: at(now), built }, at(last_commit));
            assert_eq!(judged.err().map(|distrust| distrust.is_commit), expected, "{now} after {last_commit}");
        }
    }
}
