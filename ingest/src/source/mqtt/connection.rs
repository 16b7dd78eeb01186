//! One connection, from its greeting to its end. Reading and answering go on side by side, so that a PINGRESP never waits
//! for a commit.

use super::Shared;
use super::answers::{Answers, InFlight, Reply, answer};
use super::codec::{Broken, Delivery, Incoming, Kept, Outgoing, Publish, Version, decode, packet_length};
use super::hello::{Guest, greet};
use super::topic::{Address, is_publishable};
use crate::frame::Frame;
use crate::pipeline::Intake;
use crate::source::{Stop, stopped};
use bytes::BytesMut;
use mqtt_proto::v5::DisconnectReasonCode as Reason;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;

/// How a connection came to its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// The client said goodbye.
    Client,
    /// The wire broke.
    Lost,
    /// Nothing came for one and a half times the keep-alive, or no CONNECT in time.
    Slow,
    Malformed,
    TooLarge,
    /// A QoS that this door does not speak.
    Qos,
    Topic,
    NotAuthorized,
    Credentials,
    TakenOver,
    /// A commit failed: what was not acknowledged will be sent again.
    Store,
    ShuttingDown,
}

impl Ended {
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::Lost => "lost",
            Self::Slow => "slow",
            Self::Malformed => "malformed",
            Self::TooLarge => "too-large",
            Self::Qos => "qos",
            Self::Topic => "topic",
            Self::NotAuthorized => "not-authorized",
            Self::Credentials => "credentials",
            Self::TakenOver => "taken-over",
            Self::Store => "store",
            Self::ShuttingDown => "shutting-down",
        }
    }
    /// What an MQTT 5 client is told.
    const fn goodbye(self) -> Option<Reason> {
        match self {
            Self::Client | Self::Lost | Self::Credentials => None,
            Self::Slow => Some(Reason::KeepAliveTimeout),
            Self::Malformed => Some(Reason::MalformedPacket),
            Self::TooLarge => Some(Reason::PacketTooLarge),
            Self::Qos => Some(Reason::QoSNotSupported),
            Self::Topic => Some(Reason::TopicNameInvalid),
            Self::NotAuthorized => Some(Reason::NotAuthorized),
            Self::TakenOver => Some(Reason::SessionTakenOver),
            Self::Store => Some(Reason::UnspecifiedError),
            Self::ShuttingDown => Some(Reason::ServerShuttingDown),
        }
    }
}

impl From<Broken> for Ended {
    fn from(broken: Broken) -> Self {
        match broken {
            Broken::TooLarge => Self::TooLarge,
            Broken::Malformed | Broken::Version => Self::Malformed,
        }
    }
}

pub(super) async fn run(shared: &Arc<Shared>, intake: &Intake, mut stream: TcpStream, peer: SocketAddr, mut stop: Stop) -> Ended {
    let guest = match greet(shared, &mut stream, peer).await {
        Ok(guest) => guest,
        Err(ended) => return ended,
    };
    let (generation, taken_over) = shared.take_over(&guest.client);
    let client = guest.client.clone();
    let version = guest.connect.version;
    let (read, write) = stream.into_split();
    let in_flight = Arc::new(InFlight::new(shared.settings.max_unacked));
    let (answers, replies) = Answers::channel();
    let mut answering = tokio::spawn(answer(write, version, replies, in_flight.clone()));
    let mut reader = Reader { shared, intake, peer, answers: &answers, in_flight: &in_flight, version };
    let ended = tokio::select! {
        ended = reader.run(read, guest) => ended,
        failed = &mut answering => return leave(shared, &client, generation, failed.unwrap_or(Ended::Lost)),
        Ok(()) = taken_over => Ended::TakenOver,
        () = stopped(&mut stop) => Ended::ShuttingDown,
    };
    if ended == Ended::NotAuthorized {
        // Who tries others' topics has to wait before it can try again.
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    // What was taken is still committed and acknowledged, then the reason is said.
    answers.now(ended.goodbye().map(Outgoing::Goodbye));
    drop(answers);
    let _ = tokio::time::timeout(Duration::from_secs(10), answering).await;
    leave(shared, &client, generation, ended)
}

fn leave(shared: &Shared, client: &str, generation: u64, ended: Ended) -> Ended {
    shared.leave(client, generation);
    ended
}

struct Reader<'a> {
    shared: &'a Shared,
    intake: &'a Intake,
    peer: SocketAddr,
    answers: &'a Answers,
    in_flight: &'a InFlight,
    version: Version,
}

impl Reader<'_> {
    async fn run(&mut self, mut read: OwnedReadHalf, guest: Guest) -> Ended {
        let mut buffer = guest.buffer;
        let user = guest.connect.user.unwrap_or_default();
        let device = guest.device;
        let patience = Duration::from_millis(u64::from(guest.connect.keep_alive_s) * 1500);
        loop {
            loop {
                let length = match packet_length(&buffer, self.shared.settings.max_packet) {
                    Ok(Some(length)) if buffer.len() >= length => length,
                    Ok(_) => break,
                    Err(broken) => return broken.into(),
                };
                let packet = buffer.split_to(length);
                let outcome = match decode(self.version, &packet) {
                    Ok(Incoming::Publish(publish)) => {
                        // The credential is looked up each time: what was revoked ends at once.
                        match self.shared.store.registry().device_by_user(&user) {
                            Some(known) if known.id == device.id && known.owner == device.owner => self.publish(publish, known).await,
                            _ => Err(Ended::NotAuthorized),
                        }
                    }
                    Ok(other) => self.other(&other),
                    Err(broken) => Err(broken.into()),
                };
                if let Err(ended) = outcome {
                    return ended;
                }
            }
            if let Err(ended) = fill(&mut read, &mut buffer, patience).await {
                return ended;
            }
        }
    }

    fn other(&self, packet: &Incoming) -> Result<(), Ended> {
        self.answers.now(match packet {
            Incoming::Ping => Some(Outgoing::Pong),
            Incoming::Subscribe(pid, count) => Some(Outgoing::Suback(*pid, *count)),
            Incoming::Unsubscribe(pid, count) => Some(Outgoing::Unsuback(*pid, *count)),
            Incoming::Pubrel(pid) => Some(Outgoing::Pubcomp(*pid)),
            Incoming::Disconnect => return Err(Ended::Client),
            Incoming::Connect(_) | Incoming::Unexpected | Incoming::Publish(_) => return Err(Ended::Malformed),
        });
        Ok(())
    }

    async fn publish(&self, publish: Publish, device: &model::Device) -> Result<(), Ended> {
        if publish.qos == Delivery::ExactlyOnce {
            return Err(Ended::Qos);
        }
        if publish.aliased || !is_publishable(&publish.topic) {
            return Err(Ended::Topic);
        }
        let address = Address::parse(&publish.topic).filter(|address| address.may_be_used_by(device));
        let Some(address) = address else {
            let topic: String = publish.topic.chars().take(128).collect();
            tracing::warn!(event = "mqtt_not_authorized", audit = true, peer = %self.peer, device = %device.id, topic = ?topic, "a device published outside its own topics");
            // Only MQTT 5 can say no to one message; 3.x could only acknowledge what was not kept.
            return match (self.version, publish.qos) {
                (Version::V5, Delivery::AtLeastOnce(pid)) => {
                    self.answers.now(Some(Outgoing::Puback(pid, Kept::NotAuthorized)));
                    Ok(())
                }
                _ => Err(Ended::NotAuthorized),
            };
        };
        let pid = match publish.qos {
            Delivery::AtLeastOnce(pid) => {
                if !self.in_flight.begin(pid, publish.dup) {
                    return Ok(());
                }
                Some(pid)
            }
            _ => None,
        };
        self.in_flight.room().await;
        let settling = self.intake.take(Frame {
            source: "mqtt",
            format: if address.channel.is_some() { "bare" } else { "native" },
            route: publish.topic,
            owner: address.owner,
            device: Some(address.device),
            channel: address.channel,
            received_at: self.shared.store.clock().now(),
            bytes: publish.payload,
        });
        self.answers.after(Reply { pid, settling });
        Ok(())
    }
}

async fn fill(read: &mut OwnedReadHalf, buffer: &mut BytesMut, patience: Duration) -> Result<(), Ended> {
    buffer.reserve(8 * 1024);
    let reading = read.read_buf(buffer);
    let count = if patience.is_zero() {
        reading.await
    } else {
        tokio::time::timeout(patience, reading).await.map_err(|_| Ended::Slow)?
    };
    match count {
        Ok(0) | Err(_) => Err(Ended::Lost),
        Ok(_) => Ok(()),
    }
}
