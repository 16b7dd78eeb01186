use super::cells::{Cell, columns};
use crate::Error;
use crate::frames::Frames;
use geojson::{Feature, FeatureWriter, Geometry, GeometryValue, JsonObject};
use model::{Column, Place};
use polars::frame::DataFrame;
use serde_json::Value;
use std::collections::HashMap;

/// RFC 7946: one feature a row at the place of its station; `[longitude, latitude]`, WGS84.
pub(super) fn write(rows: &DataFrame, described: &[Column], frames: &Frames) -> Result<Vec<u8>, Error> {
    let failed = |cause: geojson::Error| Error::Write(cause.to_string());
    let places: HashMap<&str, Place> = frames.datastreams().iter().map(|(_, station)| (station.id.as_str(), station.place)).collect();
    let cells = columns(rows, described)?;
    let mut bytes = Vec::new();
    let mut writer = FeatureWriter::from_writer(&mut bytes);
    for row in 0..rows.height() {
        let mut properties = JsonObject::new();
        let mut geometry = None;
        for (column, cells) in described.iter().zip(&cells) {
            let value = match cells.at(row) {
                Cell::Nothing => Value::Null,
                Cell::Text(text) => {
                    if column.name == "station" {
                        let point = |place: &Place| Geometry::new(GeometryValue::new_point([place.longitude, place.latitude]));
                        geometry = places.get(text.as_str()).map(point);
                    }
                    Value::from(text)
                }
                Cell::Number(number) => Value::from(number),
                Cell::Count(count) => Value::from(count),
            };
            properties.insert(column.name.clone(), value);
        }
        let feature = Feature { bbox: None, geometry, id: None, properties: Some(properties), foreign_members: None };
        writer.write_feature(&feature).map_err(failed)?;
    }
    writer.finish().map_err(failed)?;
    drop(writer);
    Ok(bytes)
}
