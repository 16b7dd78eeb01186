//! Durable to HTTP for programs: stations, datastreams, observations, the latest of everything, health. Typed JSON, CSV and
//! GeoJSON, problems as RFC 9457; what a viewer may not see does not exist.

mod api;
mod auth;
mod csv;
mod discreet;
mod export;
mod geo;
mod live;
mod page;
mod partial;
mod problem;
mod query;
mod router;
mod routes;
mod rows;
mod stream;
mod table;
mod wire;

pub use csv::Dialect;
pub use export::write_csv;
pub use router::{not_found, openapi, router};
pub use stream::HeldBytes;
