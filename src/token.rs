//! `pescaia token` and `pescaia password`.

use crate::cli::At;
use crate::control::{Request, ask};
use crate::say;

pub(crate) fn new(owner: &str, scopes: &[String], at: &At) -> anyhow::Result<()> {
    let request = Request::TokenNew { owner: owner.to_owned(), scopes: scopes.to_vec() };
    crate::apply::tell(ask(at, &request)?)
}

pub(crate) fn hash_password() -> anyhow::Result<()> {
    let mut password = String::new();
    std::io::stdin().read_line(&mut password)?;
    let hash = store::hash_password(password.trim_end_matches(['\r', '\n'])).map_err(anyhow::Error::msg)?;
    say::line(&hash);
    Ok(())
}
