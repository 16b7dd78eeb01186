//! Signals, from the first moment of the process: a service that is told to end ends in order, whatever it does just then.

use anyhow::Context;
use nix::sys::signal::{SigSet, Signal};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM, SIGUSR1, SIGUSR2};
use signal_hook::iterator::Signals;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use store::Store;
use tokio::sync::watch;

/// From the signal to the store's closing, where doors or a start that is under way have not come to it by themselves.
const PATIENCE: Duration = Duration::from_secs(6);
/// From there to the end of the process.
const FOR_THE_STORE: Duration = Duration::from_millis(3000);

const SIGNALS: [Signal; 5] = [Signal::SIGTERM, Signal::SIGINT, Signal::SIGHUP, Signal::SIGUSR1, Signal::SIGUSR2];

fn signals() -> SigSet {
    SIGNALS.into_iter().collect()
}

/// Holds signals back until somebody takes them, also over [`crate::memory::share_heaps`], which begins the process anew: one that comes
/// meanwhile waits, and is lost nowhere.
pub(crate) fn hold_back() {
    let _ = signals().thread_block();
}

/// Lets signals come, with what has waited.
pub(crate) fn let_come() {
    let _ = signals().thread_unblock();
}

/// Whether, and how, the process is to end.
#[derive(Clone)]
pub(crate) struct Stopping {
    asked: watch::Receiver<bool>,
    /// How many there were.
    hangups: watch::Receiver<u64>,
    store: Arc<Mutex<Option<Store>>>,
}

impl Stopping {
    /// Takes the signals from here on. SIGTERM and SIGINT ask once; the second ends the process at once. SIGHUP is
    /// for [`Self::hangups`]; SIGUSR1, which some programs send to have logs opened anew, does nothing.
    ///
    /// # Errors
    /// The operating system's.
    pub(crate) fn listen() -> anyhow::Result<Self> {
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGUSR1, SIGUSR2]).context("signals can't be taken")?;
        let (tell, asked) = watch::channel(false);
        let (hang_up, hangups) = watch::channel(0);
        let stopping = Self { asked, hangups, store: Arc::default() };
        let store = stopping.store.clone();
        let listening = move || {
            for signal in signals.forever() {
                match signal {
                    SIGHUP => hang_up.send_modify(|count| *count += 1),
                    SIGUSR1 | SIGUSR2 => {}
                    // Whoever asks twice does not want to wait.
                    second if *tell.borrow() => {
                        let _ = signal_hook::low_level::emulate_default_handler(second);
                        std::process::exit(128 + second);
                    }
                    _ => {
                        tell.send_replace(true);
                        let store = store.clone();
                        let _ = std::thread::Builder::new().name("end".into()).spawn(move || end(&store));
                    }
                }
            }
        };
        std::thread::Builder::new().name("signals".into()).spawn(listening).context("signals can't be taken")?;
        Ok(stopping)
    }

    /// Names the store that is to be closed before the process ends.
    pub(crate) fn closes(&self, store: &Store) {
        *self.store.lock().unwrap_or_else(PoisonError::into_inner) = Some(store.clone());
    }

    /// Changes at each SIGHUP.
    pub(crate) fn hangups(&self) -> watch::Receiver<u64> {
        self.hangups.clone()
    }

    /// Becomes ready when the process is to end.
    pub(crate) async fn asked(&self) {
        drop(self.asked.clone().wait_for(|asked| *asked).await);
    }

    /// What `work` gives; nothing when the process is to end before, with the store closed.
    pub(crate) async fn unless_asked<T>(&self, work: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<Option<T>> {
        tokio::select! {
            biased;
            () = self.asked() => {}
            done = work => return done.map(Some),
        }
        tracing::info!(event = "stopping", "ending before the doors were open");
        let store = self.store.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(store) = store {
            store.close().await;
        }
        Ok(None)
    }
}

/// The end of a process that does not come to it by itself: what was acknowledged is on disk, so the rest is given up. Writes no log, for
/// whoever reads that may be what everything waits for.
fn end(store: &Mutex<Option<Store>>) {
    std::thread::sleep(PATIENCE);
    let store = store.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let Some(store) = store {
        let _ = std::thread::Builder::new().name("close".into()).spawn(move || store.close_blocking());
    }
    std::thread::sleep(FOR_THE_STORE);
    std::process::exit(0);
}
