//! `pescaia network apply`.

use crate::cli::At;
use crate::control::{Answer, Request, ask};
use crate::say;
use anyhow::Context;
use std::collections::BTreeMap;
use std::path::PathBuf;
use store::{Change, Reason};

pub(crate) fn apply(files: &[PathBuf], dry_run: bool, all: bool, why: String, at: &At) -> anyhow::Result<()> {
    // The running instance may stand in another directory.
    let files = files.iter().map(|file| std::path::absolute(file).unwrap_or_else(|_| file.clone())).collect();
    let reason = Reason { who: crate::correct::person(), why };
    tell(ask(at, &Request::NetworkApply { files, dry_run, all, reason })?)
}

/// Changes that are told one by one when there are more than twice as many.
const FIRST: usize = 20;

/// Each change, or the first of very many and how many there are of each kind.
pub(crate) fn lines(changes: &[Change], all: bool) -> Vec<String> {
    if all || changes.len() <= 2 * FIRST {
        return changes.iter().map(ToString::to_string).collect();
    }
    let mut kinds: BTreeMap<(&str, char), usize> = BTreeMap::new();
    for change in changes {
        *kinds.entry((change.what, change.kind.sign())).or_default() += 1;
    }
    let sum = |((what, sign), count): (&(&str, char), &usize)| format!("{sign} {count} {what}s");
    let sums: Vec<String> = kinds.iter().map(sum).collect();
    let first = changes.iter().take(FIRST).map(ToString::to_string);
    let rest = format!("… and {} changes more; --all tells every one", changes.len() - FIRST);
    first.chain([rest, format!("in all: {}", sums.join(", "))]).collect()
}

/// Prints an answer, or fails with what is wrong.
pub(crate) fn tell(answer: Answer) -> anyhow::Result<()> {
    match answer {
        Answer::Lines(lines) => match say::lines(&lines) {
            // Whoever reads has seen enough, as `head` does.
            Err(cause) if cause.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
            written => written.context("the answer can't be written to the standard output"),
        },
        Answer::Wrong(lines) => Err(say::Complaints(lines).into()),
    }
}
