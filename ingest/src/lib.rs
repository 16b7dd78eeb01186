//! Wire to durable: doors, decoders, binding, quality, commit, acknowledgement. [`pipeline`] is the only file that knows the order.

pub mod bind;
mod body_room;
mod bounds;
pub mod clock;
mod clocks;
pub mod commit;
pub mod correct;
mod decimal;
pub mod decode;
mod echo;
pub mod edge;
#[cfg(test)]
mod fixture;
pub mod frame;
pub mod import;
pub mod meters;
pub mod pipeline;
pub mod propose;
pub mod qualify;
mod recurring;
pub mod redecode;
pub mod replay;
mod shown;
pub mod source;
mod turns;
