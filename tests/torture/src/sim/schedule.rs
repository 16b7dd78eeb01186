//! One seed: what is written, read, broken and opened again, in the order that the seed says.

use super::check;
use super::disk::{Disk, Fault, Platter};
use super::plain::Plain;
pub(crate) use super::seen::Seen;
use crate::dice::{Dice, mix};
use model::{Clock, DatastreamId, Flag, Observation, Quality, QualityTest, Timestamp, Viewer};
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, OnceLock};
use store::engine::Table;
use store::{AuditEntry, Batch, Error, Outcome, Receipt, SessionMark, Settings, Store};

pub(crate) const STREAMS: u32 = 3;
const START_S: i64 = 1_767_225_600;
/// Seeds of which every crash point is tried, one of so many.
const EVERY: u64 = 16;
/// The clock stays where arrivals can be kept.
const CLOCK_S: std::ops::Range<i64> = 946_684_800..4_102_444_800;

/// Half past two of the night in which it comes twice in Rome, both times; the leap day; the hour that spring leaves out.
const TRAPS_S: [i64; 4] = [1_792_888_200, 1_792_891_800, 1_835_438_400, 1_774_747_800];

/// A clock that only the schedule moves.
pub(crate) struct SimClock(AtomicI64);

impl SimClock {
    pub(crate) fn at(seconds: i64) -> Self {
        Self(AtomicI64::new(seconds))
    }
    fn set(&self, seconds: i64) {
        self.0.store(seconds, Ordering::Relaxed);
    }
    fn moves(&self, seconds: i64) {
        let now = self.0.load(Ordering::Relaxed) + seconds;
        self.0.store(now.clamp(CLOCK_S.start, CLOCK_S.end), Ordering::Relaxed);
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(self.0.load(Ordering::Relaxed))
    }
}

/// A platter with the network on it, made once.
fn fresh_platter() -> Platter {
    static MADE: OnceLock<Arc<Platter>> = OnceLock::new();
    let made = MADE.get_or_init(|| {
        let mut text =
            "[[owner]]\nid = \"o\"\nname = \"o\"\n[[station]]\nid = \"s\"\nowner = \"o\"\nname = \"s\"\nwhere = [43.9, 11.1]\n".to_owned();
        for id in 0..STREAMS {
            text += &format!(
                "[[datastream]]\nid = \"d{id}\"\nstation = \"s\"\nproperty = \"water_level\"\nperiod_s = 60\nvisibility = \"public\"\n"
            );
        }
        let platter = Arc::new(Platter::default());
        let clock = Arc::new(SimClock::at(START_S));
        let store = Store::open_on(Disk::on(platter.clone()), Settings::default(), clock, |_| ()).expect("a new store");
        store.apply(&store::load_embedded("n", &text, &[]).expect("a network")).expect("applied");
        for id in 0..STREAMS {
            let found = store.seen_by(&Viewer::Public).datastream(&format!("d{id}")).expect("there");
            assert_eq!(store.registry().datastream(DatastreamId(id)).map(|one| one.key.clone()), Some(found.key.clone()));
        }
        store.close_blocking();
        platter
    });
    made.copy()
}

struct Play {
    seed: u64,
    dice: Dice,
    clock: Arc<SimClock>,
    platter: Arc<Platter>,
    disk: Arc<Disk>,
    store: Store,
    plain: Plain,
    /// The next minute of each datastream.
    minutes: [i64; STREAMS as usize],
    /// More was written than was judged.
    is_between: bool,
    seen: Seen,
}

/// Plays one seed to its end; what happened, or why it is red.
pub(crate) fn play(seed: u64) -> Result<Seen, String> {
    let mut dice = Dice::new(seed);
    let platter = Arc::new(fresh_platter());
    let clock = Arc::new(SimClock::at(START_S + dice.below(1_000_000)));
    let disk = Disk::on(platter.clone());
    let store = open(&disk, &clock)?;
    let mut play = Play {
        seed,
        dice,
        clock,
        platter,
        disk,
        store,
        plain: Plain::default(),
        minutes: [0; STREAMS as usize],
        is_between: false,
        seen: Seen::default(),
    };
    for step in 0..30 + play.dice.roll(40) {
        play.step().map_err(|why| format!("step {step}: {why}"))?;
    }
    play.power_cut().map_err(|why| format!("at the end: {why}"))?;
    Ok(play.seen)
}

fn open(disk: &Arc<Disk>, clock: &Arc<SimClock>) -> Result<Store, String> {
    Store::open_on(disk.clone(), Settings::default(), clock.clone(), |_| ()).map_err(|cause| format!("opening: {cause}"))
}

impl Play {
    fn step(&mut self) -> Result<(), String> {
        let dice = self.dice.roll(100);
        self.seen.trace = mix(self.seen.trace ^ dice);
        match dice {
            0..52 => self.append(),
            52..62 => self.append_many(),
            62..68 => self.correct(),
            68..73 => self.seal(),
            73..79 => check::part(&self.store, &self.plain, &mut self.dice),
            79..88 => {
                let faults = [Fault::Lost, Fault::Torn, Fault::Lost, Fault::Torn, Fault::FailedLost, Fault::FailedKept, Fault::Full];
                let fault = faults[usize::try_from(self.dice.roll(7)).expect("small")];
                self.disk.plan(self.dice.roll(3), fault);
                Ok(())
            }
            88..91 => {
                self.store.close_blocking();
                self.seen.closed += 1;
                self.reopen(&[])
            }
            91..94 => self.power_cut(),
            94..97 => {
                match usize::try_from(self.dice.roll(8)).expect("small") {
                    way @ 0..4 => self.clock.moves([-3600, 3600, -315_576_000, 315_576_000][way]),
                    // Or it is set to where a calendar has its traps.
                    trap => self.clock.set(TRAPS_S[trap - 4]),
                }
                self.seen.jumps += 1;
                Ok(())
            }
            _ => {
                for (table, counter) in [(Table::Chunk, 0), (Table::Log, 1)] {
                    if let Some(missing) = check::flipped(&self.platter, &self.plain, table, &mut self.dice)? {
                        let counters = [&mut self.seen.chunk_flips, &mut self.seen.log_flips];
                        *counters.into_iter().nth(counter).expect("two") += 1;
                        self.seen.fenced += missing;
                        self.seen.trace = mix(self.seen.trace ^ missing);
                    }
                }
                Ok(())
            }
        }
    }

    fn append(&mut self) -> Result<(), String> {
        let group = self.group();
        let answer = self.store.submit(Batch { observations: group.clone(), ..Batch::default() }).blocking_recv();
        self.judge(&[group], vec![answer.unwrap_or(Err(Error::Closed))], false)
    }

    /// A correction by a person: values replaced or withdrawn.
    fn correct(&mut self) -> Result<(), String> {
        let withdraws = self.dice.roll(3) == 0;
        let mut group: Vec<Observation> = (0..=self.dice.roll(5)).filter_map(|_| self.known()).collect();
        for one in &mut group {
            if withdraws {
                one.quality = Quality::WITHDRAWN;
            } else {
                *one = Observation {
                    result: one.result * 0.5 + 0.25,
                    quality: Quality::GOOD.with(QualityTest::Corrected, Flag::Good),
                    ..*one
                };
            }
        }
        let text = str::to_owned;
        let entry = AuditEntry {
            number: 0,
            commit: 0,
            at: text("2026-01-01T00:00:00Z"),
            who: text("torture"),
            what: text("correct"),
            datastream: text("d0"),
            from: text("2026-01-01T00:00:00Z"),
            to: text("2026-01-02T00:00:00Z"),
            change: text("× 0.5 + 0.25"),
            why: text("the seed says so"),
            shift_s: 0,
            count: group.len() as u64,
            undoes: None,
        };
        let batch = Batch { observations: group.clone(), audit: vec![entry], ..Batch::default() };
        self.seen.corrections += 1;
        let answer = self.store.commit_blocking(batch);
        self.judge(&[group], vec![answer], true)
    }

    /// Several senders whose batches share one commit: the writer is held until they all wait.
    fn append_many(&mut self) -> Result<(), String> {
        let first = self.group();
        let rest: Vec<Vec<Observation>> = (0..=self.dice.roll(4)).map(|_| self.group()).collect();
        let mark = SessionMark { client: format!("c{}", self.dice.roll(9)), exists: true };
        self.disk.hold();
        let one = self.store.submit(Batch { observations: first.clone(), sessions: vec![mark], ..Batch::default() });
        self.disk.wait_for_the_writer();
        let others: Vec<_> =
            rest.iter().map(|group| self.store.submit(Batch { observations: group.clone(), ..Batch::default() })).collect();
        self.disk.release();
        let one = one.blocking_recv().unwrap_or(Err(Error::Closed));
        let others: Vec<_> = others.into_iter().map(|answer| answer.blocking_recv().unwrap_or(Err(Error::Closed))).collect();
        self.seen.grouped += 1;
        if matches!(one, Err(Error::Poisoned { .. })) {
            // What came after it was not even tried, unless there was nothing to write.
            let all = others.iter().flatten().flat_map(|receipt| &receipt.outcomes);
            if all.into_iter().any(|outcome| *outcome != Outcome::Duplicate) {
                return Err("acknowledged after a failed commit".to_owned());
            }
            return self.judge(&[first], vec![one], false);
        }
        // What the others wrote is on disk already: nothing is compared between the two.
        self.is_between = true;
        let judged = self.judge(&[first], vec![one], false);
        self.is_between = false;
        judged?;
        self.judge(&rest, others, false)
    }

    fn seal(&mut self) -> Result<(), String> {
        match self.store.seal_all() {
            Ok(()) => self.seen.seals += 1,
            Err(Error::Full) => self.seen.full += 1,
            Err(Error::Poisoned { .. }) => return self.crashed(&[]),
            Err(other) => return Err(format!("sealing: {other}")),
        }
        self.committed()
    }

    /// Compares the answers for batches of one commit with what must be.
    fn judge(&mut self, groups: &[Vec<Observation>], answers: Vec<Result<Receipt, Error>>, is_correction: bool) -> Result<(), String> {
        let all: Vec<Observation> = groups.iter().flatten().copied().collect();
        let mut after = self.plain.clone();
        let must = after.take(&all, is_correction);
        let answers: Result<Vec<Receipt>, Error> = answers.into_iter().collect();
        match answers {
            Ok(receipts) => {
                let said: Vec<Outcome> = receipts.into_iter().flat_map(|receipt| receipt.outcomes).collect();
                if said != must {
                    let place = said.iter().zip(&must).position(|(one, other)| one != other).unwrap_or(0);
                    let stood = self.plain.kept.get(&(all[place].datastream, all[place].phenomenon_time.micros()));
                    let stood = stood.map(|stand| (stand.now, stand.before.clone()));
                    return Err(format!("said {:?}, must be {:?}, of {:?}, there stood {stood:?}", said[place], must[place], all[place]));
                }
                self.seen.acked += said.len() as u64;
                self.seen.duplicates += said.iter().filter(|outcome| **outcome == Outcome::Duplicate).count() as u64;
                self.seen.revised += said.iter().filter(|outcome| **outcome == Outcome::Revised).count() as u64;
                self.plain = after;
                self.committed()
            }
            Err(Error::Full) if self.disk.fired() => {
                self.seen.full += 1;
                if self.is_between {
                    return Ok(());
                }
                check::part(&self.store, &self.plain, &mut self.dice)
            }
            Err(Error::Poisoned { .. }) if self.disk.fired() => self.crashed(&all).and_then(|()| {
                // Its senders send again; now it is in, once.
                let answer = self.store.commit_blocking(Batch { observations: all.clone(), ..Batch::default() });
                let said = answer.map_err(|cause| format!("sending again: {cause}"))?.outcomes;
                let must = self.plain.take(&all, false);
                if said == must { Ok(()) } else { Err(format!("sent again: said {said:?}, must be {must:?}")) }
            }),
            Err(other) => Err(format!("refused: {other}")),
        }
    }

    /// After a commit that is acknowledged: on some seeds the power goes here too, on a copy.
    fn committed(&mut self) -> Result<(), String> {
        if self.is_between || !self.seed.is_multiple_of(EVERY) {
            return Ok(());
        }
        let store = open(&Disk::on(Arc::new(self.platter.copy())), &self.clock)?;
        self.seen.every += 1;
        check::whole(&store, &self.plain).map_err(|why| format!("a crash after commit {}: {why}", self.platter.commits()))
    }

    /// The power went inside a commit of `inside`: it is there whole, or not at all.
    fn crashed(&mut self, inside: &[Observation]) -> Result<(), String> {
        self.reopen(inside)
    }

    fn power_cut(&mut self) -> Result<(), String> {
        self.seen.cuts += 1;
        self.reopen(&[])
    }

    fn reopen(&mut self, inside: &[Observation]) -> Result<(), String> {
        self.seen.trace = mix(self.seen.trace ^ self.disk.trace());
        if let Some(fault) = self.disk.what_fired() {
            let counter = match fault {
                Fault::Lost => &mut self.seen.lost,
                Fault::Torn => &mut self.seen.torn,
                Fault::FailedLost | Fault::FailedKept => &mut self.seen.failed,
                Fault::Full => &mut self.seen.trace,
            };
            *counter += 1;
        }
        self.disk = Disk::on(self.platter.clone());
        self.store = open(&self.disk, &self.clock)?;
        let Err(before) = check::whole(&self.store, &self.plain) else { return Ok(()) };
        for is_correction in [false, true] {
            let mut after = self.plain.clone();
            after.take(inside, is_correction);
            if check::whole(&self.store, &after).is_ok() {
                self.plain = after;
                return Ok(());
            }
        }
        Err(format!("after a crash: {before}"))
    }

    /// A group of new, late, repeated, changed and withdrawn observations.
    fn group(&mut self) -> Vec<Observation> {
        let size = match self.dice.roll(16) {
            0 => 200 + self.dice.roll(900),
            _ => 1 + self.dice.roll(30),
        };
        self.clock.moves(self.dice.below(120));
        (0..size).map(|_| self.observation()).collect()
    }

    fn observation(&mut self) -> Observation {
        let stream = self.dice.roll(u64::from(STREAMS));
        let kind = self.dice.roll(20);
        if (3..6).contains(&kind)
            && let Some(known) = self.known()
        {
            let received_at = self.clock.now();
            return match kind {
                3 => Observation { received_at, quality: Quality::GOOD, ..known },
                4 => Observation { received_at, quality: Quality::GOOD, result: self.value(), ..known },
                _ => Observation { received_at, quality: Quality::WITHDRAWN, ..known },
            };
        }
        let minute = &mut self.minutes[usize::try_from(stream).expect("small")];
        let at = match kind {
            0 => *minute - self.dice.below(2000),
            1 => -self.dice.below(50),
            _ => {
                *minute += 1 + self.dice.below(2);
                *minute
            }
        };
        Observation {
            datastream: DatastreamId(u32::try_from(stream).expect("small")),
            phenomenon_time: Timestamp::from_seconds(START_S + at * 60).plus_micros(at.rem_euclid(7) * 1001),
            received_at: self.clock.now(),
            result: self.value(),
            quality: if kind == 2 { Quality::NOT_EVALUATED } else { Quality::GOOD },
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "small numbers")]
    fn value(&mut self) -> f64 {
        match self.dice.roll(30) {
            0 => -0.0,
            1 => Some(f64::from_bits(self.dice.next())).filter(|value| value.is_finite()).unwrap_or(1e-300),
            _ => self.dice.roll(4000) as f64 / 1000.0,
        }
    }

    /// One that was said before, of the last few hundred.
    fn known(&mut self) -> Option<Observation> {
        let id = DatastreamId(u32::try_from(self.dice.roll(u64::from(STREAMS))).expect("small"));
        let back = usize::try_from(self.dice.roll(300)).expect("small");
        let mut all = self.plain.kept.range((id, i64::MIN)..=(id, i64::MAX)).rev();
        all.nth(back).map(|(_, stand)| Observation { received_at: self.clock.now(), ..stand.now })
    }
}
