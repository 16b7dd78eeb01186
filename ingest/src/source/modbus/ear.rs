//! What comes in on a wire, looked at before the protocol does.

use super::{rtu, tcp};
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// Bytes that are kept of an answer, to say what is wrong with it: the head of a TCP frame.
const HEAD: usize = 9;

/// What came in since the last question.
#[derive(Debug, Clone, Default)]
pub(super) struct Heard(Arc<Mutex<Sounds>>);

#[derive(Debug, Default)]
struct Sounds {
    bytes: usize,
    head: Vec<u8>,
    asked: Vec<u8>,
}

impl Heard {
    pub(super) fn bytes(&self) -> usize {
        self.sounds().bytes
    }
    /// The first bytes that came in.
    pub(super) fn head(&self) -> Vec<u8> {
        self.sounds().head.clone()
    }
    /// The question, as it went out.
    pub(super) fn asked(&self) -> Vec<u8> {
        self.sounds().asked.clone()
    }
    fn sounds(&self) -> MutexGuard<'_, Sounds> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
    fn hear(&self, bytes: &[u8]) {
        let mut sounds = self.sounds();
        sounds.bytes += bytes.len();
        let room = HEAD.saturating_sub(sounds.head.len());
        sounds.head.extend(bytes.iter().take(room));
    }
    fn ask(&self, question: &[u8]) {
        *self.sounds() = Sounds { asked: question.to_vec(), ..Sounds::default() };
    }
}

/// A wire that counts what comes in, so that a silence can be told from an answer that never became whole; and which forgets, when a
/// question goes out, what was waiting in the line before: it can't be the answer, and where transactions have no numbers it would be taken for it.
#[derive(Debug)]
pub(super) struct Ear<T> {
    wire: T,
    heard: Heard,
    answers: Answers,
    /// Found, and to be handed on.
    answer: Vec<u8>,
}

/// Finds the answer in what comes in.
#[derive(Debug)]
enum Answers {
    Tcp(tcp::Answers),
    Rtu(rtu::Answers),
}

impl Answers {
    fn ask(&mut self, question: &[u8]) {
        match self {
            Self::Tcp(answers) => answers.ask(question),
            Self::Rtu(answers) => answers.ask(question),
        }
    }
    fn hear(&mut self, bytes: &[u8], answer: &mut Vec<u8>) {
        match self {
            Self::Tcp(answers) => answers.hear(bytes, answer),
            Self::Rtu(answers) => answers.hear(bytes, answer),
        }
    }
    fn end(&mut self, answer: &mut Vec<u8>) {
        match self {
            Self::Tcp(answers) => answers.end(answer),
            Self::Rtu(answers) => answers.end(answer),
        }
    }
}

impl<T> Ear<T> {
    /// Of a connection with frames of Modbus TCP.
    pub(super) fn of_tcp(wire: T, heard: Heard) -> Self {
        Self { wire, heard, answers: Answers::Tcp(tcp::Answers::default()), answer: Vec::new() }
    }
    /// Of a line with frames of RTU.
    pub(super) fn of_rtu(wire: T, heard: Heard) -> Self {
        Self { wire, heard, answers: Answers::Rtu(rtu::Answers::default()), answer: Vec::new() }
    }
    /// Moves what of an answer has room; false when there is none.
    fn take(&mut self, into: &mut ReadBuf<'_>) -> bool {
        let count = self.answer.len().min(into.remaining());
        into.put_slice(self.answer.get(..count).unwrap_or_default());
        self.answer.drain(..count);
        count > 0
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Ear<T> {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        loop {
            if this.take(into) {
                return Poll::Ready(Ok(()));
            }
            let mut came = [0; 256];
            let mut came = ReadBuf::new(&mut came);
            match Pin::new(&mut this.wire).poll_read(context, &mut came) {
                Poll::Ready(Ok(())) if came.filled().is_empty() => {
                    this.answers.end(&mut this.answer);
                    this.take(into);
                    return Poll::Ready(Ok(()));
                }
                Poll::Ready(Ok(())) => {}
                other => return other,
            }
            this.heard.hear(came.filled());
            this.answers.hear(came.filled(), &mut this.answer);
        }
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
        self.heard.ask(question);
        self.answers.ask(question);
        self.answer.clear();
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
        let mut ear = Ear::of_tcp(ours, heard.clone());
        theirs.write_all(b"late").await.expect("sent");
        let (question, answer) = ([0, 7, 0, 0, 0, 6, 3, 3, 0, 100, 0, 1], [0, 7, 0, 0, 0, 5, 3, 3, 2, 4, 210]);
        ear.write_all(&question).await.expect("sent");
        assert_eq!(heard.bytes(), 0);
        theirs.write_all(&answer).await.expect("sent");
        let mut said = [0; 11];
        // In pieces, as its reader has room.
        ear.read_exact(&mut said[..5]).await.expect("half an answer");
        ear.read_exact(&mut said[5..]).await.expect("the rest");
        assert_eq!((said, heard.bytes()), (answer, 11));
        assert_eq!((heard.head(), heard.asked()), (answer[..9].to_vec(), question.to_vec()));
    }
}
