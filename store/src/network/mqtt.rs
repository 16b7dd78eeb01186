//! How a device of a network file reaches the MQTT door: who it says it is and what it proves that with.

use super::check::{Wrong, one_of};
use super::wire::MqttEntry;
use model::{Credential, Link};

/// `hash` is that of the password file, if one is named.
pub(super) fn link(entry: &MqttEntry, hash: Option<&String>, wrong: &mut Vec<Wrong>) -> Link {
    let credential = credential(entry, hash, wrong);
    let user = entry.user.clone().filter(|user| !user.is_empty());
    if user.is_none() && matches!(credential, Credential::Password(_) | Credential::Token(_)) {
        wrong.push(("mqtt", "a password or a token needs a user; write user = \"…\" beside it".into()));
    }
    let format = entry.format.clone().unwrap_or_else(|| "native".to_owned());
    if !model::PAYLOAD_FORMATS.contains(&format.as_str()) {
        one_of(&format, "payload format", "mqtt", model::PAYLOAD_FORMATS.into_iter(), wrong);
    }
    Link::Mqtt { user, credential, gateway: entry.gateway, format }
}

fn credential(entry: &MqttEntry, hash: Option<&String>, wrong: &mut Vec<Wrong>) -> Credential {
    let password = entry.password_hash.is_some() || entry.password_file.is_some();
    let given = [password, entry.token_sha256.is_some(), entry.certificate.is_some(), entry.certificate_name.is_some()];
    if given.into_iter().filter(|given| *given).count() > 1 {
        wrong.push((
            "mqtt",
            "more than one credential; keep one of password_file, password_hash, token_sha256, certificate and certificate_name".into(),
        ));
    }
    if let Some(digest) = &entry.token_sha256 {
        let cure = "as `printf %s TOKEN | sha256sum` prints it, of a token of 256 random bits";
        return Credential::Token(sha256(digest, "token_sha256", cure, wrong));
    }
    if let Some(digest) = &entry.certificate {
        let cure = "as `openssl x509 -in device.pem -noout -fingerprint -sha256` prints it";
        return Credential::Certificate(sha256(digest, "certificate", cure, wrong));
    }
    if let Some(name) = &entry.certificate_name {
        if name.is_empty() {
            wrong.push((
                "certificate_name",
                "it is empty; write the common name, or the first DNS name, of the device's certificate".into(),
            ));
        }
        return Credential::CertificateName(name.clone());
    }
    let hash = entry.password_hash.as_ref().or(hash).cloned().unwrap_or_default();
    if argon2::PasswordHash::new(&hash).is_err() {
        wrong.push(("mqtt", "no usable password: give password_file, or password_hash as \"pescaia password hash\" prints it".into()));
    }
    Credential::Password(hash)
}

/// 64 small hex digits; capitals and colons, as some tools print them, are taken too.
fn sha256(text: &str, key: &'static str, cure: &str, wrong: &mut Vec<Wrong>) -> String {
    let digits = text.replace(':', "").to_ascii_lowercase();
    if digits.len() != 64 || !digits.bytes().all(|digit| digit.is_ascii_hexdigit()) {
        wrong.push((key, format!("\"{text}\" is no SHA-256; write its 64 hex digits, {cure}")));
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(entry: &str) -> (Link, Vec<String>) {
        let entry: MqttEntry = toml::from_str(entry).expect("an entry");
        let mut wrong = Vec::new();
        (link(&entry, None, &mut wrong), wrong.into_iter().map(|(_, message)| message).collect())
    }

    #[test]
    fn each_credential_is_kept_as_what_can_be_checked() {
        let digest = "ab".repeat(32);
        let printed = ["AB"; 32].join(":");
        for (entry, user, expected) in [
            (format!("user = \"u\"\ntoken_sha256 = \"{digest}\""), Some("u"), Credential::Token(digest.clone())),
            (format!("certificate = \"{printed}\""), None, Credential::Certificate(digest.clone())),
            ("user = \"u\"\ncertificate_name = \"gauge-7\"".into(), Some("u"), Credential::CertificateName("gauge-7".into())),
        ] {
            let (link, wrong) = read(&entry);
            let user = user.map(str::to_owned);
            assert_eq!((link, wrong), (Link::Mqtt { user, credential: expected, gateway: false, format: "native".into() }, Vec::new()));
        }
    }

    #[test]
    fn each_mistake_is_named_with_its_cure() {
        let digest = "ab".repeat(32);
        for (entry, expected) in [
            ("user = \"u\"".to_owned(), "no usable password"),
            (format!("token_sha256 = \"{digest}\""), "needs a user"),
            (format!("user = \"\"\ntoken_sha256 = \"{digest}\""), "needs a user"),
            ("user = \"u\"\ntoken_sha256 = \"secret\"".into(), "\"secret\" is no SHA-256"),
            ("certificate = \"ab\"".into(), "openssl x509"),
            ("certificate_name = \"\"".into(), "it is empty"),
            (format!("certificate = \"{digest}\"\ncertificate_name = \"x\""), "more than one credential"),
        ] {
            let said = read(&entry).1;
            assert!(matches!(said.as_slice(), [one] if one.contains(expected)), "{entry}: {said:?}");
        }
    }
}
