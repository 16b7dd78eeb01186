use super::*;
use crate::Replayed;
use crate::engine::{Change, Memory};
use model::{Message, Reject};
use std::sync::Arc;

fn reject(owner: &str, bytes: &str, at_s: i64) -> Reject {
    let message = Message {
        source: "mqtt",
        format: "native",
        route: "pescaia/v1/o/d".into(),
        owner: Some(owner.into()),
        device: Some("d".into()),
        channel: None,
        received_at: Timestamp::from_seconds(at_s),
        uptime: None,
        bytes: bytes.as_bytes().into(),
    };
    Reject {
        reason: RejectReason::Unreadable,
        detail: "no JSON".into(),
        place: 0,
        said: None,
        line: "d".into(),
        count: 1,
        message: Arc::new(message),
    }
}

struct World {
    engine: Memory,
    shelf: Shelf,
}

impl World {
    fn new(room: Room) -> Self {
        let engine = Memory::default();
        Self { shelf: Shelf::restore(&engine).expect("empty").with_room(room), engine }
    }
    fn commit(&mut self, rejects: &[Reject], replayed: Option<&Replayed>) {
        let (mut plan, mut changes) = (Plan::default(), Vec::<Change>::new());
        self.shelf.put(rejects, &mut plan);
        if let Some(replayed) = replayed {
            self.shelf.replayed(replayed, &self.engine, &mut plan, &mut changes).expect("planned");
        }
        self.shelf.end(&mut plan, &self.engine, &mut changes).expect("planned");
        self.engine.commit(&changes).expect("committed");
        self.shelf.publish(plan);
    }
    /// Number, bytes and count of what waits, newest first.
    fn check(&self, expected: &[(u64, &str, u64)]) {
        let mut found = Vec::new();
        each_entry(&self.engine, &mut |entry| {
            found.push((entry.number, String::from_utf8(entry.bytes).expect("text"), entry.count));
            true
        })
        .expect("read");
        let found: Vec<_> = found.iter().map(|(number, bytes, count)| (*number, bytes.as_str(), *count)).collect();
        assert_eq!(found, expected);
    }
}

#[test]
fn the_same_message_is_one_entry_however_often_it_comes() {
    let mut world = World::new(Room::default());
    world.commit(&[reject("o", "a", 1), reject("o", "b", 2), reject("o", "a", 3)], None);
    world.check(&[(2, "b", 1), (1, "a", 2)]);
    world.commit(&[reject("o", "a", 4), reject("o", "a", 5), reject("p", "a", 6)], None);
    world.check(&[(3, "a", 1), (2, "b", 1), (1, "a", 4)]);
    world.commit(&[], Some(&Replayed { number: 1, left: Vec::new() }));
    world.commit(&[reject("o", "a", 7)], None);
    world.check(&[(4, "a", 1), (3, "a", 1), (2, "b", 1)]);
}

#[test]
fn an_owner_with_more_than_there_is_room_for_loses_its_oldest_and_no_other_does() {
    let mut world = World::new(Room { entries: 3, bytes: 6 });
    world.commit(&[reject("p", "p", 0)], None);
    for (at, bytes) in ["aa", "bb", "cc"].into_iter().enumerate() {
        world.commit(&[reject("o", bytes, i64::try_from(at).expect("small"))], None);
    }
    world.check(&[(4, "cc", 1), (3, "bb", 1), (2, "aa", 1), (1, "p", 1)]);
    world.commit(&[reject("o", "d", 9)], None);
    world.check(&[(5, "d", 1), (4, "cc", 1), (3, "bb", 1), (1, "p", 1)]);
    world.commit(&[reject("o", "eeee", 10)], None);
    world.check(&[(6, "eeee", 1), (5, "d", 1), (1, "p", 1)]);
    assert_eq!((world.shelf.dropped(Some(&"o".into())), world.shelf.dropped(Some(&"p".into()))), (3, 0));
    let again = Shelf::restore(&world.engine).expect("read");
    assert_eq!((again.dropped(Some(&"o".into())), again.dropped(None)), (3, 0), "the count outlives the process");
}
