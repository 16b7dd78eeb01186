//! JSON as it was written, one level at a time: keys in order, doubled keys kept apart, numbers as their text. A level below is
//! read only when somebody asks for it, so that neither depth nor size of what no device would send costs stack or memory.

use super::number::{self, Fault};
use super::text::not_utf_8;
use crate::shown::shown;
use serde::Deserialize;
use serde::de::{Deserializer, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;
use std::fmt;

/// Pairs of one object that are kept; the others are only counted.
const MOST_PAIRS: usize = 8192;

/// What stands at one place.
#[derive(Debug)]
pub(super) enum Shape<'a> {
    Null,
    Bool(bool),
    /// Its text: it may be beyond what a float can hold.
    Number(&'a str),
    Text(String),
    List,
    Map,
}

impl<'a> Shape<'a> {
    /// `None` for a text that is no Unicode.
    pub(super) fn of(raw: &'a RawValue) -> Option<Self> {
        let text = raw.get();
        Some(match text.as_bytes().first() {
            Some(b'{') => Self::Map,
            Some(b'[') => Self::List,
            Some(b'"') => Self::Text(serde_json::from_str(text).ok()?),
            Some(b't') => Self::Bool(true),
            Some(b'f') => Self::Bool(false),
            Some(b'n') => Self::Null,
            _ => Self::Number(text),
        })
    }
}

/// What was found, for a person, with the value itself if it is short.
pub(super) fn found(raw: &RawValue) -> String {
    match Shape::of(raw) {
        Some(Shape::Null) => "null".into(),
        Some(Shape::Bool(value)) => format!("the boolean {value}"),
        Some(Shape::Number(text)) => format!("the number {}", text.chars().take(40).collect::<String>()),
        Some(Shape::Text(text)) if NO_NUMBERS.contains(&text.as_str()) => text,
        Some(Shape::Text(text)) => format!("the text {}", shown(&text)),
        Some(Shape::List) => "a list".into(),
        Some(Shape::Map) => "an object".into(),
        None => "a text that is no Unicode".into(),
    }
}

/// The number that stands at one place, as a number or as a text.
///
/// # Errors
/// Why there is none that can be kept.
pub(super) fn number(raw: &RawValue) -> Result<f64, Fault> {
    match Shape::of(raw) {
        Some(Shape::Number(text)) => number::read(text),
        Some(Shape::Text(text)) => number::read(&text),
        _ => Err(Fault::NoNumber),
    }
}

/// Words that firmwares and languages write where JSON wants a number.
const NO_NUMBERS: [&str; 8] = ["-Infinity", "+Infinity", "Infinity", "-inf", "+inf", "inf", "NaN", "nan"];

/// JSON in which `NaN` and `Infinity` stand bare, with quotes around them; `None` where there is none of them. What is good beside them
/// can then be read.
pub(super) fn quoted_nans(bytes: &[u8]) -> Option<Vec<u8>> {
    let (mut quoted, mut is_text, mut is_escaped, mut found) = (Vec::with_capacity(bytes.len() + 16), false, false, false);
    let mut rest = bytes;
    while let [first, after @ ..] = rest {
        let word = NO_NUMBERS.iter().find(|word| {
            let starts_here = !is_text && !quoted.last().is_some_and(u8::is_ascii_alphanumeric) && rest.starts_with(word.as_bytes());
            starts_here && !rest.get(word.len()).is_some_and(u8::is_ascii_alphanumeric)
        });
        if let Some(word) = word {
            quoted.extend(format!("\"{word}\"").into_bytes());
            rest = rest.get(word.len()..).unwrap_or_default();
            found = true;
            continue;
        }
        is_text ^= *first == b'"' && !is_escaped;
        is_escaped = is_text && *first == b'\\' && !is_escaped;
        quoted.push(*first);
        rest = after;
    }
    found.then_some(quoted)
}

/// Why bytes are no JSON, in words.
pub(super) fn why(bytes: &[u8], cause: &serde_json::Error) -> String {
    if bytes.is_empty() {
        return "the message is empty".into();
    }
    let Ok(text) = std::str::from_utf8(bytes) else { return not_utf_8(bytes).into() };
    if cause.is_eof() {
        return "no JSON: it ends before it is whole".into();
    }
    let before: usize = text.split_inclusive('\n').take(cause.line().saturating_sub(1)).map(str::len).sum();
    let at = (before + cause.column().saturating_sub(1)).min(text.len());
    let from = (0..=at).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    let stands: String = text.get(from..).unwrap_or_default().chars().take(20).collect();
    if cause.is_data() {
        return format!("no message that is known: {} stands where something else belongs", shown(&stands));
    }
    format!("no JSON: {} stands where it must go on otherwise", shown(&stands))
}

/// The pairs of one object.
#[derive(Debug, Default)]
pub(super) struct Pairs<'a> {
    pub(super) kept: Vec<(String, &'a RawValue)>,
    /// Pairs there were, kept or not.
    pub(super) count: usize,
}

impl<'de: 'a, 'a> Deserialize<'de> for Pairs<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;
        impl<'de> Visitor<'de> for Reader {
            type Value = Pairs<'de>;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }
            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut pairs = Pairs::default();
                while pairs.kept.len() < MOST_PAIRS {
                    match map.next_entry()? {
                        Some(pair) => pairs.kept.push(pair),
                        None => break,
                    }
                }
                pairs.count = pairs.kept.len();
                if pairs.count == MOST_PAIRS {
                    while map.next_entry::<IgnoredAny, IgnoredAny>()?.is_some() {
                        pairs.count += 1;
                    }
                }
                Ok(pairs)
            }
        }
        deserializer.deserialize_map(Reader)
    }
}

/// Calls `each` for the items of a list, in order.
pub(super) fn for_each<'a>(list: &'a RawValue, each: impl FnMut(&'a RawValue)) -> serde_json::Result<()> {
    struct Reader<F>(F);
    impl<'de, F: FnMut(&'de RawValue)> Visitor<'de> for Reader<F> {
        type Value = ();
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }
        fn visit_seq<A: SeqAccess<'de>>(mut self, mut list: A) -> Result<(), A::Error> {
            while let Some(item) = list.next_element()? {
                (self.0)(item);
            }
            Ok(())
        }
    }
    serde_json::Deserializer::from_str(list.get()).deserialize_seq(Reader(each))
}
