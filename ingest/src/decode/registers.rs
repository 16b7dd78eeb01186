//! Registers of a Modbus device, as the poller read them: the raw words together with the part of the register map that
//! says what they mean, so that a quarantined poll can be read again when the map or the network has been mended.

use super::number::Fault;
use super::{Decoded, Decoder, Placed, Refusal};
use crate::decimal::scale;
use crate::frame::Frame;
use model::{ByteOrder, Decimal, NumberType, Quality, Reading, Register, RegisterSpace, RejectReason, Span, Timestamp, Unit, exact};
use serde::{Deserialize, Serialize};

/// What one poll of one unit read.
#[derive(Debug, Serialize, Deserialize)]
pub struct Poll {
    /// Microseconds since 1970, UTC: when the unit was asked.
    pub time_us: i64,
    /// What was read, raw; bits as words of 0 and 1.
    pub blocks: Vec<Words>,
    /// What is in it.
    pub registers: Vec<Meaning>,
    /// What the device says of the poll: QARTOD's number; good when nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flag: Option<u16>,
}

/// Neighbours of one table as they came over the wire.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words {
    pub space: String,
    pub start: u16,
    pub words: Vec<u16>,
}

/// One [`Register`] in words.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Meaning {
    pub channel: String,
    pub space: String,
    pub address: u16,
    #[serde(rename = "type")]
    pub number: String,
    pub order: String,
    pub scale: f64,
    pub offset: f64,
    pub unit: String,
    pub sentinels: Vec<i64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<(u8, u8)>,
    /// Raw and value from and to, and below which raw count the wire is broken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub span: Option<[f64; 5]>,
}

/// The format `registers`.
#[derive(Debug, Clone, Copy)]
pub struct Registers;

impl Decoder for Registers {
    fn name(&self) -> &'static str {
        "registers"
    }
    fn decode(&self, frame: &Frame) -> Decoded {
        let mut decoded = Decoded::default();
        let refuse = |index, reason, detail: String| Placed { index, what: Refusal { reason, detail } };
        let poll: Poll = match serde_json::from_slice(&frame.bytes) {
            Ok(poll) => poll,
            Err(cause) => {
                decoded.rejects.push(refuse(0, RejectReason::Unreadable, format!("not a poll of registers: {cause}")));
                return decoded;
            }
        };
        let Some(device) = frame.device.clone() else {
            let detail = "a poll of registers names no device; the poller must".to_owned();
            decoded.rejects.push(refuse(0, RejectReason::UnknownDevice, detail));
            return decoded;
        };
        for (index, meaning) in poll.registers.iter().enumerate() {
            let channel = &meaning.channel;
            let Some(register) = meaning.register() else {
                let detail = format!("channel {channel} has a table, type, byte order or unit that is not known");
                decoded.rejects.push(refuse(index, RejectReason::WrongShape, detail));
                continue;
            };
            let Some(raw) = poll.blocks.iter().find_map(|block| block.of(&register)) else {
                let detail = format!("channel {channel} lies in none of the blocks that were read");
                decoded.rejects.push(refuse(index, RejectReason::WrongShape, detail));
                continue;
            };
            let value = match held(raw, &register) {
                Ok(value) => value,
                Err(Empty::NotExact(whole)) => {
                    let refusal = Fault::NotExact.refusal(&format!("channel {channel}"), &format!("the number {whole}"));
                    decoded.rejects.push(Placed { index, what: refusal });
                    continue;
                }
                Err(_) => {
                    let words: Vec<String> = raw.iter().map(|word| format!("{word:04X}")).collect();
                    let detail = format!("channel {channel} holds no number: {}", words.join(" "));
                    decoded.rejects.push(refuse(index, RejectReason::NotANumber, detail));
                    continue;
                }
            };
            let reading = Reading {
                owner: frame.owner.clone(),
                device: device.clone(),
                channel: channel.as_str().into(),
                phenomenon_time: Some(Timestamp::from_micros(poll.time_us)),
                value,
                unit: Some(register.unit),
                flag: poll.flag.map(u32::from).and_then(Quality::from_bits).map(Quality::flag),
            };
            decoded.readings.push(Placed { index, what: reading });
        }
        decoded
    }
}

impl Words {
    #[must_use]
    pub fn new(space: RegisterSpace, start: u16, words: Vec<u16>) -> Self {
        Self { space: word(&RegisterSpace::ALL, space).to_owned(), start, words }
    }
    /// The words of one register; `None` when it does not lie in here whole.
    #[must_use]
    pub fn of(&self, register: &Register) -> Option<&[u16]> {
        if self.space != word(&RegisterSpace::ALL, register.space) {
            return None;
        }
        let from = usize::from(register.address.checked_sub(self.start)?);
        let width = if register.space.is_bits() { 1 } else { usize::from(register.number.width()) };
        self.words.get(from..from + width)
    }
}

impl Words {
    /// Puts words of a register that were read later in the place of the earlier ones.
    pub fn put(&mut self, register: &Register, words: &[u16]) {
        let from = usize::from(register.address.saturating_sub(self.start));
        for (place, word) in self.words.iter_mut().skip(from).zip(words) {
            *place = *word;
        }
    }
}

impl Meaning {
    #[must_use]
    pub fn of(register: &Register) -> Self {
        Self {
            channel: register.channel.clone(),
            space: word(&RegisterSpace::ALL, register.space).to_owned(),
            address: register.address,
            number: word(&NumberType::ALL, register.number).to_owned(),
            order: word(&ByteOrder::ALL, register.order).to_owned(),
            scale: register.scale,
            offset: register.offset,
            unit: register.unit.symbol().to_owned(),
            sentinels: register.sentinels.clone(),
            bits: register.bits,
            span: register.span.map(|span| [span.raw.0, span.raw.1, span.value.0, span.value.1, span.broken_below.unwrap_or(f64::MIN)]),
        }
    }
    fn register(&self) -> Option<Register> {
        Some(Register {
            channel: self.channel.clone(),
            space: named(&RegisterSpace::ALL, &self.space)?,
            address: self.address,
            number: named(&NumberType::ALL, &self.number)?,
            order: named(&ByteOrder::ALL, &self.order)?,
            scale: self.scale,
            offset: self.offset,
            unit: Unit::from_symbol(&self.unit)?,
            sentinels: self.sentinels.clone(),
            bits: self.bits,
            span: self.span.map(|[raw, raw_to, from, to, broken]| Span {
                raw: (raw, raw_to),
                value: (from, to),
                broken_below: Some(broken),
            }),
            ..Register::default()
        })
    }
}

fn word<T: Copy + PartialEq>(all: &[(T, &'static str)], wanted: T) -> &'static str {
    all.iter().find(|(one, _)| *one == wanted).map_or("", |(_, word)| word)
}

fn named<T: Copy>(all: &[(T, &'static str)], word: &str) -> Option<T> {
    all.iter().find(|(_, known)| *known == word).map(|(one, _)| *one)
}

/// Why a register holds no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Empty {
    /// Too few words, a sentinel, NaN, an infinity, no decimal digits.
    NoNumber,
    /// An analogue input below what a living sensor draws.
    BrokenWire,
    /// A whole number between two doubles.
    NotExact(i128),
}

/// The value that the words of one register hold, in the register's unit: `raw × scale + offset`, calculated in decimal
/// as the datasheet means it, so that 2608 × 0.001 is exactly 2.608 and a float32 of 2.608 too; or along its span.
/// `None` for too few words, a sentinel, NaN, an infinity, a broken wire.
#[must_use]
pub fn value(words: &[u16], register: &Register) -> Option<f64> {
    held(words, register).ok()
}

/// As [`value`].
///
/// # Errors
/// Why there is none.
pub fn held(words: &[u16], register: &Register) -> Result<f64, Empty> {
    match register.number {
        NumberType::Float32 => {
            let raw = bits(words, register).and_then(|bits| u32::try_from(bits).ok()).map(f32::from_bits);
            return raw.and_then(|raw| float(raw, register)).ok_or(Empty::NoNumber);
        }
        NumberType::Float64 => {
            let raw = bits(words, register).map(f64::from_bits).filter(|raw| raw.is_finite());
            return raw.and_then(|raw| scale(raw, register.scale, register.offset)).ok_or(Empty::NoNumber);
        }
        _ => {}
    }
    let whole = whole(words, register).ok_or(Empty::NoNumber)?;
    if let Some(span) = register.span {
        return along(span, i64::try_from(whole).map_err(|_| Empty::NoNumber)?);
    }
    if exact(whole).is_none() {
        return Err(Empty::NotExact(whole));
    }
    Decimal::whole(whole).scaled(register.scale, register.offset).ok_or(Empty::NoNumber)
}

/// As [`whole`], for numbers that fit.
#[must_use]
pub fn raw(words: &[u16], register: &Register) -> Option<i64> {
    i64::try_from(whole(words, register)?).ok()
}

/// The raw whole number of a register, after its bits; `None` for what means "no value" or is no whole number.
fn whole(words: &[u16], register: &Register) -> Option<i128> {
    let bits = bits(words, register)?;
    #[expect(clippy::cast_possible_truncation, reason = "the type says how many bits mean something")]
    let raw = match register.number {
        NumberType::Bit => i128::from(bits != 0),
        NumberType::Int16 => i128::from((bits as u16).cast_signed()),
        NumberType::Int32 => i128::from((bits as u32).cast_signed()),
        NumberType::Int64 => i128::from(bits.cast_signed()),
        NumberType::Uint16 | NumberType::Uint32 | NumberType::Uint64 => i128::from(bits),
        NumberType::Bcd16 | NumberType::Bcd32 => i128::from(decimal_digits(bits)?),
        NumberType::Float32 | NumberType::Float64 => return None,
    };
    let said_to_mean_nothing = |sentinel: &i64| {
        let of_type = unsigned(*sentinel, register.number);
        i128::from(*sentinel) == raw || of_type == raw || of_type == unsigned_whole(raw, register.number)
    };
    if register.sentinels.iter().any(said_to_mean_nothing) {
        return None;
    }
    Some(match register.bits {
        Some((lowest, count)) => i128::from(bits >> lowest.min(63) & (u64::MAX >> (64 - u32::from(count.clamp(1, 64))))),
        None => raw,
    })
}

fn along(span: Span, raw: i64) -> Result<f64, Empty> {
    #[expect(clippy::cast_precision_loss, reason = "counts of a converter")]
    let raw = raw as f64;
    if span.broken_below.is_some_and(|least| raw < least) {
        return Err(Empty::BrokenWire);
    }
    let share = (raw - span.raw.0) / (span.raw.1 - span.raw.0);
    // To the digits that a converter has: its steps are no better.
    let value = span.value.0 + share * (span.value.1 - span.value.0);
    finite((value * 1e6).round() / 1e6).ok_or(Empty::NoNumber)
}

fn decimal_digits(bits: u64) -> Option<i64> {
    (0..8)
        .rev()
        .map(|place| bits >> (4 * place) & 0xF)
        .try_fold(0_i64, |value, digit| (digit <= 9).then(|| value * 10 + digit.cast_signed()))
}

/// The bits of a number, most significant first, its words and bytes put into their order.
fn bits(words: &[u16], register: &Register) -> Option<u64> {
    let words = words.get(..usize::from(register.number.width()))?;
    let swaps_bytes = matches!(register.order, ByteOrder::Badc | ByteOrder::Dcba);
    let swaps_words = matches!(register.order, ByteOrder::Cdab | ByteOrder::Dcba);
    let word = |word: &u16| u64::from(if swaps_bytes { word.swap_bytes() } else { *word });
    let join = |bits: u64, word: u64| bits << 16 | word;
    Some(if swaps_words { words.iter().rev().map(word).fold(0, join) } else { words.iter().map(word).fold(0, join) })
}

fn float(raw: f32, register: &Register) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "a float that equals a sentinel equals its nearest float")]
    let is_sentinel = |sentinel: &i64| *sentinel as f32 == raw;
    if !raw.is_finite() || register.sentinels.iter().any(is_sentinel) {
        return None;
    }
    match Decimal::of_single(raw) {
        Some(decimal) => decimal.scaled(register.scale, register.offset),
        None => scale(f64::from(raw), register.scale, register.offset),
    }
}

fn finite(value: f64) -> Option<f64> {
    value.is_finite().then_some(value)
}

/// A signed number as the manual's hexadecimal writes it: −32768 is 0x8000.
fn unsigned(raw: i64, number: NumberType) -> i128 {
    unsigned_whole(i128::from(raw), number)
}

fn unsigned_whole(raw: i128, number: NumberType) -> i128 {
    match number {
        NumberType::Int16 => raw & 0xFFFF,
        NumberType::Int32 => raw & 0xFFFF_FFFF,
        NumberType::Int64 | NumberType::Uint64 => raw & i128::from(u64::MAX),
        _ => raw,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use model::{DeviceId, OwnerId};

    fn register(number: &str, order: &str) -> Register {
        Register {
            channel: "level".into(),
            space: RegisterSpace::Input,
            address: 106,
            number: named(&NumberType::ALL, number).expect("a type"),
            order: named(&ByteOrder::ALL, order).expect("an order"),
            scale: 1.0,
            offset: 0.0,
            unit: Unit::Metre,
            ..Register::default()
        }
    }

    fn check(words: &[u16], number: &str, order: &str, scale: f64, offset: f64, expected: f64) {
        let register = Register { scale, offset, ..register(number, order) };
        let value = value(words, &register);
        assert_eq!(value.map(f64::to_bits), Some(expected.to_bits()), "{words:04X?} {number} {order}: {value:?}");
    }

    // Vectors: domain.md 3.3 (VEGAPULS C 21 registers 106, 2002, 2102, 2202) and IEEE 754.
    #[test]
    fn the_same_level_is_read_in_each_byte_order() {
        check(&[0x4026, 0xE979], "float32", "ABCD", 1.0, 0.0, 2.608);
        check(&[0xE979, 0x4026], "float32", "CDAB", 1.0, 0.0, 2.608);
        check(&[0x2640, 0x79E9], "float32", "BADC", 1.0, 0.0, 2.608);
        check(&[0x79E9, 0x2640], "float32", "DCBA", 1.0, 0.0, 2.608);
        check(&[0xBE82, 0x8F5C], "float32", "ABCD", 1.0, 0.0, -0.255);
        check(&[0x47F1, 0x2065], "float32", "ABCD", 1.0, 0.0, 123_456.79);
        for (order, words) in [("ABCD", [0x0001, 0xE240]), ("CDAB", [0xE240, 1]), ("BADC", [0x0100, 0x40E2]), ("DCBA", [0x40E2, 0x0100])] {
            check(&words, "uint32", order, 1.0, 0.0, 123_456.0);
        }
        check(&[0xFF9C], "int16", "ABCD", 0.001, 0.0, -0.1);
        check(&[0x9CFF], "int16", "DCBA", 0.001, 0.0, -0.1);
        check(&[0xFF9C], "uint16", "CDAB", 1.0, 0.0, 65_436.0);
        check(&[0xFFFF, 0xFFFE], "int32", "ABCD", 1.0, 0.0, -2.0);
        check(&[1], "bit", "ABCD", 1.0, 0.0, 1.0);
        check(&[0], "bit", "ABCD", 1.0, 0.0, 0.0);
    }

    #[test]
    fn a_decimal_scale_gives_a_decimal_value() {
        check(&[2608], "int16", "ABCD", 0.001, 0.0, 2.608);
        check(&[7], "int16", "ABCD", 0.1, 0.0, 0.7);
        check(&[3], "uint16", "ABCD", 0.2, 0.0, 0.6);
        check(&[3], "uint16", "ABCD", 0.003, 0.1, 0.109);
        check(&[1240], "int16", "ABCD", 0.001, 36.41, 37.65);
        check(&[50], "int16", "ABCD", -1.0, 100.0, 50.0);
        check(&[0x4026, 0xE979], "float32", "ABCD", 0.01, 0.0, 0.026_08);
        check(&[0x7F7F, 0xFFFF], "float32", "ABCD", 1.0, 0.0, f64::from(f32::MAX));
        check(&[0x0000, 0x0000], "float32", "ABCD", 1.0, 0.0, 0.0);
    }

    #[test]
    fn what_is_no_number_is_no_value() {
        for words in [[0x7FC0, 0x0000], [0x7F80, 0x0000], [0xFF80, 0x0000]] {
            assert_eq!(value(&words, &register("float32", "ABCD")), None, "NaN and infinities");
        }
        let bad = |number, sentinels: &[i64]| Register { sentinels: sentinels.to_vec(), ..register(number, "ABCD") };
        assert_eq!(value(&[0x7FFF], &bad("int16", &[32_767])), None);
        assert_eq!(value(&[0x8000], &bad("int16", &[0x8000])), None, "as the manual writes it");
        assert_eq!(value(&[0x8000], &bad("int16", &[-32_768])), None, "as a signed number");
        assert_eq!(value(&[0xFFFF, 0xFFFF], &bad("uint32", &[0xFFFF_FFFF])), None);
        assert_eq!(value(&[0xC479, 0xC000], &bad("float32", &[-999])), None);
        assert_eq!(value(&[0x4026], &register("float32", "ABCD")), None, "half a number");
        assert_eq!(value(&[], &register("int16", "ABCD")), None);
    }

    #[test]
    fn a_whole_number_of_four_registers_is_kept_to_its_last_digit_or_refused() {
        check(&[0x0020, 0, 0, 0], "uint64", "ABCD", 1.0, 0.0, 9_007_199_254_740_992.0);
        check(&[0x8000, 0, 0, 0], "uint64", "ABCD", 1.0, 0.0, 9_223_372_036_854_775_808.0);
        check(&[0xFFFF, 0xFFFF, 0xFFFF, 0xFFF4], "int64", "ABCD", 0.001, 0.0, -0.012);
        let held = |words: &[u16], number| held(words, &register(number, "ABCD"));
        assert_eq!(held(&[0x0020, 0, 0, 1], "uint64"), Err(Empty::NotExact(9_007_199_254_740_993)));
        assert_eq!(held(&[0x0020, 0, 0, 1], "int64"), Err(Empty::NotExact(9_007_199_254_740_993)));
        let all_ones = Register { sentinels: vec![-1], ..register("uint64", "ABCD") };
        assert_eq!(value(&[0xFFFF; 4], &all_ones), None);
    }

    fn frame(bytes: Vec<u8>) -> Frame {
        Frame {
            source: "modbus",
            format: "registers",
            route: "127.0.0.1:502/246".into(),
            owner: OwnerId::from("medio-valdarno"),
            device: Some(DeviceId::from("gamberame-radar")),
            channel: None,
            received_at: Timestamp::from_seconds(1_700_000_000),
            bytes: bytes.into(),
        }
    }

    #[test]
    fn a_poll_is_read_back_with_its_own_time_and_unit() {
        let level = register("float32", "CDAB");
        let absent = Register { channel: "absent".into(), address: 400, ..register("int16", "ABCD") };
        let broken = Register { channel: "broken".into(), address: 108, sentinels: vec![0], ..register("int16", "ABCD") };
        let poll = Poll {
            time_us: 1_700_000_000_000_000,
            blocks: vec![Words::new(RegisterSpace::Input, 105, vec![9, 0xE979, 0x4026, 0])],
            registers: [&level, &absent, &broken].map(Meaning::of).to_vec(),
            flag: None,
        };
        let decoded = Registers.decode(&frame(serde_json::to_vec(&poll).expect("json")));
        let said: Vec<_> = decoded.readings.iter().map(|placed| (placed.index, placed.what.channel.as_str(), placed.what.value)).collect();
        assert_eq!(said, [(0, "level", 2.608)]);
        assert_eq!(decoded.readings[0].what.phenomenon_time, Some(Timestamp::from_seconds(1_700_000_000)));
        assert_eq!(decoded.readings[0].what.unit, Some(Unit::Metre));
        let refused: Vec<_> = decoded.rejects.iter().map(|placed| (placed.index, placed.what.reason)).collect();
        assert_eq!(refused, [(1, RejectReason::WrongShape), (2, RejectReason::NotANumber)]);
    }

    #[test]
    fn bytes_that_are_no_poll_are_one_refusal() {
        for bytes in [&b"{"[..], b"[]", b"\xff"] {
            let decoded = Registers.decode(&frame(bytes.to_vec()));
            assert_eq!((decoded.readings.len(), decoded.rejects.len()), (0, 1));
        }
    }
}
