//! Bytes as UTF-8: what a file is encoded in is declared, or seen from its first bytes.

use encoding_rs::{CoderResult, Decoder, Encoding, UTF_8, UTF_16BE, UTF_16LE};
use std::io::{self, Read};

/// For complaints.
pub(super) const KNOWN: &str = "write windows-1252, utf-8, utf-16le or utf-16be, or leave it out: it is recognised";

pub(super) fn named(label: &str) -> Option<&'static Encoding> {
    Encoding::for_label(label.as_bytes())
}

/// The bytes of a text in an encoding, UTF-8 when there is none.
pub(super) fn encode(encoding: Option<&'static Encoding>, text: &str) -> Vec<u8> {
    match encoding {
        Some(encoding) if encoding == UTF_16LE => text.encode_utf16().flat_map(u16::to_le_bytes).collect(),
        Some(encoding) if encoding == UTF_16BE => text.encode_utf16().flat_map(u16::to_be_bytes).collect(),
        Some(encoding) => encoding.encode(text).0.into_owned(),
        None => text.as_bytes().to_vec(),
    }
}

/// A source whose bytes are UTF-8 where its encoding is declared or shows itself; else they pass as they are.
pub(super) struct Utf8Source<R> {
    inner: R,
    decoder: Option<Decoder>,
    /// Read and not yet decoded.
    raw: Vec<u8>,
    /// Bytes of the inner source so far.
    count: u64,
    is_at_end: bool,
}

const CHUNK: usize = 1 << 16;

impl<R: Read> Utf8Source<R> {
    pub(super) fn open(mut inner: R, declared: Option<&'static Encoding>) -> io::Result<Self> {
        let mut raw = Vec::new();
        inner.by_ref().take(4).read_to_end(&mut raw)?;
        let encoding = declared.filter(|encoding| *encoding != UTF_8).or_else(|| seen(&raw));
        Ok(Self { inner, decoder: encoding.map(Encoding::new_decoder), count: raw.len() as u64, raw, is_at_end: false })
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    /// More bytes, as UTF-8 where the encoding is known; none at the end.
    pub(super) fn more(&mut self, out: &mut Vec<u8>) -> io::Result<()> {
        out.clear();
        while out.is_empty() && !self.is_at_end {
            let from = self.raw.len();
            self.raw.resize(from + CHUNK, 0);
            let got = self.inner.read(self.raw.get_mut(from..).unwrap_or_default())?;
            self.raw.truncate(from + got);
            self.count += got as u64;
            self.is_at_end = got == 0;
            match &mut self.decoder {
                None => out.append(&mut self.raw),
                Some(decoder) => decode(decoder, &mut self.raw, self.is_at_end, out),
            }
        }
        Ok(())
    }
}

fn decode(decoder: &mut Decoder, raw: &mut Vec<u8>, is_last: bool, out: &mut Vec<u8>) {
    let mut from = 0;
    loop {
        let mut piece = [0; 4096];
        let (result, read, written, _) = decoder.decode_to_utf8(raw.get(from..).unwrap_or_default(), &mut piece, is_last);
        from += read;
        out.extend_from_slice(piece.get(..written).unwrap_or_default());
        if result == CoderResult::InputEmpty {
            raw.clear();
            return;
        }
    }
}

/// UTF-16 by its byte order mark, or because every other byte of its first signs is zero.
fn seen(first: &[u8]) -> Option<&'static Encoding> {
    match first {
        [0xff, 0xfe, ..] => Some(UTF_16LE),
        [0xfe, 0xff, ..] => Some(UTF_16BE),
        [one, 0, other, 0] if *one > 0 && *other > 0 => Some(UTF_16LE),
        [0, one, 0, other] if *one > 0 && *other > 0 => Some(UTF_16BE),
        _ => None,
    }
}
