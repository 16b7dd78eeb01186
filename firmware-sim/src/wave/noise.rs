//! Noise that is the same whenever it is asked for.

/// From −1 to 1, evenly; the same for the same `(seed, of, at)`. The mixing is that of SplitMix64.
pub(super) fn between_ones(seed: u64, of: u64, at: i64) -> f64 {
    let mut mixed = seed;
    for part in [of, at.cast_unsigned()] {
        mixed = mix(mixed ^ mix(part.wrapping_add(0x9E37_79B9_7F4A_7C15)));
    }
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    let share = (mixed >> 11) as f64 / (1_u64 << 53) as f64;
    2.0 * share - 1.0
}

fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    bits ^ (bits >> 31)
}
