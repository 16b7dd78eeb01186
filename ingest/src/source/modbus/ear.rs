//! What comes in on a wire, looked at before the protocol does.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that came in since the last question.
#[derive(Debug, Clone, Default)]
pub(super) struct Heard(Arc<AtomicUsize>);

impl Heard {
    pub(super) fn bytes(&self) -> usize {
        self.0.load(Ordering::Relaxed)
    }
}

/// A wire that counts what comes in, so that a silence can be told from an answer that never became whole; and which forgets, when a
/// question goes out, what was waiting in the line before: it can't be the answer, and where transactions have no numbers it would be taken for it.
#[derive(Debug)]
pub(super) struct Ear<T> {
    wire: T,
    heard: Heard,
}

impl<T> Ear<T> {
    pub(super) fn new(wire: T, heard: Heard) -> Self {
        Self { wire, heard }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Ear<T> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        let outcome = Pin::new(&mut self.wire).poll_read(context, into);
        self.heard.0.fetch_add(into.filled().len() - before, Ordering::Relaxed);
        outcome
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Ear<T> {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, question: &[u8]) -> Poll<io::Result<usize>> {
        let mut waste = [0; 256];
        loop {
            let mut into = ReadBuf::new(&mut waste);
            match Pin::new(&mut self.wire).poll_read(context, &mut into) {
                Poll::Ready(Ok(())) if !into.filled().is_empty() => {}
                // Nothing waits; or the wire is gone, which writing and reading find out too.
                Poll::Ready(_) | Poll::Pending => break,
            }
        }
        self.heard.0.store(0, Ordering::Relaxed);
        Pin::new(&mut self.wire).poll_write(context, question)
    }
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_flush(context)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.wire).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    #[tokio::test]
    async fn what_waited_before_a_question_is_no_answer_to_it() {
        let (ours, mut theirs) = tokio::io::duplex(64);
        let heard = Heard::default();
        let mut ear = Ear::new(ours, heard.clone());
        theirs.write_all(b"late").await.expect("sent");
        ear.write_all(b"question").await.expect("sent");
        assert_eq!(heard.bytes(), 0);
        theirs.write_all(b"answer").await.expect("sent");
        let mut said = [0; 6];
        ear.read_exact(&mut said).await.expect("an answer");
        assert_eq!((&said, heard.bytes()), (b"answer", 6));
    }
}
