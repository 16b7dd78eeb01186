//! Which requests a poll makes: a pure function of the register map.

use model::{Profile, Register, RegisterSpace};
use std::cmp::Ordering;

/// The most registers that the protocol lets one request ask for (functions 3 and 4).
const MOST_REGISTERS: u32 = 125;
/// The most bits that the protocol lets one request ask for (functions 1 and 2).
const MOST_BITS: u32 = 2000;
/// Addresses of one table.
const TABLE: u32 = 0x1_0000;

/// One request: `count` neighbours from `start` of one table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    pub space: RegisterSpace,
    /// Protocol address, from 0.
    pub start: u16,
    /// Registers, or bits.
    pub count: u16,
}

impl Block {
    /// Whether the whole of a register lies in this block.
    #[must_use]
    pub fn holds(&self, register: &Register) -> bool {
        let (first, end) = span(register);
        let start = u32::from(self.start);
        self.space == register.space && start <= first && end <= start + u32::from(self.count)
    }
}

/// Why a register map can't be polled.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("channel {channel} ends beyond address 65535; the address counts from 0, not from 40001")]
    BeyondTable { channel: String },
    #[error("channel {channel} takes more registers than max_batch = {max_batch} lets one request ask for; raise max_batch")]
    WiderThanBatch { channel: String, max_batch: u16 },
}

/// What a device bears.
#[derive(Debug, Clone, Copy)]
pub struct Rules<'a> {
    pub max_batch: u16,
    pub max_hole: u16,
    /// Stretches that must not be asked for, both ends included.
    pub forbidden: &'a [(RegisterSpace, u16, u16)],
}

impl<'a> Rules<'a> {
    #[must_use]
    pub fn of(profile: &'a Profile) -> Self {
        Self { max_batch: profile.max_batch, max_hole: profile.max_hole, forbidden: &profile.forbidden }
    }
}

/// The fewest requests that read all of `registers`, each within `max_batch` and the protocol's limits, reading at most
/// `max_hole` neighbours in between that nobody asked for, and none that must not be. A number is never torn between two requests: its halves
/// would be of two instants.
///
/// # Errors
/// [`PlanError`] names the channel in the way.
pub fn blocks<'a>(registers: impl IntoIterator<Item = &'a Register>, rules: &Rules<'_>) -> Result<Vec<Block>, PlanError> {
    let Rules { max_batch, max_hole, forbidden } = *rules;
    let mut sorted: Vec<&Register> = registers.into_iter().collect();
    sorted.sort_by(|one, other| match one.space.cmp(&other.space) {
        Ordering::Equal => span(one).cmp(&span(other)),
        unequal => unequal,
    });
    // As [start, end), so that the end of the table can be said.
    let mut runs: Vec<(RegisterSpace, u32, u32)> = Vec::new();
    for register in sorted {
        let (first, end) = span(register);
        let most = most(register.space, max_batch);
        if end > TABLE {
            return Err(PlanError::BeyondTable { channel: register.channel.clone() });
        }
        if end - first > most {
            return Err(PlanError::WiderThanBatch { channel: register.channel.clone(), max_batch });
        }
        match runs.last_mut() {
            Some((space, start, reached))
                if *space == register.space
                    && first <= *reached + u32::from(max_hole)
                    && end.max(*reached) - *start <= most
                    && !touches(forbidden, *space, *reached, first) =>
            {
                *reached = end.max(*reached);
            }
            _ => runs.push((register.space, first, end)),
        }
    }
    let block = |(space, start, end): (RegisterSpace, u32, u32)| {
        Some(Block { space, start: u16::try_from(start).ok()?, count: u16::try_from(end - start).ok()? })
    };
    Ok(runs.into_iter().filter_map(block).collect())
}

/// Whether something between `from` and `to` must not be asked for.
fn touches(forbidden: &[(RegisterSpace, u16, u16)], space: RegisterSpace, from: u32, to: u32) -> bool {
    forbidden.iter().any(|(of, first, last)| *of == space && u32::from(*first) < to && from <= u32::from(*last))
}

fn most(space: RegisterSpace, max_batch: u16) -> u32 {
    if space.is_bits() { MOST_BITS } else { u32::from(max_batch.max(1)).min(MOST_REGISTERS) }
}

/// `[first, end)` of the addresses that a register takes.
fn span(register: &Register) -> (u32, u32) {
    let first = u32::from(register.address);
    let width = if register.space.is_bits() { 1 } else { register.number.width() };
    (first, first + u32::from(width))
}

#[cfg(test)]
mod tests {
    use super::*;
    use RegisterSpace::{Coil, Discrete, Holding, Input};
    use model::NumberType;

    fn register(space: RegisterSpace, address: u16, number: NumberType) -> Register {
        Register { channel: format!("{address}"), space, address, number, ..Register::default() }
    }

    fn check(registers: &[(RegisterSpace, u16, NumberType)], batch: u16, hole: u16, expected: &[(RegisterSpace, u16, u16)]) {
        let registers: Vec<_> = registers.iter().map(|(space, address, number)| register(*space, *address, *number)).collect();
        let rules = Rules { max_batch: batch, max_hole: hole, forbidden: &[] };
        let planned = blocks(&registers, &rules).expect("a plan");
        let said: Vec<_> = planned.iter().map(|block| (block.space, block.start, block.count)).collect();
        assert_eq!(said, expected);
        assert!(registers.iter().all(|register| planned.iter().any(|block| block.holds(register))), "all are read");
    }

    #[test]
    fn neighbours_are_read_at_once_and_strangers_apart() {
        use NumberType::{Bit, Float32, Int16, Uint32};
        check(&[(Holding, 0, Int16), (Holding, 1, Int16)], 125, 0, &[(Holding, 0, 2)]);
        check(&[(Holding, 1, Int16), (Holding, 0, Int16)], 125, 0, &[(Holding, 0, 2)]);
        check(&[(Holding, 0, Int16), (Holding, 3, Int16)], 125, 1, &[(Holding, 0, 1), (Holding, 3, 1)]);
        check(&[(Holding, 0, Int16), (Holding, 3, Int16)], 125, 2, &[(Holding, 0, 4)]);
        check(&[(Input, 0, Int16), (Holding, 1, Int16)], 125, 9, &[(Holding, 1, 1), (Input, 0, 1)]);
        check(&[(Discrete, 7, Bit), (Coil, 6, Bit)], 125, 9, &[(Coil, 6, 1), (Discrete, 7, 1)]);
        // Two channels may read the same register, and one may lie inside another.
        check(&[(Input, 4, Uint32), (Input, 4, Int16), (Input, 5, Int16)], 125, 0, &[(Input, 4, 2)]);
        check(&[(Input, 65_534, Float32)], 125, 0, &[(Input, 65_534, 2)]);
        check(&[], 125, 0, &[]);
    }

    #[test]
    fn what_must_not_be_asked_for_parts_two_neighbours() {
        let registers = [register(Holding, 0, NumberType::Int16), register(Holding, 9, NumberType::Int16)];
        for (forbidden, expected) in
            [((Holding, 3, 4), 2), ((Holding, 8, 8), 2), ((Input, 3, 4), 1), ((Holding, 10, 20), 1), ((Holding, 1, 1), 2)]
        {
            let rules = Rules { max_batch: 125, max_hole: 20, forbidden: &[forbidden] };
            assert_eq!(blocks(&registers, &rules).expect("a plan").len(), expected, "{forbidden:?}");
        }
    }

    #[test]
    fn a_batch_is_never_too_large_and_never_tears_a_number() {
        use NumberType::{Bit, Float32, Int16};
        let many: Vec<_> = (0..200).map(|address| (Holding, address, Int16)).collect();
        check(&many, 125, 0, &[(Holding, 0, 125), (Holding, 125, 75)]);
        check(&many, 999, 0, &[(Holding, 0, 125), (Holding, 125, 75)]);
        let floats: Vec<_> = (0..4).map(|n| (Input, 2 * n, Float32)).collect();
        check(&floats, 5, 0, &[(Input, 0, 4), (Input, 4, 4)]);
        check(&[(Holding, 0, Int16), (Holding, 200, Int16)], 125, 300, &[(Holding, 0, 1), (Holding, 200, 1)]);
        let bits: Vec<_> = (0..2001).map(|address| (Coil, address, Bit)).collect();
        check(&bits, 10, 0, &[(Coil, 0, 2000), (Coil, 2000, 1)]);
    }

    #[test]
    fn what_cannot_be_asked_for_is_named() {
        let beyond = register(Input, 65_535, NumberType::Float32);
        assert_eq!(
            blocks([&beyond], &Rules { max_batch: 125, max_hole: 0, forbidden: &[] }),
            Err(PlanError::BeyondTable { channel: "65535".into() })
        );
        let wide = register(Input, 3, NumberType::Uint32);
        assert_eq!(
            blocks([&wide], &Rules { max_batch: 1, max_hole: 0, forbidden: &[] }),
            Err(PlanError::WiderThanBatch { channel: "3".into(), max_batch: 1 })
        );
    }
}
