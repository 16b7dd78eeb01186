//! Logs on the standard error: readable by default, JSON for machines. `PESCAIA_LOG` filters, e.g. `debug` or `ingest=debug`. An event is
//! one line, and what a device says in it is escaped ([`crate::shown`]).

use crate::shown::one_line;
use std::io::Write;
use tracing_subscriber::EnvFilter;

pub(crate) fn start(json: bool) {
    let filter =
        EnvFilter::try_from_env("PESCAIA_LOG").unwrap_or_else(|_| EnvFilter::new("info,memory_serve=warn,tokio_modbus=off,rumqttc=off"));
    // Without colours: their escapes could not be told from a device's.
    let lines = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false).with_writer(|| Escaping).with_target(false);
    // A second start would be a mistake of ours, and harmless.
    let _ = if json { lines.json().try_init() } else { lines.try_init() };
}

/// The standard error, which is given an event at a time.
struct Escaping;

impl Write for Escaping {
    fn write(&mut self, event: &[u8]) -> std::io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let mut line = one_line(text.trim_end_matches('\n')).into_owned();
        line.push('\n');
        std::io::stderr().lock().write_all(line.as_bytes())?;
        Ok(event.len())
    }
    fn flush(&mut self) -> std::io::Result<()> {
        std::io::stderr().flush()
    }
}
