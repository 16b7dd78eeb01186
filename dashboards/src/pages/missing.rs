//! What a reader sees where there is no page.

use super::Frame;
use askama::Template;

#[derive(Template)]
#[template(path = "missing.html")]
struct Missing<'a> {
    frame: &'a Frame<'a>,
}

pub(crate) fn render(frame: &Frame<'_>) -> String {
    Missing { frame }.render().unwrap_or_default()
}
