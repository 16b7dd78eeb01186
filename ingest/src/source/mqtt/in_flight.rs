//! The messages of one connection that are not yet settled with its client.

use super::codec::Delivery;
use mqtt_proto::Pid;
use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::Semaphore;

/// Packet ids in use, for as long as the connection lasts; those of QoS 2 for as long as a kept session does. A client that comes back sends anew what it does not know to be taken;
/// the identity of an observation makes that harmless.
pub(super) struct InFlight {
    room: Semaphore,
    most_unreleased: usize,
    pids: Mutex<Pids>,
}

#[derive(Default)]
struct Pids {
    /// QoS 1, until their PUBACK.
    unacknowledged: HashSet<u16>,
    /// QoS 2, until the client's PUBREL.
    unreleased: HashMap<u16, Stage>,
}

#[derive(Clone, Copy)]
enum Stage {
    OnItsWay,
    /// On disk; its PUBREC was said.
    Received,
}

/// What a message is to us that has just come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Arrival {
    New,
    /// Came again while it is on its way: it is kept and answered once.
    OnItsWay,
    /// QoS 2, on disk already: only its PUBREC must be said again.
    Received,
    /// QoS 2, beyond what a client may begin without releasing any.
    TooMany,
}

impl InFlight {
    /// Room for so many on their way to the disk, and for so many of QoS 2 that the client has not released.
    pub(super) fn new(most: u16, most_unreleased: usize) -> Self {
        Self { room: Semaphore::new(usize::from(most)), most_unreleased, pids: Mutex::default() }
    }

    /// Notes the packet id of a message that has come in. A QoS 1 message in flight comes again only with `dup`; one of QoS 2 is
    /// the same until it is released, whatever it says.
    pub(super) fn begin(&self, delivery: Delivery, dup: bool) -> Arrival {
        match delivery {
            Delivery::Qos0 => Arrival::New,
            Delivery::Qos1(pid) if self.pids().unacknowledged.insert(pid.value()) || !dup => Arrival::New,
            Delivery::Qos1(_) => Arrival::OnItsWay,
            Delivery::Qos2(pid) => {
                let mut pids = self.pids();
                match pids.unreleased.get(&pid.value()) {
                    Some(Stage::OnItsWay) => Arrival::OnItsWay,
                    Some(Stage::Received) => Arrival::Received,
                    None if pids.unreleased.len() >= self.most_unreleased => Arrival::TooMany,
                    None => {
                        pids.unreleased.insert(pid.value(), Stage::OnItsWay);
                        Arrival::New
                    }
                }
            }
        }
    }

    /// Waits until there is room for one more on its way to the disk.
    pub(super) async fn room(&self) {
        if let Ok(permit) = self.room.acquire().await {
            permit.forget();
        }
    }
    /// One is on disk.
    pub(super) fn settled(&self) {
        self.room.add_permits(1);
    }
    /// QoS 1: its PUBACK is said.
    pub(super) fn acknowledged(&self, pid: Pid) {
        self.pids().unacknowledged.remove(&pid.value());
    }
    /// QoS 2: its PUBREC is said.
    pub(super) fn received(&self, pid: Pid) {
        if let Some(stage) = self.pids().unreleased.get_mut(&pid.value()) {
            *stage = Stage::Received;
        }
    }
    /// QoS 2: the next message with this packet id is a new one.
    pub(super) fn release(&self, pid: Pid) {
        self.pids().unreleased.remove(&pid.value());
    }

    /// QoS 2: what is on disk and not released.
    pub(super) fn unreleased(&self) -> Vec<u16> {
        let pids = self.pids();
        pids.unreleased.iter().filter(|(_, stage)| matches!(stage, Stage::Received)).map(|(pid, _)| *pid).collect()
    }
    /// QoS 2: goes on with what the session's last connection left unreleased.
    pub(super) fn resume(&self, unreleased: Vec<u16>) {
        self.pids().unreleased.extend(unreleased.into_iter().map(|pid| (pid, Stage::Received)));
    }

    fn pids(&self) -> MutexGuard<'_, Pids> {
        self.pids.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pid(number: u16) -> Pid {
        Pid::try_from(number).expect("not 0")
    }

    #[test]
    fn a_message_in_flight_that_comes_again_is_taken_once() {
        let in_flight = InFlight::new(64, 64);
        let begin = |dup| in_flight.begin(Delivery::Qos1(pid(5)), dup);
        assert_eq!([begin(false), begin(true), begin(false)], [Arrival::New, Arrival::OnItsWay, Arrival::New]);
        in_flight.acknowledged(pid(5));
        assert_eq!(begin(true), Arrival::New, "sent again after its acknowledgement was lost");
    }

    #[test]
    fn a_message_of_qos_2_is_the_same_until_it_is_released() {
        let in_flight = InFlight::new(64, 2);
        let begin = |number, dup| in_flight.begin(Delivery::Qos2(pid(number)), dup);
        assert_eq!([begin(5, false), begin(5, true), begin(5, false)], [Arrival::New, Arrival::OnItsWay, Arrival::OnItsWay]);
        in_flight.received(pid(5));
        assert_eq!([begin(5, true), begin(6, false), begin(7, false)], [Arrival::Received, Arrival::New, Arrival::TooMany]);
        in_flight.release(pid(5));
        assert_eq!([begin(7, false), begin(5, false)], [Arrival::New, Arrival::TooMany]);
    }
}
