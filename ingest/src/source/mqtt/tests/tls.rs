//! The door over TLS: who may come in with which certificate, and certificates that change.

use super::*;
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, date_time_ymd};
use sha2::{Digest, Sha256};
use std::path::{Path, PathBuf};
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};

/// Who signs certificates.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: rcgen::Certificate,
}

/// A certificate and its key.
struct Identity {
    certificate: rcgen::Certificate,
    key: KeyPair,
}

impl Authority {
    fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).expect("params");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let key = KeyPair::generate().expect("a key");
        let certificate = params.self_signed(&key).expect("a certificate");
        Self { issuer: Issuer::new(params, key), certificate }
    }
    fn signs(&self, common_name: &str, dns_name: &str, expires: i32) -> Identity {
        let mut params = CertificateParams::new(vec![dns_name.to_owned()]).expect("a name");
        params.distinguished_name.push(DnType::CommonName, common_name);
        params.not_before = date_time_ymd(2020, 1, 1);
        params.not_after = date_time_ymd(expires, 1, 1);
        let key = KeyPair::generate().expect("a key");
        Identity { certificate: params.signed_by(&key, &self.issuer).expect("signed"), key }
    }
}

impl Identity {
    fn sha256(&self) -> String {
        Sha256::digest(self.certificate.der()).iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":")
    }
    fn write(&self, dir: &Path) {
        std::fs::write(dir.join("key.pem"), self.key.serialize_pem()).expect("written");
        std::fs::write(dir.join("cert.pem"), self.certificate.pem()).expect("written");
    }
}

/// A door with a certificate for `localhost` in a directory of its own.
struct Secured {
    world: World,
    authority: Authority,
    dir: PathBuf,
}

impl Drop for Secured {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}

impl Secured {
    async fn new(name: &str, authority: Authority, more: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("pescaia-tls-{name}-{}", std::process::id()));
        std::fs::create_dir_all(&dir).expect("a directory");
        authority.signs("door", "localhost", 2040).write(&dir);
        std::fs::write(dir.join("ca.pem"), authority.certificate.pem()).expect("written");
        let tls = TlsSettings {
            listen: "127.0.0.1:0".parse().expect("an address"),
            certificate: dir.join("cert.pem"),
            key: dir.join("key.pem"),
            client_ca: Some(dir.join("ca.pem")),
            look_every: Duration::from_millis(20),
        };
        let settings = DoorSettings { connect_timeout: Duration::from_millis(1500), ..DoorSettings::default() };
        let world = World::open(Store::in_memory(Arc::new(Fixed)).expect("a store"), settings, more, Some(tls)).await;
        Self { world, authority, dir }
    }

    fn config(&self, version: &'static SupportedProtocolVersion, shown: Option<&Identity>) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(self.authority.certificate.der().clone()).expect("a CA");
        let builder = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder.with_protocol_versions(&[version]).expect("versions").with_root_certificates(roots);
        match shown {
            None => builder.with_no_client_auth(),
            Some(shown) => {
                let key = PrivateKeyDer::try_from(shown.key.serialize_der()).expect("a key");
                builder.with_client_auth_cert(vec![shown.certificate.der().clone()], key).expect("a certificate")
            }
        }
    }

    async fn client_of(
        &self,
        version: &'static SupportedProtocolVersion,
        shown: Option<&Identity>,
    ) -> std::io::Result<Client<TlsStream<TcpStream>>> {
        let stream = TcpStream::connect(self.world.tls.expect("a TLS door")).await?;
        let connector = TlsConnector::from(Arc::new(self.config(version, shown)));
        Ok(Client { stream: connector.connect(ServerName::try_from("localhost").expect("a name"), stream).await? })
    }
    async fn client(&self, shown: Option<&Identity>) -> Client<TlsStream<TcpStream>> {
        self.client_of(&TLS13, shown).await.expect("a handshake")
    }

    /// What the door answers to a CONNECT; nothing if the handshake fails.
    async fn answer(&self, shown: Option<&Identity>, user: &str, password: &str) -> Vec<u8> {
        let mut answers = Vec::new();
        for version in [&TLS12, &TLS13] {
            let mut answer = Vec::new();
            if let Ok(mut client) = self.client_of(version, shown).await {
                client.send(&hello(user, password)).await;
                let mut byte = [0];
                while answer.len() < 4 && client.stream.read_exact(&mut byte).await.is_ok() {
                    answer.extend(byte);
                }
            }
            answers.push(answer);
        }
        assert_eq!(answers[0], answers[1], "1.2 and 1.3 are one");
        answers.swap_remove(0)
    }

    /// The door's certificate as a new client sees it.
    async fn shown(&self) -> CertificateDer<'static> {
        let client = self.client(None).await;
        client.stream.get_ref().1.peer_certificates().expect("a chain")[0].clone().into_owned()
    }
}

/// A CONNECT with what is not empty of user and password.
fn hello(user: &str, password: &str) -> Vec<u8> {
    let flags = 2 | if user.is_empty() { 0 } else { 0x80 } | if password.is_empty() { 0 } else { 0x40 };
    let mut body = [&text(b"MQTT")[..], &[4, flags, 0, 60], &text(b"c1")].concat();
    for part in [user, password].into_iter().filter(|part| !part.is_empty()) {
        body.extend(text(part.as_bytes()));
    }
    packet(0x10, &body)
}

const WELCOME: [u8; 4] = [0x20, 2, 0, 0];
const NOT_AUTHORIZED: [u8; 4] = [0x20, 2, 0, 5];

fn device(id: &str, owner: &str, mqtt: &str) -> String {
    format!("[[device]]\nid = \"{id}\"\nowner = \"{owner}\"\nmqtt = {{ {mqtt} }}\n")
}

#[tokio::test]
async fn a_password_goes_over_tls_and_so_do_messages() {
    let secured = Secured::new("password", Authority::new(), "").await;
    assert_eq!(secured.answer(None, "prova", "prova").await, WELCOME);
    assert_eq!(secured.answer(None, "prova", "wrong").await, NOT_AUTHORIZED);
    let mut client = secured.client(None).await;
    client.send(&hello("prova", "prova")).await;
    assert_eq!(client.receive(4).await, WELCOME);
    client.send(&packet(0x82, &[&[0, 4][..], &text(b"#"), &[1]].concat())).await;
    assert_eq!(client.receive(5).await, [0x90, 3, 0, 4, 0]);
    client.send(&publish(0x30, b"pescaia/v1/demo/prova/level", 0, b"142", 4)).await;
    assert_eq!(client.receive(1).await, [0x30], "its own observation comes back");
    assert_eq!(secured.world.kept().0, [1.42]);
    let mut plain = secured.world.guest().await;
    plain.send(&[0xC0, 0]).await;
    assert_eq!(plain.receive(2).await, [0xD0, 0], "the other listener speaks without TLS as before");
}

#[tokio::test]
async fn a_certificate_says_who_somebody_is() {
    let authority = Authority::new();
    let pinned = authority.signs("anything", "any.example", 2040);
    let by_name = authority.signs("gauge-7", "seven.example", 2040);
    let by_dns_name = authority.signs("", "eight.example", 2040);
    let of_two = authority.signs("gauge-7", "eight.example", 2040);
    let strange = authority.signs("unknown", "unknown.example", 2040);
    let theirs = authority.signs("theirs", "theirs.example", 2040);
    let expired = authority.signs("gauge-7", "seven.example", 2021);
    let forged = Authority::new().signs("gauge-7", "seven.example", 2040);
    let devices = [
        "[[owner]]\nid = \"altri\"\nname = \"altri\"\n".to_owned(),
        device("pinned", "demo", &format!("certificate = \"{}\"", pinned.sha256())),
        device("seven", "demo", "user = \"seven\", certificate_name = \"gauge-7\""),
        device("eight", "demo", "certificate_name = \"eight.example\""),
        device("theirs", "altri", "user = \"theirs\", certificate_name = \"theirs\""),
    ];
    let secured = Secured::new("identity", authority, &devices.concat()).await;
    for (name, shown, user, password, expected) in [
        ("pinned by its digest", Some(&pinned), "", "", &WELCOME[..]),
        ("by its common name", Some(&by_name), "", "", &WELCOME),
        ("by its DNS name", Some(&by_dns_name), "", "", &WELCOME),
        ("with its own user", Some(&by_name), "seven", "", &WELCOME),
        ("with its own user, whatever the password", Some(&by_name), "seven", "x", &WELCOME),
        ("with another device's user and password", Some(&by_name), "prova", "prova", &NOT_AUTHORIZED),
        ("with a user though it has none", Some(&pinned), "pinned", "", &NOT_AUTHORIZED),
        ("another owner's", Some(&theirs), "seven", "", &NOT_AUTHORIZED),
        ("names of two devices", Some(&of_two), "", "", &NOT_AUTHORIZED),
        ("nobody's, and no password", Some(&strange), "", "", &NOT_AUTHORIZED),
        ("nobody's, with a password", Some(&strange), "prova", "prova", &WELCOME),
        ("none, with the user of one who must show one", None, "seven", "prova", &NOT_AUTHORIZED),
        ("none at all", None, "", "", &NOT_AUTHORIZED),
        ("expired", Some(&expired), "", "", &[]),
        ("of another CA", Some(&forged), "", "", &[]),
        ("of another CA, with a good password", Some(&forged), "prova", "prova", &[]),
    ] {
        assert_eq!(secured.answer(shown, user, password).await, expected, "{name}");
    }
    let mut client = secured.client(Some(&theirs)).await;
    client.send(&hello("", "")).await;
    client.receive(4).await;
    client.send(&publish(0x32, b"pescaia/v1/altri/theirs/level", 1, b"1", 4)).await;
    assert_eq!(client.receive(4).await, [0x40, 2, 0, 1]);
    client.send(&publish(0x32, b"pescaia/v1/demo/seven/level", 2, b"1", 4)).await;
    assert_eq!(client.until_closed().await, b"", "its rights are those of its device");
    let mut again = secured.client(Some(&theirs)).await;
    again.send(&hello("", "")).await;
    assert_eq!(again.receive(4).await, [0x20, 2, 0, 3], "and it has to stay outside for a while");
}

#[tokio::test]
async fn a_certificate_taken_away_ends_its_connection() {
    let authority = Authority::new();
    let gauge = authority.signs("gauge-7", "seven.example", 2040);
    let secured = Secured::new("revoked", authority, &device("seven", "demo", "certificate_name = \"gauge-7\"")).await;
    let mut client = secured.client(Some(&gauge)).await;
    client.send(&hello("", "")).await;
    client.receive(4).await;
    fixture::apply(&secured.world.store, &device("seven", "demo", "certificate_name = \"gauge-8\""));
    client.send(&[0xC0, 0]).await;
    assert_eq!(client.until_closed().await, b"");
}

#[tokio::test]
async fn a_renewed_certificate_is_shown_and_a_broken_one_is_not() {
    let secured = Secured::new("renewal", Authority::new(), "").await;
    let expiry = "pescaia_cert_expiry_timestamp_seconds{door=\"mqtt\"}";
    assert_eq!(secured.world.metric(expiry), "2208988800", "1 January 2040");
    let first = secured.shown().await;
    let mut inside = secured.client(None).await;
    inside.send(&hello("prova", "prova")).await;
    inside.receive(4).await;
    for broken in ["", "-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n", &Authority::new().certificate.pem()] {
        std::fs::write(secured.dir.join("cert.pem"), broken).expect("written");
        tokio::time::sleep(Duration::from_millis(100)).await;
        assert_eq!(secured.shown().await, first, "{broken:?} changes nothing");
    }
    let renewed = secured.authority.signs("door", "localhost", 2041);
    renewed.write(&secured.dir);
    let until = std::time::Instant::now() + Duration::from_secs(5);
    while secured.shown().await == first {
        assert!(std::time::Instant::now() < until, "not renewed");
    }
    assert_eq!(secured.shown().await, *renewed.certificate.der());
    assert_eq!(secured.world.metric(expiry), "2240611200");
    inside.send(&[0xC0, 0]).await;
    assert_eq!(inside.receive(2).await, [0xD0, 0], "who is inside stays");
}

#[tokio::test]
async fn who_never_ends_its_handshake_is_cut_and_leaves_room() {
    let secured = Secured::new("slow", Authority::new(), "").await;
    let door = secured.world.tls.expect("a TLS door");
    let before = secured.world.metric("pescaia_mqtt_connections");
    let mut silent = Vec::new();
    for beginning in [&b""[..], &[0x16], &[0x16, 3, 1, 2, 0, 1, 0, 1, 0xFC, 3, 3], b"\x10\x0c\0\x04MQTT"] {
        let mut client = Client { stream: TcpStream::connect(door).await.expect("open") };
        client.send(beginning).await;
        silent.push(client);
    }
    for client in &mut silent {
        client.until_closed().await;
    }
    let mut half = secured.client(None).await;
    half.send(&hello("prova", "prova")[..9]).await;
    assert_eq!(half.until_closed().await, b"", "half a CONNECT is cut within the same time");
    let until = std::time::Instant::now() + Duration::from_secs(5);
    while secured.world.metric("pescaia_mqtt_connections") != before {
        assert!(std::time::Instant::now() < until, "a connection is left");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    assert_eq!(secured.answer(None, "prova", "prova").await, WELCOME);
}

#[tokio::test]
async fn old_versions_of_tls_are_told_no() {
    let secured = Secured::new("old", Authority::new(), "").await;
    for minor in [1, 2] {
        let mut body = vec![3, minor];
        body.extend([7; 32]);
        // One cipher suite, no compression, and the signature algorithms that a server asks for first.
        body.extend([0, 0, 2, 0xC0, 0x2B, 1, 0, 0, 8, 0, 13, 0, 4, 0, 2, 4, 3]);
        let mut hello = vec![0x16, 3, 1, 0, 55, 1, 0, 0, 51];
        hello.extend(body);
        let mut client = Client { stream: TcpStream::connect(secured.world.tls.expect("a TLS door")).await.expect("open") };
        client.send(&hello).await;
        let answer = client.until_closed().await;
        assert_eq!((answer[0], &answer[5..]), (0x15, &[2, 70][..]), "a fatal alert: protocol version");
    }
}

#[tokio::test]
async fn files_that_can_t_be_used_are_named_with_their_cure() {
    let dir = std::env::temp_dir().join(format!("pescaia-tls-files-{}", std::process::id()));
    std::fs::create_dir_all(&dir).expect("a directory");
    let identity = Authority::new().signs("door", "localhost", 2040);
    let open = async || {
        let tls = TlsSettings {
            listen: "127.0.0.1:0".parse().expect("an address"),
            certificate: dir.join("cert.pem"),
            key: dir.join("key.pem"),
            client_ca: None,
            look_every: Duration::from_secs(5),
        };
        let store = Store::in_memory(Arc::new(Fixed)).expect("a store");
        let door = Door::bind("127.0.0.1:0".parse().expect("an address"), store, DoorSettings::default(), Meters::default())
            .await
            .expect("a door");
        door.with_tls(tls).await.err().map(|cause| cause.to_string()).unwrap_or_default()
    };
    assert!(open().await.contains("cert.pem can't be read"));
    identity.write(&dir);
    assert_eq!(open().await, "");
    std::fs::write(dir.join("key.pem"), identity.certificate.pem()).expect("written");
    assert!(open().await.contains("key.pem holds no private key"));
    std::fs::write(dir.join("key.pem"), KeyPair::generate().expect("a key").serialize_pem()).expect("written");
    assert!(open().await.contains("don't go together: the key is of another certificate"));
    std::fs::write(dir.join("key.pem"), "-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIF\n-----END ENCRYPTED PRIVATE KEY-----\n")
        .expect("written");
    assert!(open().await.contains("encrypted by a password"));
    let authority = Authority::new();
    let identity = authority.signs("door", "localhost", 2040);
    identity.write(&dir);
    let (own, ca) = (identity.certificate.pem(), authority.certificate.pem());
    std::fs::write(dir.join("cert.pem"), format!("{ca}{own}")).expect("written");
    assert!(open().await.contains("the door's own is the 2."));
    let stranger = Authority::new().signs("other", "elsewhere", 2040).certificate.pem();
    std::fs::write(dir.join("cert.pem"), format!("{own}{stranger}{ca}")).expect("written");
    assert!(open().await.contains("the 1. was not signed by the one behind it"));
    std::fs::write(dir.join("cert.pem"), format!("{own}{ca}")).expect("written");
    assert_eq!(open().await, "");
    let _ = std::fs::remove_dir_all(&dir);
}
