//! F19: thousands of schedules. What can happen to a connection (a publish, a commit that is made or fails, a ping, room on the wire) happens
//! in an order that the seed chooses, between any two steps of the real [`Mouth`]; it is polled only when it was woken, as a runtime does.

use super::*;
use std::collections::VecDeque;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Wake;

/// A small repeatable generator.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).expect("31 bits") % sides
    }
}

/// A wire that takes as many bytes as there is room for, and remembers them.
#[derive(Clone, Default)]
struct Wire(Arc<Mutex<Taken>>);

#[derive(Default)]
struct Taken {
    room: usize,
    bytes: Vec<u8>,
    waiting: Option<Waker>,
}

impl Wire {
    fn make_room(&self, room: usize) {
        let mut taken = self.0.lock().expect("a wire");
        taken.room = room;
        taken.waiting.take().into_iter().for_each(Waker::wake);
    }
    /// Packet ids of the PUBACKs and PUBRECs that went out whole.
    fn acknowledged(&self) -> Vec<u16> {
        let taken = self.0.lock().expect("a wire");
        let (mut rest, mut found) = (taken.bytes.as_slice(), Vec::new());
        while let [first, length, body @ ..] = rest {
            let Some((body, after)) = body.split_at_checked(usize::from(*length)) else { break };
            if matches!(first, 0x40 | 0x50) {
                found.push(u16::from_be_bytes([body[0], body[1]]));
            }
            rest = after;
        }
        found
    }
}

impl AsyncWrite for Wire {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<std::io::Result<usize>> {
        let mut taken = self.0.lock().expect("a wire");
        let count = taken.room.min(bytes.len());
        if count == 0 {
            taken.waiting = Some(context.waker().clone());
            return Poll::Pending;
        }
        taken.room -= count;
        taken.bytes.extend_from_slice(&bytes[..count]);
        Poll::Ready(Ok(count))
    }
    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<std::io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

/// Whether somebody should be polled.
struct Woken(AtomicBool);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// A message, in the order of receipt.
struct Message {
    pid: u16,
    wants_answer: bool,
    commit: Option<Commit>,
    /// Whether its commit was made; `None` while it is on its way.
    is_durable: Option<bool>,
}

struct Play {
    dice: Dice,
    wire: Wire,
    answers: Option<Answers>,
    in_flight: Arc<InFlight>,
    mouth: Pin<Box<dyn Future<Output = Ended>>>,
    ended: Option<Ended>,
    woken: Arc<Woken>,
    messages: Vec<Message>,
    pings: usize,
}

impl Play {
    fn new(seed: u64, listener: Arc<Listener>) -> Self {
        let mut dice = Dice(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1);
        let version = if dice.roll(2) == 0 { Version::V3 } else { Version::V5 };
        let (wire, in_flight) = (Wire::default(), Arc::new(InFlight::new(64, 64)));
        let (answers, replies) = Answers::channel();
        let patience = Duration::from_secs(3600);
        let mouth = Mouth {
            write: wire.clone(),
            version,
            in_flight: in_flight.clone(),
            patience,
            listener,
            listening: false,
            out: Vec::new(),
            front: None,
        };
        Self {
            dice,
            wire,
            answers: Some(answers),
            in_flight,
            mouth: Box::pin(mouth.run(replies)),
            ended: None,
            woken: Arc::new(Woken(AtomicBool::new(true))),
            messages: Vec::new(),
            pings: 0,
        }
    }
    fn publish(&mut self) {
        let pid = u16::try_from(self.messages.len() + 1).expect("few");
        let known = Pid::try_from(pid).expect("not 0");
        let delivery = [Delivery::Qos0, Delivery::Qos1(known), Delivery::Qos1(known), Delivery::Qos2(known)][self.dice.roll(4)];
        self.in_flight.begin(delivery, false);
        let (commit, settling) = on_its_way();
        if let Some(answers) = &self.answers {
            answers.after(Reply { delivery, settling });
        }
        let wants_answer = !matches!(delivery, Delivery::Qos0);
        self.messages.push(Message { pid, wants_answer, commit: Some(commit), is_durable: None });
    }
    /// A commit that is on its way, any of them, is made, or fails.
    fn commit(&mut self, fails: bool) {
        let open: Vec<usize> = (0..self.messages.len()).filter(|place| self.messages[*place].commit.is_some()).collect();
        if open.is_empty() {
            return;
        }
        let place = open[self.dice.roll(open.len())];
        let message = &mut self.messages[place];
        message.is_durable = Some(!fails);
        let cause = if self.dice.roll(2) == 0 { Error::Full } else { Error::Closed };
        if let Some(commit) = message.commit.take() {
            let _ = commit.send(if fails { Err(cause) } else { durable() });
        }
    }
    fn ping(&mut self) {
        if let Some(answers) = &self.answers {
            let mut saying = std::pin::pin!(answers.now(Outgoing::Pong));
            let _ = saying.as_mut().poll(&mut Context::from_waker(Waker::noop()));
            self.pings += 1;
        }
    }
    fn poll(&mut self) {
        if self.ended.is_none() && self.woken.0.swap(false, Ordering::Relaxed) {
            let waker = Waker::from(self.woken.clone());
            if let Poll::Ready(ended) = self.mouth.as_mut().poll(&mut Context::from_waker(&waker)) {
                self.ended = Some(ended);
            }
        }
    }
    /// What was said is on disk, in the order of receipt, and nothing is said past what is not.
    fn judge(&self, seed: u64) {
        let said = self.wire.acknowledged();
        let mut expected: VecDeque<&Message> = self.messages.iter().filter(|message| message.wants_answer).collect();
        for pid in said {
            let message = expected.pop_front().unwrap_or_else(|| panic!("seed {seed}: {pid} was acknowledged and never sent"));
            assert_eq!(message.pid, pid, "seed {seed}: in the order of receipt");
            let before = self.messages.iter().take_while(|other| other.pid <= pid);
            for other in before {
                assert_eq!(other.is_durable, Some(true), "seed {seed}: {pid} was acknowledged while {} was not on disk", other.pid);
            }
        }
    }
}

/// One schedule; how many acknowledgements there were, and whether a commit failed.
fn play(seed: u64, listener: Arc<Listener>) -> (usize, bool) {
    let mut play = Play::new(seed, listener);
    let fails_at = play.dice.roll(120);
    for step in 0..20 + play.dice.roll(80) {
        match play.dice.roll(10) {
            _ if step == fails_at => play.commit(true),
            0..3 => play.publish(),
            3..5 => play.commit(false),
            5 => play.ping(),
            6 => {
                let room = play.dice.roll(12);
                play.wire.make_room(room);
            }
            _ => play.poll(),
        }
        play.judge(seed);
    }
    // The client is gone; what is on its way ends in any order.
    play.answers = None;
    while play.messages.iter().any(|message| message.commit.is_some()) {
        play.commit(false);
        if play.dice.roll(2) == 0 {
            play.poll();
            play.judge(seed);
        }
    }
    play.wire.make_room(usize::MAX);
    while play.ended.is_none() && play.woken.0.load(Ordering::Relaxed) {
        play.poll();
        play.judge(seed);
    }
    let failed = play.messages.iter().position(|message| message.is_durable == Some(false));
    let ended = play.ended.unwrap_or_else(|| panic!("seed {seed}: it waits for something that has been, and was not told"));
    assert_eq!(matches!(ended, Ended::Store | Ended::Full), failed.is_some(), "seed {seed}: {ended:?}");
    let must = play.messages.iter().take(failed.unwrap_or(usize::MAX)).filter(|message| message.wants_answer).count();
    let said = play.wire.acknowledged().len();
    assert_eq!(said, must, "seed {seed}: everything before what failed is acknowledged");
    (said, failed.is_some())
}

#[test]
fn no_schedule_acknowledges_before_the_commit_out_of_order_or_past_a_failed_one() {
    let seeds = if std::env::var("PESCAIA_LONG").is_ok() { 300_000 } else { 10_000 };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime");
    let _entered = runtime.enter();
    let listener = listener();
    let (mut acknowledged, mut failed) = (0, 0);
    for seed in 0..seeds {
        let (said, has_failed) = play(seed, listener.clone());
        (acknowledged, failed) = (acknowledged + said, failed + u64::from(has_failed));
    }
    eprintln!("F19: {seeds} schedules, {acknowledged} acknowledgements, {failed} with a commit that failed");
    assert!(acknowledged > 5 * usize::try_from(seeds).expect("few") && failed > seeds / 20, "enough happened");
}
