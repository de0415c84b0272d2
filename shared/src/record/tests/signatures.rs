//! A signature holds for one payload, kind, network and sound key, and has one spelling.

use ed25519_dalek::{Signature, Verifier};
use sha2::{Digest, Sha512};

use super::cbor::{entries, text, with};
use super::*;

/// The order of the group that signatures live in, least significant byte first.
const L: [u8; 32] = [
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
];

/// The points of small order, then every other encoding that decoders take for one of them.
const SMALL_ORDER: [&str; 14] = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

fn small_order() -> impl Iterator<Item = [u8; 32]> + Clone {
    SMALL_ORDER.iter().map(|hex| data_encoding::HEXLOWER.decode(hex.as_bytes()).unwrap().try_into().unwrap())
}

fn payload() -> Vec<u8> {
    codec::encode(&minimal())
}

fn message(payload: &[u8]) -> Vec<u8> {
    Kind::Release.signed_message(&network(), &Kind::Release.id_of(payload))
}

fn with_signature(signature: [u8; 64]) -> Result<Record, Error> {
    verify(&enveloped(4, &payload(), signature))
}

fn two(first: &[u8; 32], second: &[u8; 32]) -> [u8; 64] {
    [*first, *second].concat().try_into().unwrap()
}

#[test]
fn rejects_a_signature_of_another_key() {
    assert_eq!(verify(&sealed(Kind::Release, &payload(), &key(3))), Err(Error::BadSignature));
    // The key that the publisher committed to is not in force before it is revealed.
    assert_eq!(verify(&sealed(Kind::Release, &payload(), &key(2))), Err(Error::BadSignature));
    assert_eq!(verify(&sealed(Kind::Inception, &codec::encode(&inception()), &key(2))), Err(Error::BadSignature));
    assert_eq!(with_signature([0; 64]), Err(Error::BadSignature));
    assert_eq!(with_signature([0xff; 64]), Err(Error::BadSignature));
}

#[test]
fn rejects_a_signature_of_another_record() {
    let other = codec::encode(&Release { index: 1, ..minimal() });
    assert_eq!(with_signature(key(1).sign(&message(&payload())).to_bytes()).map(|record| record.id()), {
        Ok(Kind::Release.id_of(&payload()))
    });
    assert_eq!(with_signature(key(1).sign(&message(&other)).to_bytes()), Err(Error::BadSignature));
    // Nor is a signature of the bare payload or of the bare id one of the record.
    assert_eq!(with_signature(key(1).sign(&payload()).to_bytes()), Err(Error::BadSignature));
    let id = Kind::Release.id_of(&payload());
    assert_eq!(with_signature(key(1).sign(id.as_bytes()).to_bytes()), Err(Error::BadSignature));
}

#[test]
fn rejects_a_signature_for_another_network() {
    let id = Kind::Release.id_of(&payload());
    for name in ["ggen", "tes", "test2", "Test", "test\0"] {
        let network = Network::named(name).unwrap();
        let signature = key(1).sign(&Kind::Release.signed_message(&network, &id)).to_bytes();
        assert_eq!(with_signature(signature), Err(Error::BadSignature), "{name:?}");
    }
    let signed = sign(inception(), &key(1), &network()).unwrap();
    let read = Unverified::<Inception>::decode(signed.bytes()).unwrap();
    assert_eq!(read.verify(&Network::main()), Err(Error::BadSignature));
}

#[test]
fn rejects_a_signature_of_another_kind() {
    let payload = payload();
    for (message_kind, id_kind) in
        [(Kind::Inception, Kind::Release), (Kind::Release, Kind::Inception), (Kind::Inception, Kind::Inception)]
    {
        let message = message_kind.signed_message(&network(), &id_kind.id_of(&payload));
        assert_eq!(with_signature(key(1).sign(&message).to_bytes()), Err(Error::BadSignature));
    }
}

#[test]
fn no_network_kind_and_id_read_as_others() {
    let id = RecordId::from_bytes([1; 32]);
    let mut seen = std::collections::BTreeSet::new();
    for name in ["a", "aa", "a\0", "a\0\u{1}", "\u{1}a", "a\0\u{4}"] {
        for kind in [Kind::Inception, Kind::Release] {
            assert!(seen.insert(kind.signed_message(&Network::named(name).unwrap(), &id)));
        }
    }
}

/// An inception under any key, with a signature that was found for it.
fn under(key: &[u8; 32], handle: &str) -> (Vec<u8>, Vec<u8>) {
    let payload =
        codec::encode(&Inception { handle: handle.parse().unwrap(), key: PublicKey::from_bytes(*key), ..inception() });
    let message = Kind::Inception.signed_message(&network(), &Kind::Inception.id_of(&payload));
    (payload, message)
}

/// Whoever picks such a key needs no secret: with S = 0, some point of small order is R for one message in eight at worst.
#[test]
fn rejects_keys_of_small_order_with_signatures_that_verify_loosely() {
    for key in small_order() {
        let loose = VerifyingKey::from_bytes(&key).unwrap();
        let forged = (0..256).find_map(|attempt| {
            let (payload, message) = under(&key, &format!("forger-{attempt}"));
            let mut signatures = small_order().map(|r| two(&r, &[0; 32]));
            let signature = signatures.find(|it| loose.verify(&message, &Signature::from_bytes(it)).is_ok())?;
            Some(enveloped(1, &payload, signature))
        });
        let forged = forged.expect("such a signature is easy to find");
        assert_eq!(verify(&forged), Err(Error::WeakKey), "{key:02x?}");
    }
}

#[test]
fn one_signature_under_the_identity_verifies_loosely_for_every_message() {
    let identity = small_order().next().unwrap();
    let signature = Signature::from_bytes(&two(&identity, &[0; 32]));
    let loose = VerifyingKey::from_bytes(&identity).unwrap();
    assert!(loose.verify(b"one", &signature).is_ok() && loose.verify(b"other", &signature).is_ok());
    for handle in ["one", "other"] {
        let bytes = enveloped(1, &under(&identity, handle).0, signature.to_bytes());
        assert_eq!(verify(&bytes), Err(Error::WeakKey));
    }
}

/// Every encoding with a coordinate that is not reduced: nineteen, with either sign.
fn unreduced() -> impl Iterator<Item = [u8; 32]> {
    (0xed..=0xff).flat_map(|low| {
        [0x7f, 0xff].map(|high| {
            let mut bytes = [0xff; 32];
            (bytes[0], bytes[31]) = (low, high);
            bytes
        })
    })
}

#[test]
fn rejects_keys_that_are_no_point_or_not_its_one_encoding() {
    let mut decoders_take_it = 0;
    for key in unreduced() {
        decoders_take_it += u32::from(VerifyingKey::from_bytes(&key).is_ok_and(|key| !key.is_weak()));
        assert_eq!(verify(&enveloped(1, &under(&key, "x").0, [0; 64])), Err(Error::WeakKey), "{key:02x?}");
    }
    assert!(decoders_take_it > 0, "otherwise this shows nothing");
    let no_points = (0..=255).map(|byte| [byte; 32]).filter(|key| VerifyingKey::from_bytes(key).is_err());
    let mut count = 0;
    for key in no_points {
        count += 1;
        assert_eq!(verify(&enveloped(1, &under(&key, "x").0, [0; 64])), Err(Error::WeakKey), "{key:02x?}");
    }
    assert!(count > 0);
}

#[test]
fn a_coordinate_is_reduced_when_it_is_below_the_prime() {
    let prime: [u8; 32] = std::array::from_fn(|at| [0xed, 0xff, 0x7f][usize::from(at > 0) + usize::from(at == 31)]);
    for sign in [0, 0x80] {
        for (at, to, is_below) in [
            (0, 0xed, false),
            (0, 0xee, false),
            (0, 0xff, false),
            (0, 0xec, true),
            (0, 0, true),
            (1, 0xfe, true),
            (15, 0, true),
            (30, 0x7f, true),
            (31, 0x7e, true),
            (31, 0, true),
        ] {
            let mut bytes = prime;
            bytes[at] = to;
            bytes[31] |= sign;
            assert_eq!(is_reduced(&bytes), is_below, "{at} {to:x} {sign:x}");
        }
    }
}

#[test]
fn rejects_a_malleated_signature() {
    let signature = key(1).sign(&message(&payload())).to_bytes();
    let r = signature[..32].try_into().unwrap();
    let mut s: [u8; 32] = signature[32..].try_into().unwrap();
    assert!(with_signature(two(&r, &s)).is_ok());
    // S + nL means the same for every n; all that fit into its bytes are tried.
    for n in 1..16 {
        s = to_bytes(add(to_words(s), to_words(L)));
        assert_eq!(with_signature(two(&r, &s)), Err(Error::BadSignature), "S + {n}L");
    }
}

#[test]
fn rejects_a_signature_whose_r_is_another_encoding() {
    let signature = key(1).sign(&message(&payload())).to_bytes();
    let mut negated = signature;
    negated[31] ^= 0x80;
    assert_eq!(with_signature(negated), Err(Error::BadSignature));
    for r in unreduced() {
        let mut changed = signature;
        changed[..32].copy_from_slice(&r);
        assert_eq!(with_signature(changed), Err(Error::BadSignature));
    }
}

/// The key's holder can make one that loose verifiers take: R of small order, S = k·a. It would be a second signature of a
/// kind that nobody's signing makes.
#[test]
fn rejects_an_r_of_small_order_under_a_sound_key() {
    let key = key(1);
    let identity = small_order().next().unwrap();
    let message = message(&payload());
    let hash: [u8; 64] = Sha512::new()
        .chain_update(identity)
        .chain_update(key.verifying_key().as_bytes())
        .chain_update(&message)
        .finalize()
        .into();
    let signature = two(&identity, &to_bytes(multiply_mod_l(to_words(secret(&key)), &hash)));
    assert!(key.verifying_key().verify(&message, &Signature::from_bytes(&signature)).is_ok(), "loosely, it holds");
    assert_eq!(with_signature(signature), Err(Error::BadSignature));
}

#[test]
fn a_signature_holds_if_the_library_says_that_it_does_strictly() {
    let (key, message) = (key(1), message(&payload()));
    let sound = key.sign(&message).to_bytes();
    let [own, s]: [[u8; 32]; 2] = [&sound[..32], &sound[32..]].map(|half| half.try_into().unwrap());
    let mut other = own;
    other[0] ^= 1;
    let points = small_order().chain(unreduced()).chain([own, other, *key.verifying_key().as_bytes()]);
    let mut held = 0;
    for r in points {
        // Under a sound key only its holder makes one of small order verify loosely, which is what the fourth is for.
        let hash = Sha512::new().chain_update(r).chain_update(key.verifying_key()).chain_update(&message).finalize();
        let forged = to_bytes(multiply_mod_l(to_words(secret(&key)), &hash.into()));
        for s in [s, [0; 32], to_bytes(add(to_words(s), to_words(L))), forged] {
            let signature = two(&r, &s);
            let strict = key.verifying_key().verify_strict(&message, &Signature::from_bytes(&signature)).is_ok();
            assert_eq!(
                verify_strictly(&key.verifying_key(), &message, &signature).is_ok(),
                strict,
                "{r:02x?} {s:02x?}"
            );
            held += u32::from(strict);
        }
    }
    assert_eq!(held, 1);
}

#[test]
fn points_of_small_order_are_known_by_their_bytes() {
    for point in small_order().chain(unreduced()).chain([*key(1).verifying_key().as_bytes(), [3; 32]]) {
        // The library knows the encodings of a point apart, and says of each what it says of the point.
        let is_weak = VerifyingKey::from_bytes(&point).is_ok_and(|point| point.is_weak());
        let is_one_encoding = is_reduced(&point);
        assert_eq!(is_small_order(&point) && is_one_encoding, is_weak && is_one_encoding, "{point:02x?}");
    }
}

#[test]
fn rejects_a_payload_that_was_changed_after_signing() {
    let sound = sealed(Kind::Release, &payload(), &key(1));
    let [_, _, (_, signature)] = &entries(&sound)[..] else { panic!("an envelope has three entries") };
    let changed = codec::encode(&Release { index: 1, ..minimal() });
    let bytes = with(&enveloped(4, &changed, [0; 64]), "s", signature.clone());
    assert_eq!(verify(&bytes), Err(Error::BadSignature));
    assert_eq!(
        entries(&sound).iter().map(|(key, _)| key.clone()).collect::<Vec<_>>(),
        [text("k"), text("p"), text("s")]
    );
}

/// The scalar of a key, as it signs.
fn secret(key: &SigningKey) -> [u8; 32] {
    let mut secret = key.to_scalar_bytes();
    secret[0] &= 0xf8;
    secret[31] = secret[31] & 0x7f | 0x40;
    secret
}

type Words = [u64; 4];

fn to_words(bytes: [u8; 32]) -> Words {
    std::array::from_fn(|at| u64::from_le_bytes(bytes[8 * at..8 * at + 8].try_into().unwrap()))
}

fn to_bytes(words: Words) -> [u8; 32] {
    words.map(u64::to_le_bytes).concat().try_into().unwrap()
}

fn add(a: Words, b: Words) -> Words {
    let mut carry = 0;
    std::array::from_fn(|at| {
        let sum = u128::from(a[at]) + u128::from(b[at]) + carry;
        carry = sum >> 64;
        sum as u64
    })
}

/// Less L, as often as it takes.
fn reduce(mut a: Words) -> Words {
    let l = to_words(L);
    while a.iter().rev().ge(l.iter().rev()) {
        let mut borrow = 0;
        a = std::array::from_fn(|at| {
            let (less, one) = a[at].overflowing_sub(l[at]);
            let (less, two) = less.overflowing_sub(borrow);
            borrow = u64::from(one || two);
            less
        });
    }
    a
}

/// By doubling and adding, most significant bit of `by` first.
fn multiply_mod_l(a: Words, by: &[u8; 64]) -> Words {
    let a = reduce(a);
    by.iter().rev().flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1)).fold([0; 4], |product, bit| {
        let doubled = reduce(add(product, product));
        if bit == 1 { reduce(add(doubled, a)) } else { doubled }
    })
}
