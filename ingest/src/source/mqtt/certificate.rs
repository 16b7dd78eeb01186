//! The few things that we read in an X.509 certificate (RFC 5280): who it names and until when it holds. Whether it may be believed
//! rustls has judged before.

use model::{Credential, Device, Timestamp};
use sha2::{Digest, Sha256};
use std::sync::Arc;
use store::Registry;

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_ID: u8 = 0x06;
const OCTETS: u8 = 0x04;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;
/// The types of text that are bytes of UTF-8: UTF8String, PrintableString, IA5String.
const TEXTS: [u8; 3] = [0x0C, 0x13, 0x16];
/// The version, and the extensions, of a certificate.
const VERSION: u8 = 0xA0;
const EXTENSIONS: u8 = 0xA3;
/// A DNS name among the alternative names.
const DNS_NAME: u8 = 0x82;
/// 2.5.4.3 and 2.5.29.17.
const COMMON_NAME: &[u8] = &[0x55, 4, 3];
const ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1D, 0x11];

/// What a device showed in its handshake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Presented {
    sha256: Credential,
    /// The common name and the first DNS name, as far as there are such.
    names: Vec<Credential>,
}

impl Presented {
    pub(super) fn read(der: &[u8]) -> Self {
        let sha256 = Sha256::digest(der).iter().map(|byte| format!("{byte:02x}")).collect();
        let names = fields(der).map(|fields| {
            let names = [common_name(fields.subject), fields.extensions.and_then(first_dns_name)];
            names.into_iter().flatten().map(Credential::CertificateName).collect()
        });
        Self { sha256: Credential::Certificate(sha256), names: names.unwrap_or_default() }
    }

    /// The device that this certificate is, and by what of it. None where its names are those of two.
    pub(super) fn device(&self, registry: &Registry) -> Option<(Credential, Arc<Device>)> {
        let find = |shown: &Credential| registry.device_by_certificate(shown).map(|device| (shown.clone(), device.clone()));
        if let Some(pinned) = find(&self.sha256) {
            return Some(pinned);
        }
        let mut named = self.names.iter().filter_map(find);
        let first = named.next()?;
        named.all(|(_, other)| Arc::ptr_eq(&other, &first.1)).then_some(first)
    }
}

/// From when and until when a certificate holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Validity {
    pub(super) from: Timestamp,
    pub(super) until: Timestamp,
}

impl Validity {
    pub(super) fn read(der: &[u8]) -> Option<Self> {
        let mut validity = Der(fields(der)?.validity);
        let (from, until) = (validity.next()?, validity.next()?);
        Some(Self { from: instant(from)?, until: instant(until)? })
    }
}

/// Whether the issuer of `one` has the name of `next`; true where that can't be read.
pub(super) fn is_signed_by(one: &[u8], next: &[u8]) -> bool {
    match (fields(one), fields(next)) {
        (Some(one), Some(next)) => one.issuer == next.subject,
        _ => true,
    }
}

fn instant((tag, text): (u8, &[u8])) -> Option<Timestamp> {
    let text = std::str::from_utf8(text).ok()?.strip_suffix('Z')?;
    let (year, rest) = text.split_at_checked(if tag == UTC_TIME { 2 } else { 4 })?;
    let year = match (tag, year.parse::<u16>().ok()?) {
        (UTC_TIME, year) => year + if year < 50 { 2000 } else { 1900 },
        (GENERALIZED_TIME, year) => year,
        _ => return None,
    };
    let part = |place: usize| rest.get(place * 2..place * 2 + 2);
    let at = |year: u16| {
        Some(format!("{year:04}-{}-{}T{}:{}:{}Z", part(0)?, part(1)?, part(2)?, part(3)?, part(4)?))
            .and_then(|text| Timestamp::parse(&text).ok())
    };
    // The last second of 9999 says "never", and is later than our clock reaches.
    at(year).or_else(|| at(year.min(9998)))
}

struct Fields<'a> {
    issuer: &'a [u8],
    validity: &'a [u8],
    subject: &'a [u8],
    extensions: Option<&'a [u8]>,
}

fn fields(certificate: &[u8]) -> Option<Fields<'_>> {
    let mut signed = Der(Der(Der(certificate).expect(SEQUENCE)?).expect(SEQUENCE)?);
    if signed.0.first() == Some(&VERSION) {
        signed.next()?;
    }
    let (_serial, _algorithm, issuer) = (signed.next()?, signed.next()?, signed.expect(SEQUENCE)?);
    let (validity, subject, _key) = (signed.expect(SEQUENCE)?, signed.expect(SEQUENCE)?, signed.next()?);
    let extensions = signed.find(|(tag, _)| *tag == EXTENSIONS).and_then(|(_, list)| Der(list).expect(SEQUENCE));
    Some(Fields { issuer, validity, subject, extensions })
}

/// The common name of a subject that has one and no more.
fn common_name(subject: &[u8]) -> Option<String> {
    let parts = Der(subject).filter(|(tag, _)| *tag == SET).flat_map(|(_, set)| Der(set)).filter(|(tag, _)| *tag == SEQUENCE);
    let mut names = parts.filter_map(|(_, part)| {
        let mut part = Der(part);
        (part.expect(OBJECT_ID)? == COMMON_NAME).then(|| part.next())?
    });
    let (tag, name) = names.next().filter(|_| names.next().is_none())?;
    TEXTS.contains(&tag).then(|| std::str::from_utf8(name).ok().map(str::to_owned))?
}

fn first_dns_name(extensions: &[u8]) -> Option<String> {
    let names = Der(extensions).find_map(|(_, extension)| {
        let mut extension = Der(extension);
        let is_wanted = extension.expect(OBJECT_ID)? == ALTERNATIVE_NAME;
        is_wanted.then(|| extension.find(|(tag, _)| *tag == OCTETS))?
    })?;
    let (_, name) = Der(Der(names.1).expect(SEQUENCE)?).find(|(tag, _)| *tag == DNS_NAME)?;
    std::str::from_utf8(name).ok().map(str::to_owned)
}

/// Elements of DER, one behind the other: tag and content. Ends at the first that is not whole.
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    fn expect(&mut self, wanted: u8) -> Option<&'a [u8]> {
        self.next().filter(|(tag, _)| *tag == wanted).map(|(_, content)| content)
    }
}

impl<'a> Iterator for Der<'a> {
    type Item = (u8, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (tag, rest) = self.0.split_first()?;
        let (first, rest) = rest.split_first()?;
        let (length, rest) = if *first < 0x80 {
            (usize::from(*first), rest)
        } else {
            let (digits, rest) = rest.split_at_checked(usize::from(*first & 0x7f)).filter(|(digits, _)| digits.len() <= 4)?;
            (digits.iter().fold(0, |length, digit| length << 8 | usize::from(*digit)), rest)
        };
        let (content, rest) = rest.split_at_checked(length)?;
        self.0 = rest;
        Some((*tag, content))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{CertificateParams, DnType, KeyPair, date_time_ymd};

    fn made(change: impl FnOnce(&mut CertificateParams)) -> Vec<u8> {
        let mut params = CertificateParams::new(vec!["prova.example".into(), "second.example".into()]).expect("names");
        params.distinguished_name.push(DnType::OrganizationName, "Consorzio");
        params.distinguished_name.push(DnType::CommonName, "prova-\u{e0}");
        change(&mut params);
        params.self_signed(&KeyPair::generate().expect("a key")).expect("a certificate").der().to_vec()
    }

    #[test]
    fn a_certificate_names_its_common_name_and_its_first_dns_name() {
        let names = |names: &[&str]| names.iter().map(|name| Credential::CertificateName((*name).into())).collect::<Vec<_>>();
        assert_eq!(Presented::read(&made(|_| ())).names, names(&["prova-\u{e0}", "prova.example"]));
        assert_eq!(Presented::read(&made(|params| params.subject_alt_names.clear())).names, names(&["prova-\u{e0}"]));
        let nameless = made(|params| assert!(params.distinguished_name.remove(DnType::CommonName)));
        assert_eq!(Presented::read(&nameless).names, names(&["prova.example"]));
    }

    #[test]
    fn a_certificate_says_until_when_it_holds() {
        for (year, expected) in [(2026, "2026-12-31T00:00:00Z"), (2049, "2049-12-31T00:00:00Z"), (2050, "2050-12-31T00:00:00Z")] {
            let der = made(|params| params.not_after = date_time_ymd(year, 12, 31));
            assert_eq!(Validity::read(&der).map(|held| held.until.to_string()).as_deref(), Some(expected));
        }
        let never = made(|params| params.not_after = date_time_ymd(9999, 12, 31));
        assert!(Validity::read(&never).map(|held| held.until) > Timestamp::parse("9000-01-01T00:00:00Z").ok());
    }

    #[test]
    fn no_bytes_make_the_reader_panic() {
        let good = made(|_| ());
        for place in 0..good.len() {
            for byte in [0, 0x7f, 0x80, 0x84, 0xff] {
                let mut bad = good.clone();
                bad[place] = byte;
                let _ = (Presented::read(&bad), Validity::read(&bad));
            }
            let _ = (Presented::read(&good[..place]), Validity::read(&good[..place]));
        }
    }
}
