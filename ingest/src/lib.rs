//! Wire to durable: doors, decoders, binding, quality, commit, acknowledgement. [`pipeline`] is the only file that knows the order.

pub mod bind;
pub mod clock;
pub mod commit;
pub mod correct;
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
