//! What a registry shows.

use serde_bytes::ByteBuf;

use super::{GetError, PublishError};
use crate::catalogue::delivery::Delivery;
use crate::id::{FullName, Handle, PackageId, PublisherId, RecordId};
use crate::protocol::query::Search;
use crate::record::{KeyLog, PresumedKeyLog, Release, State, Status, Verified, Version};
use crate::search::query::{Filters, Order};
use crate::search::verified::{Hit, Proven, Refused, VerifiedPackage, VerifiedSearch};

/// Which page of results, and how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchOptions {
    /// 1 to [`MAX_RESULTS`](crate::limits::MAX_RESULTS).
    pub limit: u16,
    /// [`SearchResults::cursor`] of the page before; None for the first.
    pub cursor: Option<ByteBuf>,
    /// What packages have to be besides.
    pub filters: Filters,
    /// What comes first.
    pub order: Order,
}

impl SearchOptions {
    /// What a relay is asked.
    pub fn question(&self, text: &str) -> Search {
        let Self { limit, cursor, filters, order } = self.clone();
        Search { text: text.into(), limit, cursor, filters, order }
    }
}

impl Default for SearchOptions {
    /// The first twenty.
    fn default() -> Self {
        Self { limit: 20, cursor: None, filters: Filters::default(), order: Order::Best }
    }
}

/// Which peer said something: its peer id, as text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Source(pub String);

/// A publisher, as its key log proves it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublisherView {
    /// The publisher's id.
    pub id: PublisherId,
    /// The handle that it claims; not unique.
    pub handle: Handle,
}

impl PublisherView {
    /// The name that means a package of this publisher and no other.
    pub fn full_name(&self, package: &PackageId) -> FullName {
        FullName { handle: Some(self.handle.clone()), fingerprint: self.id.fingerprint(), name: package.name.clone() }
    }
}

impl From<&PresumedKeyLog> for PublisherView {
    fn from(key_log: &PresumedKeyLog) -> Self {
        Self { id: key_log.publisher(), handle: key_log.handle().clone() }
    }
}

impl From<&KeyLog> for PublisherView {
    fn from(key_log: &KeyLog) -> Self {
        Self { id: key_log.publisher(), handle: key_log.handle().clone() }
    }
}

/// A verified release with who published it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReleaseView {
    /// Who.
    pub publisher: PublisherView,
    /// What.
    pub release: Verified<Release>,
    /// What its version is good for. None: the answer does not say. What a search finds was neither yanked nor retracted at the relay's
    /// checkpoint; if it was since, or is deprecated, the relay may say so, which nothing proves to be the last word.
    pub state: Option<State>,
    /// The status that says so, with its reason.
    pub status: Option<Verified<Status>>,
    /// Whether the checkpoint of the relay that answered has it; false for what was published just now.
    pub in_checkpoint: bool,
}

impl ReleaseView {
    /// A release of whose state nothing is known.
    pub fn of(publisher: impl Into<PublisherView>, release: Verified<Release>, in_checkpoint: bool) -> Self {
        Self { publisher: publisher.into(), release, state: None, status: None, in_checkpoint }
    }
}

impl From<Hit> for ReleaseView {
    fn from(Hit { key_log, release, status, in_checkpoint }: Hit) -> Self {
        let state = status.as_ref().map(|status| status.state);
        Self { state, status, ..Self::of(&key_log, release, in_checkpoint) }
    }
}

/// A record that a peer sent and that was not accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RefusedRecord {
    /// Why.
    pub refused: Refused,
    /// Who sent it.
    pub source: Source,
}

/// A page of results.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SearchResults {
    /// Best first; what is refused comes last.
    pub hits: Vec<Result<ReleaseView, RefusedRecord>>,
    /// How many match, as the relay's checkpoint proves it.
    pub total: u64,
    /// Whether `total` is exact, or only the least it can be.
    pub total_is_exact: bool,
    /// Where the next page begins; None at the end.
    pub cursor: Option<ByteBuf>,
    /// Who answered.
    pub source: Source,
    /// What the answer stands on; None when nothing can match the question.
    pub proven: Option<Proven>,
    /// What the relay takes for what was meant, where it finds little: its guess, unproven.
    pub suggestions: Vec<String>,
    /// Nobody can be asked now: this is what was answered before.
    pub offline: bool,
}

impl SearchResults {
    /// A verified answer.
    #[expect(clippy::result_large_err, reason = "a refused hit is a result like any other, and stays in its place")]
    pub fn of(verified: VerifiedSearch, source: Source) -> Self {
        let hits = verified.hits.into_iter().map(|hit| match hit {
            Ok(hit) => Ok(hit.into()),
            Err(refused) => Err(RefusedRecord { refused, source: source.clone() }),
        });
        Self {
            hits: hits.collect(),
            total: verified.total,
            total_is_exact: verified.total_is_exact,
            cursor: verified.cursor,
            source: source.clone(),
            proven: verified.proven,
            suggestions: verified.suggestions,
            offline: false,
        }
    }
}

/// One version in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VersionView {
    /// Which version.
    pub version: Version,
    /// The release's record id.
    pub id: RecordId,
    /// When it was made: seconds since 1970, as the publisher says.
    pub created: u64,
    /// What it is good for.
    pub state: State,
}

/// What a lookup found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// The package; None where nobody who was asked knows it.
    pub package: Option<VerifiedPackage>,
    /// Who answered.
    pub source: Source,
    /// Records that others sent and that were refused.
    pub refused: Vec<RefusedRecord>,
    /// Nobody can be asked now: this is what was answered before.
    pub offline: bool,
}

/// The versions of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versions {
    /// Those that were shown and that verified, highest first. Two entries of one version contest each other.
    pub list: Vec<VersionView>,
    /// How many more releases there are: an answer holds only so many.
    pub missing: u64,
    /// Records of this package that were refused.
    pub refused: Vec<RefusedRecord>,
    /// Who answered.
    pub source: Source,
    /// Nobody can be asked now: this is what was answered before.
    pub offline: bool,
}

/// A package: the release that was asked for, and what else there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageView {
    /// The release.
    pub release: ReleaseView,
    /// Its versions: all that fit an answer, or those that are this one.
    pub versions: Versions,
    /// What the answer stands on.
    pub proven: Proven,
}

impl Found {
    /// What a relay answered.
    pub const fn by(package: Option<VerifiedPackage>, source: Source) -> Self {
        Self { package, source, refused: Vec::new(), offline: false }
    }

    /// How much it says, to compare with what others found: of releases, or of refused ones.
    pub fn says(&self) -> impl Ord + use<> {
        self.package.as_ref().map(|package| (package.releases.len(), package.refused.len()))
    }

    /// What was refused of it.
    pub fn into_refused(self) -> impl Iterator<Item = RefusedRecord> {
        let Self { package, source, refused, .. } = self;
        let own = package.into_iter().flat_map(|package| package.refused);
        own.map(move |refused| RefusedRecord { refused, source: source.clone() }).chain(refused)
    }

    /// Whether a release is among what was found.
    pub fn has(&self, release: &RecordId) -> bool {
        self.package.iter().flat_map(|package| &package.releases).any(|known| known.id() == *release)
    }

    /// Whether its publisher can publish a release, by what was found of its version.
    ///
    /// # Errors
    /// [`PublishError::WrittenOnce`].
    pub fn admit(self, name: &FullName, release: &Release) -> Result<(), PublishError> {
        match PackageView::of(name, Some(&release.version), self) {
            // From the same sources, it contests nothing.
            Ok(view) if Delivery::of(&view.release.release) == Delivery::of(release) => Ok(()),
            Ok(_) | Err(GetError::Contested { .. } | GetError::Retracted { .. }) => {
                Err(PublishError::WrittenOnce { name: Box::new(name.clone()), version: release.version.clone() })
            }
            Err(GetError::Peer(error)) => Err(error.into()),
            // It is unknown, or what was shown of it is not valid and contests nothing.
            Err(_) => Ok(()),
        }
    }
}

impl Versions {
    /// The versions that were found.
    ///
    /// # Errors
    /// [`GetError::UnknownPackage`]; [`GetError::Refused`] when nothing that was sent is valid.
    pub fn of(name: &FullName, found: Found) -> Result<Self, GetError> {
        let package = found.package.as_ref().ok_or_else(|| GetError::UnknownPackage(name.clone()))?;
        let versions = Self::all(package, &found);
        if versions.list.is_empty() {
            return Err(match versions.refused.is_empty() {
                true => GetError::UnknownPackage(name.clone()),
                false => GetError::Refused(versions.refused),
            });
        }
        Ok(versions)
    }

    fn all(package: &VerifiedPackage, found: &Found) -> Self {
        let view = |release: &Verified<Release>| VersionView {
            version: release.version.clone(),
            id: release.id(),
            created: release.created,
            state: package.state(&release.version),
        };
        let refused = |refused: &Refused| RefusedRecord { refused: refused.clone(), source: found.source.clone() };
        Self {
            list: package.releases.iter().map(view).collect(),
            missing: package.total.saturating_sub(package.releases.len() as u64),
            refused: package.refused.iter().map(refused).chain(found.refused.iter().cloned()).collect(),
            source: found.source.clone(),
            offline: found.offline,
        }
    }
}

impl PackageView {
    /// The view of what was found, by one version or by the head.
    ///
    /// # Errors
    /// [`GetError::UnknownPackage`], [`GetError::UnknownVersion`], [`GetError::Contested`], [`GetError::Retracted`], [`GetError::Withdrawn`],
    /// [`GetError::Refused`] when nothing that was sent is valid.
    pub fn of(name: &FullName, version: Option<&Version>, found: Found) -> Result<Self, GetError> {
        let package = found.package.as_ref().ok_or_else(|| GetError::UnknownPackage(name.clone()))?;
        let versions = Versions::all(package, &found);
        let Some(release) = package.shown(version).cloned() else {
            return Err(none_shown(name, version, package, versions));
        };
        Ok(Self {
            release: ReleaseView {
                publisher: PublisherView::from(&package.key_log),
                state: Some(package.state(&release.version)),
                status: package.status(&release.version).cloned(),
                in_checkpoint: !package.recent.contains(&release.id()),
                release,
            },
            versions,
            proven: package.proven.clone(),
        })
    }
}

/// Why nothing is shown of a package that was found.
fn none_shown(name: &FullName, version: Option<&Version>, package: &VerifiedPackage, versions: Versions) -> GetError {
    let of_version =
        || package.releases.iter().filter(|release| version.is_none_or(|version| release.version == *version));
    // What was withdrawn contests nothing any more.
    let contested: Vec<RecordId> =
        of_version().filter(|release| package.state(&release.version).is_listed()).map(Verified::id).collect();
    if !contested.is_empty() {
        return GetError::Contested { name: name.clone(), ids: contested };
    }
    let ids: Vec<RecordId> = of_version().map(Verified::id).collect();
    match version {
        Some(version) if !ids.is_empty() && package.state(version) == State::Retracted => {
            GetError::Retracted { name: name.clone(), version: version.clone() }
        }
        Some(_) if !ids.is_empty() => GetError::Contested { name: name.clone(), ids },
        None if !ids.is_empty() => GetError::Withdrawn(name.clone()),
        _ if !versions.refused.is_empty() => GetError::Refused(versions.refused),
        Some(version) => GetError::UnknownVersion { name: name.clone(), version: version.clone() },
        None => GetError::UnknownPackage(name.clone()),
    }
}
