use std::collections::BTreeSet;

use proptest::prelude::*;
use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char as peer;

use super::*;

fn ours(text: &str) -> String {
    nfkc(&mut text.chars()).into_iter().collect()
}

fn every_char() -> impl Iterator<Item = char> {
    '\0'..=char::MAX
}

/// Every character of the planes that have any: in those between and behind, nothing is assigned that has a meaning. The tables are
/// compared with the crate's on all of them.
fn every_assigned_char() -> impl Iterator<Item = char> {
    ('\0'..='\u{3ffff}').chain('\u{e0000}'..='\u{e0fff}')
}

/// The characters that normalisation does anything with, and some that it leaves alone.
fn chars_of_note() -> Vec<char> {
    let mut chars: BTreeSet<char> =
        "az09 \u{1100}\u{1112}\u{1161}\u{1175}\u{11a7}\u{11a8}\u{ac00}가각힣語".chars().collect();
    for c in every_assigned_char().filter(|c| peer::canonical_combining_class(*c) > 0 || nfkd(*c) != [*c]) {
        chars.insert(c);
        chars.extend(nfkd(c));
    }
    chars.into_iter().collect()
}

fn nfkd(c: char) -> Vec<char> {
    std::iter::once(c).nfkd().collect()
}

/// The two characters that compose to `c`.
fn pair(c: char) -> Option<[char; 2]> {
    let mut parts: Vec<char> = std::iter::once(c).nfd().collect();
    let second = parts.pop().filter(|_| !parts.is_empty())?;
    let [first] = parts.into_iter().nfc().collect::<Vec<_>>()[..] else { return None };
    (peer::compose(first, second) == Some(c)).then_some([first, second])
}

fn pack_number(mut number: u32, to: &mut Vec<u8>) {
    while number >= 0x80 {
        to.push(number as u8 | 0x80);
        number >>= 7;
    }
    to.push(number as u8);
}

fn pack_runs(shared: impl Fn(char) -> u8, with_shared: bool, to: &mut Vec<u8>) {
    let mut runs: Vec<(u32, u32, u8)> = Vec::new();
    for c in every_char().filter(|c| shared(*c) > 0) {
        match runs.last_mut() {
            Some((first, count, same)) if *first + *count == u32::from(c) && *same == shared(c) => *count += 1,
            _ => runs.push((u32::from(c), 1, shared(c))),
        }
    }
    pack_number(runs.len() as u32, to);
    let mut end = 0;
    for (first, count, shared) in runs {
        pack_number(first - end, to);
        pack_number(count, to);
        if with_shared {
            pack_number(shared.into(), to);
        }
        end = first + count;
    }
}

/// `nfkc.bin`, from the tables of `unicode-normalization`.
fn pack() -> Vec<u8> {
    let mut rows = [const { Vec::new() }; 4];
    let (mut count, mut at, mut before) = (0, 0, Vec::<u32>::new());
    for c in every_char().filter(|c| hangul::decompose(*c).is_none() && nfkd(*c) != [*c]) {
        let (mapping, composes) = pair(c).map_or_else(|| (nfkd(c), 0), |pair| (pair.to_vec(), 1));
        pack_number(u32::from(c) - at, &mut rows[0]);
        pack_number(mapping.len() as u32 * 2 + composes, &mut rows[1]);
        before.resize(before.len().max(mapping.len()), 0);
        for (place, c) in mapping.into_iter().enumerate() {
            let difference = u32::from(c).wrapping_sub(before[place]) as i32;
            pack_number(((difference << 1) ^ (difference >> 31)) as u32, &mut rows[2 + usize::from(place > 0)]);
            before[place] = u32::from(c);
        }
        at = u32::from(c);
        count += 1;
    }
    let mut packed = Vec::new();
    pack_number(count, &mut packed);
    packed.extend(rows.concat());
    pack_runs(peer::canonical_combining_class, true, &mut packed);
    pack_runs(|c| peer::is_combining_mark(c).into(), false, &mut packed);
    packed
}

/// With `GGEN_WRITE_TABLES` set, writes them: that is a change of the rules.
#[test]
fn the_tables_are_those_of_the_crate() {
    let packed = pack();
    if std::env::var_os("GGEN_WRITE_TABLES").is_some() {
        std::fs::write(concat!(env!("CARGO_MANIFEST_DIR"), "/src/search/nfkc.bin"), &packed).unwrap();
    }
    assert!(packed == PACKED, "nfkc.bin is not what the crate's tables pack to");
}

#[test]
fn every_character_is_as_the_crate_has_it() {
    for c in every_assigned_char() {
        assert_eq!(nfkc(&mut std::iter::once(c)), std::iter::once(c).nfkc().collect::<Vec<_>>(), "{c:?}");
        assert_eq!(TABLES.class(c), peer::canonical_combining_class(c), "{c:?}");
        assert_eq!(is_combining_mark(c), peer::is_combining_mark(c), "{c:?}");
    }
}

#[test]
fn every_two_characters_compose_as_the_crate_has_it() {
    let seconds: BTreeSet<char> = TABLES.compositions.iter().map(|((_, second), _)| *second).collect();
    for c in every_assigned_char() {
        // Each is the second of some pair if it is of any: every first of these is tried with every second.
        if let Some([first, second]) = pair(c).filter(|_| hangul::decompose(c).is_none()) {
            assert_eq!(TABLES.compose(first, second), Some(c));
        }
    }
    for first in chars_of_note() {
        for second in seconds.iter().copied().chain(['\u{1161}', '\u{1175}', '\u{11a7}', '\u{11a8}', '\u{11c2}', 'a']) {
            assert_eq!(TABLES.compose(first, second), peer::compose(first, second), "{first:?} {second:?}");
        }
    }
}

proptest! {
    #[test]
    fn any_text_is_normalised_as_the_crate_does(places in prop::collection::vec(any::<prop::sample::Index>(), 0..24)) {
        static OF_NOTE: LazyLock<Vec<char>> = LazyLock::new(chars_of_note);
        let text: String = places.iter().map(|place| *place.get(&OF_NOTE)).collect();
        prop_assert_eq!(ours(&text), text.nfkc().collect::<String>());
    }

    #[test]
    fn marks_in_any_order_are_ordered_and_composed_as_the_crate_does(text in "[ae가ᄀ\u{1161}\u{11a8}]?[\u{300}-\u{34e}\u{5b0}-\u{5bd}\u{3099}\u{93c}]{0,12}[é각]?") {
        prop_assert_eq!(ours(&text), text.nfkc().collect::<String>());
    }
}
