//! SenML in CBOR, RFC 8428 section 6: the same records, with numbers for the labels. Numbers may be decimal fractions.

use super::{MOST_RECORDS, Record};
use ciborium::Value;
use serde::de::IgnoredAny;
use std::collections::HashSet;

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

/// An array in CBOR; one in JSON begins with a bracket.
pub(super) fn is_cbor(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|first| (0x80..=0x9f).contains(first))
}

/// The first records of a pack, each read alone, and how many there are in all.
///
/// # Errors
/// Why the bytes are no array in CBOR.
pub(super) fn pack(bytes: &[u8]) -> Result<(Vec<Result<Record, String>>, usize), String> {
    let mut rest = bytes;
    let value: Value = ciborium::de::from_reader_with_recursion_limit(&mut rest, DEEPEST).map_err(|cause| cause.to_string())?;
    if !rest.is_empty() {
        return Err(format!("{} bytes follow the array", rest.len()));
    }
    let records = value.into_array().map_err(|_| "no array".to_owned())?;
    let all = records.len();
    Ok((records.into_iter().take(MOST_RECORDS).map(record).collect(), all))
}

fn record(value: Value) -> Result<Record, String> {
    let fields = value.into_map().map_err(|_| "it is no map".to_owned())?;
    let (mut record, mut seen) = (Record::default(), HashSet::new());
    for (label, value) in fields {
        let name = match &label {
            Value::Text(name) => name.clone(),
            Value::Integer(number) => {
                let number = i128::from(*number);
                LABELS.iter().find(|(known, _)| *known == number).map_or_else(|| number.to_string(), |(_, name)| (*name).to_owned())
            }
            _ => return Err("a label is neither a number nor a text".into()),
        };
        if !seen.insert(name.clone()) {
            return Err(format!("duplicate field {}", name.chars().take(40).collect::<String>()));
        }
        let a_number = |value: &Value| number(value).ok_or_else(|| format!("{name} is no number"));
        let a_text = |value: Value| value.into_text().map_err(|_| format!("{name} is no text"));
        match name.as_str() {
            "bn" => record.bn = Some(a_text(value)?),
            "bt" => record.bt = Some(a_number(&value)?),
            "bu" => record.bu = Some(a_text(value)?),
            "bv" => record.bv = Some(a_number(&value)?),
            "bs" => record.bs = Some(IgnoredAny),
            "bver" => {
                let version = value.as_integer().and_then(|version| u64::try_from(version).ok());
                record.bver = Some(version.ok_or("bver is no version")?);
            }
            "n" => record.n = Some(a_text(value)?),
            "u" => record.u = Some(a_text(value)?),
            "v" => record.v = Some(a_number(&value)?),
            "vs" => record.vs = Some(IgnoredAny),
            "vb" => record.vb = Some(value.as_bool().ok_or("vb is neither true nor false")?),
            "vd" => record.vd = Some(IgnoredAny),
            "s" => record.s = Some(IgnoredAny),
            "t" => record.t = Some(a_number(&value)?),
            "ut" => record.ut = Some(IgnoredAny),
            _ => drop(record.more.insert(name, IgnoredAny)),
        }
    }
    Ok(record)
}

/// A whole number, a float of any width, or a decimal fraction (RFC 8949, 3.4.4).
fn number(value: &Value) -> Option<f64> {
    match value {
        Value::Float(number) => Some(*number),
        Value::Integer(whole) => i128::from(*whole).to_string().parse().ok(),
        Value::Tag(4, fraction) => match fraction.as_array()?.as_slice() {
            [Value::Integer(exponent), Value::Integer(mantissa)] => {
                format!("{}e{}", i128::from(*mantissa), i128::from(*exponent)).parse().ok()
            }
            _ => None,
        },
        _ => None,
    }
}
