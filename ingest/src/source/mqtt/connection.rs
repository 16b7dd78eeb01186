//! One connection, from its greeting to its end. Reading and answering go on side by side, so that a PINGRESP never waits
//! for a commit.

use super::answers::{Answers, Mouth, Reply};
use super::codec::{Delivery, Incoming, Kept, Outgoing, Publish, Subscribe, Version, decode as decode_packet, packet_length};
use super::ended::Ended;
use super::hello::{Caller, Guest, greet};
use super::in_flight::{Arrival, InFlight};
use super::linger::linger;
use super::live::{Grant, Listener};
use super::pass::Pass;
use super::quota::Quota;
use super::topic::{Address, format_of_own_topic, is_bridge_state, is_publishable};
use super::wire::Wire;
use super::{Shared, Turn};
use crate::decode;
use crate::decode::sparkplug::Rebirth;
use crate::frame::Frame;
use crate::pipeline::Intake;
use crate::source::guard::Stranger;
use crate::source::{Stop, stopped};
use bytes::BytesMut;
use model::{Device, Link, Scope, Viewer};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;
use tokio::time::Instant;

/// Messages of QoS 2 that a client of 3.x may begin without releasing any; MQTT 5 clients are told how many.
const MOST_UNRELEASED: usize = 4096;

/// `stranger` is its place among those who have not yet shown who they are; it is given back when they have.
pub(super) async fn run(
    shared: &Arc<Shared>,
    intake: &Intake,
    mut stream: impl Wire,
    caller: Caller,
    mut stop: Stop,
    stranger: Stranger,
) -> Ended {
    let guest = tokio::select! {
        // In this order: what lies unread may be its greeting.
        biased;
        // Boxed: what a greeting needs is not kept for as long as the connection lasts.
        guest = Box::pin(greet(shared, &mut stream, &caller, &stranger)) => guest,
        () = stranger.evicted() => return Ended::Crowded,
        () = stopped(&mut stop) => Err(Ended::ShuttingDown),
    };
    drop(stranger);
    let guest = match guest {
        Ok(guest) => guest,
        Err(ended) => {
            let _ = stream.shutdown().await;
            linger(&mut stream).await;
            return ended;
        }
    };
    let Turn { generation, taken_over, before, _gone } = shared.take_over(&guest.client);
    let (client, keeps_session) = (guest.client.clone(), guest.connect.keeps_session);
    if let Some(before) = before {
        // What the connection before took is settled first: then it is known what of it is on disk.
        let _ = tokio::time::timeout(Duration::from_secs(10), before).await;
    }
    let (mut read, write) = stream.halves();
    let (answers, replies) = Answers::channel();
    let version = guest.connect.version;
    let max_unacked = shared.settings.max_unacked;
    let in_flight = Arc::new(InFlight::new(max_unacked, if version == Version::V5 { max_unacked.into() } else { MOST_UNRELEASED }));
    let unreleased = shared.unreleased(&client);
    if guest.session_present {
        in_flight.resume(unreleased);
    }
    let (listener, device) = (listener(shared, &guest), guest.pass.device.id.to_string());
    let mouth = Mouth {
        write,
        version,
        in_flight: in_flight.clone(),
        patience: shared.settings.write_timeout,
        listener: listener.clone(),
        listening: guest.session_present && shared.live.resume(&client, &listener),
        out: Vec::new(),
        front: None,
    };
    let mut answering = tokio::spawn(mouth.run(replies));
    let quota = shared.quotas.of(&guest.pass.device.owner);
    let mut reader = Reader {
        shared,
        intake,
        peer: caller.peer,
        answers: &answers,
        in_flight: &in_flight,
        listener: &listener,
        quota: &quota,
        version,
        refused: 0,
    };
    let ended = tokio::select! {
        ended = reader.run(&mut read, guest) => {
            // What was taken is still committed and acknowledged, then the reason is said.
            settle(answers, answering, ended).await;
            ended
        }
        ended = &mut answering => ended.unwrap_or(Ended::Lost),
        Ok(()) = taken_over => {
            settle(answers, answering, Ended::TakenOver).await;
            Ended::TakenOver
        }
        () = stopped(&mut stop) => {
            settle(answers, answering, Ended::ShuttingDown).await;
            Ended::ShuttingDown
        }
    };
    if ended != Ended::Client && ended != Ended::Lost {
        linger(&mut read).await;
    }
    shared.endings.tell(&client, &device, ended);
    shared.live.leave(&listener);
    shared.leave(&client, generation, if keeps_session { in_flight.unreleased() } else { Vec::new() });
    ended
}

/// The ear of a connection: it hears what a token of its owner would be shown.
fn listener(shared: &Shared, guest: &Guest) -> Arc<Listener> {
    if !guest.session_present {
        shared.live.forget(&guest.client);
    }
    let viewer = Viewer::Token { owner: guest.pass.device.owner.clone(), scopes: vec![Scope::Read] };
    Listener::new(guest.pass.clone(), shared.store.seen_by(&viewer), guest.connect.max_packet)
}

/// Lets everything that was taken settle, 10 s at most, and says why it is over.
async fn settle(answers: Answers, answering: JoinHandle<Ended>, ended: Ended) {
    let settling = async {
        if let Some(reason) = ended.goodbye() {
            answers.now(Outgoing::Goodbye(reason)).await;
        }
        drop(answers);
        let _ = answering.await;
    };
    let _ = tokio::time::timeout(Duration::from_secs(10), settling).await;
}

struct Reader<'a> {
    shared: &'a Shared,
    intake: &'a Intake,
    peer: SocketAddr,
    answers: &'a Answers,
    in_flight: &'a InFlight,
    listener: &'a Arc<Listener>,
    quota: &'a Quota,
    version: Version,
    /// Topics that this client tried and may not use.
    refused: u64,
}

impl Reader<'_> {
    async fn run(&mut self, read: &mut (impl AsyncRead + Unpin), guest: Guest) -> Ended {
        let (mut buffer, mut appetite) = (guest.buffer, Appetite::default());
        let pass = guest.pass;
        let session = guest.connect.keeps_session.then_some(guest.client);
        let patience = Duration::from_millis(u64::from(guest.connect.keep_alive_s) * 1500);
        loop {
            loop {
                let length = match packet_length(&buffer, self.shared.settings.max_packet) {
                    Ok(Some(length)) if buffer.len() >= length => length,
                    Ok(_) => break,
                    Err(broken) => return broken.into(),
                };
                let packet = buffer.split_to(length);
                let outcome = match decode_packet(self.version, &packet) {
                    Ok(packet) => self.hear(packet, &pass, &session).await,
                    Err(broken) => Err(broken.into()),
                };
                if let Err(ended) = outcome {
                    return ended;
                }
            }
            if let Err(ended) = appetite.fill(read, &mut buffer, patience).await {
                return ended;
            }
        }
    }

    /// `session` is under which name the client's is kept, if it is.
    async fn hear(&mut self, packet: Incoming, pass: &Pass, session: &Option<String>) -> Result<(), Ended> {
        let registry = self.shared.store.registry();
        // The credential is looked up each time: what was revoked ends at once.
        let Some(device) = pass.device(&registry) else {
            tracing::warn!(event = "mqtt_revoked", audit = true, peer = %self.peer, device = %pass.device.id, "a client spoke with a credential that has been revoked");
            return Err(Ended::NotAuthorized);
        };
        if matches!(packet, Incoming::Publish(_) | Incoming::Subscribe(_))
            && let Some(wait) = self.quota.wait(Instant::now())
        {
            self.shared.meters.mqtt_throttled.inc();
            tokio::time::sleep(wait).await;
        }
        let answer = match packet {
            Incoming::Publish(publish) => return self.publish(publish, device, &pass.holder).await,
            Incoming::Ping => Outgoing::Pong,
            Incoming::Subscribe(subscribe) => Outgoing::Suback(subscribe.pid, self.subscribe(subscribe, device)),
            Incoming::Unsubscribe(pid, filters) => Outgoing::Unsuback(pid, self.shared.live.unsubscribe(self.listener, &filters)),
            // Unknown ones too: they are from before a connection broke, and what they release is on disk or will be sent anew.
            Incoming::Pubrel(pid) => {
                self.in_flight.release(pid);
                Outgoing::Pubcomp(pid)
            }
            Incoming::Disconnect => return Err(Ended::Client),
            Incoming::Connect(_) | Incoming::Unexpected => return Err(Ended::Protocol),
        };
        if let (Outgoing::Suback(..) | Outgoing::Unsuback(..), Some(client)) = (&answer, session) {
            self.shared.live.remember(client, self.listener);
        }
        self.answers.now(answer).await;
        Ok(())
    }

    fn subscribe(&mut self, subscribe: Subscribe, device: &Device) -> Vec<Grant> {
        if subscribe.identified {
            return vec![Grant::Identified; subscribe.filters.len()];
        }
        let first = subscribe.filters.first().cloned().unwrap_or_default();
        let grants = self.shared.live.subscribe(self.listener, subscribe.filters);
        if grants.contains(&Grant::Denied) {
            self.note_refused(device, &first, "a device asked for what it may not see");
        }
        grants
    }

    /// One line at the 1st, 2nd, 4th, 8th … : who tries all day must not fill the disk with lines.
    fn note_refused(&mut self, device: &Device, topic: &str, what: &str) {
        self.refused += 1;
        if self.refused.is_power_of_two() {
            let topic: String = topic.chars().take(128).collect();
            tracing::warn!(event = "mqtt_not_authorized", audit = true, peer = %self.peer, device = %device.id, topic = ?topic, count = self.refused, "{what}");
        }
    }

    async fn publish(&mut self, publish: Publish, device: &Device, holder: &str) -> Result<(), Ended> {
        if publish.aliased {
            return Err(Ended::Alias);
        }
        if !is_publishable(&publish.topic) {
            return Err(Ended::Topic);
        }
        if is_bridge_state(&publish.topic) {
            self.pass_over(publish.qos, "bridge").await;
            return Ok(());
        }
        let address = Address::parse(&publish.topic).filter(|address| address.may_be_used_by(device));
        let format = match &address {
            Some(address) => Some(self.format(address, device)),
            None => format_of_own_topic(&publish.topic, device),
        };
        let Some(format) = format else {
            return self.refuse(&publish, device, holder).await;
        };
        // It clears what a broker would have retained under its topic, and says nothing (MQTT 3.1.1, 3.3.1.3).
        if publish.retain && publish.payload.is_empty() {
            self.pass_over(publish.qos, "retained").await;
            return Ok(());
        }
        match (self.in_flight.begin(publish.qos, publish.dup), publish.qos) {
            (Arrival::New, _) => {}
            (Arrival::Received, Delivery::Qos2(pid)) => {
                self.answers.now(Outgoing::Pubrec(pid, Kept::Stored)).await;
                return Ok(());
            }
            (Arrival::OnItsWay | Arrival::Received, _) => return Ok(()),
            (Arrival::TooMany, _) => return Err(Ended::Unreleased),
        }
        self.in_flight.room().await;
        let owner = device.owner.clone();
        let (device, channel) = address.map_or((None, None), |address| (Some(address.device), address.channel));
        let frame = Frame {
            source: "mqtt",
            format,
            route: publish.topic,
            owner,
            device,
            channel,
            received_at: self.shared.store.clock().now(),
            bytes: publish.payload,
        };
        // Awaited before the next packet is read: what this connection sends reaches the writer in the order of receipt.
        let mut settling = self.intake.take(frame).await;
        if let Some(Rebirth { topic, payload }) = settling.rebirth.take()
            && self.shared.live.tell(self.listener, topic.clone(), payload)
        {
            tracing::info!(event = "sparkplug_rebirth", audit = true, topic, "a node is asked to be born again");
        }
        self.answers.after(Reply { delivery: publish.qos, settling });
        Ok(())
    }

    /// Acknowledges what holds no reading, and counts it.
    async fn pass_over(&mut self, delivery: Delivery, what: &'static str) {
        self.shared.meters.passed_over(what, 1);
        match delivery {
            Delivery::Qos0 => {}
            Delivery::Qos1(pid) => self.answers.now(Outgoing::Puback(pid, Kept::Stored)).await,
            Delivery::Qos2(pid) => self.answers.now(Outgoing::Pubrec(pid, Kept::Stored)).await,
        }
    }

    /// What the device that the topic names speaks; a channel of its own takes a bare number.
    fn format(&self, address: &Address, sender: &Device) -> &'static str {
        if address.channel.is_some() {
            return "bare";
        }
        let spoken = |device: &Device| match &device.link {
            Link::Mqtt { format, .. } => decode::spoken(format),
            _ => None,
        };
        let of_another =
            || self.shared.store.registry().device(address.owner.as_str(), address.device.as_str()).and_then(|device| spoken(device));
        if address.device == sender.id { spoken(sender) } else { of_another() }.unwrap_or("native")
    }

    /// Only MQTT 5 can say no to one message; 3.x, and QoS 0, could only be told that what was not kept was.
    async fn refuse(&mut self, publish: &Publish, device: &Device, holder: &str) -> Result<(), Ended> {
        self.shared.meters.count("mqtt", device.owner.as_str(), "refused", 1);
        self.note_refused(device, &publish.topic, "a device published outside its own topics");
        let answer = match (self.version, publish.qos) {
            (Version::V5, Delivery::Qos1(pid)) => Outgoing::Puback(pid, Kept::NotAuthorized),
            (Version::V5, Delivery::Qos2(pid)) => Outgoing::Pubrec(pid, Kept::NotAuthorized),
            _ => {
                self.shared.penalties.send_away(holder, Instant::now());
                return Err(Ended::NotAuthorized);
            }
        };
        self.answers.now(answer).await;
        Ok(())
    }
}

/// How much is made ready to be read at once: as much as came of late. A client that is silent holds almost nothing.
struct Appetite(usize);

const LEAST: usize = 256;
const MOST: usize = 8 * 1024;

impl Default for Appetite {
    fn default() -> Self {
        Self(LEAST)
    }
}

impl Appetite {
    async fn fill(&mut self, read: &mut (impl AsyncRead + Unpin), buffer: &mut BytesMut, patience: Duration) -> Result<(), Ended> {
        if buffer.is_empty() && buffer.capacity() > 2 * self.0 {
            *buffer = BytesMut::new();
        }
        buffer.reserve(self.0);
        let room = buffer.capacity() - buffer.len();
        let reading = read.read_buf(buffer);
        let count =
            if patience.is_zero() { reading.await } else { tokio::time::timeout(patience, reading).await.map_err(|_| Ended::Slow)? };
        match count {
            Ok(0) | Err(_) => Err(Ended::Lost),
            Ok(count) => {
                if count == room {
                    self.0 = (self.0 * 4).min(MOST);
                } else if count < self.0 / 8 {
                    self.0 = (self.0 / 2).max(LEAST);
                }
                Ok(())
            }
        }
    }
}
