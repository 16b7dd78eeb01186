//! Chance that can be had again: everything that a run draws follows from its seed.

/// A small repeatable generator (splitmix64).
#[derive(Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ 0x5EED)
    }
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        mix(self.0)
    }
    /// 0 … `sides` − 1.
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.next() % sides
    }
    /// As [`Dice::roll`], with a sign.
    pub(crate) fn below(&mut self, sides: i64) -> i64 {
        self.roll(sides.unsigned_abs()).cast_signed()
    }
}

/// Scatters the bits of a number.
pub(crate) fn mix(number: u64) -> u64 {
    let one = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let two = (one ^ (one >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    two ^ (two >> 31)
}
