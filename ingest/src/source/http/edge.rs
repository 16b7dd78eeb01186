//! `POST /api/v1/edges/{name}`: batches of an edge, answered after the commit.

use super::body::{self, Terms};
use super::{MOST_BYTES, TOO_LONG, in_time, problem, sender, unkept};
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
    let terms = Terms { most: MOST_BYTES, room: intake.body_room(), owner: &owner, beside: 0 };
    let body = match body::collect(body, &terms).await {
        Ok(body) => body,
        Err(cause) => return unkept(cause),
    };
    let accepted = in_time(accept(&intake, &owner, &name, body.bytes)).await;
    drop(body.held);
    let Some(accepted) = accepted else { return problem(StatusCode::SERVICE_UNAVAILABLE, "Not stored", TOO_LONG, None) };
    match accepted {
        // A narrow link may be billed by the byte: what became of it stands in the ledger here.
        Ok(epoch) => (StatusCode::NO_CONTENT, [(EPOCH, epoch.to_string())]).into_response(),
        Err(Unaccepted::Broken(cause)) => problem(StatusCode::UNPROCESSABLE_ENTITY, "No batch of an edge", cause, None),
        Err(Unaccepted::TooLarge(cause)) => problem(StatusCode::PAYLOAD_TOO_LARGE, "Too large", cause, None),
        Err(Unaccepted::TooManyEdges(most)) => {
            let detail = format!(
                "{owner} has {most} edges here already, and {name} is none of them; nothing was kept; mend [edge] name, or raise [quota] edges at the centre"
            );
            problem(StatusCode::FORBIDDEN, "Too many edges", detail, None)
        }
        Err(Unaccepted::Clock(distrust)) => {
            problem(StatusCode::SERVICE_UNAVAILABLE, "Not stored", format!("at the centre {distrust}; send it again once it is set"), None)
        }
        Err(Unaccepted::Store(cause)) => {
            problem(StatusCode::SERVICE_UNAVAILABLE, "Not stored", format!("{cause}; send it again later"), None)
        }
    }
}
