//! F15: slaves that lie. Each lie is a gap with its reason, no answer is ever taken for another register's, and an honest device on
//! the same wire keeps its cadence.

use crate::support::sim::{Field, Polled, longest_pause_s, network, profile};
use crate::support::{Dir, World, eventually};
use Conduct::{
    BadCrc, Boasts, Exception, HalfFrame, Hang, Honest, Late, Long, OtherFunction, OtherTransaction, OtherUnit, Short, SwappedWords,
    WrongByteCount,
};
use firmware_sim::bus::Instrument;
use firmware_sim::conduct::Conduct;
use firmware_sim::frame::Framing;
use firmware_sim::image::Image;
use model::{ByteOrder, RegisterSpace};
use std::time::Duration;

const POLL_S: u32 = 2;
const TIMEOUT_S: f64 = 0.15;
/// Liars on one wire, beside an honest device.
const ON_A_WIRE: usize = 4;
/// The level of every honest answer, and the other register of a device that has two.
const LEVEL_M: f64 = 2.608;
const OTHER_M: f64 = 1.111;

/// Levels as float32 from these addresses.
fn holding(levels: &[(u16, f64)]) -> Instrument {
    let mut image = Image::default();
    for (address, level) in levels {
        image.float(RegisterSpace::Holding, *address, *level as f32, ByteOrder::Abcd);
    }
    Instrument::new(image)
}

/// Every lie that this framing can tell, and the gap that it must leave; none where it is a number that can't be.
fn lies(framing: Framing) -> Vec<(Conduct, String)> {
    let mut lies: Vec<(Conduct, &str)> = vec![
        (Hang, "timeout"),
        (Late(Duration::from_millis(240)), "timeout"),
        (Short, "bad-answer"),
        (Long, "bad-answer"),
        (BadCrc, "bad-answer"),
        (OtherUnit, "bad-answer"),
        (OtherFunction, "bad-answer"),
        (WrongByteCount, "bad-answer"),
        (HalfFrame, "bad-answer"),
        (Boasts, "bad-answer"),
    ];
    if framing == Framing::Mbap {
        lies.push((OtherTransaction, "bad-answer"));
    }
    let noes = (1..=11).map(|code| (Exception(code), format!("exception-{code}")));
    lies.into_iter().map(|(lie, reason)| (lie, reason.to_owned())).chain(noes).collect()
}

fn lie(name: &str, framing: Framing) {
    let dir = Dir::new(name);
    dir.write("level.toml", &profile("level", &[("level", "holding", 0, "float32", "ABCD", 1.0)]));
    let field = Field::new();
    // Each liar, and one that swaps its words, beside an honest device; one honest device alone to compare with.
    let liars: Vec<(String, Conduct, Option<String>, Instrument)> = lies(framing)
        .into_iter()
        .map(|(lie, reason)| (lie, Some(reason)))
        .chain([(SwappedWords, None)])
        .zip(0..)
        .map(|((lie, reason), number)| (format!("liar-{number}"), lie, reason, holding(&[(0, LEVEL_M)])))
        .collect();
    for (_, lie, _, liar) in &liars {
        liar.conduct([], *lie);
    }
    let honest: Vec<String> = (0..liars.len().div_ceil(ON_A_WIRE)).map(|number| format!("honest-{number}")).collect();
    let wires: Vec<String> = liars
        .chunks(ON_A_WIRE)
        .map(|liars| {
            let liars = liars.iter().zip(10..).map(|((.., liar), unit)| (unit, liar.clone()));
            field.wire(framing, [(1, holding(&[(0, LEVEL_M)]))].into_iter().chain(liars).collect())
        })
        .chain([field.wire(framing, vec![(1, holding(&[(0, LEVEL_M)]))])])
        .collect();
    let polled = |id, wire, unit| Polled { id, wire, unit, profile: "level.toml", channels: &["level"] };
    let mut devices = vec![polled("alone", wires.last().unwrap(), 1)];
    for (wire, (liars, honest)) in wires.iter().zip(liars.chunks(ON_A_WIRE).zip(&honest)) {
        devices.push(polled(honest, wire, 1));
        devices.extend(liars.iter().zip(10..).map(|((id, ..), unit)| polled(id, wire, unit)));
    }
    let world = World::run(&dir, &network(&devices, POLL_S, TIMEOUT_S));
    let seen = |device: &str| world.observations(&format!("{device}-level"), "period=PT1H");
    let gaps = |device: &str| world.gaps(&format!("{device}-level"));

    eventually("the lonely one has spoken a while", 60, || seen("alone").len() >= 11);
    let alone = seen("alone").len();
    for one in &honest {
        let (count, pause) = (seen(one).len(), longest_pause_s(&seen(one)));
        eprintln!("{name}: {one} {count} values, alone {alone}; longest pause {pause} s");
        assert!(count as f64 >= 0.9 * alone as f64 - 1.0, "{one} gave {count} values, one alone {alone}");
        assert!(pause <= f64::from(2 * POLL_S), "{one}: {pause} s between two values");
        assert!(seen(one).iter().all(|(_, level)| *level == LEVEL_M), "{one}: {:?}", seen(one));
        assert_eq!(gaps(one), [], "{one}");
    }
    for (id, lie, reason, _) in &liars {
        let gaps = gaps(id);
        match reason {
            Some(reason) => {
                assert!(!gaps.is_empty() && gaps.iter().all(|(found, _)| found == reason), "{lie:?}: {gaps:?}, {reason} is right");
                assert_eq!(seen(id), [], "{lie:?}");
            }
            // No frame shows it: what gives it away is that no river stands so.
            None => {
                let latest = world.latest(&format!("{id}-level"));
                eprintln!("{name}: {lie:?} left {gaps:?} and {latest}");
                assert!(!gaps.is_empty() || latest["quality"] == 4, "{lie:?}: {gaps:?} {latest}");
            }
        }
    }
    // And once they tell the truth, it is heard, and it is theirs.
    liars.iter().for_each(|(_, _, _, liar)| liar.conduct([], Honest));
    eventually("all are heard again", 60, || liars.iter().all(|(id, ..)| world.latest(&format!("{id}-level"))["result"] == LEVEL_M));
    for (id, lie, reason, _) in &liars {
        assert!(reason.is_none() || seen(id).iter().all(|(_, level)| *level == LEVEL_M), "after {lie:?}: {:?}", seen(id));
    }
}

#[test]
fn lies_over_modbus_tcp_are_gaps_with_their_reasons_and_cost_the_honest_nothing() {
    lie("lies-tcp", Framing::Mbap);
}

#[test]
fn lies_on_a_line_are_gaps_with_their_reasons_and_cost_the_honest_nothing() {
    lie("lies-rtu", Framing::Rtu);
}

/// Two registers far apart, so that they are two questions of one shape; answers come late by less and by more than the line is left
/// alone, before, while and after a neighbour is asked.
fn late(name: &str, framing: Framing) {
    let dir = Dir::new(name);
    dir.write(
        "two.toml",
        &profile("two", &[("low", "holding", 0, "float32", "ABCD", 1.0), ("high", "holding", 500, "float32", "ABCD", 1.0)]),
    );
    let field = Field::new();
    let slow = holding(&[(0, OTHER_M), (500, LEVEL_M)]);
    let neighbour = holding(&[(0, OTHER_M + 10.0), (500, LEVEL_M + 10.0)]);
    let ms = |ms| Late(Duration::from_millis(ms));
    // Each late answer, then honest ones until the unit is asked often again.
    let script =
        [200, 350, 700, 1300, 170].into_iter().flat_map(|late| [ms(late), Honest, Honest, ms(late), Honest, Honest, Honest, Honest]);
    slow.conduct(script, Honest);
    let wire = field.wire(framing, vec![(3, slow.clone()), (4, neighbour)]);
    let channels = ["low", "high"];
    let polled = |id, unit| Polled { id, wire: &wire, unit, profile: "two.toml", channels: &channels };
    let world = World::run(&dir, &network(&[polled("slow", 3), polled("neighbour", 4)], 1, TIMEOUT_S));
    let seen = |datastream: &str| world.observations(datastream, "period=PT1H");
    eventually("the slow one has told all it has to tell", 120, || slow.asked().len() > 5 * 8 + 6);
    for (datastream, level) in
        [("slow-low", OTHER_M), ("slow-high", LEVEL_M), ("neighbour-low", OTHER_M + 10.0), ("neighbour-high", LEVEL_M + 10.0)]
    {
        assert!(!seen(datastream).is_empty());
        let wrong: Vec<_> = seen(datastream).into_iter().filter(|(_, found)| (found - level).abs() > 1e-5).collect();
        assert_eq!(wrong, [], "{datastream} is {level}");
    }
    let late: u64 = world.gaps("slow-low").iter().filter(|(reason, _)| reason == "timeout").map(|(_, count)| count).sum();
    assert!(late >= 5, "{:?}", world.gaps("slow-low"));
}

#[test]
fn a_late_answer_is_never_taken_for_another_registers_over_modbus_tcp() {
    late("late-tcp", Framing::Mbap);
}

#[test]
fn a_late_answer_is_never_taken_for_another_registers_on_a_line() {
    late("late-rtu", Framing::Rtu);
}
