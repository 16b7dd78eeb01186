//! What the push door takes and answers. It stands in `ingest`; described here, that the contract is whole.
#![allow(dead_code, reason = "shapes for the description")]

use crate::problem::Problem;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Readings of one device at one instant; an array of these is taken too.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Readings {
    #[schema(example = "prova")]
    device: String,
    /// RFC 3339 with an offset, or epoch seconds or milliseconds.
    #[schema(example = "2026-11-23T06:20:00Z")]
    time: String,
    /// Channel and finite number.
    #[schema(example = json!({"level": 1.42}))]
    values: BTreeMap<String, f64>,
    /// Channel and UCUM symbol, where the device speaks another unit than the network file says.
    units: Option<BTreeMap<String, String>>,
}

/// What became of each reading; all of it is on disk.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Pushed {
    accepted: u64,
    duplicates: u64,
    /// Another value was there; the new one is served, the old one kept.
    revised: u64,
    rejected: Vec<RejectedOut>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RejectedOut {
    /// Of the object in the array.
    index: usize,
    #[schema(example = "unknown-channel")]
    code: String,
    detail: String,
}

/// Takes readings. The answer comes after the commit: what it counts survives a power cut.
#[utoipa::path(post, path = "/api/v1/observations", tag = "push", security(("token" = [])), request_body = Vec<Readings>,
    responses((status = 200, body = Pushed), (status = 401, body = Problem, content_type = "application/problem+json"),
        (status = 403, body = Problem, content_type = "application/problem+json"), (status = 413, body = Problem, content_type = "application/problem+json"),
        (status = 415, body = Problem, content_type = "application/problem+json"),
        (status = 422, description = "None could be taken; rejected says why", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Nothing was kept; send it again after Retry-After", body = Problem, content_type = "application/problem+json")))]
pub(crate) fn push() {}
