//! Correcting what was measured wrong over an interval: a wrong factor, a wrong zero. Each value becomes a revision, the old one is
//! kept, the change stands in the audit with who and why, and can be taken back. All of it is one commit, or nothing.

use crate::pipeline::Intake;
use crate::qualify::qualify;
use model::{Datastream, Interval, Observation, Quality, Scope, Timestamp, Viewer};
use std::sync::Arc;
use store::{AuditEntry, Batch, Error, Outcome};

/// The most observations of one correction.
const MOST: usize = 1_000_000;

/// `value × factor + offset`, in the datastream's unit.
#[derive(Debug, Clone)]
pub struct Correction {
    pub interval: Interval,
    pub factor: f64,
    pub offset: f64,
    pub who: String,
    pub why: String,
}

/// What a correction changed, or would.
#[derive(Debug, Clone, PartialEq)]
pub struct Corrected {
    /// Its number in the audit; `None` in a dry run, or when nothing changed.
    pub number: Option<u64>,
    pub changed: u64,
    /// Some of them: time, before, after.
    pub examples: Vec<(Timestamp, f64, f64)>,
    /// Observations that were left as they are: revised since, where a correction is taken back.
    pub left: u64,
}

/// Why nothing was corrected.
#[derive(Debug)]
pub enum Uncorrected {
    Wrong(String),
    Store(Error),
}

impl From<Error> for Uncorrected {
    fn from(cause: Error) -> Self {
        Self::Store(cause)
    }
}

impl Intake {
    /// Corrects a datastream; `is_dry` shows what would change. For threads that may block.
    ///
    /// # Errors
    /// Nothing was changed then.
    pub fn correct(
        &self,
        datastream: &Arc<Datastream>,
        correction: &Correction,
        mode: crate::replay::Mode,
    ) -> Result<Corrected, Uncorrected> {
        if !correction.factor.is_finite() || correction.factor == 0.0 || !correction.offset.is_finite() {
            return Err(Uncorrected::Wrong(format!("factor {} and offset {} can't be", correction.factor, correction.offset)));
        }
        if correction.why.trim().is_empty() {
            return Err(Uncorrected::Wrong("say why: it stands in the audit for those who come later".into()));
        }
        let view = self.store().seen_by(&Viewer::Token { owner: datastream.owner.clone(), scopes: vec![Scope::Read] });
        let found = view.observations(datastream, correction.interval, MOST + 1)?;
        if found.len() > MOST {
            return Err(Uncorrected::Wrong(format!("more than {MOST} observations; correct a shorter interval, then the next")));
        }
        let now = self.store().clock().now();
        let corrected = |one: &Observation| {
            let result = rounded(one.result * correction.factor + correction.offset);
            // Judged anew: what was beyond the sensor's span for a wrong factor is not any more.
            qualify(Observation { result, received_at: now, quality: Quality::NOT_EVALUATED, ..*one }, datastream)
        };
        let pairs: Vec<(Observation, Observation)> = found
            .iter()
            .map(|one| (*one, corrected(one)))
            .filter(|(before, after)| before.result.to_bits() != after.result.to_bits())
            .collect();
        if pairs.iter().any(|(_, after)| !after.result.is_finite()) {
            return Err(Uncorrected::Wrong("some value would be no number any more".into()));
        }
        let examples = examples(&pairs);
        if mode == crate::replay::Mode::DryRun || pairs.is_empty() {
            return Ok(Corrected { number: None, changed: pairs.len() as u64, examples, left: 0 });
        }
        let entry = AuditEntry {
            what: "correct".into(),
            change: format!("× {} + {}", correction.factor, correction.offset),
            ..entry(datastream, correction, now, pairs.len())
        };
        let observations = pairs.into_iter().map(|(_, after)| after).collect();
        let (number, changed) = self.commit_change(observations, entry)?;
        Ok(Corrected { number: Some(number), changed, examples, left: 0 })
    }

    /// Takes a correction back: every value that is still as it left it becomes what it was before.
    ///
    /// # Errors
    /// Nothing was changed then.
    pub fn undo(&self, number: u64, who: &str, why: &str) -> Result<Corrected, Uncorrected> {
        let audit = self.store().audit()?;
        let Some(done) = audit.iter().find(|entry| entry.number == number && entry.what == "correct") else {
            return Err(Uncorrected::Wrong(format!("there is no correction {number}; \"pescaia audit\" lists them")));
        };
        if let Some(again) = audit.iter().find(|entry| entry.undoes == Some(number)) {
            return Err(Uncorrected::Wrong(format!("correction {number} was taken back already, by {}", again.number)));
        }
        let registry = self.store().registry();
        let Some(datastream) = registry.datastream_by_key(&done.datastream).cloned() else {
            return Err(Uncorrected::Wrong(format!("the datastream {} is not there", done.datastream)));
        };
        let instant = |text: &str| Timestamp::parse(text).map_err(|cause| Uncorrected::Wrong(cause.to_string()));
        let interval = Interval::new(instant(&done.from)?, instant(&done.to)?);
        let view = self.store().seen_by(&Viewer::Token { owner: datastream.owner.clone(), scopes: vec![Scope::Read] });
        let now = self.store().clock().now();
        let (mut pairs, mut left) = (Vec::new(), 0);
        let replaced = self.store().replaced_by(datastream.id, done.commit)?;
        let current = view.observations(&datastream, interval, usize::MAX)?;
        let after: Vec<Observation> = self.store().replaced_after(datastream.id, done.commit)?;
        for before in replaced.iter().filter(|one| interval.contains(one.phenomenon_time)) {
            let at = |all: &[Observation]| {
                all.binary_search_by_key(&before.phenomenon_time, |one| one.phenomenon_time).ok().and_then(|place| all.get(place).copied())
            };
            match at(&current) {
                // Somebody revised it since: that stands.
                Some(_) if after.iter().any(|one| one.phenomenon_time == before.phenomenon_time) => left += 1,
                Some(now_is) => pairs.push((now_is, Observation { received_at: now, ..*before })),
                None => left += 1,
            }
        }
        let examples = examples(&pairs);
        let correction = Correction { interval, factor: 1.0, offset: 0.0, who: who.into(), why: why.into() };
        let entry = AuditEntry {
            what: "undo".into(),
            change: format!("takes back {number}"),
            undoes: Some(number),
            ..entry(&datastream, &correction, now, pairs.len())
        };
        let observations = pairs.into_iter().map(|(_, before)| before).collect();
        let (number, changed) = self.commit_change(observations, entry)?;
        Ok(Corrected { number: Some(number), changed, examples, left })
    }

    fn commit_change(&self, observations: Vec<Observation>, entry: AuditEntry) -> Result<(u64, u64), Uncorrected> {
        let receipt = self.store().commit_blocking(Batch { observations, audit: vec![entry], ..Batch::default() })?;
        let changed = receipt.outcomes.iter().filter(|outcome| **outcome == Outcome::Revised).count() as u64;
        let number = self.store().audit()?.iter().rev().find(|entry| entry.commit == receipt.commit).map_or(0, |entry| entry.number);
        Ok((number, changed))
    }
}

fn entry(datastream: &Datastream, correction: &Correction, now: Timestamp, count: usize) -> AuditEntry {
    AuditEntry {
        number: 0,
        commit: 0,
        at: now.to_string(),
        who: correction.who.clone(),
        what: String::new(),
        datastream: datastream.key.to_string(),
        from: correction.interval.from.to_string(),
        to: correction.interval.to.to_string(),
        change: String::new(),
        why: correction.why.clone(),
        count: count as u64,
        undoes: None,
    }
}

/// To twelve digits: a factor of 0.01 makes 143 to 1.43, not to 1.4300000000000002.
fn rounded(value: f64) -> f64 {
    format!("{value:.11e}").parse().unwrap_or(value)
}

fn examples(pairs: &[(Observation, Observation)]) -> Vec<(Timestamp, f64, f64)> {
    let ends = pairs.iter().take(2).chain(pairs.iter().skip(2).rev().take(1));
    ends.map(|(before, after)| (before.phenomenon_time, before.result, after.result)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bind::Limits;
    use crate::fixture;
    use crate::meters::Meters;
    use crate::replay::Mode;
    use model::{Clock, Flag};

    fn levels(intake: &Intake) -> Vec<(f64, Flag)> {
        let view = intake.store().seen_by(&Viewer::Public);
        let found = view.observations(&view.datastream("prova-level").expect("there"), Interval::ALL, 99).expect("read");
        found.iter().map(|one| (one.result, one.quality.flag())).collect()
    }

    #[test]
    fn a_wrong_factor_is_corrected_over_an_interval_audited_and_taken_back() {
        let intake = Intake::new(fixture::store(""), Limits::default(), Meters::default());
        let datastream = intake.store().registry().datastream_by_key("prova-level").expect("there").clone();
        let start = fixture::Fixed.now().plus_seconds(-100);
        let observation = |number: i64, result: f64| {
            let time = start.plus_seconds(number * 10);
            qualify(
                Observation {
                    datastream: datastream.id,
                    phenomenon_time: time,
                    received_at: time,
                    result,
                    quality: Quality::NOT_EVALUATED,
                },
                &datastream,
            )
        };
        let measured = (0..4).map(|number| observation(number, 142.0 + number as f64)).chain([observation(4, 1.5)]).collect();
        intake.store().commit_blocking(Batch { observations: measured, ..Batch::default() }).expect("committed");
        let wrong = |factor, why: &str| Correction {
            interval: Interval::new(start, start.plus_seconds(40)),
            factor,
            offset: 0.0,
            who: "anna".into(),
            why: why.into(),
        };
        assert!(matches!(intake.correct(&datastream, &wrong(0.0, "x"), Mode::Write), Err(Uncorrected::Wrong(_))));
        assert!(matches!(intake.correct(&datastream, &wrong(0.01, " "), Mode::Write), Err(Uncorrected::Wrong(_))));
        let dry = intake.correct(&datastream, &wrong(0.01, "centimetres"), Mode::DryRun).expect("tried");
        assert_eq!((dry.number, dry.changed, dry.examples[0].2), (None, 4, 1.42));
        assert_eq!(levels(&intake)[0], (142.0, Flag::Fail));
        let done = intake.correct(&datastream, &wrong(0.01, "the logger sent centimetres"), Mode::Write).expect("corrected");
        assert_eq!((done.number, done.changed), (Some(1), 4));
        let good = |values: &[f64]| values.iter().map(|value| (*value, Flag::Good)).collect::<Vec<_>>();
        assert_eq!(levels(&intake), good(&[1.42, 1.43, 1.44, 1.45, 1.5]));
        // One of them is revised since; taking the correction back leaves it.
        intake.store().commit_blocking(Batch { observations: vec![observation(3, 1.46)], ..Batch::default() }).expect("committed");
        let back = intake.undo(1, "anna", "it was right").expect("taken back");
        assert_eq!((back.number, back.changed, back.left), (Some(2), 3, 1));
        let fail = |value| (value, Flag::Fail);
        assert_eq!(levels(&intake), [fail(142.0), fail(143.0), fail(144.0), (1.46, Flag::Good), (1.5, Flag::Good)]);
        assert!(matches!(intake.undo(1, "anna", "again"), Err(Uncorrected::Wrong(cause)) if cause.contains("already")));
        let audit = intake.store().audit().expect("whole");
        let said: Vec<_> = audit.iter().map(|entry| (entry.what.as_str(), entry.who.as_str(), entry.count, entry.undoes)).collect();
        assert_eq!(said, [("correct", "anna", 4, None), ("undo", "anna", 3, Some(1))]);
    }
}
