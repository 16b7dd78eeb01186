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

/// Which refused messages are read again, and how.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ReplayOrder {
    numbers: Option<Vec<u64>>,
    device: Option<String>,
    channel: Option<String>,
    #[schema(example = "unknown-channel")]
    reason: Option<String>,
    all: Option<bool>,
    /// Seconds to add to every time that the messages say: the device's clock was wrong.
    shift_s: Option<f64>,
    /// Takes the time of arrival instead.
    arrival: Option<bool>,
    format: Option<String>,
    dry_run: Option<bool>,
}

/// What became of them; what is still refused stays where it is.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Replayed {
    entries: u64,
    accepted: u64,
    duplicates: u64,
    revised: u64,
    left: Vec<LeftOut>,
    left_count: u64,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LeftOut {
    number: u64,
    code: String,
    detail: String,
}

/// Reads refused messages again, once what they were refused for is mended. Needs the scope manage.
#[utoipa::path(post, path = "/api/v1/quarantine/replay", tag = "quarantine", security(("token" = [])), request_body = ReplayOrder,
    responses((status = 200, body = Replayed), (status = 400, body = Problem, content_type = "application/problem+json"), (status = 401, body = Problem, content_type = "application/problem+json"), (status = 403, body = Problem, content_type = "application/problem+json")))]
pub(crate) fn replay() {}

/// A channel that nobody has described yet, with what can be guessed of it.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProposalOut {
    /// What messages call the device, and its id where the network knows it.
    device: String,
    known_as: Option<String>,
    channel: String,
    /// Readings that wait.
    count: u64,
    first: String,
    last: String,
    value: f64,
    property: Option<String>,
    class: Option<String>,
    unit: Option<String>,
    period_s: u32,
}

/// Unknown channels of your owner. Needs the scope manage.
#[utoipa::path(get, path = "/api/v1/proposals", tag = "proposals", security(("token" = [])),
    responses((status = 200, body = crate::page::Page<ProposalOut>), (status = 401, body = Problem, content_type = "application/problem+json"), (status = 403, body = Problem, content_type = "application/problem+json")))]
pub(crate) fn proposals() {}

/// What is made of a proposal; what is left out is as guessed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AdoptOrder {
    device: String,
    channel: String,
    station: String,
    datastream: Option<String>,
    property: Option<String>,
    unit: Option<String>,
    period_s: Option<u32>,
    public: Option<bool>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AdoptedOut {
    datastream: String,
    changes: Vec<String>,
    /// Readings that waited and are stored now, and messages that wait on.
    accepted: u64,
    left: u64,
}

/// Makes a proposal a datastream, or the feed of one that nothing feeds, and takes what waited. Station and datastream must be your
/// owner's. Needs the scope manage.
#[utoipa::path(post, path = "/api/v1/proposals/adopt", tag = "proposals", security(("token" = [])), request_body = AdoptOrder,
    responses((status = 200, body = AdoptedOut), (status = 401, body = Problem, content_type = "application/problem+json"), (status = 403, body = Problem, content_type = "application/problem+json"), (status = 404, body = Problem, content_type = "application/problem+json"), (status = 422, body = Problem, content_type = "application/problem+json")))]
pub(crate) fn adopt() {}

/// Line protocol, as Telegraf's `influxdb_v2` output sends it; gzip too, and `Authorization: Token …`. 204 when every line could be
/// read; 400 names the lines that could not, and the others are stored.
#[utoipa::path(post, path = "/api/v2/write", tag = "push", security(("token" = [])), request_body(content = String, content_type = "text/plain"),
    params(("precision" = Option<String>, Query, description = "ns (default), us, ms or s"), ("org" = Option<String>, Query), ("bucket" = Option<String>, Query)),
    responses((status = 204), (status = 400), (status = 401), (status = 413), (status = 503)))]
pub(crate) fn write() {}
