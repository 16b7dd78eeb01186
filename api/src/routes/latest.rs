//! The last of everything, in one call.

use crate::auth::Seen;
use crate::geo::{self, Features};
use crate::page::{Page, keep};
use crate::problem::Problem;
use crate::query::Params;
use crate::routes::blocking;
use crate::stream::{self, Whole, json, put_item};
use crate::wire::LatestOut;
use axum::response::Response;
use model::Datastream;
use std::sync::Arc;
use store::Latest;

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
    // Those that are shown, as `View::latest` has them: read by and by, so that they take no memory while they wait.
    let mut datastreams = seen.view.datastreams(station.as_deref());
    datastreams.retain(|one| property.as_deref().is_none_or(|property| one.property.word() == property));
    let (permission, view) = (seen.permission(), seen.view);
    let made = move || {
        let each = move |some: &[Arc<Datastream>], out: &mut Vec<u8>, put: &dyn Fn(&Latest, &mut Vec<u8>)| {
            let latest = view.latest_of_these(some)?;
            latest.iter().for_each(|one| put(one, out));
            Ok(latest.len())
        };
        match format {
            "geojson" => {
                let put = |one: &Latest, out: &mut Vec<u8>| geo::put(one.station.place, &LatestOut::from(one), out);
                let features = Features::of(datastreams, move |some: &[Arc<Datastream>], out| each(some, out, &put));
                Ok(geo::typed(stream::response(permission, features)?))
            }
            _ => {
                let put = |one: &Latest, out: &mut Vec<u8>| put_item(&LatestOut::from(one), out);
                let whole = Whole::of(datastreams, move |some: &[Arc<Datastream>], out| each(some, out, &put));
                Ok(json(stream::response(permission, whole)?))
            }
        }
    };
    Ok(keep(blocking(&params.path, made).await?, seen.is_public, 5))
}
