//! What real devices do besides answering: they are busy, freeze, break their wires, say how they feel, and speak RTU.

use super::*;
use crate::source::modbus::line::Manners;
use crate::source::modbus::plan::Block;
use model::{ModbusWire, Role, Span};

#[tokio::test]
async fn a_busy_device_is_asked_again_and_one_that_has_no_such_register_is_not() {
    let mut bench = Bench::new(level(), [Act::Exception(6), Act::Exception(5), Act::Words(vec![1520])]).await;
    assert_eq!(values(&bench.turn().await), [("level".into(), 1.52)]);
    assert_eq!(bench.script.asked().len(), 3);
    let mut bench = Bench::new(level(), [Act::Exception(6), Act::Exception(6), Act::Exception(6)]).await;
    assert_eq!(gaps(&bench.turn().await), [(0, GapReason::Exception(6), 1)]);
    let mut bench = Bench::new(level(), [Act::Exception(2), Act::Words(vec![1])]).await;
    assert_eq!(gaps(&bench.turn().await), [(0, GapReason::Exception(2), 1)]);
    assert_eq!(bench.script.asked().len(), 1);
}

#[tokio::test]
async fn a_plc_whose_heartbeat_stands_still_says_nothing_of_now() {
    let beat = Register { role: Role::Heartbeat { polls: 2 }, ..register("beat", RegisterSpace::Holding, 101, NumberType::Uint16) };
    let registers = vec![level().remove(0), beat];
    // Each poll reads both; one that looks the same is looked at four times more.
    let stands = |beat| [vec![Act::Words(vec![1520, beat])], vec![Act::Words(vec![beat]); 4]].concat();
    let moves = |beat| vec![Act::Words(vec![1520, beat])];
    let acts = [moves(7), moves(8), stands(8), stands(8), stands(8), moves(9)].concat();
    let mut bench = Bench::new(registers, acts).await;
    for expected in [true, true, true, false, false, true] {
        let said = bench.turn().await;
        assert_eq!(said.frame.is_some(), expected, "{:?}", said.gaps);
        if !expected {
            // Of both channels: the heartbeat feeds a datastream here too.
            assert_eq!(gaps(&said), [(0, GapReason::Frozen, 1), (1, GapReason::Frozen, 1)]);
        }
    }
}

#[tokio::test]
async fn a_heartbeat_that_toggles_in_step_with_the_polls_is_not_taken_for_frozen() {
    let beat = Register { role: Role::Heartbeat { polls: 1 }, ..register("beat", RegisterSpace::Holding, 101, NumberType::Uint16) };
    let toggles = [vec![Act::Words(vec![1520, 0])], vec![Act::Words(vec![0]), Act::Words(vec![1])]].concat();
    let acts = [vec![Act::Words(vec![1520, 0])], toggles, vec![Act::Words(vec![1520, 0])]].concat();
    let mut bench = Bench::new(vec![level().remove(0), beat], acts).await;
    for _ in 0..3 {
        assert_eq!(values(&bench.turn().await).first(), Some(&("level".into(), 1.52)));
    }
}

#[tokio::test]
async fn a_status_word_says_how_far_the_rest_can_be_trusted() {
    let status = Register {
        role: Role::Status { suspect: vec![4], fail: vec![1] },
        bits: Some((0, 4)),
        scale: 1.0,
        ..register("status", RegisterSpace::Holding, 101, NumberType::Uint16)
    };
    let mut bench = Bench::new(vec![level().remove(0), status], [0, 4, 1, 0x10].map(|status| Act::Words(vec![1520, status]))).await;
    for expected in [None, Some(model::Flag::Suspect), Some(model::Flag::Fail), None] {
        let frame = bench.turn().await.frame.expect("a frame");
        let level = Registers.decode(&frame).readings.remove(0).what;
        assert_eq!((level.channel.as_str(), level.value, level.flag), ("level", 1.52, expected));
    }
}

#[tokio::test]
async fn a_broken_wire_is_a_gap_and_never_a_zero() {
    let span = Span { raw: (5530.0, 27_648.0), value: (0.0, 10.0), broken_below: Some(4977.0) };
    let flow = Register { span: Some(span), sentinels: Vec::new(), ..register("flow", RegisterSpace::Holding, 100, NumberType::Int16) };
    let mut bench = Bench::new(vec![flow], [5530, 16_589, 27_648, 5000, 100].map(|raw| Act::Words(vec![raw]))).await;
    for expected in [0.0, 5.0, 10.0, -0.239_624] {
        assert_eq!(values(&bench.turn().await), [("flow".into(), expected)]);
    }
    assert_eq!(gaps(&bench.turn().await), [(0, GapReason::BrokenWire, 1)]);
}

#[tokio::test]
async fn slow_registers_are_asked_at_their_own_rhythm_and_phase() {
    let slow = Register { every_s: Some(3.0), phase_s: 1.0, ..register("hours", RegisterSpace::Holding, 500, NumberType::Int16) };
    let mut bench = Bench::new(vec![level().remove(0), slow], std::iter::repeat_n(Act::Words(vec![1]), 20)).await;
    for _ in 0..6 {
        bench.turn().await;
    }
    let asked: Vec<u16> = bench.script.asked().iter().map(|(_, address, _)| *address).collect();
    assert_eq!(asked, [100, 100, 500, 100, 100, 100, 500, 100]);
}

/// A slave behind a serial device server: RTU frames over TCP, without numbers of transactions. Each act is for one question.
async fn rtu_slave(acts: Vec<(Duration, u16)>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address").to_string();
    let (line, mut news) = tokio::sync::broadcast::channel::<Vec<u8>>(16);
    let acts = Arc::new(Mutex::new(VecDeque::from(acts)));
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            let (acts, line) = (acts.clone(), line.clone());
            let mut heard = line.subscribe();
            tokio::spawn(async move {
                let mut request = [0_u8; 8];
                loop {
                    tokio::select! {
                        read = stream.read_exact(&mut request) => {
                            if read.is_err() {
                                return;
                            }
                            let (after, word) = acts.lock().expect("lock").pop_front().unwrap_or((Duration::ZERO, 0));
                            let mut answer = vec![request[0], request[1], 2];
                            answer.extend(word.to_be_bytes());
                            answer.extend(crc(&answer).to_le_bytes());
                            let line = line.clone();
                            // As on a real line: what the slave says is heard by whoever is connected then.
                            tokio::spawn(async move {
                                tokio::time::sleep(after).await;
                                let _ = line.send(answer);
                            });
                        }
                        answer = heard.recv() => {
                            let Ok(answer) = answer else { return };
                            if stream.write_all(&answer).await.is_err() {
                                return;
                            }
                        }
                    }
                }
            });
        }
    });
    tokio::spawn(async move { while news.recv().await.is_ok() {} });
    address
}

/// CRC-16/MODBUS.
fn crc(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0xFFFF, |crc, byte| {
        (0..8).fold(crc ^ u16::from(*byte), |crc: u16, _| if crc & 1 == 1 { crc >> 1 ^ 0xA001 } else { crc >> 1 })
    })
}

#[tokio::test]
async fn over_rtu_a_late_answer_is_never_taken_for_the_next_question() {
    let patience = Duration::from_millis(120);
    let manners = Manners { patience, after_connect: Duration::ZERO, between: Duration::ZERO };
    // The first answer comes after the patience is over, and while the next question could be asked.
    let address = rtu_slave(vec![(Duration::from_millis(180), 1111), (Duration::from_millis(80), 5), (Duration::ZERO, 6)]).await;
    let mut line = Line::new(&ModbusWire::RtuOverTcp { address, is_outside: false });
    let block = |start| Block { space: RegisterSpace::Holding, start, count: 1 };
    let late = line.read(3, block(1000), manners).await.expect_err("too late");
    assert_eq!(late.reason, GapReason::Timeout);
    assert_eq!(line.read(3, block(5), manners).await, Ok(vec![5]));
    assert_eq!(line.read(3, block(6), manners).await, Ok(vec![6]));
}

#[tokio::test]
async fn what_lies_outside_is_not_asked() {
    let manners = Manners { patience: Duration::from_millis(500), after_connect: Duration::ZERO, between: Duration::ZERO };
    for address in ["169.254.169.254:502", "8.8.8.8:502", "255.255.255.255:502", "[fe80::1]:502"] {
        let mut line = Line::new(&ModbusWire::Tcp { address: address.into(), is_outside: false });
        let failure = line.read(1, Block { space: RegisterSpace::Holding, start: 0, count: 1 }, manners).await.expect_err("refused");
        assert!(failure.cause.contains("outside private networks"), "{failure:?}");
    }
}

// Words from the manuals' own scales: 2.608 m as CDAB (domain: VEGAPULS C 21), 230.0 V and 50 W as floats, 0x0001E240 litres low word first.
#[test]
fn the_library_reads_what_its_manuals_say() {
    for (name, channel, words, expected) in [
        ("vegapuls-c21", "level", &[0xE979, 0x4026][..], 2.608),
        ("eastron-sdm", "voltage", &[0x4366, 0x0000], 230.0),
        ("eastron-sdm", "power", &[0x4248, 0x0000], 0.05),
        ("plc-pumping-station", "level_up", &[2608], 2.608),
        ("plc-pumping-station", "level_down", &[0xFF9C], -0.1),
        ("plc-pumping-station", "discharge_pressure", &[16_589], 5.0),
        ("plc-pumping-station", "pump_2", &[0b10], 1.0),
        ("plc-pumping-station", "mains", &[0x0100], 1.0),
        ("flow-meter-4-20ma", "flow", &[27_648], 100.0),
        ("water-meter-counter", "index", &[0xE240, 0x0001], 123.456),
    ] {
        let (_, text) = store::LIBRARY.iter().find(|(known, _)| *known == name).expect(name);
        let profile = store::parse_profile(name, text).unwrap_or_else(|wrong| panic!("{}", wrong[0]));
        let register = profile.registers.iter().find(|register| register.channel == channel).expect(channel);
        assert_eq!(crate::decode::registers::value(words, register), Some(expected), "{name} {channel}");
    }
    let (_, sdm) = store::LIBRARY.iter().find(|(known, _)| *known == "eastron-sdm").expect("there");
    let sdm = store::parse_profile("eastron-sdm", sdm).expect("good");
    // 30053 is 0x0034, 30343 is 0x0156: the manual's own columns.
    let at = |channel: &str| {
        sdm.registers.iter().find(|register| register.channel == channel).map(|register| (register.space, register.address))
    };
    assert_eq!((at("power"), at("energy")), (Some((RegisterSpace::Input, 0x34)), Some((RegisterSpace::Input, 0x156))));
}
