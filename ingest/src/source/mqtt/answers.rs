//! What goes back to the client: at once what needs no disk, and after its commit each PUBACK or PUBREC, in the order of receipt.

use super::codec::{Delivery, Kept, Outgoing, Version, encode, encode_publish};
use super::ended::Ended;
use super::in_flight::InFlight;
use super::live::Listener;
use crate::commit::{Settled, Settling};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use store::Error;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::mpsc;

/// Answers that may wait for the wire before reading stops: who asks and never listens must not fill the memory.
const MOST_WAITING: usize = 64;
/// Bytes of the live feed that are written before answers get their turn again.
const A_LITTLE: usize = 8 * 1024;
/// What can't be answered any more is waited for so long.
const LAST_WAIT: Duration = Duration::from_secs(5);

/// A message on its way to the disk, and how it came; QoS 0 gets no answer.
pub(super) struct Reply {
    pub(super) delivery: Delivery,
    pub(super) settling: Settling,
}

/// The reader's side.
pub(super) struct Answers {
    now: mpsc::Sender<Outgoing>,
    /// Boxed: a channel keeps room for several, and most connections are silent.
    after: mpsc::UnboundedSender<Box<Reply>>,
}

/// The writer's side.
pub(super) struct Replies {
    now: mpsc::Receiver<Outgoing>,
    after: mpsc::UnboundedReceiver<Box<Reply>>,
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
        let _ = self.after.send(Box::new(reply));
    }
}

/// The writing half of a connection.
pub(super) struct Mouth<W> {
    pub(super) write: W,
    pub(super) version: Version,
    pub(super) in_flight: Arc<InFlight>,
    /// How long the client may take to accept what it is told.
    pub(super) patience: Duration,
    /// What the client has subscribed to.
    pub(super) listener: Arc<Listener>,
    /// It has subscribed, ever; else nothing is looked for.
    pub(super) listening: bool,
    pub(super) out: Vec<u8>,
    /// The next reply, while its message is on its way to the disk.
    pub(super) front: Option<Box<Reply>>,
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
        self.settle_rest(replies).await;
        ended
    }

    /// What was taken and can't be answered any more is still to be known: QoS 2 that is on disk is not taken again when it comes over
    /// the next connection.
    async fn settle_rest(&mut self, mut replies: Replies) {
        let rest = async {
            while let Some(reply) = self.front.take().or_else(|| replies.after.try_recv().ok()) {
                let Reply { delivery, settling } = *reply;
                let settled = settling.await;
                if let (Delivery::Qos2(pid), true) = (delivery, settled.is_ok()) {
                    self.in_flight.received(pid);
                }
            }
        };
        let _ = tokio::time::timeout(LAST_WAIT, rest).await;
    }

    async fn answer(&mut self, replies: &mut Replies, goodbye: &mut Option<Outgoing>) -> Result<(), Ended> {
        let mut reading = true;
        loop {
            // Everything that can be said already goes out in one write.
            while let Ok(packet) = replies.now.try_recv() {
                self.say_or_keep(packet, goodbye);
            }
            while let Some(mut reply) = self.front.take().or_else(|| replies.after.try_recv().ok()) {
                match ready(&mut reply.settling) {
                    Some(settled) => self.acknowledge(reply.delivery, settled)?,
                    None => {
                        self.front = Some(reply);
                        break;
                    }
                }
            }
            let more = self.listening && reading && self.say_news();
            self.flush().await?;
            if more {
                continue;
            }
            tokio::select! {
                biased;
                packet = replies.now.recv(), if reading => match packet {
                    Some(packet) => self.say_or_keep(packet, goodbye),
                    // The reader is gone: only what is on its way is left.
                    None => reading = false,
                },
                settled = async { match &mut self.front { Some(reply) => (&mut reply.settling).await, None => std::future::pending().await } } => {
                    let delivery = self.front.take().map_or(Delivery::Qos0, |reply| reply.delivery);
                    self.acknowledge(delivery, settled)?;
                }
                () = self.listener.news(), if self.listening && reading => {}
                reply = replies.after.recv(), if self.front.is_none() => match reply {
                    Some(reply) => self.front = Some(reply),
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
            self.listening |= matches!(packet, Outgoing::Suback(..));
            self.say(&packet);
        }
    }

    /// Puts a little of the live feed behind what is to be written; true when there is more.
    fn say_news(&mut self) -> bool {
        let (version, out) = (self.version, &mut self.out);
        self.listener.take(A_LITTLE, |said| encode_publish(version, &said.topic, &said.payload, out))
    }

    fn say(&mut self, packet: &Outgoing) {
        encode(self.version, packet, &mut self.out);
    }

    /// Says the PUBACK or PUBREC of what is on disk. When it is not, nothing after it may be acknowledged either.
    fn acknowledge(&mut self, delivery: Delivery, settled: Result<Settled, Error>) -> Result<(), Ended> {
        let settled = settled.map_err(|cause| Ended::from(&cause))?;
        let kept = if settled.stored.is_empty() && !settled.rejected.is_empty() { Kept::Quarantined } else { Kept::Stored };
        match delivery {
            Delivery::Qos0 => {}
            Delivery::Qos1(pid) => {
                self.in_flight.acknowledged(pid);
                self.say(&Outgoing::Puback(pid, kept));
            }
            Delivery::Qos2(pid) => {
                // MQTT 5 has no release after a PUBREC that says no: the packet id is free again.
                if self.version == Version::V5 && kept != Kept::Stored {
                    self.in_flight.release(pid);
                } else {
                    self.in_flight.received(pid);
                }
                self.say(&Outgoing::Pubrec(pid, kept));
            }
        }
        self.in_flight.settled();
        Ok(())
    }

    async fn flush(&mut self) -> Result<(), Ended> {
        if !self.out.is_empty() {
            let writing = async {
                self.write.write_all(&self.out).await?;
                // TLS may have kept some of it.
                self.write.flush().await
            };
            let writing = tokio::time::timeout(self.patience, writing);
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
