//! A fleet of LoRaWAN sensors with raw bytes, through ChirpStack 4 and The Things Stack 3: what each measured is there once, whoever heard it.

use super::gateways::{STATION, listening};
use crate::support::mosquitto::Mosquitto;
use crate::support::{Dir, eventually, now_s, said};
use firmware_sim::lorawan::{Event, Measured, Mote, Uplink};
use model::Timestamp;

const MOTES: u32 = 3;
const UPLINKS: i64 = 6;
const PERIOD_S: i64 = 600;

/// The layout of `firmware_sim::lorawan`, as its datasheet would have it.
const LAYOUT: &str = r#"
name = "livello"
title = "LoRaWAN level sensor"
[[field]]
time = "age_s"
port = 2
offset = 5
type = "uint16"
[[field]]
port = 2
channel = "level"
offset = 1
type = "int16"
scale = 0.001
unit = "m"
sentinels = [0x7FFF]
[[field]]
port = 2
channel = "battery"
offset = 3
type = "uint16"
scale = 0.001
unit = "V"
"#;

fn network(motes: &[Mote]) -> String {
    let mut text = STATION.to_owned();
    for Mote { name, dev_eui, .. } in motes {
        text += &format!(
            "[[datastream]]\nid = \"{name}\"\nstation = \"empoli\"\nproperty = \"water_level\"\nperiod_s = {PERIOD_S}\nvisibility = \"public\"\n\
             [[device]]\nid = \"{name}\"\nowner = \"acque\"\naddress = \"{dev_eui}\"\nlayout = \"livello.toml\"\nfeeds = [{{ channel = \"level\", datastream = \"{name}\" }}]\n"
        );
    }
    text
}

fn level(mote: usize, number: i64) -> f64 {
    (1000 + 100 * i64::try_from(mote).unwrap() + number) as f64 / 1000.0
}

fn fleet(name: &str, topics: &str, format: &str, told: fn(&Uplink) -> Event) {
    let dir = Dir::new(name);
    dir.write("livello.toml", LAYOUT);
    let mosquitto = Mosquitto::start(&dir);
    let mut motes: Vec<Mote> = (1..=MOTES).map(Mote::new).collect();
    let world = listening(&dir, &mosquitto, &network(&motes), topics, format);
    let start = Timestamp::from_seconds((now_s() - 2 * 3600).div_euclid(60) * 60);
    let publish = |uplink: &Uplink| {
        let (topic, event) = told(uplink);
        mosquitto.publish(&topic, std::iter::once(event));
    };
    for number in 0..UPLINKS {
        for (mote, place) in motes.iter_mut().zip(0..) {
            // It joins again half way: counters begin anew, and with The Things Stack go unsaid.
            if number == UPLINKS / 2 {
                mote.join_again();
            }
            // The fourth was measured ten minutes before and waited; the fifth lost its echo.
            let waited_s = if number == 3 { 600 } else { 0 };
            let measured = Measured { level_m: (number != 4).then(|| level(place, number)), battery_mv: 3600, waited_s };
            let uplink = mote.say(&measured, start.plus_seconds(number * PERIOD_S + i64::from(waited_s) / 2), &["gw-1", "gw-2"]);
            publish(&uplink);
            // The broker's QoS 1 gives some of them twice.
            if number % 2 == 1 {
                publish(&uplink);
            }
            // And it is told again by another gateway and its clock. ChirpStack gives another telling another deduplicationId, and
            // only what it names alike is the same.
            if number % 2 == 0 && format == "tts" {
                publish(&uplink.heard_again("gw-9", 1));
            }
        }
    }
    let seen = |mote: &Mote| world.observations(&mote.name, "period=PT3H");
    eventually("the last of all is there", 20, || {
        motes.iter().zip(0..).all(|(mote, place)| seen(mote).last().is_some_and(|(_, last)| *last == level(place, UPLINKS - 1)))
    });
    for (mote, place) in motes.iter().zip(0..) {
        let measured_at = |number: i64| start.plus_seconds(number * PERIOD_S - if number == 3 { 300 } else { 0 }).to_string();
        let expected: Vec<(String, f64)> = [0, 1, 2, 3, 5].map(|number| (measured_at(number), level(place, number))).to_vec();
        assert_eq!(seen(mote), expected, "{}", mote.name);
    }
    let ledger = said(&dir, &["ledger"]);
    assert!(!ledger.contains("DOES NOT BALANCE"), "{ledger}");
}

#[test]
fn a_fleet_behind_chirpstack_is_read_by_its_layout_and_once() {
    fleet("fleet-chirpstack", "application/#", "chirpstack", Uplink::chirpstack);
}

#[test]
fn a_fleet_behind_the_things_stack_is_read_by_its_layout_and_once() {
    fleet("fleet-tts", "v3/+/devices/+/up", "tts", Uplink::tts);
}
