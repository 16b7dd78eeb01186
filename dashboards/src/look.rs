//! How a state looks: shape, word and colour together, never colour alone. What is old is never green.

use crate::words::Words;
use model::{Flag, Lang, Level, Trend, threshold_words};
use store::Latest;

/// A state as it is shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Look {
    /// Class of the style sheet.
    pub(crate) class: &'static str,
    pub(crate) shape: &'static str,
    pub(crate) word: String,
    /// For sorting: the most serious first.
    pub(crate) severity: u8,
}

/// Places in the order of lists, the most serious first: over a threshold (30 less its number), near the next one, then what can't be
/// trusted, rain, what is dead, and all the rest.
const NEAR: u8 = 35;
const FAULTY: u8 = 40;
const RAINING: u8 = 42;
/// Dead, and it was over a threshold when it last spoke.
const STALE_HIGH: u8 = 45;
const STALE: u8 = 50;
const NO_DATA: u8 = 60;
const BELOW: u8 = 90;
const REGULAR: u8 = 100;
/// Silent for longer than [`ENDED_S`]: a series of the past, which nobody waits for tonight.
const ENDED: u8 = 110;
/// What ended longer ago is a series of the past, seconds.
pub(crate) const ENDED_S: i64 = 30 * 86_400;

impl Look {
    pub(crate) fn new(class: &'static str, shape: &'static str, word: &str, severity: u8) -> Self {
        Self { class, shape, word: word.to_owned(), severity }
    }

    /// Nothing is known.
    pub(crate) fn no_data(words: &Words) -> Self {
        Self::new("old", "◌", words.no_data, NO_DATA)
    }

    pub(crate) fn of(latest: &Latest, words: &Words) -> Self {
        let Some(observation) = &latest.observation else { return Self::no_data(words) };
        let thresholds = latest.datastream.thresholds_at(latest.now);
        if latest.state.stale {
            let was_high = observation.quality.is_usable() && thresholds.iter().any(|threshold| observation.result >= threshold.value);
            let severity = match (latest.age_s, was_high) {
                (Some(age), _) if age > ENDED_S => ENDED,
                (_, true) => STALE_HIGH,
                (_, false) => STALE,
            };
            return Self::new("old", "◌", words.stale, severity);
        }
        // A nonsense value hides no threshold that was passed a moment ago.
        if !observation.quality.is_usable() && !matches!(latest.state.level, Level::Over(_)) {
            let word = if observation.quality.flag() == Flag::Fail { words.failed } else { words.suspect };
            return Self::new("odd", "△", word, FAULTY);
        }
        if let Some(rain) = &latest.rain {
            return if rain.is_raining() {
                Self::new("rain", "●", words.raining, RAINING)
            } else {
                Self::new("ok", "✓", words.dry, REGULAR)
            };
        }
        let label = |k: u8| {
            let threshold = thresholds.get(usize::from(k).saturating_sub(1));
            threshold.map_or_else(String::new, |threshold| threshold_words(&threshold.label, words.lang))
        };
        match (latest.state.level, latest.approach()) {
            (Level::Over(k), near) => {
                let (class, shape) = if k == 1 { ("t1", "▲") } else { ("t2", "■") };
                let near = near.map_or_else(String::new, |near| format!(", {}", approach_words(latest, &label(near.threshold), words)));
                Self::new(
                    class,
                    shape,
                    &format!("{} {}{near}", words.over, label(k)),
                    30_u8.saturating_sub(k.saturating_mul(2).saturating_add(u8::from(!near.is_empty()))),
                )
            }
            (Level::Below, Some(near)) => {
                let word = crate::chart::capital(&approach_words(latest, &label(near.threshold), words));
                Self::new("near", "◆", &word, NEAR)
            }
            (Level::Below, None) if thresholds.is_empty() => Self::new("ok", "✓", words.regular, REGULAR),
            (Level::Below, None) => Self::new("ok", "✓", words.below, BELOW),
            (Level::Unknown, _) => Self::no_data(words),
        }
    }

    /// Over a threshold.
    pub(crate) fn is_alarming(&self) -> bool {
        self.severity < NEAR
    }
    /// Below a threshold, and near it.
    pub(crate) fn is_near(&self) -> bool {
        self.severity == NEAR
    }
    /// Nothing that could be called current.
    pub(crate) fn is_unknown(&self) -> bool {
        self.class == "old"
    }
}

/// «in avvicinamento alla soglia 1»; a falling river approaches nothing, it is still near.
fn approach_words(latest: &Latest, label: &str, words: &Words) -> String {
    let is_falling = latest.state.rise_per_hour.is_some_and(|rise| Trend::of(rise) == Trend::Falling);
    format!("{} {label}", if is_falling { words.near } else { words.approaching })
}

/// The word for QARTOD's flag.
pub(crate) fn quality_word(flag: Flag, lang: Lang) -> &'static str {
    let (it, en) = match flag {
        Flag::Good => ("valido", "good"),
        Flag::NotEvaluated => ("non valutato", "not evaluated"),
        Flag::Suspect => ("dubbio", "suspect"),
        Flag::Fail => ("errato", "wrong"),
        Flag::Missing => ("mancante", "missing"),
    };
    if lang == Lang::It { it } else { en }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Clock, Observation, Quality, Timestamp, Viewer};
    use std::sync::Arc;
    use store::{Batch, Store, load_embedded};

    const NOW: i64 = 1_795_400_000;

    struct Stands;
    impl Clock for Stands {
        fn now(&self) -> Timestamp {
            Timestamp::from_seconds(NOW)
        }
    }

    /// How a level with thresholds at 2 and 3 m looks, with one value a minute until `ago_s` before now.
    fn look(values: &[f64], ago_s: i64) -> Look {
        let network = "[[owner]]\nid = \"o\"\nname = \"o\"\n[[station]]\nid = \"s\"\nowner = \"o\"\nname = \"s\"\nwhere = [43.9, 11.1]\n\
                       [[datastream]]\nid = \"l\"\nstation = \"s\"\nproperty = \"water_level\"\nperiod_s = 60\nvisibility = \"public\"\n\
                       [[datastream.threshold]]\nvalue = 2.0\nlabel = \"soglia 1\"\n[[datastream.threshold]]\nvalue = 3.0\nlabel = \"soglia 2\"\n";
        let store = Store::in_memory(Arc::new(Stands)).expect("a store");
        store.apply(&load_embedded("n", network, &[]).expect("a network")).expect("applied");
        let id = store.registry().datastream_by_key("l").expect("there").id;
        let first = NOW - ago_s - 60 * (i64::try_from(values.len()).expect("few") - 1);
        let observation = |(minute, result): (i64, &f64)| {
            let at = Timestamp::from_seconds(first + minute * 60);
            Observation { datastream: id, phenomenon_time: at, received_at: at, result: *result, quality: Quality::GOOD }
        };
        let observations = (0..).zip(values).map(observation).collect();
        store.commit_blocking(Batch { observations, ..Batch::default() }).expect("committed");
        let latest = store.seen_by(&Viewer::Public).latest().expect("latest").remove(0);
        Look::of(&latest, Words::of(Lang::It))
    }

    fn ramp(from: f64, step: f64) -> Vec<f64> {
        (0..40).map(|minute| from + step * f64::from(minute)).collect()
    }

    #[test]
    fn dead_sensors_stand_below_rivers_that_come_near_a_threshold() {
        let (over, near, dead, calm) =
            (look(&ramp(2.1, 0.0), 10), look(&ramp(1.5, 0.01), 10), look(&ramp(1.5, 0.0), 600), look(&ramp(1.0, 0.0), 10));
        let order: Vec<u8> = [&over, &near, &dead, &calm].iter().map(|look| look.severity).collect();
        assert!(order.is_sorted() && order[0] < order[1] && order[1] < order[2] && order[2] < order[3], "{order:?}");
        assert_eq!((near.word.as_str(), near.class), ("In avvicinamento alla soglia 1", "near"));
        let dead_high = look(&ramp(2.1, 0.0), 600);
        assert!(near.severity < dead_high.severity && dead_high.severity < dead.severity);
    }

    #[test]
    fn a_falling_river_is_near_and_does_not_approach() {
        assert_eq!(look(&ramp(1.95, -0.001), 10).word, "Vicino alla soglia 1");
        assert_eq!(look(&ramp(2.9, 0.0), 10).word, "Oltre la soglia 1, in avvicinamento alla soglia 2");
    }

    #[test]
    fn what_is_old_has_no_tick_and_approaches_nothing() {
        for old in [look(&ramp(1.9, 0.01), 600), look(&ramp(1.0, 0.0), 600)] {
            assert_eq!((old.class, old.shape, old.word.as_str()), ("old", "◌", "Dato non aggiornato"));
            assert!(!old.is_near() && !old.is_alarming());
        }
    }
}
