//! SenML in CBOR, RFC 8428 section 6: the same records, with numbers for the labels. Numbers may be decimal fractions.

use super::{Held, MOST_RECORDS, Record};
use crate::decode::number::{self, Fault};
use ciborium::Value;

/// RFC 8428, table 4.
const LABELS: [(i128, &str); 15] = [
    (-1, "bver"),
    (-2, "bn"),
    (-3, "bt"),
    (-4, "bu"),
    (-5, "bv"),
    (-6, "bs"),
    (0, "n"),
    (1, "u"),
    (2, "v"),
    (3, "vs"),
    (4, "vb"),
    (5, "s"),
    (6, "t"),
    (7, "ut"),
    (8, "vd"),
];
/// Deeper than any pack is.
const DEEPEST: usize = 16;

/// An array in CBOR, or a tag before one; JSON begins with a bracket.
pub(super) fn is_cbor(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| (0x80..=0x9f).contains(first) || (0xc0..=0xdb).contains(first))
}

/// The first records of a pack, each read alone, and how many there are in all.
///
/// # Errors
/// Why the bytes are no array in CBOR.
pub(super) fn pack(bytes: &[u8]) -> Result<(Vec<Result<Record, String>>, usize), String> {
    let mut rest = bytes;
    let value: Value = ciborium::de::from_reader_with_recursion_limit(&mut rest, DEEPEST)
        .map_err(|_| "it begins like CBOR, and can't be read to its end as such".to_owned())?;
    if !rest.is_empty() {
        return Err(format!("{} bytes follow the array", rest.len()));
    }
    let records = untagged(value).into_array().map_err(|_| "it is CBOR, but no array".to_owned())?;
    let all = records.len();
    Ok((records.into_iter().take(MOST_RECORDS).map(record).collect(), all))
}

/// What stands behind tags that only say what it is (RFC 8949, 3.4.6 and others).
fn untagged(mut value: Value) -> Value {
    while let Value::Tag(_, inner) = value {
        value = *inner;
    }
    value
}

fn record(value: Value) -> Result<Record, String> {
    let fields = untagged(value).into_map().map_err(|_| "it is no map".to_owned())?;
    let named = |(label, value): (Value, Value)| match untagged(label) {
        Value::Text(name) => Ok((name, value)),
        Value::Integer(number) => {
            let number = i128::from(number);
            let name = LABELS.iter().find(|(known, _)| *known == number).map_or_else(|| number.to_string(), |(_, name)| (*name).to_owned());
            Ok((name, value))
        }
        _ => Err("a label is neither a number nor a text".to_owned()),
    };
    Record::read(fields.into_iter().map(named).collect::<Result<Vec<_>, _>>()?)
}

impl Held for Value {
    fn text(&self) -> Option<String> {
        match self {
            Self::Tag(_, inner) => inner.text(),
            other => other.as_text().map(str::to_owned),
        }
    }
    /// A whole number of any width, a float of any width, a decimal fraction (RFC 8949, 3.4.3 and 3.4.4), or a text that is one.
    fn number(&self) -> Result<f64, Fault> {
        match self {
            Self::Float(number) => number::finite(*number),
            Self::Integer(whole) => number::whole(i128::from(*whole)),
            Self::Text(text) => number::read(text),
            Self::Tag(4, fraction) => match fraction.as_array().map(Vec::as_slice) {
                Some([Self::Integer(exponent), Self::Integer(mantissa)]) => {
                    number::read(&format!("{}e{}", i128::from(*mantissa), i128::from(*exponent)))
                }
                _ => Err(Fault::NoNumber),
            },
            Self::Tag(tag @ (2 | 3), bytes) => {
                let bytes = bytes.as_bytes().ok_or(Fault::NoNumber)?;
                if bytes.len() > 15 {
                    return Err(Fault::NotExact);
                }
                let whole = bytes.iter().fold(0_i128, |whole, byte| whole << 8 | i128::from(*byte));
                number::whole(if *tag == 2 { whole } else { -1 - whole })
            }
            Self::Tag(_, inner) => inner.number(),
            _ => Err(Fault::NoNumber),
        }
    }
    fn flag(&self) -> Option<bool> {
        match self {
            Self::Tag(_, inner) => inner.flag(),
            other => other.as_bool(),
        }
    }
    fn found(&self) -> String {
        match self {
            Self::Float(number) => number.to_string(),
            Self::Integer(whole) => format!("the number {}", i128::from(*whole)),
            Self::Text(text) => format!("the text {}", crate::shown::shown(text)),
            Self::Bytes(_) => "bytes".into(),
            Self::Bool(flag) => format!("the boolean {flag}"),
            Self::Null => "null".into(),
            Self::Tag(2 | 3, _) => "a whole number of many digits".into(),
            Self::Tag(4, _) => "a decimal fraction".into(),
            Self::Tag(_, inner) => inner.found(),
            Self::Array(_) => "a list".into(),
            Self::Map(_) => "a map".into(),
            _ => "something else".into(),
        }
    }
}
