//! What an entry of the map carries besides its key: for entries of packages, what answers are made of.

use std::sync::Arc;

use super::exclusions::is_reason;
use super::keys::{PackageKey, ShortId};
use crate::id::{PublisherId, RecordId};
use crate::limits::MAX_REASON_BYTES;
use crate::merkle::Value;
use crate::record::{Record, RecordBytes, Release, State, Verified};
use crate::rules::Rules;
use crate::search::analyser::Tokens;
use crate::search::filter::Filter;
use crate::search::rank::Popularity;

/// How a package is listed: a function of its head and of how many depend on it. A snapshot of the map keeps it, so that it
/// answers as it did even when the head has changed since.
///
/// What a map looks at for every entry comes first: it is in memory beside the count of who holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[repr(C)]
pub struct Listed {
    /// The release that the package is listed by.
    pub head: RecordId,
    /// What rules out most other words.
    pub filter: Filter,
    /// Whose it is.
    pub publisher: PublisherId,
    /// The package.
    pub package: PackageKey,
    /// The release as it was signed.
    pub bytes: RecordBytes,
    /// The words it is found by.
    pub tokens: Tokens,
    /// How many depend on it.
    pub popularity: Popularity,
    /// When the release was made, as its publisher says.
    pub created: u64,
}

impl Listed {
    pub(super) fn of(release: &Verified<Release>, popularity: Popularity, rules: Rules) -> Self {
        let tokens = rules.tokens(release);
        Self {
            head: release.id(),
            publisher: release.publisher,
            package: PackageKey::of(&release.package()),
            bytes: release.bytes().clone(),
            filter: Filter::of(release, &tokens),
            tokens,
            popularity,
            created: release.created,
        }
    }
}

/// What a status says of a version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decision {
    /// What the version is now.
    pub state: State,
    /// The status that says so.
    pub status: ShortId,
}

impl Decision {
    /// Bytes of a decision.
    pub const BYTES: usize = 1 + ShortId::BYTES;

    /// The decision as the value of an entry: the state's number, and the short id of the status.
    pub fn to_bytes(&self) -> [u8; Self::BYTES] {
        let mut bytes = [self.state.number(); Self::BYTES];
        bytes[1..].copy_from_slice(self.status.as_bytes());
        bytes
    }

    /// The decision with these bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (state, status) = bytes.split_first()?;
        Some(Self { state: State::from_number(*state)?, status: ShortId::from_bytes(status.try_into().ok()?) })
    }
}

/// What the entries of a version say besides their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Standing<'a> {
    /// What a status says of the version; None while none does.
    pub decision: Option<Decision>,
    /// Why the relay's operator excludes what stands for it, which may be empty; None: it does not.
    pub excluded: Option<&'a str>,
}

impl<'a> Standing<'a> {
    /// What stands before the reason of a version that is excluded.
    const EXCLUDED: u8 = 0xff;
    /// Most bytes that it takes.
    pub const MAX_BYTES: usize = Decision::BYTES + 1 + MAX_REASON_BYTES;

    /// It as the value of an entry: the decision, if there is one, then the mark and the reason, if it is excluded.
    pub fn to_bytes(self) -> Vec<u8> {
        let mut bytes = self.decision.map(|decision| decision.to_bytes().to_vec()).unwrap_or_default();
        if let Some(reason) = self.excluded {
            bytes.push(Self::EXCLUDED);
            bytes.extend_from_slice(reason.as_bytes());
        }
        bytes
    }

    /// What has these bytes.
    pub fn from_bytes(bytes: &'a [u8]) -> Option<Self> {
        // The number of a state is never that of the mark: what has no status begins with the mark.
        let (decision, mark) = match bytes {
            [] | [Self::EXCLUDED, ..] => (None, bytes),
            _ => {
                let (decision, mark) = bytes.split_at_checked(Decision::BYTES)?;
                (Some(Decision::from_bytes(decision)?), mark)
            }
        };
        let excluded = match mark {
            [] => None,
            [Self::EXCLUDED, reason @ ..] => Some(std::str::from_utf8(reason).ok().filter(|reason| is_reason(reason))?),
            _ => return None,
        };
        Some(Self { decision, excluded })
    }

    /// What an entry says whose value may be anything: what says nothing that is known says nothing at all, and excludes nothing.
    pub fn of(bytes: &'a [u8]) -> Self {
        Self::from_bytes(bytes).unwrap_or_default()
    }

    /// Whether the version may stand for its package.
    pub fn may_be_listed(self) -> bool {
        self.excluded.is_none() && self.decision.is_none_or(|decision| decision.state.is_listed())
    }
}

/// The value of an entry: a pointer, because there are millions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leaf(Option<Arc<Said>>);

#[derive(Debug, PartialEq, Eq)]
enum Said {
    Listed(Listed),
    Plain(Box<[u8]>),
}

impl Leaf {
    /// The value of entries that say all in their keys.
    pub const NONE: Self = Self(None);

    /// The value of an entry of a package that is listed so.
    pub fn of(listed: Listed) -> Self {
        Self(Some(Arc::new(Said::Listed(listed))))
    }

    /// The value of the entries of a version.
    pub fn standing(standing: Standing<'_>) -> Self {
        let bytes = standing.to_bytes();
        if bytes.is_empty() { Self::NONE } else { Self(Some(Arc::new(Said::Plain(bytes.into())))) }
    }

    /// A value that no honest map has.
    #[cfg(test)]
    pub(crate) fn junk(bytes: &[u8]) -> Self {
        Self(Some(Arc::new(Said::Plain(bytes.into()))))
    }

    /// What the entry of a version says of it.
    pub fn stands(&self) -> Standing<'_> {
        Standing::of(self.bytes())
    }

    /// How the package is listed that the entry is about.
    pub fn listed(&self) -> Option<&Listed> {
        match self.0.as_deref() {
            Some(Said::Listed(listed)) => Some(listed),
            Some(Said::Plain(_)) | None => None,
        }
    }
}

impl Value for Leaf {
    fn bytes(&self) -> &[u8] {
        match self.0.as_deref() {
            Some(Said::Listed(listed)) => listed.filter.as_bytes(),
            Some(Said::Plain(bytes)) => bytes,
            None => &[],
        }
    }

    fn tail(&self) -> &[u8] {
        // All entries by which a package is listed end with the release that it is listed by.
        self.listed().map_or(&[], |listed| &listed.head.as_bytes()[..ShortId::BYTES])
    }
}

/// The entries of a member that do not depend on any other.
pub(super) fn own_entries(record: &Record) -> Vec<Vec<u8>> {
    let mut entries = vec![super::keys::record(record)];
    if let Record::Inception(inception) = record {
        let publisher = PublisherId::from_inception(inception.id());
        entries.push([&super::keys::handle(&inception.handle), &publisher.as_bytes()[..]].concat());
    }
    entries
}
