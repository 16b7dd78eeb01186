//! By what a client was let in. It is looked at again with each message: what was revoked ends at once.

use model::{Device, Link};
use std::sync::Arc;
use store::Registry;

/// The credential of a connection, and the device that it belonged to when it came in.
#[derive(Debug, Clone)]
pub(super) struct Pass {
    pub(super) user: String,
    pub(super) device: Arc<Device>,
}

impl Pass {
    /// The device as it is known now; `None` once its credential has been changed or taken away.
    pub(super) fn device<'r>(&self, registry: &'r Registry) -> Option<&'r Arc<Device>> {
        let known = registry.device_by_user(&self.user)?;
        (Arc::ptr_eq(known, &self.device) || is_same(known, &self.device)).then_some(known)
    }
}

fn is_same(one: &Device, other: &Device) -> bool {
    let credential = |device: &Device| match &device.link {
        Link::Mqtt { password_hash, .. } => Some(password_hash.clone()),
        _ => None,
    };
    one.id == other.id && one.owner == other.owner && credential(one) == credential(other)
}
