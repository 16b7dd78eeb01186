//! A network as a table: many meters in one CSV file, a row for each channel.

use super::nearest::nearest;
use super::wire::{DatastreamEntry, DeviceEntry, FeedEntry, StationEntry, VisibilityEntry};
use super::{NetworkFile, Placed};
use crate::Complaint;
use std::collections::HashMap;

/// Columns that a row needs, and those that it may have.
const NEEDED: [&str; 8] = ["owner", "station", "latitude", "longitude", "datastream", "property", "period_s", "device"];
const MORE: [&str; 10] = ["name", "comune", "river", "class", "visibility", "channel", "unit", "address", "digits", "downstream"];

/// Reads a table. The separator is `;` or `,`, whichever the header has; what a row leaves empty is left out.
///
/// # Errors
/// Every complaint at once, each with its line.
pub(super) fn parse(name: &str, text: &str) -> Result<NetworkFile, Vec<Complaint>> {
    let text = text.trim_start_matches('\u{feff}');
    let mut lines = offsets(text);
    let Some((_, header)) = lines.next() else {
        return Err(vec![Complaint::at(name, text, 0, format!("the table is empty; its columns are {}", NEEDED.join(", ")))]);
    };
    let separator = if header.contains(';') { ';' } else { ',' };
    let columns: Vec<&str> = cells(header, separator);
    let mut complaints = Vec::new();
    for column in &columns {
        if !NEEDED.contains(column) && !MORE.contains(column) {
            let cure = nearest(column, NEEDED.into_iter().chain(MORE)).map_or_else(
                || format!("the columns are {}, {}", NEEDED.join(", "), MORE.join(", ")),
                |near| format!("did you mean \"{near}\"?"),
            );
            complaints.push(Complaint::at(name, text, 0, format!("unknown column \"{column}\", {cure}")));
        }
    }
    for needed in NEEDED.into_iter().filter(|needed| !columns.contains(needed)) {
        complaints.push(Complaint::at(name, text, 0, format!("the column \"{needed}\" is missing; add it")));
    }
    if !complaints.is_empty() {
        return Err(complaints);
    }
    let mut file = NetworkFile { name: name.to_owned(), text: text.to_owned(), ..NetworkFile::default() };
    let mut stations: HashMap<String, usize> = HashMap::new();
    let mut devices: HashMap<(String, String), usize> = HashMap::new();
    for (at, line) in lines.filter(|(_, line)| !line.trim().is_empty()) {
        let row: HashMap<&str, &str> = columns.iter().copied().zip(cells(line, separator)).filter(|(_, cell)| !cell.is_empty()).collect();
        match Row::of(&row) {
            Ok(row) => row.add(at, &mut file, &mut stations, &mut devices, &mut complaints),
            Err(message) => complaints.push(Complaint::at(name, text, at, message)),
        }
    }
    if complaints.is_empty() { Ok(file) } else { Err(complaints) }
}

/// Lines with the byte where each begins.
fn offsets(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let mut at = 0;
    text.split_inclusive('\n').map(move |line| {
        let start = at;
        at += line.len();
        (start, line.trim_end_matches(['\r', '\n']))
    })
}

fn cells(line: &str, separator: char) -> Vec<&str> {
    line.split(separator).map(|cell| cell.trim().trim_matches('"')).collect()
}

struct Row {
    station: StationEntry,
    datastream: DatastreamEntry,
    owner: String,
    device: String,
    address: Option<String>,
    feed: FeedEntry,
}

impl Row {
    fn of(row: &HashMap<&str, &str>) -> Result<Self, String> {
        let text = |column: &str| row.get(column).map(|cell| (*cell).to_owned());
        let needed = |column: &str| text(column).ok_or_else(|| format!("the column \"{column}\" is empty here"));
        let number = |column: &str| {
            let cell = needed(column)?;
            // A table that a spreadsheet wrote in Italian has decimal commas.
            cell.replace(',', ".").parse::<f64>().map_err(|_| format!("{column} = \"{cell}\" is no number"))
        };
        let (station, datastream, property) = (needed("station")?, needed("datastream")?, needed("property")?);
        let period = needed("period_s")?;
        let counter = match text("digits") {
            None => None,
            Some(digits) => {
                let digits = digits.parse().map_err(|_| format!("digits = \"{digits}\" is no number of digits, e.g. 6"))?;
                Some(super::wire::CounterEntry { digits: Some(digits), bits: None, wraps_at: None })
            }
        };
        Ok(Self {
            owner: needed("owner")?,
            device: needed("device")?,
            address: text("address"),
            feed: FeedEntry {
                channel: text("channel").unwrap_or_else(|| property.clone()),
                datastream: datastream.clone(),
                unit: text("unit"),
                datastream_owner: None,
            },
            station: StationEntry {
                name: text("name").unwrap_or_else(|| station.clone()),
                id: station.clone(),
                owner: needed("owner")?,
                place: [number("latitude")?, number("longitude")?],
                comune: text("comune"),
                river: text("river"),
                downstream: text("downstream"),
                note: None,
                zero: Vec::new(),
            },
            datastream: DatastreamEntry {
                id: datastream,
                station,
                property,
                unit: None,
                class: text("class"),
                period_s: period.parse().map_err(|_| format!("period_s = \"{period}\" is no whole number of seconds"))?,
                visibility: text("visibility").map(VisibilityEntry::Word),
                threshold: Vec::new(),
                rating: Vec::new(),
                counter,
                meter: Vec::new(),
                keep_months: None,
                span: None,
            },
        })
    }

    /// A station and a device may stand in several rows, but not with different words.
    fn add(
        self,
        at: usize,
        file: &mut NetworkFile,
        stations: &mut HashMap<String, usize>,
        devices: &mut HashMap<(String, String), usize>,
        complaints: &mut Vec<Complaint>,
    ) {
        let mut complain = |text: &str, message: String| complaints.push(Complaint::at(&file.name, text, at, message));
        match stations.get(&self.station.id).and_then(|place| file.stations.get(*place)) {
            Some(known) if known.entry != self.station => {
                complain(&file.text, format!("the station \"{}\" is described otherwise in an earlier row", self.station.id));
            }
            Some(_) => {}
            None => {
                stations.insert(self.station.id.clone(), file.stations.len());
                file.stations.push(Placed { at, entry: self.station });
            }
        }
        file.datastreams.push(Placed { at, entry: self.datastream });
        let key = (self.owner.clone(), self.device.clone());
        match devices.get(&key).and_then(|place| file.devices.get_mut(*place)) {
            Some(known) if known.entry.address != self.address => {
                complain(&file.text, format!("the device \"{}\" has another address in an earlier row", self.device));
            }
            Some(known) => known.entry.feeds.push(self.feed),
            None => {
                devices.insert(key, file.devices.len());
                let http = self.address.is_none().then_some(true);
                let entry = DeviceEntry {
                    id: self.device,
                    owner: self.owner,
                    address: self.address,
                    http,
                    feeds: vec![self.feed],
                    ..DeviceEntry::default()
                };
                file.devices.push(Placed { at, entry });
            }
        }
    }
}
