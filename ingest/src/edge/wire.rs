//! A batch on its way: one line of JSON that names what follows, then the observations packed as the store's log packs them.

use crate::bounds::{MOST_EDGE_HEAD, MOST_EDGE_ITEMS, MOST_EDGE_OBSERVATIONS};
use model::{DatastreamId, DatastreamKey, Gap, GapReason, Observation, Timestamp};
use serde::de::{Deserializer, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::fmt;
use std::marker::PhantomData;
use store::Owed;

const MAGIC: &[u8] = b"pescaia-edge-1 ";

/// The line. Short names: a cabinet may send a hundred bytes at a time over a narrow link.
#[derive(Debug, Serialize, Deserialize)]
struct Head {
    /// Epoch of the edge's store.
    e: u64,
    /// Sequences, both ends included.
    #[serde(deserialize_with = "first_items")]
    s: Vec<(u64, u64)>,
    /// Keys of datastreams; the packed numbers count through them.
    #[serde(deserialize_with = "first_items")]
    k: Vec<String>,
    /// Gaps: place of the key, from and to in µs, reason, count.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "first_items")]
    g: Vec<(u32, i64, i64, String, u64)>,
}

/// The items of a list, as far as a head may have them, and one more to tell that there are too many.
fn first_items<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Vec<T>, D::Error> {
    struct Reader<T>(PhantomData<T>);
    impl<'de, T: Deserialize<'de>> Visitor<'de> for Reader<T> {
        type Value = Vec<T>;
        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }
        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
            let mut kept = Vec::new();
            while kept.len() <= MOST_EDGE_ITEMS {
                match list.next_element()? {
                    Some(item) => kept.push(item),
                    None => return Ok(kept),
                }
            }
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok(kept)
        }
    }
    deserializer.deserialize_seq(Reader(PhantomData))
}

/// Why a batch can't be read.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Unread {
    /// It holds, or says that it holds, more than a batch may.
    TooLarge(String),
    Broken(String),
}

impl From<String> for Unread {
    fn from(cause: String) -> Self {
        Self::Broken(cause)
    }
}

impl From<&str> for Unread {
    fn from(cause: &str) -> Self {
        Self::Broken(cause.to_owned())
    }
}

fn too_large(what: &str, most: usize) -> Unread {
    Unread::TooLarge(format!(
        "a batch of an edge may hold {most} {what} and says that it holds more; send it in smaller ones; nothing was kept"
    ))
}

/// What an edge sends.
#[derive(Debug, PartialEq)]
pub(crate) struct Parcel {
    pub(crate) epoch: u64,
    /// Sequences, both ends included, ascending.
    pub(crate) sequences: Vec<(u64, u64)>,
    pub(crate) keys: Vec<DatastreamKey>,
    /// Their datastreams are places in `keys`.
    pub(crate) observations: Vec<Observation>,
    pub(crate) gaps: Vec<Gap>,
}

impl Parcel {
    /// From what is owed; `key_of` names a datastream, and what it does not know is left out.
    pub(crate) fn of(epoch: u64, owed: &[Owed], key_of: impl Fn(DatastreamId) -> Option<DatastreamKey>) -> Self {
        let mut parcel = Self { epoch, sequences: Vec::new(), keys: Vec::new(), observations: Vec::new(), gaps: Vec::new() };
        let mut places: HashMap<DatastreamId, Option<DatastreamId>> = HashMap::new();
        for one in owed {
            match parcel.sequences.last_mut() {
                Some((_, last)) if *last + 1 == one.sequence => *last = one.sequence,
                _ => parcel.sequences.push((one.sequence, one.sequence)),
            }
            let keys = &mut parcel.keys;
            let mut place = |id: DatastreamId| {
                *places.entry(id).or_insert_with(|| {
                    let key = key_of(id)?;
                    keys.push(key);
                    u32::try_from(keys.len() - 1).ok().map(DatastreamId)
                })
            };
            let observations = one.observations.iter();
            parcel.observations.extend(observations.filter_map(|one| Some(Observation { datastream: place(one.datastream)?, ..*one })));
            parcel.gaps.extend(one.gaps.iter().filter_map(|gap| Some(Gap { datastream: place(gap.datastream)?, ..gap.clone() })));
        }
        parcel
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let gap = |gap: &Gap| (gap.datastream.0, gap.from.micros(), gap.to.micros(), gap.reason.code(), gap.count);
        let head = Head {
            e: self.epoch,
            s: self.sequences.clone(),
            k: self.keys.iter().map(ToString::to_string).collect(),
            g: self.gaps.iter().map(gap).collect(),
        };
        let mut bytes = MAGIC.to_vec();
        bytes.extend(serde_json::to_vec(&head).unwrap_or_default());
        bytes.push(b'\n');
        bytes.extend(store::pack(&self.observations));
        bytes
    }

    /// What is claimed is judged before there is room for it.
    ///
    /// # Errors
    /// What is wrong with the bytes.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self, Unread> {
        let rest = bytes.strip_prefix(MAGIC).ok_or("this is no batch of a pescaia's edge, or one of a newer version")?;
        let within = rest.get(..MOST_EDGE_HEAD).unwrap_or(rest);
        let Some(end) = within.iter().position(|byte| *byte == b'\n') else {
            let is_whole = within.len() == rest.len();
            return Err(if is_whole { "the batch ends within its head".into() } else { too_large("bytes of head", MOST_EDGE_HEAD) });
        };
        let (head, packed) = rest.split_at_checked(end).ok_or("the batch ends within its head")?;
        let head: Head = serde_json::from_slice(head).map_err(|cause| format!("the head of the batch can't be read: {cause}"))?;
        if [head.g.len(), head.s.len(), head.k.len()].into_iter().any(|count| count > MOST_EDGE_ITEMS) {
            return Err(too_large("keys, gaps and stretches of sequences each", MOST_EDGE_ITEMS));
        }
        let observations = store::unpack_at_most(packed.get(1..).unwrap_or_default(), MOST_EDGE_OBSERVATIONS);
        let unreadable = |_| {
            "its observations can't be read: either they were changed on the way, and come again by themselves, or the edge is of another version; bring edge and centre to the same one".to_owned()
        };
        let Some(observations) = observations.map_err(unreadable)? else {
            return Err(too_large("observations", MOST_EDGE_OBSERVATIONS));
        };
        if observations.iter().any(|one| one.datastream.index() >= head.k.len()) || head.g.iter().any(|gap| gap.0 as usize >= head.k.len())
        {
            return Err("the batch speaks of a datastream that it does not name".into());
        }
        if observations.iter().any(|one| !one.result.is_finite()) || head.s.iter().any(|(first, last)| first > last) {
            return Err("the batch holds what no edge sends".into());
        }
        let gap = |(place, from, to, reason, count): (u32, i64, i64, String, u64)| {
            let reason = GapReason::from_code(&reason).ok_or_else(|| format!("unknown reason of a gap: {reason}"))?;
            let (from, to) = (Timestamp::from_micros(from), Timestamp::from_micros(to));
            Ok(Gap { datastream: DatastreamId(place), from, to, reason, count })
        };
        let gaps = head.g.into_iter().map(gap).collect::<Result<_, String>>()?;
        let keys = head.k.into_iter().map(DatastreamKey::from).collect();
        Ok(Self { epoch: head.e, sequences: head.s, keys, observations, gaps })
    }
}
