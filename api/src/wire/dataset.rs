use super::TextOut;
use serde::Serialize;
use store::{Published, PublishedFile};
use utoipa::ToSchema;

/// A dataset in the list.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DatasetOut {
    #[schema(example = "livelli-giornalieri")]
    pub(crate) id: String,
    pub(crate) title: TextOut,
    pub(crate) description: TextOut,
    /// What a reader must know before relying on it.
    pub(crate) caution: TextOut,
    /// SPDX
    #[schema(example = "CC-BY-4.0")]
    pub(crate) licence: String,
    pub(crate) licence_url: String,
    /// Grows by one with each publication.
    pub(crate) edition: u64,
    /// When it was published last.
    pub(crate) updated: String,
    /// Everything before this instant is in it, as far as it had arrived.
    pub(crate) complete_to: String,
    /// The commit of the last late observation that is in it.
    pub(crate) watermark: u64,
    pub(crate) rows: u64,
    /// Months of Europe/Rome, one file each and format.
    #[schema(example = json!(["2026-10", "2026-11"]))]
    pub(crate) months: Vec<String>,
}

/// A dataset with its columns and the manifest of its files.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct DatasetWhole {
    #[serde(flatten)]
    dataset: DatasetOut,
    columns: Vec<ColumnOut>,
    files: Vec<FileOut>,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ColumnOut {
    #[schema(example = "max")]
    name: String,
    /// text, day, instant, number or count
    #[schema(example = "number")]
    kind: String,
    /// UCUM symbol; null where it has none.
    unit: Option<String>,
    meaning: TextOut,
}

#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct FileOut {
    #[schema(example = "livelli-giornalieri-2026-10.csv")]
    name: String,
    #[schema(example = "2026-10")]
    month: String,
    /// csv, parquet or geojson
    format: String,
    media_type: String,
    rows: u64,
    bytes: u64,
    sha256: String,
    /// When its content last changed.
    changed_at: String,
    #[schema(example = "/api/v1/datasets/livelli-giornalieri/files/livelli-giornalieri-2026-10.csv")]
    href: String,
}

impl From<&Published> for DatasetOut {
    fn from(published: &Published) -> Self {
        let dataset = &published.dataset;
        let mut months: Vec<_> = published.files.iter().map(|file| file.month.clone()).collect();
        months.dedup();
        Self {
            id: dataset.id.clone(),
            title: (&dataset.title).into(),
            description: (&dataset.description).into(),
            caution: (&dataset.caution).into(),
            licence: dataset.licence.clone(),
            licence_url: dataset.licence_url.clone(),
            edition: published.edition,
            updated: published.published_at.to_string(),
            complete_to: published.complete_to.to_string(),
            watermark: published.watermark,
            rows: published.rows(),
            months,
        }
    }
}

impl From<&Published> for DatasetWhole {
    fn from(published: &Published) -> Self {
        let column = |column: &model::Column| ColumnOut {
            name: column.name.clone(),
            kind: column.kind.word().into(),
            unit: column.unit.map(|unit| unit.symbol().to_owned()),
            meaning: (&column.meaning).into(),
        };
        let file = |file: &PublishedFile| FileOut {
            name: file.name.clone(),
            month: file.month.clone(),
            format: file.format.extension().into(),
            media_type: file.format.media_type().into(),
            rows: file.rows,
            bytes: file.bytes,
            sha256: file.sha256.clone(),
            changed_at: file.changed_at.to_string(),
            href: format!("/api/v1/datasets/{}/files/{}", published.dataset.id, file.name),
        };
        Self {
            dataset: published.into(),
            columns: published.dataset.columns.iter().map(column).collect(),
            files: published.files.iter().map(file).collect(),
        }
    }
}
