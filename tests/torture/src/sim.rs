//! The real store (writer, chunk layer, recovery) on a simulated disk under a simulated clock, beside a plain map that says what must be.

mod check;
mod disk;
mod plain;
mod schedule;
mod seen;

use crate::args::Args;
use schedule::{Seen, play};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// No seed takes longer, recovery included: it terminates.
const LONGEST: Duration = Duration::from_secs(60);
/// One seed of so many is played twice; the traces must be the same.
const TWICE: u64 = 20;

/// Plays `--seeds` seeds from `--seed` on.
pub(crate) fn run(args: &Args) -> Result<String, String> {
    let first: u64 = args.number("seed").unwrap_or(1);
    let seeds: u64 = args.number("seeds").unwrap_or(2000);
    let jobs: u64 = args.number("jobs").unwrap_or(2);
    let started = Instant::now();
    let (next, done) = (AtomicU64::new(first), AtomicU64::new(0));
    let total = Mutex::new(Seen::default());
    let red: Mutex<Option<String>> = Mutex::new(None);
    std::panic::set_hook(Box::new(|_| ()));
    std::thread::scope(|scope| {
        for _ in 0..jobs {
            scope.spawn(|| {
                while red.lock().unwrap().is_none() {
                    let seed = next.fetch_add(1, Ordering::Relaxed);
                    if seed >= first + seeds {
                        return;
                    }
                    match guarded(seed) {
                        Ok(seen) => total.lock().unwrap().add(&seen),
                        Err(why) => *red.lock().unwrap() = Some(format!("seed {seed}: {why}\nagain: torture sim --seed {seed} --seeds 1")),
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    let _ = std::panic::take_hook();
    if let Some(why) = red.into_inner().unwrap() {
        return Err(why);
    }
    let (seen, seconds) = (total.into_inner().unwrap(), started.elapsed().as_secs_f64());
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = done.load(Ordering::Relaxed) as f64 / seconds;
    let said = format!("sim: {seeds} seeds from {first} in {seconds:.1} s ({rate:.0} seeds/s); {seen}");
    match seen.missing() {
        Some(what) if seeds >= 100 => Err(format!("not enough happened, never: {what}; {said}")),
        _ => Ok(said),
    }
}

/// One seed, its panics caught and its time limited.
fn guarded(seed: u64) -> Result<Seen, String> {
    let (tell, hear) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let played = std::panic::catch_unwind(|| {
            let seen = play(seed)?;
            if seed.is_multiple_of(TWICE) {
                let again = play(seed)?;
                if again.trace != seen.trace {
                    return Err(format!("two plays differ: {:x} and {:x}", seen.trace, again.trace));
                }
            }
            Ok(Seen { twice: u64::from(seed.is_multiple_of(TWICE)), ..seen })
        });
        let said = played.unwrap_or_else(|cause| {
            let words = cause.downcast_ref::<String>().map(String::as_str).or_else(|| cause.downcast_ref::<&str>().copied());
            Err(format!("panicked: {}", words.unwrap_or("?")))
        });
        let _ = tell.send(said);
    });
    hear.recv_timeout(LONGEST).unwrap_or_else(|_| Err(format!("did not end within {LONGEST:?}")))
}
