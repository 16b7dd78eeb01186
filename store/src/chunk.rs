//! Observations as compressed rows. Each commit is one record in the log; a datastream's buffer is sealed into a chunk of
//! one or two thousand points when it is full; late points have a buffer of their own and are folded into the chunks they touch.
//! Design and measurements: `docs/decisions/0003-store.md`.

mod bits;
mod cache;
mod codec;
mod column;
mod columns;
mod cut;
mod fence;
mod head;
mod heads;
mod layer;
mod log;
mod pages;
mod point;
mod recover;
mod stage;
mod tail;
mod versions;

pub(crate) use codec::decode as decode_points;
pub(crate) use column::{Reader, put_varint, zigzag};
pub(crate) use cut::Records;
pub(crate) use layer::{ChunkWriter, Chunks, Piece};
pub(crate) use point::Point;
pub(crate) use recover::Recovered;
pub(crate) use stage::{Group, Staged};
pub(crate) use versions::Versions;

/// The log record of these observations, as a commit would write it.
pub(crate) fn pack(observations: &[model::Observation]) -> Vec<u8> {
    let points: Vec<(u32, Point)> = observations.iter().map(|one| (one.datastream.0, Point::of(one))).collect();
    log::encode(log::Link::default(), &points, &[], &[])
}

/// The observations of a log record.
pub(crate) fn unpack_record(row: &crate::engine::Row) -> Result<Vec<model::Observation>, crate::Error> {
    let points = log::decode(row.at.cast_unsigned(), &row.body)?.points;
    Ok(points.into_iter().map(|(id, point)| point.observation(model::DatastreamId(id))).collect())
}

/// As [`unpack`], of bytes that came over a wire; `None` when they say that they hold more than `most`.
pub(crate) fn unpack_at_most(bytes: &[u8], most: usize) -> Result<Option<Vec<model::Observation>>, crate::Error> {
    if log::announced(bytes)? > most { Ok(None) } else { unpack(bytes).map(Some) }
}

/// Back from [`pack`].
pub(crate) fn unpack(bytes: &[u8]) -> Result<Vec<model::Observation>, crate::Error> {
    let points = log::decode(0, bytes)?.points;
    Ok(points.into_iter().map(|(id, point)| point.observation(model::DatastreamId(id))).collect())
}
