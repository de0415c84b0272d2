//! Anti-entropy: what another relay's map has and this one lacks, found by descending to what differs. Pure: it says what to ask
//! next, and is told what came.
//!
//! Only the range of records is descended; all else is derived. Where this map has nothing at all, entries are read in runs;
//! elsewhere the descent goes some levels at a time, and stops at hashes that are the same here. A peer whose map promises more
//! than it delivers is given up: a made-up map costs it as much as it costs us.

use std::collections::VecDeque;

use crate::catalogue::{Leaf, keys};
use crate::id::RecordId;
use crate::limits::MAX_RECORDS_PER_REQUEST;
use crate::merkle::Map;
use crate::merkle::proof::{Piece, Prefix, Range, Run};

/// Levels that one question of a descent goes down: some sixteen hashes.
pub const LEVELS: u8 = 4;
/// Entries of one run.
pub const RUN: u16 = 256;
/// Questions that a descent may ask before any record is delivered, and for each that is.
const FREE_QUESTIONS: u64 = 512;
const QUESTIONS_PER_RECORD: u64 = 8;

/// What to ask the peer next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// What stands under this prefix, [`LEVELS`] down.
    Levels(Prefix),
    /// The next [`RUN`] entries of this range.
    Run(Range),
    /// These records.
    Records(Vec<RecordId>),
}

/// Why a descent ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The peer's map names a record that it does not deliver, or one that is no record of ours.
    #[error("the relay commits to a record that it does not deliver")]
    NotDelivered,
    /// The peer's map goes on and on without records.
    #[error("the relay's map promises more than it delivers")]
    TooManyQuestions,
}

/// A descent into one peer's records.
#[derive(Debug, Clone)]
pub struct Descent {
    open: Vec<Step>,
    missing: VecDeque<RecordId>,
    questions: u64,
    delivered: u64,
}

impl Default for Descent {
    fn default() -> Self {
        Self::new()
    }
}

impl Descent {
    /// A descent from the top.
    pub fn new() -> Self {
        Self {
            open: vec![Step::Levels(Prefix::of(&keys::records()))],
            missing: VecDeque::new(),
            questions: 0,
            delivered: 0,
        }
    }

    /// What to ask next; None at the end.
    ///
    /// # Errors
    /// [`Error::TooManyQuestions`].
    pub fn next_step(&mut self) -> Result<Option<Step>, Error> {
        // Records as soon as there are enough for a question, so that a descent that is cut short was not for nothing.
        let enough = self.missing.len() >= MAX_RECORDS_PER_REQUEST || self.open.is_empty();
        if enough && !self.missing.is_empty() {
            let count = self.missing.len().min(MAX_RECORDS_PER_REQUEST);
            return Ok(Some(Step::Records(self.missing.drain(..count).collect())));
        }
        let Some(step) = self.open.pop() else { return Ok(None) };
        self.questions += 1;
        if self.questions > FREE_QUESTIONS + self.delivered * QUESTIONS_PER_RECORD {
            return Err(Error::TooManyQuestions);
        }
        Ok(Some(step))
    }

    /// Takes in what stands under a prefix.
    pub fn on_levels(&mut self, here: &Map<Leaf>, pieces: Vec<Piece<'_>>) {
        let (differing, missing) = here.differing(pieces);
        self.missing.extend(missing.iter().filter_map(|(key, _)| keys::record_of(key)));
        // The last is asked first; so records of one publisher come in the order of their keys, the key log before the rest.
        for prefix in differing.into_iter().rev() {
            self.open.push(match here.hash_under(&prefix) {
                Some(_) => Step::Levels(prefix),
                None => Step::Run(Range { prefix, after: None }),
            });
        }
    }

    /// Takes in a run of a range in which nothing, or not everything, is here.
    pub fn on_run(&mut self, here: &Map<Leaf>, range: Range, run: &Run<'_>) {
        let missing = run.entries.iter().filter(|(key, _)| here.get(key).is_none());
        self.missing.extend(missing.filter_map(|(key, _)| keys::record_of(key)));
        if let Some((last, _)) = run.entries.last().filter(|_| run.rest > 0) {
            self.open.push(Step::Run(Range { after: Some(last.clone()), ..range }));
        }
    }

    /// Takes in how many of the records asked for were delivered and hold, and which were left for another question.
    ///
    /// # Errors
    /// [`Error::NotDelivered`] when one of them was not.
    pub fn on_records(&mut self, asked: usize, held: usize, unanswered: Vec<RecordId>) -> Result<(), Error> {
        self.delivered += held as u64;
        let is_stuck = held == 0;
        if held + unanswered.len() < asked || is_stuck {
            return Err(Error::NotDelivered);
        }
        for id in unanswered.into_iter().rev() {
            self.missing.push_front(id);
        }
        Ok(())
    }

    /// How many records were delivered.
    pub const fn delivered(&self) -> u64 {
        self.delivered
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::catalogue::Catalogue;
    use crate::catalogue::testing::{Publisher, catalogue};
    use crate::merkle::proof::{verify_levels, verify_run};
    use crate::record::Record;

    fn releases(publisher: &Publisher, indices: impl IntoIterator<Item = u32>) -> Vec<Record> {
        let release = |index| publisher.release(index, &format!("package-{index}"), "1.0.0", |_| {});
        indices.into_iter().map(|index| Record::Release(Box::new(release(index)))).collect()
    }

    /// Performs a descent, as a relay does with another one. Bytes of all answers but records, and how many records came.
    fn perform(here: &mut Catalogue, there: &Catalogue) -> Result<(usize, usize), Error> {
        let (mut descent, mut bytes, mut records) = (Descent::new(), 0, 0);
        let all: BTreeMap<RecordId, &Record> = there.records().map(|record| (record.id(), record)).collect();
        while let Some(step) = descent.next_step()? {
            match step {
                Step::Levels(prefix) => {
                    let proof = there.map().prove_levels(&prefix, LEVELS);
                    bytes += proof.len();
                    let (pieces, _) = verify_levels(&there.root(), &prefix, &proof).unwrap();
                    descent.on_levels(here.map(), pieces);
                }
                Step::Run(range) => {
                    let proof = there.map().prove(&range, usize::from(RUN));
                    bytes += proof.len();
                    let run = verify_run(&there.root(), &range, &proof).unwrap();
                    descent.on_run(here.map(), range, &run);
                }
                Step::Records(ids) => {
                    records += ids.len();
                    for id in &ids {
                        here.insert(all[id].clone()).expect("key logs come before releases");
                    }
                    descent.on_records(ids.len(), ids.len(), Vec::new())?;
                }
            }
        }
        Ok((bytes, records))
    }

    #[test]
    fn an_empty_relay_gets_everything_for_little_more_than_the_records() {
        let publishers: Vec<_> = (1..=8).map(Publisher::new).collect();
        let mut there = catalogue(&publishers.iter().collect::<Vec<_>>(), []);
        for publisher in &publishers {
            releases(publisher, 0..100).into_iter().for_each(|record| _ = there.insert(record).unwrap());
        }
        let mut here = Catalogue::new();
        let (bytes, records) = perform(&mut here, &there).unwrap();
        assert_eq!((records, here.root()), (808, there.root()));
        // Records of real packages have some 800 bytes and more.
        assert!(bytes < 808 * 120, "{bytes} bytes besides the records");
    }

    #[test]
    fn what_is_the_same_is_not_asked_for() {
        let one = Publisher::new(1);
        let mut there = catalogue(&[&one], []);
        releases(&one, 0..1000).into_iter().for_each(|record| _ = there.insert(record).unwrap());
        let mut here = there.clone();
        assert_eq!(perform(&mut here, &there).unwrap().1, 0);
        releases(&one, 1000..1003).into_iter().for_each(|record| _ = there.insert(record).unwrap());
        let (bytes, records) = perform(&mut here, &there).unwrap();
        assert_eq!((records, here.root()), (3, there.root()));
        assert!(bytes < 12 * 1024, "{bytes}");
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(48))]

        #[test]
        fn two_relays_that_ask_each_other_are_the_same(
            here in prop::collection::btree_set((0_usize..3, 0_u32..40), 0..60),
            there in prop::collection::btree_set((0_usize..3, 0_u32..40), 0..60),
        ) {
            let publishers: Vec<_> = (1..=3).map(Publisher::new).collect();
            let build = |chosen: &std::collections::BTreeSet<(usize, u32)>| {
                let known: Vec<_> = publishers.iter().enumerate().filter(|(who, _)| chosen.iter().any(|(one, _)| one == who)).map(|(_, one)| one).collect();
                let mut built = catalogue(&known, []);
                for (who, index) in chosen {
                    releases(&publishers[*who], [*index]).into_iter().for_each(|record| _ = built.insert(record).unwrap());
                }
                built
            };
            let (mut here, mut there) = (build(&here), build(&there));
            perform(&mut here, &there.clone()).unwrap();
            perform(&mut there, &here.clone()).unwrap();
            prop_assert_eq!(here.root(), there.root());
            prop_assert_eq!(here.record_count(), there.record_count());
        }
    }

    #[test]
    fn a_peer_that_does_not_deliver_is_given_up() {
        let id = |byte| RecordId::from_bytes([byte; 32]);
        let mut descent = Descent::new();
        assert_eq!(descent.on_records(2, 1, vec![]), Err(Error::NotDelivered));
        assert_eq!(descent.on_records(2, 0, vec![id(1), id(2)]), Err(Error::NotDelivered), "it would never end");
        let mut descent = Descent::new();
        assert_eq!(descent.on_records(2, 1, vec![id(2)]), Ok(()));
        assert!(matches!(descent.next_step(), Ok(Some(Step::Levels(_)))));
        assert_eq!(descent.next_step(), Ok(Some(Step::Records(vec![id(2)]))));
    }

    #[test]
    fn a_map_without_end_is_given_up() {
        let mut descent = Descent::new();
        let here = Map::new();
        let mut asked = 0;
        loop {
            match descent.next_step() {
                Ok(Some(Step::Run(range))) => {
                    let entries = vec![(keys::records(), &[][..])];
                    descent.on_run(&here, range, &Run { entries, skipped: 0, rest: 1, hash: None });
                }
                Ok(Some(_)) => {
                    let prefix = Prefix::of(b"r/a");
                    let hash = crate::merkle::Hash::empty();
                    descent.on_levels(&here, vec![Piece::Hidden { prefix, count: 9, hash }]);
                }
                Ok(None) => panic!("it ended"),
                Err(error) => break assert_eq!(error, Error::TooManyQuestions),
            }
            asked += 1;
        }
        assert_eq!(asked, FREE_QUESTIONS);
    }
}
