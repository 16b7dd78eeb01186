//! The PLC of the pumping station, in the usual idiom (domain.md 3.3): levels as int16 millimetres, counters in two words, run bits,
//! a heartbeat word. The map is made up; `demo/profiles/plc-castelletti.toml` describes it.

use crate::image::Image;
use crate::plant::{Plant, Running};
use crate::slave::Registers;
use model::ByteOrder::Abcd;
use model::RegisterSpace::{Discrete, Holding};
use std::sync::Arc;

pub const UNIT: u8 = 1;

/// What the PLC of `plant` holds in its registers.
#[must_use]
pub fn registers(plant: Arc<Plant>) -> Registers {
    Arc::new(move |at| image(&plant.at(at), at.seconds().rem_euclid(2) == 1))
}

fn image(running: &Running, heartbeat: bool) -> Image {
    let mut image = Image::default();
    image.word(Holding, 0, millimetres(running.level_up_m));
    image.word(Holding, 1, millimetres(running.level_down_m));
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "hundredths of hours, thousands of years")]
    image.double(Holding, 2, (running.hours * 100.0).round() as u32, Abcd);
    #[expect(clippy::cast_possible_truncation, reason = "the device speaks float32")]
    image.float(Holding, 4, running.energy_kwh as f32, Abcd);
    image.word(Holding, 6, u16::from(heartbeat));
    for (address, runs) in (0..).zip(running.pumps) {
        image.bit(Discrete, address, runs);
    }
    image.bit(Discrete, 7, running.mains);
    image
}

/// As the analogue card gives it: 0x7FFF beyond what 16 bits hold.
fn millimetres(metres: f64) -> u16 {
    let millimetres = (metres * 1000.0).round();
    #[expect(clippy::cast_possible_truncation, reason = "checked")]
    let word = if (-32_768.0..32_767.0).contains(&millimetres) { millimetres as i16 } else { 0x7FFF };
    word.cast_unsigned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_plant_is_laid_out_as_its_map_says() {
        let running = Running {
            level_up_m: 2.608,
            level_down_m: -0.1,
            pumps: [true, true, false, false, false, false, false],
            mains: true,
            hours: 1234.56,
            energy_kwh: 412_300.5,
        };
        let image = image(&running, true);
        let bits = 412_300.5_f32.to_bits().to_be_bytes();
        let energy = [u16::from_be_bytes([bits[0], bits[1]]), u16::from_be_bytes([bits[2], bits[3]])];
        assert_eq!(image.read(Holding, 0, 7), Some([vec![2608, 0xFF9C, 1, 0xE240], energy.to_vec(), vec![1]].concat()));
        assert_eq!(image.read(Discrete, 0, 8), Some(vec![1, 1, 0, 0, 0, 0, 0, 1]));
        assert_eq!(millimetres(40.0), 0x7FFF, "a broken wire");
    }
}
