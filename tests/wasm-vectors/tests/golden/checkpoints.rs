//! Makes the vectors of checkpoints.

use ed25519_dalek::{Signer, SigningKey};
use ggen_shared::checkpoint::{Checkpoint, MAX_CHECKPOINT_BYTES, Root, Signed};
use ggen_shared::codec;
use ggen_shared::id::{Network, PublicKey};
use ggen_shared::merkle::Hash;
use ggen_shared::rules::Rules;
use serde_json::{Value, json};

use crate::cbor::{map, text, with};
use crate::make::{ABOUT, hex};

const SEED: u8 = 3;
const CONTEXT: &[u8] = b"ggen marketplace signed checkpoint\0";

fn key() -> SigningKey {
    SigningKey::from_bytes(&[SEED; 32])
}

fn network() -> Network {
    Network::named("ggen-vectors").unwrap()
}

fn first() -> Checkpoint {
    Checkpoint {
        network: network(),
        relay: PublicKey::from_bytes(key().verifying_key().to_bytes()),
        epoch: 28_333_333,
        root: Hash::empty().into(),
        rules: Rules::FIRST.number,
        exclusions: None,
        previous: None,
    }
}

fn second() -> Checkpoint {
    let excluded: Root = Hash::leaf(b"excluded", b"").into();
    let previous = first().sign(&key()).unwrap().hash();
    Checkpoint {
        epoch: u64::MAX,
        root: Hash::leaf(b"key", b"value").into(),
        exclusions: Some(excluded),
        previous: Some(previous),
        ..first()
    }
}

pub(crate) fn checkpoints() -> Value {
    json!({
        "about": ABOUT,
        "network": network().as_str(),
        "seed": hex([SEED; 32]),
        "valid": [valid(first()), valid(second())],
        "invalid": invalid(),
    })
}

fn root(root: Root) -> String {
    Hash::from(root).to_string()
}

fn valid(checkpoint: Checkpoint) -> Value {
    let payload = codec::encode(&checkpoint);
    let message = [CONTEXT, &payload].concat();
    let signed: Signed<Checkpoint> = checkpoint.sign(&key()).unwrap();
    json!({
        "relay": signed.relay.to_string(),
        "epoch": signed.epoch,
        "root": root(signed.root),
        "rules": signed.rules,
        "exclusions": signed.exclusions.map(root),
        "previous": signed.previous.map(root),
        "payload": hex(&payload),
        "message": hex(&message),
        "signature": hex(key().sign(&message).to_bytes()),
        "checkpoint": hex(signed.bytes()),
        "hash": root(signed.hash()),
    })
}

/// Any payload, rightly signed.
fn sealed(payload: &[u8]) -> Vec<u8> {
    enveloped(payload, &key().sign(&[CONTEXT, payload].concat()).to_bytes())
}

fn enveloped(payload: &[u8], signature: &[u8]) -> Vec<u8> {
    map(&[(text("p"), bytes(payload)), (text("s"), bytes(signature))])
}

fn bytes(bytes: &[u8]) -> Vec<u8> {
    codec::encode(&serde_bytes::Bytes::new(bytes))
}

fn invalid() -> Value {
    let (payload, honest) = (codec::encode(&first()), first().sign(&key()).unwrap().bytes().to_vec());
    let mut forged = honest.clone();
    *forged.last_mut().unwrap() ^= 1;
    let of = |change: &dyn Fn(&mut Checkpoint)| {
        let mut checkpoint = first();
        change(&mut checkpoint);
        sealed(&codec::encode(&checkpoint))
    };
    let without_context = enveloped(&payload, &key().sign(&payload).to_bytes());
    let vector = |error: &str, name: &str, bytes: &[u8]| json!({ "name": format!("invalid checkpoint: {name}"), "checkpoint": hex(bytes), "error": error });
    json!([
        vector("checkpoint/bad-signature", "the signature changed", &forged),
        vector("checkpoint/bad-signature", "signed without context", &without_context),
        vector("checkpoint/bad-signature", "of another relay", &of(&|it| it.relay = PublicKey::from_bytes([2; 32]))),
        vector("checkpoint/wrong-network", "another network", &of(&|it| it.network = Network::main())),
        vector("checkpoint/other-rules", "other rules", &of(&|it| it.rules = Rules::FIRST.number + 1)),
        vector("checkpoint/encoding", "cut off", &honest[..honest.len() - 1]),
        vector("checkpoint/encoding", "a byte after the end", &[&honest[..], &[0]].concat()),
        vector("checkpoint/encoding", "null written out", &sealed(&with(&payload, "previous", vec![0xf6]))),
        vector("checkpoint/encoding", "an unknown field", &sealed(&with(&payload, "remark", vec![0]))),
        vector("checkpoint/encoding", "too long", &vec![0; MAX_CHECKPOINT_BYTES + 1]),
        vector("checkpoint/encoding", "nothing", &[]),
    ])
}
