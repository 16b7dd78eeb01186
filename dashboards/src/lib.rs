//! Durable to pages for people: made whole by the server, Italian first, right without JavaScript; one small island keeps an
//! open page current. Everything is read through a [`store::View`].

mod assets;
mod chart;
mod language;
mod look;
mod pages;
mod router;
mod search;
mod spark;
mod words;

pub use router::{Programs, router};
