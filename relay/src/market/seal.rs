//! What is encrypted with a passphrase: files in the format of `age`, so that its tools open them too.

use age::DecryptError;
use age::scrypt::{Identity, Recipient};
use age::secrecy::{ExposeSecret, SecretString};

/// What deriving a key from a passphrase costs: 2^17 rounds of scrypt, 128 MiB and a third of a second. Whoever guesses pays it for each guess.
const WORK_FACTOR: u8 = 17;
/// The most work that is done for a file that somebody else made: a gigabyte, some seconds.
const MAX_WORK_FACTOR: u8 = 20;

/// A passphrase. It is never shown, and its memory is wiped.
#[derive(Clone, Debug)]
pub struct Passphrase(SecretString);

/// Why something can't be decrypted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is another passphrase, or what is encrypted was changed in the part that would tell.
    #[error("the passphrase is wrong")]
    WrongPassphrase,
    /// It would take longer than anybody means it to.
    #[error("it asks for 2^{0} rounds of work to be decrypted, and at most 2^{MAX_WORK_FACTOR} are done")]
    TooCostly(u8),
    /// It is not what was written.
    #[error("what is encrypted in it is damaged: {0}")]
    Damaged(String),
    /// It is encrypted for somebody's key, or by something newer.
    #[error("it is not encrypted with a passphrase, or in a way that this version does not know")]
    UnknownFormat,
}

impl Passphrase {
    /// A passphrase; none of no letters.
    pub fn new(text: String) -> Option<Self> {
        (!text.is_empty()).then(|| Self(text.into()))
    }

    /// Whether two are the same, as when one is typed twice.
    pub fn is(&self, other: &Self) -> bool {
        self.0.expose_secret() == other.0.expose_secret()
    }
}

/// Encrypts, as bytes.
///
/// # Errors
/// What the system says, when it has no randomness.
pub fn seal(bytes: &[u8], passphrase: &Passphrase) -> std::io::Result<Vec<u8>> {
    age::encrypt(&recipient(passphrase), bytes).map_err(std::io::Error::other)
}

/// Encrypts, as text.
///
/// # Errors
/// As [`seal`].
pub fn seal_as_text(bytes: &[u8], passphrase: &Passphrase) -> std::io::Result<String> {
    age::encrypt_and_armor(&recipient(passphrase), bytes).map_err(std::io::Error::other)
}

/// Decrypts what [`seal`] or [`seal_as_text`] made.
///
/// # Errors
/// [`Error`].
pub fn open(sealed: &[u8], passphrase: &Passphrase) -> Result<Vec<u8>, Error> {
    let mut identity = Identity::new(passphrase.0.clone());
    identity.set_max_work_factor(MAX_WORK_FACTOR);
    age::decrypt(&identity, sealed).map_err(|error| match error {
        DecryptError::DecryptionFailed | DecryptError::KeyDecryptionFailed => Error::WrongPassphrase,
        DecryptError::ExcessiveWork { required, .. } => Error::TooCostly(required),
        DecryptError::NoMatchingKeys | DecryptError::UnknownFormat => Error::UnknownFormat,
        other => Error::Damaged(other.to_string()),
    })
}

fn recipient(passphrase: &Passphrase) -> Recipient {
    let mut recipient = Recipient::new(passphrase.0.clone());
    recipient.set_work_factor(WORK_FACTOR);
    recipient
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::new(text.into()).unwrap()
    }

    #[test]
    fn only_the_passphrase_opens_what_was_sealed_by_it() {
        let sealed = seal(b"secret", &passphrase("letmein")).unwrap();
        assert!(sealed.starts_with(b"age-encryption.org/v1\n-> scrypt "));
        assert_eq!(open(&sealed, &passphrase("letmein")), Ok(b"secret".to_vec()));
        assert_eq!(open(&sealed, &passphrase("letmeout")), Err(Error::WrongPassphrase));
        assert!(Passphrase::new(String::new()).is_none());
        assert!(!format!("{:?}", passphrase("letmein")).contains("letmein"));
    }

    #[test]
    fn what_was_changed_anywhere_is_not_opened() {
        let sealed = seal(b"secret", &passphrase("letmein")).unwrap();
        let header = sealed.windows(4).position(|it| it == b"--- ").unwrap();
        // The version, the salt, the wrapped key, the header's code, the bytes themselves, and a cut.
        for at in [3, 40, header - 5, header + 6, sealed.len() - 3] {
            let mut changed = sealed.clone();
            changed[at] ^= 1;
            let error = open(&changed, &passphrase("letmein")).unwrap_err();
            assert!(!matches!(error, Error::TooCostly(_)), "{at}: {error}");
        }
        assert!(open(&sealed[..sealed.len() - 1], &passphrase("letmein")).is_err());
        assert!(matches!(open(b"", &passphrase("letmein")), Err(Error::Damaged(_))));
        let newer = [b"age-encryption.org/v2", &sealed[21..]].concat();
        assert_eq!(open(&newer, &passphrase("letmein")), Err(Error::UnknownFormat));
    }

    #[test]
    fn a_file_that_asks_for_hours_of_work_is_refused_at_once() {
        let sealed = seal(b"secret", &passphrase("letmein")).unwrap();
        let text = String::from_utf8_lossy(&sealed[..60]).into_owned();
        let line = text.lines().nth(1).unwrap();
        let costly = line.replace(" 17", " 40");
        assert_ne!(line, costly);
        let mut changed = b"age-encryption.org/v1\n".to_vec();
        changed.extend(costly.as_bytes());
        changed.extend(&sealed[22 + line.len()..]);
        assert_eq!(open(&changed, &passphrase("letmein")), Err(Error::TooCostly(40)));
    }
}
