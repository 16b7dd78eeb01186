//! Which device and channel a topic names, and whether the sender may speak for it.

use super::filter::meet;
use crate::decode;
use model::{Device, DeviceId, Link, OwnerId};

/// Bytes of a topic or a filter.
pub(super) const LONGEST: usize = 512;

/// A topic that can't stand in a publish: empty, with a wildcard, too long.
pub(super) fn is_publishable(topic: &str) -> bool {
    !topic.is_empty() && topic.len() <= LONGEST && !topic.contains(['+', '#', '\0'])
}

/// Where a mosquitto that is a bridge to us says that it is connected (its `notifications`, on by default): no reading is in it.
pub(super) fn is_bridge_state(topic: &str) -> bool {
    topic.strip_prefix("$SYS/broker/connection/").is_some_and(|rest| rest.ends_with("/state"))
}

/// `pescaia/v1/{owner}/{device}[/{channel}]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address {
    pub(crate) owner: OwnerId,
    pub(crate) device: DeviceId,
    pub(crate) channel: Option<String>,
}

impl Address {
    pub(crate) fn parse(topic: &str) -> Option<Self> {
        let mut levels = topic.strip_prefix("pescaia/v1/")?.split('/');
        let (owner, device) = (levels.next()?, levels.next()?);
        let channel = levels.next();
        let whole = levels.next().is_none() && model::is_slug(owner) && model::is_slug(device) && channel != Some("");
        whole.then(|| Self { owner: owner.into(), device: device.into(), channel: channel.map(str::to_owned) })
    }
    /// A device speaks for itself; a gateway for every device of its owner.
    pub(super) fn may_be_used_by(&self, device: &Device) -> bool {
        let gateway = matches!(device.link, Link::Mqtt { gateway: true, .. });
        self.owner == device.owner && (gateway || self.device == device.id)
    }
}

/// The format of a gateway that publishes on topics which its format has of its own; `None` where it may not, or has none.
pub(super) fn format_of_own_topic(topic: &str, sender: &Device) -> Option<&'static str> {
    let Link::Mqtt { gateway: true, format, .. } = &sender.link else { return None };
    let known = model::own_topics(format)?.iter().any(|filter| meet(filter, topic));
    known.then(|| decode::spoken(format))?
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(gateway: bool) -> Device {
        let credential = model::Credential::Password(String::new());
        let link = Link::Mqtt { user: Some("u".into()), credential, gateway, format: "native".into() };
        Device {
            id: "prova".into(),
            owner: "demo".into(),
            address: None,
            layout: None,
            lines: None,
            link,
            feeds: Vec::new(),
            retired: false,
        }
    }

    /// The formats of gateways are known here once their decoders are: until then nothing of theirs is let in.
    #[test]
    fn a_gateway_may_use_its_format_s_own_topics() {
        let speaks = |gateway, format: &str| {
            let credential = model::Credential::Password(String::new());
            let link = Link::Mqtt { user: Some("u".into()), credential, gateway, format: format.into() };
            Device {
                id: "ponte".into(),
                owner: "demo".into(),
                address: None,
                layout: None,
                lines: None,
                link,
                feeds: Vec::new(),
                retired: false,
            }
        };
        for (format, topic, is_own) in [
            ("chirpstack", "application/7/device/0102030405060708/event/up", true),
            ("chirpstack", "application/7/device/0102030405060708/command/down", false),
            ("tts", "v3/app@ttn/devices/gauge/up", true),
            ("tts", "v3/app@ttn/devices/gauge/down/push", false),
            ("sparkplug", "spBv1.0/group/NBIRTH/node", true),
            ("sparkplug", "spBv1.0/group/DDATA/node/device", true),
            ("sparkplug", "spBv1.0/STATE/host", false),
            ("native", "application/7/device/0102030405060708/event/up", false),
        ] {
            let expected = decode::spoken(format).filter(|_| is_own);
            assert_eq!(format_of_own_topic(topic, &speaks(true, format)), expected, "{format} {topic}");
            assert_eq!(format_of_own_topic(topic, &speaks(false, format)), None, "no gateway: {format} {topic}");
        }
    }

    /// Whether the device itself, and a gateway of its owner, may publish there.
    fn check(topic: &str, expected: (bool, bool)) {
        let may = |gateway| is_publishable(topic) && Address::parse(topic).is_some_and(|address| address.may_be_used_by(&device(gateway)));
        assert_eq!((may(false), may(true)), expected, "{topic}");
    }

    #[test]
    fn a_credential_reaches_its_own_topics_and_no_others() {
        check("pescaia/v1/demo/prova", (true, true));
        check("pescaia/v1/demo/prova/level", (true, true));
        check("pescaia/v1/demo/altra/level", (false, true));
        for other in [
            "",
            "+",
            "#",
            "$SYS/x",
            "$share/g/pescaia/v1/demo/prova",
            "pescaia/v1/other/prova",
            "pescaia/v1/demo/prova/level/more",
            "pescaia/v1/demo/prova/",
            "pescaia/v1/demo//level",
            "pescaia/v1//prova",
            "pescaia/v2/demo/prova",
            "pescaia/v1/demo/../prova",
            "pescaia/v1/demo/prova/+",
            "pescaia/v1/demo%2fprova",
            "pescaia/v1/demo",
            "/pescaia/v1/demo/prova",
            "pescaia/v1/Demo/prova",
            "pescaia/v1/dem\u{43e}/prova",
        ] {
            check(other, (false, false));
        }
        check(&format!("pescaia/v1/demo/prova/{}", "x".repeat(600)), (false, false));
    }
}
