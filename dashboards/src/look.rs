//! How a state looks: shape, word and colour together, never colour alone. What is old is never green.

use crate::words::Words;
use model::{Flag, Lang, Level};
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

impl Look {
    pub(crate) fn of(latest: &Latest, words: &Words) -> Self {
        let look = |class, shape, word: &str, severity| Self { class, shape, word: word.to_owned(), severity };
        let Some(observation) = &latest.observation else { return look("old", "◌", words.no_data, 60) };
        if latest.state.stale {
            return look("old", "◌", words.stale, 50);
        }
        // A nonsense value hides no threshold that was passed a moment ago.
        if !observation.quality.is_usable() && !matches!(latest.state.level, Level::Over(_)) {
            let word = if observation.quality.flag() == Flag::Fail { words.failed } else { words.suspect };
            return look("odd", "△", word, 40);
        }
        match latest.state.level {
            Level::Over(k) => {
                let thresholds = latest.datastream.thresholds_at(observation.phenomenon_time);
                let label =
                    thresholds.get(usize::from(k).saturating_sub(1)).map(|threshold| threshold.label.get(words.lang)).unwrap_or_default();
                let (class, shape) = if k == 1 { ("t1", "▲") } else { ("t2", "■") };
                look(class, shape, &format!("{} {label}", words.over), 30_u8.saturating_sub(k))
            }
            Level::Below if latest.datastream.thresholds.is_empty() => look("ok", "✓", words.regular, 100),
            Level::Below => look("ok", "✓", words.below, 90),
            Level::Unknown => look("old", "◌", words.no_data, 60),
        }
    }

    /// Over a threshold.
    pub(crate) fn is_alarming(&self) -> bool {
        self.severity < 30
    }
    /// Nothing that could be called current.
    pub(crate) fn is_unknown(&self) -> bool {
        self.class == "old"
    }
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
