//! A radar level sensor: the register map of the VEGAPULS C 21 (manual; domain.md 3.3), unit 246, input registers.

use crate::gauge::Gauge;
use crate::image::Image;
use crate::slave::Registers;
use crate::wave::Wave;
use model::ByteOrder::{Abcd, Badc, Cdab, Dcba};
use model::RegisterSpace::{Holding, Input};
use std::sync::Arc;

/// The factory's unit address.
pub const UNIT: u8 = 246;
/// The code of metres as the unit of the measured value, in register 104 (HART's table: 44 ft, 46 barrels, 47 in, 48 cm, 49 mm).
pub const METRES: u16 = 45;
/// It hangs this high over the gauge's zero, m.
const MOUNTED_M: f64 = 9.5;

/// What a radar over `gauge` holds in its registers.
#[must_use]
pub fn registers(wave: Wave, gauge: Gauge) -> Registers {
    Arc::new(move |at| image(wave.level(gauge, at), METRES))
}

/// What it holds when it was set to the unit with this code and measures `measured` of that unit. The measured value ("PV") stands in
/// four places, one for each byte order.
#[must_use]
pub fn image(measured: f64, unit_code: u16) -> Image {
    let mut image = Image::default();
    #[expect(clippy::cast_possible_truncation, reason = "the device speaks float32")]
    let (level, distance) = (measured as f32, (MOUNTED_M - measured) as f32);
    for status in 100..=103 {
        image.word(Input, status, 0); // Every value valid.
    }
    image.word(Input, 104, unit_code);
    image.word(Input, 105, 0);
    image.float(Input, 106, level, Cdab);
    image.float(Input, 2002, level, Abcd);
    image.float(Input, 2102, level, Dcba);
    image.float(Input, 2202, level, Badc);
    image.float(Input, 2303, distance, Cdab);
    image.word(Input, 2305, 61); // Echo, dB.
    image.word(Input, 2307, 0); // NAMUR state: good.
    image.word(Input, 2314, 44); // Measuring certainty, dB.
    image.word(Holding, 3000, 1); // Byte order that was set.
    image
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_level_stands_in_the_four_places_of_the_manual() {
        let image = image(2.608, METRES);
        for (address, words) in [(106, [0xE979, 0x4026]), (2002, [0x4026, 0xE979]), (2102, [0x79E9, 0x2640]), (2202, [0x2640, 0x79E9])] {
            assert_eq!(image.read(Input, address, 2), Some(words.to_vec()), "{address}");
        }
        assert_eq!(image.read(Input, 104, 1), Some(vec![45]));
        assert_eq!(image.read(Input, 108, 1), None);
    }
}
