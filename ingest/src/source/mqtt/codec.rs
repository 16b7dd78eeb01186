//! One core, two thin codecs: packets of MQTT 3.x and 5 as the few things that this door hears and says.

use bytes::Bytes;
use mqtt_proto::{Pid, Protocol, QoS, QosPid, VarBytes, v3, v5};

/// Which codec a connection speaks; settled by its CONNECT.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    V3,
    V5,
}

/// Why bytes are no packet that may stand here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Broken {
    Malformed,
    TooLarge,
    /// A version of the protocol that we do not speak.
    Version,
}

/// The start of a conversation.
#[derive(Debug, Clone)]
pub(super) struct Connect {
    pub(super) version: Version,
    pub(super) client_id: String,
    /// The client keeps nothing over and wants nothing kept: no session.
    pub(super) clean: bool,
    /// MQTT 5 says by the expiry whether a session is kept.
    pub(super) keeps_session: bool,
    pub(super) keep_alive_s: u16,
    pub(super) user: Option<String>,
    pub(super) password: Option<Bytes>,
}

#[derive(Debug, Clone)]
pub(super) struct Publish {
    pub(super) topic: String,
    pub(super) payload: Bytes,
    pub(super) dup: bool,
    pub(super) qos: Delivery,
    /// MQTT 5: an alias instead of a topic; we announce that we take none.
    pub(super) aliased: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    AtMostOnce,
    AtLeastOnce(Pid),
    /// Not spoken here yet.
    ExactlyOnce,
}

/// What a client may say.
#[derive(Debug, Clone)]
pub(super) enum Incoming {
    Connect(Box<Connect>),
    Publish(Publish),
    Pubrel(Pid),
    Subscribe(Pid, usize),
    Unsubscribe(Pid, usize),
    Ping,
    Disconnect,
    /// An answer to something we never sent, or a packet only servers send.
    Unexpected,
}

/// What we say.
#[derive(Debug, Clone)]
pub(super) enum Outgoing {
    Welcome { session_present: bool, assigned: Option<String>, receive_max: u16, max_packet: u32 },
    Refuse(Refusal),
    Puback(Pid, Kept),
    Pubcomp(Pid),
    /// Nothing is delivered to anybody yet: every filter is refused.
    Suback(Pid, usize),
    Unsuback(Pid, usize),
    Pong,
    /// MQTT 5 says why; 3.x just closes.
    Goodbye(v5::DisconnectReasonCode),
}

/// Why a CONNECT is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    Version,
    ClientId,
    Credentials,
    Busy,
}

/// What a PUBACK of MQTT 5 says beside "it is on disk".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kept {
    Stored,
    /// All of it is in the quarantine.
    Quarantined,
    NotAuthorized,
}

/// Length of the packet at the start of `buffer` as its header tells it; `None` while the header is not complete.
pub(super) fn packet_length(buffer: &[u8], most: usize) -> Result<Option<usize>, Broken> {
    let mut remaining = 0_usize;
    for (place, byte) in buffer.iter().skip(1).take(4).enumerate() {
        remaining |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            let length = 2 + place + remaining;
            return if length > most { Err(Broken::TooLarge) } else { Ok(Some(length)) };
        }
    }
    if buffer.len() >= 5 { Err(Broken::Malformed) } else { Ok(None) }
}

/// The version that a CONNECT asks for: its name and level stand right behind the header.
pub(super) fn version_of(connect: &[u8]) -> Result<Version, Broken> {
    let header = 1 + connect.iter().skip(1).take(4).take_while(|byte| **byte & 0x80 != 0).count() + 1;
    let body = connect.get(header..).ok_or(Broken::Malformed)?;
    let mut offset = 0;
    if connect.first() != Some(&0x10) {
        return Err(Broken::Malformed);
    }
    match Protocol::decode(body, &mut offset) {
        Ok(Protocol::V500) => Ok(Version::V5),
        Ok(Protocol::V310 | Protocol::V311) => Ok(Version::V3),
        Err(mqtt_proto::Error::InvalidProtocol(..)) => Err(Broken::Version),
        Err(_) => Err(Broken::Malformed),
    }
}

/// Reads one whole packet.
pub(super) fn decode(version: Version, packet: &[u8]) -> Result<Incoming, Broken> {
    match version {
        Version::V3 => v3::Packet::decode(packet).ok().flatten().map(from_v3),
        // A DISCONNECT without a reason is legal, and what most clients send.
        Version::V5 if packet == [0xE0, 0x00] => Some(Incoming::Disconnect),
        Version::V5 => v5::Packet::decode(packet).ok().flatten().map(from_v5),
    }
    .ok_or(Broken::Malformed)
}

fn delivery(qos: QosPid) -> Delivery {
    match qos {
        QosPid::Level0 => Delivery::AtMostOnce,
        QosPid::Level1(pid) => Delivery::AtLeastOnce(pid),
        QosPid::Level2(_) => Delivery::ExactlyOnce,
    }
}

fn from_v3(packet: v3::Packet) -> Incoming {
    match packet {
        v3::Packet::Connect(connect) => Incoming::Connect(Box::new(Connect {
            version: Version::V3,
            client_id: connect.client_id.to_string(),
            clean: connect.clean_session,
            keeps_session: !connect.clean_session,
            keep_alive_s: connect.keep_alive,
            user: connect.username.map(|user| user.to_string()),
            password: connect.password,
        })),
        v3::Packet::Publish(publish) => Incoming::Publish(Publish {
            topic: publish.topic_name.to_string(),
            payload: publish.payload,
            dup: publish.dup,
            qos: delivery(publish.qos_pid),
            aliased: false,
        }),
        v3::Packet::Pubrel(pid) => Incoming::Pubrel(pid),
        v3::Packet::Subscribe(subscribe) => Incoming::Subscribe(subscribe.pid, subscribe.topics.len()),
        v3::Packet::Unsubscribe(unsubscribe) => Incoming::Unsubscribe(unsubscribe.pid, unsubscribe.topics.len()),
        v3::Packet::Pingreq => Incoming::Ping,
        v3::Packet::Disconnect => Incoming::Disconnect,
        _ => Incoming::Unexpected,
    }
}

fn from_v5(packet: v5::Packet) -> Incoming {
    match packet {
        v5::Packet::Connect(connect) => Incoming::Connect(Box::new(Connect {
            version: Version::V5,
            client_id: connect.client_id.to_string(),
            clean: connect.clean_start,
            keeps_session: connect.properties.session_expiry_interval.unwrap_or(0) > 0,
            keep_alive_s: connect.keep_alive,
            user: connect.username.map(|user| user.to_string()),
            password: connect.password,
        })),
        v5::Packet::Publish(publish) => Incoming::Publish(Publish {
            topic: publish.topic_name.to_string(),
            payload: publish.payload,
            dup: publish.dup,
            qos: delivery(publish.qos_pid),
            aliased: publish.properties.topic_alias.is_some(),
        }),
        v5::Packet::Pubrel(pubrel) => Incoming::Pubrel(pubrel.pid),
        v5::Packet::Subscribe(subscribe) => Incoming::Subscribe(subscribe.pid, subscribe.topics.len()),
        v5::Packet::Unsubscribe(unsubscribe) => Incoming::Unsubscribe(unsubscribe.pid, unsubscribe.topics.len()),
        v5::Packet::Pingreq => Incoming::Ping,
        v5::Packet::Disconnect(_) => Incoming::Disconnect,
        _ => Incoming::Unexpected,
    }
}

/// Writes one packet; what a version can't say is left out.
pub(super) fn encode(version: Version, packet: &Outgoing, out: &mut Vec<u8>) {
    if let (Version::V3, Outgoing::Suback(pid, count)) = (version, packet) {
        return refuse_filters(*pid, *count, out);
    }
    let bytes: Option<VarBytes> = match version {
        Version::V3 => to_v3(packet).and_then(|packet| packet.encode().ok()),
        Version::V5 => to_v5(packet).and_then(|packet| packet.encode().ok()),
    };
    if let Some(bytes) = bytes {
        out.extend_from_slice(bytes.as_ref());
    }
}

/// Written by hand: mqtt-proto 0.4 writes a refused filter as 3 instead of 0x80.
fn refuse_filters(pid: Pid, count: usize, out: &mut Vec<u8>) {
    let count = count.min(100);
    out.extend([0x90, u8::try_from(2 + count).unwrap_or(2)]);
    out.extend(pid.value().to_be_bytes());
    out.extend(std::iter::repeat_n(0x80, count));
}

fn to_v3(packet: &Outgoing) -> Option<v3::Packet> {
    use v3::ConnectReturnCode as Code;
    Some(match packet {
        Outgoing::Welcome { session_present, .. } => v3::Connack::new(*session_present, Code::Accepted).into(),
        Outgoing::Refuse(refusal) => {
            let code = match refusal {
                Refusal::Version => Code::UnacceptableProtocolVersion,
                Refusal::ClientId => Code::IdentifierRejected,
                Refusal::Credentials => Code::NotAuthorized,
                Refusal::Busy => Code::ServerUnavailable,
            };
            v3::Connack::new(false, code).into()
        }
        Outgoing::Puback(pid, Kept::Stored | Kept::Quarantined) => v3::Packet::Puback(*pid),
        Outgoing::Puback(_, Kept::NotAuthorized) | Outgoing::Goodbye(_) | Outgoing::Suback(..) => return None,
        Outgoing::Pubcomp(pid) => v3::Packet::Pubcomp(*pid),
        Outgoing::Unsuback(pid, _) => v3::Packet::Unsuback(*pid),
        Outgoing::Pong => v3::Packet::Pingresp,
    })
}

fn to_v5(packet: &Outgoing) -> Option<v5::Packet> {
    use v5::{ConnectReasonCode as Code, PubackReasonCode};
    Some(match packet {
        Outgoing::Welcome { session_present, assigned, receive_max, max_packet } => {
            let mut connack = v5::Connack::new(*session_present, Code::Success);
            connack.properties.max_qos = Some(QoS::Level1);
            connack.properties.retain_available = Some(false);
            connack.properties.receive_max = Some(*receive_max);
            connack.properties.max_packet_size = Some(*max_packet);
            connack.properties.topic_alias_max = Some(0);
            connack.properties.shared_subscription_available = Some(false);
            connack.properties.assigned_client_id = assigned.as_deref().map(Into::into);
            connack.into()
        }
        Outgoing::Refuse(refusal) => {
            let code = match refusal {
                Refusal::Version => Code::UnsupportedProtocolVersion,
                Refusal::ClientId => Code::ClientIdentifierNotValid,
                Refusal::Credentials => Code::NotAuthorized,
                Refusal::Busy => Code::ServerBusy,
            };
            v5::Connack::new(false, code).into()
        }
        Outgoing::Puback(pid, kept) => {
            let code = match kept {
                Kept::Stored => PubackReasonCode::Success,
                Kept::Quarantined => PubackReasonCode::PayloadFormatInvalid,
                Kept::NotAuthorized => PubackReasonCode::NotAuthorized,
            };
            v5::Puback::new(*pid, code).into()
        }
        Outgoing::Pubcomp(pid) => v5::Pubcomp::new_success(*pid).into(),
        Outgoing::Suback(pid, count) => v5::Suback::new(*pid, vec![v5::SubscribeReasonCode::NotAuthorized; *count]).into(),
        Outgoing::Unsuback(pid, count) => v5::Unsuback::new(*pid, vec![v5::UnsubscribeReasonCode::NoSubscriptionExisted; *count]).into(),
        Outgoing::Pong => v5::Packet::Pingresp,
        Outgoing::Goodbye(reason) => v5::Disconnect::new(*reason).into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whatever bytes come, the codec answers; it neither panics nor reads past its packet.
    #[test]
    fn no_bytes_make_the_codec_panic() {
        let publish = b"\x32\x21\0\x1apescaia/v1/demo/prova/level\0\x071.42";
        let connect = b"\x10\x1a\0\x04MQTT\x05\xc2\0\x3c\x05\x11\0\0\0\x0a\0\0\0\x03abc\0\0";
        let seed = 20_261_123_u64;
        eprintln!("seed {seed}");
        let mut dice = seed;
        let mut roll = |sides: usize| {
            dice = dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            usize::try_from(dice >> 33).expect("small") % sides
        };
        for round in 0..60_000 {
            let mut bytes = if round % 2 == 0 { publish.to_vec() } else { connect.to_vec() };
            for _ in 0..1 + roll(6) {
                let place = roll(bytes.len());
                bytes[place] = u8::try_from(roll(256)).expect("a byte");
            }
            bytes.truncate(1 + roll(bytes.len()));
            let Ok(Some(length)) = packet_length(&bytes, 1024) else { continue };
            let packet = &bytes[..length.min(bytes.len())];
            let _ = version_of(packet);
            let _ = (decode(Version::V3, packet), decode(Version::V5, packet));
        }
    }

    #[test]
    fn a_length_is_known_before_its_bytes_are_kept() {
        assert_eq!(packet_length(&[0x30], 100), Ok(None));
        assert_eq!(packet_length(&[0x30, 5], 100), Ok(Some(7)));
        assert_eq!(packet_length(&[0x30, 0xff, 0xff, 0xff, 0x7f], 262_144), Err(Broken::TooLarge));
        assert_eq!(packet_length(&[0x30, 0xff, 0xff, 0xff, 0xff], 262_144), Err(Broken::Malformed));
    }
}
