//! Turns at the work that takes long: reading large messages. So many at once, and of those who wait one owner after the other, so
//! that nobody's flood holds up what others send.

use model::OwnerId;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

/// Cheap to clone; all clones share the turns.
#[derive(Clone)]
pub(crate) struct Turns(Arc<Mutex<Queue>>);

struct Queue {
    free: usize,
    /// Owners with somebody waiting, in the order in which they are served.
    order: VecDeque<OwnerId>,
    waiting: HashMap<OwnerId, VecDeque<oneshot::Sender<Turn>>>,
}

/// The right to work; given on when it is dropped.
pub(crate) struct Turn(Option<Turns>);

impl Default for Turns {
    /// Half of the cores: the others stay free for small messages and for those who read.
    fn default() -> Self {
        Self::new(std::thread::available_parallelism().map_or(1, |cores| (cores.get() / 2).max(1)))
    }
}

impl Turns {
    pub(crate) fn new(at_once: usize) -> Self {
        Self(Arc::new(Mutex::new(Queue { free: at_once, order: VecDeque::new(), waiting: HashMap::new() })))
    }

    /// Waits for a turn in the name of `owner`. Those of one owner come in the order in which they asked.
    pub(crate) async fn take(&self, owner: &OwnerId) -> Turn {
        let called = {
            let mut queue = self.queue();
            if queue.free > 0 {
                queue.free -= 1;
                return Turn(Some(self.clone()));
            }
            let (call, called) = oneshot::channel();
            if !queue.waiting.contains_key(owner) {
                queue.order.push_back(owner.clone());
            }
            queue.waiting.entry(owner.clone()).or_default().push_back(call);
            called
        };
        // The queue lives as long as this clone of it: nobody who waits is forgotten.
        called.await.unwrap_or(Turn(None))
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// Whoever is next; its owner goes to the end of the line.
    fn next(&mut self) -> Option<oneshot::Sender<Turn>> {
        let owner = self.order.pop_front()?;
        let of_owner = self.waiting.get_mut(&owner)?;
        let next = of_owner.pop_front();
        if of_owner.is_empty() {
            self.waiting.remove(&owner);
        } else {
            self.order.push_back(owner);
        }
        next
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        let Some(turns) = self.0.take() else { return };
        loop {
            let next = {
                let mut queue = turns.queue();
                let next = queue.next();
                if next.is_none() {
                    queue.free += 1;
                }
                next
            };
            let Some(call) = next else { return };
            match call.send(Turn(Some(turns.clone()))) {
                Ok(()) => return,
                // It waits no more. What comes back must not call the next itself, or a long line of those would call each other.
                Err(mut refused) => drop(refused.0.take()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::pin::Pin;
    use std::task::{Context, Poll, Waker};

    type Asking = Pin<Box<dyn Future<Output = Turn>>>;

    fn ask(turns: &Turns, owner: &str) -> Asking {
        let (turns, owner) = (turns.clone(), OwnerId::from(owner));
        let mut asking: Asking = Box::pin(async move { turns.take(&owner).await });
        assert!(look(&mut asking).is_none(), "somebody works");
        asking
    }

    fn look(asking: &mut Asking) -> Option<Turn> {
        match asking.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(turn) => Some(turn),
            Poll::Pending => None,
        }
    }

    #[tokio::test]
    async fn one_owner_s_crowd_does_not_come_before_another_s_first() {
        let turns = Turns::new(1);
        let first = turns.take(&"a".into()).await;
        let mut crowd: Vec<Asking> = (0..3).map(|_| ask(&turns, "a")).collect();
        let mut other = ask(&turns, "b");
        drop(first);
        let second = look(&mut crowd[0]).expect("asked first");
        assert!(look(&mut other).is_none());
        drop(second);
        let third = look(&mut other).expect("the other owner's turn, before the crowd's");
        drop(third);
        drop(look(&mut crowd[1]).expect("the crowd goes on"));
        drop(look(&mut crowd[2]).expect("to its end"));
        drop(turns.take(&"c".into()).await);
    }

    #[tokio::test]
    async fn who_went_away_while_waiting_keeps_nobody_waiting() {
        let turns = Turns::new(1);
        let first = turns.take(&"a".into()).await;
        let gone: Vec<Asking> = (0..1000).map(|_| ask(&turns, "a")).collect();
        let mut left = ask(&turns, "b");
        drop(gone);
        drop(first);
        assert!(look(&mut left).is_some());
        drop(left);
        drop(turns.take(&"c".into()).await);
    }
}
