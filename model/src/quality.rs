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

/// A test of quality that said something other than good. Each is one bit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
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

/// A flag and the bits of the tests that spoke. A test adds a bit; it never drops or changes a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Quality {
    flag: Flag,
    tests: u8,
}

impl Quality {
    pub const NOT_EVALUATED: Self = Self { flag: Flag::NotEvaluated, tests: 0 };
    pub const GOOD: Self = Self { flag: Flag::Good, tests: 0 };
    /// Of an observation that stands no longer: it is served to nobody, and a device that sends it again changes nothing.
    pub const WITHDRAWN: Self = Self { flag: Flag::Missing, tests: QualityTest::Withdrawn as u8 };

    #[must_use]
    pub const fn flag(self) -> Flag {
        self.flag
    }
    /// Good enough to decide on: good or not evaluated.
    #[must_use]
    pub const fn is_usable(self) -> bool {
        matches!(self.flag, Flag::Good | Flag::NotEvaluated)
    }
    /// This quality after one more test: the worse flag stays, the test's bit is added.
    #[must_use]
    pub fn with(self, test: QualityTest, flag: Flag) -> Self {
        Self { flag: self.flag.max(flag), tests: self.tests | test as u8 }
    }
    #[must_use]
    pub const fn spoke(self, test: QualityTest) -> bool {
        self.tests & test as u8 != 0
    }
    /// For keeping: flag in the low byte, bits in the high one.
    #[must_use]
    pub const fn to_bits(self) -> u16 {
        (self.tests as u16) << 8 | self.flag as u16
    }
    /// Back from [`Self::to_bits`]; `None` for a flag that QARTOD does not know.
    #[must_use]
    pub const fn from_bits(bits: u16) -> Option<Self> {
        let [flag, tests] = bits.to_le_bytes();
        let flag = match flag {
            1 => Flag::Good,
            2 => Flag::NotEvaluated,
            3 => Flag::Suspect,
            4 => Flag::Fail,
            9 => Flag::Missing,
            _ => return None,
        };
        Some(Self { flag, tests })
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
}
