//! Logs on the standard error: readable by default, JSON for machines. `PESCAIA_LOG` filters, e.g. `debug` or `ingest=debug`. An event is
//! one line, and what a device says in it is escaped ([`crate::shown`]).
//!
//! Logging is best effort: a log that is full, stuck or gone never ends and never delays what it speaks of. What could not be written is
//! counted and told once it can.

mod outlet;

pub(crate) use outlet::Outlet;

use crate::shown::one_line;
use std::io::Write;
use std::time::Duration;
use tracing::Level;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

const VARIABLE: &str = "PESCAIA_LOG";
const DEFAULT_FILTER: &str = "info,memory_serve=warn,tokio_modbus=off,rumqttc=off";
/// How long an error line waits to be written, so that it is there even if the process ends right after it.
const URGENT: Duration = Duration::from_millis(200);
/// How long the end of the process waits for the last lines.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The log of this process.
#[derive(Clone)]
pub(crate) struct Log {
    outlet: Outlet,
    filter: reload::Handle<EnvFilter, tracing_subscriber::Registry>,
}

/// Starts the log, and lets panics speak through it.
pub(crate) fn start(json: bool) -> Log {
    let outlet = Outlet::new("log", std::io::stderr(), Some(tell_lost));
    let (filter, handle) = reload::Layer::new(filter_of(std::env::var(VARIABLE).ok().as_deref()));
    let lines = tracing_subscriber::fmt::layer()
        // Without colours: their escapes could not be told from a device's.
        .with_ansi(false)
        .with_writer(Writer(outlet.clone()))
        .log_internal_errors(false)
        .with_target(false);
    let registry = tracing_subscriber::registry().with(filter);
    // A second start would be a mistake of ours, and harmless.
    let _ = if json { registry.with(lines.json()).try_init() } else { registry.with(lines).try_init() };
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(ToString::to_string).unwrap_or_default();
        let words = panic.payload_as_str().unwrap_or("without a word");
        tracing::error!(event = "panic", place, words, "a mistake in pescaia ended a task; please report this line");
    }));
    Log { outlet, filter: handle }
}

fn filter_of(text: Option<&str>) -> EnvFilter {
    text.and_then(|text| EnvFilter::try_new(text).ok()).unwrap_or_else(|| EnvFilter::new(DEFAULT_FILTER))
}

fn tell_lost(lost: u64, cause: &str) {
    tracing::warn!(event = "log_lines_lost", lost, cause, "the log can be written again; so many lines were lost since the start");
}

impl Log {
    /// Waits until everything said so far is written, but not for long.
    pub(crate) fn flush(&self) {
        self.outlet.flush(LAST_WORDS);
    }

    /// Lines that could not be written since the start, and why the last one could not; `None` while it can.
    pub(crate) fn trouble(&self) -> (u64, Option<String>) {
        self.outlet.trouble()
    }

    /// Logs by what the configuration says from now on, by the default when it says nothing; `PESCAIA_LOG` goes before both.
    ///
    /// # Errors
    /// What is wrong with the text; nothing changes then.
    pub(crate) fn follow(&self, text: Option<&str>) -> Result<(), String> {
        if std::env::var_os(VARIABLE).is_some() {
            return Ok(());
        }
        if let Some(Err(cause)) = text.map(EnvFilter::try_new) {
            return Err(cause.to_string());
        }
        self.filter.reload(filter_of(text)).map_err(|cause| cause.to_string())
    }
}

/// Hands whole lines to the outlet.
struct Writer(Outlet);

/// A line while it is put together.
struct Line<'a> {
    outlet: &'a Outlet,
    text: Vec<u8>,
    is_urgent: bool,
}

impl<'a> MakeWriter<'a> for Writer {
    type Writer = Line<'a>;
    fn make_writer(&'a self) -> Line<'a> {
        Line::new(&self.0, false)
    }
    fn make_writer_for(&'a self, meta: &tracing::Metadata<'_>) -> Line<'a> {
        Line::new(&self.0, *meta.level() == Level::ERROR)
    }
}

impl<'a> Line<'a> {
    fn new(outlet: &'a Outlet, is_urgent: bool) -> Self {
        Self { outlet, text: Vec::new(), is_urgent }
    }
}

impl Write for Line<'_> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl Drop for Line<'_> {
    fn drop(&mut self) {
        let text = String::from_utf8_lossy(&self.text);
        let mut line = one_line(text.trim_end_matches('\n')).into_owned();
        line.push('\n');
        self.outlet.say(line.into_bytes());
        if self.is_urgent {
            self.outlet.flush(URGENT);
        }
    }
}
