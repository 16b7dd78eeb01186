//! Reading kept raw payloads again, once their device's layout is mended: what comes out otherwise is a new revision, the old stays.

use crate::decode::RawPayload;
use crate::frame::Frame;
use crate::pipeline::Intake;
use crate::replay::Mode;
use bytes::Bytes;
use model::{Device, Interval, Timestamp};
use std::sync::Arc;
use store::{Batch, Error, Outcome, Payload};

/// Payloads in one commit.
const GROUP: usize = 1000;

/// What became of a device's payloads.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Redecoded {
    pub payloads: u64,
    pub accepted: u64,
    pub unchanged: u64,
    pub revised: u64,
    /// Readings that were deleted for good, and stay so.
    pub deleted: u64,
    /// Payloads that the layout can't read, with the reason of the last.
    pub refused: u64,
    pub reason: Option<String>,
}

impl Intake {
    /// Reads the raw payloads that came from a device in `interval` again, as its layout stands now. In a dry run everything counts as
    /// accepted. For threads that may block.
    ///
    /// # Errors
    /// As [`store::Store::commit`], [`Error::Damaged`] when a deletion can't be read; what was committed before stays, and doing it again
    /// goes on.
    pub fn redecode(&self, device: &Arc<Device>, interval: Interval, mode: Mode) -> Result<Redecoded, Error> {
        let mut done = Redecoded::default();
        let (is_deleted, registry) = (self.store().is_deleted()?, self.store().registry());
        let mut from = interval.from;
        loop {
            let group = self.store().payloads(&device.owner, &device.id, Interval::new(from, interval.to), GROUP)?;
            let Some(last) = group.last() else { return Ok(done) };
            from = last.received_at.plus_micros(1);
            let mut observations = Vec::new();
            for payload in group {
                done.payloads += 1;
                let mut taken = self.read_raw(device, payload);
                done.deleted += taken.without(&is_deleted, &registry);
                observations.extend(taken.observations);
                if let Some(refused) = taken.refused.last() {
                    done.refused += 1;
                    done.reason = Some(refused.placed.what.detail.clone());
                }
            }
            if mode == Mode::DryRun {
                done.accepted += observations.len() as u64;
                continue;
            }
            let receipt = self.store().commit_blocking(Batch { observations, ..Batch::default() })?;
            for outcome in receipt.outcomes {
                match outcome {
                    Outcome::Accepted => done.accepted += 1,
                    Outcome::Duplicate => done.unchanged += 1,
                    Outcome::Revised => done.revised += 1,
                }
            }
        }
    }

    fn read_raw(&self, device: &Device, payload: Payload) -> crate::pipeline::Taken {
        let frame = frame(device, payload.received_at);
        let raw = RawPayload { device: device.id.clone(), port: payload.port, time: payload.heard_at, bytes: payload.bytes };
        self.read_payload(&frame, raw)
    }
}

fn frame(device: &Device, received_at: Timestamp) -> Frame {
    Frame {
        source: "http",
        format: "native",
        route: "redecode".into(),
        owner: device.owner.clone(),
        device: Some(device.id.clone()),
        channel: None,
        received_at,
        bytes: Bytes::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bind::Limits;
    use crate::fixture;
    use crate::meters::Meters;
    use model::{Clock, Scope, Viewer};
    use store::load_embedded;

    const DEVICE: &str = r#"
    [[owner]]
    id = "demo"
    name = "demo"
    [[station]]
    id = "prova"
    owner = "demo"
    name = "Prova"
    where = [43.9, 11.1]
    [[datastream]]
    id = "prova-level"
    station = "prova"
    property = "water_level"
    period_s = 600
    [[device]]
    id = "sonda"
    owner = "demo"
    address = "0101010101010101"
    layout = "level.toml"
    feeds = [{ channel = "level", datastream = "prova-level" }]
    "#;

    fn layout(scale: &str) -> String {
        format!(
            "name = \"l\"\ntitle = \"l\"\n[[field]]\nchannel = \"level\"\noffset = 2\ntype = \"uint16\"\nscale = {scale}\nunit = \"m\"\n"
        )
    }

    #[test]
    fn a_corrected_layout_corrects_what_was_read_before() {
        let intake = Intake::new(fixture::store(""), Limits::default(), Meters::default());
        let apply = |scale: &str| {
            let network = load_embedded("net.toml", DEVICE, &[("level.toml", &layout(scale))]).expect("a network");
            intake.store().apply(&network).expect("applied");
        };
        apply("0.01");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        for (minute, data) in [(0, "DM4E0g=="), (10, "DM4EyA=="), (20, "DM4=")] {
            let text = format!(
                r#"{{"deviceInfo": {{"devEui": "0101010101010101"}}, "time": "2026-11-23T06:{minute:02}:00Z", "fPort": 2, "data": "{data}", "object": {{"level": 7}}}}"#
            );
            let frame = Frame {
                source: "broker",
                format: "chirpstack",
                route: "application/1/device/0101010101010101/event/up".into(),
                owner: "demo".into(),
                device: None,
                channel: None,
                received_at: fixture::Fixed.now().plus_seconds(minute - 60),
                bytes: text.into(),
            };
            runtime.block_on(async { intake.take(frame).await.await }).expect("on disk");
        }
        let view = intake.store().seen_by(&Viewer::Token { owner: "demo".into(), scopes: vec![Scope::Read] });
        let levels = || {
            let found = view.observations(&view.datastream("prova-level").expect("there"), Interval::ALL, 9).expect("read");
            found.iter().map(|one| one.result).collect::<Vec<_>>()
        };
        assert_eq!(levels(), [12.34, 12.24], "the layout goes before the codec");
        apply("0.001");
        let sonda = intake.store().registry().device("demo", "sonda").expect("there").clone();
        let dry = intake.redecode(&sonda, Interval::ALL, Mode::DryRun).expect("tried");
        assert_eq!((dry.payloads, dry.accepted, dry.refused), (3, 2, 1));
        assert_eq!(levels(), [12.34, 12.24]);
        let done = intake.redecode(&sonda, Interval::ALL, Mode::Write).expect("done");
        assert_eq!((done.payloads, done.revised, done.refused), (3, 2, 1));
        assert_eq!(levels(), [1.234, 1.224]);
        assert!(done.reason.expect("a reason").contains("too few for level"));

        // What was deleted for good stays so, though the bytes that it was made of are still there for other channels.
        let level = intake.store().registry().datastream_by_key("prova-level").expect("there").id;
        assert_eq!(intake.store().count_in(level, Interval::ALL).expect("counted"), 2);
        intake.store().delete(level, Interval::ALL, "anna", "asked for").expect("deleted");
        for mode in [Mode::DryRun, Mode::Write] {
            let done = intake.redecode(&sonda, Interval::ALL, mode).expect("done");
            assert_eq!((done.payloads, done.accepted, done.revised, done.deleted), (3, 0, 0, 2));
        }
        assert_eq!(levels(), [0.0; 0]);
    }
}
