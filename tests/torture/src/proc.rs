//! The real binary.
use crate::args::Args;
pub(crate) fn run(_: &Args) -> Result<String, String> {
    Err("not yet".to_owned())
}
