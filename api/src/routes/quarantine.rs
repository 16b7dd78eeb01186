//! What could not be taken, for the owner who can mend it.

use crate::auth::Seen;
use crate::page::{Page, keep};
use crate::problem::Problem;
use crate::query::Params;
use crate::routes::blocking;
use crate::wire::QuarantineOut;
use axum::Json;
use axum::http::StatusCode;
use axum::response::Response;
use model::{Scope, Viewer};

/// The newest refused messages of your owner, newest first, each with its reasons and its bytes. Needs the scope audit or manage.
#[utoipa::path(get, path = "/api/v1/quarantine", tag = "quarantine", security(("token" = [])),
    params(("limit" = Option<usize>, Query, description = "1 to 1000, default 100")),
    responses((status = 200, body = Page<QuarantineOut>), (status = 401, body = Problem, content_type = "application/problem+json"), (status = 403, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(seen: Seen, params: Params) -> Result<Response, Problem> {
    params.only(&["limit"])?;
    let limit = params.limit(100, 1000)?;
    match seen.view.viewer() {
        Viewer::Public => {
            let detail =
                "send Authorization: Bearer … with a token of scope audit; make one with: pescaia token new --owner … --scope audit";
            return Err(Problem::new(StatusCode::UNAUTHORIZED, "A token is needed", detail).at(&params.path));
        }
        viewer if !viewer.may(Scope::Audit) && !viewer.may(Scope::Manage) => {
            return Err(Problem::new(StatusCode::FORBIDDEN, "Not allowed", "this token lacks the scope audit").at(&params.path));
        }
        Viewer::Token { .. } => {}
    }
    let view = seen.view;
    let entries = blocking(&params.path, move || Ok(view.quarantine(limit)?)).await?;
    let items = entries.iter().map(QuarantineOut::from).collect();
    Ok(keep(Json(Page { items, limit, next_cursor: None }), false, 0))
}
