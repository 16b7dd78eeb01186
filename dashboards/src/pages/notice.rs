//! What a reader sees in place of a page: that there is none, that its address is wrong, that it can't be made now.

use super::Frame;
use askama::Template;

#[derive(Template)]
#[template(path = "notice.html")]
struct Notice<'a> {
    frame: &'a Frame<'a>,
    title: &'a str,
    text: &'a str,
}

pub(crate) fn render(frame: &Frame<'_>, title: &str, text: &str) -> String {
    Notice { frame, title, text }.render().unwrap_or_default()
}
