//! What is done to the process, and how it must come out of it.

use super::publisher::Yard;
use super::world::{World, signal};
use crate::dice::Dice;
use std::fmt;
use std::io::Write;
use std::time::{Duration, Instant};

/// After it is over, something new is acknowledged within this.
const BACK: Duration = Duration::from_secs(5);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Nemesis {
    Kill9,
    Stop,
    Term,
    Eio,
    Enospc,
    Cut,
}

const ALL: [(&str, Nemesis); 6] = [
    ("kill9", Nemesis::Kill9),
    ("stop", Nemesis::Stop),
    ("term", Nemesis::Term),
    ("eio", Nemesis::Eio),
    ("enospc", Nemesis::Enospc),
    ("cut", Nemesis::Cut),
];

/// How often each was, and how long it took until something new was acknowledged.
#[derive(Default)]
pub(crate) struct Fired {
    counts: [u64; 6],
    pub(crate) slowest: Duration,
}

impl Fired {
    pub(crate) fn total(&self) -> u64 {
        self.counts.iter().sum()
    }
    pub(crate) fn count(&self, nemesis: Nemesis) -> u64 {
        self.counts[nemesis as usize]
    }
    /// Those that cost the links.
    pub(crate) fn kills(&self) -> u64 {
        self.count(Nemesis::Kill9)
    }
}

impl fmt::Display for Fired {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let said: Vec<String> =
            ALL.iter().zip(self.counts).filter(|(_, count)| *count > 0).map(|((name, _), count)| format!("{count} {name}")).collect();
        f.write_str(&said.join(", "))
    }
}

impl Nemesis {
    pub(crate) fn named(name: &str) -> Result<Self, String> {
        ALL.iter().find(|(known, _)| *known == name).map(|(_, nemesis)| *nemesis).ok_or_else(|| format!("no nemesis {name}"))
    }

    pub(crate) fn strike(self, world: &mut World, yard: &Yard, dice: &mut Dice, fired: &mut Fired) -> Result<(), String> {
        match self {
            Self::Kill9 => {
                world.kill()?;
                world.start(None)?;
            }
            Self::Stop => {
                signal("STOP", world.id());
                std::thread::sleep(Duration::from_millis(200 + dice.roll(1500)));
                signal("CONT", world.id());
            }
            Self::Term => {
                match world.end()? {
                    Some(0) => {}
                    code => return Err(format!("ended with {code:?}")),
                }
                world.start(None)?;
            }
            Self::Eio => eio(world, yard, dice)?,
            Self::Enospc => enospc(world, yard, dice)?,
            Self::Cut => {
                let mut cut = 0;
                while cut == 0 {
                    cut = yard.cut(|| dice.roll(2) == 0);
                }
            }
        }
        yard.open(world);
        back(yard, fired)?;
        fired.counts[self as usize] += 1;
        Ok(())
    }
}

/// Something new is acknowledged soon.
fn back(yard: &Yard, fired: &mut Fired) -> Result<(), String> {
    let (begun, before) = (Instant::now(), yard.acked());
    while yard.acked() == before {
        if begun.elapsed() > BACK {
            return Err(format!("nothing acknowledged within {BACK:?}"));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    fired.slowest = fired.slowest.max(begun.elapsed());
    Ok(())
}

/// Syncs fail from the n-th on: it ends by itself, at once.
fn eio(world: &mut World, yard: &Yard, dice: &mut Dice) -> Result<(), String> {
    world.kill()?;
    let trace = world.dir().join("trace");
    let inject = format!("inject=fsync,fdatasync:error=EIO:when={}+", 60 + dice.roll(100));
    let words = ["strace", "-f", "-q", "-e", "trace=fsync,fdatasync", "-e", &inject, "-o", &trace.display().to_string()].map(str::to_owned);
    world.start(Some(&words))?;
    yard.open(world);
    let Some(status) = world.wait(Duration::from_secs(20)) else {
        return Err("syncs fail and it goes on".to_owned());
    };
    let text = std::fs::read_to_string(&trace).unwrap_or_default();
    match text.matches("INJECTED").count() {
        0 => return Err(format!("it ended ({status}) before a sync failed")),
        1 => {}
        more => return Err(format!("{more} syncs after one had failed")),
    }
    world.start(None)
}

/// The disk is filled to the last byte, and freed again.
fn enospc(world: &World, yard: &Yard, dice: &mut Dice) -> Result<(), String> {
    let ballast = world.data().join("torture-ballast");
    let mut file = std::fs::File::create(&ballast).map_err(|cause| cause.to_string())?;
    let mut block = vec![0_u8; 1 << 20];
    while !block.is_empty() {
        if file.write_all(&block).is_err() {
            block.truncate(block.len() / 2);
        }
    }
    std::thread::sleep(Duration::from_millis(300));
    let before = yard.acked();
    std::thread::sleep(Duration::from_millis(200 + dice.roll(800)));
    let during = yard.acked() - before;
    let reads = world.get("/api/v1/latest").map(drop);
    std::fs::remove_file(&ballast).map_err(|cause| cause.to_string())?;
    if during > 0 {
        return Err(format!("{during} acknowledged on a full disk"));
    }
    reads.map_err(|why| format!("reading on a full disk: {why}"))
}
