//! The certificate whose hash stands in a peer's addresses.

use std::fmt;

use dimpl::DtlsCertificate;
use libp2p_webrtc_utils::Fingerprint;
use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256};
use ring::digest;

/// The tags of the three blocks of a PEM file, as `libp2p-webrtc` has written and reads them.
const EXPIRES: &str = "EXPIRES";
const PRIVATE_KEY: &str = "PRIVATE_KEY";
const CERTIFICATE: &str = "CERTIFICATE";

/// A self-signed certificate with its private key, which is on the curve P-256.
#[derive(Clone, PartialEq, Eq)]
pub struct Certificate {
    /// X.509, in DER.
    certificate: Vec<u8>,
    /// PKCS#8, in DER.
    private_key: Vec<u8>,
    /// Until when it is valid, in seconds since 1970. Nobody asks.
    expires: [u8; 8],
}

/// Why there is no certificate.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be made.
    #[error("cannot generate a certificate")]
    Generate(#[from] rcgen::Error),
    /// It could not be read.
    #[error("not a certificate with its private key: {0}")]
    Pem(&'static str),
}

impl Certificate {
    /// A new one.
    ///
    /// # Errors
    /// [`Error`] without randomness.
    pub fn generate() -> Result<Self, Error> {
        let key = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let parameters = CertificateParams::new(Vec::new())?;
        let expires = parameters.not_after.unix_timestamp().to_le_bytes();
        let certificate = parameters.self_signed(&key)?.der().to_vec();
        Ok(Self { certificate, private_key: key.serialize_der(), expires })
    }

    /// Reads what [`Certificate::to_pem`] or `libp2p-webrtc` has written.
    ///
    /// # Errors
    /// [`Error`] if it is something else.
    pub fn from_pem(text: &str) -> Result<Self, Error> {
        let blocks = pem::parse_many(text).map_err(|_| Error::Pem("it is not PEM"))?;
        let [expires, private_key, certificate] = &blocks[..] else {
            return Err(Error::Pem("it is not three blocks"));
        };
        if [expires, private_key, certificate].map(pem::Pem::tag) != [EXPIRES, PRIVATE_KEY, CERTIFICATE] {
            return Err(Error::Pem("its blocks are others"));
        }
        KeyPair::try_from(private_key.contents())
            .ok()
            .filter(|key| key.is_compatible(&PKCS_ECDSA_P256_SHA256))
            .ok_or(Error::Pem("its private key is none of P-256"))?;
        Ok(Self {
            certificate: certificate.contents().to_vec(),
            private_key: private_key.contents().to_vec(),
            expires: expires.contents().try_into().map_err(|_| Error::Pem("its first block is no time"))?,
        })
    }

    /// The certificate and its private key.
    pub fn to_pem(&self) -> String {
        let expires = pem::Pem::new(EXPIRES, self.expires);
        let rest = [pem::Pem::new(PRIVATE_KEY, &*self.private_key), pem::Pem::new(CERTIFICATE, &*self.certificate)];
        format!("{}\n{}", pem::encode(&expires), pem::encode_many(&rest))
    }

    /// Its SHA-256.
    pub fn fingerprint(&self) -> Fingerprint {
        fingerprint(&self.certificate)
    }

    pub(crate) fn to_dtls(&self) -> DtlsCertificate {
        DtlsCertificate { certificate: self.certificate.clone(), private_key: self.private_key.clone() }
    }
}

/// The SHA-256 of a certificate in DER.
pub(crate) fn fingerprint(certificate: &[u8]) -> Fingerprint {
    let hash = digest::digest(&digest::SHA256, certificate);
    Fingerprint::raw(hash.as_ref().try_into().expect("a SHA-256 has 32 bytes"))
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("fingerprint", &self.fingerprint()).finish_non_exhaustive()
    }
}
