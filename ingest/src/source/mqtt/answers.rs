//! What goes back to the client: at once what needs no disk, and after its commit each PUBACK, in the order of receipt.

use super::codec::{Kept, Outgoing, Version, encode};
use super::connection::Ended;
use crate::commit::{Settled, Settling};
use mqtt_proto::Pid;
use std::collections::HashSet;
use std::pin::Pin;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use store::Error;
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::{Semaphore, mpsc};

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
    now: mpsc::UnboundedSender<Outgoing>,
    after: mpsc::UnboundedSender<Reply>,
}

/// The writer's side.
pub(super) struct Replies {
    now: mpsc::UnboundedReceiver<Outgoing>,
    after: mpsc::UnboundedReceiver<Reply>,
}

impl Answers {
    pub(super) fn channel() -> (Self, Replies) {
        let ((now, now_out), (after, after_out)) = (mpsc::unbounded_channel(), mpsc::unbounded_channel());
        (Self { now, after }, Replies { now: now_out, after: after_out })
    }
    pub(super) fn now(&self, packet: Option<Outgoing>) {
        if let Some(packet) = packet {
            let _ = self.now.send(packet);
        }
    }
    pub(super) fn after(&self, reply: Reply) {
        let _ = self.after.send(reply);
    }
}

/// Writes answers until the reader is gone and everything taken is settled, or the wire or a commit fails.
pub(super) async fn answer(mut write: OwnedWriteHalf, version: Version, mut replies: Replies, in_flight: std::sync::Arc<InFlight>) -> Ended {
    let mut out = Vec::with_capacity(1024);
    let mut front: Option<Reply> = None;
    let mut goodbye: Option<Outgoing> = None;
    let mut reading = true;
    loop {
        // Everything that can be said already goes out in one write.
        while let Ok(packet) = replies.now.try_recv() {
            if matches!(packet, Outgoing::Goodbye(_)) {
                goodbye = Some(packet);
            } else {
                encode(version, &packet, &mut out);
            }
        }
        loop {
            if front.is_none() {
                front = replies.after.try_recv().ok();
            }
            let Some(reply) = &mut front else { break };
            let Some(settled) = ready(&mut reply.settling) else { break };
            if !acknowledge(reply.pid, settled, version, &in_flight, &mut out) {
                let _ = write.write_all(&out).await;
                return Ended::Store;
            }
            front = None;
        }
        if !out.is_empty() {
            if write.write_all(&out).await.is_err() {
                return Ended::Lost;
            }
            out.clear();
        }
        tokio::select! {
            biased;
            packet = replies.now.recv(), if reading => match packet {
                Some(packet @ Outgoing::Goodbye(_)) => goodbye = Some(packet),
                Some(packet) => encode(version, &packet, &mut out),
                // The reader is gone: only what is on its way is left.
                None => reading = false,
            },
            settled = async { match &mut front { Some(reply) => (&mut reply.settling).await, None => std::future::pending().await } } => {
                let pid = front.take().and_then(|reply| reply.pid);
                if !acknowledge(pid, settled, version, &in_flight, &mut out) {
                    return Ended::Store;
                }
            }
            reply = replies.after.recv(), if front.is_none() => match reply {
                Some(reply) => front = Some(reply),
                None => break,
            },
        }
    }
    if let Some(goodbye) = goodbye {
        encode(version, &goodbye, &mut out);
    }
    let _ = write.write_all(&out).await;
    let _ = write.shutdown().await;
    Ended::Client
}

/// What became of it, if that is known already.
fn ready(settling: &mut Settling) -> Option<Result<Settled, Error>> {
    match Pin::new(settling).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Pending => None,
        Poll::Ready(settled) => Some(settled),
    }
}

/// Adds the PUBACK of what is on disk; false when it is not, and nothing after it may be acknowledged either.
fn acknowledge(pid: Option<Pid>, settled: Result<Settled, Error>, version: Version, in_flight: &InFlight, out: &mut Vec<u8>) -> bool {
    let Ok(settled) = settled else { return false };
    in_flight.end(pid);
    if let Some(pid) = pid {
        let kept = if settled.stored.is_empty() && !settled.rejected.is_empty() { Kept::Quarantined } else { Kept::Stored };
        encode(version, &Outgoing::Puback(pid, kept), out);
    }
    true
}
