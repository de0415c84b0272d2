//! Signed checkpoints: those that hold and those that are refused.

use ed25519_dalek::SigningKey;
use ggen_shared::checkpoint::{Checkpoint, Root};
use ggen_shared::codec;
use ggen_shared::id::{Network, PublicKey};
use ggen_shared::merkle::Hash;
use ggen_shared::rules::Rules;
use serde::Deserialize;

use crate::{Checked, hex, parse, same};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(rename = "about")]
    _about: String,
    network: String,
    seed: String,
    valid: Vec<Valid>,
    invalid: Vec<Invalid>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Valid {
    relay: String,
    epoch: u64,
    root: String,
    rules: u32,
    exclusions: Option<String>,
    previous: Option<String>,
    payload: String,
    /// What is signed.
    message: String,
    signature: String,
    checkpoint: String,
    /// What the next checkpoint names as the one before it.
    hash: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Invalid {
    name: String,
    checkpoint: String,
    error: String,
}

pub(crate) fn check(json: &str) -> Checked {
    let file: File = parse("checkpoints.json", json)?;
    let network = Network::named(file.network.clone()).map_err(|error| error.to_string())?;
    let seed = hex("seed", &file.seed)?.try_into().map_err(|_| "the seed has 32 bytes")?;
    let key = SigningKey::from_bytes(&seed);
    for vector in &file.valid {
        check_valid(vector, &key, &network)?;
    }
    for Invalid { name, checkpoint, error } in &file.invalid {
        let outcome = Checkpoint::verify(&hex(name, checkpoint)?, &network)
            .and_then(|read| read.clone().expect(&read.relay, read.epoch, Rules::FIRST));
        same(name, "the outcome", outcome.map_or_else(|error| error.code(), |_| "accepted"), error.as_str())?;
    }
    Ok(file.valid.len() + file.invalid.len())
}

fn check_valid(vector: &Valid, key: &SigningKey, network: &Network) -> Result<(), String> {
    let name = format!("checkpoint of epoch {}", vector.epoch);
    let root = |text: &str| -> Result<Root, String> {
        let bytes = hex(&name, text)?.try_into().map_err(|_| format!("{name}: a root has 32 bytes"))?;
        Ok(Hash::from_bytes(bytes).into())
    };
    let relay = PublicKey::from_bytes(key.verifying_key().to_bytes());
    same(&name, "the relay", relay.to_string(), vector.relay.clone())?;
    let checkpoint = Checkpoint {
        network: network.clone(),
        relay,
        epoch: vector.epoch,
        root: root(&vector.root)?,
        rules: vector.rules,
        exclusions: vector.exclusions.as_deref().map(root).transpose()?,
        previous: vector.previous.as_deref().map(root).transpose()?,
    };
    let payload = codec::encode(&checkpoint);
    same(&name, "the payload", &payload, &hex(&name, &vector.payload)?)?;
    let message = [b"ggen marketplace signed checkpoint\0", &payload[..]].concat();
    same(&name, "what is signed", &message, &hex(&name, &vector.message)?)?;
    let signed = checkpoint.clone().sign(key).map_err(|error| format!("{name}: {error}"))?;
    let bytes = hex(&name, &vector.checkpoint)?;
    same(&name, "the checkpoint signed again", &signed.bytes()[..], &bytes)?;
    let signature = hex(&name, &vector.signature)?;
    let is_in_it = bytes.ends_with(&signature) && signature.len() == 64;
    same(&name, "whether the signature ends the checkpoint", is_in_it, true)?;
    let read = Checkpoint::verify(&bytes, network).map_err(|error| format!("{name}: {error}"))?;
    same(&name, "what is read", &*read, &checkpoint)?;
    same(&name, "its hash", read.hash(), root(&vector.hash)?)
}
