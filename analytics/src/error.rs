/// Why a dataset could not be made. The version that was published before holds, and the keeper tries again.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("computing a dataset: {0}")]
    Polars(#[from] polars::error::PolarsError),
    #[error("writing a dataset's file: {0}")]
    Write(String),
    /// A file that can't be read as what it should be: what is wrong, and the cure.
    #[error("{path}: {what}")]
    File { path: String, what: String },
}
