//! Who a relay is: the key that its peer id comes from and the WebRTC certificate whose hash stands in its addresses.
//!
//! Both live in one file, written in one step. So there is no moment at which a relay has one without the other, and a file
//! that lost either is known to be damaged, not young.

use std::path::{Path, PathBuf};

use data_encoding::BASE64;
use ggen_shared::record::ContentId;
use libp2p::identity::Keypair;
use webrtc_direct_native::{Certificate, CertificateError};

use crate::files::{self, Existing, Private, read_private, write_private_atomically};

/// The file's name in the data directory.
const FILE: &str = "identity";
const TITLE: &str = "ggen relay identity ";
const VERSION: &str = "1";

/// A relay's key and certificate: the same at every start, as peers know the relay by their hashes.
#[derive(Clone)]
pub struct Identity {
    /// The Ed25519 key that the peer id is made of.
    pub keypair: Keypair,
    /// The certificate that WebRTC-direct addresses name by its hash.
    pub certificate: Certificate,
}

/// Why a relay has no identity to run under. The file is never replaced: a new one is another relay to everyone.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file is there and can't be read.
    #[error("cannot read the relay's identity {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not what was written.
    #[error(
        "the relay's identity {} is damaged ({reason}); restore it from a backup, or move it away to start as a new relay \
         with another peer id",
        path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The file was written by a version of the relay that this one does not know.
    #[error("the relay's identity {} was written by a newer ggen-relay; run that version or a later one", .0.display())]
    Newer(PathBuf),
    /// No certificate could be generated.
    #[error("cannot generate a WebRTC certificate")]
    Certificate(#[source] CertificateError),
    /// The new identity could not be written.
    #[error("cannot keep the relay's new identity")]
    Write(#[from] files::Error),
}

/// Whether a directory is a relay's: it holds an identity.
pub fn is_in(data_dir: &Path) -> bool {
    data_dir.join(FILE).is_file()
}

impl Identity {
    /// The identity that a data directory holds; on the first start, a new one, which is durable on return.
    ///
    /// Warns in the log when others than the owner can read the file.
    ///
    /// # Errors
    /// [`Error`]; a damaged file is left as it is.
    pub fn load_or_create(data_dir: &Path) -> Result<Self, Error> {
        let path = data_dir.join(FILE);
        if let Some(identity) = Self::load(&path)? {
            return Ok(identity);
        }
        files::create_directory(data_dir).map_err(|source| files::Error::Write { path: data_dir.into(), source })?;
        let identity = Self::generate()?;
        match write_private_atomically(&path, identity.to_file().as_bytes(), Existing::Refuse) {
            Ok(()) => {
                tracing::info!(path = %path.display(), peer = %identity.keypair.public().to_peer_id(), "new identity");
                Ok(identity)
            }
            // Another start was faster: there is one identity, the first.
            Err(files::Error::AlreadyThere(_)) => {
                Self::load(&path)?.ok_or(Error::Damaged { path, reason: "it comes and goes" })
            }
            Err(error) => Err(error.into()),
        }
    }

    fn generate() -> Result<Self, Error> {
        Ok(Self {
            keypair: Keypair::generate_ed25519(),
            certificate: Certificate::generate().map_err(Error::Certificate)?,
        })
    }

    fn load(path: &Path) -> Result<Option<Self>, Error> {
        let read = read_private(path).map_err(|source| Error::Read { path: path.into(), source })?;
        let Some(Private { bytes, exposed }) = read else { return Ok(None) };
        if exposed {
            tracing::warn!(path = %path.display(), "others can read this relay's private key: set the file's mode to 0600");
        }
        Self::from_file(&bytes).map(Some).map_err(|fault| match fault {
            Fault::Damaged(reason) => Error::Damaged { path: path.into(), reason },
            Fault::Newer => Error::Newer(path.into()),
        })
    }

    /// A title with the version, a hash of all that follows, the key, the certificate.
    ///
    /// The hash makes damage certain to be seen: a certificate with one wrong letter may well parse, as another certificate.
    fn to_file(&self) -> String {
        let key = self.keypair.to_protobuf_encoding().expect("a key that was generated or decoded as Ed25519 encodes");
        let body = format!("key {}\n{}", BASE64.encode(&key), self.certificate.to_pem());
        format!("{TITLE}{VERSION}\ncheck {}\n{body}", ContentId::of_raw(body.as_bytes()))
    }

    fn from_file(bytes: &[u8]) -> Result<Self, Fault> {
        let text = std::str::from_utf8(bytes).map_err(|_| Fault::Damaged("it is not text"))?;
        let (title, rest) = text.split_once('\n').ok_or(Fault::Damaged("it is cut short"))?;
        let version = title.strip_prefix(TITLE).ok_or(Fault::Damaged("its title is another"))?;
        if version != VERSION {
            let known_shape = version.parse::<u32>().is_ok_and(|number| number > 1);
            return Err(if known_shape { Fault::Newer } else { Fault::Damaged("its title is another") });
        }
        let (check, body) = rest.split_once('\n').ok_or(Fault::Damaged("it is cut short"))?;
        if check.strip_prefix("check ") != Some(ContentId::of_raw(body.as_bytes()).to_string().as_str()) {
            return Err(Fault::Damaged("its hash does not match"));
        }
        // Past this point only a file that was made by hand fails.
        let (key, certificate) = body.split_once('\n').ok_or(Fault::Damaged("it is cut short"))?;
        let key = key.strip_prefix("key ").ok_or(Fault::Damaged("it has no key"))?;
        let key = BASE64.decode(key.as_bytes()).map_err(|_| Fault::Damaged("its key does not decode"))?;
        Ok(Self {
            keypair: Keypair::from_protobuf_encoding(&key).map_err(|_| Fault::Damaged("its key does not decode"))?,
            certificate: Certificate::from_pem(certificate)
                .map_err(|_| Fault::Damaged("its certificate does not decode"))?,
        })
    }
}

impl std::fmt::Debug for Identity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Identity").field("peer", &self.keypair.public().to_peer_id()).finish_non_exhaustive()
    }
}

enum Fault {
    Damaged(&'static str),
    Newer,
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn peer_id_and_certificate_hash_survive_a_restart() {
        let directory = tempfile::tempdir().unwrap();
        let data = directory.path().join("not/yet/there");
        let first = Identity::load_or_create(&data).unwrap();
        let second = Identity::load_or_create(&data).unwrap();
        assert_eq!(first.keypair.public(), second.keypair.public());
        assert_eq!(first.certificate.fingerprint(), second.certificate.fingerprint());
        assert_eq!(first.certificate, second.certificate);
    }

    #[test]
    #[cfg(unix)]
    fn only_the_owner_can_read_the_identity() {
        use std::os::unix::fs::PermissionsExt;
        let directory = tempfile::tempdir().unwrap();
        Identity::load_or_create(directory.path()).unwrap();
        let mode = fs::metadata(directory.path().join(FILE)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn a_damaged_identity_is_named_and_never_replaced() {
        let directory = tempfile::tempdir().unwrap();
        Identity::load_or_create(directory.path()).unwrap();
        let path = directory.path().join(FILE);
        let whole = fs::read(&path).unwrap();
        let flipped = (0..whole.len()).map(|at| {
            let mut bytes = whole.clone();
            bytes[at] ^= 1;
            bytes
        });
        let cut = (0..whole.len()).map(|length| whole[..length].to_vec());
        for damaged in flipped.chain(cut) {
            fs::write(&path, &damaged).unwrap();
            match Identity::load_or_create(directory.path()) {
                Err(Error::Damaged { path: named, .. }) => assert_eq!(named, path),
                other => panic!("{other:?} for {:?}", String::from_utf8_lossy(&damaged)),
            }
            assert_eq!(fs::read(&path).unwrap(), damaged);
        }
    }

    #[test]
    fn an_identity_of_a_newer_version_is_told_from_a_damaged_one() {
        let directory = tempfile::tempdir().unwrap();
        fs::write(directory.path().join(FILE), "ggen relay identity 2\nwhatever\n").unwrap();
        assert!(matches!(Identity::load_or_create(directory.path()), Err(Error::Newer(_))));
    }

    #[test]
    fn the_secret_key_is_not_in_debug_output() {
        let directory = tempfile::tempdir().unwrap();
        let identity = Identity::load_or_create(directory.path()).unwrap();
        assert!(!format!("{identity:?}").contains("key:"));
    }
}
