//! Wire to durable: doors, decoders, binding, quality, commit, acknowledgement. [`pipeline`] is the only file that knows the order.

pub mod commit;
pub mod decode;
pub mod frame;
pub mod pipeline;
pub mod source;
