//! The real binary on a real disk with real sockets: killed, stopped, ended, starved of syncs and of room, cut off, while publishers
//! that remember what they owe go on. The oracle looks through the public HTTP API only.

mod http;
mod nemesis;
mod oracle;
mod publisher;
mod said;
mod world;

use crate::args::Args;
use crate::dice::Dice;
use nemesis::{Fired, Nemesis};
use publisher::{Kind, Phase, Publisher, Yard};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};
use world::World;

/// What publishes: 3.1.1 clean, 3.1.1 dirty, 5, HTTP, line protocol.
const CREW: [(Kind, usize); 5] = [(Kind::Mqtt, 12), (Kind::Dirty, 3), (Kind::Mqtt5, 2), (Kind::Json, 2), (Kind::Line, 1)];
const MOST_RESIDENT: u64 = 400 << 20;
/// Publishers that try again while the process stands still leave connections behind that it sees all at once; 524 were seen, 115 a
/// moment later.
const MOST_OPEN: usize = 1000;

/// Runs until `--kills` nemeses have been or `--minutes` have passed.
pub(crate) fn run(args: &Args) -> Result<String, String> {
    let seed: u64 = args.number("seed").unwrap_or(1);
    let kills: u64 = args.number("kills").unwrap_or(if args.text("minutes").is_some() { u64::MAX } else { 50 });
    let minutes: f64 = args.number("minutes").unwrap_or(f64::INFINITY);
    let names = args.text("nemesis").unwrap_or("kill9,stop,term,eio,enospc,cut");
    let nemeses: Vec<Nemesis> = names.split(',').map(Nemesis::named).collect::<Result<_, _>>()?;
    let binary = args.text("binary").map_or_else(built, PathBuf::from);
    let limit = args.text("minutes").map_or_else(|| format!("--kills {kills}"), |minutes| format!("--minutes {minutes}"));
    let again = format!("again: torture proc --binary {} --seed {seed} {limit} --nemesis {names}", binary.display());
    println!("proc: seed {seed}, {}", binary.display());
    let crew: Vec<Kind> = CREW.iter().flat_map(|(kind, count)| std::iter::repeat_n(*kind, *count)).collect();
    let mut world = World::make(&binary, &crew, nemeses.contains(&Nemesis::Enospc)).map_err(|why| format!("{why}\n{again}"))?;
    let done = play(&mut world, &crew, &nemeses, seed, (kills, minutes));
    done.map_err(|why| format!("{why}\nkept: {}\n{again}", world.keep().display()))
}

/// The binary that lies beside this one.
fn built() -> PathBuf {
    let own = std::env::current_exe().expect("a path");
    own.parent().expect("a directory").join("pescaia")
}

fn play(world: &mut World, crew: &[Kind], nemeses: &[Nemesis], seed: u64, (kills, minutes): (u64, f64)) -> Result<String, String> {
    let mut dice = Dice::new(seed);
    let yard = Arc::new(Yard::default());
    yard.open(world);
    let threads: Vec<_> = (0..).zip(crew).map(|(number, kind)| Publisher::start(number, *kind, yard.clone())).collect();
    let started = Instant::now();
    let mut fired = Fired::default();
    let (mut resident, mut open) = (0, 0);
    let mut outcome = Ok(());
    while outcome.is_ok() && fired.total() < kills && started.elapsed().as_secs_f64() < minutes * 60.0 {
        std::thread::sleep(Duration::from_millis(50 + dice.roll(400)));
        let weight = world.weight();
        (resident, open) = (resident.max(weight.0), open.max(weight.1));
        // Each at least once, then as they come.
        let place = usize::try_from(fired.total()).expect("small");
        let nemesis =
            nemeses.get(place).copied().unwrap_or_else(|| nemeses[usize::try_from(dice.roll(nemeses.len() as u64)).expect("small")]);
        outcome = nemesis.strike(world, &yard, &mut dice, &mut fired).map_err(|why| format!("{nemesis:?} {}: {why}", fired.total()));
    }
    // The last kill: nobody sends again, so that what was not acknowledged is there as the kill left it.
    if outcome.is_ok() {
        std::thread::sleep(Duration::from_millis(200));
        outcome = world.kill();
        yard.set(Phase::Halt);
        outcome = outcome.and_then(|()| world.start(None));
        yard.wait_halted(crew.len());
    }
    let journals = yard.journals();
    let halted = outcome.and_then(|()| oracle::look(world, crew, &journals, false));
    yard.open(world);
    yard.set(Phase::Drain);
    if halted.is_err() {
        yard.set(Phase::End);
    }
    for thread in threads {
        thread.join().map_err(|_| "a publisher panicked".to_owned())??;
    }
    let unacked = halted?;
    let journals = yard.journals();
    let found = oracle::look(world, crew, &journals, true)?;
    if resident > MOST_RESIDENT || open > MOST_OPEN {
        return Err(format!("too heavy: {resident} bytes resident, {open} descriptors"));
    }
    if world.end()? != Some(0) {
        return Err("no quiet end".to_owned());
    }
    let acked: u64 = journals.iter().map(|journal| journal.acked).sum();
    let resent: u64 = journals.iter().map(|journal| journal.resent).sum();
    let enough = acked >= 1000 && resent >= fired.kills() && nemeses.iter().all(|nemesis| fired.count(*nemesis) > 0);
    let said = format!(
        "proc: {fired}; {acked} messages acknowledged, {resent} sent again, {} observations found, {} revised on the way, 0 lost, 0 wrong, 0 twice, 0 never sent; \
         unacknowledged at the last kill: {} there, {} not, none half; {}; acks again within {:.2} s at most; resident {} MB, descriptors {open} at most; {:.0} s",
        found.found,
        found.revised,
        unacked.there,
        unacked.missing,
        said::times(world.restarts()),
        fired.slowest.as_secs_f64(),
        resident >> 20,
        started.elapsed().as_secs_f64(),
    );
    if enough { Ok(said) } else { Err(format!("not enough happened: {said}")) }
}
