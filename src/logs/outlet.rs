//! A stream that may be slow, full, stuck or gone, written by a thread of its own: whoever says something never waits for it and never fails.

use std::collections::VecDeque;
use std::io::{self, ErrorKind, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Bytes that may wait; what comes beyond is counted and goes.
const ROOM: usize = 1 << 20;
/// Where the stream can't take anything just now.
const WAIT: Duration = Duration::from_millis(20);

/// Hears how many lines were lost so far and why, once one could be written again.
type Tell = fn(u64, &str);

#[derive(Clone)]
pub(crate) struct Outlet(Arc<Shared>);

struct Shared {
    queue: Mutex<Queue>,
    said: Condvar,
    written: Condvar,
}

#[derive(Default)]
struct Queue {
    lines: VecDeque<Vec<u8>>,
    bytes: usize,
    /// The thread has one in its hands.
    is_writing: bool,
    /// Somebody waited for it in vain: nobody waits again until a line went.
    is_stuck: bool,
    lost: u64,
    told: u64,
    cause: String,
    /// The last line could not be written.
    is_broken: bool,
}

impl Outlet {
    /// Without a thread for it everything is lost, and counted.
    pub(crate) fn new(name: &str, stream: impl Write + Send + 'static, tell: Option<Tell>) -> Self {
        let shared = Arc::new(Shared { queue: Mutex::default(), said: Condvar::new(), written: Condvar::new() });
        let writing = shared.clone();
        let _ = std::thread::Builder::new().name(name.to_owned()).spawn(move || writing.write_all_to(stream, tell));
        Self(shared)
    }

    pub(crate) fn say(&self, line: Vec<u8>) {
        let mut queue = self.0.lock();
        if queue.bytes + line.len() > ROOM {
            queue.lose("it takes no more, and too much waits");
            return;
        }
        queue.bytes += line.len();
        queue.lines.push_back(line);
        self.0.said.notify_one();
    }

    /// Waits until all that was said is written or lost, at most so long, and not at all where that was in vain before.
    pub(crate) fn flush(&self, at_most: Duration) {
        let until = Instant::now() + at_most;
        let mut queue = self.0.lock();
        while !queue.is_idle() && !queue.is_stuck {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                queue.is_stuck = true;
                if !queue.is_broken {
                    "it takes nothing, and nobody reads it".clone_into(&mut queue.cause);
                }
                return;
            }
            queue = self.0.written.wait_timeout(queue, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// How many lines were lost since the start, and why, if none can be written now.
    pub(crate) fn trouble(&self) -> (u64, Option<String>) {
        let queue = self.0.lock();
        (queue.lost, (queue.is_broken || queue.is_stuck).then(|| queue.cause.clone()))
    }
}

impl Queue {
    fn is_idle(&self) -> bool {
        self.lines.is_empty() && !self.is_writing
    }
    fn lose(&mut self, cause: &str) {
        self.lost += 1;
        self.is_broken = true;
        cause.clone_into(&mut self.cause);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_all_to(&self, mut stream: impl Write, tell: Option<Tell>) {
        let mut is_cut = false;
        loop {
            let line = {
                let mut queue = self.lock();
                loop {
                    if let Some(line) = queue.lines.pop_front() {
                        queue.bytes -= line.len();
                        queue.is_writing = true;
                        break line;
                    }
                    queue = self.said.wait(queue).unwrap_or_else(PoisonError::into_inner);
                }
            };
            // Half a line may stand there already.
            let written = if is_cut { put(&mut stream, b"\n").and_then(|()| put(&mut stream, &line)) } else { put(&mut stream, &line) };
            is_cut = written.is_err();
            let news = self.settle(written);
            self.written.notify_all();
            if let (Some((lost, cause)), Some(tell)) = (news, tell) {
                tell(lost, &cause);
            }
        }
    }

    /// What is to be told of lost lines, now that one went.
    fn settle(&self, written: io::Result<()>) -> Option<(u64, String)> {
        let mut queue = self.lock();
        (queue.is_writing, queue.is_stuck) = (false, false);
        match written {
            Err(cause) => {
                queue.lose(&cause.to_string());
                None
            }
            Ok(()) => {
                queue.is_broken = false;
                let is_news = queue.lost > queue.told;
                queue.told = queue.lost;
                is_news.then(|| (queue.lost, queue.cause.clone()))
            }
        }
    }
}

/// As [`Write::write_all`], and patient with a stream that somebody made non-blocking.
fn put(stream: &mut impl Write, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match stream.write(bytes) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => bytes = bytes.get(count..).unwrap_or_default(),
            Err(cause) if cause.kind() == ErrorKind::Interrupted => {}
            Err(cause) if cause.kind() == ErrorKind::WouldBlock => std::thread::sleep(WAIT),
            Err(cause) => return Err(cause),
        }
    }
    stream.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};
    use std::sync::mpsc;

    /// Does what it is told before each write.
    struct Stream(mpsc::Receiver<io::Result<()>>, Arc<Mutex<Vec<u8>>>);

    impl Write for Stream {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.recv().unwrap_or(Ok(()))?;
            self.1.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    static TOLD: AtomicU64 = AtomicU64::new(0);

    #[test]
    fn a_stream_that_is_full_or_stuck_delays_nobody_and_what_was_lost_is_counted_and_told() {
        let (next, orders) = mpsc::channel();
        let text = Arc::new(Mutex::new(Vec::new()));
        let outlet = Outlet::new("test", Stream(orders, text.clone()), Some(|lost, _| TOLD.store(lost, Ordering::SeqCst)));
        next.send(Err(ErrorKind::StorageFull.into())).unwrap();
        outlet.say(b"lost\n".to_vec());
        outlet.flush(Duration::from_secs(10));
        assert_eq!(outlet.trouble().0, 1);
        assert!(outlet.trouble().1.is_some(), "it says that it can't write");

        // Stuck: nobody waits, and what there is no room for is counted.
        outlet.say(b"waits\n".to_vec());
        outlet.flush(Duration::from_millis(1));
        outlet.flush(Duration::from_secs(3600));
        (0..2000).for_each(|_| outlet.say(vec![b'x'; 1024]));
        let (lost, cause) = outlet.trouble();
        assert!(lost > 900 && cause.is_some(), "{lost} {cause:?}");

        // It goes on: all that waited is there, after what may be half a line, and the loss is told.
        drop(next);
        while outlet.trouble().1.is_some() {
            std::thread::yield_now();
        }
        outlet.flush(Duration::from_secs(10));
        assert!(text.lock().unwrap().starts_with(b"\nwaits\nxxx"));
        assert_eq!(TOLD.load(Ordering::SeqCst), lost);
    }
}
