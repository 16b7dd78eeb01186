//! Logs on the standard error: readable by default, JSON for machines. `PESCAIA_LOG` filters, e.g. `debug` or `ingest=debug`.

use tracing_subscriber::EnvFilter;

pub(crate) fn start(json: bool) {
    let filter =
        EnvFilter::try_from_env("PESCAIA_LOG").unwrap_or_else(|_| EnvFilter::new("info,memory_serve=warn,tokio_modbus=off,rumqttc=off"));
    let lines = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(std::io::IsTerminal::is_terminal(&std::io::stderr()))
        .with_writer(std::io::stderr)
        .with_target(false);
    // A second start would be a mistake of ours, and harmless.
    let _ = if json { lines.json().try_init() } else { lines.try_init() };
}
