//! SIGHUP: what can be taken over while the instance runs is, and what wants a restart is named.

use crate::config::Config;
use crate::logs::Log;
use std::path::PathBuf;
use store::{Store, load_network};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::watch;

/// What a reload needs.
pub(crate) struct Reload {
    /// The configuration file.
    pub(crate) path: PathBuf,
    /// As it was read at the start.
    pub(crate) config: Config,
    pub(crate) log: Log,
}

impl Reload {
    /// Reloads at every SIGHUP until `stop`; SIGUSR1, which some programs send to have logs opened anew, does nothing. Signals are heard
    /// from the call on, before the future is polled. Must be called within a runtime.
    pub(crate) fn run(mut self, store: Store, mut stop: watch::Receiver<bool>) -> impl Future<Output = ()> + Send + 'static {
        let heard = (listen(SignalKind::hangup()), listen(SignalKind::user_defined1()));
        async move {
            let (Some(mut hangup), Some(mut user)) = heard else { return };
            loop {
                tokio::select! {
                    _ = stop.wait_for(|stop| *stop) => return,
                    _ = user.recv() => continue,
                    _ = hangup.recv() => {}
                }
                let (path, running, log, store) = (self.path.clone(), self.config.clone(), self.log.clone(), store.clone());
                let reloaded = tokio::task::spawn_blocking(move || reload(&path, &running, &log, &store)).await;
                if let Ok(Some(config)) = reloaded {
                    self.config.networks = config.networks;
                    self.config.log = config.log;
                }
            }
        }
    }
}

fn listen(kind: SignalKind) -> Option<Signal> {
    let heard = signal(kind);
    if let Err(cause) = &heard {
        tracing::warn!(event = "no_signal", %cause, "signals can't be heard; a changed configuration wants a restart");
    }
    heard.ok()
}

/// What the file says now, if it can be used. What could not be taken over is as it was.
fn reload(path: &std::path::Path, running: &Config, log: &Log, store: &Store) -> Option<Config> {
    let config = match Config::read(path) {
        Ok(config) => config,
        Err(complaints) => {
            for complaint in complaints {
                tracing::error!(event = "reload_refused", %complaint, "the configuration was not reloaded; it goes on with the one it has");
            }
            return None;
        }
    };
    if let Err(cause) = log.follow(config.log.as_deref()) {
        tracing::error!(event = "reload_refused", cause, "log = … can't be read; it is as it was");
    }
    match load_network(&config.networks).and_then(|network| if config.networks.is_empty() { Ok(Vec::new()) } else { store.apply(&network) })
    {
        Ok(changes) => tracing::info!(
            event = "reloaded",
            changes = changes.len(),
            "the networks, the log level, certificates, passwords and tokens are as their files say"
        ),
        Err(complaints) => {
            for complaint in complaints {
                tracing::error!(event = "reload_refused", %complaint, "the networks were not reloaded; they are as they were");
            }
        }
    }
    let changed = wants_restart(running, &config);
    if !changed.is_empty() {
        let changed = changed.join(", ");
        tracing::warn!(event = "wants_restart", changed, "the configuration differs from what runs in what only a restart takes over");
    }
    Some(config)
}

/// What is another than it was and is taken over by a restart only, by its name in the file.
fn wants_restart(running: &Config, new: &Config) -> Vec<&'static str> {
    let Config {
        data_dir,
        http,
        mqtt,
        mqtt_tls,
        messages_per_s,
        datastreams,
        networks: _,
        log: _,
        brokers,
        edge,
        influx,
        linger_ms,
        future_min,
        earliest,
    } = running;
    let differs = [
        ("data_dir", *data_dir != new.data_dir),
        ("[http] listen", *http != new.http),
        ("[mqtt] listen", *mqtt != new.mqtt),
        ("[mqtt] tls", *mqtt_tls != new.mqtt_tls),
        ("[quota]", (*messages_per_s, *datastreams) != (new.messages_per_s, new.datastreams)),
        ("[[broker]]", *brokers != new.brokers),
        ("[edge]", *edge != new.edge),
        ("[influx]", *influx != new.influx),
        ("[store] linger_ms", *linger_ms != new.linger_ms),
        ("[limits]", (*future_min, *earliest) != (new.future_min, new.earliest)),
    ];
    differs.into_iter().filter(|(_, differs)| *differs).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_wants_a_restart_is_named_as_in_the_file() {
        let running = Config::default();
        assert!(
            wants_restart(&running, &Config { log: Some("debug".into()), networks: vec!["n.toml".into()], ..running.clone() }).is_empty()
        );
        let new = Config { linger_ms: 5, data_dir: "elsewhere".into(), ..running.clone() };
        assert_eq!(wants_restart(&running, &new), ["data_dir", "[store] linger_ms"]);
    }
}
