//! A task that is to run until the instance stops, started again whenever it ends before that.

use super::Part;
use std::any::Any;
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinSet;

const SHORTEST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// A task that ran for so long begins with the shortest wait again.
const CALM: Duration = Duration::from_secs(60);

/// Runs what `start` makes until `stop` is true. A task that returns or panics before that is an error line, degrades its part in
/// `/readyz`, and is made anew after a wait that doubles from 0.25 to 30 s. Dropped, it takes the task along.
pub async fn supervise<F>(part: Part, mut stop: watch::Receiver<bool>, mut start: impl FnMut() -> F)
where
    F: Future<Output = ()> + Send + 'static,
{
    let mut wait = SHORTEST_WAIT;
    loop {
        let begun = Instant::now();
        let mut running = JoinSet::new();
        running.spawn(start());
        let ended = running.join_next().await;
        if *stop.borrow() {
            return;
        }
        let cause = match ended {
            Some(Err(failed)) if failed.is_panic() => format!("it panicked: {}", panic_text(failed.into_panic().as_ref())),
            _ => "it returned although nobody had stopped it".to_owned(),
        };
        part.ended(&cause);
        if begun.elapsed() >= CALM {
            wait = SHORTEST_WAIT;
        }
        let (kind, name, again_s) = (part.kind(), part.name(), wait.as_secs_f64());
        tracing::error!(event = "part_ended", kind, name, cause, again_s, "a part of this instance ended by itself and is started again");
        tokio::select! {
            _ = stop.wait_for(|stop| *stop) => return,
            () = tokio::time::sleep(wait) => {}
        }
        wait = (wait * 2).min(LONGEST_WAIT);
        part.runs_again();
    }
}

/// The words of a panic, where it has any.
pub(crate) fn panic_text(payload: &(dyn Any + Send)) -> &str {
    let text = payload.downcast_ref::<&str>().copied();
    text.or_else(|| payload.downcast_ref::<String>().map(String::as_str)).unwrap_or("without a word")
}
