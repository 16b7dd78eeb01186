//! History on an open store, whoever asks for it: in from a file's bytes, out as CSV.

use ingest::import::{Mode, Pattern, Report, Told};
use serde::{Deserialize, Serialize};
use std::io::{Read, Write};
use store::{Complaint, Store};

/// How an import goes on.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Line {
    Progress {
        rows: u64,
        bytes: u64,
    },
    /// Without a complaint: the header.
    Refused {
        cells: Vec<String>,
        complaint: String,
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
    /// Instead of a pattern: the file is one of `pescaia export`, of this datastream.
    pub(crate) own: Option<String>,
    pub(crate) dry_run: bool,
}

impl ImportOrder {
    fn pattern(&self) -> Result<Pattern, Vec<Complaint>> {
        match &self.own {
            Some(datastream) => Pattern::own(datastream),
            None => Pattern::parse(&self.pattern_name, &self.pattern),
        }
    }
}

/// Does an import on an open store, and tells `line` how it goes.
pub(crate) fn import(
    store: &Store,
    order: &ImportOrder,
    source: impl Read,
    line: &mut dyn FnMut(Line),
) -> Result<Vec<String>, Vec<Complaint>> {
    let mode = if order.dry_run { Mode::DryRun } else { Mode::Write };
    let mut tell = |told: Told<'_>| {
        line(match told {
            Told::Progress { rows, bytes } => Line::Progress { rows, bytes },
            Told::Header(cells) => Line::Refused { cells: cells.to_vec(), complaint: String::new() },
            Told::Refused { cells, complaint } => Line::Refused { cells: cells.to_vec(), complaint: complaint.to_string() },
        });
    };
    let report = ingest::import::import(store, source, &order.file, &order.pattern()?, mode, &mut tell)?;
    Ok(words(&report, order.dry_run))
}

/// The report, a line each.
fn words(report: &Report, dry_run: bool) -> Vec<String> {
    let mut lines: Vec<_> = report
        .columns
        .iter()
        .map(|column| {
            let end =
                |end: Option<(model::Timestamp, f64)>| end.map_or_else(|| "nothing".to_owned(), |(at, value)| format!("{value} at {at}"));
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
        })
        .collect();
    let Report { rows, accepted, duplicates, revised, refused, failed_range, .. } = report;
    lines.push(match dry_run {
        true => format!("{rows} rows understood, {refused} refused; nothing was written, because this was a dry run"),
        false => {
            format!("{rows} rows: {accepted} observations accepted, {duplicates} there already, {revised} revised; {refused} rows refused")
        }
    });
    if *failed_range > 0 {
        lines.push(format!(
            "{failed_range} values lie outside what any sensor of their property can mean; they are kept with quality 4 (fail)"
        ));
    }
    lines
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
