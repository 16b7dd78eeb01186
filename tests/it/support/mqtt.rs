//! A publisher that remembers what it owes: sends with a window, and after a lost link sends again, with DUP and the same ids.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Duration;

/// One publish that is owed.
struct Owed {
    id: u16,
    number: u64,
    sent: bool,
}

/// Publishes numbers 0, 1, 2, … to a topic, each with a payload made from it, and counts what was acknowledged.
pub(crate) struct Publisher {
    pub(crate) client: String,
    pub(crate) user: String,
    pub(crate) topic: String,
    pub(crate) window: usize,
    pub(crate) payload: fn(u64) -> String,
    /// How long an answer may take before the link counts as lost.
    pub(crate) patience: Duration,
    owed: VecDeque<Owed>,
    next: u64,
    /// Numbers below this are acknowledged, for acknowledgements come in order.
    pub(crate) acked: u64,
    pub(crate) resent: u64,
    pub(crate) out_of_order: u64,
}

impl Publisher {
    pub(crate) fn new(client: &str, user: &str, topic: &str, window: usize, payload: fn(u64) -> String) -> Self {
        let text = str::to_owned;
        Self {
            client: text(client),
            user: text(user),
            topic: text(topic),
            window,
            payload,
            patience: Duration::from_secs(20),
            owed: VecDeque::new(),
            next: 0,
            acked: 0,
            resent: 0,
            out_of_order: 0,
        }
    }

    /// Publishes until `stop` says so or the link is lost; true if the link was lost.
    pub(crate) fn publish(&mut self, door: &str, stop: &dyn Fn(&Self) -> bool) -> bool {
        self.try_publish(door, stop).is_err()
    }

    fn try_publish(&mut self, door: &str, stop: &dyn Fn(&Self) -> bool) -> std::io::Result<()> {
        let mut stream = TcpStream::connect(door)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(self.patience))?;
        stream.write_all(&connect(&self.client, &self.user))?;
        let mut connack = [0; 4];
        stream.read_exact(&mut connack)?;
        assert_eq!((connack[0], connack[3]), (0x20, 0), "let in");
        let mut out = Vec::new();
        for owed in &mut self.owed {
            out.extend(publish(&self.topic, owed.id, &(self.payload)(owed.number), owed.sent));
            self.resent += u64::from(owed.sent);
            owed.sent = true;
        }
        let mut unread = Vec::new();
        loop {
            while self.owed.len() < self.window && !stop(self) {
                let id = u16::try_from(self.next % 65_535 + 1).unwrap();
                out.extend(publish(&self.topic, id, &(self.payload)(self.next), false));
                self.owed.push_back(Owed { id, number: self.next, sent: true });
                self.next += 1;
            }
            stream.write_all(&out)?;
            out.clear();
            if self.owed.is_empty() {
                return Ok(());
            }
            let mut bytes = [0; 4096];
            let count = stream.read(&mut bytes)?;
            if count == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            unread.extend_from_slice(&bytes[..count]);
            let whole = unread.len() / 4 * 4;
            for ack in unread[..whole].chunks(4) {
                assert_eq!(ack[..2], [0x40, 2], "a PUBACK");
                let id = u16::from_be_bytes([ack[2], ack[3]]);
                match self.owed.pop_front() {
                    Some(owed) if owed.id == id => self.acked = owed.number + 1,
                    _ => self.out_of_order += 1,
                }
            }
            unread.drain(..whole);
        }
    }
}

fn text(text: &str) -> Vec<u8> {
    let mut out = u16::try_from(text.len()).unwrap().to_be_bytes().to_vec();
    out.extend_from_slice(text.as_bytes());
    out
}

pub(crate) fn packet(first: u8, body: &[u8]) -> Vec<u8> {
    let mut out = vec![first];
    let mut left = body.len();
    loop {
        let more = left > 127;
        out.push(u8::try_from(left % 128).unwrap() | if more { 0x80 } else { 0 });
        left /= 128;
        if !more {
            break;
        }
    }
    out.extend_from_slice(body);
    out
}

/// 3.1.1, a session that is kept, password `prova`.
pub(crate) fn connect(client: &str, user: &str) -> Vec<u8> {
    let mut body = text("MQTT");
    body.extend([4, 0xC0, 0, 60]);
    [client, user, "prova"].iter().for_each(|part| body.extend(text(part)));
    packet(0x10, &body)
}

pub(crate) fn publish(topic: &str, id: u16, payload: &str, dup: bool) -> Vec<u8> {
    let mut body = text(topic);
    body.extend(id.to_be_bytes());
    body.extend_from_slice(payload.as_bytes());
    packet(if dup { 0x3A } else { 0x32 }, &body)
}
