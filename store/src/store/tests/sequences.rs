//! Any sequence of changes that were accepted, then a restart: it starts, with the same network. What is changed, and in which order, is
//! drawn from a seed; ids come from so small a pool that most changes collide with something.

use crate::engine::{Engine, Memory};
use crate::scratch::Dir;
use crate::{Registry, Settings, Store, load_network, load_network_to_start};
use model::{Clock, DatastreamId, Interval, Observation, Quality, Timestamp};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

const SEQUENCES: u64 = 200;
const STEPS: u64 = 24;
/// Those that a start applies; the third is applied by hand only.
const STARTED: usize = 2;
const FILES: [&str; 3] = ["a.toml", "b.toml", "c.toml"];

/// A clock that goes on by a second whenever it is asked.
struct Ticking(AtomicI64);
impl Clock for Ticking {
    fn now(&self) -> Timestamp {
        Timestamp::from_seconds(self.0.fetch_add(1, Ordering::Relaxed))
    }
}

struct Dice(u64);
impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % sides
    }
    fn of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[usize::try_from(self.roll(words.len() as u64)).unwrap()]
    }
    /// The owner that an id has by habit, and seldom the other.
    fn owner_of(&mut self, id: &str) -> &'static str {
        let is_first = matches!(id.as_bytes(), [_, b'0' | b'1']) != (self.roll(12) == 0);
        OWNERS[usize::from(!is_first)]
    }
    /// An id of `words`, mostly one of this owner's.
    fn of_owner<'a>(&mut self, words: &[&'a str], owner: &str) -> &'a str {
        let own: Vec<&str> = words.iter().filter(|id| matches!(id.as_bytes(), [_, b'0' | b'1']) == (owner == OWNERS[0])).copied().collect();
        if self.roll(10) == 0 { self.of(words) } else { self.of(&own) }
    }
}

const OWNERS: [&str; 2] = ["x", "y"];
const STATIONS: [&str; 3] = ["s0", "s1", "s2"];
const STREAMS: [&str; 5] = ["d0", "d1", "d2", "d3", "d4"];
const DEVICES: [&str; 4] = ["g0", "g1", "g2", "g3"];
const CHANNELS: [&str; 3] = ["c0", "c1", "c2"];

/// Entries of a file by kind and id, each as its text.
type Entries = BTreeMap<String, String>;

fn text(entries: &Entries) -> String {
    entries.values().map(String::as_str).collect()
}

fn station(dice: &mut Dice) -> (String, String) {
    let (id, name) = (dice.of(&STATIONS), dice.of(&["Uno", "Due"]));
    let owner = dice.owner_of(id);
    (format!("1 {id}"), format!("[[station]]\nid = \"{id}\"\nowner = \"{owner}\"\nname = \"{name}\"\nwhere = [43.9, 11.1]\n"))
}

fn datastream(dice: &mut Dice) -> (String, String) {
    let (id, period) = (dice.of(&STREAMS), dice.of(&["10", "60"]));
    let owner = dice.owner_of(id);
    let station = dice.of_owner(&STATIONS, owner);
    let visibility = dice.of(&["\"public\"", "\"private\"", "{ shared = [\"y\"] }"]);
    let property = if dice.roll(30) == 0 { "flow" } else { "water_level" };
    let mut entry = format!(
        "[[datastream]]\nid = \"{id}\"\nstation = \"{station}\"\nproperty = \"{property}\"\nperiod_s = {period}\nvisibility = {visibility}\n"
    );
    if dice.roll(3) == 0 {
        let _ = writeln!(entry, "threshold = [{{ value = {}.5, label = \"soglia\" }}]", dice.roll(4));
    }
    if dice.roll(4) == 0 {
        let _ = writeln!(entry, "rating = [{{ segment = [{{ from_m = 0.0, to_m = 3.0, a = {}, h0_m = 0.0, b = 1.5 }}] }}]", dice.roll(3));
    }
    (format!("2 {id}"), entry)
}

fn device(dice: &mut Dice) -> (String, String) {
    let id = dice.of(&DEVICES);
    let owner = dice.owner_of(id);
    let way = match dice.roll(4) {
        0 => format!("address = \"{}\"", dice.of(&["A", "B"])),
        1 => format!("mqtt = {{ user = \"{}\", token_sha256 = \"{}\" }}", dice.of(&["u", "v"]), "ab".repeat(32)),
        _ => "http = true".to_owned(),
    };
    let feeds: Vec<String> = (0..dice.roll(2)).map(|_| feed_words(dice, owner)).collect();
    let entry = format!("[[device]]\nid = \"{id}\"\nowner = \"{owner}\"\n{way}\nfeeds = [{}]\n", feeds.join(", "));
    (format!("3 {owner}/{id}"), entry)
}

fn feed_words(dice: &mut Dice, owner: &str) -> String {
    let more = if dice.roll(8) == 0 { format!(", datastream_owner = \"{}\"", dice.of(&OWNERS)) } else { String::new() };
    format!("{{ channel = \"{}\", datastream = \"{}\"{more} }}", dice.of(&CHANNELS), dice.of_owner(&STREAMS, owner))
}

fn feed(dice: &mut Dice) -> (String, String) {
    let (owner, channel) = (dice.of(&OWNERS), dice.of(&CHANNELS));
    let (device, datastream) = (dice.of_owner(&DEVICES, owner), dice.of_owner(&STREAMS, owner));
    let entry = format!("[[feed]]\nowner = \"{owner}\"\ndevice = \"{device}\"\nchannel = \"{channel}\"\ndatastream = \"{datastream}\"\n");
    (format!("4 {owner}/{device}/{channel}"), entry)
}

fn change(dice: &mut Dice, entries: &mut Entries) {
    for _ in 0..=dice.roll(2) {
        let gone = dice.roll(entries.len().max(1) as u64);
        let key = entries.keys().nth(usize::try_from(gone).unwrap()).cloned();
        match dice.roll(6) {
            0 => drop(key.and_then(|key| entries.remove(&key))),
            1 => entries.extend([station(dice)]),
            2 => entries.extend([datastream(dice)]),
            3 => entries.extend([feed(dice)]),
            _ => entries.extend([device(dice)]),
        }
    }
}

/// All of a registry that can be seen from outside.
fn shown(registry: &Registry) -> String {
    let mut text = String::new();
    registry.owners().for_each(|one| text += &format!("{one:?}\n"));
    registry.stations().for_each(|one| text += &format!("{one:?}\n"));
    registry.datastreams().for_each(|one| text += &format!("{one:?}\n"));
    registry.devices().for_each(|one| text += &format!("{one:?}\n"));
    for (user, owner) in [("u", "x"), ("v", "y")] {
        let _ = writeln!(text, "{:?}", registry.device_by_user(user).map(|device| device.id.clone()));
        for address in ["A", "B"] {
            let _ = writeln!(text, "{:?}", registry.device_called(owner, address).map(|device| device.id.clone()));
        }
    }
    text
}

struct World {
    dir: Dir,
    engine: Arc<dyn Engine>,
    clock: Arc<Ticking>,
    store: Store,
    files: [Entries; 3],
    accepted: u64,
    refused: u64,
}

impl World {
    fn new(seed: u64) -> Self {
        let dir = Dir::new(&format!("sequences-{seed}"));
        let (engine, clock): (Arc<dyn Engine>, _) = (Arc::new(Memory::default()), Arc::new(Ticking(1_795_000_000.into())));
        let owners = OWNERS.map(|id| (format!("0 {id}"), format!("[[owner]]\nid = \"{id}\"\nname = \"{id}\"\n")));
        let mut files = [Entries::from(owners), Entries::new(), Entries::new()];
        for (id, owner) in [("s0", "x"), ("s1", "x"), ("s2", "y")] {
            let entry = format!("[[station]]\nid = \"{id}\"\nowner = \"{owner}\"\nname = \"Uno\"\nwhere = [43.9, 11.1]\n");
            files[0].insert(format!("1 {id}"), entry);
        }
        let store = Store::open_on(engine.clone(), Settings::default(), clock.clone(), |_| ()).expect("open");
        let world = Self { dir, engine, clock, store, files, accepted: 0, refused: 0 };
        (0..FILES.len()).for_each(|at| world.write(at));
        world.begin();
        world
    }
    fn path(&self, at: usize) -> PathBuf {
        self.dir.0.join(FILES[at])
    }
    fn write(&self, at: usize) {
        std::fs::write(self.path(at), text(&self.files[at])).expect("written");
    }
    /// As a start does.
    fn begin(&self) {
        let started: Vec<PathBuf> = (0..STARTED).map(|at| self.path(at)).collect();
        self.store.starts_with(&started);
        let found = self.store.start_with(&load_network_to_start(&started).expect("it was accepted"));
        assert!(found.faults.is_empty(), "what was accepted can't stand at the start: {:#?}", found.faults);
    }
    fn apply(&mut self, dice: &mut Dice) {
        let before = self.files.clone();
        let some: Vec<usize> = match dice.roll(5) {
            0 => vec![0, 1],
            1 => vec![1, 0],
            2 => vec![2],
            3 => vec![1],
            _ => vec![0],
        };
        for at in &some {
            change(dice, &mut self.files[*at]);
            self.write(*at);
        }
        let paths: Vec<PathBuf> = some.iter().map(|at| self.path(*at)).collect();
        let done = load_network(&paths).and_then(|network| self.store.apply(&network));
        self.count(done.is_ok());
        if done.is_err() {
            self.files = before;
            some.iter().for_each(|at| self.write(*at));
        }
    }
    fn adopt(&mut self, dice: &mut Dice) {
        let mut entries = Entries::new();
        if dice.roll(2) == 0 {
            entries.extend([datastream(dice)]);
        }
        if dice.roll(3) == 0 {
            entries.extend([device(dice)]);
        }
        entries.extend([feed(dice)]);
        let done = self.store.adopt(&text(&entries), &crate::Reason::default());
        self.count(done.is_ok());
    }
    fn count(&mut self, is_accepted: bool) {
        *(if is_accepted { &mut self.accepted } else { &mut self.refused }) += 1;
    }
    fn measure_and_delete(&self, dice: &mut Dice) {
        let registry = self.store.registry();
        let Some(datastream) = registry.datastreams().next() else { return };
        let id: DatastreamId = datastream.id;
        let at = self.clock.now();
        let one = Observation { datastream: id, phenomenon_time: at, received_at: at, result: 1.0, quality: Quality::GOOD };
        self.store.commit_blocking(crate::Batch { observations: vec![one], ..crate::Batch::default() }).expect("committed");
        if dice.roll(2) == 0 {
            self.store.delete(id, Interval::ALL, "anna", "a test").expect("deleted");
        }
    }
    fn restart(&mut self, dice: &mut Dice) {
        let before = shown(&self.store.registry());
        if dice.roll(2) == 0 {
            self.store.close_blocking();
        }
        let (engine, clock) = (self.engine.clone(), self.clock.clone());
        self.store = Store::open_on(engine, Settings::default(), clock, |_| ()).expect("open");
        self.begin();
        pretty(&before, &shown(&self.store.registry()));
    }
}

fn pretty(before: &str, after: &str) {
    let gone: Vec<&str> = before.lines().filter(|line| !after.contains(line)).collect();
    let new: Vec<&str> = after.lines().filter(|line| !before.contains(line)).collect();
    assert!(before == after, "the network is another after the start\nwas {gone:#?}\nis {new:#?}");
}

#[test]
fn whatever_was_accepted_starts_again_with_the_same_network() {
    let first: u64 = std::env::var("PESCAIA_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1);
    let (mut accepted, mut refused) = (0, 0);
    for seed in first..first + SEQUENCES {
        let outcome = std::panic::catch_unwind(|| {
            let (mut dice, mut world) = (Dice(seed), World::new(seed));
            for _ in 0..STEPS {
                match dice.roll(10) {
                    0 | 1 => world.restart(&mut dice),
                    2..=4 => world.adopt(&mut dice),
                    5 => world.measure_and_delete(&mut dice),
                    _ => world.apply(&mut dice),
                }
            }
            world.restart(&mut dice);
            (world.accepted, world.refused)
        });
        let Ok(counts) = outcome else { panic!("PESCAIA_SEED={seed} fails first") };
        accepted += counts.0;
        refused += counts.1;
    }
    eprintln!("{accepted} changes accepted, {refused} refused");
    assert!(accepted > SEQUENCES && refused > SEQUENCES, "{accepted} accepted, {refused} refused: it must try both");
}

#[test]
fn what_the_next_start_could_not_keep_is_refused_when_it_is_asked_for() {
    let mut world = World::new(0);
    world.files[0].retain(|key, _| key.starts_with('0'));
    world.write(0);
    world.store.apply(&load_network(&[world.path(0)]).expect("read")).expect("applied");
    let gauge = |id: &str| {
        format!(
            "[[station]]\nid = \"s0\"\nowner = \"x\"\nname = \"S\"\nwhere = [43.9, 11.1]\n[[datastream]]\nid = \"d0\"\nstation = \"s0\"\nproperty = \"water_level\"\nperiod_s = 60\n\
             [[device]]\nid = \"{id}\"\nowner = \"x\"\nhttp = true\nfeeds = [{{ channel = \"c\", datastream = \"d0\" }}]\n"
        )
    };
    let device = "[[device]]\nid = \"g1\"\nowner = \"x\"\nhttp = true\nfeeds = [{ channel = \"c\", datastream = \"d0\" }]\n";
    let plain = gauge("g0").replace("feeds = [{ channel = \"c\", datastream = \"d0\" }]\n", "");
    std::fs::write(world.path(1), &plain).expect("written");
    world.store.apply(&load_network(&[world.path(1)]).expect("read")).expect("applied");
    // Edited, and not applied yet: the start will.
    std::fs::write(world.path(1), gauge("g0")).expect("written");
    std::fs::write(world.path(2), device).expect("written");
    let said = world.store.apply(&load_network(&[world.path(2)]).expect("read")).expect_err("refused");
    assert!(said[0].message.contains("the next start") && said[0].message.contains("x/g1 feeds the same datastream"), "{said:?}");
    let feed = "[[feed]]\nowner = \"x\"\ndevice = \"g0\"\nchannel = \"other\"\ndatastream = \"d0\"\n";
    let said = world.store.adopt(feed, &crate::Reason::default()).expect_err("refused");
    assert!(said[0].message.contains("the next start"), "{said:?}");
    assert_eq!(world.store.adopted().expect("read"), "");
}
