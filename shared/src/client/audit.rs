//! The random audit: a record that nobody chose, and entries that follow from it. A derivation that all relays share and that is wrong all the same
//! is found only so, since they agree with each other.
//!
//! Pure: randomness comes in.

use crate::catalogue::keys;
use crate::limits::MAX_LEVELS;
use crate::merkle::Hash;
use crate::merkle::proof::{Piece, Prefix, Range};
use crate::protocol::query::{RangeOf, Show};
use crate::record::Kind;

/// Entries that one audit looks at, each of another keyspace.
pub const MAX_AUDITED: usize = 2;
/// Questions of one walk. A record among a million is four questions away, and about every other one is a release.
const MAX_QUESTIONS: usize = 32;

/// A walk to a release at a random place among all records of a relay, each as likely as any other: places are counted, and the counts
/// proven. Were it the first record behind a random id, whoever chose his ids close behind others would hardly ever be audited.
#[derive(Debug, Clone)]
pub struct Walk {
    entropy: [u8; 32],
    /// Where it stands: what is to be asked about, and the place within that. None: at the top, no place is chosen yet.
    at: Option<(Prefix, u64)>,
    /// The map that it is in, and its epoch.
    map: Option<(u64, Hash)>,
    questions: usize,
}

/// What an answer tells a walk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// There is more to ask.
    Further,
    /// The entry of a release.
    Release(Vec<u8>),
    /// There is no record at all.
    Nothing,
    /// The relay answers from an older map than before, which no honest one does: it could choose which of both is walked in.
    Back,
}

impl Walk {
    /// A walk to where the entropy leads.
    pub const fn new(entropy: [u8; 32]) -> Self {
        Self { entropy, at: None, map: None, questions: 0 }
    }

    /// What to ask next; None at the end, where no release was found.
    pub fn next_question(&mut self) -> Option<RangeOf> {
        if self.questions == MAX_QUESTIONS {
            return None;
        }
        self.questions += 1;
        let prefix = self.at.as_ref().map_or_else(|| Prefix::of(&keys::records()), |(prefix, _)| prefix.clone());
        Some(RangeOf::of(&Range { prefix, after: None }, Show::Levels(MAX_LEVELS)))
    }

    /// Takes in what stands there in a map, as a proof shows it.
    pub fn on_answer(&mut self, epoch: u64, root: Hash, pieces: &[Piece<'_>]) -> Step {
        match self.map.replace((epoch, root)) {
            Some((before, _)) if epoch < before => return Step::Back,
            // A place is one of a single map. How often there is a new one is a matter of time, not of the relay.
            Some((_, before)) if root != before && self.at.take().is_some() => return Step::Further,
            _ => {}
        }
        let total = pieces.iter().map(Piece::count).fold(0, u64::saturating_add);
        let mut place = match self.at.take() {
            Some((_, place)) => place,
            None if total == 0 => return Step::Nothing,
            None => {
                self.entropy = *blake3::hash(&self.entropy).as_bytes();
                let (numbers, _) = self.entropy.as_chunks();
                u64::from_be_bytes(numbers[0]) % total
            }
        };
        for piece in pieces {
            if place >= piece.count() {
                place -= piece.count();
                continue;
            }
            match piece {
                Piece::Hidden { prefix, .. } => self.at = Some((prefix.clone(), place)),
                Piece::Entry { key, .. } if is_release(key) => return Step::Release(key.clone()),
                // Another kind of record: the walk begins again, at another place.
                Piece::Entry { .. } => {}
            }
            break;
        }
        Step::Further
    }
}

fn is_release(entry: &[u8]) -> bool {
    keys::record_of(entry).is_some() && entry.get(2 + 32) == Some(&Kind::Release.number())
}

/// Which of the entries of a release are looked at.
pub fn choose(mut entries: Vec<Vec<u8>>, entropy: &[u8; 32]) -> Vec<Vec<u8>> {
    let mut chosen: Vec<Vec<u8>> = Vec::new();
    let (numbers, _) = entropy.as_chunks::<2>();
    for numbers in numbers.as_chunks::<2>().0.iter().take(MAX_AUDITED) {
        let [space, place] = numbers.map(|number| usize::from(u16::from_be_bytes(number)));
        // The lists of words are most of all entries: each keyspace has the same share here.
        let mut spaces: Vec<Vec<u8>> = entries.iter().map(|entry| keyspace(entry).to_vec()).collect();
        spaces.dedup();
        if spaces.is_empty() {
            break;
        }
        let space = spaces.swap_remove(space % spaces.len());
        let (mut inside, outside): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| keyspace(entry) == space);
        entries = outside;
        let place = place % inside.len();
        chosen.push(inside.swap_remove(place));
    }
    chosen
}

/// What an entry's key begins with, up to the first slash.
fn keyspace(entry: &[u8]) -> &[u8] {
    entry.split(|byte| *byte == b'/').next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::catalogue::answer;
    use crate::catalogue::testing::{Publisher, Relay};
    use crate::id::RecordId;
    use crate::search::verified::verify_pieces;

    /// Where a walk ends in a relay's map, and the questions that it took.
    fn walk(relay: &Relay, entropy: [u8; 32]) -> (Option<RecordId>, usize) {
        let mut walk = Walk::new(entropy);
        while let Some(question) = walk.next_question() {
            let answer = answer::range(&relay.snapshots, &question).unwrap();
            let (checkpoint, pieces) = verify_pieces(&question, &answer, &relay.asked()).unwrap();
            match walk.on_answer(checkpoint.epoch, checkpoint.root.into(), &pieces) {
                Step::Further => {}
                Step::Release(entry) => return (keys::record_of(&entry), walk.questions),
                Step::Nothing | Step::Back => break,
            }
        }
        (None, walk.questions)
    }

    fn entropy(seed: u32) -> [u8; 32] {
        *blake3::hash(&seed.to_be_bytes()).as_bytes()
    }

    #[test]
    fn every_release_is_as_likely_as_any_other_and_nothing_else_is_found() {
        // However close its id stands behind another: among forty, the narrowest gap is some thousandth of the widest.
        let publishers: Vec<_> = (1..=4).map(Publisher::new).collect();
        let release = |one: &Publisher, index| one.release(index, &format!("thing-{index}"), "1.0.0", |_| {});
        let releases: Vec<_> =
            publishers.iter().flat_map(|one| (0..10).map(move |index| release(one, index))).collect();
        let relay = Relay::new(&publishers.iter().collect::<Vec<_>>(), releases.clone());
        let mut found: BTreeMap<_, u32> = releases.iter().map(|release| (release.id(), 0)).collect();
        for seed in 0..4000 {
            let (id, questions) = walk(&relay, entropy(seed));
            *found.get_mut(&id.unwrap()).unwrap() += 1;
            assert!(questions <= 24, "{questions}");
        }
        // A hundred of each are expected; one in a million would be outside of these by chance, and the seeds are what they are.
        assert!(found.values().all(|times| (50..=150).contains(times)), "{found:?}");
    }

    #[test]
    fn a_walk_among_no_releases_ends() {
        assert_eq!(walk(&Relay::new(&[&Publisher::new(1)], Vec::new()), entropy(1)), (None, MAX_QUESTIONS));
        assert_eq!(walk(&Relay::new(&[], Vec::new()), entropy(1)), (None, 1));
    }

    #[test]
    fn a_walk_begins_again_in_another_map() {
        let prefix = Prefix::of(b"r/a");
        let hash = |of: u8| Hash::from_bytes([of; 32]);
        let pieces = [Piece::Hidden { prefix: prefix.clone(), count: 9, hash: hash(9) }];
        let mut walk = Walk::new(entropy(1));
        let first = walk.next_question();
        assert_eq!(walk.on_answer(1, hash(1), &pieces), Step::Further);
        assert_eq!(walk.next_question().and_then(|question| question.meant()).map(|range| range.prefix), Some(prefix));
        assert_eq!(walk.on_answer(2, hash(2), &pieces), Step::Further);
        assert_eq!(walk.next_question(), first);
        // And goes on there.
        walk.on_answer(2, hash(2), &pieces);
        assert_ne!(walk.next_question(), first);
        assert_eq!(walk.on_answer(3, hash(2), &pieces), Step::Further, "the same map again");
        assert_eq!(walk.on_answer(2, hash(1), &pieces), Step::Back);
    }

    #[test]
    fn each_keyspace_has_its_share() {
        let entries: Vec<Vec<u8>> =
            [&b"c/a"[..], b"d/a", b"n/", b"t/a", b"t/b", b"t/c", b"x/a"].map(<[u8]>::to_vec).into();
        let mut counts = BTreeMap::<Vec<u8>, u32>::new();
        for seed in 0..500_u32 {
            let chosen = choose(entries.clone(), blake3::hash(&seed.to_be_bytes()).as_bytes());
            assert_eq!(chosen.len(), MAX_AUDITED);
            assert_ne!(keyspace(&chosen[0]), keyspace(&chosen[1]));
            chosen.into_iter().for_each(|entry| *counts.entry(entry).or_default() += 1);
        }
        assert_eq!(counts.len(), entries.len());
        assert!(counts[&b"d/a"[..]] > 150 && counts[&b"t/a"[..]] < 100, "{counts:?}");
        assert!(choose(Vec::new(), &[7; 32]).is_empty());
        assert_eq!(choose(vec![b"n/".to_vec()], &[7; 32]), [b"n/"]);
    }
}
