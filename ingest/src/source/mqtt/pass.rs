//! By what a client was let in. It is looked at again with each packet: what was revoked ends at once.

use model::{Credential, Device, Link};
use std::sync::Arc;
use store::Registry;

/// How a connection showed who it is, and the device that it was then.
#[derive(Debug, Clone)]
pub(super) struct Pass {
    shown: Shown,
    pub(super) device: Arc<Device>,
    /// Names the connection's holder and nobody else, for sessions and penalties.
    pub(super) holder: String,
}

#[derive(Debug, Clone)]
enum Shown {
    /// A user's password or token.
    User(String),
    Certificate(Credential),
}

impl Pass {
    pub(super) fn of_user(user: &str, device: Arc<Device>) -> Self {
        // A `/` within the user is written otherwise, so that no two clients have one name.
        let holder = user.replace('%', "%25").replace('/', "%2F");
        Self { shown: Shown::User(user.to_owned()), device, holder }
    }
    pub(super) fn of_certificate(certificate: Credential, device: Arc<Device>) -> Self {
        // No user is written like this: its `%` would be followed by digits.
        let holder = format!("%certificate/{}/{}", device.owner, device.id);
        Self { shown: Shown::Certificate(certificate), device, holder }
    }

    /// Whose session it is that this holder has under a client id.
    pub(super) fn client(&self, client_id: &str) -> String {
        format!("{}/{client_id}", self.holder)
    }

    /// The device as it is known now; `None` once its credential has been changed or taken away.
    pub(super) fn device<'r>(&self, registry: &'r Registry) -> Option<&'r Arc<Device>> {
        let known = match &self.shown {
            Shown::User(user) => registry.device_by_user(user),
            Shown::Certificate(certificate) => registry.device_by_certificate(certificate),
        }?;
        (Arc::ptr_eq(known, &self.device) || is_same(known, &self.device)).then_some(known)
    }
}

fn is_same(one: &Device, other: &Device) -> bool {
    let credential = |device: &'_ Device| match &device.link {
        Link::Mqtt { credential, .. } => Some(credential.clone()),
        _ => None,
    };
    one.id == other.id && one.owner == other.owner && credential(one) == credential(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_clients_have_one_name() {
        let device = || {
            Arc::new(Device {
                id: "b".into(),
                owner: "a".into(),
                address: None,
                layout: None,
                lines: None,
                link: Link::Http,
                feeds: Vec::new(),
                retired: false,
            })
        };
        let of_user = |user: &str, client_id: &str| Pass::of_user(user, device()).client(client_id);
        let of_certificate = |client_id: &str| Pass::of_certificate(Credential::CertificateName("n".into()), device()).client(client_id);
        assert_eq!(of_user("prova", "c/1"), "prova/c/1");
        assert_ne!(of_user("a", "b/c"), of_user("a/b", "c"));
        assert_ne!(of_user("a/b", "c"), of_user("a%2Fb", "c"));
        assert_ne!(of_user("%certificate", "a/b/c"), of_certificate("c"));
        assert_ne!(of_user("%certificate/a/b", "c"), of_certificate("c"));
    }
}
