//! The body of a request: kept whole up to a limit, or read away.

use axum::body::{Body, Bytes, HttpBody};
use axum::http::{HeaderMap, header};
use bytes::BytesMut;
use std::future::poll_fn;
use std::pin::Pin;
use std::time::Duration;

/// Bytes of a refused body that are read away, and how long its next piece may take.
const MOST_WASTE: usize = 64 << 20;
const IDLE: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(10);

/// Bytes that are made ready because a request announces them.
const BELIEVED: usize = 512 * 1024;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unkept {
    TooLarge,
    /// The wire broke before its end.
    Broken,
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

/// The whole body, of at most `most` bytes; of a larger one nothing is kept.
pub(super) async fn collect(mut body: Body, most: usize) -> Result<Bytes, Unkept> {
    // As much as is announced, and no more than is worth believing.
    let announced = usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX);
    let mut whole = BytesMut::with_capacity(announced.min(most).min(BELIEVED));
    while let Some(piece) = next(&mut body).await {
        let piece = piece.map_err(|_| Unkept::Broken)?;
        if whole.len() + piece.len() > most {
            drop(whole);
            read_away(body).await;
            return Err(Unkept::TooLarge);
        }
        whole.extend_from_slice(&piece);
    }
    Ok(whole.freeze())
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
