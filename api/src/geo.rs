//! GeoJSON: points at stations with what is known of them, longitude first.

use crate::stream::{Flow, Pieces, Progress, TOGETHER, by_and_by};
use axum::http::{HeaderValue, header};
use axum::response::Response;
use model::Place;
use serde::Serialize;

/// Appends a point with the fields of `properties`, and a comma.
pub(crate) fn put(place: Place, properties: &impl Serialize, out: &mut Vec<u8>) {
    begin(place, out);
    // Writing to memory does not fail.
    let _ = serde_json::to_writer(&mut *out, properties);
    out.extend_from_slice(b"},");
}

/// Appends a point as far as its properties, which follow, and a brace behind them.
pub(crate) fn begin(place: Place, out: &mut Vec<u8>) {
    out.extend_from_slice(b"{\"type\":\"Feature\",\"geometry\":{\"type\":\"Point\",\"coordinates\":");
    let _ = serde_json::to_writer(&mut *out, &[place.longitude, place.latitude]);
    out.extend_from_slice(b"},\"properties\":");
}

/// What a collection begins with.
pub(crate) const COLLECTION: &[u8] = b"{\"type\":\"FeatureCollection\",\"features\":[";

/// A collection whose features are made by and by.
pub(crate) struct Features<K, F> {
    keys: Vec<K>,
    progress: Progress,
    make: F,
}

impl<K, F: FnMut(&[K], &mut Vec<u8>) -> Result<usize, store::Error>> Features<K, F> {
    /// `make` appends the features of some of `keys`, each with a comma behind it, and says how many.
    pub(crate) fn of(keys: Vec<K>, make: F) -> Self {
        Self { keys, progress: Progress::by(TOGETHER), make }
    }
}

impl<K: Send + 'static, F> Pieces for Features<K, F>
where
    F: FnMut(&[K], &mut Vec<u8>) -> Result<usize, store::Error> + Send + 'static,
{
    fn next(&mut self, out: &mut Vec<u8>) -> Result<Flow, store::Error> {
        if self.progress.is_start() {
            out.extend_from_slice(COLLECTION);
        }
        let flow = by_and_by(&self.keys, &mut self.progress, &mut self.make, out)?;
        if flow == Flow::Last {
            out.extend_from_slice(b"]}");
        }
        Ok(flow)
    }
}

pub(crate) fn typed(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/geo+json"));
    response
}
