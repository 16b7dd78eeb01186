//! The addresses of pages, in Italian.

use crate::assets::Assets;
use crate::language::choose;
use crate::pages::{Frame, datasets, home, levels, notice, station};
use crate::words::Words;
use axum::Router;
use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, OriginalUri, Path, Query, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use model::{Lang, Level, Text, Timestamp, Viewer, parse_rome};
use std::collections::HashMap;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use store::{Store, View};
use tower_http::set_header::SetResponseHeaderLayer;

/// Answers for an unknown address those who want no page.
pub type Programs = fn(OriginalUri) -> Pin<Box<dyn Future<Output = Response> + Send>>;

#[derive(Clone)]
struct Pages {
    store: Store,
    site: Arc<Text>,
    programs: Programs,
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

/// A page and its status.
type Made = (StatusCode, Arc<str>);

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

/// The pages over `store`, as anybody may see it, under the name of `site`. An unknown address has a page for browsers; `programs`
/// answers everybody else there.
pub fn router(store: Store, site: Text, programs: Programs) -> Router {
    let (assets, files) = Assets::load();
    let pages = Pages { store, site: Arc::new(site), programs, assets: Arc::new(assets), kept: Arc::default() };
    let set = |name, value| SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value));
    Router::new()
        .route("/", get(list))
        .route("/livelli", get(all_levels))
        .route("/stazioni/{id}", get(one))
        .route("/dati", get(catalogue))
        .route("/dati/{id}", get(dataset))
        .fallback(unknown)
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

async fn one(id: Result<Path<String>, PathRejection>, asked: Asked) -> Response {
    let Ok(Path(id)) = id else { return made(asked, |_, _| Ok(None)).await };
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

async fn dataset(id: Result<Path<String>, PathRejection>, asked: Asked) -> Response {
    let Ok(Path(id)) = id else { return made(asked, |_, _| Ok(None)).await };
    made(asked, move |view, frame| datasets::one(view, frame, &id)).await
}

/// An address that nobody has: a page in the reader's language for browsers, the programs' answer for the rest.
async fn unknown(State(pages): State<Pages>, request: Request) -> Response {
    let reads = matches!(*request.method(), Method::GET | Method::HEAD);
    if !reads || !wants_page(request.headers()) {
        return (pages.programs)(OriginalUri(request.uri().clone())).await;
    }
    let (mut parts, _) = request.into_parts();
    match Asked::from_request_parts(&mut parts, &pages).await {
        // There is nothing to look back at.
        Ok(asked) => made(Asked { query: Vec::new(), ..asked }, |_, _| Ok(None)).await,
        Err(refused) => refused,
    }
}

/// Browsers name HTML in what they accept; programs do not.
fn wants_page(headers: &HeaderMap) -> bool {
    headers.get_all(header::ACCEPT).iter().any(|value| value.to_str().is_ok_and(|accepted| accepted.contains("text/html")))
}

/// Makes a page where reading may block; `None` is the page that says there is none.
async fn made(asked: Asked, render: impl FnOnce(&View, &Frame<'_>) -> Result<Option<String>, store::Error> + Send + 'static) -> Response {
    let then = asked.then();
    let Asked { pages, words, here, .. } = asked;
    let key = format!("{} {here}", words.lang.code());
    let work = tokio::task::spawn_blocking(move || {
        if let Some(made) = pages.kept.get(&key) {
            return made;
        }
        let made = match page(&pages, words, &here, then, render) {
            Ok(made) => made,
            Err(cause) => return failed(&pages, words, &cause),
        };
        // What there is none of has as many addresses as somebody can think of.
        if made.0 == StatusCode::OK {
            pages.kept.put(key, made.clone());
        }
        made
    });
    let Ok((status, page)) = work.await else { return StatusCode::INTERNAL_SERVER_ERROR.into_response() };
    let cache = if status == StatusCode::OK { "public, max-age=5" } else { "no-store" };
    let mut response =
        (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8"), (header::CACHE_CONTROL, cache)], page.to_string()).into_response();
    if status == StatusCode::SERVICE_UNAVAILABLE {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("10"));
    }
    response
}

/// The page that was asked for, or the one that says that there is none, or what is wrong with the moment that is looked back at.
fn page(
    pages: &Pages,
    words: &'static Words,
    here: &str,
    then: Result<Option<Timestamp>, String>,
    render: impl FnOnce(&View, &Frame<'_>) -> Result<Option<String>, store::Error>,
) -> Result<Made, store::Error> {
    let view = pages.store.seen_by(&Viewer::Public);
    let frame = |over, then| Frame {
        words,
        assets: &pages.assets,
        site: &pages.site,
        owners: owners(&view, words.lang),
        made: pages.store.clock().now(),
        over,
        here: here.to_owned(),
        then,
    };
    let then = match then {
        Ok(then) => then,
        Err(wrong) => {
            let path = here.split('?').next().unwrap_or("/").to_owned();
            let frame = Frame { here: path, ..frame(0, None) };
            return Ok((StatusCode::BAD_REQUEST, notice::render(&frame, words.bad_request, &wrong).into()));
        }
    };
    let (seen, over) = match then {
        None => (view.clone(), pages.kept.over(&view)?),
        Some(then) => {
            let seen = view.clone().as_of(then)?;
            let over = over_a_threshold(&seen)?;
            (seen, over)
        }
    };
    let frame = frame(over, then);
    Ok(match render(&seen, &frame)? {
        Some(page) => (StatusCode::OK, page.into()),
        None => (StatusCode::NOT_FOUND, notice::render(&frame, words.not_found, words.not_found_text).into()),
    })
}

/// The page that says that a page can't be made now. What was wrong stands in the log, not before the public.
fn failed(pages: &Pages, words: &'static Words, cause: &store::Error) -> Made {
    let status = if matches!(cause, store::Error::Elsewhere { .. }) {
        tracing::warn!(event = "beyond_failed", %cause, "what only InfluxDB has could not be read");
        StatusCode::SERVICE_UNAVAILABLE
    } else {
        tracing::error!(event = "page_failed", %cause, "a page could not be made");
        StatusCode::INTERNAL_SERVER_ERROR
    };
    let frame = Frame {
        words,
        assets: &pages.assets,
        site: &pages.site,
        owners: String::new(),
        made: pages.store.clock().now(),
        over: 0,
        here: "/".to_owned(),
        then: None,
    };
    (status, notice::render(&frame, words.page_failed, words.page_failed_text).into())
}

/// Names in the page's foot; beyond these only how many more.
const MOST_OWNERS: usize = 3;

/// Whose data are public here, by name.
fn owners(view: &View, lang: Lang) -> String {
    let owners = view.owners();
    let named: Vec<&str> = owners.iter().take(MOST_OWNERS).map(|owner| owner.name.get(lang)).collect();
    match (owners.len().saturating_sub(MOST_OWNERS), lang) {
        (0, _) => named.join("; "),
        (more, Lang::It) => format!("{} e altri {more} titolari", named.join("; ")),
        (more, Lang::En) => format!("{} and {more} more owners", named.join("; ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_accepts_html_gets_a_page() {
        let check = |accept: &str, expected| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT, accept.parse().expect("a header"));
            assert_eq!(wants_page(&headers), expected, "{accept}");
        };
        check("text/html,application/xhtml+xml,*/*;q=0.8", true);
        check("*/*", false);
        check("application/json", false);
        assert!(!wants_page(&HeaderMap::new()));
    }
}
