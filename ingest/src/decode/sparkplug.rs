//! Sparkplug B 3.0: `spBv1.0/{group}/{N|D}{BIRTH|DATA|DEATH}/{node}[/{device}]`, payloads in protobuf. Metrics may stand under a number
//! that a birth gave them, so reading them takes memory: [`Nodes`] holds it, and says what of it belongs on disk.
//!
//! Source: Eclipse Sparkplug specification 3.0, `sparkplug_b.proto`.

mod births;
mod nodes;
mod wire;

pub(crate) use nodes::{Nodes, Rebirth};

use super::uplink::refuse;
use super::{Decoded, Decoder};
use crate::frame::Frame;
use model::RejectReason;

/// Stands in the list of formats; what it reads needs memory, which the pipeline has.
pub(super) struct Sparkplug;

impl Decoder for Sparkplug {
    fn name(&self) -> &'static str {
        "sparkplug"
    }
    fn decode(&self, _: &Frame) -> Decoded {
        *refuse(RejectReason::WrongShape, "a message of Sparkplug can't be read without those before it".into())
    }
}

/// What a topic of Sparkplug says.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Topic<'a> {
    kind: &'a str,
    group: &'a str,
    node: &'a str,
    device: Option<&'a str>,
}

impl<'a> Topic<'a> {
    fn parse(topic: &'a str) -> Option<Self> {
        let mut levels = topic.strip_prefix("spBv1.0/")?.split('/');
        let (group, kind, node) = (levels.next()?, levels.next()?, levels.next()?);
        let device = levels.next();
        levels.next().is_none().then_some(Self { kind, group, node, device })
    }
    fn node_name(&self) -> String {
        format!("{}/{}", self.group, self.node)
    }
    /// As messages call what speaks: the node, or a device of it.
    fn name(&self) -> String {
        self.device.map_or_else(|| self.node_name(), |device| format!("{}/{device}", self.node_name()))
    }
}

#[cfg(test)]
use nodes::Heard;

#[cfg(test)]
mod tests;
