//! Answers that are made while they are taken: the next piece is read from the store once the one before is on its way, so that an
//! answer of any length costs the memory of one piece, and one that nobody reads costs no work. No thread waits for the reader.

use crate::problem::Problem;
use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use futures_util::stream::{StreamExt, unfold};
use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;
use store::{Holder, Store};
use tokio::sync::watch;

/// How large a piece is meant to be, bytes.
pub(crate) const PIECE: usize = 48 * 1024;

/// The memory that an answer goes on holding besides its piece, bytes: beside it in the response for whoever bounds all of them.
#[derive(Debug, Clone, Copy)]
pub struct HeldBytes(pub usize);

/// The clock may be set meanwhile: then it is looked at again, seconds.
const LONGEST_WAIT_S: f64 = 60.0;

/// Whether there is more behind a piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    More,
    Last,
}

/// What makes the pieces of one answer, in their order.
pub(crate) trait Pieces: Send + 'static {
    /// Appends about [`PIECE`] bytes to `out`. May block.
    ///
    /// # Errors
    /// The store's: an answer that has begun is broken off then, and never looks whole.
    fn next(&mut self, out: &mut Vec<u8>) -> Result<Flow, store::Error>;
}

/// As long as whom an answer is made for may see it.
#[derive(Clone)]
pub(crate) struct Permission {
    store: Store,
    holder: Option<Holder>,
}

impl Permission {
    pub(crate) fn of(store: &Store, holder: Option<&Holder>) -> Self {
        Self { store: store.clone(), holder: holder.cloned() }
    }
    pub(crate) fn still_holds(&self) -> bool {
        self.holder.as_ref().is_none_or(|holder| self.store.holds(holder))
    }
    /// Resolves when it no longer holds; `revoked` says when to look.
    pub(crate) async fn ends(&self, revoked: &mut watch::Receiver<u64>) {
        let Some(holder) = &self.holder else { return std::future::pending().await };
        while self.store.holds(holder) {
            let left = holder.expires.map(|expires| expires.seconds_since(self.store.clock().now()).clamp(0.0, LONGEST_WAIT_S));
            let expired = async {
                match left {
                    Some(left) => tokio::time::sleep(Duration::from_secs_f64(left + 0.01)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                changed = revoked.changed() => if changed.is_err() { return },
                () = expired => {}
            }
        }
    }
}

/// The answer that `pieces` make. Its first piece is made before it begins: what fails then is a problem with its status. To be called
/// where reading may block.
///
/// # Errors
/// The store's.
pub(crate) fn response(permission: Permission, mut pieces: impl Pieces) -> Result<Response, Problem> {
    let mut first = Vec::with_capacity(PIECE / 8);
    let body = match pieces.next(&mut first)? {
        Flow::Last => Body::from(first),
        Flow::More => streamed(permission, first, Box::new(pieces)),
    };
    Ok(Response::new(body))
}

enum State {
    Begun(Vec<u8>, Box<dyn Pieces>),
    Going(Box<dyn Pieces>),
    Over,
}

fn streamed(permission: Permission, first: Vec<u8>, pieces: Box<dyn Pieces>) -> Body {
    // Who compresses a body asks once more after its end.
    let all = unfold(State::Begun(first, pieces), move |state| {
        let permission = permission.clone();
        async move {
            let (piece, next) = match state {
                State::Begun(first, pieces) => (Ok(Bytes::from(first)), State::Going(pieces)),
                State::Going(pieces) if permission.still_holds() => made(pieces).await,
                State::Going(_) => (Err(io::Error::other("the token was revoked or has expired")), State::Over),
                State::Over => return None,
            };
            Some((piece, next))
        }
    });
    Body::from_stream(all.fuse())
}

async fn made(mut pieces: Box<dyn Pieces>) -> (io::Result<Bytes>, State) {
    let work = tokio::task::spawn_blocking(move || {
        let mut out = Vec::with_capacity(PIECE + PIECE / 4);
        let flow = pieces.next(&mut out)?;
        Ok::<_, store::Error>((out, flow, pieces))
    });
    match work.await {
        Ok(Ok((out, Flow::More, pieces))) => (Ok(out.into()), State::Going(pieces)),
        Ok(Ok((out, Flow::Last, _))) => (Ok(out.into()), State::Over),
        Ok(Err(cause)) => {
            tracing::error!(event = "answer_broken_off", %cause, "an answer that had begun could not be ended, and was broken off");
            (Err(io::Error::other("the store could not be read to the end")), State::Over)
        }
        Err(_) => (Err(io::Error::other("the answer could not be made; the log says why")), State::Over),
    }
}

/// A list whose items are made by and by: `{"items":[…],"limit":n,"next_cursor":null}`, with all of them.
pub(crate) struct Whole<K, F> {
    keys: Vec<K>,
    progress: Progress,
    make: F,
}

/// How far a list is.
pub(crate) struct Progress {
    done: usize,
    /// Keys whose items are made at once.
    together: usize,
    pub(crate) items: usize,
}

impl Progress {
    /// So many keys are made items at once.
    pub(crate) fn by(together: usize) -> Self {
        Self { done: 0, together, items: 0 }
    }
    pub(crate) fn is_start(&self) -> bool {
        self.done == 0
    }
}

/// Items that are made at once.
pub(crate) const TOGETHER: usize = 64;

impl<K, F: FnMut(&[K], &mut Vec<u8>) -> Result<usize, store::Error>> Whole<K, F> {
    /// `make` appends the items of some of `keys`, each with a comma behind it, and says how many.
    pub(crate) fn of(keys: Vec<K>, make: F) -> Self {
        Self { keys, progress: Progress::by(TOGETHER), make }
    }
    /// As [`Whole::of`], for keys whose items may be large.
    pub(crate) fn one_by_one(keys: Vec<K>, make: F) -> Self {
        Self { keys, progress: Progress::by(1), make }
    }
}

impl<K: Send + 'static, F> Pieces for Whole<K, F>
where
    F: FnMut(&[K], &mut Vec<u8>) -> Result<usize, store::Error> + Send + 'static,
{
    fn next(&mut self, out: &mut Vec<u8>) -> Result<Flow, store::Error> {
        if self.progress.is_start() {
            out.extend_from_slice(b"{\"items\":[");
        }
        let flow = by_and_by(&self.keys, &mut self.progress, &mut self.make, out)?;
        if flow == Flow::Last {
            let limit = self.progress.items;
            out.extend_from_slice(format!("],\"limit\":{limit},\"next_cursor\":null}}").as_bytes());
        }
        Ok(flow)
    }
}

/// Appends the items of some keys, and says how many.
type Make<'a, K> = dyn FnMut(&[K], &mut Vec<u8>) -> Result<usize, store::Error> + 'a;

/// Appends a piece of what `make` makes of `keys`; the comma behind the last item is taken away.
pub(crate) fn by_and_by<K>(keys: &[K], progress: &mut Progress, make: &mut Make<'_, K>, out: &mut Vec<u8>) -> Result<Flow, store::Error> {
    while out.len() < PIECE {
        // The comma stands where the next item begins, so that none is left behind the last.
        let upto = (progress.done + progress.together).min(keys.len());
        let Some(some) = keys.get(progress.done..upto).filter(|some| !some.is_empty()) else { return Ok(Flow::Last) };
        let before = out.len();
        let count = make(some, out)?;
        progress.done = upto;
        if count > 0 {
            out.pop();
            if progress.items > 0 {
                out.insert(before, b',');
            }
        }
        progress.items += count;
    }
    Ok(Flow::More)
}

/// Appends `item` in JSON, and a comma.
pub(crate) fn put_item(item: &impl serde::Serialize, out: &mut Vec<u8>) {
    // Writing to memory does not fail.
    let _ = serde_json::to_writer(&mut *out, item);
    out.push(b',');
}

pub(crate) fn json(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// Bytes that several answers send at once, or a part of them.
pub(crate) struct Shared {
    bytes: Arc<Vec<u8>>,
    left: Range<usize>,
}

impl Shared {
    pub(crate) fn of(bytes: Arc<Vec<u8>>, part: Range<usize>) -> Self {
        Self { bytes, left: part }
    }
}

impl Pieces for Shared {
    fn next(&mut self, out: &mut Vec<u8>) -> Result<Flow, store::Error> {
        let upto = (self.left.start + PIECE).min(self.left.end);
        out.extend_from_slice(self.bytes.get(self.left.start..upto).unwrap_or_default());
        self.left.start = upto;
        Ok(if self.left.is_empty() { Flow::Last } else { Flow::More })
    }
}
