//! Identifiers. Each is a newtype, so that one kind can't be given where another is meant.

use std::fmt;
use std::str::FromStr;

use data_encoding::{Encoding, Specification};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::limits;

/// An identifier that does not read as one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ParseError {
    /// Not lower-case base32 without padding, or of another length.
    #[error("{what} is {expected} characters of a-z and 2-7")]
    NotBase32 {
        /// What was to be read.
        what: &'static str,
        /// How many characters it has.
        expected: usize,
    },
    /// A name with characters outside its alphabet, or too long, or empty.
    #[error("{what} {reason}")]
    Name {
        /// What was to be read.
        what: &'static str,
        /// Which rule it breaks.
        reason: &'static str,
    },
}

/// RFC 4648 base32, lower case, no padding: safe in URLs, file names and when read aloud.
fn base32() -> &'static Encoding {
    use std::sync::OnceLock;
    static BASE32: OnceLock<Encoding> = OnceLock::new();
    BASE32.get_or_init(|| {
        let mut specification = Specification::new();
        specification.symbols.push_str("abcdefghijklmnopqrstuvwxyz234567");
        specification.encoding().expect("a constant alphabet of 32 distinct symbols")
    })
}

macro_rules! hash_id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal, $what:literal, $chars:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// The identifier with these bytes.
            pub const fn from_bytes(bytes: [u8; $bytes]) -> Self {
                Self(bytes)
            }

            /// The bytes of the identifier.
            pub const fn as_bytes(&self) -> &[u8; $bytes] {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&base32().encode(&self.0))
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}({self})", stringify!($name))
            }
        }

        impl FromStr for $name {
            type Err = ParseError;

            fn from_str(text: &str) -> Result<Self, ParseError> {
                let error = ParseError::NotBase32 { what: $what, expected: $chars };
                // The length is checked first, so that a long text costs nothing.
                if text.len() != $chars {
                    return Err(error);
                }
                let bytes = base32().decode(text.as_bytes()).map_err(|_| error.clone())?;
                bytes.try_into().map(Self).map_err(|_| error)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_bytes(&self.0)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let bytes = serde_bytes::ByteArray::<$bytes>::deserialize(deserializer)?;
                Ok(Self(bytes.into_array()))
            }
        }
    };
}

hash_id! {
    /// The BLAKE3 hash of a record's payload, in the context of the record's kind.
    RecordId, 32, "a record id", 52
}
hash_id! {
    /// Who publishes: the id of the first event of the publisher's key log.
    PublisherId, 32, "a publisher id", 52
}
hash_id! {
    /// The first 80 bits of a publisher id: short enough for a full name, too long to collide with on purpose.
    Fingerprint, 10, "a fingerprint", 16
}
hash_id! {
    /// An Ed25519 public key as it stands in a payload. Whether it is a sound key is known only once it verified something.
    PublicKey, 32, "a public key", 52
}
hash_id! {
    /// The BLAKE3 hash of a key that is to be revealed by the next rotation.
    KeyCommitment, 32, "a key commitment", 52
}

impl PublisherId {
    /// The publisher whose key log begins with this inception.
    pub const fn from_inception(id: RecordId) -> Self {
        Self(*id.as_bytes())
    }

    /// The id of the inception that the key log begins with.
    pub const fn inception(&self) -> RecordId {
        RecordId(self.0)
    }

    /// The first 80 bits.
    pub fn fingerprint(&self) -> Fingerprint {
        let mut first = [0; 10];
        first.copy_from_slice(&self.0[..10]);
        Fingerprint(first)
    }
}

impl KeyCommitment {
    /// The commitment to a key.
    pub fn to_key(key: &PublicKey) -> Self {
        Self(blake3::derive_key("ggen marketplace 2026 next key commitment", key.as_bytes()))
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $check:path) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// Reads a name and checks it.
            ///
            /// # Errors
            /// [`ParseError::Name`] with the rule that is broken.
            pub fn new(text: impl Into<String>) -> Result<Self, ParseError> {
                let text = text.into();
                match $check(&text) {
                    Ok(()) => Ok(Self(text)),
                    Err(reason) => Err(ParseError::Name { what: $what, reason }),
                }
            }

            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{:?}", self.0)
            }
        }

        impl FromStr for $name {
            type Err = ParseError;

            fn from_str(text: &str) -> Result<Self, ParseError> {
                Self::new(text)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                Self::new(String::deserialize(deserializer)?).map_err(serde::de::Error::custom)
            }
        }
    };
}

name! {
    /// What a publisher calls a package: unique for the publisher, not beyond.
    PackageName, "a package name", check_package_name
}
name! {
    /// What a publisher calls itself: a claim, not unique.
    Handle, "a handle", check_handle
}

fn check_package_name(name: &str) -> Result<(), &'static str> {
    if name.is_empty() || name.len() > limits::MAX_NAME_BYTES {
        return Err("has 1 to 64 characters");
    }
    if !name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()) {
        return Err("begins with a lower-case letter or a digit");
    }
    if !name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-".contains(c)) {
        return Err("has only lower-case letters, digits, '.', '_' and '-'");
    }
    if name.contains("..") {
        return Err("has no two dots in a row");
    }
    Ok(())
}

fn check_handle(handle: &str) -> Result<(), &'static str> {
    if handle.is_empty() || handle.len() > limits::MAX_HANDLE_BYTES {
        return Err("has 1 to 32 characters");
    }
    if !handle.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') {
        return Err("has only lower-case letters, digits and '-'");
    }
    if handle.starts_with('-') || handle.ends_with('-') {
        return Err("neither begins nor ends with '-'");
    }
    Ok(())
}

/// A package, without doubt: the publisher's id and the name that the publisher gave it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageId {
    /// Who publishes it.
    pub publisher: PublisherId,
    /// What the publisher calls it.
    pub name: PackageName,
}

impl fmt::Display for PackageId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.publisher, self.name)
    }
}

/// A package as people write it: `handle~fingerprint/name`. The handle is for the eye; the fingerprint decides.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FullName {
    /// The handle that the publisher is expected to claim; none accepts any.
    pub handle: Option<Handle>,
    /// The first 80 bits of the publisher's id.
    pub fingerprint: Fingerprint,
    /// The package's name.
    pub name: PackageName,
}

impl FullName {
    /// Whether a publisher is the one that is meant.
    pub fn means(&self, publisher: &PublisherId, handle: &Handle) -> bool {
        publisher.fingerprint() == self.fingerprint && self.handle.as_ref().is_none_or(|meant| meant == handle)
    }
}

impl fmt::Display for FullName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let handle = self.handle.as_ref().map_or("", Handle::as_str);
        write!(f, "{handle}~{}/{}", self.fingerprint, self.name)
    }
}

impl FromStr for FullName {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        let shape = ParseError::Name { what: "a full name", reason: "is written handle~fingerprint/name" };
        let (publisher, name) = text.split_once('/').ok_or_else(|| shape.clone())?;
        let (handle, fingerprint) = publisher.split_once('~').ok_or(shape)?;
        Ok(Self {
            handle: if handle.is_empty() { None } else { Some(handle.parse()?) },
            fingerprint: fingerprint.parse()?,
            name: name.parse()?,
        })
    }
}

/// The network a record is meant for: it is signed, so that no record of a test network counts in another.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Network(String);

impl TryFrom<String> for Network {
    type Error = ParseError;

    fn try_from(name: String) -> Result<Self, ParseError> {
        Self::named(name)
    }
}

impl From<Network> for String {
    fn from(network: Network) -> Self {
        network.0
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Network {
    /// The network of everyone.
    pub fn main() -> Self {
        Self("ggen".into())
    }

    /// Whether an identity has to prove some work in it: in everyone's. Whoever has a network of his own knows who publishes there.
    pub fn asks_for_work(&self) -> bool {
        *self == Self::main()
    }

    /// A network of one's own.
    ///
    /// # Errors
    /// [`ParseError::Name`] when the name is empty or longer than [`limits::MAX_NETWORK_NAME_BYTES`].
    pub fn named(name: impl Into<String>) -> Result<Self, ParseError> {
        let name = name.into();
        if name.is_empty() || name.len() > limits::MAX_NETWORK_NAME_BYTES {
            return Err(ParseError::Name { what: "a network's name", reason: "has 1 to 32 bytes" });
        }
        Ok(Self(name))
    }

    /// The name as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
#[path = "id_tests.rs"]
mod tests;
