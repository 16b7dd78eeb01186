//! What stands around a message in text and belongs to whoever sent it, not to what it says.

/// Without a byte order mark before it, and without blanks, line ends and the zeros that end the texts of C behind it.
pub(super) fn trimmed(bytes: &[u8]) -> &[u8] {
    let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0);
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let end = bytes.iter().rposition(|byte| !is_blank(byte)).map_or(0, |last| last + 1);
    let bytes = bytes.get(..end).unwrap_or_default();
    let start = bytes.iter().position(|byte| !byte.is_ascii_whitespace()).unwrap_or(0);
    bytes.get(start..).unwrap_or_default()
}

/// Why bytes are no UTF-8, where that can be told.
pub(super) fn not_utf_8(bytes: &[u8]) -> &'static str {
    match bytes {
        [0xff, 0xfe, ..] | [0xfe, 0xff, ..] => "it is UTF-16; send UTF-8",
        [0x1f, 0x8b, ..] => "it is compressed with gzip; send it plain, or over HTTP with Content-Encoding: gzip",
        _ => "it is no UTF-8; send UTF-8",
    }
}
