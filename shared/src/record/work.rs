//! Memory-hard proof of work: what an identity costs, once.
//!
//! The id of an inception is the hash of all that it says, its nonce included. It proves a level if the Argon2id hash (RFC 9106, version 1.3)
//! of the id as the password, with the salt `ggen-work-v1`, no secret and no associated data, one pass, one lane, eight mebibytes, and 32
//! bytes long, begins with as many zero bits as the level says. So each nonce fills the memory anew, whoever looks for one; on the average
//! 2^level of them are needed, and to check one takes one.
//!
//! Everybody's network asks for it, no other does: whoever has a network of his own knows who publishes there.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};

use argon2::{Algorithm, Argon2, Block, Params, Version};
use serde::{Deserialize, Serialize};

use super::{Error, Inception, Kind};
use crate::codec;
use crate::id::{Network, RecordId};
use crate::limits::MAX_QUOTA;

/// More than the caches that cores share have for each of them, and little enough for a phone.
const MEMORY_KIB: u32 = 8 * 1024;
/// To check an identity is to fill the memory once.
const PASSES: u32 = 1;
const LANES: u32 = 1;
const HASH_BYTES: usize = 32;
const SALT: &[u8] = b"ggen-work-v1";
/// Ids of each half of those that are known to be proven: a mebibyte at most.
const PROVEN_IDS: usize = 8 * 1024;

/// The work that an identity proved; it sets the quota of record indices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Work {
    /// Zero bits that the hash begins with; 0 is no work.
    pub level: u8,
    /// What makes the hash come out right; 0 at level 0.
    pub nonce: u64,
}

impl Work {
    /// No work.
    pub const NONE: Self = Self { level: 0, nonce: 0 };
    /// What the smallest identity of everybody's network proves.
    pub const MIN_LEVEL: u8 = 8;
    /// What the largest proves.
    pub const MAX_LEVEL: u8 = 12;

    /// How many record indices an identity has that proved a level: four for each nonce that it takes on the average. Without work, where
    /// none is asked for, as many as anybody can have.
    pub const fn quota(self) -> u32 {
        if self.level == 0 { MAX_QUOTA } else { 4 << self.level }
    }

    /// The hash that the first bits of are to be zero: of the inception with this id. It takes some milliseconds, and eight mebibytes.
    pub fn hash_of(id: &RecordId) -> [u8; HASH_BYTES] {
        Memory::new().hash(id)
    }

    /// Checks what needs no hash.
    pub(super) fn check(self) -> Result<(), Error> {
        if self == Self::NONE || (Self::MIN_LEVEL..=Self::MAX_LEVEL).contains(&self.level) {
            return Ok(());
        }
        Err(Error::field("work", "has a level that these rules do not know"))
    }

    /// Demands that work is claimed where a network asks for it, and nowhere else.
    ///
    /// # Errors
    /// [`Error::WrongWork`].
    pub(super) fn check_claim(self, network: &Network) -> Result<(), Error> {
        if network.asks_for_work() == (self.level > 0) { Ok(()) } else { Err(Error::WrongWork) }
    }

    /// Demands the work that a network asks for, of the inception with this id.
    ///
    /// # Errors
    /// [`Error::WrongWork`].
    pub(super) fn check_for(self, id: &RecordId, network: &Network) -> Result<(), Error> {
        self.check_claim(network)?;
        // The lock is not held over the hash: others verify at the same time.
        if self.level == 0 || proven().has(id) {
            return Ok(());
        }
        if !Memory::new().proves(id, self.level) {
            return Err(Error::WrongWork);
        }
        proven().keep(*id);
        Ok(())
    }
}

/// Looks for the nonce of an inception.
#[derive(Debug)]
pub struct Prover {
    inception: Inception,
    memory: Memory,
}

impl Prover {
    /// For an inception that is to prove a level, whatever its work says so far. Takes eight mebibytes.
    ///
    /// # Errors
    /// [`Error::Field`] when there is no such level.
    pub fn new(inception: Inception, level: u8) -> Result<Self, Error> {
        let work = Work { level, nonce: 0 };
        work.check()?;
        Ok(Self { inception: Inception { work, ..inception }, memory: Memory::new() })
    }

    /// Tries a nonce, which takes some milliseconds: the inception with it, if it comes out right. Of 2^level one does.
    pub fn attempt(&mut self, nonce: u64) -> Option<Inception> {
        self.inception.work.nonce = nonce;
        let id = Kind::Inception.id_of(&codec::encode(&self.inception));
        self.memory.proves(&id, self.inception.work.level).then(|| self.inception.clone())
    }
}

impl Inception {
    /// The inception with the least work that a network asks for: of the nonces in their order the first that comes out right. Where it asks for
    /// none, as it is.
    pub fn proven_for(self, network: &Network) -> Self {
        if !network.asks_for_work() {
            return Self { work: Work::NONE, ..self };
        }
        let mut prover = Prover::new(self, Work::MIN_LEVEL).expect("there is such a level");
        (0..).find_map(|nonce| prover.attempt(nonce)).expect("of 256 nonces one comes out right")
    }
}

/// What one hash fills.
struct Memory {
    argon2: Argon2<'static>,
    blocks: Vec<Block>,
}

impl Memory {
    fn new() -> Self {
        let params = Params::new(MEMORY_KIB, PASSES, LANES, Some(HASH_BYTES)).expect("they are within Argon2's bounds");
        let blocks = vec![Block::new(); params.block_count()];
        Self { argon2: Argon2::new(Algorithm::Argon2id, Version::V0x13, params), blocks }
    }

    fn hash(&mut self, id: &RecordId) -> [u8; HASH_BYTES] {
        let mut hash = [0; HASH_BYTES];
        let hashed = self.argon2.hash_password_into_with_memory(id.as_bytes(), SALT, &mut hash, &mut self.blocks);
        hashed.expect("the lengths are within Argon2's bounds");
        hash
    }

    fn proves(&mut self, id: &RecordId, level: u8) -> bool {
        leading_zeros(&self.hash(id)) >= u32::from(level)
    }
}

impl std::fmt::Debug for Memory {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Memory").finish_non_exhaustive()
    }
}

fn leading_zeros(hash: &[u8]) -> u32 {
    let zeros = hash.iter().take_while(|byte| **byte == 0).count();
    let next = hash.get(zeros).map_or(0, |byte| byte.leading_zeros());
    8 * u32::try_from(zeros).unwrap_or(u32::MAX / 8) + next
}

/// Inceptions that proved their work, the last ones: a key log comes again and again, and whether its inception proves anything never
/// changes. So this saves time, and does nothing else; what did not prove its work is not kept, so that nobody gets in here for nothing.
struct Proven {
    young: BTreeSet<RecordId>,
    old: BTreeSet<RecordId>,
}

static PROVEN: Mutex<Proven> = Mutex::new(Proven { young: BTreeSet::new(), old: BTreeSet::new() });

fn proven() -> MutexGuard<'static, Proven> {
    PROVEN.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Proven {
    fn has(&self, id: &RecordId) -> bool {
        self.young.contains(id) || self.old.contains(id)
    }

    fn keep(&mut self, id: RecordId) {
        if self.young.len() >= PROVEN_IDS {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(id);
    }
}

#[cfg(test)]
#[path = "work_tests.rs"]
mod tests;
