//! Publishers that remember what they owe. What message `n` of publisher `p` says follows from `p` and `n`; the journal is two numbers,
//! in the memory of this process, which is never killed.

use super::http;
use super::world::World;
use crate::dice::mix;
use std::collections::VecDeque;
use std::io::{Error, ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

pub(crate) const START: i64 = 1_767_225_600;
const WINDOW: usize = 8;
/// Readings in one message over HTTP: all of them or none.
pub(crate) const BATCH: u64 = 10;
/// So that reading everything back stays short.
const PACE: Duration = Duration::from_millis(25);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    Mqtt,
    /// 3.1.1, with late readings and changed ones among them.
    Dirty,
    Mqtt5,
    Json,
    Line,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    Run,
    /// Nothing is sent any more, not even again.
    Halt,
    /// What is owed is sent, nothing new.
    Drain,
    End,
}

pub(crate) fn stream_name(number: u64) -> String {
    format!("d{number}")
}

/// Times and values that message `n` says.
pub(crate) fn readings(publisher: u64, kind: Kind, n: u64) -> Vec<(i64, f64)> {
    let second = |n: u64| START + n.cast_signed();
    match kind {
        Kind::Mqtt | Kind::Mqtt5 => vec![(second(n), value(publisher, n))],
        Kind::Dirty => {
            let at = match n % 10 {
                7 => START - 1 - n.cast_signed(),
                // Another value for what was said a little or long ago.
                9 => second(n - 6),
                5 if n > 500 => second(n - 500),
                _ => second(n),
            };
            vec![(at, value(publisher, n))]
        }
        Kind::Json | Kind::Line => (n * BATCH..(n + 1) * BATCH).map(|n| (second(n), value(publisher, n))).collect(),
    }
}

#[expect(clippy::cast_precision_loss, reason = "small numbers")]
fn value(publisher: u64, n: u64) -> f64 {
    (mix(publisher << 40 | n) % 12_000) as f64 / 1000.0
}

/// What one publisher has behind it.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Journal {
    /// Messages below this were given to a socket.
    pub(crate) sent: u64,
    /// Messages below this are acknowledged: acknowledgements come in order.
    pub(crate) acked: u64,
    pub(crate) resent: u64,
}

/// What publishers and the schedule share.
pub(crate) struct Yard {
    doors: Mutex<(String, String, String)>,
    phase: Mutex<Phase>,
    journals: Mutex<Vec<Journal>>,
    links: Mutex<Vec<TcpStream>>,
    acked: AtomicU64,
    halted: AtomicUsize,
}

impl Default for Yard {
    fn default() -> Self {
        Self {
            doors: Mutex::default(),
            phase: Mutex::new(Phase::Run),
            journals: Mutex::default(),
            links: Mutex::default(),
            acked: AtomicU64::new(0),
            halted: AtomicUsize::new(0),
        }
    }
}

impl Yard {
    /// The doors of the process that runs now.
    pub(crate) fn open(&self, world: &World) {
        *self.doors.lock().unwrap() = (world.mqtt.clone(), world.http.clone(), world.token.clone());
    }
    pub(crate) fn set(&self, phase: Phase) {
        *self.phase.lock().unwrap() = phase;
    }
    fn phase(&self) -> Phase {
        *self.phase.lock().unwrap()
    }
    pub(crate) fn journals(&self) -> Vec<Journal> {
        self.journals.lock().unwrap().clone()
    }
    pub(crate) fn acked(&self) -> u64 {
        self.acked.load(Ordering::SeqCst)
    }
    /// Until all publishers have noticed.
    pub(crate) fn wait_halted(&self, crew: usize) {
        while self.halted.load(Ordering::SeqCst) < crew {
            std::thread::sleep(Duration::from_millis(5));
        }
    }
    /// Cuts every link that `chosen` names by its place.
    pub(crate) fn cut(&self, mut chosen: impl FnMut() -> bool) -> usize {
        let mut cut = 0;
        self.links.lock().unwrap().retain(|link| {
            let goes = chosen();
            if goes {
                cut += usize::from(link.shutdown(Shutdown::Both).is_ok());
            }
            !goes
        });
        cut
    }
}

/// One of them, in a thread of its own.
pub(crate) struct Publisher {
    number: u64,
    kind: Kind,
    yard: Arc<Yard>,
    journal: Journal,
    /// Sent and not acknowledged.
    owed: VecDeque<u64>,
    was_halted: bool,
}

impl Publisher {
    pub(crate) fn start(number: u64, kind: Kind, yard: Arc<Yard>) -> JoinHandle<Result<(), String>> {
        yard.journals.lock().unwrap().push(Journal::default());
        std::thread::spawn(move || {
            Self { number, kind, yard, journal: Journal::default(), owed: VecDeque::new(), was_halted: false }.live()
        })
    }

    fn live(mut self) -> Result<(), String> {
        loop {
            match self.yard.phase() {
                Phase::End => return Ok(()),
                Phase::Drain if self.owed.is_empty() => return Ok(()),
                Phase::Halt => self.rest(),
                Phase::Run | Phase::Drain => {
                    let lost = match self.kind {
                        Kind::Json | Kind::Line => self.push(),
                        Kind::Mqtt | Kind::Dirty | Kind::Mqtt5 => self.publish(),
                    };
                    match lost {
                        Err(cause) if cause.kind() == ErrorKind::InvalidData => {
                            let why = format!("{:?} {}: {cause}", self.kind, self.number);
                            println!("{why}");
                            self.yard.halted.fetch_add(1, Ordering::SeqCst);
                            return Err(why);
                        }
                        _ => std::thread::sleep(Duration::from_millis(15)),
                    }
                }
            }
        }
    }

    fn rest(&mut self) {
        if !std::mem::replace(&mut self.was_halted, true) {
            self.yard.halted.fetch_add(1, Ordering::SeqCst);
        }
        std::thread::sleep(Duration::from_millis(10));
    }

    fn note(&mut self) {
        let place = usize::try_from(self.number).expect("small");
        let mut journals = self.yard.journals.lock().unwrap();
        self.yard.acked.fetch_add(self.journal.acked - journals[place].acked, Ordering::SeqCst);
        journals[place] = self.journal;
    }

    /// The next number, sent for the first time.
    fn begin(&mut self) -> u64 {
        let n = self.journal.sent;
        self.journal.sent += 1;
        self.owed.push_back(n);
        n
    }

    fn push(&mut self) -> std::io::Result<()> {
        while self.yard.phase() == Phase::Run || (self.yard.phase() == Phase::Drain && !self.owed.is_empty()) {
            let n = match self.owed.front() {
                Some(n) => {
                    self.journal.resent += 1;
                    *n
                }
                None => self.begin(),
            };
            self.note();
            let (door, token) = {
                let doors = self.yard.doors.lock().unwrap();
                (doors.1.clone(), doors.2.clone())
            };
            let name = stream_name(self.number);
            let all = readings(self.number, self.kind, n);
            let (path, content, body) = if self.kind == Kind::Json {
                let said = |(at, value): &(i64, f64)| format!(r#"{{"device":"{name}","time":{at},"values":{{"level":{value}}}}}"#);
                let said: Vec<String> = all.iter().map(said).collect();
                ("/api/v1/observations", "application/json", format!("[{}]", said.join(",")))
            } else {
                let said = |(at, value): &(i64, f64)| format!("torture,name={name} level={value} {at}\n");
                ("/api/v2/write?precision=s", "text/plain", all.iter().map(said).collect())
            };
            let headers = format!("authorization: Bearer {token}\r\ncontent-type: {content}\r\n");
            match http::ask(&door, "POST", path, &headers, &body)? {
                (200 | 204, _) => {
                    self.owed.pop_front();
                    self.journal.acked = n + 1;
                    self.note();
                }
                (503 | 429, _) => return Err(ErrorKind::WouldBlock.into()),
                (status, body) => return Err(Error::new(ErrorKind::InvalidData, format!("{status}: {body}"))),
            }
            std::thread::sleep(PACE);
        }
        Ok(())
    }

    fn publish(&mut self) -> std::io::Result<()> {
        let door = self.yard.doors.lock().unwrap().0.clone();
        let mut stream = TcpStream::connect(&door)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(Duration::from_secs(15)))?;
        {
            let mut links = self.yard.links.lock().unwrap();
            links.retain(|link| link.peer_addr().is_ok());
            links.push(stream.try_clone()?);
        }
        let is_5 = self.kind == Kind::Mqtt5;
        stream.write_all(&connect(&format!("p{}", self.number), is_5))?;
        let mut unread = Vec::new();
        let (first, connack) = next(&mut stream, &mut unread)?;
        if first != 0x20 || connack.get(1) != Some(&0) {
            return Err(Error::new(ErrorKind::InvalidData, format!("not let in: {connack:?}")));
        }
        let again: Vec<u64> = self.owed.iter().copied().collect();
        let mut out = Vec::new();
        for n in again {
            self.journal.resent += 1;
            out.extend(self.message(n, true));
        }
        loop {
            while self.owed.len() < WINDOW && self.yard.phase() == Phase::Run {
                let n = self.begin();
                out.extend(self.message(n, false));
            }
            self.note();
            stream.write_all(&out)?;
            out.clear();
            if self.owed.is_empty() || self.yard.phase() == Phase::End {
                return Ok(());
            }
            let (first, body) = next(&mut stream, &mut unread)?;
            // The door says why it closes, as 5 does.
            if is_5 && first == 0xE0 {
                return Err(ErrorKind::ConnectionAborted.into());
            }
            let (Some(n), [high, low, rest @ ..]) = (self.owed.pop_front(), body.as_slice()) else {
                return Err(Error::new(ErrorKind::InvalidData, "an acknowledgement of nothing"));
            };
            let is_no = rest.first().is_some_and(|reason| *reason >= 0x80);
            if first != 0x40 || u16::from_be_bytes([*high, *low]) != id(n) || is_no {
                return Err(Error::new(ErrorKind::InvalidData, format!("not the acknowledgement of {n}: {first:x} {body:?}")));
            }
            self.journal.acked = n + 1;
            if n.is_multiple_of(WINDOW as u64) {
                std::thread::sleep(PACE);
            }
        }
    }

    fn message(&self, n: u64, again: bool) -> Vec<u8> {
        let (at, value) = readings(self.number, self.kind, n)[0];
        let mut body = text(&format!("pescaia/v1/o/{}", stream_name(self.number)));
        body.extend(id(n).to_be_bytes());
        if self.kind == Kind::Mqtt5 {
            body.push(0);
        }
        body.extend(format!(r#"{{"time":{at},"values":{{"level":{value}}}}}"#).bytes());
        packet(if again { 0x3A } else { 0x32 }, &body)
    }
}

/// A packet identifier, never 0.
fn id(n: u64) -> u16 {
    u16::try_from(n % 65_535 + 1).expect("small")
}

fn text(text: &str) -> Vec<u8> {
    let mut out = u16::try_from(text.len()).expect("short").to_be_bytes().to_vec();
    out.extend(text.bytes());
    out
}

fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    let mut left = body.len();
    loop {
        let byte = u8::try_from(left % 128).expect("small");
        left /= 128;
        out.push(byte | if left > 0 { 0x80 } else { 0 });
        if left == 0 {
            break;
        }
    }
    out.extend(body);
    out
}

/// A session that is kept, password `prova`.
fn connect(client: &str, is_5: bool) -> Vec<u8> {
    let mut body = text("MQTT");
    body.extend([if is_5 { 5 } else { 4 }, 0xC0, 0, 60]);
    if is_5 {
        // Session expiry: a day.
        body.extend([5, 0x11, 0, 1, 0x51, 0x80]);
    }
    [client, "gw", "prova"].iter().for_each(|part| body.extend(text(part)));
    packet(0x10, &body)
}

/// The next packet: its first byte and what follows its length.
fn next(stream: &mut TcpStream, unread: &mut Vec<u8>) -> std::io::Result<(u8, Vec<u8>)> {
    loop {
        // All that comes this way is shorter than 128 bytes, but for the CONNACK of 5, which may be longer.
        if let Some((head, length)) = match unread.as_slice() {
            [_, length, ..] if *length < 128 => Some((2, usize::from(*length))),
            [_, low, high, ..] => Some((3, usize::from(low & 127) + usize::from(*high) * 128)),
            _ => None,
        } && unread.len() >= head + length
        {
            let first = unread[0];
            let body = unread[head..head + length].to_vec();
            unread.drain(..head + length);
            return Ok((first, body));
        }
        let mut bytes = [0; 4096];
        match stream.read(&mut bytes)? {
            0 => return Err(ErrorKind::UnexpectedEof.into()),
            count => unread.extend(&bytes[..count]),
        }
    }
}
