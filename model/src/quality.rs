//! How far a value can be trusted: QARTOD's flag, and which tests spoke.

/// QARTOD's primary flags, with its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum Flag {
    Good = 1,
    NotEvaluated = 2,
    Suspect = 3,
    Fail = 4,
    Missing = 9,
}

/// A test of quality that said something other than good. Each is one of twenty-four bits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum QualityTest {
    /// Outside the span that the sensor can measure.
    GrossRange = 1,
    /// The device itself marked the value as bad.
    DeviceStatus = 2,
    /// Derived by a rating where nobody measured; never of a value that is kept.
    Extrapolated = 32,
    /// A person corrected the value; what the device says of this time again stands below that.
    Corrected = 64,
    /// Nothing was measured at this time after all: a person said so, e.g. because the device's clock was wrong.
    Withdrawn = 128,
}

impl Flag {
    /// Back from its number; `None` for a number that QARTOD does not know.
    const fn from_number(number: u32) -> Option<Self> {
        Some(match number {
            1 => Self::Good,
            2 => Self::NotEvaluated,
            3 => Self::Suspect,
            4 => Self::Fail,
            9 => Self::Missing,
            _ => return None,
        })
    }
}

/// A flag and the bits of the tests that spoke. A test adds a bit; it never drops or changes a value.
///
/// One word, so that an observation is no larger than with eight bits for tests: the flag's number in the low byte, the tests above it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quality(u32);

/// The bits of a word that hold the flag.
const FLAG_BITS: u32 = 8;
const FLAG_MASK: u32 = (1 << FLAG_BITS) - 1;

impl Quality {
    pub const NOT_EVALUATED: Self = Self::of(Flag::NotEvaluated, 0);
    pub const GOOD: Self = Self::of(Flag::Good, 0);
    /// Of an observation that stands no longer: it is served to nobody, and a device that sends it again changes nothing.
    pub const WITHDRAWN: Self = Self::of(Flag::Missing, QualityTest::Withdrawn as u32);

    const fn of(flag: Flag, tests: u32) -> Self {
        Self(tests << FLAG_BITS | flag as u32)
    }
    #[must_use]
    pub const fn flag(self) -> Flag {
        match Flag::from_number(self.0 & FLAG_MASK) {
            Some(flag) => flag,
            // No word is made with another.
            None => Flag::NotEvaluated,
        }
    }
    /// Bits of the tests that spoke, the lowest for the first: what stands above the flag in [`Self::to_bits`].
    #[must_use]
    pub const fn tests(self) -> u32 {
        self.0 >> FLAG_BITS
    }
    /// Good enough to decide on: good or not evaluated.
    #[must_use]
    pub const fn is_usable(self) -> bool {
        matches!(self.flag(), Flag::Good | Flag::NotEvaluated)
    }
    /// This quality after one more test: the worse flag stays, the test's bit is added.
    #[must_use]
    pub fn with(self, test: QualityTest, flag: Flag) -> Self {
        Self::of(self.flag().max(flag), self.tests() | test as u32)
    }
    #[must_use]
    pub const fn spoke(self, test: QualityTest) -> bool {
        self.tests() & test as u32 != 0
    }
    /// For keeping: the flag's number in the low byte, the bits of the tests in the three above.
    #[must_use]
    pub const fn to_bits(self) -> u32 {
        self.0
    }
    /// Back from [`Self::to_bits`]; `None` for a flag that QARTOD does not know.
    #[must_use]
    pub const fn from_bits(bits: u32) -> Option<Self> {
        match Flag::from_number(bits & FLAG_MASK) {
            Some(_) => Some(Self(bits)),
            None => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_worse_flag_stays_and_every_test_leaves_its_bit() {
        let quality = Quality::GOOD.with(QualityTest::GrossRange, Flag::Fail).with(QualityTest::DeviceStatus, Flag::Suspect);
        assert_eq!(quality.flag(), Flag::Fail);
        assert!(quality.spoke(QualityTest::GrossRange) && quality.spoke(QualityTest::DeviceStatus));
        assert_eq!(Quality::from_bits(quality.to_bits()), Some(quality));
        assert_eq!(Quality::from_bits(7), None);
    }

    #[test]
    fn a_quality_of_every_test_comes_back_and_takes_four_bytes() {
        for test in 0..24 {
            let bits = 1 << (8 + test) | Flag::Suspect as u32;
            let quality = Quality::from_bits(bits).unwrap();
            assert_eq!((quality.flag(), quality.tests(), quality.to_bits()), (Flag::Suspect, 1 << test, bits));
        }
        assert_eq!((size_of::<Quality>(), size_of::<crate::Observation>()), (4, 32));
    }
}
