//! Why an operation of a registry fails: each kind of failure has a code of its own.

use super::{RefusedRecord, Source};
use crate::id::{FullName, RecordId};
use crate::protocol::query::Refusal;
use crate::record::{self, Version};
use crate::search::query;
use crate::search::verified::AnswerError;

/// What goes wrong between us and a peer, in any operation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeerError {
    /// No relay could be reached.
    #[error("no relay can be reached")]
    Unreachable,
    /// The relay did not answer in time.
    #[error("the relay did not answer in time")]
    Timeout,
    /// The relay refused the question.
    #[error("the relay refused: {0}")]
    Refused(#[source] Refusal),
    /// The answer breaks the protocol, or nothing in it can be verified.
    #[error(transparent)]
    BadAnswer(#[from] AnswerError),
    /// It has more that differs than was looked at: whether it says the same of what was asked for is not known.
    #[error("more differs than was looked at")]
    Undecided,
    /// The registry was closed.
    #[error("the client is closed")]
    Closed,
}

impl PeerError {
    /// Whether nobody could be asked, or nobody answered: what was answered before is all that there is.
    pub const fn is_offline(&self) -> bool {
        matches!(self, Self::Unreachable | Self::Timeout)
    }

    /// A stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Unreachable => "network/unreachable",
            Self::Timeout => "network/timeout",
            // A peer's code is text from a stranger; those that say something about the question are known by name.
            Self::Refused(refusal) => match refusal.code.as_str() {
                "query/too-long" => "query/too-long",
                "query/too-many-words" => "query/too-many-words",
                "query/bad-cursor" => "query/bad-cursor",
                "query/old-cursor" => "query/old-cursor",
                "query/bad-filter" => "query/bad-filter",
                "query/bad-limit" => "query/bad-limit",
                _ => "relay/refused",
            },
            Self::BadAnswer(error) => error.code(),
            Self::Undecided => "relay/undecided",
            Self::Closed => "client/closed",
        }
    }
}

/// Why there are no search results.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SearchError {
    /// The text is no query.
    #[error(transparent)]
    Query(#[from] query::Error),
    /// No relay gave an answer that holds.
    #[error(transparent)]
    Peer(#[from] PeerError),
}

impl SearchError {
    /// A stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Query(error) => error.code(),
            Self::Peer(error) => error.code(),
        }
    }
}

/// Why there is no package.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum GetError {
    /// No relay that was asked knows it.
    #[error("there is no package {0}")]
    UnknownPackage(FullName),
    /// The package is known, the version is not.
    #[error("the package {name} has no version {version}")]
    UnknownVersion {
        /// The package.
        name: FullName,
        /// The version.
        version: Version,
    },
    /// The publisher signed different releases of what was asked for: it is to be had by release id only.
    #[error("the publisher of {name} signed {} releases that contradict each other", ids.len())]
    Contested {
        /// The package.
        name: FullName,
        /// The releases.
        ids: Vec<RecordId>,
    },
    /// The publisher retracted the version: it is not to be used, and its number will not be used again.
    #[error("{name} {version} was retracted by its publisher")]
    Retracted {
        /// The package.
        name: FullName,
        /// The version.
        version: Version,
    },
    /// The publisher yanked or retracted every version that it could be shown by.
    #[error("all versions of {0} were withdrawn by its publisher")]
    Withdrawn(FullName),
    /// Records came, and none of them is valid.
    #[error("{} records of the package came, and none is valid", .0.len())]
    Refused(Vec<RefusedRecord>),
    /// No relay gave an answer that holds.
    #[error(transparent)]
    Peer(#[from] PeerError),
}

impl GetError {
    /// A stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::UnknownPackage(_) => "package/not-found",
            Self::UnknownVersion { .. } => "version/not-found",
            Self::Contested { .. } => "version/contested",
            Self::Retracted { .. } => "version/retracted",
            Self::Withdrawn(_) => "package/withdrawn",
            Self::Refused(records) => records.first().map_or("record/refused", |record| record.refused.error.code()),
            Self::Peer(error) => error.code(),
        }
    }
}

/// Why nothing was published.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishError {
    /// The publication lacks a record or a block that it needs, or is too large.
    #[error("the publication {0}")]
    Incomplete(&'static str),
    /// A record does not verify.
    #[error(transparent)]
    Record(#[from] record::Error),
    /// The publisher published this version before, with other content or dependencies.
    #[error(
        "{name} {version} was already published with other content, and a version is written once: publish under another version"
    )]
    WrittenOnce {
        /// The package.
        name: Box<FullName>,
        /// The version.
        version: Version,
    },
    /// No relay took it: what each of them said.
    #[error("no relay took the publication; the first said: {}", .0.first().map_or_else(String::new, |(_, error)| error.to_string()))]
    Refused(Vec<(Source, PeerError)>),
    /// No relay could be reached.
    #[error(transparent)]
    Peer(#[from] PeerError),
}

impl PublishError {
    /// A stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::Incomplete(_) => "publish/incomplete",
            Self::Record(error) => error.code(),
            Self::WrittenOnce { .. } => "publish/written-once",
            Self::Refused(relays) => relays.first().map_or("relay/refused", |(_, error)| error.code()),
            Self::Peer(error) => error.code(),
        }
    }
}

/// Why nothing was retracted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeleteError {
    /// What was signed is something else.
    #[error("the publication is not the signed retraction of one version")]
    NotARetraction,
    /// There is nothing to retract, or it could not be looked up.
    #[error(transparent)]
    Get(#[from] GetError),
    /// It could not be handed over.
    #[error(transparent)]
    Publish(#[from] PublishError),
}

impl DeleteError {
    /// A stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotARetraction => "delete/not-a-retraction",
            Self::Get(error) => error.code(),
            Self::Publish(error) => error.code(),
        }
    }
}
