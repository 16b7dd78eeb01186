//! What the four tables of a Modbus device hold at one instant, and how numbers are laid into them.

use model::{ByteOrder, NumberType, Profile, RegisterSpace};
use std::collections::BTreeMap;

/// Words and bits by table and protocol address; what is not there has no address.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Image {
    words: BTreeMap<(RegisterSpace, u16), u16>,
}

impl Image {
    /// A device of any register map that holds `value(channel)`, in each register's unit. A channel without a value reads as
    /// the map's first sentinel, or as NaN, or as 0.
    #[must_use]
    pub fn of(profile: &Profile, value: impl Fn(&str) -> Option<f64>) -> Self {
        let mut image = Self::default();
        for register in &profile.registers {
            let raw = value(&register.channel).map(|value| match register.span {
                Some(span) => span.raw.0 + (value - span.value.0) / (span.value.1 - span.value.0) * (span.raw.1 - span.raw.0),
                None => (value - register.offset) / register.scale,
            });
            #[expect(clippy::cast_precision_loss, reason = "sentinels are of 32 bits at most")]
            let sentinel = register.sentinels.first().map(|sentinel| *sentinel as f64);
            let nothing = if matches!(register.number, NumberType::Float32 | NumberType::Float64) { f64::NAN } else { 0.0 };
            let raw = raw.or(sentinel).unwrap_or(nothing);
            #[expect(clippy::cast_possible_truncation, reason = "a device's number is as wide as its register")]
            let integer = raw.round() as i64;
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the lowest bits are what is laid")]
            match register.number {
                NumberType::Bit => image.bit(register.space, register.address, integer != 0),
                // Bits share their word with others'.
                NumberType::Uint16 | NumberType::Int16 if register.bits.is_some() => {
                    let before = image.words.get(&(register.space, register.address)).copied().unwrap_or(0);
                    let lowest = register.bits.map_or(0, |(lowest, _)| lowest);
                    image.word(register.space, register.address, before | (integer as u16) << lowest);
                }
                NumberType::Int16 | NumberType::Uint16 => image.single(register.space, register.address, integer as u16, register.order),
                NumberType::Int32 | NumberType::Uint32 => image.double(register.space, register.address, integer as u32, register.order),
                NumberType::Float32 => image.float(register.space, register.address, raw as f32, register.order),
                NumberType::Int64 | NumberType::Uint64 => image.quadruple(register.space, register.address, integer as u64, register.order),
                NumberType::Float64 => image.quadruple(register.space, register.address, raw.to_bits(), register.order),
                NumberType::Bcd16 => image.single(register.space, register.address, digits(integer) as u16, register.order),
                NumberType::Bcd32 => image.double(register.space, register.address, digits(integer) as u32, register.order),
            }
        }
        image
    }

    pub fn bit(&mut self, space: RegisterSpace, address: u16, on: bool) {
        self.words.insert((space, address), u16::from(on));
    }
    pub fn word(&mut self, space: RegisterSpace, address: u16, word: u16) {
        self.words.insert((space, address), word);
    }
    fn single(&mut self, space: RegisterSpace, address: u16, word: u16, order: ByteOrder) {
        let [a, b] = word.to_be_bytes();
        let wire = match order {
            ByteOrder::Abcd | ByteOrder::Cdab => [a, b],
            ByteOrder::Badc | ByteOrder::Dcba => [b, a],
        };
        self.word(space, address, u16::from_be_bytes(wire));
    }
    /// 32 bits in two registers; the order names the bytes as they go over the wire.
    pub fn double(&mut self, space: RegisterSpace, address: u16, bits: u32, order: ByteOrder) {
        let [a, b, c, d] = bits.to_be_bytes();
        let [w, x, y, z] = match order {
            ByteOrder::Abcd => [a, b, c, d],
            ByteOrder::Cdab => [c, d, a, b],
            ByteOrder::Badc => [b, a, d, c],
            ByteOrder::Dcba => [d, c, b, a],
        };
        self.word(space, address, u16::from_be_bytes([w, x]));
        self.word(space, address.wrapping_add(1), u16::from_be_bytes([y, z]));
    }
    /// 64 bits in four registers: words the other way round, bytes swapped within words, or both.
    fn quadruple(&mut self, space: RegisterSpace, address: u16, bits: u64, order: ByteOrder) {
        let [a, b, c, d, e, f, g, h] = bits.to_be_bytes();
        let wire = match order {
            ByteOrder::Abcd => [[a, b], [c, d], [e, f], [g, h]],
            ByteOrder::Cdab => [[g, h], [e, f], [c, d], [a, b]],
            ByteOrder::Badc => [[b, a], [d, c], [f, e], [h, g]],
            ByteOrder::Dcba => [[h, g], [f, e], [d, c], [b, a]],
        };
        for (place, word) in (0..).zip(wire) {
            self.word(space, address.wrapping_add(place), u16::from_be_bytes(word));
        }
    }
    pub fn float(&mut self, space: RegisterSpace, address: u16, value: f32, order: ByteOrder) {
        self.double(space, address, value.to_bits(), order);
    }
    /// `count` neighbours; `None` when one of them has no address.
    #[must_use]
    pub fn read(&self, space: RegisterSpace, start: u16, count: u16) -> Option<Vec<u16>> {
        let end = u32::from(start) + u32::from(count);
        let word = |address: u32| self.words.get(&(space, u16::try_from(address).ok()?)).copied();
        (u32::from(start)..end).map(word).collect()
    }
}

/// Decimal digits, four bits each.
fn digits(value: i64) -> u64 {
    (0..8).fold((0, value.unsigned_abs()), |(bits, rest), place| (bits | (rest % 10) << (4 * place), rest / 10)).0
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{Register, Unit};

    // Vectors: domain.md 3.3.
    #[test]
    fn the_same_level_is_laid_in_each_byte_order() {
        for (order, words) in [
            (ByteOrder::Abcd, [0x4026, 0xE979]),
            (ByteOrder::Cdab, [0xE979, 0x4026]),
            (ByteOrder::Badc, [0x2640, 0x79E9]),
            (ByteOrder::Dcba, [0x79E9, 0x2640]),
        ] {
            let mut image = Image::default();
            image.float(RegisterSpace::Input, 7, 2.608, order);
            assert_eq!(image.read(RegisterSpace::Input, 7, 2), Some(words.to_vec()), "{order:?}");
        }
    }

    #[test]
    fn a_device_of_any_register_map_says_its_values() {
        let register = |channel: &str, address, number, scale, sentinels: &[i64]| Register {
            channel: channel.into(),
            space: RegisterSpace::Holding,
            address,
            number,
            scale,
            unit: Unit::Metre,
            sentinels: sentinels.to_vec(),
            ..Register::default()
        };
        let registers = vec![
            register("level", 0, NumberType::Int16, 0.001, &[]),
            register("deep", 1, NumberType::Int16, 0.001, &[]),
            register("broken", 2, NumberType::Int16, 0.001, &[32_767]),
            register("hours", 3, NumberType::Uint32, 0.01, &[]),
        ];
        let profile = Profile { name: "p".into(), title: "P".into(), max_batch: 125, registers, ..Profile::default() };
        let image = Image::of(&profile, |channel| match channel {
            "level" => Some(2.608),
            "deep" => Some(-0.1),
            "hours" => Some(1234.56),
            _ => None,
        });
        assert_eq!(image.read(RegisterSpace::Holding, 0, 5), Some(vec![2608, 0xFF9C, 0x7FFF, 1, 0xE240]));
        assert_eq!(image.read(RegisterSpace::Holding, 4, 2), None, "beyond the last");
        assert_eq!(image.read(RegisterSpace::Input, 0, 1), None, "another table");
        assert_eq!(image.read(RegisterSpace::Holding, 65_535, 2), None);
    }
}
