//! `POST /api/v1/quarantine/replay`: reads refused messages again, once what they were refused for is mended.

use super::{command, holder, problem};
use crate::pipeline::Intake;
use crate::replay::{Mending, Mode, Times};
use axum::Json;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use model::{RejectReason, Scope};
use serde::{Deserialize, Serialize};
use store::Wanted;

/// Which entries, and how they are read.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Order {
    numbers: Vec<u64>,
    device: Option<String>,
    channel: Option<String>,
    reason: Option<String>,
    all: bool,
    /// Seconds to add to every time that the messages say.
    shift_s: Option<f64>,
    /// Takes the time of arrival instead of what the messages say.
    arrival: bool,
    format: Option<String>,
    dry_run: bool,
}

#[derive(Debug, Serialize)]
struct Answer {
    entries: u64,
    accepted: u64,
    duplicates: u64,
    revised: u64,
    /// What is still refused, at most a hundred.
    left: Vec<Left>,
    left_count: usize,
}

#[derive(Debug, Serialize)]
struct Left {
    number: u64,
    code: &'static str,
    detail: String,
}

pub(super) async fn replay(State(intake): State<Intake>, request: Request) -> Response {
    let viewer = match holder(&intake, request.uri().query(), request.headers(), Scope::Manage) {
        Ok(viewer) => viewer,
        Err(response) => return *response,
    };
    let order: Order = match command(request).await {
        Ok(order) => order,
        Err(response) => return *response,
    };
    let (wanted, mending) = match understood(&order, &intake) {
        Ok(understood) => understood,
        Err(detail) => return problem(StatusCode::BAD_REQUEST, "Bad request", detail, None),
    };
    let mode = if order.dry_run { Mode::DryRun } else { Mode::Write };
    let work = tokio::task::spawn_blocking(move || {
        let mut entries = intake.store().seen_by(&viewer).quarantine(&wanted, usize::MAX)?;
        entries.reverse();
        let mut answer = Answer { entries: 0, accepted: 0, duplicates: 0, revised: 0, left: Vec::new(), left_count: 0 };
        for entry in entries {
            let outcomes = intake.replay(&entry, &mending, mode)?;
            answer.entries += 1;
            answer.accepted += outcomes.accepted;
            answer.duplicates += outcomes.duplicates;
            answer.revised += outcomes.revised;
            answer.left_count += outcomes.left.len();
            let room = 100_usize.saturating_sub(answer.left.len());
            let left = outcomes.left.into_iter().take(room);
            answer.left.extend(left.map(|left| Left { number: entry.number, code: left.reason.code(), detail: left.detail }));
        }
        Ok::<_, store::Error>(answer)
    });
    match work.await {
        Ok(Ok(answer)) => Json(answer).into_response(),
        Ok(Err(cause)) => {
            problem(StatusCode::SERVICE_UNAVAILABLE, "Not stored", format!("{cause}; what was replayed before is stored"), None)
        }
        Err(_) => problem(StatusCode::INTERNAL_SERVER_ERROR, "Failed", "the log says why; what was replayed before is stored", None),
    }
}

fn understood(order: &Order, intake: &Intake) -> Result<(Wanted, Mending), String> {
    let named = !order.numbers.is_empty() || order.device.is_some() || order.channel.is_some() || order.reason.is_some();
    if !named && !order.all {
        return Err("say which: numbers, device, channel, reason or \"all\": true".into());
    }
    let reason = match &order.reason {
        None => None,
        Some(code) => Some(RejectReason::from_code(code).ok_or_else(|| format!("there is no reason {code:?}"))?),
    };
    let times = match order.shift_s {
        Some(_) if order.arrival => return Err("give shift_s or arrival, not both".into()),
        #[expect(clippy::cast_possible_truncation, reason = "microseconds of a span that was looked at")]
        Some(seconds) if seconds.abs() < 1e10 => Times::Shifted((seconds * 1e6).round() as i64),
        Some(seconds) => return Err(format!("shift_s = {seconds} is no span")),
        None if order.arrival => Times::Arrival,
        None => Times::AsSaid,
    };
    if let Some(format) = &order.format
        && !intake.formats().any(|known| known == format)
    {
        return Err(format!("there is no format {format:?}"));
    }
    let wanted =
        Wanted { numbers: order.numbers.clone(), device: order.device.as_deref().map(Into::into), channel: order.channel.clone(), reason };
    Ok((wanted, Mending { times, format: order.format.clone() }))
}
