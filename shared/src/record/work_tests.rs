use super::*;
use crate::id::{KeyCommitment, PublicKey};
use crate::record::tests::{enveloped, inception, key, minimal, network};
use crate::record::{KeyLog, Release, Rotation, Unverified, sign};

fn public(seed: u8) -> PublicKey {
    PublicKey::from_bytes(key(seed).verifying_key().to_bytes())
}

fn signed_anyhow(inception: &Inception, network: &Network) -> Vec<u8> {
    use ed25519_dalek::Signer;
    let payload = codec::encode(inception);
    let message = Kind::Inception.signed_message(network, &Kind::Inception.id_of(&payload));
    enveloped(Kind::Inception.number().into(), &payload, key(1).sign(&message).to_bytes())
}

fn verify(inception: &Inception, network: &Network) -> Result<u32, Error> {
    let read = Unverified::<Inception>::decode(&signed_anyhow(inception, network))?;
    Ok(KeyLog::new(read.verify(network)?).quota())
}

#[test]
fn everybodys_network_takes_an_identity_that_proved_its_work_and_no_other_does() {
    let main = Network::main();
    let proven = inception().proven_for(&main);
    assert_eq!(proven.work.level, Work::MIN_LEVEL);
    assert_eq!(verify(&proven, &main), Ok(1024));
    assert_eq!(verify(&proven, &network()), Err(Error::WrongWork));
    assert_eq!(verify(&inception(), &main), Err(Error::WrongWork));
    assert_eq!(verify(&inception(), &network()), Ok(MAX_QUOTA));
    assert_eq!(inception().proven_for(&network()), inception());
    let signed = sign(proven, &key(1), &main).unwrap();
    let log = |network| KeyLog::verify(&[&signed.bytes()[..]], KeyLog::new(signed.clone()).publisher(), network);
    assert_eq!(log(&main).map(|log| log.quota()), Ok(1024));
}

#[test]
fn what_was_not_proven_counts_for_nothing() {
    let main = Network::main();
    let proven = inception().proven_for(&main);
    let with = |level, nonce| verify(&Inception { work: Work { level, nonce }, ..proven.clone() }, &main);
    let Work { level, nonce } = proven.work;
    // Twice: a refusal is not forgotten for having been given.
    assert_eq!(with(level, nonce + 1), Err(Error::WrongWork));
    assert_eq!(with(level, nonce + 1), Err(Error::WrongWork));
    // Another level is another id.
    assert_eq!(with(level + 1, nonce), Err(Error::WrongWork));
    for level in [1, Work::MIN_LEVEL - 1, Work::MAX_LEVEL + 1, u8::MAX] {
        assert_eq!(with(level, nonce).map_err(|error| error.code()), Err("record/field"), "{level}");
    }
    assert_eq!(with(0, 1).map_err(|error| error.code()), Err("record/field"));
    let unproven = Inception { work: Work { level, nonce: nonce + 1 }, ..proven };
    assert_eq!(sign(unproven, &key(1), &main), Err(Error::WrongWork));
}

/// An inception that says `level` and proves exactly some zero bits.
fn with_exactly(zeros: u32, level: u8) -> Inception {
    let mut memory = Memory::new();
    let at = |nonce| Inception { work: Work { level, nonce }, ..inception() };
    let mut is_so = |tried: &Inception| {
        let id = Kind::Inception.id_of(&codec::encode(tried));
        leading_zeros(&memory.hash(&id)) == zeros
    };
    (0..).map(at).find(|tried| is_so(tried)).unwrap()
}

#[test]
fn as_many_bits_as_the_level_says_are_enough_and_one_less_is_not() {
    let main = Network::main();
    assert_eq!(verify(&with_exactly(8, 8), &main), Ok(1024));
    assert_eq!(verify(&with_exactly(7, 8), &main), Err(Error::WrongWork));
    assert_eq!(verify(&with_exactly(8, 9), &main), Err(Error::WrongWork));
    assert_eq!(verify(&with_exactly(8, Work::MAX_LEVEL), &main), Err(Error::WrongWork));
}

#[test]
fn what_was_proven_says_how_much_can_be_signed_and_kept() {
    let main = Network::main();
    let signed = sign(inception().proven_for(&main), &key(1), &main).unwrap();
    let mut log = KeyLog::new(signed);
    let at = |index| Release { publisher: log.publisher(), signed_under: log.head(), index, ..minimal() };
    let code = |index| log.check(&at(index), &RecordId::from_bytes([1; 32])).map(drop).map_err(|error| error.code());
    assert_eq!(code(1023), Ok(()));
    assert_eq!(code(1024), Err("record/over-quota"));
    let pages = |count: u8| (0..count).map(|at| RecordId::from_bytes([at; 32])).collect();
    let rotation = |count| {
        let (publisher, prev, revealed) = (log.publisher(), log.head(), public(2));
        let (fresh, next) = (public(3), KeyCommitment::to_key(&public(4)));
        let rotation = Rotation { publisher, prev, revealed, key: fresh, next, pages: pages(count) };
        sign(rotation, &key(2), &main).unwrap()
    };
    let (most, more) = (rotation(16), rotation(17));
    assert_eq!(log.follow(more).map_err(|error| error.code()), Err("record/field"));
    assert_eq!(log.follow(most).map_err(|error| error.code()), Ok(crate::record::Followed::New));
}

#[test]
fn what_is_stored_is_not_hashed_again_but_claims_what_its_network_asks_for() {
    let main = Network::main();
    let again = |inception: &Inception, network: &Network| {
        let read = Unverified::<Inception>::decode(&signed_anyhow(inception, network)).unwrap();
        read.verify_again(network).map(drop)
    };
    let claimed = Inception { work: Work { level: Work::MIN_LEVEL, nonce: 0 }, ..inception() };
    assert_eq!(again(&claimed, &main), Ok(()));
    assert_eq!(again(&claimed, &network()), Err(Error::WrongWork));
    assert_eq!(again(&inception(), &main), Err(Error::WrongWork));
    assert_eq!(again(&inception(), &network()), Ok(()));
}

#[test]
fn quotas_go_up_to_the_largest() {
    let quota = |level| Work { level, nonce: 0 }.quota();
    let all: Vec<u32> = (Work::MIN_LEVEL..=Work::MAX_LEVEL).map(quota).collect();
    assert_eq!(all, [1024, 2048, 4096, 8192, MAX_QUOTA]);
    assert_eq!(Work::NONE.quota(), MAX_QUOTA);
}

#[test]
fn a_hash_says_nothing_of_what_was_hashed_before() {
    let (one, two) = (RecordId::from_bytes([1; 32]), RecordId::from_bytes([2; 32]));
    let mut memory = Memory::new();
    let first = memory.hash(&one);
    assert_ne!(memory.hash(&two), first);
    assert_eq!(memory.hash(&one), first);
    assert_eq!(Work::hash_of(&one), first);
}

#[test]
fn zero_bits_are_counted_from_the_first() {
    assert_eq!(leading_zeros(&[0x80, 0]), 0);
    assert_eq!(leading_zeros(&[0x7f, 0]), 1);
    assert_eq!(leading_zeros(&[0, 0xff]), 8);
    assert_eq!(leading_zeros(&[0, 0x0f]), 12);
    assert_eq!(leading_zeros(&[0, 0]), 16);
}

#[test]
fn of_what_was_proven_the_last_is_kept_and_so_much_of_it() {
    let id = |number: usize| {
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&number.to_be_bytes());
        RecordId::from_bytes(bytes)
    };
    let mut proven = Proven { young: BTreeSet::new(), old: BTreeSet::new() };
    for number in 0..3 * PROVEN_IDS {
        proven.keep(id(number));
    }
    assert!(proven.young.len() + proven.old.len() <= 2 * PROVEN_IDS);
    assert!((2 * PROVEN_IDS..3 * PROVEN_IDS).all(|number| proven.has(&id(number))));
    assert!(!proven.has(&id(0)));
}
