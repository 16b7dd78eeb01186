//! The Modbus zoo of acceptance scenario 5: one level, 2.608 m, as seven kinds of device hold it. Words are those of domain.md 3.3.

use crate::bus::Instrument;
use crate::conduct::Conduct;
use crate::image::Image;
use crate::radar;
use model::ByteOrder::{Abcd, Badc, Cdab, Dcba};
use model::RegisterSpace::Holding;

/// What stands in all of them, m.
pub const LEVEL_M: f64 = 2.608;
/// The same in barrels of 42 US gallons over half a square metre: what a radar shows that was set to HART's unit 46 by mistake.
pub const IN_BARRELS: f64 = 8.202;
/// HART's code of barrels.
pub const BARRELS: u16 = 46;

/// Unit addresses on the bus.
pub mod unit {
    /// A PLC with the level in every byte order from holding 0, and in millimetres at 8.
    pub const PLC: u8 = 1;
    /// Busy (exception 6) now and then.
    pub const BUSY: u8 = 2;
    /// Has no such register (exception 2).
    pub const WITHOUT_REGISTER: u8 = 3;
    /// Will be unplugged.
    pub const UNPLUGGED: u8 = 4;
    /// A radar as it is delivered.
    pub const RADAR: u8 = 246;
    /// A radar that was set to barrels.
    pub const RADAR_IN_BARRELS: u8 = 247;
}

/// The devices by name, each with its handle.
pub struct Zoo {
    pub plc: Instrument,
    pub busy: Instrument,
    pub without_register: Instrument,
    pub unplugged: Instrument,
    pub radar: Instrument,
    pub radar_in_barrels: Instrument,
}

impl Zoo {
    #[must_use]
    pub fn new() -> Self {
        Self {
            plc: Instrument::new(plc()),
            busy: Instrument::new(plc()),
            without_register: Instrument::new(Image::default()),
            unplugged: Instrument::new(plc()),
            radar: Instrument::new(radar::image(LEVEL_M, radar::METRES)),
            radar_in_barrels: Instrument::new(radar::image(IN_BARRELS, BARRELS)),
        }
    }

    /// All of them with their unit addresses, to be put on a bus.
    #[must_use]
    pub fn instruments(&self) -> Vec<(u8, Instrument)> {
        vec![
            (unit::PLC, self.plc.clone()),
            (unit::BUSY, self.busy.clone()),
            (unit::WITHOUT_REGISTER, self.without_register.clone()),
            (unit::UNPLUGGED, self.unplugged.clone()),
            (unit::RADAR, self.radar.clone()),
            (unit::RADAR_IN_BARRELS, self.radar_in_barrels.clone()),
        ]
    }

    /// The busy one says so to its next `questions`.
    pub fn keep_busy(&self, questions: usize) {
        self.busy.conduct(std::iter::repeat_n(Conduct::Exception(6), questions), Conduct::Honest);
    }

    /// Somebody pulls the plug.
    pub fn unplug(&self) {
        self.unplugged.conduct([], Conduct::Hang);
    }

    /// Somebody finds out, and sets the radar to metres.
    pub fn set_to_metres(&self) {
        self.radar_in_barrels.hold(radar::image(LEVEL_M, radar::METRES));
    }
}

impl Default for Zoo {
    fn default() -> Self {
        Self::new()
    }
}

/// The level as float32 in each byte order, and as whole millimetres.
fn plc() -> Image {
    let mut image = Image::default();
    #[expect(clippy::cast_possible_truncation, reason = "the device speaks float32")]
    for (address, order) in [(0, Abcd), (2, Cdab), (4, Badc), (6, Dcba)] {
        image.float(Holding, address, LEVEL_M as f32, order);
    }
    image.word(Holding, 8, 2608);
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_stands_in_the_plc_as_the_table_of_byte_orders_has_it() {
        let words = [0x4026, 0xE979, 0xE979, 0x4026, 0x2640, 0x79E9, 0x79E9, 0x2640, 2608];
        assert_eq!(plc().read(Holding, 0, 9), Some(words.to_vec()));
        // 0.158987 m³ a barrel.
        assert!((IN_BARRELS * 0.158_987 / 0.5 - LEVEL_M).abs() < 0.001);
    }
}
