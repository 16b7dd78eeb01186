//! One core, two thin codecs: packets of MQTT 3.x and 5 as the few things that this door hears and says.

use super::live::Grant;
use bytes::Bytes;
use mqtt_proto::{Pid, Protocol, QosPid, VarBytes, v3, v5};

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
    /// MQTT 3.1 has no place in its CONNACK for whether a session is there.
    pub(super) hears_of_session: bool,
    pub(super) keep_alive_s: u16,
    /// The largest packet that the client takes.
    pub(super) max_packet: usize,
    pub(super) user: Option<String>,
    pub(super) password: Option<Bytes>,
}

#[derive(Debug, Clone)]
pub(super) struct Publish {
    pub(super) topic: String,
    pub(super) payload: Bytes,
    pub(super) dup: bool,
    pub(super) retain: bool,
    pub(super) qos: Delivery,
    /// MQTT 5: an alias instead of a topic; we announce that we take none.
    pub(super) aliased: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Delivery {
    Qos0,
    Qos1(Pid),
    Qos2(Pid),
}

#[derive(Debug, Clone)]
pub(super) struct Subscribe {
    pub(super) pid: Pid,
    pub(super) filters: Vec<String>,
    /// MQTT 5: with an identifier; we announce that we take none.
    pub(super) identified: bool,
}

/// What a client may say.
#[derive(Debug, Clone)]
pub(super) enum Incoming {
    Connect(Box<Connect>),
    Publish(Publish),
    Pubrel(Pid),
    Subscribe(Subscribe),
    Unsubscribe(Pid, Vec<String>),
    Ping,
    Disconnect,
    /// An answer to something we never sent, or a packet only servers send.
    Unexpected,
}

/// What we say.
#[derive(Debug, Clone)]
pub(super) enum Outgoing {
    Welcome {
        session_present: bool,
        assigned: Option<String>,
        receive_max: u16,
        max_packet: u32,
        /// It asked for a session to be kept, and none will be. MQTT 3 has no word for it.
        is_forgetful: bool,
    },
    Refuse(Refusal),
    Puback(Pid, Kept),
    Pubrec(Pid, Kept),
    Pubcomp(Pid),
    Suback(Pid, Vec<Grant>),
    /// For each filter whether there was such a subscription.
    Unsuback(Pid, Vec<bool>),
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

/// What a PUBACK or PUBREC of MQTT 5 says beside "it is on disk".
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
        Version::V5 => match v5::Packet::decode(packet) {
            Err(v5::ErrorV5::InvalidPayloadFormat) => with_any_payload(packet),
            packet => packet.ok().flatten().map(from_v5),
        },
    }
    .ok_or(Broken::Malformed)
}

/// mqtt-proto refuses a whole packet when its payload is announced as UTF-8 and is not. That is bad content, for the quarantine,
/// and no broken packet: the codec reads what stands before the payload, which stays as it came.
fn with_any_payload(packet: &[u8]) -> Option<Incoming> {
    let (first, rest) = packet.split_first()?;
    let (_, body) = read_length(rest)?;
    let (topic_length, _) = body.split_first_chunk::<2>()?;
    let pid_length = if first & 0b110 == 0 { 0 } else { 2 };
    let (properties, behind) = read_length(body.get(2 + usize::from(u16::from_be_bytes(*topic_length)) + pid_length..)?)?;
    let (head, payload) = body.split_at_checked(body.len() - behind.len() + properties)?;
    let mut without = vec![*first];
    write_length(head.len(), &mut without);
    without.extend_from_slice(head);
    match v5::Packet::decode(&without).ok().flatten().map(from_v5)? {
        Incoming::Publish(publish) => Some(Incoming::Publish(Publish { payload: Bytes::copy_from_slice(payload), ..publish })),
        _ => None,
    }
}

/// A length as MQTT writes it, and what stands behind it.
fn read_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut length = 0_usize;
    for (place, byte) in bytes.iter().take(4).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Some((length, bytes.get(place + 1..)?));
        }
    }
    None
}

fn write_length(mut length: usize, out: &mut Vec<u8>) {
    loop {
        let [low, ..] = (length & 0x7f).to_le_bytes();
        length >>= 7;
        out.push(if length > 0 { low | 0x80 } else { low });
        if length == 0 {
            return;
        }
    }
}

fn delivery(qos: QosPid) -> Delivery {
    match qos {
        QosPid::Level0 => Delivery::Qos0,
        QosPid::Level1(pid) => Delivery::Qos1(pid),
        QosPid::Level2(pid) => Delivery::Qos2(pid),
    }
}

fn from_v3(packet: v3::Packet) -> Incoming {
    match packet {
        v3::Packet::Connect(connect) => Incoming::Connect(Box::new(Connect {
            version: Version::V3,
            client_id: connect.client_id.to_string(),
            clean: connect.clean_session,
            keeps_session: !connect.clean_session,
            hears_of_session: connect.protocol != Protocol::V310,
            keep_alive_s: connect.keep_alive,
            max_packet: usize::MAX,
            user: connect.username.map(|user| user.to_string()),
            password: connect.password,
        })),
        v3::Packet::Publish(publish) => Incoming::Publish(Publish {
            topic: publish.topic_name.to_string(),
            payload: publish.payload,
            dup: publish.dup,
            retain: publish.retain,
            qos: delivery(publish.qos_pid),
            aliased: false,
        }),
        v3::Packet::Pubrel(pid) => Incoming::Pubrel(pid),
        v3::Packet::Subscribe(subscribe) => Incoming::Subscribe(Subscribe {
            pid: subscribe.pid,
            filters: subscribe.topics.iter().map(|(filter, _)| filter.to_string()).collect(),
            identified: false,
        }),
        v3::Packet::Unsubscribe(unsubscribe) => {
            Incoming::Unsubscribe(unsubscribe.pid, unsubscribe.topics.iter().map(ToString::to_string).collect())
        }
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
            hears_of_session: true,
            keep_alive_s: connect.keep_alive,
            max_packet: connect.properties.max_packet_size.and_then(|size| usize::try_from(size).ok()).unwrap_or(usize::MAX),
            user: connect.username.map(|user| user.to_string()),
            password: connect.password,
        })),
        v5::Packet::Publish(publish) => Incoming::Publish(Publish {
            topic: publish.topic_name.to_string(),
            payload: publish.payload,
            dup: publish.dup,
            retain: publish.retain,
            qos: delivery(publish.qos_pid),
            aliased: publish.properties.topic_alias.is_some(),
        }),
        v5::Packet::Pubrel(pubrel) => Incoming::Pubrel(pubrel.pid),
        v5::Packet::Subscribe(subscribe) => Incoming::Subscribe(Subscribe {
            pid: subscribe.pid,
            filters: subscribe.topics.iter().map(|(filter, _)| filter.to_string()).collect(),
            identified: subscribe.properties.subscription_id.is_some(),
        }),
        v5::Packet::Unsubscribe(unsubscribe) => {
            Incoming::Unsubscribe(unsubscribe.pid, unsubscribe.topics.iter().map(ToString::to_string).collect())
        }
        v5::Packet::Pingreq => Incoming::Ping,
        v5::Packet::Disconnect(_) => Incoming::Disconnect,
        _ => Incoming::Unexpected,
    }
}

/// Writes one packet; what a version can't say is left out.
pub(super) fn encode(version: Version, packet: &Outgoing, out: &mut Vec<u8>) {
    if let (Version::V3, Outgoing::Suback(pid, grants)) = (version, packet) {
        return grant_in_v3(*pid, grants, out);
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
fn grant_in_v3(pid: Pid, grants: &[Grant], out: &mut Vec<u8>) {
    out.push(0x90);
    write_length(2 + grants.len(), out);
    out.extend(pid.value().to_be_bytes());
    out.extend(grants.iter().map(|grant| if *grant == Grant::Granted { 0 } else { 0x80 }));
}

/// Writes a PUBLISH of QoS 0 to a subscriber, without a detour over the codec's own types.
pub(super) fn encode_publish(version: Version, topic: &str, payload: &[u8], out: &mut Vec<u8>) {
    // The length of a topic is limited where it is made.
    let Ok(topic_length) = u16::try_from(topic.len()) else { return };
    let properties: &[u8] = if version == Version::V5 { &[0] } else { &[] };
    out.push(0x30);
    write_length(2 + topic.len() + properties.len() + payload.len(), out);
    out.extend(topic_length.to_be_bytes());
    for part in [topic.as_bytes(), properties, payload] {
        out.extend_from_slice(part);
    }
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
        Outgoing::Pubrec(pid, Kept::Stored | Kept::Quarantined) => v3::Packet::Pubrec(*pid),
        Outgoing::Puback(_, Kept::NotAuthorized) | Outgoing::Pubrec(_, Kept::NotAuthorized) => return None,
        Outgoing::Goodbye(_) | Outgoing::Suback(..) => return None,
        Outgoing::Pubcomp(pid) => v3::Packet::Pubcomp(*pid),
        Outgoing::Unsuback(pid, _) => v3::Packet::Unsuback(*pid),
        Outgoing::Pong => v3::Packet::Pingresp,
    })
}

fn granted(grant: Grant) -> v5::SubscribeReasonCode {
    match grant {
        Grant::Granted => v5::SubscribeReasonCode::GrantedQoS0,
        Grant::Denied => v5::SubscribeReasonCode::NotAuthorized,
        Grant::Shared => v5::SubscribeReasonCode::SharedSubscriptionNotSupported,
        Grant::TooMany => v5::SubscribeReasonCode::QuotaExceeded,
        Grant::Identified => v5::SubscribeReasonCode::SubscriptionIdentifiersNotSupported,
    }
}

fn to_v5(packet: &Outgoing) -> Option<v5::Packet> {
    use v5::{ConnectReasonCode as Code, PubackReasonCode, PubrecReasonCode};
    Some(match packet {
        Outgoing::Welcome { session_present, assigned, receive_max, max_packet, is_forgetful } => {
            let mut connack = v5::Connack::new(*session_present, Code::Success);
            connack.properties.session_expiry_interval = is_forgetful.then_some(0);
            connack.properties.retain_available = Some(false);
            connack.properties.receive_max = Some(*receive_max);
            connack.properties.max_packet_size = Some(*max_packet);
            connack.properties.topic_alias_max = Some(0);
            connack.properties.shared_subscription_available = Some(false);
            connack.properties.subscription_id_available = Some(false);
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
        Outgoing::Pubrec(pid, kept) => {
            let code = match kept {
                Kept::Stored => PubrecReasonCode::Success,
                Kept::Quarantined => PubrecReasonCode::PayloadFormatInvalid,
                Kept::NotAuthorized => PubrecReasonCode::NotAuthorized,
            };
            v5::Pubrec::new(*pid, code).into()
        }
        Outgoing::Pubcomp(pid) => v5::Pubcomp::new_success(*pid).into(),
        Outgoing::Suback(pid, grants) => v5::Suback::new(*pid, grants.iter().map(|grant| granted(*grant)).collect()).into(),
        Outgoing::Unsuback(pid, existed) => {
            let code = |existed: &bool| match existed {
                true => v5::UnsubscribeReasonCode::Success,
                false => v5::UnsubscribeReasonCode::NoSubscriptionExisted,
            };
            v5::Unsuback::new(*pid, existed.iter().map(code).collect()).into()
        }
        Outgoing::Pong => v5::Packet::Pingresp,
        Outgoing::Goodbye(reason) => v5::Disconnect::new(*reason).into(),
    })
}

#[cfg(test)]
mod tests;
