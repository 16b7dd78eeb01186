//! Which language a reader wants: what the address says, else what the browser prefers, else Italian.

use axum::http::{HeaderMap, header};
use model::Lang;

pub(crate) fn choose(asked: Option<&str>, headers: &HeaderMap) -> Lang {
    if let Some(lang) = asked.and_then(Lang::from_code) {
        return lang;
    }
    let preferred = headers.get(header::ACCEPT_LANGUAGE).and_then(|value| value.to_str().ok()).unwrap_or("");
    let known = preferred.split(',').filter_map(|part| Lang::from_code(part.split([';', '-']).next()?.trim()));
    known.into_iter().next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(asked: Option<&str>, preferred: &str, expected: Lang) {
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_LANGUAGE, preferred.parse().expect("a header"));
        assert_eq!(choose(asked, &headers), expected, "{asked:?} {preferred}");
    }

    #[test]
    fn the_address_decides_then_the_browser_then_italian() {
        check(Some("en"), "it", Lang::En);
        check(None, "en-GB,it;q=0.8", Lang::En);
        check(None, "de-DE,en;q=0.5", Lang::En);
        check(Some("xx"), "de", Lang::It);
        check(None, "", Lang::It);
    }
}
