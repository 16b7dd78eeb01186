//! `pescaia token` and `pescaia password`.

use crate::cli::At;
use crate::control::{Answer, Request, ask};
use crate::say;
use anyhow::Context;

pub(crate) fn new(owner: &str, scopes: &[String], at: &At) -> anyhow::Result<()> {
    let request = Request::TokenNew { owner: owner.to_owned(), scopes: scopes.to_vec() };
    match ask(&at.data_dir()?, &request)? {
        // It is shown this once.
        Answer::Lines(lines) => say::lines(&lines).context("the token was made and could not be shown; make another one"),
        wrong => crate::apply::tell(wrong),
    }
}

pub(crate) fn hash_password() -> anyhow::Result<()> {
    let mut password = String::new();
    std::io::stdin().read_line(&mut password)?;
    let hash = store::hash_password(password.trim_end_matches(['\r', '\n'])).map_err(anyhow::Error::msg)?;
    say::line(&hash);
    Ok(())
}
