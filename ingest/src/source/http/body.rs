//! The body of a request: kept whole up to a limit and within a time, or read away.

use super::MOST_BYTES;
use super::encoding::{self, Packed};
use crate::body_room::{BodyRoom, Held};
use crate::pipeline::Intake;
use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, header};
use bytes::BytesMut;
use model::OwnerId;
use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;
use tokio::time::Instant;

/// Bytes of a refused body that are read away, and how long its next piece may take.
const MOST_WASTE: usize = 64 << 20;
const IDLE: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(10);

/// How long a body may take for its next piece, and for all of it where it is small.
const PATIENCE: Duration = Duration::from_secs(10);
/// Each second beyond that must have been earned with so many bytes: the narrowest link that a large body is worth waiting for.
const LEAST_BYTES_PER_S: u64 = 4 * 1024;

/// Bodies up to so many bytes need no room of their owner; the first is made ready because a request announces it, the rest when it comes.
const BELIEVED: usize = 64 * 1024;
const FIRST: usize = 8 * 1024;

/// Why a body is not kept.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unkept {
    TooLarge,
    /// It can't be unpacked.
    Packed(Packed),
    /// The wire broke before its end.
    Broken,
    /// Nothing came for ten seconds, or too little.
    Slow,
    /// Its owner's other bodies leave no room for it.
    Busy,
}

/// A body that came whole, and its room, to be held until it has been dealt with.
#[derive(Debug)]
pub(super) struct Kept {
    pub(super) bytes: Bytes,
    pub(super) held: Option<Held>,
}

/// The next piece; `None` at the end.
async fn next(body: &mut Body) -> Option<Result<Bytes, axum::Error>> {
    loop {
        let frame = poll_fn(|context| Pin::new(&mut *body).poll_frame(context)).await?;
        match frame.map(|frame| frame.into_data().ok()) {
            Ok(Some(piece)) => return Some(Ok(piece)),
            // Trailers say nothing here.
            Ok(None) => {}
            Err(cause) => return Some(Err(cause)),
        }
    }
}

/// What a body is held to while it comes.
pub(super) struct Terms<'a> {
    /// Bytes that it may have.
    pub(super) most: usize,
    pub(super) room: &'a BodyRoom,
    pub(super) owner: &'a OwnerId,
    /// Bytes that dealing with it takes beside its own.
    pub(super) beside: usize,
}

/// The whole body; of one that is larger, or slower, than it may be nothing is kept.
pub(super) async fn collect(mut body: Body, terms: &Terms<'_>) -> Result<Kept, Unkept> {
    let announced = body.size_hint().exact().and_then(|length| usize::try_from(length).ok()).unwrap_or(terms.most).min(terms.most);
    let mut whole = BytesMut::with_capacity(announced.min(FIRST));
    let mut held = None;
    if terms.beside > 0 {
        held = Some(terms.room.take(terms.owner, announced + terms.beside).await.ok_or(Unkept::Busy)?);
    }
    let mut start = Instant::now();
    loop {
        let until = (start + PATIENCE + Duration::from_secs(whole.len() as u64 / LEAST_BYTES_PER_S)).min(Instant::now() + PATIENCE);
        let piece = match tokio::time::timeout_at(until, next(&mut body)).await {
            Err(_) => return Err(Unkept::Slow),
            Ok(None) => return Ok(Kept { bytes: whole.freeze(), held }),
            Ok(Some(piece)) => piece.map_err(|_| Unkept::Broken)?,
        };
        let length = whole.len() + piece.len();
        if length > terms.most {
            drop((whole, held));
            read_away(body).await;
            return Err(Unkept::TooLarge);
        }
        if length > BELIEVED && held.is_none() {
            let asked = Instant::now();
            held = Some(terms.room.take(terms.owner, announced).await.ok_or(Unkept::Busy)?);
            // That it had to wait is no slowness of its own.
            start += asked.elapsed();
            // In one piece, for which there is room now: growing would leave pieces of all sizes behind.
            let mut larger = BytesMut::with_capacity(announced.max(length));
            larger.extend_from_slice(&whole);
            whole = larger;
        }
        whole.extend_from_slice(&piece);
    }
}

/// As [`collect`], and unpacked as its head says.
pub(super) async fn collect_unpacked(intake: &Intake, owner: &OwnerId, headers: &HeaderMap, body: Body) -> Result<Kept, Unkept> {
    let terms = Terms { most: MOST_BYTES, room: intake.body_room(), owner, beside: encoding::beside(headers) };
    let Kept { bytes, held } = collect(body, &terms).await?;
    let bytes = encoding::unpack(intake, owner, headers, bytes).await.map_err(Unkept::Packed)?;
    Ok(Kept { bytes, held })
}

/// Reads away the body of a request that is refused by its head, keeping none of it. Who is answered while still sending would find
/// its connection reset, and never see why. Who asked first whether to send at all need not be heard.
pub(super) async fn refuse(headers: &HeaderMap, body: Body) {
    if !headers.contains_key(header::EXPECT) {
        read_away(body).await;
    }
}

async fn read_away(mut body: Body) {
    let reading = async {
        let mut count = 0;
        while let Ok(Some(Ok(piece))) = tokio::time::timeout(IDLE, next(&mut body)).await {
            count += piece.len();
            if count > MOST_WASTE {
                break;
            }
        }
    };
    let _ = tokio::time::timeout(LONGEST, reading).await;
}
