//! The newest of everything as it is committed, over server-sent events.

use crate::api::Api;
use crate::auth::Seen;
use crate::live::{Change, OwnWatcher, Watching, everything};
use crate::problem::Problem;
use crate::query::Params;
use crate::stream::Permission;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream::{self, Stream, StreamExt};
use model::Viewer;
use std::collections::BTreeSet;
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;
use store::View;
use tokio::sync::broadcast::{self, error::RecvError};
use tokio::sync::watch;

/// A connection that says nothing for so long is taken for dead by proxies.
const HEARTBEAT: Duration = Duration::from_secs(15);
/// Who comes when so many watch is asked to come again, and polls meanwhile.
const MOST: usize = 2000;

/// The newest of every datastream that you may see, then each time it changes: events `latest` with the fields of `/api/v1/latest`. A
/// connection begins with all of them, so that who was away has missed nothing that still holds. Several changes within 0.2 s are one.
#[utoipa::path(get, path = "/api/v1/live", tag = "observations",
    params(("stations" = Option<String>, Query, description = "Only those of these stations, with commas between", example = "bisenzio-gamberame")),
    responses((status = 200, description = "text/event-stream; a comment every 15 s when nothing changes", content_type = "text/event-stream"),
        (status = 400, body = Problem, content_type = "application/problem+json"),
        (status = 429, description = "Too many watch with tokens of this owner; Retry-After says when to come again", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Too many watch; Retry-After says when to come again", body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn live(State(api): State<Api>, seen: Seen, params: Params) -> Result<Response, Problem> {
    params.only(&["stations"])?;
    let own_place = match seen.view.viewer() {
        Viewer::Token { owner, .. } if !seen.is_public => match api.own_watchers.admit(owner) {
            Some(place) => Some(place),
            None => return Ok(busy(StatusCode::TOO_MANY_REQUESTS, &params.path)),
        },
        _ => None,
    };
    if api.live.watchers() >= MOST {
        return Ok(busy(StatusCode::SERVICE_UNAVAILABLE, &params.path));
    }
    let stations: Option<BTreeSet<String>> =
        params.get("stations").map(|list| list.split(',').map(str::trim).filter(|id| !id.is_empty()).map(str::to_owned).collect());
    if let Some(unknown) = stations.iter().flatten().find(|id| seen.view.station(id).is_none()) {
        return Err(Problem::missing("station", unknown, "/api/v1/stations").at(&params.path));
    }
    // Subscribed before the first look: nothing falls in between.
    let going_on = if seen.is_public {
        Either::Public(api.live.subscribe())
    } else {
        Either::Own { watching: Box::new(Watching::of(&api.store, seen.view.viewer())), _place: own_place }
    };
    let (permission, revoked) = (seen.permission(), api.store.token_changes());
    let begun = Watch { going_on, view: seen.view, stop: api.stop.clone(), permission, revoked };
    let first = everything(&begun.view);
    let later = stream::unfold(begun, |mut watch| async move {
        let told = watch.next().await?;
        Some((told, watch))
    });
    let events = first.chain(later.flat_map(Told::changes)).fuse();
    // At once: a proxy hands on nothing, and a browser counts as not connected, before the first byte.
    let events = stream::once(std::future::ready(Ok(Event::default().comment("")))).chain(said(events, stations));
    let mut response = Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT)).into_response();
    // nginx keeps answers back to hand them on in blocks, unless it is told not to.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    Ok(response)
}

/// Who comes when so many watch.
fn busy(status: StatusCode, path: &str) -> Response {
    let problem = Problem::new(status, "Too many watch", "close feeds that nobody reads, or ask /api/v1/latest meanwhile, and come again");
    let mut response = problem.at(path).into_response();
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("30"));
    response
}

/// One watcher, after it was told everything.
struct Watch {
    going_on: Either,
    view: View,
    stop: watch::Receiver<bool>,
    permission: Permission,
    revoked: watch::Receiver<u64>,
}

/// What a watcher is told next.
enum Told {
    These(Vec<Change>),
    /// It was too slow for some.
    Everything(View),
}

impl Told {
    fn changes(self) -> Pin<Box<dyn Stream<Item = Vec<Change>> + Send>> {
        match self {
            Self::These(changes) => Box::pin(stream::once(async move { changes })),
            Self::Everything(view) => Box::pin(everything(&view)),
        }
    }
}

impl Watch {
    /// `None` when the house closes, or the token ceases to hold.
    async fn next(&mut self) -> Option<Told> {
        if !self.permission.still_holds() {
            return None;
        }
        tokio::select! {
            _ = self.stop.wait_for(|stop| *stop) => None,
            () = self.permission.ends(&mut self.revoked) => None,
            told = self.going_on.next(&self.view) => told,
        }
    }
}

/// One watcher's source.
enum Either {
    Public(broadcast::Receiver<Arc<[Change]>>),
    Own {
        watching: Box<Watching>,
        /// Its place among those who have a token, for as long as it watches.
        _place: Option<OwnWatcher>,
    },
}

impl Either {
    /// `None` when the house closes.
    async fn next(&mut self, view: &View) -> Option<Told> {
        match self {
            Self::Own { watching, .. } => watching.next().await.map(Told::These),
            Self::Public(said) => match said.recv().await {
                Ok(changes) => Some(Told::These(changes.to_vec())),
                Err(RecvError::Lagged(_)) => Some(Told::Everything(view.clone())),
                Err(RecvError::Closed) => None,
            },
        }
    }
}

fn said(
    changes: impl Stream<Item = Vec<Change>> + Send,
    stations: Option<BTreeSet<String>>,
) -> impl Stream<Item = Result<Event, Infallible>> + Send {
    let is_wanted = move |change: &Change| stations.as_ref().is_none_or(|wanted| wanted.contains(change.station.as_ref()));
    changes
        .map(move |changes| changes.into_iter().filter(|change| is_wanted(change)).collect::<Vec<_>>())
        .flat_map(stream::iter)
        .map(|change| Ok(Event::default().event("latest").data(change.json.as_ref())))
}
