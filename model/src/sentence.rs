//! What we tell people, in whole sentences. One function makes the sentence of a level for every page, widget and message.

use crate::{Flag, Lang, Level, Quality, State, Threshold, Timestamp};
use std::fmt::Write;

/// A number as the language writes it: decimal comma in Italian.
#[must_use]
pub fn number(value: f64, decimals: usize, lang: Lang) -> String {
    // −0,00 is 0,00.
    let rounded = format!("{value:.decimals$}");
    let rounded = match rounded.strip_prefix('-') {
        Some(rest) if rest.bytes().all(|b| b == b'0' || b == b'.') => rest.to_owned(),
        Some(rest) => format!("\u{2212}{rest}"),
        None => rounded,
    };
    match lang {
        Lang::It => rounded.replace('.', ","),
        Lang::En => rounded,
    }
}

/// Which way the water goes. Within ±1 cm an hour it is stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trend {
    Rising,
    Stable,
    Falling,
}

impl Trend {
    /// From metres per hour.
    #[must_use]
    pub fn of(rise_per_hour: f64) -> Self {
        if rise_per_hour > 0.01 {
            Self::Rising
        } else if rise_per_hour < -0.01 {
            Self::Falling
        } else {
            Self::Stable
        }
    }
}

/// How long ago, in words: «7 min fa», "3 h ago".
#[must_use]
pub fn age_words(age_s: i64, lang: Lang) -> String {
    let (amount, unit) = match age_s.max(0) {
        s @ 0..120 => (s, "s"),
        s @ 120..7_200 => (s / 60, "min"),
        s @ 7_200..172_800 => (s / 3600, "h"),
        s => (s / 86_400, if lang == Lang::It { "giorni" } else { "days" }),
    };
    match lang {
        Lang::It => format!("{amount} {unit} fa"),
        Lang::En => format!("{amount} {unit} ago"),
    }
}

const DAYS: [(&str, &str); 7] =
    [("lun", "Mon"), ("mar", "Tue"), ("mer", "Wed"), ("gio", "Thu"), ("ven", "Fri"), ("sab", "Sat"), ("dom", "Sun")];

/// The wall clock of Europe/Rome with its weekday: «lun 23/11 06:20».
#[must_use]
pub fn local_time(at: Timestamp, lang: Lang) -> String {
    let local = at.in_rome();
    let day = usize::try_from(local.weekday().to_monday_zero_offset()).ok().and_then(|day| DAYS.get(day));
    let day = day.map_or("", |(it, en)| if lang == Lang::It { it } else { en });
    format!("{day} {:02}/{:02} {:02}:{:02}", local.day(), local.month(), local.hour(), local.minute())
}

/// As [`local_time`]; with the year where it could be mistaken for another: «lun 08/12/2014 11:00».
#[must_use]
pub fn local_time_seen_from(at: Timestamp, now: Timestamp, lang: Lang) -> String {
    let text = local_time(at, lang);
    if (now.seconds() - at.seconds()).abs() < 300 * 86_400 {
        return text;
    }
    let year = at.in_rome().year();
    match text.rsplit_once(' ') {
        Some((date, time)) => format!("{date}/{year} {time}"),
        None => text,
    }
}

/// The sentence of a level in metres: value, trend, and how far it is to the next threshold or over the last.
/// Stale or missing values say so first; they are never told as current.
#[must_use]
pub fn sentence(last: Option<(f64, Timestamp, Quality)>, state: &State, thresholds: &[&Threshold], now: Timestamp, lang: Lang) -> String {
    let Some((value, at, quality)) = last else {
        return match lang {
            Lang::It => "Nessuna misura ricevuta finora.".into(),
            Lang::En => "No measurement received so far.".into(),
        };
    };
    let metres = number(value, 2, lang);
    if state.stale {
        let age = age_words(now.seconds() - at.seconds(), lang);
        return match lang {
            Lang::It => format!("Dato non aggiornato: l'ultimo livello noto è {metres} m, {age}. Il livello attuale non è noto."),
            Lang::En => format!("Not up to date: the last known level is {metres} m, {age}. The current level is not known."),
        };
    }
    if !quality.is_usable() {
        return faulty(&metres, state, thresholds, quality, lang);
    }
    let mut text = match lang {
        Lang::It => format!("Il livello è {metres} m"),
        Lang::En => format!("The level is {metres} m"),
    };
    if let Some(rise) = state.rise_per_hour {
        let centimetres = number((rise * 100.0).abs(), 0, lang);
        let _ = match (Trend::of(rise), lang) {
            (Trend::Stable, Lang::It) => write!(text, ", stabile"),
            (Trend::Stable, Lang::En) => write!(text, ", stable"),
            (Trend::Rising, Lang::It) => write!(text, ", in crescita di {centimetres} cm all'ora"),
            (Trend::Rising, Lang::En) => write!(text, ", rising by {centimetres} cm an hour"),
            (Trend::Falling, Lang::It) => write!(text, ", in calo di {centimetres} cm all'ora"),
            (Trend::Falling, Lang::En) => write!(text, ", falling by {centimetres} cm an hour"),
        };
    }
    let next = thresholds.iter().find(|threshold| value < threshold.value);
    let last_passed = thresholds.iter().rev().find(|threshold| value >= threshold.value);
    let distance = |threshold: &Threshold| {
        let gap = (threshold.value - value).abs();
        if gap < 1.0 { format!("{} cm", number(gap * 100.0, 0, lang)) } else { format!("{} m", number(gap, 2, lang)) }
    };
    if let Some(passed) = last_passed {
        let (by, label) = (distance(passed), passed.label.get(lang));
        let _ = match lang {
            Lang::It => write!(text, "; supera di {by} la {label} ({} m)", number(passed.value, 2, lang)),
            Lang::En => write!(text, "; it is {by} over {label} ({} m)", number(passed.value, 2, lang)),
        };
    }
    if let Some(threshold) = next {
        let (by, label) = (distance(threshold), threshold.label.get(lang));
        let _ = match lang {
            Lang::It => write!(text, "; mancano {by} alla {label} ({} m)", number(threshold.value, 2, lang)),
            Lang::En => write!(text, "; {by} below {label} ({} m)", number(threshold.value, 2, lang)),
        };
    }
    text.push('.');
    text
}

/// A value that can't be trusted is never told as the level; a threshold that was passed a moment ago is not hidden by it.
fn faulty(metres: &str, state: &State, thresholds: &[&Threshold], quality: Quality, lang: Lang) -> String {
    let is_fail = quality.flag() == Flag::Fail;
    let mut text = match (is_fail, lang) {
        (true, Lang::It) => format!("Misura errata: il sensore dice {metres} m, che non può essere."),
        (true, Lang::En) => format!("Wrong value: the sensor says {metres} m, which can't be."),
        (false, Lang::It) => format!("Misura dubbia: il sensore dice {metres} m."),
        (false, Lang::En) => format!("Suspect value: the sensor says {metres} m."),
    };
    let passed = match state.level {
        Level::Over(k) => thresholds.get(usize::from(k).saturating_sub(1)),
        Level::Below | Level::Unknown => None,
    };
    text += &match (passed, lang) {
        (Some(threshold), Lang::It) => format!(" L'ultima misura valida era oltre la {}.", threshold.label.get(lang)),
        (Some(threshold), Lang::En) => format!(" The last valid value was over {}.", threshold.label.get(lang)),
        (None, Lang::It) => " Il livello attuale non è noto.".to_owned(),
        (None, Lang::En) => " The current level is not known.".to_owned(),
    };
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{QualityTest, Text, Validity};

    fn check(value: f64, rise: Option<f64>, stale: bool, lang: Lang, expected: &str) {
        let at = Timestamp::parse("2026-11-23T05:20:00Z").expect("a time");
        let threshold =
            |value, it: &str, en: &str| Threshold { value, label: Text::new(it, en), meaning: None, validity: Validity::default() };
        let (one, two) = (threshold(2.0, "soglia 1", "threshold 1"), threshold(3.0, "soglia 2", "threshold 2"));
        let state = State { level: Level::Below, stale, rise_per_hour: rise };
        let said = sentence(Some((value, at, Quality::GOOD)), &state, &[&one, &two], at.plus_seconds(3 * 3600), lang);
        assert_eq!(said, expected);
    }

    #[test]
    fn a_level_is_told_in_a_sentence() {
        check(
            1.42,
            Some(0.12),
            false,
            Lang::It,
            "Il livello è 1,42 m, in crescita di 12 cm all'ora; mancano 58 cm alla soglia 1 (2,00 m).",
        );
        check(1.42, Some(-0.004), false, Lang::En, "The level is 1.42 m, stable; 58 cm below threshold 1 (2.00 m).");
        check(
            2.30,
            Some(-0.2),
            false,
            Lang::It,
            "Il livello è 2,30 m, in calo di 20 cm all'ora; supera di 30 cm la soglia 1 (2,00 m); mancano 70 cm alla soglia 2 (3,00 m).",
        );
        check(4.10, None, false, Lang::It, "Il livello è 4,10 m; supera di 1,10 m la soglia 2 (3,00 m).");
        check(
            1.0,
            Some(0.5),
            true,
            Lang::It,
            "Dato non aggiornato: l'ultimo livello noto è 1,00 m, 3 h fa. Il livello attuale non è noto.",
        );
    }

    #[test]
    fn what_a_broken_sensor_says_is_never_told_as_the_level() {
        let at = Timestamp::parse("2026-11-23T05:20:00Z").expect("a time");
        let threshold = Threshold { value: 2.0, label: Text::new("soglia 1", "threshold 1"), meaning: None, validity: Validity::default() };
        let said = |level, flag, lang| {
            let state = State { level, stale: false, rise_per_hour: Some(0.5) };
            sentence(Some((99.99, at, Quality::GOOD.with(QualityTest::GrossRange, flag))), &state, &[&threshold], at, lang)
        };
        assert_eq!(
            said(Level::Unknown, Flag::Fail, Lang::It),
            "Misura errata: il sensore dice 99,99 m, che non può essere. Il livello attuale non è noto."
        );
        assert_eq!(
            said(Level::Over(1), Flag::Fail, Lang::It),
            "Misura errata: il sensore dice 99,99 m, che non può essere. L'ultima misura valida era oltre la soglia 1."
        );
        assert_eq!(
            said(Level::Unknown, Flag::Suspect, Lang::En),
            "Suspect value: the sensor says 99.99 m. The current level is not known."
        );
    }

    #[test]
    fn nothing_is_ever_minus_zero() {
        assert_eq!(number(-0.001, 2, Lang::It), "0,00");
        assert_eq!(number(-0.25, 2, Lang::It), "\u{2212}0,25");
    }

    #[test]
    fn local_times_carry_their_weekday() {
        let at = Timestamp::parse("2026-11-23T05:20:00Z").expect("a time");
        assert_eq!(local_time(at, Lang::It), "lun 23/11 06:20");
        assert_eq!(local_time_seen_from(at, at.plus_seconds(86_400), Lang::It), "lun 23/11 06:20");
        assert_eq!(local_time_seen_from(at, at.plus_seconds(400 * 86_400), Lang::It), "lun 23/11/2026 06:20");
    }
}
