//! What could not be taken, for the owner who can mend it.

use crate::auth::Seen;
use crate::page::{Page, keep};
use crate::problem::Problem;
use crate::query::Params;
use crate::routes::blocking;
use crate::stream::{self, Whole, json, put_item};
use crate::wire::{QuarantineOut, QuarantineWhole, TroubleOut, Troubles};
use axum::Json;
use axum::extract::Path;
use axum::http::StatusCode;
use axum::response::Response;
use model::{RejectReason, Scope};
use store::Wanted;

/// What `device`, `channel` and `reason` ask for.
fn wanted(params: &Params) -> Result<Wanted, Problem> {
    let reason = match params.get("reason") {
        None => None,
        Some(code) => Some(RejectReason::from_code(code).ok_or_else(|| {
            let known = RejectReason::ALL.map(RejectReason::code);
            params.bad(format!("reason={code} is not known; it may be {}", known.join(", ")))
        })?),
    };
    Ok(Wanted { numbers: Vec::new(), device: params.get("device").map(Into::into), channel: params.get("channel").map(Into::into), reason })
}

/// The newest refused messages of your owner, newest first, each with its reasons and its text, of a long one the beginning. Needs the scope audit or manage.
#[utoipa::path(get, path = "/api/v1/quarantine", tag = "quarantine", security(("token" = [])),
    params(("limit" = Option<usize>, Query, description = "1 to 1000, default 100"), ("device" = Option<String>, Query), ("channel" = Option<String>, Query), ("reason" = Option<String>, Query, description = "a code, e.g. unknown-channel")),
    responses((status = 200, body = Page<QuarantineOut>), (status = 401, body = Problem, content_type = "application/problem+json"), (status = 403, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(seen: Seen, params: Params) -> Result<Response, Problem> {
    params.only(&["limit", "device", "channel", "reason"])?;
    let (limit, wanted) = (params.limit(100, 1000)?, wanted(&params)?);
    seen.needs(&[Scope::Audit, Scope::Manage]).map_err(|problem| problem.at(&params.path))?;
    let (permission, view) = (seen.permission(), seen.view);
    let response = blocking(&params.path, move || {
        let numbers = view.quarantine_numbers(&wanted, limit)?;
        let whole = Whole::one_by_one(numbers, move |numbers: &[u64], out| {
            let entries = view.quarantine(&Wanted { numbers: numbers.to_vec(), ..Wanted::default() }, numbers.len())?;
            entries.iter().for_each(|entry| put_item(&QuarantineOut::in_list(entry), out));
            Ok(entries.len())
        });
        stream::response(permission, whole)
    });
    Ok(keep(json(response.await?), false, 0))
}

/// The same refusals together: by device, reason and channel, with first and last time and how often. Needs the scope audit or manage.
#[utoipa::path(get, path = "/api/v1/quarantine/summary", tag = "quarantine", security(("token" = [])),
    params(("device" = Option<String>, Query), ("channel" = Option<String>, Query), ("reason" = Option<String>, Query)),
    responses((status = 200, body = Troubles), (status = 401, body = Problem, content_type = "application/problem+json"), (status = 403, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn summary(seen: Seen, params: Params) -> Result<Response, Problem> {
    params.only(&["device", "channel", "reason"])?;
    let wanted = wanted(&params)?;
    seen.needs(&[Scope::Audit, Scope::Manage]).map_err(|problem| problem.at(&params.path))?;
    let view = seen.view;
    let (troubles, dropped) = blocking(&params.path, move || Ok((view.troubles(&wanted)?, view.dropped_from_quarantine()))).await?;
    Ok(keep(Json(Troubles { items: troubles.iter().map(TroubleOut::from).collect(), dropped }), false, 0))
}

/// One refused message with every byte of it. Needs the scope audit or manage.
#[utoipa::path(get, path = "/api/v1/quarantine/{number}", tag = "quarantine", security(("token" = [])),
    params(("number" = u64, Path)),
    responses((status = 200, body = QuarantineWhole), (status = 401, body = Problem, content_type = "application/problem+json"), (status = 403, body = Problem, content_type = "application/problem+json"), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn one(seen: Seen, Path(number): Path<u64>, params: Params) -> Result<Response, Problem> {
    params.only(&[])?;
    seen.needs(&[Scope::Audit, Scope::Manage]).map_err(|problem| problem.at(&params.path))?;
    let (view, wanted) = (seen.view, Wanted { numbers: vec![number], ..Wanted::default() });
    let entries = blocking(&params.path, move || Ok(view.quarantine(&wanted, 1)?)).await?;
    let Some(entry) = entries.first() else {
        let detail = format!("nothing of your owner waits under the number {number}; /api/v1/quarantine lists what does");
        return Err(Problem::new(StatusCode::NOT_FOUND, "No such entry", detail).at(&params.path));
    };
    Ok(keep(Json(QuarantineWhole::from(entry)), false, 0))
}
