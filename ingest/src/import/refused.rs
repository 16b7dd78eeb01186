//! Rows that were not taken, as they stand in the file, each with its reason in a cell more: mended, they are imported with the same
//! pattern, and what is told of them is read past.

use super::pattern::Pattern;
use super::rows::Row;
use store::Complaint;

/// The header of the reasons.
const HEADER: &str = "refused because";
/// What a cell with a reason begins with.
const REASON: &str = "refused because: ";

/// The header row of a file of refused rows, with its line end.
pub(super) fn header_row(raw: &str, separator: char) -> String {
    let has_reasons = raw.split(separator).next_back().is_some_and(|cell| cell.trim() == HEADER);
    if has_reasons { format!("{raw}\n") } else { format!("{raw}{separator}{HEADER}\n") }
}

/// A row that was not taken, without its line end; before the first of a block the line that heads it.
pub(super) fn refused_row(row: &Row, complaints: &[Complaint], pattern: &Pattern, is_first_of_block: bool) -> String {
    let separator = pattern.separator;
    let reasons: Vec<String> = complaints.iter().map(ToString::to_string).collect();
    // A quotation mark more would close a quotation that the row leaves open.
    let plain = |sign: char| match sign {
        '"' => '\'',
        sign if sign.is_control() => ' ',
        sign => sign,
    };
    let reason: String = format!("{REASON}{}", reasons.join("; and ")).chars().map(plain).collect();
    let is_open = row.cells.is_empty();
    let reason = match reason.contains(separator) {
        true if pattern.quote && !is_open => format!("\"{reason}\""),
        true => reason.replace(separator, " "),
        false => reason,
    };
    let heading = row.heading.as_deref().filter(|_| is_first_of_block).map_or_else(String::new, |heading| format!("{heading}\n"));
    format!("{heading}{}{separator}{reason}", row.raw)
}

/// Takes the header of the reasons away.
pub(super) fn strip_header(names: &mut Vec<String>) {
    if names.last().is_some_and(|name| name == HEADER) {
        names.pop();
    }
}

/// Takes the reason away that an earlier import gave.
pub(super) fn strip_row(raw: &mut String, cells: &mut Vec<String>, separator: char) {
    while cells.last().is_some_and(|cell| cell.starts_with(REASON)) {
        cells.pop();
    }
    let starts = [format!("{separator}{REASON}"), format!("{separator}\"{REASON}")];
    if let Some(at) = starts.iter().filter_map(|start| raw.find(start)).min() {
        raw.truncate(at);
    }
}
