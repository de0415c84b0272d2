//! Proofs of work: what inceptions hash to, and which network takes which of them.

use ggen_shared::id::Network;
use ggen_shared::record::{Inception, KeyLog, Unverified, Work};
use serde::Deserialize;

use crate::{Checked, hex, parse, same};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "about")]
    _about: String,
    identities: Vec<Identity>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Identity {
    name: String,
    network: String,
    record: String,
    id: String,
    /// Argon2id of the id.
    hash: String,
    /// How many records it can sign. None: it is refused.
    quota: Option<u32>,
    /// Why.
    error: Option<String>,
}

pub(crate) fn check(json: &str) -> Checked {
    let file: File = parse("work.json", json)?;
    for identity in &file.identities {
        check_identity(identity)?;
    }
    Ok(file.identities.len())
}

fn check_identity(vector: &Identity) -> Result<(), String> {
    let name = &vector.name;
    let network = Network::named(vector.network.clone()).map_err(|error| error.to_string())?;
    let read = Unverified::<Inception>::decode(&hex(name, &vector.record)?);
    let read = read.map_err(|error| format!("{name}: {error}"))?;
    same(name, "its id", read.id().to_string(), vector.id.clone())?;
    same(name, "its hash", &Work::hash_of(&read.id())[..], &hex(name, &vector.hash)?)?;
    let outcome = read.verify(&network).map(|inception| KeyLog::new(inception).quota());
    same(name, "its quota", outcome.as_ref().ok(), vector.quota.as_ref())?;
    same(name, "why it is refused", outcome.as_ref().err().map(|error| error.code()), vector.error.as_deref())
}
