//! What goes back to the client: at once what needs no disk, and after its commit each PUBACK, in the order of receipt.

use super::codec::{Kept, Outgoing, Version, encode};
use super::ended::Ended;
use crate::commit::{Settled, Settling};
use mqtt_proto::Pid;
use std::collections::HashSet;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use store::Error;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{Semaphore, mpsc};

/// Answers that may wait for the wire before reading stops: who asks and never listens must not fill the memory.
const MOST_WAITING: usize = 64;

/// A message on its way to the disk; QoS 0 has no packet id and gets no answer.
pub(super) struct Reply {
    pub(super) pid: Option<Pid>,
    pub(super) settling: Settling,
}

/// The messages of one connection that are not yet acknowledged.
pub(super) struct InFlight {
    room: Semaphore,
    pids: Mutex<HashSet<u16>>,
}

impl InFlight {
    pub(super) fn new(most: u16) -> Self {
        Self { room: Semaphore::new(usize::from(most)), pids: Mutex::default() }
    }
    /// False when this packet id is on its way and came again: it is kept and acknowledged once.
    pub(super) fn begin(&self, pid: Pid, dup: bool) -> bool {
        self.pids.lock().unwrap_or_else(PoisonError::into_inner).insert(pid.value()) || !dup
    }
    /// Waits until there is room for one more.
    pub(super) async fn room(&self) {
        if let Ok(permit) = self.room.acquire().await {
            permit.forget();
        }
    }
    fn end(&self, pid: Option<Pid>) {
        if let Some(pid) = pid {
            self.pids.lock().unwrap_or_else(PoisonError::into_inner).remove(&pid.value());
        }
        self.room.add_permits(1);
    }
}

/// The reader's side.
pub(super) struct Answers {
    now: mpsc::Sender<Outgoing>,
    after: mpsc::UnboundedSender<Reply>,
}

/// The writer's side.
pub(super) struct Replies {
    now: mpsc::Receiver<Outgoing>,
    after: mpsc::UnboundedReceiver<Reply>,
}

impl Answers {
    pub(super) fn channel() -> (Self, Replies) {
        // `after` needs no bound of its own: there is never more in it than there is room in flight.
        let ((now, now_out), (after, after_out)) = (mpsc::channel(MOST_WAITING), mpsc::unbounded_channel());
        (Self { now, after }, Replies { now: now_out, after: after_out })
    }
    /// To be said as soon as the wire takes it.
    pub(super) async fn now(&self, packet: Outgoing) {
        let _ = self.now.send(packet).await;
    }
    /// To be acknowledged once it is on disk.
    pub(super) fn after(&self, reply: Reply) {
        let _ = self.after.send(reply);
    }
}

/// The writing half of a connection.
pub(super) struct Mouth<W> {
    pub(super) write: W,
    pub(super) version: Version,
    pub(super) in_flight: Arc<InFlight>,
    /// How long the client may take to accept what it is told.
    pub(super) patience: Duration,
    pub(super) out: Vec<u8>,
}

impl<W: AsyncWrite + Unpin> Mouth<W> {
    /// Answers until the reader is gone and everything taken is settled, or the wire or a commit fails.
    pub(super) async fn run(mut self, mut replies: Replies) -> Ended {
        let mut goodbye = None;
        let ended = match self.answer(&mut replies, &mut goodbye).await {
            Ok(()) => Ended::Client,
            Err(ended) => {
                goodbye = ended.goodbye().map(Outgoing::Goodbye);
                ended
            }
        };
        if let Some(goodbye) = goodbye {
            self.say(&goodbye);
        }
        if ended != Ended::Lost && ended != Ended::Slow {
            let _ = self.flush().await;
        }
        let _ = self.write.shutdown().await;
        ended
    }

    async fn answer(&mut self, replies: &mut Replies, goodbye: &mut Option<Outgoing>) -> Result<(), Ended> {
        let mut front: Option<Reply> = None;
        let mut reading = true;
        loop {
            // Everything that can be said already goes out in one write.
            while let Ok(packet) = replies.now.try_recv() {
                self.say_or_keep(packet, goodbye);
            }
            while let Some(mut reply) = front.take().or_else(|| replies.after.try_recv().ok()) {
                match ready(&mut reply.settling) {
                    Some(settled) => self.acknowledge(reply.pid, settled)?,
                    None => {
                        front = Some(reply);
                        break;
                    }
                }
            }
            self.flush().await?;
            tokio::select! {
                biased;
                packet = replies.now.recv(), if reading => match packet {
                    Some(packet) => self.say_or_keep(packet, goodbye),
                    // The reader is gone: only what is on its way is left.
                    None => reading = false,
                },
                settled = async { match &mut front { Some(reply) => (&mut reply.settling).await, None => std::future::pending().await } } => {
                    let pid = front.take().and_then(|reply| reply.pid);
                    self.acknowledge(pid, settled)?;
                }
                reply = replies.after.recv(), if front.is_none() => match reply {
                    Some(reply) => front = Some(reply),
                    None => return Ok(()),
                },
            }
        }
    }

    /// The last word waits until what was taken is acknowledged.
    fn say_or_keep(&mut self, packet: Outgoing, goodbye: &mut Option<Outgoing>) {
        if matches!(packet, Outgoing::Goodbye(_)) {
            *goodbye = Some(packet);
        } else {
            self.say(&packet);
        }
    }

    fn say(&mut self, packet: &Outgoing) {
        encode(self.version, packet, &mut self.out);
    }

    /// Says the PUBACK of what is on disk. When it is not, nothing after it may be acknowledged either.
    fn acknowledge(&mut self, pid: Option<Pid>, settled: Result<Settled, Error>) -> Result<(), Ended> {
        let settled = settled.map_err(|cause| Ended::from(&cause))?;
        self.in_flight.end(pid);
        if let Some(pid) = pid {
            let kept = if settled.stored.is_empty() && !settled.rejected.is_empty() { Kept::Quarantined } else { Kept::Stored };
            self.say(&Outgoing::Puback(pid, kept));
        }
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Ended> {
        if !self.out.is_empty() {
            let writing = tokio::time::timeout(self.patience, self.write.write_all(&self.out));
            writing.await.map_err(|_| Ended::Slow)?.map_err(|_| Ended::Lost)?;
            self.out.clear();
        }
        Ok(())
    }
}

/// What became of it, if that is known already.
fn ready(settling: &mut Settling) -> Option<Result<Settled, Error>> {
    match Pin::new(settling).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Pending => None,
        Poll::Ready(settled) => Some(settled),
    }
}

#[cfg(test)]
mod tests;
