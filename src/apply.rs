//! `pescaia network apply`.

use crate::cli::At;
use crate::control::{Answer, Request, ask};
use crate::say;
use std::path::PathBuf;

pub(crate) fn apply(files: &[PathBuf], dry_run: bool, at: &At) -> anyhow::Result<()> {
    // The running instance may stand in another directory.
    let files = files.iter().map(|file| std::path::absolute(file).unwrap_or_else(|_| file.clone())).collect();
    tell(ask(&at.data_dir()?, &Request::NetworkApply { files, dry_run })?)
}

/// Prints an answer, or fails with what is wrong.
pub(crate) fn tell(answer: Answer) -> anyhow::Result<()> {
    match answer {
        Answer::Lines(lines) => {
            lines.iter().for_each(|line| say::line(line));
            Ok(())
        }
        Answer::Wrong(lines) => Err(say::Complaints(lines).into()),
    }
}
