//! The map against a plain ordered map, and its proofs against what they claim.

mod proofs;

use std::collections::BTreeMap;
use std::sync::Arc;

use proptest::collection::{btree_map, vec};
use proptest::prelude::*;

use super::*;

type Value = Arc<[u8]>;
type Plain = BTreeMap<Vec<u8>, Value>;

fn value(number: u8) -> Value {
    [number; 3].into()
}

/// Keys that share beginnings, end inside each other, or are empty: bytes of a small alphabet.
fn key() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![Just(0), Just(1), Just(0x80), Just(0xff), Just(b'a'), Just(b'b'), any::<u8>()];
    vec(byte, 0..6)
}

fn plain(size: usize) -> impl Strategy<Value = Plain> {
    btree_map(key(), any::<u8>().prop_map(value), 0..size)
}

fn map<'a>(entries: impl IntoIterator<Item = (&'a Vec<u8>, &'a Value)>) -> Map<Value> {
    let mut map = Map::new();
    for (key, value) in entries {
        map.insert(key, value.clone()).unwrap();
    }
    map
}

/// A value that knows what keys end with, or says so wrongly.
#[derive(Debug, Clone, PartialEq)]
struct Knowing {
    value: Value,
    tail: Vec<u8>,
}

impl super::Value for Knowing {
    fn bytes(&self) -> &[u8] {
        &self.value
    }

    fn tail(&self) -> &[u8] {
        &self.tail
    }
}

/// The root as the module's prose defines it, in the plainest way.
fn root_by_definition(entries: &[(&Vec<u8>, &Value)]) -> Hash {
    fn bits(key: &[u8]) -> Vec<bool> {
        let of_byte =
            |byte: &u8| std::iter::once(true).chain((0..8).rev().map(|at| byte >> at & 1 == 1)).collect::<Vec<_>>();
        key.iter().flat_map(of_byte).chain([false]).collect()
    }
    let hashed = |bytes: &[u8]| {
        let mut padded = bytes.to_vec();
        padded.resize(bytes.len().div_ceil(64) * 64, 0);
        Hash(*blake3::keyed_hash(b"ggen marketplace 2026 merkle map", &padded).as_bytes())
    };
    match entries {
        [] => hashed(&[0]),
        [(key, value)] => {
            let key_length = u16::try_from(key.len()).unwrap().to_be_bytes();
            let value_length = u32::try_from(value.len()).unwrap().to_be_bytes();
            hashed(&[&[1], &key_length[..], &value_length, key, value].concat())
        }
        _ => {
            let all: Vec<_> = entries.iter().map(|(key, _)| bits(key)).collect();
            let bit = (0..).find(|at| all.iter().any(|bits| bits[*at] != all[0][*at])).unwrap();
            let (left, right): (Vec<_>, Vec<_>) = entries.iter().partition(|(key, _)| !bits(key)[bit]);
            let mut prefix = entries[0].0[..bit / 9].to_vec();
            if bit % 9 > 0 {
                let known = &all[0][bit / 9 * 9 + 1..bit];
                prefix.push(known.iter().enumerate().map(|(at, bit)| u8::from(*bit) << (7 - at)).sum());
            }
            let count = |side: &[_]| (side.len() as u64).to_be_bytes();
            let (left_hash, right_hash) = (root_by_definition(&left), root_by_definition(&right));
            let bit = u16::try_from(bit).unwrap().to_be_bytes();
            hashed(&[&[2], &bit[..], &count(&left), &count(&right), &left_hash.0, &right_hash.0, &prefix].concat())
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn the_root_is_what_the_definition_says(plain in plain(60)) {
        prop_assert_eq!(map(&plain).root(), root_by_definition(&plain.iter().collect::<Vec<_>>()));
    }

    #[test]
    fn any_order_any_batches_and_any_detour_give_one_root(plain in plain(120), detour in plain(60), seed in any::<u64>()) {
        let straight = map(&plain);
        let sorted: Vec<_> = plain.iter().map(|(key, value)| (key, value.clone())).collect();
        let built = Map::from_sorted(&sorted).unwrap();
        prop_assert_eq!(built.root(), straight.root());

        let mut shuffled: Vec<_> = plain.iter().collect();
        shuffled.sort_by_key(|(key, _)| blake3::keyed_hash(&[seed.to_be_bytes()[0]; 32], key).to_hex().to_string());
        let mut way = map(&detour);
        for (step, (key, value)) in shuffled.into_iter().enumerate() {
            way.insert(key, value.clone()).unwrap();
            if step % 7 == 0 {
                // A root that is asked for on the way, and a snapshot, change nothing.
                let snapshot = way.clone();
                way.root();
                drop(snapshot);
            }
        }
        for key in detour.keys().filter(|key| !plain.contains_key(*key)) {
            prop_assert!(way.remove(key));
        }
        prop_assert_eq!(way.root(), straight.root());
        prop_assert_eq!(way.len(), plain.len() as u64);
    }

    #[test]
    fn it_holds_what_a_plain_map_holds(plain in plain(80), others in vec(key(), 0..20), after in key()) {
        let mut map = map(&plain);
        for (key, value) in &plain {
            prop_assert_eq!(map.get(key), Some(value));
        }
        for prefix in others.iter().chain(plain.keys()).map(|key| &key[..key.len() / 2]).chain([&[][..]]) {
            let under: Vec<_> = plain.iter().filter(|(key, _)| key.starts_with(prefix)).collect();
            let found: Vec<_> = map.iter(prefix).map(|(key, value)| (key.to_vec(), value)).collect();
            prop_assert!(found.iter().map(|(key, value)| (key, *value)).eq(under.iter().copied()));
            prop_assert_eq!(map.count(prefix), under.len() as u64);
            prop_assert_eq!(map.hash(prefix).is_some(), !under.is_empty());
            let behind: Vec<_> = map.iter_after(prefix, &after).map(|(key, _)| key.to_vec()).collect();
            let expected: Vec<_> = under.iter().map(|(key, _)| (*key).clone()).filter(|key| *key > after).collect();
            prop_assert_eq!(behind, expected);
        }
        let root = map.root();
        for key in others.iter().filter(|key| !plain.contains_key(*key)) {
            prop_assert_eq!(map.get(key), None);
            prop_assert!(!map.remove(key));
        }
        prop_assert_eq!(map.root(), root);
        for key in plain.keys() {
            prop_assert!(map.remove(key));
        }
        prop_assert!(map.is_empty());
        prop_assert_eq!(map.root(), Hash::empty());
    }

    #[test]
    fn a_snapshot_stays_as_it_was(plain in plain(80), changes in plain(40)) {
        let mut map = map(&plain);
        let snapshot = map.clone();
        let root = map.root();
        for (at, (key, value)) in changes.iter().enumerate() {
            if at % 2 == 0 { map.insert(key, value.clone()).unwrap(); } else { map.remove(key); }
        }
        prop_assert_eq!(snapshot.root(), root);
        prop_assert!(snapshot.iter(&[]).map(|(key, value)| (key.to_vec(), value.clone())).eq(plain.clone()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn a_map_is_the_same_whatever_its_values_know_of_keys(plain in plain(100), lengths in vec(0_usize..7, 100), others in vec(key(), 0..20)) {
        let known = |key: &Vec<u8>, value: &Value, length: usize| {
            // The whole key, a part of it, nothing; and one byte that it does not end with.
            let tail = key.get(key.len().saturating_sub(length)..).filter(|_| length < 6);
            Knowing { value: value.clone(), tail: tail.map_or_else(|| vec![b'z'], <[u8]>::to_vec) }
        };
        let expected = map(&plain);
        let entries: Vec<_> = plain.iter().zip(lengths.iter().cycle()).map(|((key, value), length)| (key, known(key, value, *length))).collect();
        let built = Map::from_sorted(&entries).unwrap();
        let (mut one_by_one, mut set) = (Map::new(), Map::new());
        for (key, value) in &entries {
            one_by_one.insert(key, value.clone()).unwrap();
            set.insert(key, Knowing { value: [9, 9].as_slice().into(), tail: value.tail[value.tail.len() / 2..].to_vec() }).unwrap();
        }
        for (key, value) in entries.iter().rev() {
            set.insert(key, value.clone()).unwrap();
        }
        for here in [built, one_by_one, set] {
            prop_assert_eq!(here.root(), expected.root());
            prop_assert!(here.iter(&[]).map(|(key, value)| (key.to_vec(), value.clone())).eq(entries.iter().map(|(key, value)| ((*key).clone(), value.clone()))));
            for key in others.iter().chain(plain.keys()) {
                prop_assert_eq!(here.get(key).map(|known| &known.value), plain.get(key));
                prop_assert_eq!(here.count(key), expected.count(key));
                let behind = |(key, _): (Key, _)| key.to_vec();
                let (here_behind, expected_behind): (Vec<_>, Vec<_>) = (here.iter_after(&[], key).map(|it| behind((it.0, ()))).collect(), expected.iter_after(&[], key).map(|it| behind((it.0, ()))).collect());
                prop_assert_eq!(here_behind, expected_behind);
            }
            let mut fewer = here.clone();
            for key in plain.keys().step_by(2) {
                prop_assert!(fewer.remove(key));
            }
            prop_assert_eq!(fewer.root(), map(plain.iter().skip(1).step_by(2)).root());
        }
    }
}

#[test]
fn the_longest_keys_that_differ_most_are_kept_whole() {
    let keys: Vec<Vec<u8>> = (0..=u8::MAX).map(|number| vec![number; MAX_KEY_BYTES]).collect();
    for known in [0, 1, MAX_KEY_BYTES / 2, MAX_KEY_BYTES] {
        let value = |key: &Vec<u8>| Knowing { value: value(1), tail: key[..known].to_vec() };
        let map = Map::from_sorted(&keys.iter().map(|key| (key, value(key))).collect::<Vec<_>>()).unwrap();
        assert!(map.iter(&[]).map(|(key, _)| key.to_vec()).eq(keys.iter().cloned()));
    }
}

#[test]
fn nodes_of_every_length_are_hashed_as_the_definition_says() {
    // More than are hashed at once, of one block and of many.
    let entry = |number: u16| {
        let filling = (0..=u8::MAX).cycle().skip(usize::from(number));
        let key: Vec<u8> =
            number.to_be_bytes().into_iter().chain(filling.clone()).take(usize::from(number) * 7 % 193).collect();
        (key, filling.take(usize::from(number) * 11 % 701).collect::<Value>())
    };
    let mut plain: Plain = (0..700).map(entry).collect();
    let mut map = map(&plain);
    for number in 700..703 {
        assert_eq!(map.root(), root_by_definition(&plain.iter().collect::<Vec<_>>()));
        let (key, value) = entry(number);
        map.insert(&key, value.clone()).unwrap();
        plain.insert(key, value);
    }
    let sorted: Vec<_> = plain.into_iter().collect();
    assert_eq!(Map::from_sorted(&sorted).unwrap().root(), map.root());
}

#[test]
fn zeros_at_the_end_are_not_the_filling() {
    let roots = [&[][..], &[0], &[0, 0], &[0; 64], &[0; 500]].map(|value| Hash::leaf(b"key", value));
    let keys = [&[][..], &[0], &[0, 0], &[0; 64]].map(|key| Hash::leaf(key, &[]));
    let all: std::collections::BTreeSet<_> = roots.into_iter().chain(keys).collect();
    assert_eq!(all.len(), roots.len() + keys.len());
}

#[test]
fn a_key_that_is_too_long_is_refused_and_changes_nothing() {
    let mut map = map([]);
    map.insert(&[7; MAX_KEY_BYTES], value(1)).unwrap();
    let root = map.root();
    assert!(map.insert(&[7; MAX_KEY_BYTES + 1], value(1)).is_err());
    assert_eq!((map.root(), map.len()), (root, 1));
    assert!(Map::from_sorted(&[(vec![7; MAX_KEY_BYTES + 1], value(1))]).is_none());
    assert_eq!(Map::from_sorted(&[(vec![7; MAX_KEY_BYTES], value(1))]), Some(map));
}

#[test]
fn entries_out_of_order_or_twice_are_no_sorted_ones() {
    assert!(Map::from_sorted(&[(b"b".to_vec(), value(1)), (b"a".to_vec(), value(1))]).is_none());
    assert!(Map::from_sorted(&[(b"a".to_vec(), value(1)), (b"a".to_vec(), value(1))]).is_none());
    assert_eq!(Map::<Value>::from_sorted::<Vec<u8>>(&[]).unwrap().root(), Hash::empty());
}

#[test]
fn a_hash_is_shown_as_its_bytes() {
    let mut bytes = [0; Hash::BYTES];
    bytes[..2].copy_from_slice(&[0x0a, 0xff]);
    assert_eq!(Hash::from_bytes(bytes).to_string(), format!("0aff{}", "00".repeat(30)));
}

#[test]
fn maps_are_equal_that_have_the_same_entries() {
    let of = |entries: &[(&str, u8)]| {
        let mut map = Map::new();
        entries.iter().for_each(|(key, number)| map.insert(key.as_bytes(), value(*number)).unwrap());
        map
    };
    assert_eq!(of(&[("a", 1), ("b", 2)]), of(&[("b", 2), ("a", 1)]));
    assert!(of(&[]).is_empty() && !of(&[("a", 1)]).is_empty());
    for other in [of(&[]), of(&[("a", 1)]), of(&[("a", 2)]), of(&[("b", 1)])] {
        assert_eq!(other == of(&[("a", 1)]), other.get(b"a") == Some(&value(1)));
    }
}

#[test]
fn maps_are_joined_that_stand_apart_and_in_order() {
    let of = |keys: &[&str]| map(&keys.iter().map(|key| (key.as_bytes().to_vec(), value(1))).collect::<Plain>());
    let join = |parts: &[&[&str]]| Map::join(parts.iter().map(|keys| of(keys)).collect());
    // `a` and `b` differ in the same bit as `a` and `c`, and so do `b` and `d`.
    for apart in [&[&["a"][..], &["b", "c"]][..], &[&["a", "b"], &[], &["x", "y"], &["z"]], &[&["a"], &["ab", "abc"]]] {
        assert_eq!(join(apart), Some(of(&apart.concat())), "{apart:?}");
    }
    for other in [&[&["a", "c"][..], &["b"]][..], &[&["a"], &["b", "d"]], &[&["b"], &["a"]], &[&["a"], &["a"]]] {
        assert_eq!(join(other), None, "{other:?}");
    }
}

#[test]
fn a_joined_map_is_made_like_one_that_was_made_at_once() {
    for count in [2, BUCKET, BUCKET + 1, 10 * BUCKET] {
        let entries: Vec<_> = (0..u16::try_from(count).unwrap()).map(|at| (at.to_be_bytes(), value(1))).collect();
        let parts = entries.chunk_by(|one, next| one.0[1] >> 2 == next.0[1] >> 2);
        let joined = Map::join(parts.map(|part| Map::from_sorted(part).unwrap()).collect()).unwrap();
        assert_eq!(format!("{joined:?}"), format!("{:?}", Map::from_sorted(&entries).unwrap()));
    }
}
