//! Correcting what was measured wrong over an interval: a wrong factor, a wrong zero, a wrong clock. Each value becomes a revision, the
//! old one is kept, the change stands in the audit with who and why, and can be taken back. All of it is one commit, or nothing.

use crate::decimal::scale;
use crate::pipeline::Intake;
use crate::qualify::qualify;
use model::{Datastream, Flag, Interval, Observation, Quality, QualityTest, Scope, Timestamp, Viewer};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use store::{AuditEntry, Batch, Error, View};

/// The most observations of one correction.
const MOST: usize = 1_000_000;

/// `value × factor + offset`, in the datastream's unit, at `time + shift`.
#[derive(Debug, Clone)]
pub struct Correction {
    pub interval: Interval,
    pub factor: f64,
    pub offset: f64,
    /// What the device's clock was wrong by, seconds: added to every time. What stood at the old times is withdrawn.
    pub shift_s: i64,
    /// What a person holds of the values, instead of what the tests say.
    pub flag: Option<Flag>,
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
        if let Some(at) = self.store().local_from(datastream.id).filter(|at| correction.interval.from < *at) {
            return Err(Uncorrected::Wrong(format!("what is older than {at} is no longer in this store; correct from there on")));
        }
        let view = self.store().seen_by(&Viewer::Token { owner: datastream.owner.clone(), scopes: vec![Scope::Read] });
        let found = view.observations(datastream, correction.interval, MOST + 1)?;
        if found.len() > MOST {
            return Err(Uncorrected::Wrong(format!("more than {MOST} observations; correct a shorter interval, then the next")));
        }
        let now = self.store().clock().now();
        let corrected = |one: &Observation| {
            let result = scale(one.result, correction.factor, correction.offset).unwrap_or(f64::NAN);
            // Judged anew: what was beyond the sensor's span for a wrong factor is not any more.
            let phenomenon_time = one.phenomenon_time.plus_seconds(correction.shift_s);
            let quality = Quality::NOT_EVALUATED;
            let judged = match correction.flag {
                None => qualify(Observation { result, phenomenon_time, received_at: now, quality, ..*one }, datastream).quality,
                Some(flag) => Quality::GOOD.with(QualityTest::Corrected, flag),
            };
            let quality = judged.with(QualityTest::Corrected, Flag::Good);
            Observation { result, phenomenon_time, received_at: now, quality, ..*one }
        };
        let pairs: Vec<(Observation, Observation)> = found
            .iter()
            .map(|one| (*one, corrected(one)))
            .filter(|(before, after)| {
                let is_judged_anew = correction.flag.is_some() && before.quality != after.quality;
                before.result.to_bits() != after.result.to_bits() || correction.shift_s != 0 || is_judged_anew
            })
            .collect();
        if pairs.iter().any(|(_, after)| !after.result.is_finite()) {
            return Err(Uncorrected::Wrong("some value would be no number any more".into()));
        }
        if correction.shift_s != 0 {
            self.check_room(&view, datastream, correction, &pairs)?;
        }
        let examples = examples(&pairs);
        if mode == crate::replay::Mode::DryRun || pairs.is_empty() {
            return Ok(Corrected { number: None, changed: pairs.len() as u64, examples, left: 0 });
        }
        let entry = AuditEntry { what: "correct".into(), change: correction.words(), ..entry(datastream, correction, now, pairs.len()) };
        let changed = pairs.len() as u64;
        let mut observations: BTreeMap<Timestamp, Observation> = BTreeMap::new();
        if correction.shift_s != 0 {
            observations.extend(pairs.iter().map(|(before, _)| (before.phenomenon_time, withdrawn(before, now))));
        }
        observations.extend(pairs.into_iter().map(|(_, after)| (after.phenomenon_time, after)));
        let number = self.commit_change(&view, datastream, observations, entry)?;
        Ok(Corrected { number: Some(number), changed, examples, left: 0 })
    }

    /// What is shifted must not fall on other observations, nor ahead of now.
    fn check_room(
        &self,
        view: &View,
        datastream: &Datastream,
        correction: &Correction,
        pairs: &[(Observation, Observation)],
    ) -> Result<(), Uncorrected> {
        let (Some((_, first)), Some((_, last))) = (pairs.first(), pairs.last()) else { return Ok(()) };
        let now = self.store().clock().now();
        if last.phenomenon_time > now {
            let detail = format!("the last would be of {}, which is ahead of now; shift by less", last.phenomenon_time);
            return Err(Uncorrected::Wrong(detail));
        }
        let target = Interval::new(first.phenomenon_time, last.phenomenon_time.plus_micros(1));
        let others = view.observations(datastream, target, MOST + pairs.len() + 1)?;
        let times: BTreeMap<Timestamp, f64> = pairs.iter().map(|(_, after)| (after.phenomenon_time, after.result)).collect();
        let is_in_the_way = |one: &&Observation| {
            !correction.interval.contains(one.phenomenon_time)
                && times.get(&one.phenomenon_time).is_some_and(|result| result.to_bits() != one.result.to_bits())
        };
        match others.iter().find(is_in_the_way) {
            Some(other) => Err(Uncorrected::Wrong(format!(
                "at {} another value stands, {}, outside the interval that is corrected; correct a longer interval, or withdraw that one first",
                other.phenomenon_time, other.result
            ))),
            None => Ok(()),
        }
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
        let (interval, done_at) = (Interval::new(instant(&done.from)?, instant(&done.to)?), instant(&done.at)?);
        let view = self.store().seen_by(&Viewer::Token { owner: datastream.owner.clone(), scopes: vec![Scope::Read] });
        let now = self.store().clock().now();
        let replaced = self.store().replaced_by(datastream.id, done.commit)?;
        let since: BTreeSet<Timestamp> =
            self.store().replaced_after(datastream.id, done.commit)?.iter().map(|one| one.phenomenon_time).collect();
        let shifted = interval.shifted(done.shift_s);
        let current = view.observations(&datastream, interval.around(shifted), usize::MAX)?;
        let now_at = |time: Timestamp| {
            current.binary_search_by_key(&time, |one| one.phenomenon_time).ok().and_then(|place| current.get(place)).copied()
        };
        // What is there again as it was, what goes again, and what somebody revised since, which stands.
        let (mut pairs, mut changes, mut left) = (Vec::new(), BTreeMap::new(), 0);
        // A time may have been withdrawn and said again by the correction: what was there first counts.
        let mut seen = BTreeSet::new();
        for before in replaced.iter().filter(|one| interval.contains(one.phenomenon_time)) {
            if !seen.insert(before.phenomenon_time) {
                continue;
            }
            let moved_to = before.phenomenon_time.plus_seconds(done.shift_s);
            let Some(now_is) = now_at(moved_to).filter(|_| !since.contains(&before.phenomenon_time) && !since.contains(&moved_to)) else {
                left += 1;
                continue;
            };
            // What was there before with the same value is not the correction's.
            if done.shift_s != 0 && now_is.received_at.seconds() == done_at.seconds() {
                changes.entry(moved_to).or_insert_with(|| withdrawn(&now_is, now));
            }
            let again = Observation { received_at: now, ..*before };
            changes.insert(before.phenomenon_time, again);
            pairs.push((now_is, again));
        }
        let examples = examples(&pairs);
        let correction = Correction { interval, factor: 1.0, offset: 0.0, shift_s: 0, flag: None, who: who.into(), why: why.into() };
        let entry = AuditEntry {
            what: "undo".into(),
            change: format!("takes back {number}"),
            undoes: Some(number),
            ..entry(&datastream, &correction, now, pairs.len())
        };
        let changed = pairs.len() as u64;
        let number = self.commit_change(&view, &datastream, changes, entry)?;
        Ok(Corrected { number: Some(number), changed, examples, left })
    }

    /// The number of the change. A value that stays and is only judged otherwise is nothing new to the store: so it is withdrawn and said
    /// again, in the same commit.
    fn commit_change(
        &self,
        view: &View,
        datastream: &Datastream,
        changes: BTreeMap<Timestamp, Observation>,
        entry: AuditEntry,
    ) -> Result<u64, Uncorrected> {
        let mut stays = BTreeSet::new();
        // What a shift finds at its new time with the same value was there before, and stays as it is.
        let ends = changes.keys().next().zip(changes.keys().next_back()).filter(|_| entry.shift_s == 0);
        if let Some((first, last)) = ends {
            view.each_observation(datastream, Interval::new(*first, last.plus_micros(1)), |now_is| {
                let said = changes.get(&now_is.phenomenon_time).filter(|said| said.quality != Quality::WITHDRAWN);
                if said.is_some_and(|said| said.result.to_bits() == now_is.result.to_bits() && said.quality != now_is.quality) {
                    stays.insert(now_is.phenomenon_time);
                }
            })?;
        }
        let steps =
            |one: Observation| stays.contains(&one.phenomenon_time).then(|| withdrawn(&one, one.received_at)).into_iter().chain([one]);
        let observations = changes.into_values().flat_map(steps).collect();
        let receipt = self.store().commit_blocking(Batch { observations, audit: vec![entry], ..Batch::default() })?;
        let number = self.store().audit()?.iter().rev().find(|entry| entry.commit == receipt.commit).map_or(0, |entry| entry.number);
        Ok(number)
    }
}

impl Correction {
    fn words(&self) -> String {
        let mut words = format!("× {} + {}", self.factor, self.offset);
        if self.shift_s != 0 {
            words += &format!(", clock {:+} s", self.shift_s);
        }
        if let Some(flag) = self.flag {
            words += &format!(", quality {}", flag as u8);
        }
        words
    }
}

/// The observation that takes this one away.
fn withdrawn(one: &Observation, now: Timestamp) -> Observation {
    Observation { received_at: now, quality: Quality::WITHDRAWN, ..*one }
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
        shift_s: correction.shift_s,
        count: count as u64,
        undoes: None,
    }
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
    use model::Clock;
    use store::Outcome;

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
            shift_s: 0,
            flag: None,
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
        // The device sends one again as it had it.
        let again = intake.store().commit_blocking(Batch { observations: vec![observation(1, 143.0)], ..Batch::default() });
        assert_eq!(again.expect("committed").outcomes, [Outcome::Duplicate]);
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

    #[test]
    fn a_person_judges_values_otherwise_than_the_tests_and_takes_it_back() {
        let intake = Intake::new(fixture::store(""), Limits::default(), Meters::default());
        let datastream = intake.store().registry().datastream_by_key("prova-level").expect("there").clone();
        let start = fixture::Fixed.now().plus_seconds(-100);
        let observation = |number: i64| {
            let time = start.plus_seconds(number * 10);
            let (result, quality) = (1.0 + number as f64, Quality::NOT_EVALUATED);
            qualify(Observation { datastream: datastream.id, phenomenon_time: time, received_at: time, result, quality }, &datastream)
        };
        let commit = |observations: Vec<Observation>| {
            intake.store().commit_blocking(Batch { observations, ..Batch::default() }).expect("committed").outcomes
        };
        commit((0..4).map(observation).collect());
        let judged = |flag| Correction {
            interval: Interval::new(start.plus_seconds(10), start.plus_seconds(30)),
            factor: 1.0,
            offset: 0.0,
            shift_s: 0,
            flag: Some(flag),
            who: "anna".into(),
            why: "weed on the sensor".into(),
        };
        let before = levels(&intake);
        let with = |flag| vec![before[0], (2.0, flag), (3.0, flag), before[3]];
        let done = intake.correct(&datastream, &judged(Flag::Suspect), Mode::Write).expect("judged");
        assert_eq!((done.number, done.changed, levels(&intake)), (Some(1), 2, with(Flag::Suspect)));
        assert_eq!(store::History::count(intake.store(), datastream.id), 4);
        let again = intake.correct(&datastream, &judged(Flag::Suspect), Mode::Write).expect("nothing to do");
        assert_eq!((again.number, again.changed), (None, 0));
        // The device says again what it measured: the judgement stands.
        assert_eq!(commit(vec![observation(1), observation(2)]), [Outcome::Duplicate, Outcome::Duplicate]);
        assert_eq!(levels(&intake), with(Flag::Suspect));
        let worse = intake.correct(&datastream, &judged(Flag::Fail), Mode::Write).expect("judged");
        assert_eq!(levels(&intake), with(Flag::Fail));
        intake.undo(worse.number.expect("done"), "anna", "not so bad").expect("taken back");
        assert_eq!(levels(&intake), with(Flag::Suspect));
        let audit = intake.store().audit().expect("whole");
        assert_eq!(audit[0].change, "× 1 + 0, quality 3");
        assert_eq!(audit.len(), 3);
    }

    #[test]
    fn a_wrong_clock_is_corrected_what_its_device_sends_again_changes_nothing_and_all_is_taken_back() {
        let intake = Intake::new(fixture::store(""), Limits::default(), Meters::default());
        let datastream = intake.store().registry().datastream_by_key("prova-level").expect("there").clone();
        let start = fixture::Fixed.now().plus_seconds(-1000);
        let observation = |second: i64, result: f64| {
            let time = start.plus_seconds(second);
            let quality = Quality::NOT_EVALUATED;
            qualify(Observation { datastream: datastream.id, phenomenon_time: time, received_at: time, result, quality }, &datastream)
        };
        let view = || intake.store().seen_by(&Viewer::Public);
        let seconds = || -> Vec<(i64, f64)> {
            let found = view().observations(&view().datastream("prova-level").expect("there"), Interval::ALL, 99).expect("read");
            found.iter().map(|one| (one.phenomenon_time.seconds() - start.seconds(), one.result)).collect()
        };
        let count = || store::History::count(intake.store(), datastream.id);
        let commit = |observations: &[Observation]| {
            let batch = Batch { observations: observations.to_vec(), ..Batch::default() };
            intake.store().commit_blocking(batch).expect("committed").outcomes
        };
        let wrong: Vec<_> = (10..14).map(|number| observation(number * 10, number as f64 / 10.0)).collect();
        commit(&wrong);
        commit(&[observation(20, 0.2)]);
        let correction = |from: i64, to: i64, shift_s: i64| Correction {
            interval: Interval::new(start.plus_seconds(from), start.plus_seconds(to)),
            factor: 1.0,
            offset: 0.0,
            shift_s,
            flag: None,
            who: "anna".into(),
            why: "the clock was 70 s ahead".into(),
        };
        let before = seconds();
        // One would fall on what stands at 20 s; one would lie ahead of now.
        let cause = |found| match found {
            Err(Uncorrected::Wrong(cause)) => cause,
            other => panic!("{other:?}"),
        };
        assert!(cause(intake.correct(&datastream, &correction(100, 200, -80), Mode::Write)).contains("another value stands"));
        assert!(cause(intake.correct(&datastream, &correction(100, 200, 900), Mode::Write)).contains("ahead of now"));
        // By a whole period, so that old and new times overlap.
        let done = intake.correct(&datastream, &correction(100, 200, -20), Mode::Write).expect("corrected");
        assert_eq!(done.changed, 4);
        let after = [(20, 0.2), (80, 1.0), (90, 1.1), (100, 1.2), (110, 1.3)];
        assert_eq!((seconds(), count()), (after.to_vec(), 5));
        assert_eq!(store::History::latest(intake.store(), datastream.id).map(|last| last.result), Some(1.3), "not what was withdrawn");
        // The device sends its last two again, as it had them.
        assert_eq!(commit(&wrong[2..]), [Outcome::Duplicate, Outcome::Duplicate]);
        assert_eq!(seconds(), after);
        intake.undo(done.number.expect("done"), "anna", "it was right").expect("taken back");
        assert_eq!((seconds(), count()), (before, 5));
        assert_eq!(store::History::latest(intake.store(), datastream.id).map(|last| last.result), Some(1.3));
    }
}
