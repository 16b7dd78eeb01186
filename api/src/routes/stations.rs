//! Places.

use crate::auth::Seen;
use crate::geo::{self, Features};
use crate::page::{Page, keep};
use crate::problem::Problem;
use crate::query::Params;
use crate::routes::blocking;
use crate::stream::{self, Whole, json, put_item};
use crate::wire::{DatastreamOut, StationOut};
use axum::Json;
use axum::extract::Path;
use axum::response::Response;
use model::Station;
use serde::Serialize;
use std::sync::Arc;
use utoipa::ToSchema;

/// A station with its datastreams.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct StationWhole {
    #[serde(flatten)]
    station: StationOut,
    datastreams: Vec<DatastreamOut>,
}

/// Stations with at least one datastream that you may see.
#[utoipa::path(get, path = "/api/v1/stations", tag = "stations",
    params(("f" = Option<String>, Query, description = "json (default) or geojson"),
        ("as_of" = Option<String>, Query, description = "RFC 3339 with an offset, to the second: as it was described at that moment")),
    responses((status = 200, description = "All of them, by id", body = Page<StationOut>), (status = 400, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn list(seen: Seen, params: Params) -> Result<Response, Problem> {
    params.only(&["f", "as_of"])?;
    let stations = seen.view.stations();
    let permission = seen.permission();
    let response = if params.choice("f", &["json", "geojson"])? == "geojson" {
        let features = Features::of(stations, |some: &[Arc<Station>], out| {
            some.iter().for_each(|station| geo::put(station.place, &StationOut::from(station.as_ref()), out));
            Ok(some.len())
        });
        geo::typed(blocking(&params.path, move || stream::response(permission, features)).await?)
    } else {
        let whole = Whole::of(stations, |some: &[Arc<Station>], out| {
            some.iter().for_each(|station| put_item(&StationOut::from(station.as_ref()), out));
            Ok(some.len())
        });
        json(blocking(&params.path, move || stream::response(permission, whole)).await?)
    };
    Ok(keep(response, seen.is_public, 60))
}

/// One station.
#[utoipa::path(get, path = "/api/v1/stations/{id}", tag = "stations", params(("id" = String, Path, example = "bisenzio-gamberame"),
        ("as_of" = Option<String>, Query, description = "RFC 3339 with an offset, to the second: as it was described at that moment")),
    responses((status = 200, body = StationWhole), (status = 404, body = Problem, content_type = "application/problem+json")))]
pub(crate) async fn one(seen: Seen, Path(id): Path<String>, params: Params) -> Result<Response, Problem> {
    params.only(&["as_of"])?;
    let station = seen.view.station(&id).ok_or_else(|| Problem::missing("station", &id, "/api/v1/stations").at(&params.path))?;
    let view = seen.view;
    let datastreams = blocking(&params.path, move || {
        let all = view.datastreams(Some(&id));
        let all: Result<Vec<_>, store::Error> = all.iter().map(|datastream| DatastreamOut::seen(&view, datastream)).collect();
        Ok(all?)
    });
    let datastreams = datastreams.await?;
    Ok(keep(Json(StationWhole { station: StationOut::from(station.as_ref()), datastreams }), seen.is_public, 30))
}
