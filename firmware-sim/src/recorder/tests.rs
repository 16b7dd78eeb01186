//! A door that acknowledges, cuts and forgets, on a raw socket.

use super::*;
use std::sync::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;

struct At(Mutex<Timestamp>);
impl Clock for At {
    fn now(&self) -> Timestamp {
        *self.0.lock().expect("lock")
    }
}
impl At {
    fn new(second: i64) -> Arc<Self> {
        Arc::new(Self(Mutex::new(Timestamp::from_seconds(second))))
    }
    fn set(&self, second: i64) {
        *self.0.lock().expect("lock") = Timestamp::from_seconds(second);
    }
}

/// A PUBLISH as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Came {
    dup: bool,
    id: u16,
    topic: String,
    payload: String,
}

impl Came {
    fn seconds(&self) -> Vec<i64> {
        let readings: Vec<serde_json::Value> = serde_json::from_str(&self.payload).expect("an array");
        let time = |reading: &serde_json::Value| Timestamp::parse(reading["time"].as_str().expect("text")).expect("a time").seconds();
        readings.iter().map(time).collect()
    }
}

/// What the door does with a publish.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Do {
    Thank,
    /// Closes the connection without a word.
    Cut,
}

struct Door {
    listener: TcpListener,
    stream: Option<TcpStream>,
    session_present: bool,
}

impl Door {
    async fn new() -> Self {
        Self { listener: TcpListener::bind("127.0.0.1:0").await.expect("a port"), stream: None, session_present: false }
    }
    fn address(&self) -> SocketAddr {
        self.listener.local_addr().expect("an address")
    }
    /// The next publish, over however many connections it takes.
    async fn next(&mut self, what: Do) -> Came {
        loop {
            let mut stream = match self.stream.take() {
                Some(stream) => stream,
                None => self.listener.accept().await.expect("a device").0,
            };
            let Some((head, body)) = packet(&mut stream).await else { continue };
            match head >> 4 {
                1 => {
                    assert_eq!(body[7] & 0b10, 0, "not a clean session");
                    stream.write_all(&[0x20, 2, u8::from(self.session_present), 0]).await.expect("sent");
                }
                3 => {
                    let length = usize::from(u16::from_be_bytes([body[0], body[1]]));
                    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).expect("text");
                    let id = u16::from_be_bytes([body[2 + length], body[3 + length]]);
                    let came = Came { dup: head & 8 != 0, id, topic: text(&body[2..2 + length]), payload: text(&body[4 + length..]) };
                    if what == Do::Thank {
                        let [high, low] = id.to_be_bytes();
                        stream.write_all(&[0x40, 2, high, low]).await.expect("sent");
                        self.stream = Some(stream);
                    }
                    return came;
                }
                _ => {}
            }
            self.stream = Some(stream);
        }
    }
}

async fn packet(stream: &mut TcpStream) -> Option<(u8, Vec<u8>)> {
    let head = stream.read_u8().await.ok()?;
    let (mut length, mut shift) = (0_usize, 0);
    loop {
        let byte = stream.read_u8().await.ok()?;
        length |= usize::from(byte & 0x7F) << shift;
        shift += 7;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let mut body = vec![0; length];
    stream.read_exact(&mut body).await.ok()?;
    Some((head, body))
}

fn identity() -> Identity {
    Identity { owner: "medio-valdarno".into(), device: "prato-logger".into(), password: "secret".into() }
}

fn sampling() -> Sampling {
    Sampling { period_s: 10, measure: Arc::new(|at| vec![("level", at.seconds() as f64)]) }
}

const START: i64 = 1_700_000_000;

fn recorder(memory: Memory, clock: &Arc<At>) -> Recorder {
    Recorder::sampling(identity(), memory, sampling(), Timestamp::from_seconds(START), clock.clone())
}

/// Runs a device until the test ends; the sender stops it.
fn run(recorder: Recorder, door: &Door) -> watch::Sender<bool> {
    let (stop, stopped) = watch::channel(false);
    tokio::spawn(recorder.run(door.address(), stopped));
    stop
}

#[tokio::test]
async fn readings_go_out_with_their_own_times_one_message_at_a_time() {
    let clock = At::new(START + 25);
    let mut door = Door::new().await;
    let _running = run(recorder(Memory::new(9, None), &clock), &door);
    let came = door.next(Do::Thank).await;
    assert_eq!(came.topic, "pescaia/v1/medio-valdarno/prato-logger");
    assert_eq!(came.seconds(), [START + 10, START + 20]);
    assert!(came.payload.starts_with(r#"[{"time":"2023-11-14T22:13:30Z","values":{"level":1700000010.0}}"#), "{}", came.payload);
    clock.set(START + 30);
    assert_eq!(door.next(Do::Thank).await.seconds(), [START + 30]);
}

#[tokio::test]
async fn what_was_not_thanked_for_comes_again() {
    for session_present in [false, true] {
        let clock = At::new(START + 10);
        let mut door = Door::new().await;
        let _running = run(recorder(Memory::new(9, None), &clock), &door);
        let first = door.next(Do::Cut).await;
        door.session_present = session_present;
        let again = door.next(Do::Cut).await;
        assert_eq!(again.payload, first.payload);
        assert_eq!(again.dup, session_present, "marked as a repetition where the session is known");
        assert_eq!(again.id, first.id);
        clock.set(START + 20);
        assert_eq!(door.next(Do::Thank).await.payload, first.payload);
        assert_eq!(door.next(Do::Thank).await.seconds(), [START + 20], "and then what was measured meanwhile");
    }
}

#[tokio::test]
async fn after_a_restart_it_measures_what_it_missed_but_at_most_a_day() {
    let file = std::env::temp_dir().join(format!("pescaia-recorder-{}", std::process::id()));
    let _ = std::fs::remove_file(&file);
    let clock = At::new(START + 10);
    let mut door = Door::new().await;
    let stop = run(recorder(Memory::new(9, Some(file.clone())), &clock), &door);
    door.next(Do::Thank).await;
    clock.set(START + 20);
    door.next(Do::Cut).await;
    stop.send(true).expect("running");
    clock.set(START + 50);
    door.stream = None;
    let stop = run(recorder(Memory::new(9, Some(file.clone())), &clock), &door);
    assert_eq!(door.next(Do::Thank).await.seconds(), [START + 20, START + 30, START + 40, START + 50], "from the last one thanked for");
    stop.send(true).expect("running");
    clock.set(START + 10 * 86_400);
    let late = recorder(Memory::new(9000, Some(file.clone())), &clock);
    assert_eq!(late.next.seconds(), START + 9 * 86_400 + 10);
    std::fs::remove_file(file).expect("there");
}

#[tokio::test]
async fn a_lost_link_is_silence_and_then_all_of_it() {
    let clock = At::new(START + 10);
    let mut door = Door::new().await;
    let lost = LostLink { from: Timestamp::from_seconds(START + 15), every_s: 3600, lasting_s: 60 };
    let _running = run(recorder(Memory::new(99, None), &clock).with_lost_link(lost), &door);
    assert_eq!(door.next(Do::Thank).await.seconds(), [START + 10]);
    clock.set(START + 20);
    let silent = tokio::time::timeout(Duration::from_millis(300), door.next(Do::Thank)).await;
    assert!(silent.is_err(), "{silent:?}");
    clock.set(START + 80);
    let (came, mut all) = mpsc::channel(9);
    tokio::spawn(async move {
        loop {
            let seconds = door.next(Do::Thank).await.seconds();
            came.send(seconds).await.expect("the test waits");
        }
    });
    let mut seconds = Vec::new();
    while seconds.last() != Some(&(START + 80)) {
        seconds.extend(all.recv().await.expect("more"));
    }
    assert_eq!(seconds, (2..=8).map(|n| START + 10 * n).collect::<Vec<_>>());
}

#[test]
fn it_waits_longer_after_each_failure_but_not_for_ever() {
    let waits = [1, 2, 3, 8, 400].map(|failures| back_off(failures).as_secs_f64());
    for (wait, (least, most)) in waits.iter().zip([(0.37, 0.63), (0.75, 1.25), (1.5, 2.5), (22.4, 37.6), (22.4, 37.6)]) {
        assert!((least..=most).contains(wait), "{waits:?}");
    }
}
