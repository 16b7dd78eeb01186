//! `pescaia quarantine` and `pescaia ledger`: on an open store, for whoever may open its directory.

use crate::cli::At;
use crate::control::{Answer, Request, ask};
use ingest::pipeline::Intake;
use ingest::replay::{Mending, Mode, Outcomes, Times};
use model::{Interval, OwnerId, RejectReason, Scope, Timestamp, Viewer, civil_day, civil_day_around, local_time, parse_civil_day};
use serde::{Deserialize, Serialize};
use store::{LedgerLine, QuarantineEntry, Store, Trouble, View, Wanted};

/// Which entries are meant.
#[derive(Debug, Clone, Default, Serialize, Deserialize, clap::Args)]
pub(crate) struct Choice {
    /// Only what this device said, or was said of it
    #[arg(long)]
    pub(crate) device: Option<String>,
    #[arg(long)]
    pub(crate) channel: Option<String>,
    /// unknown-channel, future-time, … as list shows it
    #[arg(long)]
    pub(crate) reason: Option<String>,
}

/// How entries are read again.
#[derive(Debug, Clone, Default, Serialize, Deserialize, clap::Args)]
pub(crate) struct ReplayOrder {
    /// Numbers of entries, as list and show tell them; all that fit the rest when left out
    pub(crate) numbers: Vec<u64>,
    #[command(flatten)]
    pub(crate) choice: Choice,
    /// Everything there is
    #[arg(long, conflicts_with = "numbers")]
    pub(crate) all: bool,
    /// The device's clock was wrong: adds this to every time, e.g. -70s, 1h, -365d
    #[arg(long, allow_hyphen_values = true, conflicts_with = "arrival")]
    pub(crate) shift: Option<String>,
    /// The device's clock says nothing: takes the time at which the message came
    #[arg(long)]
    pub(crate) arrival: bool,
    /// Reads the messages as this format
    #[arg(long)]
    pub(crate) format: Option<String>,
    /// Shows what would be taken, and changes nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// What is asked of the ledger.
#[derive(Debug, Clone, Default, Serialize, Deserialize, clap::Args)]
pub(crate) struct LedgerOrder {
    /// The first civil day, e.g. 2026-11-23; today when left out
    #[arg(long)]
    pub(crate) from: Option<String>,
    /// The last civil day, included
    #[arg(long)]
    pub(crate) to: Option<String>,
    #[arg(long)]
    pub(crate) device: Option<String>,
    #[arg(long)]
    pub(crate) owner: Option<String>,
}

/// Which raw payloads are read again.
#[derive(Debug, Clone, Default, Serialize, Deserialize, clap::Args)]
pub(crate) struct RedecodeOrder {
    /// The device's id
    pub(crate) device: String,
    #[arg(long)]
    pub(crate) owner: String,
    /// The first civil day of receipt; from the first payload when left out
    #[arg(long)]
    pub(crate) from: Option<String>,
    /// The last civil day, included
    #[arg(long)]
    pub(crate) to: Option<String>,
    /// Shows what would be read, and changes nothing
    #[arg(long)]
    pub(crate) dry_run: bool,
}

/// The command line's `quarantine list`, `show`, `replay` and `ledger`.
pub(crate) fn command(request: &Request, at: &At) -> anyhow::Result<()> {
    crate::apply::tell(ask(at, request)?)
}

/// Everybody's view of their own: whoever may open the data directory may see what is in it.
fn views(store: &Store) -> Vec<(OwnerId, View)> {
    let scopes = vec![Scope::Read, Scope::Manage, Scope::Audit];
    let registry = store.registry();
    let owners = registry.owners().map(|owner| owner.id.clone());
    owners.map(|owner| (owner.clone(), store.seen_by(&Viewer::Token { owner, scopes: scopes.clone() }))).collect()
}

impl Choice {
    fn wanted(&self, numbers: &[u64]) -> Result<Wanted, String> {
        let reason = match &self.reason {
            None => None,
            Some(code) => Some(RejectReason::from_code(code).ok_or_else(|| {
                let known = RejectReason::ALL.map(RejectReason::code);
                let cure = store::nearest(code, known)
                    .map_or_else(|| format!("it may be one of {}", known.join(", ")), |near| format!("did you mean \"{near}\"?"));
                format!("there is no reason \"{code}\"; {cure}")
            })?),
        };
        Ok(Wanted { numbers: numbers.to_vec(), device: self.device.as_deref().map(Into::into), channel: self.channel.clone(), reason })
    }
}

fn answer(outcome: Result<Vec<String>, String>) -> Answer {
    outcome.map_or_else(|cause| Answer::Wrong(vec![cause]), Answer::Lines)
}

fn failed(cause: store::Error) -> String {
    cause.to_string()
}

pub(crate) fn list(store: &Store, choice: &Choice) -> Answer {
    answer(lines(store, choice))
}

fn lines(store: &Store, choice: &Choice) -> Result<Vec<String>, String> {
    let wanted = choice.wanted(&[])?;
    let mut lines = Vec::new();
    for (owner, view) in views(store) {
        let troubles = view.troubles(&wanted).map_err(failed)?;
        lines.extend(troubles.iter().flat_map(|trouble| trouble_lines(&owner, trouble)));
        let dropped = view.dropped_from_quarantine();
        if dropped > 0 {
            lines.push(format!("{owner}: {dropped} older messages went for want of room"));
        }
    }
    if lines.is_empty() {
        lines.push("nothing waits in the quarantine".into());
    }
    Ok(lines)
}

fn trouble_lines(owner: &OwnerId, trouble: &Trouble) -> [String; 2] {
    let device = trouble.device.as_deref().unwrap_or("?");
    let channel = trouble.channel.as_ref().map_or_else(String::new, |channel| format!("/{channel}"));
    let span =
        if trouble.first == trouble.last { local(trouble.last) } else { format!("{} to {}", local(trouble.first), local(trouble.last)) };
    [
        format!(
            "{owner}/{device}{channel}  {}  {} × in {} messages, {span}; the newest is {}",
            trouble.reason.code(),
            trouble.count,
            trouble.entries,
            trouble.number
        ),
        format!("    {}", trouble.detail),
    ]
}

fn local(at: Timestamp) -> String {
    local_time(at, model::Lang::En)
}

pub(crate) fn show(store: &Store, number: u64) -> Answer {
    let wanted = Wanted { numbers: vec![number], ..Wanted::default() };
    for (_, view) in views(store) {
        match view.quarantine(&wanted, 1) {
            Ok(found) => {
                if let Some(entry) = found.first() {
                    return Answer::Lines(entry_lines(entry));
                }
            }
            Err(cause) => return Answer::Wrong(vec![failed(cause)]),
        }
    }
    Answer::Wrong(vec![format!("nothing waits under the number {number}; \"pescaia quarantine list\" shows what does")])
}

fn entry_lines(entry: &QuarantineEntry) -> Vec<String> {
    let or_none = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".into());
    let mut lines = vec![
        format!("number    {}", entry.number),
        format!("came      {} × from {} to {}", entry.count, entry.first, entry.last),
        entry.uptime.as_ref().map_or_else(
            || "clock     it could be believed then".into(),
            |uptime| format!("clock     not believed; {} s after the beginning of boot {}", uptime.micros / 1_000_000, uptime.boot),
        ),
        format!("by        {} {} as {}", entry.source, entry.route, entry.format),
        format!("from      {} / {}", or_none(&entry.owner), or_none(&entry.device)),
    ];
    for refused in &entry.refusals {
        lines.push(format!("refused   {}: {}", refused.reason.code(), refused.detail));
        if let Some(said) = &refused.said {
            let time = said.time.map_or_else(|| "without a time".to_owned(), |time| format!("at {time}"));
            let unit = said.unit.map_or_else(String::new, |unit| format!(" {unit}"));
            lines.push(format!("          {}/{} said {}{unit} {time}", said.device, said.channel, said.value));
        }
    }
    lines.push(format!("bytes     {}", entry.bytes.len()));
    match std::str::from_utf8(&entry.bytes) {
        Ok(text) if !text.chars().any(|char| char.is_control() && !char.is_whitespace()) => {
            lines.extend(text.lines().map(|line| format!("  {line}")));
        }
        _ => lines.extend(entry.bytes.chunks(32).map(|chunk| {
            let hex: Vec<String> = chunk.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("  {}", hex.join(" "))
        })),
    }
    lines
}

pub(crate) fn replay(intake: &Intake, order: &ReplayOrder) -> Answer {
    answer(replayed(intake, order))
}

fn replayed(intake: &Intake, order: &ReplayOrder) -> Result<Vec<String>, String> {
    let choice = &order.choice;
    if order.numbers.is_empty() && !order.all && choice.device.is_none() && choice.channel.is_none() && choice.reason.is_none() {
        return Err("say which: numbers, --device, --channel, --reason or --all".into());
    }
    let wanted = choice.wanted(&order.numbers)?;
    let times = match &order.shift {
        Some(text) => Times::Shifted(micros(text).ok_or_else(|| format!("--shift {text} is no span; write -70s, 90m, 1h or -365d"))?),
        None if order.arrival => Times::Arrival,
        None => Times::AsSaid,
    };
    let mending = Mending { times, format: order.format.clone() };
    if let Some(format) = &order.format
        && !intake.formats().any(|known| known == format)
    {
        return Err(format!("there is no format \"{format}\"; it may be one of {}", intake.formats().collect::<Vec<_>>().join(", ")));
    }
    let mode = if order.dry_run { Mode::DryRun } else { Mode::Write };
    let (mut entries, mut sum, mut still) = (0_u64, Outcomes::default(), Vec::new());
    for (_, view) in views(intake.store()) {
        // The oldest first: as it came.
        let mut found = view.quarantine(&wanted, usize::MAX).map_err(failed)?;
        found.reverse();
        for entry in found {
            let outcomes = intake.replay(&entry, &mending, mode).map_err(failed)?;
            entries += 1;
            sum.accepted += outcomes.accepted;
            sum.deleted += outcomes.deleted;
            sum.duplicates += outcomes.duplicates;
            sum.revised += outcomes.revised;
            still.extend(outcomes.left.into_iter().map(|left| format!("  {}  {}: {}", entry.number, left.reason.code(), left.detail)));
        }
    }
    let left = still.len();
    let mut lines: Vec<String> = still.into_iter().take(20).collect();
    if left > lines.len() {
        lines.push(format!("  … and {} more", left - lines.len()));
    }
    lines.push(match mode {
        Mode::DryRun => format!("{entries} messages: {} readings would be taken, {left} would stay; nothing was changed", sum.accepted),
        Mode::Write => format!(
            "{entries} messages: {} readings accepted, {} there already, {} revised; {left} stay in the quarantine",
            sum.accepted, sum.duplicates, sum.revised
        ),
    });
    if sum.deleted > 0 {
        lines.push(format!("{} readings were deleted for good before, and stay so", sum.deleted));
    }
    Ok(lines)
}

pub(crate) fn redecode(intake: &Intake, order: &RedecodeOrder) -> Answer {
    answer(redecoded(intake, order))
}

fn redecoded(intake: &Intake, order: &RedecodeOrder) -> Result<Vec<String>, String> {
    let registry = intake.store().registry();
    let Some(device) = registry.device(&order.owner, &order.device) else {
        let known = registry.devices().filter(|device| device.owner.as_str() == order.owner).map(|device| device.id.as_str());
        let cure = store::nearest(&order.device, known).map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
        return Err(format!("{} has no device \"{}\"{cure}", order.owner, order.device));
    };
    if device.layout.is_none() {
        return Err(format!("{} has no layout; give it layout = \"…\" in its network file and apply that first", device.id));
    }
    let day = |text: &Option<String>| match text {
        None => Ok(None),
        Some(text) => parse_civil_day(text).map(Some).ok_or_else(|| format!("{text} is no day; write 2026-11-23")),
    };
    let from = day(&order.from)?.map_or(Timestamp::MIN, |day| day.from);
    let to = day(&order.to)?.map_or(Timestamp::MAX, |day| day.to);
    let mode = if order.dry_run { Mode::DryRun } else { Mode::Write };
    let done = intake.redecode(device, Interval::new(from, to), mode).map_err(failed)?;
    let mut lines = vec![match mode {
        Mode::DryRun => format!("{} payloads: {} readings would be made; nothing was changed", done.payloads, done.accepted),
        Mode::Write => format!(
            "{} payloads: {} readings are as before, {} are revised, {} are new",
            done.payloads, done.unchanged, done.revised, done.accepted
        ),
    }];
    if done.deleted > 0 {
        lines.push(format!("{} readings were deleted for good before, and stay so", done.deleted));
    }
    lines.extend(done.reason.map(|reason| format!("{} payloads can't be read, the last because: {reason}", done.refused)));
    Ok(lines)
}

/// `-70s`, `90m`, `1h`, `-365d`, `250ms` as microseconds.
pub(crate) fn micros(text: &str) -> Option<i64> {
    let (digits, unit) = text.split_at(text.find(|char: char| char.is_ascii_alphabetic())?);
    let one: i64 = match unit {
        "ms" => 1000,
        "s" => 1_000_000,
        "m" | "min" => 60_000_000,
        "h" => 3_600_000_000,
        "d" => 86_400_000_000,
        _ => return None,
    };
    digits.parse::<i64>().ok()?.checked_mul(one)
}

pub(crate) fn ledger(store: &Store, order: &LedgerOrder) -> Answer {
    answer(ledger_lines(store, order))
}

fn ledger_lines(store: &Store, order: &LedgerOrder) -> Result<Vec<String>, String> {
    let day = |text: &Option<String>, otherwise: Interval| match text {
        None => Ok(otherwise),
        Some(text) => parse_civil_day(text).ok_or_else(|| format!("{text} is no day; write 2026-11-23")),
    };
    let last = day(&order.to, civil_day_around(store.clock().now()))?;
    let first = day(&order.from, last)?;
    let mut lines = vec![format!(
        "{:<12}{:<28}{:>10}{:>10}{:>11}{:>9}{:>13}{:>10}{:>10}",
        "day", "device", "received", "accepted", "duplicates", "revised", "quarantined", "expected", "present"
    )];
    for (owner, view) in views(store) {
        if order.owner.as_deref().is_some_and(|wanted| wanted != owner.as_str()) {
            continue;
        }
        for line in view.ledger(Interval::new(first.from, last.to), order.device.as_deref()).map_err(failed)? {
            lines.extend(ledger_line(&owner, &line));
        }
    }
    Ok(lines)
}

fn ledger_line(owner: &OwnerId, line: &LedgerLine) -> Vec<String> {
    let account = line.account;
    let mark = if account.balances() { "" } else { "  DOES NOT BALANCE" };
    let mut lines = vec![format!(
        "{:<12}{:<28}{:>10}{:>10}{:>11}{:>9}{:>13}{:>10}{:>10}{mark}",
        civil_day(line.day.from).to_string(),
        format!("{owner}/{}", line.device),
        account.received,
        account.accepted,
        account.duplicates,
        account.revised,
        account.quarantined,
        line.expected,
        line.present
    )];
    let missing = line.missing.iter().take(5);
    lines.extend(
        missing
            .map(|missing| format!("              {} missing from {} to {}", missing.datastream, local(missing.from), local(missing.to))),
    );
    if line.missing.len() > 5 {
        lines.push(format!("              … and {} stretches more", line.missing.len() - 5));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::micros;

    #[test]
    fn a_span_is_a_number_with_its_unit() {
        let known =
            [("-70s", -70_000_000), ("90m", 5_400_000_000), ("1h", 3_600_000_000), ("-365d", -31_536_000_000_000), ("250ms", 250_000)];
        for (text, expected) in known {
            assert_eq!(micros(text), Some(expected), "{text}");
        }
        for wrong in ["", "70", "s", "1.5h", "1w", "99999999999999d"] {
            assert_eq!(micros(wrong), None, "{wrong}");
        }
    }
}
