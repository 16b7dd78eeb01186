use super::*;
use tokio_modbus::ExceptionCode;
use tokio_modbus::client::{Client, Reader, tcp};
use tokio_modbus::slave::{Slave as Unit, SlaveContext};

const NETWORK: &str = include_str!("../../../demo/network.toml");

struct Fixed(Timestamp);
impl Clock for Fixed {
    fn now(&self) -> Timestamp {
        self.0
    }
}

fn epoch() -> Timestamp {
    Timestamp::parse("2026-11-23T08:00:00Z").expect("a time")
}

async fn fleet() -> Fleet {
    let clock = Arc::new(Fixed(epoch().plus_seconds(600)));
    Fleet::new(Settings { seed: 7, epoch: epoch(), memory_dir: None, clock }).await.expect("ports")
}

/// The values of a key in every table of the network file that begins with `heading`, read line by line: no parser is ours here.
fn words(heading: &str, key: &str) -> Vec<String> {
    let tables = NETWORK.split("\n[[").filter(|table| table.starts_with(heading));
    let line =
        |table: &str| table.lines().find_map(|line| line.strip_prefix(&format!("{key} = ")).map(|word| word.trim_matches('"').to_owned()));
    tables.filter_map(line).collect()
}

#[tokio::test]
async fn the_network_file_and_the_devices_agree() {
    let fleet = fleet().await;
    let datastreams = words("datastream]]", "id");
    for key in fleet.keys() {
        assert!(datastreams.iter().any(|known| known == key), "{key} is in the network file");
        assert!(!fleet.history(key, epoch().plus_seconds(-3600), epoch(), 300).is_empty());
    }
    let without: Vec<_> =
        datastreams.iter().filter(|key| !fleet.keys().any(|known| known == **key) && !key.starts_with("schwingbach-")).collect();
    assert_eq!(without, ["prova-level"], "which is the visitor's");
    let mut devices = words("device]]", "id");
    devices.sort();
    let mut simulated: Vec<String> = LOGGERS.iter().map(|(device, _)| (*device).to_owned()).collect();
    simulated.extend(RAIN_GAUGES.iter().map(|(device, _)| (*device).to_owned()));
    simulated.extend([RADAR, PLC, REPLAY, "prova"].map(str::to_owned));
    simulated.sort();
    assert_eq!(devices, simulated);
}

#[tokio::test]
async fn a_month_of_history_ends_where_the_devices_begin() {
    let fleet = fleet().await;
    let month = fleet.history("bisenzio-prato-level", epoch().plus_seconds(-30 * 86_400), epoch(), 300);
    assert_eq!(month.len(), 30 * 288);
    assert!(month.iter().all(|(at, _)| *at < epoch() && at.seconds() % 300 == 0));
    let rain: f64 = fleet.history("sofignano-rain", epoch().plus_seconds(-30 * 86_400), epoch(), 300).iter().map(|(_, mm)| mm).sum();
    assert!((200.0..400.0).contains(&rain), "three modest storms and the beginning of the great one: {rain} mm");
    assert!(fleet.history("prova-level", epoch(), epoch().plus_seconds(60), 10).is_empty());
}

#[tokio::test]
async fn the_modbus_devices_answer_and_cannot_be_written_to() {
    let fleet = fleet().await;
    let (radar, plc) = (fleet.endpoints()[RADAR], fleet.endpoints()[PLC]);
    let level = fleet.history("bisenzio-gamberame-level", epoch().plus_seconds(600), epoch().plus_seconds(601), 1)[0].1;
    let (_stop, stopped) = watch::channel(false);
    tokio::spawn(fleet.run("127.0.0.1:1".parse().expect("an address"), stopped));
    let mut line = tcp::connect_slave(radar, Unit(radar::UNIT)).await.expect("connected");
    let words = line.read_input_registers(106, 2).await.expect("an answer").expect("words");
    let read = f32::from_bits(u32::from(words[1]) << 16 | u32::from(words[0]));
    assert_eq!(f64::from((read * 1000.0).round()), (level * 1000.0).round(), "CDAB");
    assert_eq!(line.read_input_registers(107, 2).await.expect("an answer"), Err(ExceptionCode::IllegalDataAddress));
    let mut line = tcp::connect_slave(plc, Unit(plc::UNIT)).await.expect("connected");
    assert_eq!(line.read_holding_registers(0, 7).await.expect("an answer").expect("words").len(), 7);
    assert_eq!(line.read_discrete_inputs(0, 8).await.expect("an answer").expect("bits").len(), 8);
    for write in [
        tokio_modbus::Request::WriteSingleRegister(0, 1),
        tokio_modbus::Request::WriteSingleCoil(0, true),
        tokio_modbus::Request::WriteMultipleRegisters(0, vec![1].into()),
    ] {
        assert_eq!(line.call(write).await.expect("an answer"), Err(ExceptionCode::IllegalFunction));
    }
    line.set_slave(Unit(77));
    let silence = tokio::time::timeout(Duration::from_millis(200), line.read_holding_registers(0, 1)).await;
    assert!(silence.is_err(), "it does not answer for others");
}
