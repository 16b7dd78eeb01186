//! On whose behalf a request is made: nobody's, or that of a token's owner.

use crate::api::Api;
use crate::problem::Problem;
use crate::query::Params;
use crate::stream::Permission;
use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use model::{Datastream, Scope, Viewer};
use std::sync::Arc;
use store::{Holder, Store, TOKEN_REFUSED, View};

/// The store as the one who asks may see it.
pub(crate) struct Seen {
    pub(crate) view: View,
    holder: Option<Holder>,
    store: Store,
    /// Nobody's in particular: the answer may be kept and shared.
    pub(crate) is_public: bool,
}

impl Seen {
    /// For answers that take long: they end when the token ceases to hold.
    pub(crate) fn permission(&self) -> Permission {
        Permission::of(&self.store, self.holder.as_ref())
    }
    /// The datastream of the path, if there is one for the one who asks.
    pub(crate) fn datastream(&self, id: &str, params: &Params) -> Result<Arc<Datastream>, Problem> {
        self.view.datastream(id).ok_or_else(|| Problem::missing("datastream", id, "/api/v1/datastreams").at(&params.path))
    }
    /// Only for the holder of a token with one of these scopes.
    pub(crate) fn needs(&self, scopes: &[Scope]) -> Result<(), Problem> {
        let word = scopes.first().map_or("", |scope| scope.word());
        match self.view.viewer() {
            Viewer::Public => {
                let detail = format!(
                    "send Authorization: Bearer … with a token of scope {word}; make one with: pescaia token new --owner … --scope {word}"
                );
                Err(Problem::new(StatusCode::UNAUTHORIZED, "A token is needed", detail))
            }
            viewer if scopes.iter().any(|scope| viewer.may(*scope)) => Ok(()),
            Viewer::Token { .. } => Err(Problem::new(StatusCode::FORBIDDEN, "Not allowed", format!("this token lacks the scope {word}"))),
        }
    }
}

impl FromRequestParts<Api> for Seen {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, Problem> {
        let refuse = |status, title, detail: &str| Problem::new(status, title, detail).at(parts.uri.path());
        if parts.uri.query().is_some_and(|query| query.split('&').any(|pair| pair.starts_with("token="))) {
            return Err(refuse(
                StatusCode::BAD_REQUEST,
                "Token in the address",
                "addresses end up in logs; send the token as Authorization: Bearer …",
            ));
        }
        let holder = match parts.headers.get(header::AUTHORIZATION) {
            None => None,
            Some(value) => {
                let shown = value.to_str().ok().and_then(|value| value.split_once(' '));
                let token = shown.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer")).map(|(_, token)| token.trim());
                let holder = token.and_then(|token| api.store.holder_of(token));
                Some(holder.ok_or_else(|| refuse(StatusCode::UNAUTHORIZED, "No valid token", &format!("{TOKEN_REFUSED} read")))?)
            }
        };
        let viewer = holder.as_ref().map_or(Viewer::Public, |holder| holder.viewer.clone());
        let view = api.store.seen_by(&viewer);
        let params = Params::from_request_parts(parts, api).await?;
        let view = match params.instant("as_of")? {
            Some(at) if at > view.now() => {
                return Err(params.bad(format!("as_of={at} lies ahead of now; leave it out for what is served now")));
            }
            Some(at) => view.as_of(at).map_err(|cause| Problem::from(cause).at(parts.uri.path()))?,
            None => view,
        };
        Ok(Self { view, holder, store: api.store.clone(), is_public: viewer == Viewer::Public })
    }
}
