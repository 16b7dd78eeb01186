//! The wire of one HTTP connection: a client that takes nothing of what waits for it is cut.

use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_util::rt::TokioIo;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep};

/// How long a client may take for [`LEAST`] bytes of what waits for it.
const PATIENCE: Duration = Duration::from_secs(20);
/// Bytes: what the slowest link that is worth an answer takes in that time.
const LEAST: usize = 2048;
/// What the system may hold unsent of one connection, bytes: beyond it we see that the client does not take it.
const UNSENT: u32 = 64 * 1024;

/// What requests, their answers and the wire know of one connection.
pub(crate) struct Connection {
    pub(crate) peer: SocketAddr,
    /// An answer could not be ended: the client must not take what it has for whole.
    broken: AtomicBool,
    /// Given back when what is written is on the wire.
    until_flushed: Mutex<Option<Box<dyn Send>>>,
}

impl Connection {
    pub(crate) fn of(peer: SocketAddr) -> Arc<Self> {
        Arc::new(Self { peer, broken: AtomicBool::new(false), until_flushed: Mutex::new(None) })
    }
    pub(crate) fn is_broken_off(&self) {
        self.broken.store(true, Ordering::Relaxed);
    }
    /// Keeps `place` until what was written before has left.
    pub(crate) fn keep_until_flushed(&self, place: Box<dyn Send>) {
        *self.until_flushed.lock().unwrap_or_else(PoisonError::into_inner) = Some(place);
    }
    fn flushed(&self) {
        drop(self.until_flushed.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// A stream whose reader may not stand still for ever.
pub(crate) struct Wire {
    stream: TokioIo<TcpStream>,
    connection: Arc<Connection>,
    patience: Duration,
    stall: Option<Stall>,
}

/// Something waits for the client.
struct Stall {
    until: Pin<Box<Sleep>>,
    taken: usize,
}

impl Wire {
    pub(crate) fn new(stream: TcpStream, connection: Arc<Connection>) -> Self {
        let _ = socket2::SockRef::from(&stream).set_tcp_notsent_lowat(UNSENT);
        Self { stream: TokioIo::new(stream), connection, patience: PATIENCE, stall: None }
    }

    fn wrote(&mut self, written: Poll<io::Result<usize>>, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        match written {
            Poll::Ready(Ok(count)) => {
                if let Some(stall) = &mut self.stall {
                    stall.taken += count;
                    if stall.taken >= LEAST {
                        self.stall = None;
                    }
                }
                Poll::Ready(Ok(count))
            }
            Poll::Ready(Err(cause)) => Poll::Ready(Err(cause)),
            Poll::Pending => {
                let until = Instant::now() + self.patience;
                let stall = self.stall.get_or_insert_with(|| Stall { until: Box::pin(tokio::time::sleep_until(until)), taken: 0 });
                ready!(stall.until.as_mut().poll(context));
                tracing::debug!(event = "http_unread", peer = %self.connection.peer, "a client that took nothing of its answer was cut");
                self.connection.is_broken_off();
                Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
            }
        }
    }
}

impl Drop for Wire {
    /// Reset, so that half an answer does not look like a whole one, and nothing goes on waiting for a client that takes nothing.
    fn drop(&mut self) {
        if self.connection.broken.load(Ordering::Relaxed) {
            let _ = self.stream.inner().set_zero_linger();
        }
    }
}

impl Read for Wire {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl Write for Wire {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.wrote(written, context)
    }
    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
    fn poll_write_vectored(mut self: Pin<&mut Self>, context: &mut Context<'_>, parts: &[IoSlice<'_>]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, parts);
        self.wrote(written, context)
    }
    /// Asked for when everything before is written.
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stall = None;
        self.connection.flushed();
        Pin::new(&mut self.stream).poll_flush(context)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.connection.broken.load(Ordering::Relaxed) {
            // Shutting down in good order would say that the answer is whole.
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
