//! A publisher who rotates the key: no command of `ggen-market` does yet.
//!
//! `rotate-key KEY RELAY [RECORD]...` with a publisher's key, beside which the next one lies, the address of a relay, and the ids of the records
//! that stay valid. The same again is the same rotation.

use anyhow::{Context, bail};
use data_encoding::BASE64;
use ed25519_dalek::SigningKey;
use ggen_relay::market::keys::{PublisherKey, next_path};
use ggen_shared::id::{KeyCommitment, PublicKey, RecordId};
use ggen_shared::record::{KeepPage, Record, Rotation, sign};
use ggen_tests::offer::offer;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [key, relay, kept @ ..] = &arguments[..] else { bail!("usage: rotate-key KEY RELAY [RECORD]...") };
    let next = std::fs::read_to_string(next_path(key.as_ref()))?;
    let next = next.lines().find_map(|line| line.strip_prefix("next_secret = \"")?.strip_suffix('"'));
    let next = BASE64.decode(next.context("no next key")?.as_bytes())?;
    let next: [u8; 32] = next.try_into().ok().context("no next key")?;
    let key = PublisherKey::load(key.as_ref())?;
    offer(&key, relay, rotation(&key, next, kept)?).await
}

/// A page of what is kept, and the rotation to the next key. Nobody has the one after that.
fn rotation(key: &PublisherKey, next: [u8; 32], kept: &[String]) -> anyhow::Result<[Record; 2]> {
    let signing = SigningKey::from_bytes(&next);
    let public = |key: &SigningKey| PublicKey::from_bytes(key.verifying_key().to_bytes());
    let (publisher, prev) = (key.key_log.publisher(), key.key_log.head());
    let mut keep = kept.iter().map(|id| Ok(id.parse()?)).collect::<anyhow::Result<Vec<RecordId>>>()?;
    keep.sort();
    let page = sign(KeepPage { publisher, prev, key: public(&signing), keep }, &signing, &key.network)?;
    let after = KeyCommitment::to_key(&public(&SigningKey::from_bytes(&next.map(|byte| !byte))));
    let rotation = Rotation { publisher, prev, key: public(&signing), next: after, pages: vec![page.id()] };
    let rotation = sign(rotation, &signing, &key.network)?;
    Ok([Record::KeepPage(Box::new(page)), Record::Rotation(Box::new(rotation))])
}
