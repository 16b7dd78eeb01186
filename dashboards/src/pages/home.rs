//! `/`: all stations, the most serious first.

use super::{Frame, decimals, trend_text, unit_text, value_text};
use crate::look::Look;
use askama::Template;
use model::{Lang, age_words, stale_after};
use store::{Error, Latest, View};

/// One station in the list.
struct Line {
    id: String,
    key: String,
    level: String,
    decimals: usize,
    /// Shown as a number with its decimals, so that the page can renew it.
    is_number: bool,
    name: String,
    river: String,
    look: Look,
    value: String,
    unit: &'static str,
    trend: String,
    age: String,
    age_s: i64,
    limit_s: i64,
}

#[derive(Template)]
#[template(path = "home.html")]
struct Home<'a> {
    frame: &'a Frame<'a>,
    said: String,
    sought: String,
    lines: Vec<Line>,
}

/// # Errors
/// The store's.
pub(crate) fn render(view: &View, frame: &Frame<'_>, sought: &str) -> Result<String, Error> {
    let primaries = view.primaries()?;
    let mut lines: Vec<Line> = primaries.iter().map(|primary| line(primary, frame)).collect();
    lines.sort_by(|one, other| (one.look.severity, &one.river, &one.name).cmp(&(other.look.severity, &other.river, &other.name)));
    let said = said(&lines, frame.words.lang);
    let wanted = sought.trim().to_lowercase();
    if !wanted.is_empty() {
        let in_comune =
            |id: &str| primaries.iter().any(|one| one.station.id.as_str() == id && one.station.comune.as_deref() == Some(wanted.as_str()));
        lines.retain(|line| {
            line.name.to_lowercase().contains(&wanted) || line.river.to_lowercase().contains(&wanted) || in_comune(&line.id)
        });
    }
    Ok(Home { frame, said, sought: sought.to_owned(), lines }.render().unwrap_or_default())
}

fn line(latest: &Latest, frame: &Frame<'_>) -> Line {
    let words = frame.words;
    Line {
        id: latest.station.id.to_string(),
        key: latest.datastream.key.to_string(),
        level: latest.state.level.word(),
        decimals: decimals(&latest.datastream),
        is_number: latest.observation.is_some() && latest.datastream.class != model::SignalClass::State,
        name: latest.station.name.clone(),
        river: latest.station.river.clone().unwrap_or_default(),
        look: Look::of(latest, words),
        value: latest.observation.map_or_else(|| "—".to_owned(), |observation| value_text(observation.result, &latest.datastream, words)),
        unit: if latest.observation.is_some() { unit_text(&latest.datastream) } else { "" },
        trend: trend_text(latest, words),
        age: latest.age_s.map_or_else(String::new, |age| age_words(age, words.lang)),
        age_s: latest.age_s.unwrap_or(-1),
        limit_s: stale_after(latest.datastream.period_s),
    }
}

/// The whole network in a sentence.
fn said(lines: &[Line], lang: Lang) -> String {
    let all = lines.len();
    let over = lines.iter().filter(|line| line.look.is_alarming()).count();
    let old = lines.iter().filter(|line| line.look.is_unknown()).count();
    let current = match (over, lang) {
        (0, Lang::It) => "Nessuna stazione è oltre una soglia".to_owned(),
        (0, Lang::En) => "No station is over a threshold".to_owned(),
        (1, Lang::It) => format!("1 stazione su {all} è oltre una soglia"),
        (1, Lang::En) => format!("1 of {all} stations is over a threshold"),
        (_, Lang::It) => format!("{over} stazioni su {all} sono oltre una soglia"),
        (_, Lang::En) => format!("{over} of {all} stations are over a threshold"),
    };
    match (old, lang) {
        (0, _) => format!("{current}."),
        (_, Lang::It) => format!("{current}; {old} senza dati aggiornati."),
        (_, Lang::En) => format!("{current}; {old} without current data."),
    }
}
