//! Every proof verifies and shows what is there; no mutated one does.

use proptest::sample::Index;

use super::super::proof::{
    ENTRY_IN_RANGE, Error, HIDDEN, JOIN, JOIN_WITH_PREFIX, NAMED, Piece, Prefix, Range, verify_levels, verify_run,
    verify_run_with_names,
};
use super::*;

fn range(prefix: &[u8], after: Option<Vec<u8>>) -> Range {
    Range { prefix: Prefix::of(prefix), after }
}

/// What a proof shows must be what there is, whatever was asked.
fn check(plain: &Plain, map: &Map<Value>, range: &Range, limit: usize) -> Result<Vec<u8>, TestCaseError> {
    let proof = map.prove(range, limit);
    let prefix = range.prefix.parts().1;
    let run = verify_run(&map.root(), range, &proof).map_err(|error| TestCaseError::fail(error.to_string()))?;
    let all: Vec<_> = plain.iter().filter(|(key, _)| key.starts_with(prefix)).collect();
    let is_behind = |key: &Vec<u8>| range.after.as_ref().is_none_or(|after| key > after);
    let inside: Vec<_> = all.iter().filter(|(key, _)| is_behind(key)).collect();
    // An entry that nothing but its key says to be in the range can't be hidden.
    let limit = if limit == 0 { run.entries.len().min(1) } else { limit };
    let expected: Vec<_> = inside.iter().take(limit).map(|(key, value)| ((*key).clone(), &value[..])).collect();
    prop_assert_eq!(&run.entries, &expected);
    prop_assert_eq!(run.total(), all.len() as u64);
    prop_assert_eq!(run.rest, (inside.len() - expected.len()) as u64);
    prop_assert_eq!(run.hash, map.hash(prefix));
    check_with_names(map, range, limit, &proof)?;
    Ok(proof)
}

/// What is named shows the same as what is written out, whichever entries are named.
fn check_with_names(map: &Map<Value>, range: &Range, limit: usize, proof: &[u8]) -> Result<(), TestCaseError> {
    let run = verify_run(&map.root(), range, proof).unwrap();
    for every in [1, 2] {
        // Entries before the beginning of the range begin with its bytes too, and follow from nothing.
        let named = map.prove_with_names(range, limit, &mut |rest| {
            let is_it = |(key, _): &(Vec<u8>, &[u8])| key[range.prefix.parts().1.len()..] == *rest;
            let at = run.entries.iter().position(is_it).filter(|at| at % every == 0)?;
            Some((at as u64, 7))
        });
        let names = |number: u64, more: u8| {
            assert_eq!(more, 7);
            run.entries.get(usize::try_from(number).unwrap()).cloned()
        };
        prop_assert_eq!(verify_run_with_names(&map.root(), range, &named, &names), Ok(run.clone()));
        let is_any_named = !run.entries.is_empty();
        prop_assert_eq!(verify_run(&map.root(), range, &named).is_err(), is_any_named);
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_proof_verifies_and_shows_what_is_there(
        plain in plain(80), others in vec(key(), 1..8), after in proptest::option::of(key()), limit in 0_usize..30,
    ) {
        let map = map(&plain);
        let ends = plain.keys().chain(&others).flat_map(|key| [key.len(), key.len() / 2, 0].map(|end| &key[..end]));
        for prefix in ends {
            check(&plain, &map, &range(prefix, after.clone()), limit)?;
        }
    }

    #[test]
    fn no_mutated_proof_shows_anything_else(
        plain in plain(40), prefix in key(), after in proptest::option::of(key()), limit in 0_usize..20,
        at in any::<Index>(), flip in 1_u8..=255, cut in any::<Index>(), from in any::<Index>(),
    ) {
        let map = map(&plain);
        let range = range(&prefix[..prefix.len() / 3], after);
        let proof = check(&plain, &map, &range, limit)?;
        let mut mutants = Vec::new();
        for at in 0..proof.len() {
            let mut flipped = proof.clone();
            flipped[at] ^= flip;
            mutants.push(flipped);
            let mut removed = proof.clone();
            removed.remove(at);
            mutants.push(removed);
        }
        if !proof.is_empty() {
            let mut added = proof.clone();
            added.insert(at.index(proof.len()), flip);
            mutants.push(added);
            let (one, other) = (cut.index(proof.len()), from.index(proof.len()));
            let (start, end) = (one.min(other), one.max(other));
            mutants.extend([proof[..one].to_vec(), proof[one..].to_vec(), [&proof[end..], &proof[start..end], &proof[..start]].concat()]);
        }
        mutants.push([&proof[..], &[flip]].concat());
        for mutant in mutants.into_iter().filter(|mutant| *mutant != proof) {
            // Not even as another way to write the same.
            prop_assert!(verify_run(&map.root(), &range, &mutant).is_err(), "the mutant {:?} of {:?} verifies", mutant, proof);
        }
    }

    #[test]
    fn a_proof_of_another_map_or_range_shows_nothing_false(plain in plain(40), other in plain(40), one in key(), two in key()) {
        let (here, there) = (map(&plain), map(&other));
        let proof = there.prove(&range(&one, None), 5);
        if here.root() != there.root() {
            prop_assert!(verify_run(&here.root(), &range(&one, None), &proof).is_err());
        }
        if let Ok(run) = verify_run(&there.root(), &range(&two, None), &proof) {
            let shown: Vec<_> = run.entries.iter().map(|(key, value)| (key.clone(), Value::from(*value))).collect();
            let under: Vec<_> = other.iter().filter(|(key, _)| key.starts_with(&two)).map(|(key, value)| (key.clone(), value.clone())).collect();
            prop_assert!(under.starts_with(&shown));
            prop_assert_eq!(run.total(), under.len() as u64);
        }
    }

    #[test]
    fn bytes_that_are_no_proof_never_panic(bytes in vec(any::<u8>(), 0..400), prefix in key()) {
        let root = Hash::leaf(b"a", b"b");
        prop_assert!(verify_run(&root, &range(&prefix, None), &bytes).is_err());
        prop_assert!(verify_levels(&root, &Prefix::of(&prefix), 0, &bytes).is_err());
    }

    #[test]
    fn a_descent_finds_exactly_what_differs(plain in plain(80), other in plain(12), gone in vec(any::<Index>(), 0..5), levels in 0_u8..6) {
        let here = map(&plain);
        let mut there_plain = plain.clone();
        there_plain.extend(other);
        for index in gone {
            if let Some(key) = there_plain.keys().nth(index.index(there_plain.len().max(1))).cloned() {
                there_plain.remove(&key);
            }
        }
        let there = map(&there_plain);
        let (mut ask, mut missing, mut rounds) = (vec![Prefix::of(&[])], Vec::new(), 0);
        while let Some(prefix) = ask.pop() {
            let proof = there.prove_levels(&prefix, levels + 1);
            let (pieces, hash) = verify_levels(&there.root(), &prefix, levels + 1, &proof).map_err(|error| TestCaseError::fail(error.to_string()))?;
            prop_assert_eq!(hash, there.hash_under(&prefix));
            let (differing, found) = here.differing(pieces);
            for prefix in &differing {
                let (bits, bytes) = prefix.parts();
                let again = Prefix::from_parts(bits, bytes.to_vec());
                prop_assert_eq!(again.as_ref(), Some(prefix));
            }
            ask.extend(differing);
            missing.extend(found.into_iter().map(|(key, value)| (key, Value::from(value))));
            rounds += 1;
            prop_assert!(rounds < 400, "the descent does not end");
        }
        missing.sort();
        let expected: Vec<_> = there_plain.into_iter().filter(|(key, value)| plain.get(key) != Some(value)).collect();
        prop_assert_eq!(missing, expected);
    }
}

/// A map with every shape: one entry, deep and shallow, keys inside keys.
fn sample() -> Map<Value> {
    let mut map = Map::new();
    for word in ["", "a", "ab", "abc", "b", "serde", "serde_json", "serde_yaml", "tokio", "tower", "tower-http"] {
        map.insert(word.as_bytes(), value(u8::try_from(word.len()).unwrap())).unwrap();
    }
    for number in 0..60_u8 {
        map.insert(&[b'x', number, number], value(number)).unwrap();
    }
    map
}

#[test]
fn every_bit_of_a_proof_counts() {
    let map = sample();
    for (prefix, limit) in
        [(&b"serde"[..], 9), (b"x", 3), (b"x", 0), (b"nothing", 9), (b"", 0), (b"", 99), (b"tower", 1)]
    {
        let range = range(prefix, None);
        let proof = map.prove(&range, limit);
        assert!(verify_run(&map.root(), &range, &proof).is_ok());
        // Of the longest proof, one bit of each byte: the others have every shape that it has.
        for at in (0..proof.len() * 8).step_by(if limit == 99 { 9 } else { 1 }) {
            let mut flipped = proof.clone();
            flipped[at / 8] ^= 1 << (at % 8);
            assert!(verify_run(&map.root(), &range, &flipped).is_err(), "bit {at} of the proof of {prefix:?}");
        }
    }
}

#[test]
fn a_part_of_the_range_can_not_be_hidden() {
    let map = sample();
    // An honest proof for a narrower range hides what lies beside it, and is none for the wider one.
    let narrow = map.prove(&range(b"serde_", None), 9);
    assert!(verify_run(&map.root(), &range(b"serde_", None), &narrow).is_ok());
    assert!(verify_run(&map.root(), &range(b"serde", None), &narrow).is_err());
    // A root that hides everything shows nothing of a narrower range.
    let whole = map.prove(&range(b"", None), 0);
    assert!(verify_run(&map.root(), &range(b"", None), &whole).is_ok());
    assert_eq!(verify_run(&map.root(), &range(b"serde", None), &whole), Err(Error::Incomplete));
}

#[test]
fn the_count_of_what_is_hidden_can_not_lie() {
    // Two hidden subtrees under one join: their sum stays the same, each of them lies.
    let map = sample();
    let range = range(b"x", None);
    let proof = map.prove(&range, 0);
    let honest = verify_run(&map.root(), &range, &proof).unwrap();
    assert_eq!((honest.total(), honest.rest), (60, 60));
    let counts: Vec<_> =
        (0..proof.len()).filter(|at| proof[*at] == 2 && (20..50).contains(proof.get(at + 1).unwrap_or(&0))).collect();
    assert!(counts.len() >= 2);
    for pair in counts.windows(2) {
        let mut lie = proof.clone();
        lie[pair[0] + 1] += 1;
        lie[pair[1] + 1] -= 1;
        assert!(verify_run(&map.root(), &range, &lie).is_err());
    }
}

#[test]
fn the_whole_map_can_not_be_hidden() {
    let map = sample();
    let root = map.root();
    // Nothing says how many entries it has: the root is the same, whatever number stands before it.
    for count in [1, 71, 72, 100] {
        let hidden = [&[2, count][..], root.as_bytes()].concat();
        for prefix in [&b""[..], b"x"] {
            assert_eq!(verify_run(&root, &range(prefix, None), &hidden), Err(Error::Incomplete));
            assert_eq!(verify_levels(&root, &Prefix::of(prefix), 0, &hidden), Err(Error::Incomplete));
        }
    }
    let honest = map.prove(&range(b"", None), 0);
    assert_eq!(verify_run(&root, &range(b"", None), &honest).map(|run| (run.entries.len(), run.rest)), Ok((0, 71)));
    let one = Map::from_sorted(&[(b"a".to_vec(), value(1))]).unwrap();
    let shown = one.prove(&range(b"", None), 0);
    assert_eq!(verify_run(&one.root(), &range(b"", None), &shown).map(|run| (run.entries.len(), run.rest)), Ok((1, 0)));
}

#[test]
fn a_descent_shows_what_stands_alone() {
    // The key that ends where another goes on has no bits to ask by.
    let map = Map::from_sorted(&[(b"a".to_vec(), value(1)), (b"ab".to_vec(), value(2))]).unwrap();
    let all = Prefix::of(b"");
    let honest = map.prove_levels(&all, 0);
    let (pieces, hash) = verify_levels(&map.root(), &all, 0, &honest).unwrap();
    assert!(pieces.iter().all(|piece| matches!(piece, Piece::Entry { .. })) && pieces.len() == 2);
    assert_eq!(hash, Some(map.root()));
    let hidden = |key: &[u8], number| [&[2, 1][..], Hash::leaf(key, &value(number)).as_bytes()].concat();
    let lie = [&hidden(b"a", 1)[..], &hidden(b"ab", 2), &[4, 0, 9], b"a"].concat();
    assert_eq!(verify_levels(&map.root(), &all, 0, &lie), Err(Error::Incomplete));
    assert!(
        verify_run(&map.root(), &range(b"b", None), &lie).is_ok(),
        "it is a sound proof that nothing begins with b"
    );
}

#[test]
fn a_deep_tree_costs_its_proof_and_no_stack() {
    // Each key leaves the next one bit later: the deepest tree that keys can make.
    let mut map = Map::new();
    let key = |bits: usize| {
        let mut key = vec![0xff_u8; bits / 8];
        key.push(if bits.is_multiple_of(8) { 0 } else { 0xff << (8 - bits % 8) });
        key
    };
    let count = (MAX_KEY_BYTES - 1) * 8;
    for bits in 0..count {
        map.insert(&key(bits), value(0)).unwrap();
    }
    let range = range(&key(count - 1), None);
    let proof = map.prove(&range, 10);
    assert_eq!(verify_run(&map.root(), &range, &proof).unwrap().entries.len(), 1);
    assert!(proof.len() > count * 32);
    assert_eq!(map.iter(&[]).count(), count);
    let snapshot = map.clone();
    for bits in (0..count).rev() {
        assert!(map.remove(&key(bits)));
    }
    assert_eq!((map.root(), snapshot.len()), (Hash::empty(), count as u64));
}

#[test]
fn the_deepest_proof_is_read_and_what_no_keys_can_make_is_refused_at_once() {
    // A key for each bit of the longest one that leaves it there, and one for each byte that ends there.
    let longest = vec![0xff_u8; MAX_KEY_BYTES];
    let mut map = Map::new();
    for byte in 0..MAX_KEY_BYTES {
        map.insert(&longest[..byte], value(0)).unwrap();
        for bit in 0..8 {
            map.insert(&[&longest[..byte], &[!(0xff >> bit)]].concat(), value(0)).unwrap();
        }
    }
    map.insert(&longest, value(1)).unwrap();
    let range = range(&longest, None);
    let run = verify_run(&map.root(), &range, &map.prove(&range, 1)).map(|run| run.entries.len());
    assert_eq!(run, Ok(1));
    // Entries of three bytes that are never joined, each with a key as long as can be.
    let endless = [0, 0, 0].repeat(300_000);
    assert_eq!(verify_run(&map.root(), &range, &endless), Err(Error::Contradiction(3 * (9 * MAX_KEY_BYTES + 2))));
}

#[test]
fn what_differs_under_a_prefix_that_is_not_there_is_nothing() {
    let map = sample();
    let proof = map.prove_levels(&Prefix::of(b"zzz"), 3);
    assert_eq!(verify_levels(&map.root(), &Prefix::of(b"zzz"), 3, &proof), Ok((Vec::<Piece<'_>>::new(), None)));
    let nothing = Map::<Value>::new();
    assert!(nothing.prove_levels(&Prefix::of(b"a"), 3).is_empty());
    assert_eq!(verify_levels(&nothing.root(), &Prefix::of(b"a"), 3, &[]), Ok((Vec::new(), None)));
}

#[test]
fn a_prefix_of_a_message_is_checked() {
    assert!(Prefix::from_parts(9, b"a".to_vec()).is_some());
    assert!(Prefix::from_parts(9, b"ab".to_vec()).is_none(), "too long");
    assert!(Prefix::from_parts(10, b"a".to_vec()).is_none(), "too short");
    assert!(Prefix::from_parts(11, b"a\x80".to_vec()).is_some());
    assert!(Prefix::from_parts(11, b"a\xc0".to_vec()).is_none(), "bits behind the prefix");
    assert!(Prefix::from_parts(10, b"a\x80".to_vec()).is_none(), "bits behind the prefix");
    assert!(Prefix::from_parts(10, b"a\0".to_vec()).is_some());
    let long = vec![0; MAX_KEY_BYTES + 1];
    assert!(Prefix::from_parts(u16::try_from(long.len() * 9).unwrap(), long).is_none(), "longer than any key");
}

#[test]
fn a_key_that_ends_where_others_go_on_stands_apart_from_them() {
    let end = super::bits::of_bytes(b"ab");
    let [ends, goes_on] = [false, true].map(|goes_right| Prefix::child(b"ab", end, goes_right));
    assert!(ends.holds(b"ab") && !ends.holds(b"abc") && !ends.holds(b"a"));
    assert!(goes_on.holds(b"abc") && !goes_on.holds(b"ab"));
    assert!(Prefix::of(b"ab").encloses(&ends) && Prefix::of(b"ab").encloses(&goes_on) && !ends.encloses(&goes_on));
}

/// Operations of a proof, as its bytes have them.
fn hidden(count: u8, hash: &Hash) -> Vec<u8> {
    [&[HIDDEN, count][..], hash.as_bytes()].concat()
}

fn entry(key: &[u8]) -> Vec<u8> {
    [&[ENTRY_IN_RANGE, key.len() as u8][..], key, &[3], &value(1)].concat()
}

const fn join(bit: u8) -> [u8; 3] {
    [JOIN, 0, bit]
}

#[test]
fn what_is_hidden_before_an_entry_makes_it_no_leading_run() {
    let map = sample();
    let behind = range(b"serde", Some(b"serde_json".to_vec()));
    let proof = map.prove(&behind, 9);
    assert_eq!(verify_run(&map.root(), &behind, &proof).map(|run| (run.skipped, run.entries.len())), Ok((2, 1)));
    assert_eq!(verify_run(&map.root(), &range(b"serde", None), &proof), Err(Error::Incomplete));
}

#[test]
fn a_descent_can_not_hide_an_entry_nor_what_has_no_bits_to_ask_by() {
    let all = Prefix::of(b"");
    let leaf = |key: &[u8]| Hash::leaf(key, &value(1));
    let [a, ab] = [&b"a"[..], b"ab"].map(leaf);
    let end = 9;
    // One entry, with bits to ask by.
    let alone = [entry(b"a"), hidden(1, &ab), join(end).to_vec()].concat();
    let root = Hash::inner(end.into(), b"a", (1, &a), (1, &ab));
    assert_eq!(verify_levels(&root, &all, 0, &alone), Err(Error::Incomplete));
    // Two entries, of which nothing says in what they could differ.
    let bitless = [hidden(2, &a), entry(b"ab"), join(end).to_vec()].concat();
    let root = Hash::inner(end.into(), b"a", (2, &a), (1, &ab));
    assert_eq!(verify_levels(&root, &all, 0, &bitless), Err(Error::Incomplete));
}

#[test]
fn a_join_contradicts_itself_whose_sides_do_not_differ_just_there() {
    let hash = Hash::leaf(b"", b"");
    let no_order = [&hidden(1, &hash)[..], &hidden(1, &hash), &[JOIN_WITH_PREFIX, 0, 9, b'a']].concat();
    let contradictions: [&[Vec<u8>]; 4] = [
        // A join above another one is at a bit before it.
        &[no_order, hidden(1, &hash), join(9).to_vec()],
        // A key that has the bit stands on the right.
        &[entry(&[0x80]), hidden(1, &hash), join(1).to_vec()],
        &[hidden(1, &hash), entry(&[0]), join(1).to_vec()],
        // They differ before it.
        &[entry(&[0, 0]), entry(&[0x80, 0x80]), join(10).to_vec()],
    ];
    for proof in contradictions.map(<[_]>::concat) {
        let at = proof.len() - 3;
        assert_eq!(verify_run(&hash, &range(b"", None), &proof), Err(Error::Contradiction(at)), "{proof:?}");
    }
}

#[test]
fn as_many_levels_are_demanded_as_were_asked_for() {
    let keys = (0..4_u8).flat_map(|first| (0..40_u8).map(move |second| (vec![first, second], value(1))));
    let map = Map::from_sorted(&keys.collect::<Vec<_>>()).unwrap();
    for prefix in [Prefix::of(b""), Prefix::of(&[1]), Prefix::child(&[1, 32], 10, true), Prefix::of(&[9])] {
        for levels in 0..=7 {
            for shown in 0..=7 {
                let proof = map.prove_levels(&prefix, shown);
                let verified = verify_levels(&map.root(), &prefix, levels, &proof);
                let hides = verified_hides(&verify_levels(&map.root(), &prefix, 0, &proof).unwrap().0);
                assert_eq!(
                    verified.is_ok(),
                    !hides || shown.max(u8::from(prefix.parts().0 == 0)) >= levels,
                    "{shown} of {levels}"
                );
            }
        }
    }
}

fn verified_hides(pieces: &[Piece<'_>]) -> bool {
    pieces.iter().any(|piece| matches!(piece, Piece::Hidden { .. }))
}

#[test]
fn what_stands_beside_a_prefix_is_hidden_as_one() {
    let keys = (0..2_u8).flat_map(|first| (0..20_u8).map(move |second| (vec![first, second], value(1))));
    let map = Map::from_sorted(&keys.collect::<Vec<_>>()).unwrap();
    let hashes = |proof: &[u8]| proof.len() / Hash::BYTES;
    for prefix in [[0], [1]].map(|prefix| Prefix::of(&prefix)) {
        for (levels, shown) in [(0, 1), (1, 2), (2, 4)] {
            let proof = map.prove_levels(&prefix, levels);
            let (pieces, _) = verify_levels(&map.root(), &prefix, levels, &proof).unwrap();
            assert_eq!((pieces.len(), hashes(&proof)), (shown, shown + 1), "{levels}");
        }
    }
}

#[test]
fn a_name_costs_what_it_stands_for_once() {
    let range = range(b"a", None);
    for (numbers, asked) in [(&[0, 1, 5][..], 3), (&[0, 0, 0], 1), (&[3, 2, 4], 1), (&[u64::MAX, 0], 1)] {
        let proof = numbers.iter().flat_map(|number| {
            let mut name = vec![NAMED];
            crate::varint::put(&mut name, *number);
            name.push(0);
            name
        });
        let calls = std::cell::Cell::new(0);
        let names = |number: u64, _: u8| {
            calls.set(calls.get() + 1);
            Some((format!("a{number}").into_bytes(), &b"value"[..]))
        };
        // Nothing joins them, so they are no proof; what was done to find out is what counts.
        assert!(verify_run_with_names(&Hash::empty(), &range, &proof.collect::<Vec<_>>(), &names).is_err());
        assert_eq!(calls.get(), asked, "{numbers:?}");
    }
}
