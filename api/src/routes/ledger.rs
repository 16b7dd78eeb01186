//! The ledger: that nothing was lost, for the owner who wants to see it.

use crate::auth::Seen;
use crate::page::{Page, keep};
use crate::problem::Problem;
use crate::query::Params;
use crate::routes::blocking;
use crate::stream::{self, Whole, json, put_item};
use crate::wire::LedgerOut;
use axum::response::Response;
use model::{Interval, Scope, civil_day_around, civil_days};

/// The most days of one answer.
const MOST_DAYS: i64 = 92;

/// What became of everything that each device of your owner sent, by civil day (Europe/Rome) of receipt: received = accepted +
/// duplicates + revised + quarantined; beside it what the day should have and where it is missing. Needs the scope read, audit or manage.
#[utoipa::path(get, path = "/api/v1/ledger", tag = "ledger", security(("token" = [])),
    params(("from" = Option<String>, Query, description = "first day, e.g. 2026-11-01; default today"), ("to" = Option<String>, Query, description = "last day, included; default today"), ("device" = Option<String>, Query)),
    responses((status = 200, body = Page<LedgerOut>), (status = 400, body = Problem, content_type = "application/problem+json"), (status = 401, body = Problem, content_type = "application/problem+json"), (status = 403, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(seen: Seen, params: Params) -> Result<Response, Problem> {
    params.only(&["from", "to", "device"])?;
    let last = params.day("to")?.unwrap_or_else(|| civil_day_around(seen.view.now()));
    let first = params.day("from")?.unwrap_or(last);
    let days = Interval::new(first.from, last.to);
    if days.from >= days.to || days.to.seconds() - days.from.seconds() > (MOST_DAYS + 1) * 86_400 {
        return Err(params.bad(format!("from and to ask for no day, or for too many; ask for 1 to {MOST_DAYS} days")));
    }
    seen.needs(&[Scope::Read, Scope::Audit, Scope::Manage]).map_err(|problem| problem.at(&params.path))?;
    let (permission, view, device) = (seen.permission(), seen.view, params.get("device").map(str::to_owned));
    let whole = Whole::one_by_one(civil_days(days).collect(), move |some: &[Interval], out| {
        let mut count = 0;
        for day in some {
            let lines = view.ledger(*day, device.as_deref())?;
            lines.iter().for_each(|line| put_item(&LedgerOut::from(line), out));
            count += lines.len();
        }
        Ok(count)
    });
    let response = blocking(&params.path, move || stream::response(permission, whole)).await?;
    Ok(keep(json(response), false, 0))
}
