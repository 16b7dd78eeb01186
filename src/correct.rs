//! `pescaia correct` and `pescaia audit`.

use crate::control::Answer;
use crate::quarantine::micros;
use ingest::correct::{Corrected, Correction, Uncorrected};
use ingest::pipeline::Intake;
use ingest::replay::Mode;
use model::{Flag, Interval, Lang, Timestamp, local_time};
use serde::{Deserialize, Serialize};
use store::{AuditEntry, ForeignEntry};

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
    /// What you hold of the values, whatever the tests say: good, suspect or fail
    #[arg(long)]
    #[serde(default)]
    pub(crate) quality: Option<String>,
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
    let flag = order.quality.as_deref().map(flag_of).transpose()?;
    let (factor, offset) = (order.factor, order.offset);
    let correction = Correction { interval, factor, offset, shift_s, flag, who: order.who.clone(), why: order.why.clone() };
    let mode = if order.dry_run { Mode::DryRun } else { Mode::Write };
    intake.correct(datastream, &correction, mode).map(|done| lines(&done)).map_err(said)
}

fn flag_of(word: &str) -> Result<Flag, String> {
    match word {
        "good" | "1" => Ok(Flag::Good),
        "suspect" | "3" => Ok(Flag::Suspect),
        "fail" | "4" => Ok(Flag::Fail),
        _ => Err(format!("--quality {word} can't be; it may be good, suspect or fail")),
    }
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

/// Entries of a change of the network that are named; the others are counted.
const NAMED: usize = 5;

/// What people changed of values, with its number, and of the network, in the order of time.
pub(crate) fn audit(intake: &Intake) -> Answer {
    let entries = match intake.store().audit() {
        Ok(entries) => entries,
        Err(cause) => return Answer::Wrong(vec![cause.to_string()]),
    };
    let of_values = entries.iter().map(|entry| {
        let AuditEntry { number, at, who, what, datastream, from, to, change, count, why, .. } = entry;
        let when = Timestamp::parse(at).unwrap_or(Timestamp::MIN);
        (when, format!("{number}  {at}  {who}  {what} {datastream} from {from} to {to}: {change} ({count} observations); {why}"))
    });
    let others = match intake.store().audit_of_others() {
        Ok(others) => others,
        Err(cause) => return Answer::Wrong(vec![cause.to_string()]),
    };
    let of_others = others.iter().map(|ForeignEntry { backup, entry }| {
        let AuditEntry { number, at, who, what, datastream, from, to, change, count, why, .. } = entry;
        let line =
            format!("{number} of {backup}  {at}  {who}  {what} {datastream} from {from} to {to}: {change} ({count} observations); {why}");
        (Timestamp::parse(at).unwrap_or(Timestamp::MIN), line)
    });
    let changes = intake.store().network_changes();
    let of_network = changes.iter().map(|change| {
        let mut named: Vec<&str> = change.entries.iter().take(NAMED).map(String::as_str).collect();
        let more = format!("{} more", change.entries.len().saturating_sub(NAMED));
        if change.entries.len() > NAMED {
            named.push(&more);
        }
        let (at, who, why) = (change.at, &change.reason.who, &change.reason.why);
        let line = format!("-  {at}  {who}  network: {}; {}", named.join(", "), if why.is_empty() { "nobody said why" } else { why });
        (at, line)
    });
    let mut lines: Vec<(Timestamp, String)> = of_values.chain(of_others).chain(of_network).collect();
    lines.sort_by_key(|(at, _)| *at);
    match lines.is_empty() {
        true => Answer::Lines(vec!["nobody has changed anything".into()]),
        false => Answer::Lines(lines.into_iter().map(|(_, line)| line).collect()),
    }
}
