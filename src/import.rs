//! `pescaia import` and `pescaia export` at the terminal: a file, a bar, what was refused.

use crate::cli::At;
use crate::control;
use crate::history::{ExportOrder, ImportOrder, Line};
use crate::say;
use crate::target::{Before, Target};
use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use std::fs::File;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// Refused rows that are shown; all of them go into the file beside.
const SHOWN: u64 = 20;
/// Where nobody watches a bar, a line this often.
const SPEAK: Duration = Duration::from_secs(10);

/// The command line's `import`.
#[derive(Debug)]
pub(crate) struct Import<'a> {
    pub(crate) file: &'a Path,
    pub(crate) pattern: Option<&'a Path>,
    pub(crate) datastream: Option<&'a str>,
    pub(crate) refused: Option<PathBuf>,
    pub(crate) dry_run: bool,
    pub(crate) at: &'a At,
}

impl Import<'_> {
    pub(crate) fn run(self) -> anyhow::Result<()> {
        let name = self.file.display().to_string();
        let (pattern_name, pattern) = match self.pattern {
            None => {
                anyhow::ensure!(
                    self.datastream.is_some(),
                    "say what {name} looks like with --pattern FILE, or name the datastream that pescaia export wrote it of with --datastream; see docs/guida/storico.md"
                );
                (String::new(), String::new())
            }
            Some(path) => {
                let text = std::fs::read_to_string(path).with_context(|| format!("the pattern {} can't be read", path.display()))?;
                (path.display().to_string(), text)
            }
        };
        let source = File::open(self.file).with_context(|| format!("{name} can't be read"))?;
        let bytes = source.metadata()?.len();
        let order =
            ImportOrder { file: name.clone(), pattern, pattern_name, own: self.datastream.map(str::to_owned), dry_run: self.dry_run };
        let mut told = Telling::new(self.refused.unwrap_or_else(|| PathBuf::from(format!("{name}.refused.csv"))), bytes);
        let answer = control::import(&self.at.data_dir()?, order, source, &mut |line| told.line(line));
        told.end()?;
        crate::apply::tell(answer?)
    }
}

/// Shows how it goes and keeps the refused rows.
struct Telling {
    bar: Option<ProgressBar>,
    bytes: u64,
    spoke: Instant,
    refused_path: PathBuf,
    refused: Option<csv::Writer<File>>,
    header: Vec<String>,
    complaints: u64,
    failed: Option<anyhow::Error>,
}

impl Telling {
    fn new(refused_path: PathBuf, bytes: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:40} {percent:>3} %  {msg}  {eta} to go");
            ProgressBar::new(bytes).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar, bytes, spoke: Instant::now(), refused_path, refused: None, header: Vec::new(), complaints: 0, failed: None }
    }

    fn line(&mut self, line: Line) {
        match line {
            Line::Progress { rows, bytes } => match &self.bar {
                Some(bar) => {
                    bar.set_position(bytes);
                    bar.set_message(format!("{rows} rows"));
                }
                None if self.spoke.elapsed() >= SPEAK => {
                    self.spoke = Instant::now();
                    say::error(&format!("{rows} rows, {} %", bytes.saturating_mul(100) / self.bytes.max(1)));
                }
                None => {}
            },
            Line::Copied { .. } | Line::Read { .. } | Line::Month { .. } => {}
            Line::Refused { cells, complaint } if complaint.is_empty() => self.header = cells,
            Line::Refused { cells, complaint } => {
                self.complaints += 1;
                if self.complaints <= SHOWN {
                    match &self.bar {
                        Some(bar) => bar.suspend(|| say::error(&complaint)),
                        None => say::error(&complaint),
                    }
                }
                if let Err(cause) = self.keep(&cells, &complaint) {
                    self.failed.get_or_insert(cause);
                }
            }
        }
    }

    /// As it was read, with the reason in a column more.
    fn keep(&mut self, cells: &[String], complaint: &str) -> anyhow::Result<()> {
        let writer = match &mut self.refused {
            Some(writer) => writer,
            empty => {
                let failed =
                    || format!("the refused rows can't be kept in {}; name another file with --refused", self.refused_path.display());
                let file = File::create(&self.refused_path).with_context(failed)?;
                let mut writer = csv::WriterBuilder::new().flexible(true).from_writer(file);
                writer.write_record(self.header.iter().map(String::as_str).chain(["refused because"]))?;
                empty.insert(writer)
            }
        };
        writer.write_record(cells.iter().map(String::as_str).chain([complaint]))?;
        Ok(())
    }

    fn end(&mut self) -> anyhow::Result<()> {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if let Some(mut writer) = self.refused.take() {
            writer.flush()?;
            let more = if self.complaints > SHOWN { format!(" ({} more than shown)", self.complaints - SHOWN) } else { String::new() };
            say::error(&format!("the refused rows{more} are in {}, each with its reason", self.refused_path.display()));
        }
        self.failed.take().map_or(Ok(()), Err)
    }
}

/// The command line's `export`. A file is there whole or not at all.
pub(crate) fn export_command(order: ExportOrder, out: Option<&Path>, at: &At) -> anyhow::Result<()> {
    let dir = at.data_dir()?;
    let Some(path) = out else {
        return match control::export(&dir, order, &mut std::io::stdout().lock()) {
            // Whoever reads has seen enough, as `head` does.
            Err(cause) if is_broken_pipe(&cause) => Ok(()),
            answer => crate::apply::tell(answer?),
        };
    };
    let failed = || format!("{} can't be written", path.display());
    let mut target = Target::open(path, Before::Replace)?;
    let mut file = std::io::BufWriter::new(target.file());
    let answer = control::export(&dir, order, &mut file).with_context(failed)?;
    file.flush().with_context(failed)?;
    drop(file);
    match answer {
        control::Answer::Lines(_) => target.finish(),
        wrong => crate::apply::tell(wrong),
    }
}

fn is_broken_pipe(cause: &anyhow::Error) -> bool {
    let of = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
    };
    cause.chain().any(of)
}
