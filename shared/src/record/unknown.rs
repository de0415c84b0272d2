//! Records of kinds that these rules do not know. They are kept and passed on, so that relays of two versions of the rules hold the
//! same records; nothing is derived from them, and nobody is shown one.

use std::collections::BTreeMap;
use std::sync::Arc;

use ed25519_dalek::{Signer, SigningKey};
use ipld_core::ipld::Ipld;

use super::{Envelope, Error, Kind, Verified};
use crate::codec;
use crate::id::{Network, PublisherId, RecordId};
use crate::limits::MAX_RECORD_BYTES;

/// What every record of an unknown kind has: what makes a publisher answer for it, and bounds how many there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// The number of its kind.
    pub kind: u8,
    /// Whose record it is.
    pub publisher: PublisherId,
    /// The key event that it is signed under.
    pub signed_under: RecordId,
    /// The record's index below the publisher's quota.
    pub index: u32,
}

impl Unknown {
    /// Reads the payload of a kind: a map in strict dag-cbor with `publisher`, `signed_under`, `index`, and anything else.
    pub(super) fn decode(kind: u8, payload: &[u8]) -> Result<Self, Error> {
        let fields: BTreeMap<String, Ipld> = codec::read(payload, MAX_RECORD_BYTES)?;
        // Unlike our types, a stranger's value may be one that has no encoding.
        if serde_ipld_dagcbor::to_vec(&fields).ok().as_deref() != Some(payload) {
            return Err(codec::Error::NotCanonical.into());
        }
        let bytes = |field: &'static str| match fields.get(field) {
            Some(Ipld::Bytes(bytes)) => {
                bytes.as_slice().try_into().map_err(|_| Error::field(field, "does not have 32 bytes"))
            }
            _ => Err(Error::field(field, "is missing, or no bytes")),
        };
        let index = match fields.get("index") {
            Some(Ipld::Integer(index)) => u32::try_from(*index).ok(),
            _ => None,
        };
        Ok(Self {
            kind,
            publisher: PublisherId::from_inception(RecordId::from_bytes(bytes("publisher")?)),
            signed_under: RecordId::from_bytes(bytes("signed_under")?),
            index: index.ok_or_else(|| Error::field("index", "is missing, or no index"))?,
        })
    }
}

/// Signs a payload of a kind that these rules do not know, as those will that know it.
///
/// # Errors
/// [`Error::UnknownKind`] for a number that is none, or that of a known kind; [`Error::Encoding`], [`Error::Field`] for a payload that
/// would be refused.
pub fn sign_unknown(
    kind: u8,
    payload: Vec<u8>,
    key: &SigningKey,
    network: &Network,
) -> Result<Verified<Unknown>, Error> {
    let Some(sealed @ Kind::Unknown(_)) = Kind::from_number(kind.into()) else {
        return Err(Error::UnknownKind(kind.into()));
    };
    let unknown = Unknown::decode(kind, &payload)?;
    let id = sealed.id_of(&payload);
    let signature = key.sign(&sealed.signed_message(network, &id)).to_bytes();
    let bytes = Envelope { kind: kind.into(), payload, signature }.encode()?;
    Ok(Verified { payload: Arc::new(unknown), id, bytes })
}
