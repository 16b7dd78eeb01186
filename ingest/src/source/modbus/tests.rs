//! Slaves that answer, lie and keep silent, on raw sockets.

use super::line::Line;
use super::unit::{Said, Unit};
use crate::decode::Decoder;
use crate::decode::registers::Registers;
use model::{
    DatastreamId, Device, DeviceId, Feed, GapReason, Link, ModbusWire, NumberType, OwnerId, Profile, Register, RegisterSpace, Timestamp,
    Unit as Measure,
};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

/// What a slave does with the next question.
#[derive(Debug, Clone)]
enum Act {
    Words(Vec<u16>),
    Exception(u8),
    Hang,
    /// Answers after this long.
    Late(Duration, Vec<u16>),
    OtherTransaction(Vec<u16>),
    OtherUnit(Vec<u16>),
    OtherFunction(Vec<u16>),
    HalfFrame,
    /// Says that it sends more bytes than it does.
    WrongByteCount,
    Close,
}

/// A slave that follows a script and remembers what it was asked.
struct Script {
    acts: Arc<Mutex<VecDeque<Act>>>,
    /// Function, first address, count.
    asked: Arc<Mutex<Vec<(u8, u16, u16)>>>,
    connections: Arc<Mutex<u32>>,
    endpoint: String,
}

impl Script {
    async fn play(acts: impl IntoIterator<Item = Act>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let script = Self {
            acts: Arc::new(Mutex::new(acts.into_iter().collect())),
            asked: Arc::default(),
            connections: Arc::default(),
            endpoint: listener.local_addr().expect("an address").to_string(),
        };
        let (acts, asked, connections) = (script.acts.clone(), script.asked.clone(), script.connections.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *connections.lock().expect("lock") += 1;
                tokio::spawn(answer(stream, acts.clone(), asked.clone()));
            }
        });
        script
    }
    fn asked(&self) -> Vec<(u8, u16, u16)> {
        self.asked.lock().expect("lock").clone()
    }
    /// Leaves the next act out.
    fn skip(&self) {
        self.acts.lock().expect("lock").pop_front();
    }
    fn connections(&self) -> u32 {
        *self.connections.lock().expect("lock")
    }
}

async fn answer(mut stream: TcpStream, acts: Arc<Mutex<VecDeque<Act>>>, asked: Arc<Mutex<Vec<(u8, u16, u16)>>>) {
    let mut request = [0_u8; 12];
    while stream.read_exact(&mut request).await.is_ok() {
        let [t0, t1, _, _, _, _, unit, function, a0, a1, c0, c1] = request;
        let (address, count) = (u16::from_be_bytes([a0, a1]), u16::from_be_bytes([c0, c1]));
        asked.lock().unwrap_or_else(PoisonError::into_inner).push((function, address, count));
        let frame = |transaction: [u8; 2], unit: u8, pdu: &[u8]| {
            let length = u16::try_from(pdu.len() + 1).expect("short").to_be_bytes();
            [&transaction[..], &[0, 0], &length, &[unit], pdu].concat()
        };
        let pdu = |words: &[u16]| {
            let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_be_bytes()).collect();
            [&[function, u8::try_from(bytes.len()).expect("short")], &bytes[..]].concat()
        };
        let act = acts.lock().expect("lock").pop_front();
        let reply = match act.unwrap_or(Act::Hang) {
            Act::Words(words) => frame([t0, t1], unit, &pdu(&words)),
            Act::Exception(code) => frame([t0, t1], unit, &[function | 0x80, code]),
            Act::Hang => continue,
            Act::Late(after, words) => {
                tokio::time::sleep(after).await;
                frame([t0, t1], unit, &pdu(&words))
            }
            Act::OtherTransaction(words) => frame([t0, t1.wrapping_add(7)], unit, &pdu(&words)),
            Act::OtherUnit(words) => frame([t0, t1], unit + 1, &pdu(&words)),
            Act::OtherFunction(words) => {
                let mut pdu = pdu(&words);
                pdu[0] = if function == 3 { 4 } else { 3 };
                frame([t0, t1], unit, &pdu)
            }
            Act::HalfFrame => {
                let whole = frame([t0, t1], unit, &pdu(&[1, 2]));
                let _ = stream.write_all(&whole[..whole.len() / 2]).await;
                return;
            }
            Act::WrongByteCount => frame([t0, t1], unit, &[function, 4, 0x12]),
            Act::Close => return,
        };
        if stream.write_all(&reply).await.is_err() {
            return;
        }
    }
}

fn wire(endpoint: &str) -> ModbusWire {
    ModbusWire::Tcp { address: endpoint.into(), is_outside: false }
}

fn register(channel: &str, space: RegisterSpace, address: u16, number: NumberType) -> Register {
    Register {
        channel: channel.into(),
        space,
        address,
        number,
        scale: 0.001,
        unit: Measure::Metre,
        sentinels: vec![32_767],
        ..Register::default()
    }
}

fn device(endpoint: &str, registers: Vec<Register>) -> Arc<Device> {
    let feeds = registers.iter().enumerate().map(|(number, register)| Feed {
        channel: register.channel.clone(),
        datastream: DatastreamId(u32::try_from(number).expect("few")),
        unit: Measure::Metre,
    });
    let feeds = feeds.collect();
    let profile = Profile { name: "p".into(), title: "P".into(), max_batch: 60, registers, ..Profile::default() };
    Arc::new(Device {
        id: DeviceId::from("plc"),
        address: None,
        layout: None,
        lines: None,
        owner: OwnerId::from("medio-valdarno"),
        link: Link::Modbus { wire: wire(endpoint), unit: 3, poll_interval_s: 1.0, timeout_s: 0.15, profile: Arc::new(profile) },
        feeds,
        retired: false,
    })
}

fn level() -> Vec<Register> {
    vec![register("level", RegisterSpace::Holding, 100, NumberType::Int16)]
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(1_700_000_000_000_000 + second * 1_000_000 + 123_456)
}

struct Bench {
    script: Script,
    unit: Unit,
    line: Line,
    second: i64,
}

impl Bench {
    async fn new(registers: Vec<Register>, acts: impl IntoIterator<Item = Act>) -> Self {
        let script = Script::play(acts).await;
        let unit = Unit::new(&device(&script.endpoint, registers)).expect("polled").expect("a plan");
        let line = Line::new(&wire(&script.endpoint));
        Self { script, unit, line, second: 0 }
    }
    async fn turn(&mut self) -> Said {
        let endpoint = self.script.endpoint.clone();
        self.second += 1;
        self.unit.turn(&mut self.line, &endpoint, at(self.second)).await
    }
    /// Turns until the unit is really asked.
    async fn attempt(&mut self) -> Said {
        loop {
            let said = self.turn().await;
            if said.outcome.is_some() {
                return said;
            }
        }
    }
}

fn values(said: &Said) -> Vec<(String, f64)> {
    let Some(frame) = &said.frame else { return Vec::new() };
    let decoded = Registers.decode(frame);
    assert!(decoded.rejects.is_empty(), "{:?}", decoded.rejects);
    decoded.readings.into_iter().map(|placed| (placed.what.channel.to_string(), placed.what.value)).collect()
}

fn gaps(said: &Said) -> Vec<(u32, GapReason, u64)> {
    said.gaps.iter().map(|gap| (gap.datastream.0, gap.reason.clone(), gap.count)).collect()
}

#[tokio::test]
async fn a_poll_is_a_frame_with_the_time_of_asking_and_the_raw_words() {
    let registers = vec![
        register("up", RegisterSpace::Holding, 100, NumberType::Int16),
        register("down", RegisterSpace::Holding, 101, NumberType::Int16),
    ];
    let mut bench = Bench::new(registers, [Act::Words(vec![2608, 0xFF9C])]).await;
    let said = bench.turn().await;
    assert_eq!(values(&said), [("up".into(), 2.608), ("down".into(), -0.1)]);
    assert!(said.gaps.is_empty());
    let frame = said.frame.expect("a frame");
    let reading = Registers.decode(&frame).readings.remove(0).what;
    assert_eq!(reading.phenomenon_time, Some(Timestamp::from_seconds(1_700_000_001)), "cut to the second");
    assert_eq!(frame.received_at, at(1));
    assert_eq!(bench.script.asked(), [(3, 100, 2)]);
    assert!(String::from_utf8_lossy(&frame.bytes).contains("[2608,65436]"));
}

#[tokio::test]
async fn each_lie_of_a_slave_is_a_gap_with_its_reason() {
    for (act, reason) in [
        (Act::Hang, GapReason::Timeout),
        (Act::Exception(2), GapReason::Exception(2)),
        (Act::Exception(11), GapReason::Exception(11)),
        (Act::OtherTransaction(vec![1]), GapReason::BadAnswer),
        (Act::OtherUnit(vec![1]), GapReason::BadAnswer),
        (Act::OtherFunction(vec![1]), GapReason::BadAnswer),
        (Act::HalfFrame, GapReason::BadAnswer),
        (Act::WrongByteCount, GapReason::BadAnswer),
        (Act::Words(vec![1, 2]), GapReason::BadAnswer),
        (Act::Words(vec![]), GapReason::BadAnswer),
        (Act::Close, GapReason::Unreachable),
        (Act::Words(vec![32_767]), GapReason::NoNumber),
    ] {
        let mut bench = Bench::new(level(), [act.clone(), Act::Words(vec![1520])]).await;
        let said = bench.turn().await;
        assert_eq!(gaps(&said), [(0, reason, 1)], "{act:?}");
        assert!(said.frame.is_none(), "{act:?}");
        assert_eq!((said.gaps[0].from, said.gaps[0].to), (Timestamp::from_seconds(1_700_000_001), Timestamp::from_seconds(1_700_000_001)));
        // And the next answer is the next answer.
        let said = bench.attempt().await;
        assert_eq!(values(&said), [("level".into(), 1.52)], "after {act:?}");
    }
}

#[tokio::test]
async fn a_late_answer_is_never_taken_for_the_next_register() {
    let registers = vec![
        register("first", RegisterSpace::Holding, 0, NumberType::Int16),
        register("second", RegisterSpace::Holding, 500, NumberType::Int16),
    ];
    let late = Act::Late(Duration::from_millis(220), vec![111]);
    let mut bench = Bench::new(registers, [late, Act::Words(vec![1]), Act::Words(vec![2])]).await;
    let said = bench.turn().await;
    assert_eq!(gaps(&said), [(0, GapReason::Timeout, 1), (1, GapReason::Timeout, 1)]);
    assert_eq!(bench.script.asked(), [(3, 0, 1)], "after a silence the rest is not asked");
    tokio::time::sleep(Duration::from_millis(120)).await;
    let said = bench.attempt().await;
    // What failed is asked last: the first answer is the second's.
    assert_eq!(values(&said), [("first".into(), 0.002), ("second".into(), 0.001)]);
    assert_eq!(bench.script.connections(), 2, "the connection with the late answer in it is gone");
}

#[tokio::test]
async fn a_request_that_is_never_answered_starves_no_other_and_rests_alone() {
    let registers = vec![
        register("first", RegisterSpace::Holding, 0, NumberType::Int16),
        register("second", RegisterSpace::Holding, 500, NumberType::Int16),
    ];
    for lie in [Act::Hang, Act::OtherTransaction(vec![1]), Act::OtherUnit(vec![1])] {
        let bad_polls = std::iter::repeat_n([Act::Words(vec![2]), lie.clone()], 20).flatten();
        let mut bench = Bench::new(registers.clone(), std::iter::once(lie.clone()).chain(bad_polls)).await;
        assert_eq!(gaps(&bench.turn().await).len(), 2, "{lie:?}");
        let mut asked_of_bad = 0;
        for poll in 0..6 {
            let before = bench.script.asked().len();
            let said = bench.attempt().await;
            let asked = bench.script.asked().len() - before;
            asked_of_bad += asked - 1;
            if asked == 1 {
                // The script went on to a lie that nobody asked for.
                bench.script.skip();
            }
            assert_eq!(values(&said), [("second".into(), 0.002)], "{lie:?} {poll}");
            assert_eq!(gaps(&said).len(), 1, "{lie:?} {poll}");
        }
        assert!((1..=5).contains(&asked_of_bad), "{asked_of_bad} times in six polls");
    }
}

#[tokio::test]
async fn a_no_of_the_device_keeps_the_connection_and_the_other_blocks() {
    let registers = vec![
        register("absent", RegisterSpace::Input, 9, NumberType::Int16),
        register("level", RegisterSpace::Holding, 0, NumberType::Int16),
    ];
    let acts = [Act::Words(vec![1]), Act::Exception(2), Act::Words(vec![2]), Act::Exception(2)];
    let mut bench = Bench::new(registers, acts).await;
    for expected in [0.001, 0.002] {
        let said = bench.turn().await;
        assert_eq!(values(&said), [("level".into(), expected)], "and it is not left to rest");
        assert_eq!(gaps(&said), [(0, GapReason::Exception(2), 1)]);
    }
    assert_eq!(bench.script.connections(), 1);
}

#[tokio::test]
async fn a_connection_closed_between_two_polls_costs_no_poll() {
    let mut bench = Bench::new(level(), [Act::Words(vec![1]), Act::Close, Act::Words(vec![2])]).await;
    assert_eq!(values(&bench.turn().await), [("level".into(), 0.001)]);
    assert_eq!(values(&bench.turn().await), [("level".into(), 0.002)]);
    assert_eq!(bench.script.connections(), 2);
}

#[tokio::test]
async fn polls_left_out_while_a_unit_rests_are_gaps_too() {
    let mut bench = Bench::new(level(), [Act::Hang, Act::Hang, Act::Hang, Act::Words(vec![7])]).await;
    let mut failed = 0;
    let mut last = None;
    loop {
        let said = bench.turn().await;
        failed += said.gaps.iter().map(|gap| gap.count).sum::<u64>();
        for gap in &said.gaps {
            assert_eq!(gap.reason, GapReason::Timeout);
            assert!(last.is_none_or(|last: Timestamp| gap.from == last.plus_seconds(1)), "without a hole");
            assert_eq!(gap.to, gap.from.plus_seconds(i64::try_from(gap.count).expect("few") - 1));
            last = Some(gap.to);
        }
        if said.frame.is_some() {
            break;
        }
    }
    assert_eq!(failed, u64::try_from(bench.second).expect("few") - 1, "every poll but the last was a gap");
    assert!(bench.second > 4, "it rested");
}

#[tokio::test]
async fn bits_and_all_four_tables_are_read_and_nothing_is_ever_written() {
    let registers = vec![
        register("coil", RegisterSpace::Coil, 1, NumberType::Bit),
        register("discrete", RegisterSpace::Discrete, 2, NumberType::Bit),
        register("holding", RegisterSpace::Holding, 3, NumberType::Uint32),
        register("input", RegisterSpace::Input, 4, NumberType::Int16),
    ];
    let mut bench = Bench::new(registers, [Act::Exception(1), Act::Exception(1), Act::Words(vec![0, 5]), Act::Words(vec![6])]).await;
    let said = bench.turn().await;
    assert_eq!(values(&said), [("holding".into(), 0.005), ("input".into(), 0.006)]);
    assert_eq!(bench.script.asked(), [(1, 1, 1), (2, 2, 1), (3, 3, 2), (4, 4, 1)]);
}

#[tokio::test]
async fn nobody_home_is_unreachable_and_takes_no_longer_than_the_timeout() {
    let port = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    let endpoint = port.to_string();
    let mut unit = Unit::new(&device(&endpoint, level())).expect("polled").expect("a plan");
    let started = Instant::now();
    let said = unit.turn(&mut Line::new(&wire(&endpoint)), &endpoint, at(0)).await;
    assert_eq!(gaps(&said), [(0, GapReason::Unreachable, 1)]);
    assert!(started.elapsed() < Duration::from_secs(1));
}

mod quirks;
mod whole;
