//! The last of everything, in one call.

use crate::auth::Seen;
use crate::geo;
use crate::page::{Page, keep};
use crate::problem::Problem;
use crate::query::Params;
use crate::routes::blocking;
use crate::wire::LatestOut;
use axum::Json;
use axum::response::{IntoResponse, Response};
use geojson::JsonObject;

/// The last observation of every datastream that you may see, with its age and state. One call is enough for a map.
#[utoipa::path(get, path = "/api/v1/latest", tag = "observations",
    params(("station" = Option<String>, Query, description = "Only those of this station"), ("property" = Option<String>, Query, example = "water_level"),
        ("f" = Option<String>, Query, description = "json (default) or geojson"),
        ("as_of" = Option<String>, Query, description = "RFC 3339 with an offset, to the second: as it was served at that moment, whatever was revised or received since")),
    responses((status = 200, description = "By datastream", body = Page<LatestOut>), (status = 400, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(seen: Seen, params: Params) -> Result<Response, Problem> {
    params.only(&["station", "property", "f", "as_of"])?;
    let format = params.choice("f", &["json", "geojson"])?;
    let property = params.get("property").map(str::to_owned);
    if let Some(word) = property.as_deref().filter(|word| model::ObservedProperty::from_word(word).is_none()) {
        let cure =
            store::nearest(word, model::ObservedProperty::words()).map_or_else(String::new, |near| format!(", did you mean {near:?}?"));
        return Err(params.bad(format!("unknown property {word:?}{cure}")));
    }
    let station = params.get("station").map(str::to_owned);
    let view = seen.view;
    let mut latest = blocking(&params.path, move || Ok(view.latest()?)).await?;
    latest.retain(|one| station.as_deref().is_none_or(|station| one.station.id.as_str() == station));
    latest.retain(|one| property.as_deref().is_none_or(|property| one.datastream.property.word() == property));
    let response = if format == "geojson" {
        geo::collection(latest.iter().map(|one| geo::feature(one.station.place, &LatestOut::from(one))).collect(), JsonObject::new())
    } else {
        Json(Page::whole(latest.iter().map(LatestOut::from).collect())).into_response()
    };
    Ok(keep(response, seen.is_public, 5))
}
