//! The one integration program: the real binary, real sockets, real clients, asked only through its public doors.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing, clippy::print_stderr, reason = "tests")]

mod contracts;
mod faults;
mod house;
mod journeys;
mod on_disk;
mod support;
