//! Which requests read all registers of a profile: as few as the device's limits allow.

use model::{Profile, RegisterSpace};

/// One request: `count` registers or bits from `start`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) space: RegisterSpace,
    pub(super) start: u16,
    pub(super) count: u16,
}

impl Block {
    /// The words of `[address, address + width)` out of the words of this block.
    pub(super) fn slice<'a>(&self, words: &'a [u16], address: u16, width: u16) -> Option<&'a [u16]> {
        let from = usize::from(address.checked_sub(self.start)?);
        words.get(from..from + usize::from(width))
    }
    pub(super) fn holds(&self, space: RegisterSpace, address: u16) -> bool {
        self.space == space && address >= self.start && address - self.start < self.count
    }
}

/// Merges neighbours, and what lies no further apart than the profile's `max_hole`, up to its `max_batch`.
pub(super) fn plan(profile: &Profile) -> Vec<Block> {
    let mut wanted: Vec<(RegisterSpace, u32, u32)> = profile
        .registers
        .iter()
        .map(|register| (register.space, u32::from(register.address), u32::from(register.address) + u32::from(register.number.width())))
        .collect();
    wanted.sort_unstable();
    let mut blocks: Vec<(RegisterSpace, u32, u32)> = Vec::new();
    for (space, start, end) in wanted {
        // Bits are sixteen to a register on the wire.
        let most = u32::from(profile.max_batch) * if space.is_bits() { 16 } else { 1 };
        match blocks.last_mut() {
            Some((of, from, to)) if *of == space && start <= *to + u32::from(profile.max_hole) && end.max(*to) - *from <= most => *to = end.max(*to),
            _ => blocks.push((space, start, end)),
        }
    }
    let block = |(space, start, end): (RegisterSpace, u32, u32)| {
        Some(Block { space, start: u16::try_from(start).ok()?, count: u16::try_from(end - start).ok()? })
    };
    blocks.into_iter().filter_map(block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{ByteOrder, NumberType, Register, Unit};

    fn check(max_batch: u16, max_hole: u16, registers: &[(RegisterSpace, u16, NumberType)], expected: &[(RegisterSpace, u16, u16)]) {
        let registers = registers.iter().map(|(space, address, number)| Register {
            channel: address.to_string(),
            space: *space,
            address: *address,
            number: *number,
            order: ByteOrder::Abcd,
            scale: 1.0,
            offset: 0.0,
            unit: Unit::One,
            sentinels: Vec::new(),
        });
        let profile = Profile { name: "p".into(), title: "p".into(), max_batch, max_hole, registers: registers.collect() };
        let found: Vec<_> = plan(&profile).iter().map(|block| (block.space, block.start, block.count)).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn neighbours_are_read_together_within_the_devices_limits() {
        use NumberType::{Bit, Float32, Int16};
        use RegisterSpace::{Coil, Holding, Input};
        check(125, 0, &[(Input, 10, Float32), (Input, 12, Int16), (Input, 0, Int16)], &[(Input, 0, 1), (Input, 10, 3)]);
        check(125, 8, &[(Input, 0, Int16), (Input, 8, Int16), (Input, 100, Int16)], &[(Input, 0, 9), (Input, 100, 1)]);
        check(4, 100, &[(Input, 0, Float32), (Input, 2, Float32), (Input, 4, Float32)], &[(Input, 0, 4), (Input, 4, 2)]);
        check(125, 9, &[(Input, 0, Int16), (Holding, 1, Int16), (Coil, 0, Bit), (Coil, 7, Bit)], &[(Coil, 0, 8), (Holding, 1, 1), (Input, 0, 1)]);
        check(125, 0, &[(Holding, 65_535, Int16)], &[(Holding, 65_535, 1)]);
    }
}
