//! `pescaia token` and `pescaia password`.

use crate::cli::At;
use crate::control::{Answer, Request, ask};
use crate::say;
use anyhow::Context;
use model::{Scope, Timestamp};
use serde::{Deserialize, Serialize};
use store::{Store, TokenLine};

/// A token that is wanted.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct NewOrder {
    owner: String,
    scopes: Vec<String>,
    /// As it was typed; for ever when it is not there.
    #[serde(default)]
    expires: Option<String>,
}

pub(crate) fn new(owner: &str, scopes: &[String], expires: Option<String>, at: &At) -> anyhow::Result<()> {
    let order = NewOrder { owner: owner.to_owned(), scopes: scopes.to_vec(), expires };
    match ask(at, &Request::TokenNew(order))? {
        // It is shown this once.
        Answer::Lines(lines) => say::lines(&lines).context("the token was made and could not be shown; make another one"),
        wrong => crate::apply::tell(wrong),
    }
}

pub(crate) fn list(json: bool, at: &At) -> anyhow::Result<()> {
    crate::apply::tell(ask(at, &Request::TokenList { json })?)
}

pub(crate) fn revoke(id: &str, at: &At) -> anyhow::Result<()> {
    // Whoever has the whole token at hand may give that; its secret goes no further.
    let id = id.strip_prefix("pescaia_").and_then(|rest| rest.split('_').next()).unwrap_or(id);
    crate::apply::tell(ask(at, &Request::TokenRevoke { id: id.to_owned() })?)
}

pub(crate) fn make(store: &Store, order: &NewOrder) -> Answer {
    let NewOrder { owner, scopes, expires } = order;
    let known = store.registry();
    if known.owner(owner).is_none() {
        let names: Vec<&str> = known.owners().map(|owner| owner.id.as_str()).collect();
        let cure = store::nearest(owner, names.iter().copied())
            .map_or_else(|| format!("there are: {}", names.join(", ")), |near| format!("did you mean \"{near}\"?"));
        return Answer::Wrong(vec![format!("there is no owner \"{owner}\"; {cure}")]);
    }
    let words: Vec<&str> = Scope::ALL.iter().map(|scope| scope.word()).collect();
    if let Some(unknown) = scopes.iter().find(|word| Scope::from_word(word).is_none()) {
        return Answer::Wrong(vec![format!("there is no scope \"{unknown}\"; it may be one of {}", words.join(", "))]);
    }
    let scopes: Vec<Scope> = scopes.iter().filter_map(|word| Scope::from_word(word)).collect();
    let expires = match expires.as_deref().map(|text| expiry(text, store.clock().now())).transpose() {
        Ok(expires) => expires,
        Err(wrong) => return Answer::Wrong(vec![wrong]),
    };
    match store.new_token_until(&owner.as_str().into(), &scopes, expires) {
        Ok(token) => Answer::Lines(vec![token.text]),
        Err(cause) => Answer::Wrong(vec![cause.to_string()]),
    }
}

/// The instant that `90d`, `12h` from now or a time of its own means.
fn expiry(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let of_unit = |unit: char, seconds: i64| text.strip_suffix(unit)?.parse::<u32>().ok().map(|count| i64::from(count) * seconds);
    let at = match of_unit('d', 86_400).or_else(|| of_unit('h', 3600)) {
        Some(seconds) => now.plus_seconds(seconds),
        None => Timestamp::parse(text)
            .map_err(|_| format!("--expires {text} is neither a span nor a time; write e.g. 90d, 12h or 2027-01-31T00:00:00Z"))?,
    };
    if at > now { Ok(at) } else { Err(format!("--expires {text} is {at}, which is over; it is {now} now")) }
}

#[derive(Serialize)]
struct LineOut {
    id: String,
    owner: String,
    scopes: Vec<&'static str>,
    /// holds, expired or revoked
    state: &'static str,
    made: Option<String>,
    expires: Option<String>,
    last_used: Option<String>,
    revoked: Option<String>,
}

impl LineOut {
    fn of(line: TokenLine, now: Timestamp) -> Self {
        let text = |at: Option<Timestamp>| at.map(|at| Timestamp::from_seconds(at.seconds()).to_string());
        let state = match (line.revoked, line.expires) {
            (Some(_), _) => "revoked",
            (None, Some(expires)) if expires <= now => "expired",
            _ => "holds",
        };
        Self {
            id: line.id,
            owner: line.owner.to_string(),
            scopes: line.scopes.iter().map(|scope| scope.word()).collect(),
            state,
            made: text(line.made),
            expires: text(line.expires),
            last_used: text(line.last_used),
            revoked: text(line.revoked),
        }
    }
}

pub(crate) fn lines(store: &Store, json: bool) -> Answer {
    let now = store.clock().now();
    let tokens: Vec<LineOut> = store.tokens().into_iter().map(|line| LineOut::of(line, now)).collect();
    if json {
        return Answer::Lines(tokens.iter().map(|token| serde_json::to_string(token).unwrap_or_default()).collect());
    }
    if tokens.is_empty() {
        return Answer::Lines(vec!["no tokens; make one with: pescaia token new --owner … --scope …".into()]);
    }
    let row = |cells: [&str; 6]| {
        let [id, owner, scopes, state, expires, used] = cells;
        format!("{id:<10}{owner:<20} {scopes:<26}{state:<9}{expires:<22}{used}").trim_end().to_owned()
    };
    let shown = |token: &LineOut| {
        let ends = token.revoked.as_deref().or(token.expires.as_deref()).unwrap_or("never");
        let used = token.last_used.as_deref().unwrap_or("never");
        row([&token.id, &token.owner, &token.scopes.join(","), token.state, ends, used])
    };
    let head = row(["id", "owner", "scopes", "state", "ends", "last used"]);
    Answer::Lines(std::iter::once(head).chain(tokens.iter().map(shown)).collect())
}

pub(crate) fn take_back(store: &Store, id: &str) -> Answer {
    match store.revoke_token(id) {
        Ok(true) => {
            tracing::info!(event = "token_revoked", audit = true, id, "a token was revoked");
            Answer::Lines(vec![format!("{id} is revoked; no door takes it any more")])
        }
        Ok(false) => Answer::Wrong(vec![format!("there is no token \"{id}\" that holds; pescaia token list shows every token by its id")]),
        Err(cause) => Answer::Wrong(vec![cause.to_string()]),
    }
}

pub(crate) fn hash_password() -> anyhow::Result<()> {
    let mut password = String::new();
    std::io::stdin().read_line(&mut password)?;
    let hash = store::hash_password(password.trim_end_matches(['\r', '\n'])).map_err(anyhow::Error::msg)?;
    say::line(&hash);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_expires_after_a_span_or_at_a_time_but_not_in_the_past() {
        let now = Timestamp::from_seconds(1_795_000_000);
        let seconds = |text: &str| expiry(text, now).map(|at| at.seconds() - now.seconds());
        assert_eq!(seconds("90d"), Ok(90 * 86_400));
        assert_eq!(seconds("12h"), Ok(12 * 3600));
        assert!(seconds("2099-01-31T00:00:00Z").is_ok());
        for (wrong, cure) in [("soon", "90d"), ("0d", "over"), ("-3d", "90d"), ("2020-01-01T00:00:00Z", "over"), ("", "90d")] {
            assert!(seconds(wrong).is_err_and(|said| said.contains(cure)), "{wrong}");
        }
    }
}
