//! What must be, as plainly as it can be said: a map from (datastream, time) to every value that was acknowledged for it.

use model::{DatastreamId, Observation, Quality, QualityTest};
use std::collections::BTreeMap;
use store::Outcome;

/// What stands at one time.
#[derive(Clone)]
pub(crate) struct Stand {
    pub(crate) now: Observation,
    /// What it replaced, oldest first.
    pub(crate) before: Vec<Observation>,
}

/// The model.
#[derive(Clone, Default)]
pub(crate) struct Plain {
    pub(crate) kept: BTreeMap<(DatastreamId, i64), Stand>,
}

pub(crate) fn is_withdrawn(one: &Observation) -> bool {
    one.quality == Quality::WITHDRAWN
}

impl Plain {
    /// Takes a group; what each of it turned out to be.
    pub(crate) fn take(&mut self, group: &[Observation], is_correction: bool) -> Vec<Outcome> {
        group.iter().map(|one| self.take_one(one, is_correction)).collect()
    }

    fn take_one(&mut self, one: &Observation, is_correction: bool) -> Outcome {
        let key = (one.datastream, one.phenomenon_time.micros());
        let Some(stand) = self.kept.get_mut(&key) else {
            if is_withdrawn(one) {
                return Outcome::Duplicate;
            }
            self.kept.insert(key, Stand { now: *one, before: Vec::new() });
            return Outcome::Accepted;
        };
        let (gone, goes) = (is_withdrawn(&stand.now), is_withdrawn(one));
        let same = |other: &Observation| other.result.to_bits() == one.result.to_bits();
        if same(&stand.now) && (gone == goes || (gone && !is_correction)) {
            return Outcome::Duplicate;
        }
        // What was corrected stays so when the device says again what it said before.
        if stand.now.quality.spoke(QualityTest::Corrected) && !is_correction && stand.before.iter().any(same) {
            return Outcome::Duplicate;
        }
        stand.before.push(stand.now);
        stand.now = *one;
        Outcome::Revised
    }

    /// Everything that is served of a datastream, ascending.
    pub(crate) fn served(&self, id: DatastreamId) -> Vec<Observation> {
        let all = self.kept.range((id, i64::MIN)..=(id, i64::MAX));
        all.map(|(_, stand)| stand.now).filter(|now| !is_withdrawn(now)).collect()
    }
}
