//! `pescaia influx`: how the way to an InfluxDB is, and what it refused.

use crate::control::Answer;
use store::Store;

/// Refused lines that are shown.
const SHOWN: usize = 20;

pub(crate) fn influx(store: &Store, again: bool) -> Answer {
    match lines(store, again) {
        Ok(lines) => Answer::Lines(lines),
        Err(cause) => Answer::Wrong(vec![cause.to_string()]),
    }
}

fn lines(store: &Store, again: bool) -> Result<Vec<String>, store::Error> {
    let mut lines = Vec::new();
    match store.health().influx {
        None => lines.push("no InfluxDB is written to; [influx] in the configuration names one".into()),
        Some(health) => {
            lines.push(match &health.trouble {
                None => "it takes what is written".into(),
                Some(cause) => format!("it does not take what is written: {cause}"),
            });
            lines.push(format!("{} bytes wait, the oldest for {} s", health.waiting_bytes, health.lag_s));
            lines.push(match &health.walking {
                Some(datastream) => format!("the history is on its way, at {datastream}"),
                None => "all of the history is there".into(),
            });
            lines.push(format!("{} points were written since the start, {} refused", health.points_written, health.lines_refused));
        }
    }
    let refused = store.influx_refused()?;
    for one in refused.iter().rev().take(SHOWN).rev() {
        lines.push(format!("{}  {}\n    {}", one.at, one.line, one.reason));
    }
    if refused.len() > SHOWN {
        lines.push(format!("… and {} refused before", refused.len() - SHOWN));
    }
    if again {
        store.write_influx_again()?;
        lines.push("everything is written there once more, from the first observation on".into());
    }
    Ok(lines)
}
