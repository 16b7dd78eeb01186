//! The addresses of pages, in Italian.

use crate::assets::Assets;
use crate::language::choose;
use crate::pages::{Frame, datasets, home, levels, missing, station};
use crate::words::Words;
use axum::Router;
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;
use axum::http::{HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use model::{Level, Timestamp, Viewer, parse_rome};
use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use store::{Store, View};
use tower_http::set_header::SetResponseHeaderLayer;

#[derive(Clone)]
struct Pages {
    store: Store,
    assets: Arc<Assets>,
    kept: Arc<Kept>,
}

/// Pages made just now, by address and language. On the night of a flood thousands ask for the same ones.
#[derive(Default)]
struct Kept {
    pages: Mutex<HashMap<String, (Instant, Made)>>,
    /// Stations over a threshold, as counted last.
    over: Mutex<Option<(Instant, usize)>>,
}

/// A page, and whether it is the one that says that there is none.
type Made = (bool, Arc<str>);

/// Short enough to be no older than the eye can tell.
const KEEP: Duration = Duration::from_millis(150);
/// How often stations over a threshold are counted for the strip on every page.
const COUNT_AGAIN: Duration = Duration::from_secs(2);
/// Addresses kept at once; what is older than [`KEEP`] goes first.
const KEEP_MOST: usize = 256;

impl Kept {
    fn get(&self, key: &str) -> Option<Made> {
        let pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        pages.get(key).filter(|(at, _)| at.elapsed() < KEEP).map(|(_, page)| page.clone())
    }
    fn over(&self, view: &View) -> Result<usize, store::Error> {
        let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, count)) = over.filter(|(at, _)| at.elapsed() < COUNT_AGAIN) {
            return Ok(count);
        }
        let count = over_a_threshold(view)?;
        *over = Some((Instant::now(), count));
        Ok(count)
    }
    fn put(&self, key: String, made: Made) {
        let mut pages = self.pages.lock().unwrap_or_else(PoisonError::into_inner);
        if pages.len() >= KEEP_MOST {
            pages.retain(|_, (at, _)| at.elapsed() < KEEP);
        }
        if pages.len() < KEEP_MOST {
            pages.insert(key, (Instant::now(), made));
        }
    }
}

fn over_a_threshold(view: &View) -> Result<usize, store::Error> {
    Ok(view.primaries()?.iter().filter(|primary| matches!(primary.state.level, Level::Over(_))).count())
}

/// The pages over `store`, as anybody may see it.
pub fn router(store: Store) -> Router {
    let (assets, files) = Assets::load();
    let pages = Pages { store, assets: Arc::new(assets), kept: Arc::default() };
    let set = |name, value| SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value));
    Router::new()
        .route("/", get(list))
        .route("/livelli", get(all_levels))
        .route("/stazioni/{id}", get(one))
        .route("/dati", get(catalogue))
        .route("/dati/{id}", get(dataset))
        .layer(set(
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'; img-src 'self' data:; style-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
        ))
        .layer(set(header::REFERRER_POLICY, "strict-origin-when-cross-origin"))
        .layer(set(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(set(header::VARY, "accept-language, accept-encoding"))
        .with_state(pages)
        .merge(files)
}

/// What every page is asked: its address, its query and the language to answer in.
struct Asked {
    pages: Pages,
    words: &'static Words,
    here: String,
    query: Vec<(String, String)>,
}

impl FromRequestParts<Pages> for Asked {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, pages: &Pages) -> Result<Self, Response> {
        let Query(query) = Query::<Vec<(String, String)>>::from_request_parts(parts, pages).await.map_err(IntoResponse::into_response)?;
        let words = Words::of(choose(value(&query, "lang"), &parts.headers));
        Ok(Self { pages: pages.clone(), words, here: without_language(&parts.uri), query })
    }
}

impl Asked {
    /// The moment that is looked back at, if one is; `Err` says what is wrong with it.
    fn then(&self) -> Result<Option<Timestamp>, String> {
        let Some(text) = value(&self.query, "as_of").filter(|text| !text.is_empty()) else { return Ok(None) };
        let Some(at) = Timestamp::parse(text).ok().or_else(|| parse_rome(text)) else {
            return Err(format!("as_of={text}: {}", self.words.no_time));
        };
        if at > self.pages.store.clock().now() { Err(format!("as_of={text}: {}", self.words.ahead)) } else { Ok(Some(at)) }
    }
    /// A value of the query; empty without one.
    fn text(&self, name: &str) -> String {
        value(&self.query, name).unwrap_or_default().to_owned()
    }
}

fn value<'a>(query: &'a [(String, String)], name: &str) -> Option<&'a str> {
    query.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
}

/// The address without its language, which links add again.
fn without_language(uri: &Uri) -> String {
    let kept: Vec<&str> = uri.query().unwrap_or("").split('&').filter(|pair| !pair.is_empty() && !pair.starts_with("lang=")).collect();
    if kept.is_empty() { uri.path().to_owned() } else { format!("{}?{}", uri.path(), kept.join("&")) }
}

async fn list(asked: Asked) -> Response {
    let sought = asked.text("q");
    made(asked, move |view, frame| home::render(view, frame, &sought).map(Some)).await
}

async fn one(Path(id): Path<String>, asked: Asked) -> Response {
    let range = value(&asked.query, "periodo").unwrap_or("24h").to_owned();
    made(asked, move |view, frame| station::render(view, frame, &id, &range)).await
}

async fn all_levels(asked: Asked) -> Response {
    let wanted = levels::Asked { order: asked.text("ordina"), river: asked.text("fiume") };
    made(asked, move |view, frame| levels::render(view, frame, &wanted).map(Some)).await
}

async fn catalogue(asked: Asked) -> Response {
    made(asked, move |view, frame| Ok(Some(datasets::list(view, frame)))).await
}

async fn dataset(Path(id): Path<String>, asked: Asked) -> Response {
    made(asked, move |view, frame| datasets::one(view, frame, &id)).await
}

/// Makes a page where reading may block; `None` is the page that says there is none.
async fn made(asked: Asked, render: impl FnOnce(&View, &Frame<'_>) -> Result<Option<String>, store::Error> + Send + 'static) -> Response {
    let then = match asked.then() {
        Ok(then) => then,
        Err(wrong) => return (StatusCode::BAD_REQUEST, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], wrong).into_response(),
    };
    let Asked { pages, words, here, .. } = asked;
    let work = tokio::task::spawn_blocking(move || {
        let key = format!("{} {here}", words.lang.code());
        if let Some(made) = pages.kept.get(&key) {
            return Ok(made);
        }
        let view = pages.store.seen_by(&Viewer::Public);
        let (view, over) = match then {
            None => (view.clone(), pages.kept.over(&view)?),
            Some(then) => {
                let view = view.as_of(then)?;
                let over = over_a_threshold(&view)?;
                (view, over)
            }
        };
        let frame = Frame { words, assets: &pages.assets, over, here, then };
        let page = render(&view, &frame)?;
        let made: Made = (page.is_some(), page.unwrap_or_else(|| missing::render(&frame)).into());
        pages.kept.put(key, made.clone());
        Ok::<_, store::Error>(made)
    });
    match work.await {
        Ok(Ok((found, page))) => {
            let status = if found { StatusCode::OK } else { StatusCode::NOT_FOUND };
            let cache = if found { "public, max-age=5" } else { "no-store" };
            (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, cache)], page.to_string()).into_response()
        }
        Ok(Err(cause @ store::Error::Elsewhere { .. })) => {
            tracing::warn!(event = "beyond_failed", %cause, "what only InfluxDB has could not be read");
            (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, "10")], cause.to_string()).into_response()
        }
        Ok(Err(cause)) => {
            tracing::error!(event = "page_failed", %cause, "a page could not be made");
            (StatusCode::INTERNAL_SERVER_ERROR, cause.to_string()).into_response()
        }
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}
