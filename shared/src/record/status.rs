//! A status: what a publisher says of a version after it was released.

use serde::{Deserialize, Serialize};

use super::text::check_line;
use super::{Error, Kind, Payload};
use crate::id::{PackageId, PackageName, PublisherId, RecordId};
use crate::limits::MAX_REASON_BYTES;
use crate::record::Version;

/// What a version is good for. The later, the more severe.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// As released; also what takes a yank back.
    #[default]
    Active,
    /// It works, and there is something better.
    Deprecated,
    /// Not to be chosen any more. Whoever has it in a lock file still gets it.
    Yanked,
    /// Out of listings and search, and its number is never used again.
    Retracted,
}

impl State {
    /// The state as one byte of an entry.
    pub const fn number(self) -> u8 {
        self as u8
    }

    /// The state with this number.
    pub const fn from_number(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::Active),
            1 => Some(Self::Deprecated),
            2 => Some(Self::Yanked),
            3 => Some(Self::Retracted),
            _ => None,
        }
    }

    /// The state as programs and pages name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Active => "active",
            Self::Deprecated => "deprecated",
            Self::Yanked => "yanked",
            Self::Retracted => "retracted",
        }
    }

    /// Whether a package may be listed by a version in this state.
    pub const fn is_listed(self) -> bool {
        matches!(self, Self::Active | Self::Deprecated)
    }
}

/// What a publisher says of a version. All statuses of a version stay; [`Self::weight`] says which of them decides.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// Who says it.
    pub publisher: PublisherId,
    /// The key event that it is signed under.
    pub signed_under: RecordId,
    /// The record's index below the publisher's quota; a publisher uses each once.
    pub index: u32,
    /// The package.
    pub name: PackageName,
    /// The version, released here or not.
    pub version: Version,
    /// The higher one decides.
    pub seq: u64,
    /// What the version is now.
    pub state: State,
    /// Why, in a line; may be empty.
    pub reason: String,
    /// The package to use instead of a deprecated one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead: Option<PackageId>,
}

/// What decides among the statuses of a version: the greatest. A retraction before all others, then the sequence number, the more severe
/// state, the smaller id.
pub type Weight = (bool, u64, State, std::cmp::Reverse<RecordId>);

impl Status {
    /// The package that it is about.
    pub fn package(&self) -> PackageId {
        PackageId { publisher: self.publisher, name: self.name.clone() }
    }

    /// How it stands among the statuses of its version. `id`: its record id.
    pub const fn weight(&self, id: RecordId) -> Weight {
        (matches!(self.state, State::Retracted), self.seq, self.state, std::cmp::Reverse(id))
    }
}

impl Payload for Status {
    const KIND: Kind = Kind::Status;

    fn check(&self) -> Result<(), Error> {
        check_line("reason", &self.reason, MAX_REASON_BYTES)?;
        if self.instead.is_some() && self.state != State::Deprecated {
            return Err(Error::field("instead", "is for a deprecated version only"));
        }
        Ok(())
    }
}
