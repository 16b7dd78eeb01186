//! The start of a connection: CONNECT in time, credentials, session, CONNACK.

use super::Shared;
use super::certificate::Presented;
use super::codec::{Broken, Connect, Incoming, Outgoing, Refusal, Version, decode, encode, packet_length, version_of};
use super::ended::Ended;
use super::gate::{Denied, Shown};
use super::pass::Pass;
use crate::source::guard::Stranger;
use bytes::BytesMut;
use std::net::SocketAddr;
use store::{Batch, SessionMark};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::time::Instant;

/// The longest client id, bytes: a kept session is remembered under it.
const LONGEST_CLIENT_ID: usize = 256;

/// The longest CONNECT, bytes: a will, topic, user and password of the usual lengths. Strangers may send no more.
const LONGEST_CONNECT: usize = 80 * 1024;

/// Who is at the door.
pub(super) struct Caller {
    pub(super) peer: SocketAddr,
    /// What it showed in its TLS handshake.
    pub(super) certificate: Option<Presented>,
    /// When its CONNECT must be whole.
    pub(super) until: Instant,
}

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
pub(super) async fn greet(
    shared: &Shared,
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    caller: &Caller,
    stranger: &Stranger,
) -> Result<Guest, Ended> {
    let peer = caller.peer;
    let mut buffer = BytesMut::with_capacity(1024);
    let reading = tokio::time::timeout_at(caller.until, read_connect(shared, stream, &mut buffer));
    let mut connect = reading.await.map_err(|_| Ended::Slow)??;
    stranger.has_greeted();
    let shown = Shown { certificate: caller.certificate.as_ref(), user: connect.user.as_deref(), password: connect.password.as_deref() };
    let begin = || shared.wrong_sign_ins.begin(peer.ip(), Instant::now());
    let pass = match shared.gate.admit(&shared.store.registry(), shown, begin).await {
        Ok(pass) => pass,
        Err(Denied::Later) => return Err(refuse(stream, connect.version, Refusal::Busy, Ended::Impatient).await),
        Err(Denied::Wrong) => {
            let user = connect.user.as_deref().unwrap_or("").chars().take(64).collect::<String>();
            tracing::warn!(event = "mqtt_refused", audit = true, %peer, user = ?user, "an MQTT client gave a wrong user, password or token, or a certificate that is not its user's");
            return Err(refuse(stream, connect.version, Refusal::Credentials, Ended::Credentials).await);
        }
    };
    if shared.penalties.holds(&pass.holder, Instant::now()) {
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
    let client = pass.client(&client_id);
    let existed = shared.store.has_session(&client);
    let session_present = existed && !connect.clean;
    let asked_to_keep = connect.keeps_session;
    if asked_to_keep && !existed && shared.store.sessions_of(&pass.client("")) >= shared.settings.max_sessions {
        // It is let in, and what it publishes is taken: without a session it only has to subscribe again when it comes back.
        connect.keeps_session = false;
        shared.tell_sessions(&pass);
    }
    if existed != connect.keeps_session {
        let mark = SessionMark { client: client.clone(), exists: connect.keeps_session };
        let kept = shared.store.commit(Batch { sessions: vec![mark], ..Batch::default() }).await;
        if kept.is_err() {
            return Err(refuse(stream, connect.version, Refusal::Busy, Ended::Store).await);
        }
    }
    let max_packet = u32::try_from(shared.settings.max_packet).unwrap_or(u32::MAX);
    let hears = session_present && connect.hears_of_session;
    let welcome = Outgoing::Welcome {
        session_present: hears,
        assigned,
        receive_max: shared.settings.max_unacked,
        max_packet,
        is_forgetful: asked_to_keep && !connect.keeps_session,
    };
    send(stream, connect.version, &welcome).await.map_err(|_| Ended::Lost)?;
    Ok(Guest { connect, pass, client, session_present, buffer })
}

async fn read_connect(
    shared: &Shared,
    stream: &mut (impl AsyncRead + AsyncWrite + Unpin),
    buffer: &mut BytesMut,
) -> Result<Connect, Ended> {
    loop {
        if buffer.first().is_some_and(|first| *first != 0x10) {
            return Err(Ended::Malformed);
        }
        let length = packet_length(buffer, shared.settings.max_packet.min(LONGEST_CONNECT)).map_err(Ended::from)?;
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

async fn refuse(stream: &mut (impl AsyncWrite + Unpin), version: Version, refusal: Refusal, ended: Ended) -> Ended {
    let _ = send(stream, version, &Outgoing::Refuse(refusal)).await;
    ended
}

async fn send(stream: &mut (impl AsyncWrite + Unpin), version: Version, packet: &Outgoing) -> std::io::Result<()> {
    let mut out = Vec::new();
    encode(version, packet, &mut out);
    stream.write_all(&out).await?;
    stream.flush().await
}
