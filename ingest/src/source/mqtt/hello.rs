//! The start of a connection: CONNECT in time, credentials, session, CONNACK.

use super::Shared;
use super::codec::{Broken, Connect, Incoming, Outgoing, Refusal, Version, decode, encode, packet_length, version_of};
use super::ended::Ended;
use super::pass::Pass;
use bytes::BytesMut;
use std::net::SocketAddr;
use store::{Batch, SessionMark};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::Instant;

/// The longest client id, bytes: a kept session is remembered under it.
const LONGEST_CLIENT_ID: usize = 256;

/// Who has come in, and what of the wire was read beyond the CONNECT.
pub(super) struct Guest {
    pub(super) connect: Connect,
    pub(super) pass: Pass,
    /// User and client id: whose session it is.
    pub(super) client: String,
    /// What was kept for it is there.
    pub(super) session_present: bool,
    pub(super) buffer: BytesMut,
}

/// Reads the CONNECT and answers it; a session that the client wants kept is on disk before it hears of it.
pub(super) async fn greet(shared: &Shared, stream: &mut TcpStream, peer: SocketAddr) -> Result<Guest, Ended> {
    let mut buffer = BytesMut::with_capacity(1024);
    let reading = tokio::time::timeout(shared.settings.connect_timeout, read_connect(shared, stream, &mut buffer));
    let connect = reading.await.map_err(|_| Ended::Slow)??;
    let Some(device) = shared.gate.admit(&shared.store.registry(), connect.user.as_deref(), connect.password.as_deref()).await else {
        let user = connect.user.as_deref().unwrap_or("").chars().take(64).collect::<String>();
        tracing::warn!(event = "mqtt_refused", audit = true, %peer, user = ?user, "an MQTT client gave a wrong user or password");
        return Err(refuse(stream, connect.version, Refusal::Credentials, Ended::Credentials).await);
    };
    let user = connect.user.clone().unwrap_or_default();
    if shared.penalties.holds(&user, Instant::now()) {
        return Err(refuse(stream, connect.version, Refusal::Busy, Ended::Impatient).await);
    }
    if connect.client_id.len() > LONGEST_CLIENT_ID {
        return Err(refuse(stream, connect.version, Refusal::ClientId, Ended::ClientId).await);
    }
    let mut assigned = None;
    let client_id = if connect.client_id.is_empty() {
        if connect.version == Version::V3 && !connect.clean {
            return Err(refuse(stream, connect.version, Refusal::ClientId, Ended::ClientId).await);
        }
        // Not given before: no two connections have come from one port in the same microsecond.
        let name = format!("auto-{:x}-{}", shared.store.clock().now().micros(), peer.port());
        assigned = Some(name.clone());
        name
    } else {
        connect.client_id.clone()
    };
    let client = client_name(&user, &client_id);
    let existed = shared.store.has_session(&client);
    let session_present = existed && !connect.clean;
    if existed != connect.keeps_session {
        let mark = SessionMark { client: client.clone(), exists: connect.keeps_session };
        let kept = shared.store.commit(Batch { sessions: vec![mark], ..Batch::default() }).await;
        if kept.is_err() {
            return Err(refuse(stream, connect.version, Refusal::Busy, Ended::Store).await);
        }
    }
    let max_packet = u32::try_from(shared.settings.max_packet).unwrap_or(u32::MAX);
    let hears = session_present && connect.hears_of_session;
    let welcome = Outgoing::Welcome { session_present: hears, assigned, receive_max: shared.settings.max_unacked, max_packet };
    send(stream, connect.version, &welcome).await.map_err(|_| Ended::Lost)?;
    Ok(Guest { connect, pass: Pass { user, device }, client, session_present, buffer })
}

/// Whose session it is. A `/` within the user is written otherwise, so that no two clients have one name.
fn client_name(user: &str, client_id: &str) -> String {
    format!("{}/{client_id}", user.replace('%', "%25").replace('/', "%2F"))
}

async fn read_connect(shared: &Shared, stream: &mut TcpStream, buffer: &mut BytesMut) -> Result<Connect, Ended> {
    loop {
        if buffer.first().is_some_and(|first| *first != 0x10) {
            return Err(Ended::Malformed);
        }
        let length = packet_length(buffer, shared.settings.max_packet).map_err(Ended::from)?;
        if let Some(length) = length.filter(|length| buffer.len() >= *length) {
            let packet = buffer.split_to(length);
            let version = match version_of(&packet) {
                Ok(version) => version,
                Err(Broken::Version) => return Err(refuse(stream, Version::V3, Refusal::Version, Ended::Malformed).await),
                Err(broken) => return Err(broken.into()),
            };
            return match decode(version, &packet) {
                Ok(Incoming::Connect(connect)) => Ok(*connect),
                _ => Err(Ended::Malformed),
            };
        }
        if stream.read_buf(buffer).await.map_err(|_| Ended::Lost)? == 0 {
            return Err(Ended::Lost);
        }
    }
}

async fn refuse(stream: &mut TcpStream, version: Version, refusal: Refusal, ended: Ended) -> Ended {
    let _ = send(stream, version, &Outgoing::Refuse(refusal)).await;
    ended
}

async fn send(stream: &mut TcpStream, version: Version, packet: &Outgoing) -> std::io::Result<()> {
    let mut out = Vec::new();
    encode(version, packet, &mut out);
    stream.write_all(&out).await
}

#[cfg(test)]
mod tests {
    use super::client_name;

    #[test]
    fn no_two_clients_have_one_name() {
        assert_eq!(client_name("prova", "c/1"), "prova/c/1");
        assert_ne!(client_name("a", "b/c"), client_name("a/b", "c"));
        assert_ne!(client_name("a/b", "c"), client_name("a%2Fb", "c"));
    }
}
