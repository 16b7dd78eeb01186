//! Why a certificate and a key can't be used together: the true cause, with the file and the cure.

use super::super::certificate::is_signed_by;
use std::path::Path;
use std::sync::Arc;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::{CertifiedKey, SigningKey};
use tokio_rustls::rustls::{Error, InconsistentKeys};

/// The key in `pem`, read from `path`.
///
/// # Errors
/// That there is none, or that it is encrypted.
pub(super) fn key(pem: &[u8], path: &Path) -> Result<PrivateKeyDer<'static>, String> {
    let text = String::from_utf8_lossy(pem);
    let name = path.display();
    if text.contains("-----BEGIN ENCRYPTED PRIVATE KEY-----") || text.contains("Proc-Type: 4,ENCRYPTED") {
        return Err(format!(
            "{name} holds a key that is encrypted by a password, which nobody can type at a start; write it without: openssl pkey -in {name} -out key-plain.pem, readable by the service's user only"
        ));
    }
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| format!("{name} holds no private key; it must begin with -----BEGIN PRIVATE KEY-----"))
}

/// That `key` is of the first certificate of `chain`, and each of the others signed the one before it.
///
/// # Errors
/// What is wrong with them.
pub(super) fn check(chain: &[CertificateDer<'static>], key: &PrivateKeyDer<'static>, files: (&Path, &Path)) -> Result<(), String> {
    let (certificate, key_file) = (files.0.display(), files.1.display());
    let signing = ring::default_provider().key_provider.load_private_key(key.clone_key()).map_err(|_| {
        format!("{key_file} holds a key of a kind that can't be used; make one of RSA with 2048 bits or more, of ECDSA with P-256 or P-384, or an Ed25519 one")
    })?;
    match chain.iter().position(|one| is_of(one, &signing)) {
        Some(0) => {}
        Some(place) => {
            return Err(format!(
                "the certificates in {certificate} stand in the wrong order: the door's own is the {}., it must be the first, then come those up to its CA, each the signer of the one before it",
                place + 1
            ));
        }
        None => {
            return Err(format!(
                "{certificate} and {key_file} don't go together: the key is of another certificate; put the key there that the certificate was made for"
            ));
        }
    }
    if let Some(place) = chain.windows(2).position(|pair| matches!(pair, [one, next] if !is_signed_by(one, next))) {
        return Err(format!(
            "the certificates in {certificate} stand in the wrong order: the {}. was not signed by the one behind it; the door's own comes first, then those up to its CA, each the signer of the one before it",
            place + 1
        ));
    }
    Ok(())
}

/// Whether the key is this certificate's; true also where that can't be told.
fn is_of(certificate: &CertificateDer<'static>, key: &Arc<dyn SigningKey>) -> bool {
    let matched = CertifiedKey::new(vec![certificate.clone()], key.clone()).keys_match();
    matches!(matched, Ok(()) | Err(Error::InconsistentKeys(InconsistentKeys::Unknown)))
}
