//! Anti-entropy: what another relay's records have and this one's lack, found by descending to what differs. Pure: [`Descent`] says
//! what to ask next, and is told what came; [`compare`] and [`records_of`] answer.
//!
//! Only records are compared; all else is derived. A [`Part`] of them stands under one hash in each map. The hash of what differs
//! leads to sixteen further ones, until a part has nothing here: its records are asked for as such, so that neither their ids
//! nor a proof travel beside them. Nothing need be proven: every record is verified by itself, and what one relay hides another one
//! shows. A peer that promises more than it delivers is given up.
//!
//! Hashes are shortened to [`TAG_BYTES`] with a salt that the asker draws for each descent: nobody can prepare two sets of records
//! that look the same, and by chance it happens once in 2⁶⁴ comparisons, until the next descent.

mod answer;
mod part;

use std::collections::VecDeque;

pub use answer::{compare, records_of};
pub use part::Part;
use serde_bytes::ByteBuf;

use crate::catalogue::Leaf;
use crate::limits::{MAX_PARTS_PER_REQUEST, MAX_RECORD_BYTES, MAX_RECORDS_ANSWER_BYTES};
use crate::merkle::{Hash, Key, Map, Value};
use crate::protocol::sync::{Below, Compare, Compared, RecordsOf};

/// Bytes of a salt.
pub const SALT_BYTES: usize = 32;
/// Bytes of a shortened hash.
pub const TAG_BYTES: usize = 8;

/// Records that are asked for at once, if there are as many: what fits in an answer, about.
const ENOUGH_RECORDS: u64 = 256;
/// Records of a part that is asked for as one, rather than in sixteenths: several relays share what is to be fetched by parts.
const MAX_RECORDS_OF_PART: u64 = 1024;
/// Parts that a descent may compare before any record is delivered, and for each that is.
const FREE_PARTS: u64 = 2048;
const PARTS_PER_RECORD: u64 = 16;
/// Entries of a part that are looked through for the only one that the other relay has there. Of more, the part is opened: each entry is a
/// hash, and an answer has some hundred parts.
const MAX_LOOKED_THROUGH: u64 = 64;
/// Records that may come of some parts beside those that were promised: what the other relay got in between. The rest is for another descent.
const MORE_THAN_PROMISED: u64 = 1024;

/// A hash as it is compared.
type Tag = [u8; TAG_BYTES];

fn tag(salt: &[u8; SALT_BYTES], hash: &Hash) -> Tag {
    let mut tag = [0; TAG_BYTES];
    tag.copy_from_slice(&blake3::keyed_hash(salt, hash.as_bytes()).as_bytes()[..TAG_BYTES]);
    tag
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Ask how these parts stand, and tell [`Descent::on_compared`].
    Compare(Compare),
    /// Ask for the records of those of these parts that are [`Descent::still_missing`], and tell [`Descent::on_records`] and [`Descent::on_sound`], until there is no rest; or [`Descent::postpone`] some of
    /// them, because another relay is being asked.
    Fetch(Vec<Part>),
    /// Wait until another relay has delivered something of what was postponed. It is compared again then.
    Wait,
}

/// Why a descent ended early.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// What came is no answer to what was asked.
    #[error("the relay answers something else than what was asked")]
    NotAnAnswer,
    /// A record stands elsewhere than in what was asked for.
    #[error("the relay sends records that were not asked for")]
    NotAsked,
    /// The peer goes on and on without records.
    #[error("the relay promises more than it delivers")]
    TooManyQuestions,
}

/// A part that lacks something here.
#[derive(Debug, Clone)]
struct Missing {
    part: Part,
    /// How many records it has there.
    count: u64,
    /// What it had here when it was compared.
    here: Option<Hash>,
}

/// A descent into one peer's records.
#[derive(Debug, Clone)]
pub struct Descent {
    salt: [u8; SALT_BYTES],
    /// Parts that differ, the next one last.
    open: Vec<Part>,
    missing: VecDeque<Missing>,
    /// What was missing of the parts that are to be fetched now.
    fetching: Vec<Missing>,
    /// How many records may still come of them.
    room: u64,
    postponed: Vec<Part>,
    compared: u64,
    delivered: u64,
    total: u64,
}

impl Descent {
    /// A descent from the top. The salt is random.
    pub fn new(salt: [u8; SALT_BYTES]) -> Self {
        Self {
            salt,
            open: vec![Part::ALL],
            missing: VecDeque::new(),
            fetching: Vec::new(),
            room: MORE_THAN_PROMISED,
            postponed: Vec::new(),
            compared: 0,
            delivered: 0,
            total: 0,
        }
    }

    /// What to do next; None at the end.
    ///
    /// # Errors
    /// [`Error::TooManyQuestions`].
    pub fn next_step(&mut self) -> Result<Option<Step>, Error> {
        // Records as soon as there are enough for a question, so that a descent that is cut short was not for nothing.
        let is_enough = self.missing.len() >= MAX_PARTS_PER_REQUEST
            || self.missing.iter().map(|missing| missing.count).fold(0, u64::saturating_add) >= ENOUGH_RECORDS;
        if !self.missing.is_empty() && (is_enough || self.open.is_empty()) {
            return Ok(Some(Step::Fetch(self.take_missing())));
        }
        if self.open.is_empty() && !self.postponed.is_empty() {
            self.open = std::mem::take(&mut self.postponed);
            return Ok(Some(Step::Wait));
        }
        let from = self.open.len().saturating_sub(MAX_PARTS_PER_REQUEST);
        let parts: Vec<_> = self.open.drain(from..).rev().collect();
        if parts.is_empty() {
            return Ok(None);
        }
        self.compared += parts.len() as u64;
        if self.compared > self.delivered.saturating_mul(PARTS_PER_RECORD).saturating_add(FREE_PARTS) {
            return Err(Error::TooManyQuestions);
        }
        Ok(Some(Step::Compare(Compare { salt: ByteBuf::from(self.salt.to_vec()), parts })))
    }

    /// Parts for one question, in the order of their keys: so the key log of a publisher comes before the rest.
    fn take_missing(&mut self) -> Vec<Part> {
        self.fetching.clear();
        let mut records = 0_u64;
        while let Some(missing) = self.missing.pop_front() {
            records = records.saturating_add(missing.count);
            if !self.fetching.is_empty() && records > ENOUGH_RECORDS {
                self.missing.push_front(missing);
                break;
            }
            self.fetching.push(missing);
            if self.fetching.len() == MAX_PARTS_PER_REQUEST {
                break;
            }
        }
        self.room = self.fetching.iter().map(|missing| missing.count).fold(MORE_THAN_PROMISED, u64::saturating_add);
        self.fetching.sort_by(|one, other| one.part.cmp(&other.part));
        self.fetching.iter().map(|missing| missing.part.clone()).collect()
    }

    /// Takes in how parts stand at the other relay.
    ///
    /// # Errors
    /// [`Error::NotAnAnswer`]; what is in order of it counts.
    pub fn on_compared(&mut self, here: &Map<Leaf>, asked: &[Part], answer: &Compared) -> Result<(), Error> {
        if answer.parts.len() != asked.len() {
            return Err(Error::NotAnAnswer);
        }
        let mut open = Vec::new();
        for (part, below) in asked.iter().zip(&answer.parts) {
            if *part == Part::ALL {
                self.total = below.counts.iter().copied().fold(0, u64::saturating_add);
            }
            self.on_part(here, part, below, &mut open)?;
        }
        // The last is asked first.
        self.open.extend(open.into_iter().rev());
        Ok(())
    }

    fn on_part(&mut self, here: &Map<Leaf>, part: &Part, below: &Below, open: &mut Vec<Part>) -> Result<(), Error> {
        let common = below.common.as_ref().unwrap_or(part);
        if !part.contains(common) {
            return Err(Error::NotAnAnswer);
        }
        match *below.counts {
            [] => return Ok(()),
            [_] if !common.is_key() => return Err(Error::NotAnAnswer),
            [_] => {
                if here.get(&common.entry()).is_none() {
                    self.missing.push_back(Missing { part: common.clone(), count: 1, here: None });
                }
                return Ok(());
            }
            _ => {}
        }
        let filled = below.counts.iter().filter(|count| **count > 0).count();
        if below.counts.len() != Part::CHILDREN || below.tags.len() != filled * TAG_BYTES || common.is_key() {
            return Err(Error::NotAnAnswer);
        }
        let filled = (0_u8..).zip(&below.counts).filter(|(_, count)| **count > 0);
        for ((half, count), tag) in filled.zip(below.tags.as_chunks::<TAG_BYTES>().0) {
            self.on_child(here, common.child(half), *count, tag, open);
        }
        Ok(())
    }

    /// Looks at a part of which its count and its tag are known.
    fn on_child(&mut self, here: &Map<Leaf>, part: Part, count: u64, theirs: &Tag, open: &mut Vec<Part>) {
        let ours = here.hash_under(&part.prefix());
        match ours {
            Some(ours) if tag(&self.salt, &ours) == *theirs => {}
            Some(_) if count == 1 => {
                if here.count_under(&part.prefix()) > MAX_LOOKED_THROUGH {
                    return open.push(part);
                }
                let is_theirs = |(key, leaf): (Key, &Leaf)| tag(&self.salt, &Hash::leaf(&key, leaf.bytes())) == *theirs;
                if !part.entries(here, None).any(is_theirs) {
                    self.missing.push_back(Missing { part, count, here: ours });
                }
            }
            None if count <= MAX_RECORDS_OF_PART || part.is_key() => {
                self.missing.push_back(Missing { part, count, here: None });
            }
            _ => open.push(part),
        }
    }

    /// Those of the parts to fetch that stand here as they did when they were compared. The others are compared again: something of
    /// them has come from elsewhere.
    pub fn still_missing(&mut self, here: &Map<Leaf>, parts: &[Part]) -> Vec<Part> {
        let mut still = Vec::with_capacity(parts.len());
        let fetching = std::mem::take(&mut self.fetching);
        self.room = MORE_THAN_PROMISED;
        for missing in fetching.into_iter().filter(|missing| parts.contains(&missing.part)) {
            if here.hash_under(&missing.part.prefix()) == missing.here {
                self.room = self.room.saturating_add(missing.count);
                still.push(missing.part);
            } else {
                self.open.push(missing.part);
            }
        }
        still
    }

    /// Leaves a part that was to be fetched to another relay for now.
    pub fn postpone(&mut self, part: Part) {
        self.postponed.push(part);
    }

    /// Takes in the keys of records that came for some parts, of so many bytes together. The key behind which the rest is to be asked for,
    /// if there is a rest, and no more came than was promised.
    ///
    /// # Errors
    /// [`Error::NotAsked`] when one of them stands elsewhere or not in order, [`Error::NotAnAnswer`] for a rest behind an answer that has
    /// room for one more record: no relay that wants to deliver leaves it.
    pub fn on_records(
        &mut self,
        asked: &RecordsOf,
        keys: &[Part],
        bytes: usize,
        rest: bool,
    ) -> Result<Option<Part>, Error> {
        let ordered = asked.after.iter().chain(keys).is_sorted_by(|one, next| one < next);
        if !ordered || keys.iter().any(|key| !asked.parts.iter().any(|part| part.contains(key))) {
            return Err(Error::NotAsked);
        }
        if rest && bytes <= MAX_RECORDS_ANSWER_BYTES - MAX_RECORD_BYTES {
            return Err(Error::NotAnAnswer);
        }
        let room = self.room.checked_sub(keys.len() as u64);
        self.room = room.unwrap_or_default();
        Ok(keys.last().filter(|_| rest && room.is_some()).cloned())
    }

    /// Takes in that more of the records that came have turned out to be sound and new: what is known already pays for no question.
    pub const fn on_sound(&mut self, records: u64) {
        self.delivered = self.delivered.saturating_add(records);
    }

    /// How many sound and new records were delivered.
    pub const fn delivered(&self) -> u64 {
        self.delivered
    }

    /// How many records the other relay has, as it says.
    pub const fn total(&self) -> u64 {
        self.total
    }
}

#[cfg(test)]
mod tests;
