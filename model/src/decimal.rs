//! Arithmetic on numbers as people and datasheets write them: 41 × 0.1 is 4.1, not 4.1000000000000005.

/// `digits / 10^places`, exact.
#[derive(Debug, Clone, Copy)]
pub struct Decimal {
    digits: i128,
    places: u32,
}

impl Decimal {
    #[must_use]
    pub const fn whole(digits: i128) -> Self {
        Self { digits, places: 0 }
    }
    /// The shortest decimal that names this double; `None` for what is not finite or has too many digits.
    #[must_use]
    pub fn of(number: f64) -> Option<Self> {
        Self::parse(&number.to_string())
    }
    /// The shortest decimal that names this single: 1.42 sent as a single is 1.42.
    #[must_use]
    pub fn of_single(number: f32) -> Option<Self> {
        Self::parse(&number.to_string())
    }
    /// Reads a decimal text without an exponent.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
        let digits = format!("{whole}{fraction}").parse().ok()?;
        Some(Self { digits, places: u32::try_from(fraction.len()).ok()? })
    }
    #[must_use]
    pub fn times(self, other: Self) -> Option<Self> {
        Some(Self { digits: self.digits.checked_mul(other.digits)?, places: self.places + other.places })
    }
    #[must_use]
    pub fn plus(self, other: Self) -> Option<Self> {
        let places = self.places.max(other.places);
        let digits = self.at(places)?.checked_add(other.at(places)?)?;
        Some(Self { digits, places })
    }
    fn at(self, places: u32) -> Option<i128> {
        self.digits.checked_mul(10_i128.checked_pow(places - self.places)?)
    }
    /// The nearest double.
    #[must_use]
    pub fn nearest(self) -> Option<f64> {
        format!("{}e-{}", self.digits, self.places).parse().ok().filter(|number: &f64| number.is_finite())
    }
    /// `self × factor + offset` as the nearest double. What has too many digits for decimal arithmetic is calculated in doubles.
    /// `None` when the result is not finite.
    #[must_use]
    pub fn scaled(self, factor: f64, offset: f64) -> Option<f64> {
        let exact = || self.times(Self::of(factor)?)?.plus(Self::of(offset)?)?.nearest();
        exact().or_else(|| Some(self.nearest()? * factor + offset)).filter(|number| number.is_finite())
    }
}

/// `value × factor + offset` in decimal. `None` when the result is not finite.
#[must_use]
pub fn scale(value: f64, factor: f64, offset: f64) -> Option<f64> {
    #[expect(clippy::float_cmp, reason = "exactly nothing to do")]
    let is_plain = factor == 1.0 && offset == 0.0;
    if is_plain {
        return Some(value).filter(|value| value.is_finite());
    }
    match Decimal::of(value) {
        Some(decimal) => decimal.scaled(factor, offset),
        None => Some(value * factor + offset).filter(|number| number.is_finite()),
    }
}

/// The double that is exactly this whole number; `None` where there is none, as for 2⁵³ + 1.
#[must_use]
pub fn exact(whole: i128) -> Option<f64> {
    let size = whole.unsigned_abs();
    // From the first to the last bit that is set: a double has room for 53.
    let bits = (u128::BITS - size.leading_zeros()).saturating_sub(size.trailing_zeros());
    #[expect(clippy::cast_precision_loss, reason = "all of its bits have room")]
    (bits <= f64::MANTISSA_DIGITS).then_some(whole as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_decimal_factor_gives_a_decimal_value() {
        let cases: [(f64, f64, f64, f64); 10] = [
            (41.0, 0.1, 0.0, 4.1),
            (7.0, 0.1, 0.0, 0.7),
            (3.0, 0.2, 0.0, 0.6),
            (1.1, 0.1, 0.0, 0.11),
            (1240.0, 0.001, 36.41, 37.65),
            (-57.0, 0.01, 0.0, -0.57),
            (0.1, 1.0, 0.2, 0.3),
            (50.0, -1.0, 100.0, 50.0),
            (1.5e300, 2.0, 0.0, 3e300),
            (4e-300, 0.5, 0.0, 2e-300),
        ];
        for (value, factor, offset, expected) in cases {
            assert_eq!(scale(value, factor, offset).map(f64::to_bits), Some(f64::to_bits(expected)), "{value} × {factor} + {offset}");
        }
        for (value, factor, offset) in [(f64::MAX, 10.0, 0.0), (f64::NAN, 1.0, 0.0), (f64::INFINITY, 0.5, 1.0)] {
            assert_eq!(scale(value, factor, offset), None, "{value} × {factor} + {offset}");
        }
    }

    #[test]
    fn a_factor_of_a_power_of_ten_only_moves_the_point() {
        for raw in -20_000_i32..20_000 {
            for (factor, places) in [(0.1, 1), (0.01, 2), (0.001, 3)] {
                let expected: f64 = format!("{raw}e-{places}").parse().expect("a number");
                assert_eq!(scale(f64::from(raw), factor, 0.0), Some(expected), "{raw} × {factor}");
            }
        }
    }

    #[test]
    fn a_whole_number_that_no_double_is_is_none() {
        let two_53 = 1_i128 << 53;
        for whole in [0, 1, -1, two_53, -two_53, two_53 + 2, 1 << 63, 1 << 64, -(1 << 63), i128::from(u64::MAX) + 1] {
            assert_eq!(exact(whole).map(|number| format!("{number:.0}")), Some(whole.to_string()), "{whole}");
        }
        for whole in [two_53 + 1, -two_53 - 1, i128::from(i64::MAX), i128::from(u64::MAX), i128::MAX, 10_i128.pow(23)] {
            assert_eq!(exact(whole), None, "{whole}");
        }
    }
}
