//! GeoJSON: points at stations with what is known of them, longitude first.

use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use geojson::{Feature, FeatureCollection, GeoJson, Geometry, GeometryValue, JsonObject};
use model::Place;
use serde::Serialize;

/// A point with the fields of `properties`.
pub(crate) fn feature(place: Place, properties: &impl Serialize) -> Feature {
    let properties = match serde_json::to_value(properties) {
        Ok(serde_json::Value::Object(fields)) => fields,
        _ => JsonObject::new(),
    };
    let point = GeometryValue::new_point([place.longitude, place.latitude]);
    Feature { bbox: None, geometry: Some(Geometry::new(point)), id: None, properties: Some(properties), foreign_members: None }
}

/// A collection; what a page has beside its items stands beside the features.
pub(crate) fn collection(features: Vec<Feature>, beside: JsonObject) -> Response {
    let collection = FeatureCollection { bbox: None, features, foreign_members: Some(beside).filter(|beside| !beside.is_empty()) };
    let mut response = GeoJson::from(collection).to_string().into_response();
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/geo+json"));
    response
}
