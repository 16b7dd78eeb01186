//! How much one message may make of itself in memory, whichever door it comes by: a small body must not become a large batch.

/// Readings of one message. Line protocol clients send 5,000 to 10,000 at a time; at about 100 bytes a reading this is 5 MB.
pub(crate) const MOST_READINGS: usize = 50_000;
/// Refusals of one message that are listed one by one, each with its sentence. The others are counted, one line for each device and
/// reason. As many as a birth certificate of a large gateway has metrics, so that most are proposed for adoption at once.
pub(crate) const MOST_REFUSALS: usize = 1_000;
/// Observations in one batch of an edge: two of the largest messages that it can have taken in one commit, and what was committed with them.
pub(crate) const MOST_EDGE_OBSERVATIONS: usize = 120_000;
/// Keys, gaps and stretches of sequences, of each, in one batch of an edge: an edge stops adding at a tenth as many gaps.
pub(crate) const MOST_EDGE_ITEMS: usize = 20_000;
/// Bytes of the line of JSON before the observations of such a batch: 20,000 keys and as many gaps fit twice.
pub(crate) const MOST_EDGE_HEAD: usize = 4 << 20;
/// Bytes of a channel's name. Some formats put it together from parts that stand once in a message and count for every reading.
pub(crate) const LONGEST_CHANNEL: usize = 512;
/// Messages up to so many bytes are read where they come in; longer ones on a thread that may take its time.
pub(crate) const LIGHT_BYTES: usize = 8 * 1024;
