//! `POST /api/v1/edges/{name}`: batches of an edge, answered after the commit.

use super::body::{self, Unkept};
use super::{MOST_BYTES, problem, sender, too_large};
use crate::edge::{EPOCH, Unaccepted, accept};
use crate::pipeline::Intake;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};

pub(super) async fn take(State(intake): State<Intake>, Path(name): Path<String>, request: Request) -> Response {
    let (head, body) = request.into_parts();
    let owner = match sender(&intake, head.uri.query(), &head.headers) {
        Ok(owner) => owner,
        Err(response) => {
            body::refuse(&head.headers, body).await;
            return *response;
        }
    };
    if !model::is_slug(&name) {
        let detail = format!("\"{name}\" can't be the name of an edge; use a-z, 0-9 and -, and write it under [edge] name");
        return problem(StatusCode::BAD_REQUEST, "No name of an edge", detail, None);
    }
    let bytes = match body::collect(body, MOST_BYTES).await {
        Ok(bytes) => bytes,
        Err(Unkept::TooLarge) => return too_large(),
        Err(Unkept::Broken) => {
            return problem(
                StatusCode::BAD_REQUEST,
                "Broken request",
                "the body did not arrive whole; nothing was kept; send it again",
                None,
            );
        }
    };
    match accept(&intake, &owner, &name, &bytes).await {
        // A narrow link may be billed by the byte: what became of it stands in the ledger here.
        Ok(epoch) => (StatusCode::NO_CONTENT, [(EPOCH, epoch.to_string())]).into_response(),
        Err(Unaccepted::Broken(cause)) => problem(StatusCode::UNPROCESSABLE_ENTITY, "No batch of an edge", cause, None),
        Err(Unaccepted::Clock(distrust)) => {
            problem(StatusCode::SERVICE_UNAVAILABLE, "Not stored", format!("at the centre {distrust}; send it again once it is set"), None)
        }
        Err(Unaccepted::Store(cause)) => {
            problem(StatusCode::SERVICE_UNAVAILABLE, "Not stored", format!("{cause}; send it again later"), None)
        }
    }
}
