//! The door's TLS: 1.2 and 1.3, its certificate read anew whenever its files change, clients' certificates if a CA is given.

mod chain;
mod days;

use super::certificate::{Presented, Validity};
use super::ended::Ended;
use crate::meters::Meters;
use crate::source::guard::Stranger;
use crate::source::{Stop, stopped};
use days::Days;
use model::Timestamp;
use sha2::{Digest, Sha256};
use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Duration;
use store::{Part, Store};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;
use tokio_rustls::LazyConfigAcceptor;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::CertificateDer;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::server::{Acceptor, NoServerSessionStorage, WebPkiClientVerifier};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{AlertDescription, Error as Tls, RootCertStore, ServerConfig};
use tokio_rustls::server::TlsStream;

/// Where the TLS door listens and with what it shows who it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TlsSettings {
    pub listen: SocketAddr,
    /// PEM: the door's own certificate first, then those up to its CA.
    pub certificate: PathBuf,
    /// PEM: the key of the first certificate.
    pub key: PathBuf,
    /// PEM: who signs the certificates of devices. Without it none is asked for.
    pub client_ca: Option<PathBuf>,
    /// How often the files are looked at.
    pub look_every: Duration,
}

/// Why the TLS door can't be opened: a sentence with the file or address, and the cure.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    #[error("MQTT over TLS can't listen on {listen}; stop what holds it, or choose another address under [mqtt] tls")]
    Address { listen: SocketAddr, source: io::Error },
    #[error("{0}")]
    Files(String),
}

/// The listening TLS side of a door.
pub(super) struct TlsDoor {
    pub(super) listener: TcpListener,
    settings: TlsSettings,
    meters: Meters,
    store: Store,
    part: Part,
    current: RwLock<Arc<ServerConfig>>,
    validity: Mutex<Validity>,
    /// What was last said of its days.
    said: Mutex<Days>,
    /// When it was last said that a client refuses the certificate.
    refused: Mutex<Option<Instant>>,
    first: Digests,
}

/// That clients refuse the door's certificate is said this often.
const SAY_REFUSED: Duration = Duration::from_secs(600);

/// Of what was last tried, so that each state of the files is tried, and complained about, once.
type Digests = [u8; 32];

impl TlsDoor {
    pub(super) async fn open(settings: TlsSettings, meters: Meters, store: Store) -> Result<Self, TlsError> {
        let files = Files::read_aside(&settings).await.map_err(TlsError::Files)?;
        let (config, validity) = files.config().map_err(TlsError::Files)?;
        meters.certificate_expires("mqtt", seconds(validity.until));
        let listen = settings.listen;
        let listener = TcpListener::bind(listen).await.map_err(|source| TlsError::Address { listen, source })?;
        let first = files.digests();
        let part = store.part("certificate", "mqtt", None);
        let (current, validity) = (RwLock::new(Arc::new(config)), Mutex::new(validity));
        let (said, refused) = (Mutex::new(Days::Enough), Mutex::default());
        let door = Self { listener, settings, meters, store, part, current, validity, said, refused, first };
        door.tell_days();
        Ok(door)
    }

    /// Says how long the certificate still holds, in `/readyz`, and in the log when it gets worse.
    fn tell_days(&self) {
        // A clock that can't be right knows nothing of days.
        if self.store.clock_trust().is_err() {
            return;
        }
        let validity = *self.validity.lock().unwrap_or_else(PoisonError::into_inner);
        let (days, detail) = days::judge(validity, self.store.clock().now());
        if days == Days::Enough {
            self.part.ok(detail.as_str());
        } else {
            self.part.degraded(detail.as_str());
        }
        let before = std::mem::replace(&mut *self.said.lock().unwrap_or_else(PoisonError::into_inner), days);
        if days > before {
            let file = self.settings.certificate.display();
            match days {
                Days::Enough | Days::FewerThanMonth => {
                    tracing::warn!(event = "certificate_ends", %file, detail, "the certificate of MQTT over TLS ends soon");
                }
                _ => {
                    tracing::error!(event = "certificate_ends", %file, detail, "the certificate of MQTT over TLS keeps devices away, or will")
                }
            }
        }
    }

    /// Says why a handshake failed, where a person can mend it; the same for many devices is said once in a while.
    fn tell_refused(&self, peer: SocketAddr, cause: &Tls) {
        let why = match cause {
            Tls::AlertReceived(alert) => refusal(*alert),
            Tls::PeerIncompatible(_) => Some("it and the door have no version or cipher of TLS in common; the door speaks 1.2 and 1.3"),
            _ => None,
        };
        let Some(why) = why else { return };
        let mut refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        if refused.is_none_or(|before| before.elapsed() >= SAY_REFUSED) {
            *refused = Some(Instant::now());
            tracing::warn!(event = "mqtt_door_refused", %peer, why, "an MQTT client breaks off the handshake; others that do are not told for ten minutes");
        }
    }

    /// What the next connection is shown.
    pub(super) fn config(&self) -> Arc<ServerConfig> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Takes new files when they come; those that can't be used change nothing. Ends with `stop`.
    pub(super) async fn renew(self: Arc<Self>, mut stop: Stop) {
        let mut tried = self.first;
        loop {
            tokio::select! {
                () = tokio::time::sleep(self.settings.look_every) => {}
                () = stopped(&mut stop) => return,
            }
            self.tell_days();
            let Ok(files) = Files::read_aside(&self.settings).await else { continue };
            if files.digests() == tried {
                continue;
            }
            tried = files.digests();
            match files.config() {
                Ok((config, validity)) => {
                    *self.current.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
                    *self.validity.lock().unwrap_or_else(PoisonError::into_inner) = validity;
                    *self.said.lock().unwrap_or_else(PoisonError::into_inner) = Days::Enough;
                    let expires = validity.until;
                    self.meters.certificate_expires("mqtt", seconds(expires));
                    self.tell_days();
                    tracing::info!(event = "certificate_renewed", %expires, "the MQTT door shows its new certificate from now on");
                }
                Err(cause) => {
                    tracing::error!(event = "certificate_broken", %cause, "the MQTT door's new TLS files can't be used; it goes on with those it has");
                }
            }
        }
    }
}

/// Until `until`, or it is cut; returns the certificate that the client showed, if any.
pub(super) async fn shake_hands(
    door: &TlsDoor,
    stream: TcpStream,
    peer: SocketAddr,
    until: Instant,
    stranger: &Stranger,
) -> Result<(TlsStream<TcpStream>, Option<Presented>), Ended> {
    let shaking = async {
        let hello = LazyConfigAcceptor::new(Acceptor::default(), stream).await?;
        stranger.has_greeted();
        hello.into_stream(door.config()).await
    };
    let shaken = tokio::time::timeout_at(until, shaking).await.map_err(|_| Ended::Slow)?;
    stranger.has_to_greet_again();
    let stream = shaken.map_err(|cause| {
        let of_tls = cause.get_ref().and_then(|cause| cause.downcast_ref::<Tls>());
        match of_tls {
            Some(Tls::InvalidCertificate(why)) => {
                tracing::warn!(event = "mqtt_refused", audit = true, %peer, ?why, "an MQTT client showed a certificate that can't be believed");
            }
            Some(cause) => door.tell_refused(peer, cause),
            None => {}
        }
        Ended::Handshake
    })?;
    let shown = stream.get_ref().1.peer_certificates().and_then(|chain| chain.first()).map(|der| Presented::read(der));
    Ok((stream, shown))
}

impl TlsSettings {
    /// Reads the files as the door would; returns when its certificate ceases to hold.
    ///
    /// # Errors
    /// Which file can't be used, and the cure.
    pub fn check(&self) -> Result<Timestamp, TlsError> {
        Files::read(self).config().map(|(_, validity)| validity.until).map_err(TlsError::Files)
    }
}

/// What stands in the files now, or why it can't be read.
struct Files {
    certificate: Held,
    key: Held,
    client_ca: Option<Held>,
}

struct Held {
    path: PathBuf,
    bytes: Result<Vec<u8>, String>,
}

impl Held {
    fn read(path: &Path) -> Self {
        Self { path: path.to_owned(), bytes: std::fs::read(path).map_err(|cause| cause.to_string()) }
    }
    fn bytes(&self) -> Result<&[u8], String> {
        let cannot =
            |cause: &String| format!("{} can't be read: {cause}; check the path under [mqtt] tls and its rights", self.path.display());
        self.bytes.as_deref().map_err(cannot)
    }
    fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, String> {
        let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(self.bytes()?).collect();
        let found = found.map_err(|cause| format!("{} is no PEM file: {cause}; write it anew", self.path.display()))?;
        if found.is_empty() {
            return Err(format!("{} holds no certificate; it must begin with -----BEGIN CERTIFICATE-----", self.path.display()));
        }
        Ok(found)
    }
}

impl Files {
    fn read(settings: &TlsSettings) -> Self {
        let client_ca = settings.client_ca.as_deref().map(Held::read);
        Self { certificate: Held::read(&settings.certificate), key: Held::read(&settings.key), client_ca }
    }

    /// As [`Files::read`], where no thread may wait for a disk.
    async fn read_aside(settings: &TlsSettings) -> Result<Self, String> {
        let settings = settings.clone();
        tokio::task::spawn_blocking(move || Self::read(&settings)).await.map_err(|cause| cause.to_string())
    }

    fn digests(&self) -> Digests {
        let mut digest = Sha256::new();
        for held in [Some(&self.certificate), Some(&self.key), self.client_ca.as_ref()].into_iter().flatten() {
            match &held.bytes {
                Ok(bytes) => digest.update(Sha256::digest(bytes)),
                Err(cause) => digest.update(cause),
            }
        }
        digest.finalize().into()
    }

    /// With how long the door's certificate holds.
    fn config(&self) -> Result<(ServerConfig, Validity), String> {
        let chain = self.certificate.certificates()?;
        let key = chain::key(self.key.bytes()?, &self.key.path)?;
        chain::check(&chain, &key, (&self.certificate.path, &self.key.path))?;
        let validity = chain.first().and_then(|own| Validity::read(own));
        let validity = validity.ok_or_else(|| format!("{} holds no X.509 certificate; write it anew", self.certificate.path.display()))?;
        let provider = Arc::new(ring::default_provider());
        let builder = ServerConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(|cause| cause.to_string())?;
        let builder = match &self.client_ca {
            None => builder.with_no_client_auth(),
            Some(held) => {
                let mut roots = RootCertStore::empty();
                for certificate in held.certificates()? {
                    roots.add(certificate).map_err(|cause| format!("{}: {cause}; write the CA's certificate anew", held.path.display()))?;
                }
                // Who shows none may still have a password.
                let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).allow_unauthenticated().build();
                builder.with_client_cert_verifier(verifier.map_err(|cause| format!("{}: {cause}", held.path.display()))?)
            }
        };
        let mut config = builder.with_single_cert(chain, key).map_err(|cause| {
            let (certificate, key) = (self.certificate.path.display(), self.key.path.display());
            format!("{certificate} and {key} don't go together: {cause}; put the key there that the certificate was made for")
        })?;
        // A resumed session would let in a certificate that has run out since.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        Ok((config, validity))
    }
}

/// What a client means that ends the handshake with this alert, where a person can mend it.
fn refusal(alert: AlertDescription) -> Option<&'static str> {
    match alert {
        AlertDescription::UnknownCA => Some(
            "it does not know the CA that signed the door's certificate; give the device that CA's certificate, or put the missing certificates up to the CA behind the door's own",
        ),
        AlertDescription::CertificateExpired => {
            Some("it takes the door's certificate for expired; look at the certificate, then at the device's clock")
        }
        AlertDescription::BadCertificate | AlertDescription::CertificateUnknown | AlertDescription::UnsupportedCertificate => Some(
            "it refuses the door's certificate; look whether the name that it calls the door by stands in the certificate, and whether it knows the CA",
        ),
        AlertDescription::ProtocolVersion | AlertDescription::HandshakeFailure | AlertDescription::InsufficientSecurity => {
            Some("it and the door have no version or cipher of TLS in common; the door speaks 1.2 and 1.3")
        }
        _ => None,
    }
}

/// Since 1970.
fn seconds(at: Timestamp) -> i64 {
    at.micros().div_euclid(1_000_000)
}
