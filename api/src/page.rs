//! Lists: `{items, limit, next_cursor}`, never a bare array. A cursor says where the next page starts and nothing else.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use model::Timestamp;
use serde::Serialize;
use utoipa::ToSchema;

/// Items of a page over time when nothing is said, and the most.
pub(crate) const DEFAULT: usize = 1000;
pub(crate) const MOST: usize = 50_000;

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Page<T> {
    pub(crate) items: Vec<T>,
    /// The most items that this answer may hold.
    pub(crate) limit: usize,
    /// Send it as `cursor` for what follows; null when this is all.
    pub(crate) next_cursor: Option<String>,
}

impl<T> Page<T> {
    /// All there is.
    pub(crate) fn whole(items: Vec<T>) -> Self {
        Self { limit: items.len(), items, next_cursor: None }
    }
}

pub(crate) fn cursor(next: Timestamp) -> String {
    format!("t{:016x}", next.micros().cast_unsigned())
}

pub(crate) fn start_of(cursor: &str) -> Option<Timestamp> {
    let micros = u64::from_str_radix(cursor.strip_prefix('t').filter(|digits| digits.len() == 16)?, 16).ok()?;
    Some(Timestamp::from_micros(micros.cast_signed()))
}

/// Formats without a place for it say in the header that there is more.
pub(crate) fn with_cursor(mut response: Response, next: Option<String>) -> Response {
    if let Some(value) = next.and_then(|next| HeaderValue::from_str(&next).ok()) {
        response.headers_mut().insert("x-next-cursor", value);
    }
    response
}

/// Says for how long an answer may be kept: a public one for `seconds`, another's never.
pub(crate) fn keep(response: impl IntoResponse, is_public: bool, seconds: u32) -> Response {
    let mut response = response.into_response();
    let headers = response.headers_mut();
    let control = if is_public { format!("public, max-age={seconds}") } else { "private, no-store".to_owned() };
    if let Ok(control) = HeaderValue::from_str(&control) {
        headers.insert(header::CACHE_CONTROL, control);
    }
    headers.insert(header::VARY, HeaderValue::from_static("authorization, accept, accept-encoding"));
    response
}
