//! `/dati` and `/dati/{dataset}`: what is shared as files, for those who open them in a spreadsheet and those who cite them.

use super::Frame;
use askama::Template;
use model::{Lang, Timestamp, local_time, number};
use std::collections::BTreeSet;
use std::sync::Arc;
use store::{Error, Format, Published, View};

/// Rows that are shown of the newest month.
const PREVIEW: usize = 10;

/// One dataset in the catalogue.
struct Entry {
    id: String,
    title: String,
    description: String,
    updated: String,
    rows: String,
    months: usize,
}

#[derive(Template)]
#[template(path = "datasets.html")]
struct List<'a> {
    frame: &'a Frame<'a>,
    /// What is shown is not what was published at the moment that is looked back at.
    newer: bool,
    entries: Vec<Entry>,
}

/// One month with a file in each format: href, words, size.
struct Month {
    name: String,
    rows: String,
    files: Vec<(String, &'static str, String)>,
    changed: String,
}

struct ColumnWords {
    name: String,
    unit: &'static str,
    meaning: String,
}

#[derive(Template)]
#[template(path = "dataset.html")]
struct One<'a> {
    frame: &'a Frame<'a>,
    /// As in [`List`].
    newer: bool,
    id: String,
    title: String,
    description: String,
    caution: String,
    licence: String,
    licence_url: String,
    updated: String,
    iso: String,
    complete_to: String,
    edition: u64,
    rows: String,
    months: Vec<Month>,
    columns: Vec<ColumnWords>,
    head: Vec<String>,
    preview: Vec<Vec<String>>,
    cite: String,
    /// Names of those whose data these are.
    whose: String,
}

pub(crate) fn list(view: &View, frame: &Frame<'_>) -> String {
    let lang = frame.words.lang;
    let entry = |one: &Arc<Published>| Entry {
        id: one.dataset.id.clone(),
        title: one.dataset.title.get(lang).to_owned(),
        description: one.dataset.description.get(lang).to_owned(),
        updated: date_time(one.published_at, lang),
        rows: whole(one.rows(), lang),
        months: one.files.iter().filter(|file| file.format == Format::Csv).count(),
    };
    let datasets = view.datasets();
    let newer = datasets.iter().any(|one| is_newer(one, frame));
    List { frame, newer, entries: datasets.iter().map(entry).collect() }.render().unwrap_or_default()
}

/// Editions of then are not kept: what is newer must not pass for them.
fn is_newer(published: &Published, frame: &Frame<'_>) -> bool {
    frame.then.is_some_and(|then| published.published_at.seconds() > then.seconds())
}

/// # Errors
/// The store's.
pub(crate) fn one(view: &View, frame: &Frame<'_>, id: &str) -> Result<Option<String>, Error> {
    let Some(published) = view.dataset(id) else { return Ok(None) };
    let lang = frame.words.lang;
    let dataset = &published.dataset;
    let newest = published.files.iter().rev().find(|file| file.format == Format::Csv);
    let text = match newest {
        Some(file) => view.dataset_file(id, &file.name)?.map(|(_, bytes)| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default(),
        None => String::new(),
    };
    let mut cells = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes()).into_records().map_while(Result::ok);
    let head: Vec<String> = cells.next().map(|row| row.iter().map(str::to_owned).collect()).unwrap_or_default();
    // The newest days are at the end of each series: show some of the last rows.
    let mut stations = BTreeSet::new();
    let of_station = head.iter().position(|name: &String| name == "station");
    let cells = cells.inspect(|row| {
        if let Some(station) = of_station.and_then(|place| row.get(place)) {
            stations.insert(station.to_owned());
        }
    });
    let rows: Vec<Vec<String>> = cells.map(|row| row.iter().map(shown).collect()).collect();
    let preview = rows.get(rows.len().saturating_sub(PREVIEW)..).unwrap_or_default().to_vec();
    let column = |column: &model::Column| ColumnWords {
        name: column.name.clone(),
        unit: column.unit.map_or("", |unit| unit.symbol()),
        meaning: column.meaning.get(lang).to_owned(),
    };
    let title = dataset.title.get(lang).to_owned();
    let updated = date_time(published.published_at, lang);
    let whose = whose(view, &stations, lang);
    let cite =
        format!("{whose}, {title}, {} {}, {updated}. {}. {}.", frame.words.edition, published.edition, frame.site(), dataset.licence);
    let page = One {
        frame,
        newer: is_newer(&published, frame),
        id: id.to_owned(),
        description: dataset.description.get(lang).to_owned(),
        caution: dataset.caution.get(lang).to_owned(),
        licence: dataset.licence.clone(),
        licence_url: dataset.licence_url.clone(),
        iso: published.published_at.to_string(),
        complete_to: local_time(published.complete_to, lang),
        edition: published.edition,
        rows: whole(published.rows(), lang),
        months: months(&published, lang),
        columns: dataset.columns.iter().map(column).collect(),
        head,
        preview,
        cite,
        whose,
        title,
        updated,
    };
    Ok(Some(page.render().unwrap_or_default()))
}

/// The owners of these stations by name, each once, as far as the public may know them.
fn whose(view: &View, stations: &BTreeSet<String>, lang: Lang) -> String {
    let of_station = |id: &String| view.datastreams(Some(id)).iter().filter_map(|datastream| view.owner(datastream)).collect::<Vec<_>>();
    let names: BTreeSet<String> = stations.iter().flat_map(of_station).map(|owner| owner.name.get(lang).to_owned()).collect();
    names.into_iter().collect::<Vec<_>>().join("; ")
}

/// Newest first.
fn months(published: &Published, lang: Lang) -> Vec<Month> {
    let mut months: Vec<Month> = Vec::new();
    for of_month in published.files.chunk_by(|one, next| one.month == next.month) {
        let Some(first) = of_month.first() else { continue };
        let href = |file: &store::PublishedFile| format!("/api/v1/datasets/{}/files/{}", published.dataset.id, file.name);
        let word = |format: Format| match format {
            Format::Csv => "CSV",
            Format::Parquet => "Parquet",
            Format::GeoJson => "GeoJSON",
        };
        let changed = of_month.iter().map(|file| file.changed_at).max().unwrap_or(first.changed_at);
        months.push(Month {
            name: first.month.clone(),
            rows: whole(first.rows, lang),
            files: of_month.iter().map(|file| (href(file), word(file.format), size(file.bytes, lang))).collect(),
            changed: date_time(changed, lang),
        });
    }
    months.reverse();
    months
}

/// A long number is cut for the eye; the file has all of it.
fn shown(cell: &str) -> String {
    match cell.parse::<f64>() {
        Ok(value) if cell.len() > 8 && cell.contains('.') => format!("{value:.4}"),
        _ => cell.to_owned(),
    }
}

fn size(bytes: u64, lang: Lang) -> String {
    #[expect(clippy::cast_precision_loss, reason = "a size for people")]
    let bytes = bytes as f64;
    if bytes < 1e6 { format!("{} kB", number((bytes / 1e3).max(0.1), 1, lang)) } else { format!("{} MB", number(bytes / 1e6, 1, lang)) }
}

fn whole(count: u64, lang: Lang) -> String {
    let digits = count.to_string();
    let mark = if lang == Lang::It { '.' } else { ',' };
    let mut out = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            out.push(mark);
        }
        out.push(digit);
    }
    out
}

fn date_time(at: Timestamp, lang: Lang) -> String {
    let local = at.in_rome();
    match lang {
        Lang::It => format!("{:02}/{:02}/{} {:02}:{:02}", local.day(), local.month(), local.year(), local.hour(), local.minute()),
        Lang::En => format!("{}-{:02}-{:02} {:02}:{:02} (Italy)", local.year(), local.month(), local.day(), local.hour(), local.minute()),
    }
}
