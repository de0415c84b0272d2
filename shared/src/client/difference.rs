//! What two relays commit to differently within a range: a descent that asks both of them for the same, until only single entries are left.
//!
//! Pure: it says what to ask both next, and is told what their proofs show. It believes neither, and counts no heads: a difference is
//! looked at even if it is against a majority. Work is bounded by [`MAX_QUESTIONS`] and [`MAX_DISPUTED`]; what ranks first is looked at first.

use crate::catalogue::find::MAX_WALKED;
use crate::merkle::proof::{Piece, Prefix, Range};
use crate::protocol::query::{RangeOf, Show};

/// Questions of one descent, to each of both: one for a range of some hundred entries, a few more to a single entry among a million.
pub const MAX_QUESTIONS: usize = 24;
/// Disputed entries that are kept of each side, the first ones: each of them costs a record, and proofs of both sides.
pub const MAX_DISPUTED: usize = 32;
/// Levels that one question goes down.
const LEVELS: u8 = 5;

/// An entry that two relays have differently.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disputed {
    /// Its key.
    pub key: Vec<u8>,
    /// Its value in the map of the one and of the other; None where it is not there.
    pub values: [Option<Vec<u8>>; 2],
}

/// A descent into what differs.
#[derive(Debug, Clone)]
pub struct Differences {
    /// What is still to be looked at, the first part of it last, with how many entries both have there.
    open: Vec<(Prefix, u64)>,
    disputed: Vec<Disputed>,
    questions: usize,
    /// Whether there was no room for an entry.
    is_cut: bool,
}

impl Differences {
    /// A descent into a range of which both relays gave another hash. `entries`: how many both have there.
    pub fn within(range: &[u8], entries: u64) -> Self {
        Self { open: vec![(Prefix::of(range), entries)], disputed: Vec::new(), questions: 0, is_cut: false }
    }

    /// What to ask both; None at the end. However much the one has that the other has not, it hides nothing: that ends only with the
    /// questions.
    pub fn next_question(&mut self) -> Option<RangeOf> {
        if self.questions >= MAX_QUESTIONS || self.count(1) >= MAX_DISPUTED {
            return None;
        }
        let (prefix, entries) = self.open.pop()?;
        self.questions += 1;
        let show = if entries <= MAX_WALKED as u64 { Show::First(MAX_WALKED as u16) } else { Show::Levels(LEVELS) };
        Some(RangeOf::of(&Range { prefix, after: None }, show))
    }

    /// Takes in what both have there, as their proofs show it.
    pub fn on_answers(&mut self, one: &[Piece<'_>], other: &[Piece<'_>]) {
        let mut regions = Vec::new();
        for (pieces, others) in [(one, other), (other, one)] {
            for piece in pieces.iter().filter(|piece| !others.contains(piece)) {
                if let Piece::Hidden { prefix, count, .. } = piece {
                    open(&mut regions, prefix, *count);
                }
            }
        }
        for (side, pieces, others) in [(0, one, other), (1, other, one)] {
            for piece in pieces.iter().filter(|piece| !others.contains(piece)) {
                if let Piece::Entry { key, value } = piece
                    // What the other one has there, if anything, is not shown yet.
                    && !regions.iter().any(|(region, _)| region.holds(key))
                {
                    self.dispute(side, key, value);
                }
            }
        }
        self.open.extend(regions.into_iter().rev());
    }

    /// Keeps an entry in its place among those that are disputed; where there are too many of its side, the last one makes room.
    fn dispute(&mut self, side: usize, key: &[u8], value: &[u8]) {
        let at = self.disputed.partition_point(|known| known.key[..] < *key);
        if self.disputed.get(at).is_none_or(|known| known.key[..] != *key) {
            self.disputed.insert(at, Disputed { key: key.to_vec(), values: [None, None] });
        }
        self.disputed[at].values[side] = Some(value.to_vec());
        if self.count(side) > MAX_DISPUTED {
            self.is_cut = true;
            let last = self.disputed.iter_mut().rev().find(|entry| entry.values[side].is_some());
            last.into_iter().for_each(|entry| entry.values[side] = None);
            self.disputed.retain(|entry| entry.values != [None, None]);
        }
    }

    /// How many of them a side has.
    fn count(&self, side: usize) -> usize {
        self.disputed.iter().filter(|entry| entry.values[side].is_some()).count()
    }

    /// Whether there is nothing that differs but what was found. Otherwise there may be more, and nobody knows.
    pub fn is_whole(&self) -> bool {
        self.open.is_empty() && !self.is_cut
    }

    /// The entries that differ, as far as they were found, in the order in which they stand.
    pub fn disputed(self) -> Vec<Disputed> {
        self.disputed
    }
}

/// Adds a part that has to be looked at to some that lie apart from each other, in order.
fn open(regions: &mut Vec<(Prefix, u64)>, prefix: &Prefix, count: u64) {
    if let Some((_, entries)) = regions.iter_mut().find(|(region, _)| region.encloses(prefix)) {
        *entries = entries.saturating_add(count);
        return;
    }
    let inside = regions.extract_if(.., |(region, _)| prefix.encloses(region));
    let count = inside.map(|(_, count)| count).fold(count, u64::saturating_add);
    let (Ok(place) | Err(place)) = regions.binary_search_by(|(region, _)| region.parts().1.cmp(prefix.parts().1));
    regions.insert(place, (prefix.clone(), count));
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::*;
    use crate::merkle::Map;
    use crate::merkle::proof::{verify_levels, verify_run};

    type Entries = BTreeMap<Vec<u8>, u8>;

    fn map(entries: &Entries) -> Map<Arc<[u8]>> {
        let mut map = Map::new();
        for (key, value) in entries {
            map.insert(key, Arc::from([*value])).unwrap();
        }
        map
    }

    /// All that is found, whether it is whole, and how many questions it took.
    fn descend(one: &Entries, other: &Entries, range: &[u8]) -> (Vec<Disputed>, bool, usize) {
        let maps = [map(one), map(other)];
        let mut differences = Differences::within(range, maps.iter().map(|map| map.count(range)).sum());
        let mut questions = 0;
        while let Some(question) = differences.next_question() {
            questions += 1;
            assert!(questions <= MAX_QUESTIONS, "it goes on for ever");
            let range = question.meant().unwrap();
            let proofs = maps.each_ref().map(|map| match question.show {
                Show::First(limit) => map.prove(&range, limit.into()),
                Show::Levels(levels) => map.prove_levels(&range.prefix, levels),
            });
            let [one, other] = [0, 1].map(|side| match question.show {
                Show::First(_) => verify_run(&maps[side].root(), &range, &proofs[side]).unwrap().into_pieces(),
                Show::Levels(levels) => {
                    verify_levels(&maps[side].root(), &range.prefix, levels, &proofs[side]).unwrap().0
                }
            });
            differences.on_answers(&one, &other);
        }
        let is_whole = differences.is_whole();
        (differences.disputed(), is_whole, questions)
    }

    fn expected(one: &Entries, other: &Entries, range: &[u8]) -> Vec<Disputed> {
        let keys: std::collections::BTreeSet<_> = one.keys().chain(other.keys()).collect();
        let keys = keys.into_iter().filter(|key| key.starts_with(range) && one.get(*key) != other.get(*key));
        let value = |entries: &Entries, key| entries.get(key).map(|value| vec![*value]);
        keys.map(|key| Disputed { key: key.clone(), values: [value(one, key), value(other, key)] }).collect()
    }

    fn many(count: u32, salt: u32) -> Entries {
        let key =
            |number: u32| blake3::hash(&[number.to_be_bytes(), salt.to_be_bytes()].concat()).as_bytes()[..8].to_vec();
        (0..count).map(|number| ([&b"t/word\0"[..], &key(number)].concat(), 0)).collect()
    }

    #[test]
    fn one_entry_among_thousands_takes_a_few_questions() {
        let one = many(5_000, 0);
        let key = one.keys().nth(3_333).unwrap().clone();
        for change in [None, Some(1)] {
            let mut other = one.clone();
            match change {
                Some(value) => other.insert(key.clone(), value),
                None => other.remove(&key),
            };
            let (found, is_whole, questions) = descend(&one, &other, b"t/word\0");
            assert_eq!((found, is_whole), (expected(&one, &other, b"t/word\0"), true));
            assert!(questions <= 4, "{questions}");
        }
    }

    #[test]
    fn what_has_nothing_in_common_ends_at_the_bounds_with_the_first_entries() {
        let (one, other) = (many(5_000, 0), many(5_000, 1));
        let firsts = |entries: &Entries| entries.keys().take(MAX_DISPUTED).cloned().collect::<Vec<_>>();
        let of = |found: &[Disputed], side: usize| {
            let entries = found.iter().filter(|entry| entry.values[side].is_some());
            entries.map(|entry| entry.key.clone()).collect::<Vec<_>>()
        };
        let nothing = Entries::new();
        for (one, other) in [(&one, &other), (&one, &nothing), (&nothing, &one)] {
            let (found, is_whole, questions) = descend(one, other, b"t/word\0");
            assert!(questions <= MAX_QUESTIONS && !is_whole);
            let [ours, theirs] = [0, 1].map(|side| of(&found, side));
            let is_first = firsts(one).starts_with(&ours) && firsts(other).starts_with(&theirs);
            assert!(is_first, "what ranks first comes first");
            assert_eq!(ours.len().max(theirs.len()), MAX_DISPUTED);
        }
    }

    #[test]
    fn what_one_side_has_more_leaves_room_for_what_it_hides() {
        let (one, mut other) = (many(40, 1), Entries::new());
        let last = b"t/word\0\xff\xff\xff\xff\xff\xff\xff\xff\xff".to_vec();
        other.insert(last.clone(), 0);
        let (found, is_whole, _) = descend(&one, &other, b"t/word\0");
        assert_eq!(
            (found.len(), found.last().map(|entry| &entry.key), is_whole),
            (MAX_DISPUTED + 1, Some(&last), false)
        );
        // So many that it is not come to could hide it: then that is said.
        let (found, is_whole, questions) = descend(&many(5_000, 1), &other, b"t/word\0");
        assert_eq!((found.len(), is_whole, questions), (MAX_DISPUTED, false, MAX_QUESTIONS));
    }

    #[test]
    fn a_relay_that_says_the_same_again_and_again_is_not_asked_for_ever() {
        let mut differences = Differences::within(b"t/", 1 << 40);
        let hidden = |byte| Piece::Hidden {
            prefix: Prefix::of(b"t/"),
            count: u64::MAX,
            hash: crate::merkle::Hash::leaf(&[byte], b""),
        };
        let mut questions = 0;
        while differences.next_question().is_some() {
            questions += 1;
            assert!(questions <= MAX_QUESTIONS, "it goes on for ever");
            differences.on_answers(&[hidden(1)], &[hidden(2)]);
        }
        assert_eq!((questions, differences.is_whole()), (MAX_QUESTIONS, false));
    }

    #[test]
    fn parts_are_looked_at_in_the_order_in_which_they_stand() {
        let mut regions = Vec::new();
        for (part, count) in [("b", 1), ("d", 2), ("a", 3), ("c", 4), ("dd", 5), ("", u64::MAX)] {
            open(&mut regions, &Prefix::of(part.as_bytes()), count);
            let expected: &[_] = match part {
                "c" => &[("a", 3), ("b", 1), ("c", 4), ("d", 2)],
                "dd" => &[("a", 3), ("b", 1), ("c", 4), ("d", 7)],
                "" => &[("", u64::MAX)],
                _ => continue,
            };
            let expected: Vec<_> = expected.iter().map(|(part, count)| (Prefix::of(part.as_bytes()), *count)).collect();
            assert_eq!(regions, expected);
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn finds_every_difference_of_a_range_and_nothing_else(
            keys in prop::collection::btree_map(prop::collection::vec(0_u8..4, 0..6), 0_u8..2, 0..500),
            changes in prop::collection::vec((prop::collection::vec(0_u8..4, 0..6), prop::option::of(0_u8..2)), 0..16),
            range in prop::collection::vec(0_u8..4, 0..2),
        ) {
            let mut other = keys.clone();
            for (key, value) in changes {
                match value {
                    Some(value) => _ = other.insert(key, value),
                    None => _ = other.remove(&key),
                }
            }
            let (found, is_whole, _) = descend(&keys, &other, &range);
            prop_assert_eq!((found, is_whole), (expected(&keys, &other, &range), true));
        }
    }
}
