//! Why an answer, or a record of it, is refused.

use super::super::query;
use crate::checkpoint;
use crate::id::{Handle, PackageId, PublisherId};
use crate::merkle::proof;
use crate::record::{self, Version};

/// Why a whole answer is refused: the relay broke the protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AnswerError {
    /// The question was none.
    #[error(transparent)]
    Query(#[from] query::Error),
    /// More of something than was asked for, or than makes sense.
    #[error("the answer has {actual} {what}, at most {limit} make sense")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many came.
        actual: usize,
        /// How many may.
        limit: usize,
    },
    /// It is an answer to another question, or without what proves it.
    #[error("the answer does not fit the question")]
    NotAnAnswer,
    /// An entry of its map names a record that it does not deliver.
    #[error("the relay commits to a record that it does not deliver")]
    Withheld,
    /// A record that an entry of its map names is refused.
    #[error(transparent)]
    Refused(RefusedError),
    /// The relay signed another root for the same epoch.
    #[error("the relay committed to two things at once")]
    TwoRoots,
    /// The relay committed to something later before.
    #[error("the relay goes back to what it held before")]
    Rollback,
    /// The checkpoint that it stands on is refused.
    #[error(transparent)]
    Checkpoint(#[from] checkpoint::Error),
    /// The proof does not hold.
    #[error(transparent)]
    Proof(#[from] proof::Error),
    /// The publisher's key log is missing or refused, so nothing of the answer can be verified.
    #[error("the publisher's key log is refused: {0}")]
    KeyLog(#[source] record::Error),
    /// The key log is of another publisher than the one that was asked for.
    #[error("the answer is of {handle}, publisher {publisher}, who was not asked for")]
    WrongPublisher {
        /// Whose key log it is.
        publisher: PublisherId,
        /// What that publisher calls itself.
        handle: Handle,
    },
}

impl AnswerError {
    /// A stable code for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Query(error) => error.code(),
            Self::KeyLog(error) => error.code(),
            Self::TooMany { .. } | Self::NotAnAnswer => "relay/broke-protocol",
            Self::Checkpoint(error) => error.code(),
            Self::Proof(_) => "relay/bad-proof",
            Self::Withheld => "relay/withheld",
            Self::Refused(error) => error.code(),
            Self::TwoRoots => "relay/two-roots",
            Self::Rollback => "relay/rollback",
            Self::WrongPublisher { .. } => "record/wrong-publisher",
        }
    }
}

/// Why one record of an answer is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RefusedError {
    /// It is no valid record.
    #[error(transparent)]
    Record(#[from] record::Error),
    /// The answer has no key log of its publisher.
    #[error("the answer has no key log of publisher {0}")]
    NoKeyLog(PublisherId),
    /// The key log of its publisher is refused.
    #[error("the key log of publisher {publisher} is refused: {error}")]
    KeyLog {
        /// Whose key log.
        publisher: PublisherId,
        /// Why.
        #[source]
        error: record::Error,
    },
    /// It is valid, and no answer to the query.
    #[error("the release does not match the query")]
    DoesNotMatch,
    /// The answer has that package, or that record, already.
    #[error("the answer has it twice")]
    Twice,
    /// The proof names it, and the relay did not send it.
    #[error("the relay proves that there is a release {0} here, and does not send it")]
    Withheld(String),
    /// It is not the release that the proof names in its place.
    #[error("the release is not the one that the relay's proof names")]
    NotProven,
    /// The relay lists it otherwise than the rules say.
    #[error("the relay lists the release wrongly")]
    WrongEntry,
    /// It is a status, and no release of the answer needs it: it is of none of them, or another one says it already.
    #[error("the answer shows no release that the status is needed for")]
    Surplus,
    /// It is a release of another package than was asked for.
    #[error("the release is of another package: {0}")]
    WrongPackage(PackageId),
    /// It is another version than was asked for.
    #[error("the release is version {0}, which was not asked for")]
    WrongVersion(Version),
}

impl RefusedError {
    /// A stable code for programs.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Record(error) | Self::KeyLog { error, .. } => error.code(),
            Self::NoKeyLog(_) => "record/no-key-log",
            Self::DoesNotMatch => "record/does-not-match",
            Self::Twice => "record/twice",
            Self::Withheld(_) => "relay/withheld",
            Self::NotProven => "record/not-proven",
            Self::WrongEntry => "relay/wrong-entry",
            Self::Surplus => "record/surplus",
            Self::WrongPackage(_) => "record/wrong-package",
            Self::WrongVersion(_) => "record/wrong-version",
        }
    }
}

/// A record of an answer that is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("record {index} of the answer: {error}")]
pub struct Refused {
    /// Which one of the answer's list.
    pub index: usize,
    /// Why.
    #[source]
    pub error: RefusedError,
}
