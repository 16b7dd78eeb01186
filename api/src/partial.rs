//! Files that a client has already, or wants a part of (RFC 9110, sections 13 and 14).

use crate::problem::Problem;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use model::Timestamp;
use std::ops::Range;

/// A file as it is answered with: its length in bytes, its ETag with its quotes, when it last changed.
pub(crate) struct File {
    pub(crate) length: usize,
    pub(crate) etag: String,
    pub(crate) changed_at: Timestamp,
}

impl File {
    /// 304 when the client's copy is still right, 206 for the part that it asks for, 416 when there is no such part, else all of it;
    /// `body` answers with the bytes of a part.
    ///
    /// # Errors
    /// Those of `body`.
    pub(crate) fn answer(
        self,
        headers: &HeaderMap,
        body: impl FnOnce(Range<usize>) -> Result<Response, Problem>,
    ) -> Result<Response, Problem> {
        if self.is_known(headers) {
            return Ok(self.labelled(StatusCode::NOT_MODIFIED.into_response()));
        }
        let asked = text(headers, &header::RANGE).filter(|_| self.is_same(headers));
        let whole = self.length;
        let (status, range) = match asked.and_then(|range| part(range, whole)) {
            None => (StatusCode::OK, 0..whole),
            Some(Ok((from, to))) => (StatusCode::PARTIAL_CONTENT, from..to),
            Some(Err(())) => {
                let answer = StatusCode::RANGE_NOT_SATISFIABLE.into_response();
                return Ok(self.labelled(with(answer, header::CONTENT_RANGE, &format!("bytes */{whole}"))));
            }
        };
        let mut answer = with(body(range.clone())?, header::CONTENT_LENGTH, &range.len().to_string());
        if status == StatusCode::PARTIAL_CONTENT {
            *answer.status_mut() = status;
            let last = range.end.saturating_sub(1);
            answer = with(answer, header::CONTENT_RANGE, &format!("bytes {}-{last}/{whole}", range.start));
        }
        Ok(self.labelled(answer))
    }

    fn labelled(&self, answer: Response) -> Response {
        let answer = with(answer, header::ETAG, &self.etag);
        let answer = with(answer, header::LAST_MODIFIED, &self.changed_at.http_date());
        with(answer, header::ACCEPT_RANGES, "bytes")
    }

    /// The ETag decides; a date only where there is none.
    fn is_known(&self, headers: &HeaderMap) -> bool {
        if let Some(known) = text(headers, &header::IF_NONE_MATCH) {
            return known.split(',').any(|known| known.trim() == "*" || known.trim().trim_start_matches("W/") == self.etag);
        }
        let since = text(headers, &header::IF_MODIFIED_SINCE).and_then(http_date);
        since.is_some_and(|since| self.changed_at.seconds() <= since.seconds())
    }

    /// Whether a part goes with what the client has of the file.
    fn is_same(&self, headers: &HeaderMap) -> bool {
        let Some(known) = text(headers, &header::IF_RANGE) else { return true };
        known == self.etag || http_date(known).is_some_and(|at| at.seconds() == self.changed_at.seconds())
    }
}

/// Back from [`Timestamp::http_date`], to the second.
fn http_date(text: &str) -> Option<Timestamp> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, date) = text.trim().split_once(", ")?;
    let [day, month, year, clock, "GMT"] = <[&str; 5]>::try_from(date.split(' ').collect::<Vec<_>>()).ok()? else { return None };
    let month = MONTHS.iter().position(|known| *known == month)? + 1;
    Timestamp::parse(&format!("{year}-{month:02}-{day}T{clock}Z")).ok()
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn with(mut answer: Response, name: HeaderName, value: &str) -> Response {
    if let Ok(value) = HeaderValue::from_str(value) {
        answer.headers_mut().insert(name, value);
    }
    answer
}

/// `[from, to)` of the one range that is asked for; `Err` when it lies beyond the end, `None` when it is not understood, or is several.
fn part(range: &str, whole: usize) -> Option<Result<(usize, usize), ()>> {
    let (first, last) = range.strip_prefix("bytes=")?.trim().split_once('-')?;
    let number = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse::<usize>().ok()).flatten();
    let (from, to) = match (first, last) {
        ("", last) => (whole.saturating_sub(number(last).filter(|count| *count > 0)?), whole),
        (first, "") => (number(first)?, whole),
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return None;
            }
            (first, last.saturating_add(1).min(whole))
        }
    };
    Some(if from < to { Ok((from, to)) } else { Err(()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(asked: &[(HeaderName, &str)], status: u16, range: Option<&str>) {
        let file = File { length: 100, etag: "\"abc\"".into(), changed_at: Timestamp::parse("2026-11-23T06:20:00.5Z").expect("a time") };
        let headers = asked.iter().map(|(name, value)| (name.clone(), HeaderValue::from_str(value).expect("a value"))).collect();
        let answer = file.answer(&headers, |_| Ok(().into_response())).expect("an answer");
        let found = answer.headers().get(header::CONTENT_RANGE).map(|value| value.to_str().expect("text").to_owned());
        assert_eq!((answer.status().as_u16(), found.as_deref()), (status, range), "{asked:?}");
        assert_eq!(answer.headers()[header::ETAG], "\"abc\"");
    }

    #[test]
    fn a_copy_that_is_right_is_not_sent_again_and_a_part_is_the_part_asked_for() {
        use header::{IF_MODIFIED_SINCE as SINCE, IF_NONE_MATCH as NONE, IF_RANGE, RANGE};
        check(&[], 200, None);
        check(&[(NONE, "\"x\", W/\"abc\"")], 304, None);
        check(&[(NONE, "\"x\""), (SINCE, "Mon, 23 Nov 2026 06:20:00 GMT")], 200, None);
        check(&[(SINCE, "Mon, 23 Nov 2026 06:20:00 GMT")], 304, None);
        check(&[(SINCE, "Mon, 23 Nov 2026 06:19:59 GMT")], 200, None);
        check(&[(SINCE, "yesterday")], 200, None);
        check(&[(RANGE, "bytes=10-19")], 206, Some("bytes 10-19/100"));
        check(&[(RANGE, "bytes=90-")], 206, Some("bytes 90-99/100"));
        check(&[(RANGE, "bytes=-7")], 206, Some("bytes 93-99/100"));
        check(&[(RANGE, "bytes=90-900")], 206, Some("bytes 90-99/100"));
        check(&[(RANGE, "bytes=100-")], 416, Some("bytes */100"));
        check(&[(RANGE, "bytes=1-2,5-6")], 200, None);
        check(&[(RANGE, "lines=1-2")], 200, None);
        check(&[(RANGE, "bytes=10-19"), (IF_RANGE, "\"abc\"")], 206, Some("bytes 10-19/100"));
        check(&[(RANGE, "bytes=10-19"), (IF_RANGE, "\"old\"")], 200, None);
    }
}
