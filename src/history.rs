//! History on an open store, whoever asks for it: in from a file's bytes, out as CSV.

use ingest::import::{ColumnReport, Mode, Pattern, Report, Told};
use serde::{Deserialize, Serialize};
use std::io::{Read, Seek, Write};
use store::{Complaint, Store};

/// How an import goes on.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line {
    Progress {
        rows: u64,
        bytes: u64,
    },
    /// What a file of refused rows begins with.
    Head {
        text: String,
    },
    /// A row that was not taken, as it goes into such a file.
    Refused {
        row: String,
        complaints: Vec<String>,
    },
    /// How an import ended.
    Imported {
        refused: u64,
        /// Values that were understood.
        values: u64,
    },
    /// Of a backup: bytes written.
    Copied {
        bytes: u64,
        of: u64,
    },
    /// A month is being written.
    Month {
        month: String,
    },
    /// Of a backup: datastreams read.
    Read {
        datastreams: u64,
        of: u64,
    },
}

/// What is imported and how, without its bytes, which follow on the socket.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ImportOrder {
    /// As it stands in complaints.
    pub(crate) file: String,
    pub(crate) pattern: String,
    pub(crate) pattern_name: String,
    /// The datastream that the pattern feeds, whatever it names itself; without a pattern the file is one of `pescaia export`.
    pub(crate) datastream: Option<String>,
    pub(crate) dry_run: bool,
}

/// Patterns that need no file: the name that `--pattern` takes, and what it describes.
pub(crate) const SHIPPED: [(&str, &str); 2] =
    [("export", "what pescaia export writes"), ("italian", "what pescaia export --italian writes")];

impl ImportOrder {
    pub(crate) fn pattern(&self) -> Result<Pattern, Vec<Complaint>> {
        match (&self.datastream, self.pattern_name.as_str()) {
            (Some(datastream), "italian") if self.pattern.is_empty() => Pattern::own_italian(datastream),
            (Some(datastream), _) if self.pattern.is_empty() => Pattern::own(datastream),
            (Some(datastream), name) => Pattern::parse(name, &self.pattern)?.feeding(datastream),
            (None, name) => Pattern::parse(name, &self.pattern),
        }
    }
}

/// Does an import on an open store, and tells `line` how it goes.
pub(crate) fn import(
    store: &Store,
    order: &ImportOrder,
    source: impl Read + Seek,
    line: &mut dyn FnMut(Line),
) -> Result<Vec<String>, Vec<Complaint>> {
    let mode = if order.dry_run { Mode::DryRun } else { Mode::Write };
    let mut tell = |told: Told<'_>| {
        line(match told {
            Told::Progress { rows, bytes } => Line::Progress { rows, bytes },
            Told::Head(text) => Line::Head { text: text.to_owned() },
            Told::Refused { row, complaints } => {
                Line::Refused { row: row.to_owned(), complaints: complaints.iter().map(ToString::to_string).collect() }
            }
        });
    };
    let report = ingest::import::import(store, source, &order.file, &order.pattern()?, mode, &mut tell)?;
    line(Line::Imported { refused: report.refused, values: report.values });
    Ok(words(&report, order.dry_run))
}

/// The report, a line each; the last says how it ended.
fn words(report: &Report, dry_run: bool) -> Vec<String> {
    let mut lines: Vec<_> = report.columns.iter().map(column).collect();
    lines.extend(report.notes.iter().cloned());
    let Report { rows, values, accepted, duplicates, revised, refused, failed_range, .. } = report;
    if *failed_range > 0 {
        lines.push(format!(
            "{failed_range} values lie outside what any sensor of their property can mean; they are kept with quality 4 (fail)"
        ));
    }
    let end = match (refused, values) {
        (0, _) => "",
        (_, 0) => "; nothing was taken",
        _ => "; the rest was taken",
    };
    lines.push(match dry_run {
        true => {
            let end = end.replace("was taken", "would be taken");
            format!("{rows} rows understood, {refused} refused; nothing was written, because this was a dry run{end}")
        }
        false => {
            format!(
                "{rows} rows: {accepted} observations accepted, {duplicates} there already, {revised} revised; {refused} rows refused{end}"
            )
        }
    });
    lines
}

fn column(column: &ColumnReport) -> String {
    let end = |end: Option<(model::Timestamp, f64)>| end.map_or_else(|| "nothing".to_owned(), |(at, value)| format!("{value} at {at}"));
    format!(
        "  {} → {} ({}): {} values, {} without; first {}, last {}",
        column.column,
        column.datastream,
        column.unit,
        column.values,
        column.missing,
        end(column.first),
        end(column.last)
    )
}

/// What is exported.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ExportOrder {
    pub(crate) datastream: String,
    pub(crate) from: Option<String>,
    pub(crate) to: Option<String>,
    pub(crate) italian: bool,
    /// The moment that is looked back at.
    #[serde(default)]
    pub(crate) as_of: Option<String>,
}

/// Writes the CSV of a datastream; `Err` when it, or the interval, is not there.
pub(crate) fn export(store: &Store, order: &ExportOrder, out: &mut dyn Write) -> anyhow::Result<()> {
    let as_of = order.as_of.as_deref().map(model::Timestamp::parse).transpose()?;
    let now = store.clock().now();
    if let Some(ahead) = as_of.filter(|at| *at > now) {
        anyhow::bail!("--as-of {ahead} lies ahead of now; leave it out for what is served now");
    }
    let registry = store.registry();
    let Some(datastream) = registry.datastream_by_key(&order.datastream).cloned() else {
        let keys = registry.datastreams().map(|datastream| datastream.key.as_str());
        let cure = store::nearest(&order.datastream, keys).map_or_else(String::new, |near| format!("; did you mean \"{near}\"?"));
        anyhow::bail!("there is no datastream \"{}\"{cure}", order.datastream);
    };
    let instant = |text: &Option<String>, otherwise| text.as_deref().map_or(Ok(otherwise), model::Timestamp::parse);
    let interval = model::Interval::new(instant(&order.from, model::Timestamp::MIN)?, instant(&order.to, model::Timestamp::MAX)?);
    // Whoever may open the data directory may see what is in it.
    let view = store.seen_by(&model::Viewer::Token { owner: datastream.owner.clone(), scopes: vec![model::Scope::Read] });
    let view = match as_of {
        Some(at) => view.as_of(at)?,
        None => view,
    };
    let dialect = if order.italian { api::Dialect::Italian } else { api::Dialect::Plain };
    api::write_csv(&view, &datastream, interval, dialect, out)?;
    Ok(())
}
