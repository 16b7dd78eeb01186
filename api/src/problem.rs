//! What went wrong, for a program and for the person who reads its log (RFC 9457).

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// `application/problem+json`: what was wrong, and in `detail` the cure.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(crate) struct Problem {
    #[schema(example = "about:blank")]
    pub(crate) r#type: String,
    #[schema(example = "No such datastream")]
    pub(crate) title: String,
    #[schema(example = 404)]
    pub(crate) status: u16,
    /// One sentence with the cure.
    pub(crate) detail: String,
    /// Path that was asked for.
    #[schema(example = "/api/v1/datastreams/nowhere")]
    pub(crate) instance: String,
}

impl Problem {
    pub(crate) fn new(status: StatusCode, title: &str, detail: impl Into<String>) -> Self {
        Self { r#type: "about:blank".into(), title: title.into(), status: status.as_u16(), detail: detail.into(), instance: String::new() }
    }
    pub(crate) fn bad(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "Bad request", detail)
    }
    /// What is private looks as what is not there.
    pub(crate) fn missing(what: &str, id: &str, list: &str) -> Self {
        let shown: String = id.chars().take(80).collect();
        Self::new(
            StatusCode::NOT_FOUND,
            &format!("No such {what}"),
            format!("there is no {what} {shown:?} that you may see; {list} lists what there is"),
        )
    }
    pub(crate) fn at(mut self, path: &str) -> Self {
        path.clone_into(&mut self.instance);
        self
    }
}

impl From<store::Error> for Problem {
    fn from(cause: store::Error) -> Self {
        match cause {
            store::Error::Elsewhere { .. } => {
                tracing::warn!(event = "beyond_failed", %cause, "what only InfluxDB has could not be read");
                return Self::new(StatusCode::SERVICE_UNAVAILABLE, "Not all of it can be read now", cause.to_string());
            }
            store::Error::Forgotten { .. } => return Self::bad(cause.to_string()),
            _ => tracing::error!(event = "read_failed", %cause, "the store could not answer"),
        }
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "The store could not answer", cause.to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let mut response = (status, axum::Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
        }
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}
