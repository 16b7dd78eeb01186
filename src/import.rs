//! `pescaia import` and `pescaia export` at the terminal: a file, a bar, what was refused.

use crate::cli::At;
use crate::control;
use crate::history::{ExportOrder, ImportOrder, Line, SHIPPED};
use crate::say;
use crate::target::{Before, Target};
use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use ingest::import::Pattern;
use std::fs::File;
use std::io::{BufWriter, IsTerminal, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
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

/// Exit code of an import that refused some rows.
const IN_PART: u8 = 3;

impl Import<'_> {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let is_piped = self.file == Path::new("-");
        let name = if is_piped { "standard-input".to_owned() } else { self.file.display().to_string() };
        let path = if is_piped { Path::new("/dev/stdin") } else { self.file };
        let mut source = File::open(path).with_context(|| format!("{name} can't be read"))?;
        if !source.metadata()?.is_file() {
            source =
                control::spooled(&mut source, &std::env::temp_dir()).with_context(|| format!("{name} can't be kept while it is read"))?;
        }
        let bytes = source.metadata()?.len();
        let order = self.order(&name, &mut source)?;
        let pattern = order.pattern().map_err(say::Complaints::from)?;
        // A dry run writes nothing that it was not told to.
        let beside = (!self.dry_run).then(|| PathBuf::from(format!("{name}.refused.csv")));
        let mut told = Telling::new(self.refused.or(beside), pattern, bytes);
        let answer = control::import(&self.at.data_dir()?, order, source, &mut |line| told.line(line));
        told.end()?;
        crate::apply::tell(answer?)?;
        Ok(match told.ended {
            (0, _) => ExitCode::SUCCESS,
            (_, 0) => ExitCode::FAILURE,
            _ => ExitCode::from(IN_PART),
        })
    }

    fn order(&self, name: &str, source: &mut File) -> anyhow::Result<ImportOrder> {
        let (pattern_name, pattern) = match self.pattern {
            None => {
                anyhow::ensure!(
                    self.datastream.is_some(),
                    "say what {name} looks like with --pattern FILE, or name the datastream that pescaia export wrote it of with --datastream; see docs/guida/storico.md"
                );
                let shipped = if is_italian(source)? { "italian" } else { "export" };
                (shipped.to_owned(), String::new())
            }
            Some(path) => match SHIPPED.iter().find(|(shipped, _)| path == Path::new(shipped) && !path.exists()) {
                Some((shipped, about)) => {
                    anyhow::ensure!(self.datastream.is_some(), "--pattern {shipped} is {about}: say of which datastream with --datastream");
                    ((*shipped).to_owned(), String::new())
                }
                None => {
                    let known: Vec<&str> = SHIPPED.iter().map(|(shipped, _)| *shipped).collect();
                    let unreadable = || format!("the pattern {} can't be read, and is none of {}", path.display(), known.join(", "));
                    (path.display().to_string(), std::fs::read_to_string(path).with_context(unreadable)?)
                }
            },
        };
        let datastream = self.datastream.map(str::to_owned);
        Ok(ImportOrder { file: name.to_owned(), pattern, pattern_name, datastream, dry_run: self.dry_run })
    }
}

/// Whether a file begins as `pescaia export --italian` begins.
fn is_italian(source: &mut File) -> std::io::Result<bool> {
    let mut first = Vec::new();
    Read::by_ref(source).take(64).read_to_end(&mut first)?;
    source.rewind()?;
    Ok(String::from_utf8_lossy(&first).trim_start_matches('\u{feff}').starts_with("data_ora;"))
}

/// Shows how it goes and keeps the refused rows.
struct Telling {
    bar: Option<ProgressBar>,
    bytes: u64,
    spoke: Instant,
    /// Where refused rows are kept, if anywhere.
    refused_path: Option<PathBuf>,
    refused: Option<(PathBuf, BufWriter<File>)>,
    pattern: Pattern,
    head: String,
    complaints: u64,
    /// Rows that were refused, values that were understood.
    ended: (u64, u64),
    failed: Option<anyhow::Error>,
}

impl Telling {
    fn new(refused_path: Option<PathBuf>, pattern: Pattern, bytes: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:40} {percent:>3} %  {msg}  {eta} to go");
            ProgressBar::new(bytes).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        let (spoke, head) = (Instant::now(), String::new());
        Self { bar, bytes, spoke, refused_path, refused: None, pattern, head, complaints: 0, ended: (0, 0), failed: None }
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
                    match bytes.saturating_mul(100).checked_div(self.bytes) {
                        Some(percent) => say::error(&format!("{rows} rows, {percent} %")),
                        // Nobody knows how much a pipe will bring.
                        None => say::error(&format!("{rows} rows, {bytes} bytes")),
                    }
                }
                None => {}
            },
            Line::Copied { .. } | Line::Read { .. } | Line::Month { .. } => {}
            Line::Imported { refused, values } => self.ended = (refused, values),
            Line::Head { text } => self.head = text,
            Line::Refused { row, complaints } => {
                for complaint in &complaints {
                    self.complain(complaint);
                }
                if let Err(cause) = self.keep(&row) {
                    self.failed.get_or_insert(cause);
                }
            }
        }
    }

    fn complain(&mut self, complaint: &str) {
        self.complaints += 1;
        if self.complaints <= SHOWN {
            match &self.bar {
                Some(bar) => bar.suspend(|| say::error(complaint)),
                None => say::error(complaint),
            }
        }
    }

    /// In the file's own form, with the reason in a cell more, so that it is imported with the same pattern once it is mended.
    fn keep(&mut self, row: &str) -> anyhow::Result<()> {
        let Some(wanted) = &self.refused_path else { return Ok(()) };
        let (_, file) = match &mut self.refused {
            Some(kept) => kept,
            empty => {
                let failed = || format!("the refused rows can't be kept in {}; name another file with --refused", wanted.display());
                let (path, file) = new_file(wanted).with_context(failed)?;
                let mut file = BufWriter::new(file);
                file.write_all(&self.pattern.encode(&self.head))?;
                empty.insert((path, file))
            }
        };
        Ok(file.write_all(&self.pattern.encode(&format!("{row}\n")))?)
    }

    fn end(&mut self) -> anyhow::Result<()> {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        let more = if self.complaints > SHOWN { format!(" ({} reasons more than shown)", self.complaints - SHOWN) } else { String::new() };
        match self.refused.take() {
            Some((path, mut file)) => {
                file.flush()?;
                say::error(&format!(
                    "the refused rows{more} are in {}, each with its reason; mend them there and import it",
                    path.display()
                ));
            }
            None if self.complaints > SHOWN => say::error(&format!("…{more}; --refused FILE keeps all of them in a dry run too")),
            None => {}
        }
        self.failed.take().map_or(Ok(()), Err)
    }
}

/// A file of this name, or where there is one already, of the name with the next number: what is there may be half mended.
fn new_file(wanted: &Path) -> std::io::Result<(PathBuf, File)> {
    let (stem, ending) = (wanted.with_extension(""), wanted.extension().map(|ending| ending.to_string_lossy().into_owned()));
    let numbered = |number: u32| match &ending {
        Some(ending) => PathBuf::from(format!("{}.{number}.{ending}", stem.display())),
        None => PathBuf::from(format!("{}.{number}", wanted.display())),
    };
    let names = std::iter::once(wanted.to_owned()).chain((2..10_000).map(numbered));
    for name in names {
        match File::options().write(true).create_new(true).open(&name) {
            Err(cause) if cause.kind() == std::io::ErrorKind::AlreadyExists => {}
            made => return made.map(|file| (name, file)),
        }
    }
    Err(std::io::Error::new(std::io::ErrorKind::AlreadyExists, "there are as many of that name as can be numbered"))
}

/// The command line's `export`. A file is there whole or not at all.
pub(crate) fn export_command(order: ExportOrder, out: Option<&Path>, at: &At) -> anyhow::Result<()> {
    let dir = at.data_dir()?;
    let Some(path) = out.filter(|path| *path != Path::new("-")) else {
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
