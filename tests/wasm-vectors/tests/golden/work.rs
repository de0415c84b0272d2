//! Inceptions that prove their work, and such as do not.

use ed25519_dalek::Signer;
use ggen_shared::codec;
use ggen_shared::id::Network;
use ggen_shared::record::{Envelope, Inception, KeyLog, Kind, Prover, Unverified, Work};
use serde_json::{Value, json};

use crate::make::{ABOUT, SEED, hex, inception, key, network};

pub(crate) fn work() -> Value {
    let main = Network::main();
    let least = inception().proven_for(&main);
    let mut prover = Prover::new(inception(), Work::MIN_LEVEL + 1).unwrap();
    let more = (0..).find_map(|nonce| prover.attempt(nonce)).unwrap();
    let exactly = |zeros: u32, level: u8| {
        let at = |nonce| Inception { work: Work { level, nonce }, ..inception() };
        (0..).map(at).find(|tried| zeros_of(tried) == zeros).unwrap()
    };
    let with = |work| Inception { work, ..inception() };
    let next = Work { nonce: least.work.nonce + 1, ..least.work };
    json!({
        "about": ABOUT,
        "identities": [
            vector("the least work", &main, &least),
            vector("twice the work", &main, &more),
            vector("no work where some is asked for", &main, &inception()),
            vector("a nonce that does not come out right", &main, &with(next)),
            vector("more than was proven", &main, &with(Work { level: Work::MAX_LEVEL, ..least.work })),
            vector("as many bits as the level says", &main, &exactly(8, 8)),
            vector("a bit less than the level says", &main, &exactly(8, 9)),
            vector("four bits less than the level says", &main, &exactly(8, 12)),
            vector("no work where none is asked for", &network(), &inception()),
            vector("work where none is asked for", &network(), &least),
        ],
    })
}

fn zeros_of(inception: &Inception) -> u32 {
    let hash = Work::hash_of(&Kind::Inception.id_of(&codec::encode(inception)));
    u32::from_be_bytes(hash[..4].try_into().unwrap()).leading_zeros()
}

fn vector(name: &str, network: &Network, inception: &Inception) -> Value {
    let payload = codec::encode(inception);
    let id = Kind::Inception.id_of(&payload);
    let signature = key(SEED).sign(&Kind::Inception.signed_message(network, &id)).to_bytes();
    let record = codec::encode(&Envelope { kind: Kind::Inception.number().into(), payload, signature });
    let outcome = Unverified::<Inception>::decode(&record).unwrap().verify(network);
    let outcome = outcome.map(|inception| KeyLog::new(inception).quota());
    json!({
        "name": name,
        "network": network.as_str(),
        "record": hex(record),
        "id": id.to_string(),
        "hash": hex(Work::hash_of(&id)),
        "quota": outcome.as_ref().ok(),
        "error": outcome.as_ref().err().map(|error| error.code()),
    })
}
