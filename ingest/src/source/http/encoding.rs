//! Bodies that come compressed, as `Content-Encoding` says.

use super::MOST_BYTES;
use crate::pipeline::Intake;
use axum::http::{HeaderMap, header};
use bytes::Bytes;
use flate2::read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use model::OwnerId;
use std::io::Read;

/// Bytes that are unpacked before it is asked again whether it is too much.
const AT_ONCE: usize = 1 << 20;

/// Why a body can't be unpacked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Packed {
    /// 415: how it is packed, by its own word.
    Unknown(String),
    /// 413.
    TooLarge,
    /// 400: it is not packed as it says.
    Broken(&'static str),
    /// 503: the process is about to end.
    Closing,
}

impl Packed {
    pub(super) fn detail(&self) -> String {
        match self {
            Self::Unknown(word) => {
                let word: String = word.chars().take(40).collect();
                format!("Content-Encoding {word:?} is not taken; send gzip, deflate, br, or none")
            }
            Self::TooLarge => "unpacked it is larger than a body may be; send the rest in another request; nothing was kept".into(),
            Self::Closing => "pescaia is closing; nothing was kept; send it again later".into(),
            Self::Broken(word) => format!("the body is no {word}, though Content-Encoding says so; nothing was kept"),
        }
    }
}

/// The ways in which a body is packed, the first of them first.
fn ways(headers: &HeaderMap) -> Vec<String> {
    let said = headers.get_all(header::CONTENT_ENCODING).iter().map(|value| value.to_str().unwrap_or("?"));
    let words = said.flat_map(|value| value.split(',')).map(|word| word.trim().to_ascii_lowercase());
    words.filter(|word| !matches!(word.as_str(), "" | "identity")).collect()
}

/// Bytes that unpacking a body may take beside its own: as many as any body may have, however short it comes.
pub(super) fn beside(headers: &HeaderMap) -> usize {
    if ways(headers).is_empty() { 0 } else { MOST_BYTES }
}

/// The body as it was before it was packed, on a thread that may take its time, in the owner's turn.
pub(super) async fn unpack(intake: &Intake, owner: &OwnerId, headers: &HeaderMap, body: Bytes) -> Result<Bytes, Packed> {
    if ways(headers).is_empty() {
        return Ok(body);
    }
    let headers = headers.clone();
    // By its length unpacked: that is what it may cost.
    intake.in_turn(owner, MOST_BYTES, move |_| unpacked(&headers, body, MOST_BYTES)).await.unwrap_or(Err(Packed::Closing))
}

/// The body as it was before it was packed, of at most `most` bytes: what is more is found out without keeping it.
fn unpacked(headers: &HeaderMap, body: Bytes, most: usize) -> Result<Bytes, Packed> {
    match ways(headers).iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [] => Ok(body),
        ["gzip" | "x-gzip"] => read(MultiGzDecoder::new(body.as_ref()), most, "gzip"),
        // The standard means zlib's; some send the bare stream.
        ["deflate"] => match read(ZlibDecoder::new(body.as_ref()), most, "deflate") {
            Err(Packed::Broken(_)) => read(DeflateDecoder::new(body.as_ref()), most, "deflate"),
            unpacked => unpacked,
        },
        ["br"] => read(brotli_decompressor::Decompressor::new(body.as_ref(), 4096), most, "br"),
        several => Err(Packed::Unknown(several.join(", "))),
    }
}

fn read(mut unpacking: impl Read, most: usize, word: &'static str) -> Result<Bytes, Packed> {
    let mut bytes = Vec::new();
    loop {
        // As much again each time would be half as much too much at the end.
        bytes.reserve_exact(AT_ONCE.min(most + 1));
        let count = unpacking.by_ref().take(AT_ONCE as u64).read_to_end(&mut bytes).map_err(|_| Packed::Broken(word))?;
        if bytes.len() > most {
            return Err(Packed::TooLarge);
        }
        if count < AT_ONCE {
            return Ok(bytes.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;
    use flate2::Compression;
    use flate2::read::{DeflateEncoder, GzEncoder, ZlibEncoder};

    fn check(word: &'static str, body: &[u8], expected: Result<&[u8], Packed>) {
        let headers: HeaderMap = [(header::CONTENT_ENCODING, HeaderValue::from_static(word))].into_iter().collect();
        assert_eq!(unpacked(&headers, Bytes::copy_from_slice(body), 64), expected.map(Bytes::copy_from_slice), "{word}");
    }

    #[test]
    fn a_body_is_unpacked_as_it_says_or_refused_with_the_ways_that_are_taken() {
        let text = b"level=1.42";
        let packed = |mut packing: Box<dyn Read>| {
            let mut bytes = Vec::new();
            packing.read_to_end(&mut bytes).expect("packed");
            bytes
        };
        let fast = Compression::fast();
        let gzip = packed(Box::new(GzEncoder::new(&text[..], fast)));
        check("gzip", &gzip, Ok(text));
        check("x-gzip", &gzip, Ok(text));
        check("GZIP", &gzip, Ok(text));
        check("identity", text, Ok(text));
        check("deflate", &packed(Box::new(ZlibEncoder::new(&text[..], fast))), Ok(text));
        check("deflate", &packed(Box::new(DeflateEncoder::new(&text[..], fast))), Ok(text));
        // RFC 7932: a last meta-block of ten literals, as `brotli -q 0` writes it.
        check("br", b"\x8b\x04\x80level=1.42\x03", Ok(text));
        check("gzip", text, Err(Packed::Broken("gzip")));
        check("gzip", &packed(Box::new(GzEncoder::new(&[0_u8; 65][..], fast))), Err(Packed::TooLarge));
        check("zstd", text, Err(Packed::Unknown("zstd".into())));
        check("gzip, br", text, Err(Packed::Unknown("gzip, br".into())));
        assert!(Packed::Unknown("zstd".into()).detail().contains("gzip, deflate, br"));
    }
}
