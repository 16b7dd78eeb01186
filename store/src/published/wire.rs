//! How a published version lies in its document.

use super::{Format, Published, PublishedFile};
use crate::Error;
use crate::engine::Document;
use model::{Column, ColumnKind, Dataset, Text, Timestamp, Unit};
use serde::{Deserialize, Serialize};
use std::sync::Arc;

#[derive(Serialize, Deserialize)]
struct Kept {
    title: [String; 2],
    description: [String; 2],
    caution: [String; 2],
    licence: String,
    licence_url: String,
    columns: Vec<KeptColumn>,
    files: Vec<KeptFile>,
    edition: u64,
    published_at_us: i64,
    complete_to_us: i64,
    watermark: u64,
    basis: String,
}

#[derive(Serialize, Deserialize)]
struct KeptColumn {
    name: String,
    kind: String,
    unit: Option<String>,
    meaning: [String; 2],
}

#[derive(Serialize, Deserialize)]
struct KeptFile {
    name: String,
    month: String,
    format: String,
    rows: u64,
    bytes: u64,
    sha256: String,
    changed_at_us: i64,
    number: i64,
}

fn pair(text: &Text) -> [String; 2] {
    [text.it.clone(), text.en.clone()]
}
fn text([it, en]: [String; 2]) -> Text {
    Text { it, en }
}

pub(super) fn write(published: &Published) -> Result<String, Error> {
    let dataset = &published.dataset;
    let column = |column: &Column| KeptColumn {
        name: column.name.clone(),
        kind: column.kind.word().to_owned(),
        unit: column.unit.map(|unit| unit.symbol().to_owned()),
        meaning: pair(&column.meaning),
    };
    let file = |file: &PublishedFile| KeptFile {
        name: file.name.clone(),
        month: file.month.clone(),
        format: file.format.extension().to_owned(),
        rows: file.rows,
        bytes: file.bytes,
        sha256: file.sha256.clone(),
        changed_at_us: file.changed_at.micros(),
        number: file.number,
    };
    let kept = Kept {
        title: pair(&dataset.title),
        description: pair(&dataset.description),
        caution: pair(&dataset.caution),
        licence: dataset.licence.clone(),
        licence_url: dataset.licence_url.clone(),
        columns: dataset.columns.iter().map(column).collect(),
        files: published.files.iter().map(file).collect(),
        edition: published.edition,
        published_at_us: published.published_at.micros(),
        complete_to_us: published.complete_to.micros(),
        watermark: published.watermark,
        basis: published.basis.clone(),
    };
    serde_json::to_string(&kept).map_err(|cause| Error::Io { action: "writing a dataset's manifest".into(), cause: cause.to_string() })
}

pub(super) fn read(document: &Document) -> Result<Published, Error> {
    let damaged = |what: &str| Error::Damaged { what: format!("the manifest of the dataset {}: {what}", document.id) };
    let kept: Kept = serde_json::from_str(&document.body).map_err(|cause| damaged(&cause.to_string()))?;
    let column = |column: KeptColumn| {
        Some(Column {
            kind: ColumnKind::from_word(&column.kind)?,
            unit: match column.unit {
                Some(symbol) => Some(Unit::from_symbol(&symbol)?),
                None => None,
            },
            name: column.name,
            meaning: text(column.meaning),
        })
    };
    let file = |file: KeptFile| {
        Some(PublishedFile {
            format: Format::ALL.into_iter().find(|format| format.extension() == file.format)?,
            name: file.name,
            month: file.month,
            rows: file.rows,
            bytes: file.bytes,
            sha256: file.sha256,
            changed_at: Timestamp::from_micros(file.changed_at_us),
            number: file.number,
        })
    };
    let columns: Option<Vec<_>> = kept.columns.into_iter().map(column).collect();
    let files: Option<Vec<_>> = kept.files.into_iter().map(file).collect();
    Ok(Published {
        dataset: Arc::new(Dataset {
            id: document.id.clone(),
            title: text(kept.title),
            description: text(kept.description),
            caution: text(kept.caution),
            licence: kept.licence,
            licence_url: kept.licence_url,
            columns: columns.ok_or_else(|| damaged("a column"))?,
        }),
        files: files.ok_or_else(|| damaged("a file"))?,
        edition: kept.edition,
        published_at: Timestamp::from_micros(kept.published_at_us),
        complete_to: Timestamp::from_micros(kept.complete_to_us),
        watermark: kept.watermark,
        basis: kept.basis,
    })
}
