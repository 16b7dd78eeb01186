use super::*;
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Waker};

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn strangers(most: usize, per_address: usize, exempt: &[&str]) -> Strangers {
    let exempt = Networks(exempt.iter().map(|text| text.parse().expect("a network")).collect());
    Strangers::new(StrangerLimits { most, per_address, exempt })
}

fn must_go(stranger: &Stranger) -> bool {
    pin!(stranger.evicted()).poll(&mut Context::from_waker(Waker::noop())).is_ready()
}

#[test]
fn the_oldest_that_is_silent_makes_room_and_who_has_greeted_does_not() {
    let strangers = strangers(8, 3, &[]);
    let one = address("192.0.2.1");
    let first = strangers.admit(one).expect("a place");
    first.has_greeted();
    let [second, third, fourth] = [(); 3].map(|()| strangers.admit(one).expect("a place"));
    let elsewhere = strangers.admit(address("192.0.2.2")).expect("a place");
    assert!(![&first, &second, &third, &fourth, &elsewhere].into_iter().any(must_go), "three are silent");
    let fifth = strangers.admit(one).expect("a place");
    assert!(must_go(&second) && ![&first, &third, &fourth, &fifth, &elsewhere].into_iter().any(must_go), "the oldest that is silent");
    [&third, &fourth, &fifth].into_iter().for_each(Stranger::has_greeted);
    assert!(strangers.admit(one).is_none(), "half of all places are of its greetings that are looked at");
    drop(first);
    assert!(strangers.admit(one).is_some(), "one has shown who it is");
    drop((second, third, fourth, fifth, elsewhere));
    assert!(strangers.held().of.is_empty() && strangers.held().known.is_empty() && strangers.held().silent.is_empty());
}

#[test]
fn who_was_told_to_go_while_its_greeting_lay_unread_stays() {
    let strangers = strangers(8, 1, &[]);
    let one = address("192.0.2.1");
    let first = strangers.admit(one).expect("a place");
    let second = strangers.admit(one).expect("a place");
    first.has_greeted();
    assert!(!must_go(&first));
    second.has_greeted();
    second.has_to_greet_again();
    let third = strangers.admit(one).expect("a place");
    assert!(must_go(&second) && !must_go(&third), "a handshake alone is no greeting");
    let (went, told) = (third.eviction(), strangers.admit(one));
    drop(third);
    assert!(pin!(went).poll(&mut Context::from_waker(Waker::noop())).is_pending(), "no stranger any more");
    drop((first, second, told));
    assert!(strangers.held().of.is_empty() && strangers.held().silent.is_empty());
}

#[test]
fn all_addresses_together_have_a_limit_too_and_an_exempt_one_has_no_other() {
    let strangers = strangers(3, 2, &["192.0.2.0/24"]);
    let first = strangers.admit(address("198.51.100.1")).expect("a place");
    let proxied: Vec<Stranger> = (0..3).map(|_| strangers.admit(address("192.0.2.9")).expect("a place")).collect();
    assert!(must_go(&first) && !proxied.iter().any(must_go));
}

#[test]
fn a_subscriber_of_ipv6_is_one_however_many_addresses_it_has() {
    assert_eq!(group_of(address("2001:db8:1:2::1")), group_of(address("2001:db8:1:2:ffff::9")));
    assert_ne!(group_of(address("2001:db8:1:2::1")), group_of(address("2001:db8:1:3::1")));
    assert_eq!(group_of(address("::ffff:192.0.2.1")), address("192.0.2.1"));
}

#[test]
fn networks_hold_what_begins_alike() {
    let check = |network: &str, inside: &str, outside: &str| {
        let network: Network = network.parse().expect("a network");
        assert!(network.contains(address(inside)) && !network.contains(address(outside)), "{network:?}");
    };
    check("10.0.0.0/8", "10.255.1.2", "11.0.0.0");
    check("10.1.2.3", "::ffff:10.1.2.3", "10.1.2.4");
    check("2001:db8::/32", "2001:db8:ffff::1", "2001:db9::");
    check("0.0.0.0/0", "203.0.113.9", "::1");
    for wrong in ["10.0.0.0/33", "10.0.0", "", "10.0.0.0/x", "::/129"] {
        assert!(wrong.parse::<Network>().is_err(), "{wrong}");
    }
}

#[test]
fn wrong_sign_ins_are_forgotten_one_each_second_and_right_ones_at_once() {
    let wrong = WrongSignIns::new(3, Networks::default());
    let (one, other, now) = (address("192.0.2.1"), address("192.0.2.2"), Instant::now());
    let pending: Vec<Attempt<'_>> = (0..3).map(|_| wrong.begin(one, now).expect("a try")).collect();
    assert!(wrong.begin(one, now).is_none(), "three are being looked at");
    pending.into_iter().for_each(Attempt::was_right);
    for _ in 0..3 {
        assert!(wrong.begin(one, now).is_some());
    }
    assert!(wrong.begin(one, now).is_none() && wrong.begin(other, now).is_some());
    let later = now + Duration::from_millis(1100);
    assert!(wrong.begin(one, later).is_some(), "a second is over");
    assert!(wrong.begin(one, later).is_none());
    let exempt = WrongSignIns::new(1, Networks(vec!["192.0.2.0/24".parse().expect("a network")]));
    assert!((0..9).all(|_| exempt.begin(one, now).is_some()));
}

#[test]
fn a_door_without_descriptors_waits_longer_each_time_and_tells_once_a_minute() {
    let (mut failures, now) = (AcceptFailures::default(), Instant::now());
    let full = || std::io::Error::from_raw_os_error(24);
    let (first, told) = failures.another(&full(), now);
    assert!(told && first == SHORTEST_PAUSE);
    let pauses: Vec<Duration> = (0..20).map(|_| failures.another(&full(), now)).map(|(pause, told)| (pause, assert!(!told)).0).collect();
    assert!(pauses.is_sorted() && pauses.last() == Some(&LONGEST_PAUSE));
    assert!(failures.another(&full(), now + TELL_EVERY).1);
    failures.over();
    assert_eq!(failures.another(&full(), now).0, SHORTEST_PAUSE);
    assert_eq!(failures.another(&std::io::ErrorKind::ConnectionAborted.into(), now), (Duration::ZERO, false));
}
