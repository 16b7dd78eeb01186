//! This machine's own clock: while it can't be right everything waits in the quarantine, and goes in by itself once it is set.

use crate::pipeline::Intake;
use crate::replay::{Mending, Mode};
use crate::source::{Stop, stopped};
use std::time::Duration;
use store::Error;

/// How often is looked whether the clock was set.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Messages that are read again at once.
const AT_ONCE: usize = 256;

/// What became of the messages that waited for the clock.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub struct Caught {
    /// Readings that are stored now.
    pub stored: u64,
    /// Readings that wait on, e.g. numbers without a time of an earlier boot.
    pub left: u64,
}

/// Watches the clock until `stop`, and replays what waited for it at the start and each time that it comes right.
pub async fn watch(intake: Intake, mut stop: Stop) {
    let (mut is_distrusted, mut is_due) = (false, true);
    loop {
        match intake.store().clock_trust() {
            Err(distrust) if !is_distrusted => {
                tracing::error!(event = "clock_untrusted", cause = %distrust, "the clock of this machine can't be right; what comes waits in the quarantine and goes in once it is set, by NTP or by hand; if it is right, say so with pescaia clock --trust");
                (is_distrusted, is_due) = (true, true);
            }
            Err(_) => {}
            Ok(()) => {
                if std::mem::take(&mut is_distrusted) {
                    tracing::info!(event = "clock_trusted", now = %intake.store().clock().now(), "the clock of this machine is set; what waited for it is judged now");
                }
                if is_due {
                    is_due = !catch_up(&intake).await;
                }
            }
        }
        tokio::select! {
            () = stopped(&mut stop) => return,
            () = tokio::time::sleep(LOOK_EVERY) => {}
        }
    }
}

/// Whether it was done.
async fn catch_up(intake: &Intake) -> bool {
    let own = intake.clone();
    match tokio::task::spawn_blocking(move || own.replay_untrusted()).await {
        Ok(Ok(caught)) => {
            if caught != Caught::default() {
                let Caught { stored, left } = caught;
                tracing::info!(event = "clock_replayed", stored, left, "what came while the clock could not be right was read again");
            }
            true
        }
        Ok(Err(cause)) => {
            tracing::warn!(event = "clock_replay", %cause, "what came while the clock could not be right can't be read again yet");
            false
        }
        // Its panic was told; the same would happen again.
        Err(_) => true,
    }
}

impl Intake {
    /// Reads again what came while this machine's clock could not be right. For threads that may block.
    ///
    /// # Errors
    /// As [`store::Store::commit`]; what was read before that is stored.
    pub fn replay_untrusted(&self) -> Result<Caught, Error> {
        let (mut caught, mut after) = (Caught::default(), Some(0));
        while let Some(from) = after {
            let (entries, next) = self.store().untrusted_entries(from, AT_ONCE)?;
            for entry in &entries {
                let outcomes = self.replay(entry, &Mending::default(), Mode::Write)?;
                caught.stored += outcomes.accepted + outcomes.duplicates + outcomes.revised;
                caught.left += outcomes.left.len() as u64;
            }
            after = next;
        }
        Ok(caught)
    }
}

#[cfg(test)]
mod tests;
