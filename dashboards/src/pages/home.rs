//! `/`: all stations, the most serious first.

use super::{Age, Frame, Shown, decimals};
use crate::look::Look;
use crate::search::finds;
use askama::Template;
use model::{Comune, Lang};
use store::{Error, Latest, View};

/// One station in the list.
struct Line {
    id: String,
    key: String,
    level: String,
    decimals: usize,
    /// Shown as a number with its decimals, so that the page can renew it. Sums of rain are not its newest value.
    is_number: bool,
    is_rain: bool,
    name: String,
    river: String,
    comune: String,
    look: Look,
    shown: Shown,
    /// The threshold that it is near, from 1; 0 without one.
    near: u8,
    age: Age,
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
    let code = |id: &str| primaries.iter().find(|one| one.station.id.as_str() == id).and_then(|one| one.station.comune.clone());
    lines.retain(|line| finds(sought, &[&line.name, &line.river, &line.comune, &line.id, &code(&line.id).unwrap_or_default()]));
    Ok(Home { frame, said, sought: sought.trim().to_owned(), lines }.render().unwrap_or_default())
}

fn line(latest: &Latest, frame: &Frame<'_>) -> Line {
    let words = frame.words;
    let is_rain = latest.datastream.property.is_rain();
    Line {
        id: latest.station.id.to_string(),
        key: latest.datastream.key.to_string(),
        level: latest.state.level.word(),
        decimals: decimals(&latest.datastream),
        is_number: latest.observation.is_some() && latest.datastream.class != model::SignalClass::State && !is_rain,
        is_rain,
        name: latest.station.name.clone(),
        river: latest.station.river.clone().unwrap_or_default(),
        comune: comune_name(latest.station.comune.as_deref()),
        look: Look::of(latest, words),
        shown: Shown::of(latest, words),
        near: latest.approach().map_or(0, |near| near.threshold),
        age: Age::of(latest, words),
    }
}

/// The name for an ISTAT code; empty where it is not known.
pub(crate) fn comune_name(code: Option<&str>) -> String {
    code.and_then(Comune::of_code).map_or_else(String::new, |comune| comune.name.to_owned())
}

/// The whole network in a sentence.
fn said(lines: &[Line], lang: Lang) -> String {
    let count = |is: fn(&Look) -> bool| lines.iter().filter(|line| is(&line.look)).count();
    let (all, over, near, old) = (lines.len(), count(Look::is_alarming), count(Look::is_near), count(Look::is_unknown));
    let current = match (over, lang) {
        (0, Lang::It) => "Nessuna stazione è oltre una soglia".to_owned(),
        (0, Lang::En) => "No station is over a threshold".to_owned(),
        (1, Lang::It) => format!("1 stazione su {all} è oltre una soglia"),
        (1, Lang::En) => format!("1 of {all} stations is over a threshold"),
        (_, Lang::It) => format!("{over} stazioni su {all} sono oltre una soglia"),
        (_, Lang::En) => format!("{over} of {all} stations are over a threshold"),
    };
    let near = match (near, lang) {
        (0, _) => String::new(),
        (_, Lang::It) => format!("; {near} vicin{} a una soglia", if near == 1 { "a" } else { "e" }),
        (_, Lang::En) => format!("; {near} near a threshold"),
    };
    let old = match (old, lang) {
        (0, _) => String::new(),
        (_, Lang::It) => format!("; {old} senza dati aggiornati"),
        (_, Lang::En) => format!("; {old} without current data"),
    };
    format!("{current}{near}{old}.")
}
