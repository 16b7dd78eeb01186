//! `pescaia correct` and `pescaia audit`.

use crate::control::Answer;
use crate::quarantine::micros;
use ingest::correct::{Corrected, Correction, Uncorrected};
use ingest::pipeline::Intake;
use ingest::replay::Mode;
use model::{Interval, Lang, Timestamp, local_time};
use serde::{Deserialize, Serialize};

/// What is corrected, or which correction is taken back.
#[derive(Debug, Clone, Default, Serialize, Deserialize, clap::Args)]
pub(crate) struct CorrectOrder {
    /// Its id, as in the network file
    #[arg(required_unless_present = "undo", conflicts_with = "undo")]
    pub(crate) datastream: Option<String>,
    /// RFC 3339 with an offset, included
    #[arg(long, required_unless_present = "undo")]
    pub(crate) from: Option<String>,
    /// RFC 3339 with an offset, excluded; now when left out
    #[arg(long)]
    pub(crate) to: Option<String>,
    /// Each value becomes value × factor + offset
    #[arg(long, default_value_t = 1.0, allow_hyphen_values = true)]
    pub(crate) factor: f64,
    #[arg(long, default_value_t = 0.0, allow_hyphen_values = true)]
    pub(crate) offset: f64,
    /// The device's clock was wrong: adds this to every time, e.g. -70s, 1h, -365d
    #[arg(long, allow_hyphen_values = true)]
    #[serde(default)]
    pub(crate) shift: Option<String>,
    /// Takes this correction back
    #[arg(long)]
    pub(crate) undo: Option<u64>,
    /// Stands in the audit, for those who come later
    #[arg(long)]
    pub(crate) why: String,
    /// Shows what would change, and changes nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
    #[arg(skip)]
    pub(crate) who: String,
}

impl CorrectOrder {
    /// With the name of the person at the terminal.
    pub(crate) fn signed(mut self) -> Self {
        self.who = person();
        self
    }
}

/// Who sits at the terminal, as the system calls them.
pub(crate) fn person() -> String {
    std::env::var("SUDO_USER").or_else(|_| std::env::var("USER")).unwrap_or_else(|_| "control".into())
}

pub(crate) fn correct(intake: &Intake, order: &CorrectOrder) -> Answer {
    match corrected(intake, order) {
        Ok(lines) => Answer::Lines(lines),
        Err(cause) => Answer::Wrong(vec![cause]),
    }
}

fn corrected(intake: &Intake, order: &CorrectOrder) -> Result<Vec<String>, String> {
    let said = |cause: Uncorrected| match cause {
        Uncorrected::Wrong(cause) => cause,
        Uncorrected::Store(cause) => cause.to_string(),
    };
    if let Some(number) = order.undo {
        return intake.undo(number, &order.who, &order.why).map(|done| undone(&done)).map_err(said);
    }
    let key = order.datastream.as_deref().unwrap_or_default();
    let registry = intake.store().registry();
    let Some(datastream) = registry.datastream_by_key(key) else {
        let keys = registry.datastreams().map(|datastream| datastream.key.as_str());
        let cure = store::nearest(key, keys).map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
        return Err(format!("there is no datastream \"{key}\"{cure}"));
    };
    let instant =
        |text: &Option<String>, otherwise| text.as_deref().map_or(Ok(otherwise), Timestamp::parse).map_err(|cause| cause.to_string());
    let interval = Interval::new(instant(&order.from, Timestamp::MIN)?, instant(&order.to, intake.store().clock().now())?);
    if interval.from >= interval.to {
        return Err("--from does not lie before --to".into());
    }
    let shift_s = match &order.shift {
        None => 0,
        Some(text) => {
            micros(text)
                .filter(|micros| micros % 1_000_000 == 0)
                .ok_or_else(|| format!("--shift {text} is no span of whole seconds; write -70s, 90m, 1h or -365d"))?
                / 1_000_000
        }
    };
    let correction =
        Correction { interval, factor: order.factor, offset: order.offset, shift_s, who: order.who.clone(), why: order.why.clone() };
    let mode = if order.dry_run { Mode::DryRun } else { Mode::Write };
    intake.correct(datastream, &correction, mode).map(|done| lines(&done)).map_err(said)
}

fn lines(done: &Corrected) -> Vec<String> {
    told(done, |number| format!("this is change {number}, taken back by: pescaia correct --undo {number} --why …"))
}

/// What was taken back is not taken back once more: the correction is made again.
fn undone(done: &Corrected) -> Vec<String> {
    told(done, |number| format!("this is change {number}; to have the correction again, make it again"))
}

fn told(done: &Corrected, of: impl Fn(u64) -> String) -> Vec<String> {
    let mut lines: Vec<String> =
        done.examples.iter().map(|(at, before, after)| format!("  {}  {before} → {after}", local_time(*at, Lang::En))).collect();
    lines.push(match done.number {
        Some(number) => format!("{} observations are revised; {}", done.changed, of(number)),
        None => format!("{} observations would be revised; nothing was changed", done.changed),
    });
    if done.left > 0 {
        lines.push(format!("{} were revised since, and are left as they are", done.left));
    }
    lines
}

pub(crate) fn audit(intake: &Intake) -> Answer {
    match intake.store().audit() {
        Ok(entries) if entries.is_empty() => Answer::Lines(vec!["nobody has changed anything".into()]),
        Ok(entries) => Answer::Lines(
            entries
                .iter()
                .map(|entry| {
                    format!(
                        "{}  {}  {}  {} {} from {} to {}: {} ({} observations); {}",
                        entry.number,
                        entry.at,
                        entry.who,
                        entry.what,
                        entry.datastream,
                        entry.from,
                        entry.to,
                        entry.change,
                        entry.count,
                        entry.why
                    )
                })
                .collect(),
        ),
        Err(cause) => Answer::Wrong(vec![cause.to_string()]),
    }
}
