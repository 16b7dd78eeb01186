//! Acceptance scenario 5, the Modbus zoo: one level from every kind of device, on one bus, over Modbus TCP and over RTU.

use crate::support::sim::{Field, Polled, longest_pause_s, network, profile};
use crate::support::{Dir, World, eventually};
use firmware_sim::frame::Framing;
use firmware_sim::zoo::{IN_BARRELS, LEVEL_M, Zoo, unit};

const POLL_S: u32 = 2;
const ORDERS: [&str; 4] = ["abcd", "cdab", "badc", "dcba"];
/// Channels of the PLC, and of the radar at 106 and in its three other places.
const PLC: [&str; 5] = ["abcd", "cdab", "badc", "dcba", "int16"];
const RADAR: [&str; 4] = ["at-106", "at-2002", "at-2102", "at-2202"];

fn zoo(name: &str, framing: Framing) {
    let dir = Dir::new(name);
    let orders = ["ABCD", "CDAB", "BADC", "DCBA"];
    let mut registers: Vec<_> =
        (0..4).zip(ORDERS).map(|(place, channel)| (channel, "holding", 2 * place, "float32", orders[usize::from(place)], 1.0)).collect();
    registers.push(("int16", "holding", 8, "int16", "ABCD", 0.001));
    dir.write("plc.toml", &profile("plc", &registers));
    dir.write("level.toml", &profile("level", &[("level", "holding", 0, "float32", "ABCD", 1.0)]));
    let places = [(106, "CDAB"), (2002, "ABCD"), (2102, "DCBA"), (2202, "BADC")];
    let registers: Vec<_> =
        RADAR.iter().zip(places).map(|(channel, (address, order))| (*channel, "input", address, "float32", order, 1.0)).collect();
    dir.write("radar.toml", &profile("radar", &registers));

    let (field, zoo) = (Field::new(), Zoo::new());
    let wire = field.wire(framing, zoo.instruments());
    // Its first poll, and the two repetitions that a busy device is worth.
    zoo.keep_busy(2);
    let polled = |id, unit, profile, channels| Polled { id, wire: &wire, unit, profile, channels };
    let devices = [
        polled("plc", unit::PLC, "plc.toml", &PLC),
        polled("busy", unit::BUSY, "level.toml", &["level"]),
        polled("without", unit::WITHOUT_REGISTER, "level.toml", &["level"]),
        polled("unplugged", unit::UNPLUGGED, "level.toml", &["level"]),
        polled("radar", unit::RADAR, "radar.toml", &RADAR),
        polled("barrels", unit::RADAR_IN_BARRELS, "library:vegapuls-c21", &["level"]),
    ];
    let world = World::run(&dir, &network(&devices, POLL_S, 0.3));
    let seen = |datastream: &str| world.observations(datastream, "period=PT1H");
    let healthy: Vec<String> =
        PLC.iter().map(|channel| format!("plc-{channel}")).chain(RADAR.iter().map(|channel| format!("radar-{channel}"))).collect();

    // The same 2.608 m from every order, place and type.
    eventually("all have spoken", 20, || healthy.iter().all(|one| seen(one).len() >= 2) && seen("barrels-level").len() >= 2);
    for one in &healthy {
        assert!(seen(one).iter().all(|(_, level)| *level == LEVEL_M), "{one}: {:?}", seen(one));
    }

    // Exception 6 was asked again within the poll, and cost nothing; 2 is a no, and asked no more than once a poll.
    assert!(!seen("busy-level").is_empty());
    assert_eq!(world.gaps("busy-level"), [], "two repetitions are enough");
    assert!(zoo.busy.asked().len() >= seen("busy-level").len() + 2, "{} questions", zoo.busy.asked().len());
    let refused = || world.gaps("without-level").iter().map(|(_, count)| count).sum::<u64>();
    eventually("a no is a gap", 20, || refused() >= 3);
    assert!(world.gaps("without-level").iter().all(|(reason, _)| reason == "exception-2"));
    let (asked, refused) = (zoo.without_register.asked().len() as u64, refused());
    assert!((refused..=refused + 2).contains(&asked), "{asked} questions for {refused} gaps");
    // A device that stays busy is a gap of its own.
    zoo.keep_busy(1000);
    eventually("a busy device is said to be busy", 20, || world.gaps("busy-level").iter().any(|(reason, _)| reason == "exception-6"));
    zoo.keep_busy(0);

    // A number in another unit is kept as it came, and never good; once the device is set to metres, it is.
    let wrong = world.latest("barrels-level");
    assert_eq!(
        (wrong["result"].as_f64(), wrong["quality"].as_u64(), wrong["state"].as_str()),
        (Some(IN_BARRELS), Some(4), Some("unknown"))
    );
    zoo.set_to_metres();
    eventually("the change of unit is caught", 20, || world.latest("barrels-level")["result"].as_f64() == Some(LEVEL_M));
    assert!(world.latest("barrels-level")["quality"].as_u64().is_some_and(|quality| quality <= 2));
    let page = world.get("/api/v1/datastreams/barrels-level/observations?period=PT1H");
    for one in page["items"].as_array().unwrap() {
        let is_good = one["quality"].as_u64().unwrap() <= 2;
        assert_eq!(is_good, one["result"].as_f64() == Some(LEVEL_M), "{one}");
    }

    // One is unplugged: it is offline, and the others don't notice.
    eventually("it was there", 20, || !seen("unplugged-level").is_empty());
    let before = seen("plc-abcd").len();
    zoo.unplug();
    eventually("its silence is a gap", 20, || world.gaps("unplugged-level").iter().any(|(reason, _)| reason == "timeout"));
    eventually("it is offline", 20, || world.latest("unplugged-level")["stale"] == true);
    eventually("the others go on", 30, || seen("plc-abcd").len() >= before + 8);
    for one in &healthy {
        let (pause, gaps) = (longest_pause_s(&seen(one)), world.gaps(one));
        assert!(pause <= f64::from(2 * POLL_S), "{one}: {pause} s between two values");
        assert_eq!(gaps, [], "{one}");
        assert_eq!(world.latest(one)["stale"], false, "{one}");
    }
    let functions = zoo.instruments().iter().flat_map(|(_, one)| one.asked()).map(|asked| asked.function).collect::<Vec<_>>();
    assert!(functions.iter().all(|function| (1..=4).contains(function)), "only questions");
}

#[test]
fn the_zoo_over_modbus_tcp() {
    zoo("zoo-tcp", Framing::Mbap);
}

#[test]
fn the_zoo_on_a_line_behind_a_device_server() {
    zoo("zoo-rtu", Framing::Rtu);
}
