//! What we tell people, in whole sentences. One function makes the sentence of a level for every page, widget and message.

use crate::{Flag, Lang, Level, Quality, RAIN_WINDOWS_H, RainSum, RainSums, State, Text, Threshold, Timestamp, approach, civil_day};
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

/// How long ago and when by the clock of Italy: «3 min fa, alle 06:20»; of another day than `now` with its date: «20 h fa, dom 22/11 alle 10:20».
#[must_use]
pub fn age_and_time(at: Timestamp, now: Timestamp, lang: Lang) -> String {
    format!("{}, {}", age_words(now.seconds() - at.seconds(), lang), clock_words(at, now, lang))
}

/// «alle 06:20», or «dom 22/11 alle 10:20» where that is another day.
fn clock_words(at: Timestamp, now: Timestamp, lang: Lang) -> String {
    let text = local_time_seen_from(at, now, lang);
    let (date, time) = text.rsplit_once(' ').unwrap_or(("", &text));
    match (civil_day(at) == civil_day(now), lang) {
        (true, Lang::It) => format!("alle {time}"),
        (true, Lang::En) => format!("at {time}"),
        (false, Lang::It) => format!("{date} alle {time}"),
        (false, Lang::En) => format!("{date} at {time}"),
    }
}

/// A threshold with its noun: «soglia 1» as it is, «primo livello» as «soglia «primo livello»», so that articles agree.
#[must_use]
pub fn threshold_words(label: &Text, lang: Lang) -> String {
    let text = label.get(lang);
    let noun = if lang == Lang::It { "soglia" } else { "threshold" };
    match text.get(..noun.len()).filter(|start| start.eq_ignore_ascii_case(noun)) {
        Some(start) => format!("{}{}", start.to_lowercase(), text.get(noun.len()..).unwrap_or_default()),
        None if lang == Lang::It => format!("soglia «{text}»"),
        None => format!("threshold “{text}”"),
    }
}

/// A sum of rain: «29,2 mm», or «≥ 29,2 mm» where part of the window was not measured.
#[must_use]
pub fn rain_sum_words(sum: RainSum, lang: Lang) -> String {
    format!("{}{} mm", if sum.is_whole { "" } else { "≥ " }, number(sum.millimetres, 1, lang))
}

/// The sentence of a rain gauge: what fell in the last hour, 3 and 24 hours up to its last value, never that value alone.
/// `None` where nothing was measured; sums that are stale say so first.
#[must_use]
pub fn rain_sentence(rain: &RainSums, is_stale: bool, now: Timestamp, lang: Lang) -> Option<String> {
    let known: Vec<(i64, RainSum)> = RAIN_WINDOWS_H.into_iter().filter_map(|hours| Some((hours, rain.over(hours)?))).collect();
    let &(shortest_h, shortest) = known.first()?;
    let &(longest_h, longest) = known.last()?;
    let hours = |hours: i64| match (hours, lang) {
        (1, Lang::It) => "1 ora".to_owned(),
        (1, Lang::En) => "1 hour".to_owned(),
        (_, Lang::It) => format!("{hours} ore"),
        (_, Lang::En) => format!("{hours} hours"),
    };
    let listed = |sums: &[(i64, RainSum)]| {
        let one = |(window, sum): &(i64, RainSum)| format!("{} in {}", rain_sum_words(*sum, lang), hours(*window));
        sums.iter().map(one).collect::<Vec<_>>().join(", ")
    };
    if is_stale {
        let (all, age) = (listed(&known), age_and_time(rain.end, now, lang));
        return Some(match lang {
            Lang::It => {
                format!("Dato non aggiornato: gli ultimi cumulati noti sono {all}; ultima misura {age}. La pioggia attuale non è nota.")
            }
            Lang::En => format!("Not up to date: the last known totals are {all}; last measured {age}. The current rain is not known."),
        });
    }
    if longest.millimetres == 0.0 && longest.is_whole {
        return Some(match lang {
            Lang::It => format!("Nessuna pioggia nelle ultime {}.", hours(longest_h)),
            Lang::En => format!("No rain in the last {}.", hours(longest_h)),
        });
    }
    let rest = listed(known.get(1..).unwrap_or_default());
    let rest = if rest.is_empty() { rest } else { format!("; {rest}") };
    let fallen = rain_sum_words(shortest, lang);
    Some(match (shortest_h, shortest.millimetres == 0.0 && shortest.is_whole, lang) {
        (1, true, Lang::It) => format!("Nessuna pioggia nell'ultima ora{rest}."),
        (_, true, Lang::It) => format!("Nessuna pioggia nelle ultime {}{rest}.", hours(shortest_h)),
        (1, false, Lang::It) => format!("Nell'ultima ora {fallen} di pioggia{rest}."),
        (_, false, Lang::It) => format!("Nelle ultime {} {fallen} di pioggia{rest}.", hours(shortest_h)),
        (1, true, Lang::En) => format!("No rain in the last hour{rest}."),
        (_, true, Lang::En) => format!("No rain in the last {}{rest}.", hours(shortest_h)),
        (1, false, Lang::En) => format!("{fallen} of rain in the last hour{rest}."),
        (_, false, Lang::En) => format!("{fallen} of rain in the last {}{rest}.", hours(shortest_h)),
    })
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
        let age = age_and_time(at, now, lang);
        // Whoever looks for a gauge that went down with the flood must see that it stood high.
        let passed = thresholds.iter().rev().find(|threshold| quality.is_usable() && value >= threshold.value);
        let passed = passed.map_or_else(String::new, |threshold| match lang {
            Lang::It => format!(", oltre la {}", threshold_words(&threshold.label, lang)),
            Lang::En => format!(", over {}", threshold_words(&threshold.label, lang)),
        });
        return match lang {
            Lang::It => format!("Dato non aggiornato: l'ultimo livello noto è {metres} m{passed}, {age}. Il livello attuale non è noto."),
            Lang::En => format!("Not up to date: the last known level is {metres} m{passed}, {age}. The current level is not known."),
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
        let (by, label) = (distance(passed), threshold_words(&passed.label, lang));
        let _ = match lang {
            Lang::It => write!(text, "; supera di {by} la {label} ({} m)", number(passed.value, 2, lang)),
            Lang::En => write!(text, "; it is {by} over {label} ({} m)", number(passed.value, 2, lang)),
        };
    }
    if let Some(threshold) = next {
        let (by, label) = (distance(threshold), threshold_words(&threshold.label, lang));
        let _ = match lang {
            Lang::It => write!(text, "; mancano {by} alla {label} ({} m)", number(threshold.value, 2, lang)),
            Lang::En => write!(text, "; {by} below {label} ({} m)", number(threshold.value, 2, lang)),
        };
        // A rate of half an hour says little of the next: half as long to half as long again.
        let minutes = approach(value, state, thresholds).and_then(|near| near.hours).map(|hours| hours * 60.0);
        if let Some(minutes) = minutes.filter(|_| value < threshold.value) {
            let (least, most) = (number((minutes * 0.5).max(1.0), 0, lang), number((minutes * 1.5).max(2.0), 0, lang));
            let _ = match lang {
                Lang::It => write!(text, ": se continua così la raggiunge fra {least} e {most} minuti"),
                Lang::En => write!(text, ": if it goes on like this, it gets there in {least} to {most} minutes"),
            };
        }
    }
    text.push('.');
    text
}

/// A value that can't be trusted is never told as the level; a threshold that was passed a moment ago is not hidden by it.
fn faulty(metres: &str, state: &State, thresholds: &[&Threshold], quality: Quality, lang: Lang) -> String {
    let is_fail = quality.flag() == Flag::Fail;
    let mut text = match (is_fail, lang) {
        (true, Lang::It) => format!("Misura errata: il sensore indica {metres} m, un valore impossibile."),
        (true, Lang::En) => format!("Wrong value: the sensor reads {metres} m, which is impossible."),
        (false, Lang::It) => format!("Misura dubbia: il sensore indica {metres} m."),
        (false, Lang::En) => format!("Suspect value: the sensor reads {metres} m."),
    };
    let passed = match state.level {
        Level::Over(k) => thresholds.get(usize::from(k).saturating_sub(1)),
        Level::Below | Level::Unknown => None,
    };
    text += &match (passed, lang) {
        (Some(threshold), Lang::It) => format!(" L'ultima misura valida era oltre la {}.", threshold_words(&threshold.label, lang)),
        (Some(threshold), Lang::En) => format!(" The last valid value was over {}.", threshold_words(&threshold.label, lang)),
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
            "Dato non aggiornato: l'ultimo livello noto è 1,00 m, 3 h fa, alle 06:20. Il livello attuale non è noto.",
        );
        check(
            2.1,
            None,
            true,
            Lang::En,
            "Not up to date: the last known level is 2.10 m, over threshold 1, 3 h ago, at 06:20. The current level is not known.",
        );
        check(
            1.9,
            Some(0.3),
            false,
            Lang::It,
            "Il livello è 1,90 m, in crescita di 30 cm all'ora; mancano 10 cm alla soglia 1 (2,00 m): se continua così la raggiunge fra 10 e 30 minuti.",
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
            "Misura errata: il sensore indica 99,99 m, un valore impossibile. Il livello attuale non è noto."
        );
        assert_eq!(
            said(Level::Over(1), Flag::Fail, Lang::It),
            "Misura errata: il sensore indica 99,99 m, un valore impossibile. L'ultima misura valida era oltre la soglia 1."
        );
        assert_eq!(
            said(Level::Unknown, Flag::Suspect, Lang::En),
            "Suspect value: the sensor reads 99.99 m. The current level is not known."
        );
    }

    #[test]
    fn an_age_has_its_clock_time_beside_it() {
        let at = Timestamp::parse("2026-11-23T05:20:00Z").expect("a time");
        assert_eq!(age_and_time(at, at.plus_seconds(200), Lang::It), "3 min fa, alle 06:20");
        assert_eq!(age_and_time(at, at.plus_seconds(20 * 3600), Lang::It), "20 h fa, lun 23/11 alle 06:20");
        assert_eq!(age_and_time(at, at.plus_seconds(20 * 3600), Lang::En), "20 h ago, Mon 23/11 at 06:20");
        assert_eq!(age_and_time(at, at.plus_seconds(4000 * 86_400), Lang::It), "4000 giorni fa, lun 23/11/2026 alle 06:20");
    }

    #[test]
    fn a_threshold_that_is_called_otherwise_keeps_its_article() {
        let words = |it: &str, en: &str, lang| threshold_words(&Text::new(it, en), lang);
        assert_eq!(words("Soglia 1 · attenzione", "", Lang::It), "soglia 1 · attenzione");
        assert_eq!(words("primo livello", "first level", Lang::It), "soglia «primo livello»");
        assert_eq!(words("primo livello", "first level", Lang::En), "threshold “first level”");
        assert_eq!(words("è", "é", Lang::It), "soglia «è»");
    }

    #[test]
    fn rain_is_told_by_its_sums() {
        let end = Timestamp::parse("2026-11-23T05:20:00Z").expect("a time");
        let rain = |sums: [Option<(f64, bool)>; 3]| RainSums {
            end,
            sums: sums.map(|sum| sum.map(|(millimetres, is_whole)| RainSum { millimetres, is_whole })),
        };
        let said = |sums, stale, lang| rain_sentence(&rain(sums), stale, end.plus_seconds(200), lang);
        let check = |sums, stale, lang, expected: &str| assert_eq!(said(sums, stale, lang).as_deref(), Some(expected));
        let (fallen, ended) =
            ([Some((29.2, true)), Some((87.0, true)), Some((106.4, false))], [Some((0.0, true)), Some((12.0, true)), Some((41.6, true))]);
        check(fallen, false, Lang::It, "Nell'ultima ora 29,2 mm di pioggia; 87,0 mm in 3 ore, ≥ 106,4 mm in 24 ore.");
        check(ended, false, Lang::It, "Nessuna pioggia nell'ultima ora; 12,0 mm in 3 ore, 41,6 mm in 24 ore.");
        check(ended, false, Lang::En, "No rain in the last hour; 12.0 mm in 3 hours, 41.6 mm in 24 hours.");
        check([Some((0.0, true)); 3], false, Lang::It, "Nessuna pioggia nelle ultime 24 ore.");
        check([None, None, Some((12.0, true))], false, Lang::It, "Nelle ultime 24 ore 12,0 mm di pioggia.");
        check(
            ended,
            true,
            Lang::It,
            "Dato non aggiornato: gli ultimi cumulati noti sono 0,0 mm in 1 ora, 12,0 mm in 3 ore, 41,6 mm in 24 ore; ultima misura 3 min fa, alle 06:20. La pioggia attuale non è nota.",
        );
        assert_eq!(said([None; 3], false, Lang::It), None);
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
