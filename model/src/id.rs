//! Names of things. The text ones are what people and programs write; [`DatastreamId`] is the store's short number.

use std::fmt;
use std::sync::Arc;

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub struct $name(Arc<str>);

        impl $name {
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }
        impl From<String> for $name {
            fn from(text: String) -> Self {
                Self(text.into())
            }
        }
        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }
    };
}

text_id!(
    /// The utility, consorzio or comune that the data belongs to, e.g. `medio-valdarno`.
    OwnerId
);
text_id!(
    /// A place with a location, e.g. `bisenzio-gamberame`.
    StationId
);
text_id!(
    /// The public name of a datastream, e.g. `prova-level`; unique in the whole installation.
    DatastreamKey
);
text_id!(
    /// A piece of field hardware, unique within its owner, e.g. `prova`.
    DeviceId
);

text_id!(
    /// What a device calls one of the things that it measures, e.g. `level`.
    ChannelName
);

/// The store's number of a datastream: dense, from 0, given once and never given again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DatastreamId(pub u32);

impl DatastreamId {
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// True for a name that may stand in an address, a topic and a file name: `a-z 0-9 -`, 1 to 64 long, no `-` at the ends.
#[must_use]
pub fn is_slug(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
        && !text.starts_with('-')
        && !text.ends_with('-')
}
