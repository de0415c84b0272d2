//! The random audit: a record that nobody chose, and entries that follow from it. A derivation that all relays share and that is wrong all the same
//! is found only so, since they agree with each other.
//!
//! Pure: randomness comes in.

use crate::catalogue::keys;
use crate::protocol::query::RangeOf;

/// Entries that one audit looks at, each of another keyspace.
pub const MAX_AUDITED: usize = 2;
/// Asks for the publisher behind a random point among all records.
pub fn sample(entropy: &[u8; 32]) -> RangeOf {
    behind(&keys::records(), entropy)
}

/// Asks for the release behind another random point among those of the publisher that was found.
pub fn sample_of(record: &[u8], entropy: &[u8; 32]) -> Option<RangeOf> {
    let range = keys::releases_beside(record)?;
    Some(behind(&range, blake3::hash(entropy).as_bytes()))
}

/// The same from the beginning, for when nothing stands behind the point.
pub fn from_start(question: &RangeOf) -> RangeOf {
    RangeOf::first(&question.range, 1)
}

fn behind(range: &[u8], point: &[u8; 32]) -> RangeOf {
    RangeOf { after: Some([range, point].concat().into()), ..RangeOf::first(range, 1) }
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
    use std::collections::BTreeSet;

    use super::*;
    use crate::catalogue::answer;
    use crate::catalogue::testing::{Publisher, Relay};
    use crate::search::verified::verify_range;

    #[test]
    fn every_release_is_sampled_sooner_or_later_and_nothing_else() {
        let publishers: Vec<_> = (1..=4).map(Publisher::new).collect();
        let release = |one: &Publisher, index| one.release(index, &format!("thing-{index}"), "1.0.0", |_| {});
        let releases: Vec<_> = publishers.iter().flat_map(|one| [0, 1, 2].map(|index| release(one, index))).collect();
        let relay = Relay::new(&publishers.iter().collect::<Vec<_>>(), releases.clone());
        let ask = |question: RangeOf| {
            let ask = |question: &RangeOf| {
                let answer = answer::range(&relay.snapshots, question).unwrap();
                verify_range(question, &answer, &relay.asked()).unwrap().keys.pop()
            };
            ask(&question).or_else(|| ask(&from_start(&question)))
        };
        let mut sampled = BTreeSet::new();
        for seed in 0..400_u32 {
            let entropy = *blake3::hash(&seed.to_be_bytes()).as_bytes();
            let record = ask(sample(&entropy)).unwrap();
            let release = ask(sample_of(&record, &entropy).unwrap()).unwrap();
            sampled.extend(keys::record_of(&release));
        }
        assert_eq!(sampled, releases.iter().map(|release| release.id()).collect());
        assert_eq!(sample_of(b"r/short", &[0; 32]), None);
    }

    #[test]
    fn each_keyspace_has_its_share() {
        let entries: Vec<Vec<u8>> =
            [&b"c/a"[..], b"d/a", b"n/", b"t/a", b"t/b", b"t/c", b"x/a"].map(<[u8]>::to_vec).into();
        let mut counts = std::collections::BTreeMap::<Vec<u8>, u32>::new();
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
