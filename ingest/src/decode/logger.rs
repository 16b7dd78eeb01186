//! Lines of loggers, in CSV by a pattern of the device's own. What they look like stands in the network file, so the pipeline reads
//! them; here the format has its name.

use super::uplink::refuse;
use super::{Decoded, Decoder, Placed, Refusal};
use crate::frame::Frame;
use crate::import::lines;
use model::{Device, Reading, RejectReason};

pub(super) struct Logger;

impl Decoder for Logger {
    fn name(&self) -> &'static str {
        "logger"
    }
    fn decode(&self, _: &Frame) -> Decoded {
        *refuse(
            RejectReason::NoLayout,
            "nothing says what the lines of this device look like; give it lines = \"…\" in its network file".into(),
        )
    }
}

/// The lines of one message of `device`.
pub(crate) fn read(frame: &Frame, device: &Device, pattern: &str) -> Decoded {
    let mut decoded = Decoded::default();
    let said = match lines::read(&frame.bytes, pattern) {
        Ok(said) => said,
        Err(cause) => return *refuse(RejectReason::Unreadable, cause),
    };
    for line in said {
        let index = line.line.saturating_sub(1);
        match line.values {
            Ok((time, values)) => decoded.readings.extend(values.into_iter().map(|one| Placed {
                index,
                what: Reading {
                    owner: frame.owner.clone(),
                    device: device.id.clone(),
                    channel: one.channel.into(),
                    phenomenon_time: Some(time),
                    value: one.value,
                    unit: one.unit,
                    flag: None,
                },
            })),
            Err(cause) => {
                let detail = format!("line {}: {cause}", line.line);
                decoded.rejects.push(Placed { index, what: Refusal { reason: RejectReason::WrongShape, detail } });
            }
        }
    }
    decoded
}
