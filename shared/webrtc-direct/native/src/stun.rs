//! STUN (RFC 8489), as much of it as ICE between two peers of WebRTC-direct needs: binding requests and their answers.

use std::net::{IpAddr, SocketAddr};

use ring::hmac;

#[cfg(test)]
#[path = "stun_tests.rs"]
mod tests;

/// A longer message is none of ours, in bytes: the longest user name and all other attributes fit twice.
pub const MAX_BYTES: usize = 1280;

const HEADER_BYTES: usize = 20;
const MAGIC: [u8; 4] = 0x2112_a442_u32.to_be_bytes();
const INTEGRITY_BYTES: usize = 20;
const FINGERPRINT_MASK: u32 = 0x5354_554e;
/// Attributes that a message may have; peers send about eight.
const MAX_ATTRIBUTES: usize = 24;

mod attribute {
    pub(super) const USER_NAME: u16 = 0x0006;
    pub(super) const MESSAGE_INTEGRITY: u16 = 0x0008;
    pub(super) const XOR_MAPPED_ADDRESS: u16 = 0x0020;
    pub(super) const PRIORITY: u16 = 0x0024;
    pub(super) const USE_CANDIDATE: u16 = 0x0025;
    pub(super) const FINGERPRINT: u16 = 0x8028;
    pub(super) const ICE_CONTROLLED: u16 = 0x8029;
    pub(super) const ICE_CONTROLLING: u16 = 0x802a;
}

/// What an answer is known by.
pub type Transaction = [u8; 12];

/// What kind of message it is; its method is always binding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// Wants an answer.
    Request,
    /// Wants none.
    Indication,
    /// The request was understood.
    Success,
    /// It was not.
    Failure,
}

/// Why bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Too short, too long, or of another length than it says.
    #[error("a STUN message of a wrong length")]
    Length,
    /// Another protocol, or another method than binding.
    #[error("not a STUN binding message")]
    Kind,
    /// An attribute does not fit, or there are too many.
    #[error("a STUN message with attributes that can't be read")]
    Attribute,
    /// The checksum at its end is of another message.
    #[error("a STUN message with a wrong fingerprint")]
    Fingerprint,
}

/// A message that can be read. Whether it comes from who knows the password, [`Message::is_signed_by`] tells.
#[derive(Debug, Clone, Copy)]
pub struct Message<'a> {
    /// Which of the four it is.
    pub class: Class,
    /// The request's.
    pub transaction: Transaction,
    /// `TO:FROM`, both user name fragments.
    pub user_name: Option<&'a [u8]>,
    /// Whether a controlling peer has chosen the addresses that this came over.
    pub nominates: bool,
    bytes: &'a [u8],
    /// Where the attribute begins that signs everything before it.
    integrity: Option<usize>,
}

/// Whether bytes could be a message, and not DTLS (RFC 7983).
pub fn is_stun(bytes: &[u8]) -> bool {
    matches!(bytes, [0..=3, ..])
}

impl<'a> Message<'a> {
    /// Reads a message.
    ///
    /// # Errors
    /// [`Error`]; nothing is allocated.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        if !(HEADER_BYTES..=MAX_BYTES).contains(&bytes.len()) || !bytes.len().is_multiple_of(4) {
            return Err(Error::Length);
        }
        let (header, body) = bytes.split_at(HEADER_BYTES);
        if header[4..8] != MAGIC {
            return Err(Error::Kind);
        }
        if usize::from(u16::from_be_bytes([header[2], header[3]])) != body.len() {
            return Err(Error::Length);
        }
        let class = match u16::from_be_bytes([header[0], header[1]]) {
            0x0001 => Class::Request,
            0x0011 => Class::Indication,
            0x0101 => Class::Success,
            0x0111 => Class::Failure,
            _ => return Err(Error::Kind),
        };
        let transaction = header[8..].try_into().expect("twelve of twenty bytes are left");
        let mut message = Self { class, transaction, user_name: None, nominates: false, bytes, integrity: None };
        message.read_attributes()?;
        Ok(message)
    }

    fn read_attributes(&mut self) -> Result<(), Error> {
        let mut at = HEADER_BYTES;
        for _ in 0..MAX_ATTRIBUTES {
            if at == self.bytes.len() {
                return Ok(());
            }
            let head = self.bytes.get(at..at + 4).ok_or(Error::Attribute)?;
            let (kind, length) = (u16::from_be_bytes([head[0], head[1]]), u16::from_be_bytes([head[2], head[3]]));
            let value = self.bytes.get(at + 4..at + 4 + usize::from(length)).ok_or(Error::Attribute)?;
            match kind {
                attribute::FINGERPRINT => {
                    let right = (crc32fast::hash(&self.bytes[..at]) ^ FINGERPRINT_MASK).to_be_bytes();
                    if value != right {
                        return Err(Error::Fingerprint);
                    }
                    // It is the last one.
                    return if at + 8 == self.bytes.len() { Ok(()) } else { Err(Error::Attribute) };
                }
                // What is not signed says nothing.
                _ if self.integrity.is_some() => {}
                attribute::USER_NAME => self.user_name = Some(value),
                attribute::USE_CANDIDATE => self.nominates = true,
                attribute::MESSAGE_INTEGRITY if value.len() == INTEGRITY_BYTES => self.integrity = Some(at),
                attribute::MESSAGE_INTEGRITY => return Err(Error::Attribute),
                _ => {}
            }
            at += 4 + value.len().next_multiple_of(4);
        }
        Err(Error::Attribute)
    }

    /// Whether whoever sent it knows the password, and all that was read of it is what they sent.
    pub fn is_signed_by(&self, password: &str) -> bool {
        let Some(at) = self.integrity else { return false };
        let mut signed = self.bytes[..at].to_vec();
        set_length(&mut signed, at + 4 + INTEGRITY_BYTES - HEADER_BYTES);
        let signature = &self.bytes[at + 4..at + 4 + INTEGRITY_BYTES];
        hmac::verify(&key(password), &signed, signature).is_ok()
    }
}

/// What a request says.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// What its answer will be known by.
    pub transaction: Transaction,
    /// `TO:FROM`, both user name fragments.
    pub user_name: &'a str,
    /// The password of whom it goes to.
    pub password: &'a str,
    /// Whether this end chooses the addresses, and chooses these. The other end then answers only.
    pub controls: bool,
    /// A number that no two peers share.
    pub tie_breaker: u64,
}

impl Request<'_> {
    /// The request as bytes.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = begin(0x0001, &self.transaction);
        put(&mut bytes, attribute::USER_NAME, self.user_name.as_bytes());
        // Of a peer reflexive candidate (RFC 8445, section 5.1.2.1): there is only one pair of addresses.
        put(&mut bytes, attribute::PRIORITY, &0x6e7f_ffff_u32.to_be_bytes());
        let role = if self.controls { attribute::ICE_CONTROLLING } else { attribute::ICE_CONTROLLED };
        put(&mut bytes, role, &self.tie_breaker.to_be_bytes());
        if self.controls {
            put(&mut bytes, attribute::USE_CANDIDATE, &[]);
        }
        finish(bytes, self.password)
    }
}

/// The answer to a request that came from this address, signed with the password of whom it was sent to.
pub fn success(transaction: &Transaction, from: SocketAddr, password: &str) -> Vec<u8> {
    let mut bytes = begin(0x0101, transaction);
    put(&mut bytes, attribute::XOR_MAPPED_ADDRESS, &xor_mapped(from, transaction));
    finish(bytes, password)
}

fn xor_mapped(address: SocketAddr, transaction: &Transaction) -> Vec<u8> {
    let [m0, m1, ..] = MAGIC;
    let [p0, p1] = address.port().to_be_bytes();
    let mask = MAGIC.into_iter().chain(*transaction);
    let masked = |octets: &[u8]| octets.iter().zip(mask.clone()).map(|(octet, mask)| octet ^ mask).collect::<Vec<u8>>();
    let (family, octets) = match address.ip() {
        IpAddr::V4(ip) => (1, masked(&ip.octets())),
        IpAddr::V6(ip) => (2, masked(&ip.octets())),
    };
    [&[0, family, p0 ^ m0, p1 ^ m1], &octets[..]].concat()
}

fn begin(kind: u16, transaction: &Transaction) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(128);
    bytes.extend_from_slice(&kind.to_be_bytes());
    bytes.extend_from_slice(&[0, 0]);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(transaction);
    bytes
}

fn put(bytes: &mut Vec<u8>, kind: u16, value: &[u8]) {
    bytes.extend_from_slice(&kind.to_be_bytes());
    bytes.extend_from_slice(&(value.len() as u16).to_be_bytes());
    bytes.extend_from_slice(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
}

/// Signs a message and puts its checksum behind.
fn finish(mut bytes: Vec<u8>, password: &str) -> Vec<u8> {
    let body = bytes.len() + 4 + INTEGRITY_BYTES - HEADER_BYTES;
    set_length(&mut bytes, body);
    let signature = hmac::sign(&key(password), &bytes);
    put(&mut bytes, attribute::MESSAGE_INTEGRITY, signature.as_ref());
    set_length(&mut bytes, body + 8);
    let fingerprint = crc32fast::hash(&bytes) ^ FINGERPRINT_MASK;
    put(&mut bytes, attribute::FINGERPRINT, &fingerprint.to_be_bytes());
    bytes
}

fn set_length(bytes: &mut [u8], body: usize) {
    bytes[2..4].copy_from_slice(&(body as u16).to_be_bytes());
}

fn key(password: &str) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, password.as_bytes())
}
