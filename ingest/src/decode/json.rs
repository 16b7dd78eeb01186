//! JSON as it was written, one level at a time: keys in order, doubled keys kept apart, numbers as their text. A level below is
//! read only when somebody asks for it, so that neither depth nor size of what no device would send costs stack or memory.

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
        Some(Shape::Text(text)) => format!("the text {}", shown(&text)),
        Some(Shape::List) => "a list".into(),
        Some(Shape::Map) => "an object".into(),
        None => "a text that is no Unicode".into(),
    }
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
