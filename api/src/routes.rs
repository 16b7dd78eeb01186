//! One file a noun.

pub(crate) mod datasets;
pub(crate) mod datastreams;
pub(crate) mod discharge;
pub(crate) mod health;
pub(crate) mod increments;
pub(crate) mod latest;
pub(crate) mod ledger;
pub(crate) mod live;
pub(crate) mod observations;
pub(crate) mod push;
pub(crate) mod quarantine;
pub(crate) mod stations;

use crate::problem::Problem;
use axum::http::StatusCode;

/// Runs what reads the store where it may block.
pub(crate) async fn blocking<T: Send + 'static>(
    path: &str,
    read: impl FnOnce() -> Result<T, Problem> + Send + 'static,
) -> Result<T, Problem> {
    match tokio::task::spawn_blocking(read).await {
        Ok(answer) => answer.map_err(|problem| problem.at(path)),
        Err(_) => Err(Problem::new(StatusCode::INTERNAL_SERVER_ERROR, "Failed", "the answer could not be made; the log says why").at(path)),
    }
}
