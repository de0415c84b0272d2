//! A registry as a program uses it: the eight operations, whatever is behind them. `P2PRegistry` asks relays and verifies; a
//! test's registry may hold a [`Catalogue`](crate::catalogue::Catalogue).

use std::future::Future;

use serde_bytes::ByteBuf;

use crate::id::{FullName, Handle, PackageId, PublisherId, RecordId};
use crate::protocol::query::{Refusal, Search};
use crate::record::{ContentId, KeyLog, PresumedKeyLog, Record, Release, State, Status, Verified, Version};
use crate::search::query::{self, Filters, Order};
use crate::search::verified::{AnswerError, Proven, Refused, VerifiedPackage};

/// `Send` natively, where tasks move between threads; no demand on wasm32, where there is one thread and JavaScript's futures
/// belong to it. This is the one place that decides it.
#[cfg(not(target_arch = "wasm32"))]
pub trait MaybeSend: Send {}
#[cfg(not(target_arch = "wasm32"))]
impl<T: Send + ?Sized> MaybeSend for T {}

/// `Send` natively, where tasks move between threads; no demand on wasm32, where there is one thread and JavaScript's futures
/// belong to it. This is the one place that decides it.
#[cfg(target_arch = "wasm32")]
pub trait MaybeSend {}
#[cfg(target_arch = "wasm32")]
impl<T: ?Sized> MaybeSend for T {}

/// The operations of a package registry.
pub trait Registry {
    /// Packages that match what a person typed, with the filters and in the order of the options.
    fn search(
        &self,
        text: &str,
        options: SearchOptions,
    ) -> impl Future<Output = Result<SearchResults, SearchError>> + MaybeSend;

    /// A package by its newest version that is no pre-release and was not withdrawn.
    fn get_package(&self, name: &FullName) -> impl Future<Output = Result<PackageView, GetError>> + MaybeSend;

    /// A package by one of its versions.
    fn get_package_version(
        &self,
        name: &FullName,
        version: &Version,
    ) -> impl Future<Output = Result<PackageView, GetError>> + MaybeSend;

    /// The versions of a package, highest first.
    fn list_versions(&self, name: &FullName) -> impl Future<Output = Result<Vec<VersionView>, GetError>> + MaybeSend;

    /// Hands signed records and their content to relays. Done when at least one says that they are durable.
    fn publish(&self, publication: Publication) -> impl Future<Output = Result<Published, PublishError>> + MaybeSend;

    /// Retracts a version: out of listings and search, and its number never to be used again. What was signed and copied
    /// can't be unmade.
    fn delete(&self, name: &FullName, version: &Version) -> impl Future<Output = Result<(), DeleteError>> + MaybeSend;

    /// Whether there is such a package.
    fn exists(&self, name: &FullName) -> impl Future<Output = Result<bool, GetError>> + MaybeSend;

    /// The release that a package is shown by, without its content.
    fn metadata(&self, name: &FullName) -> impl Future<Output = Result<Verified<Release>, GetError>> + MaybeSend;
}

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
    /// What its version is good for. None: the answer does not say, as that of a search does not; what is found is not yanked.
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

/// A package: the release that was asked for, and what else there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackageView {
    /// The release.
    pub release: ReleaseView,
    /// Every version that was shown and that verified, highest first. Two entries of one version contest each other.
    pub versions: Vec<VersionView>,
    /// Records of this package that were refused.
    pub refused: Vec<RefusedRecord>,
    /// Who answered.
    pub source: Source,
    /// What the answer stands on.
    pub proven: Proven,
}

impl PackageView {
    /// The view of a verified answer: by one version, or by the head.
    ///
    /// # Errors
    /// [`GetError::UnknownPackage`], [`GetError::UnknownVersion`], [`GetError::Contested`], [`GetError::Retracted`], [`GetError::Withdrawn`],
    /// [`GetError::Refused`] when nothing that was sent is valid.
    pub fn of(
        name: &FullName,
        version: Option<&Version>,
        package: Option<VerifiedPackage>,
        source: Source,
    ) -> Result<Self, GetError> {
        let package = package.ok_or_else(|| GetError::UnknownPackage(name.clone()))?;
        let shown = match version {
            Some(version) if package.state(version) == State::Retracted => None,
            Some(version) => package.standing(version),
            None => package.head(),
        };
        let Some(release) = shown.cloned() else { return Err(Self::none_shown(name, version, package, source)) };
        let version_view = |release: &Verified<Release>| VersionView {
            version: release.version.clone(),
            id: release.id(),
            created: release.created,
            state: package.state(&release.version),
        };
        Ok(Self {
            release: ReleaseView {
                publisher: PublisherView::from(&package.key_log),
                state: Some(package.state(&release.version)),
                status: package.status(&release.version).cloned(),
                in_checkpoint: !package.recent.contains(&release.id()),
                release,
            },
            versions: package.releases.iter().map(version_view).collect(),
            refused: refused_records(package.refused, &source),
            source,
            proven: package.proven,
        })
    }

    fn none_shown(name: &FullName, version: Option<&Version>, package: VerifiedPackage, source: Source) -> GetError {
        let of_version = |release: &&Verified<Release>| version.is_none_or(|version| release.version == *version);
        // What was withdrawn contests nothing any more.
        let contested =
            |release: &&Verified<Release>| of_version(release) && package.state(&release.version).is_listed();
        if package.releases.iter().any(|release| contested(&release)) {
            let ids = package.releases.iter().filter(contested).map(Verified::id).collect();
            return GetError::Contested { name: name.clone(), ids };
        }
        if package.releases.iter().any(|release| of_version(&release)) {
            return match version {
                Some(version) if package.state(version) == State::Retracted => {
                    GetError::Retracted { name: name.clone(), version: version.clone() }
                }
                Some(_) => {
                    let ids = package.releases.iter().filter(of_version).map(Verified::id).collect();
                    GetError::Contested { name: name.clone(), ids }
                }
                None => GetError::Withdrawn(name.clone()),
            };
        }
        if !package.refused.is_empty() {
            return GetError::Refused(refused_records(package.refused, &source));
        }
        match version {
            Some(version) => GetError::UnknownVersion { name: name.clone(), version: version.clone() },
            None => GetError::UnknownPackage(name.clone()),
        }
    }
}

fn refused_records(refused: Vec<Refused>, source: &Source) -> Vec<RefusedRecord> {
    refused.into_iter().map(|refused| RefusedRecord { refused, source: source.clone() }).collect()
}

/// What to publish: records as signed, and every block of the content that they name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    /// The key log, then releases.
    pub records: Vec<Record>,
    /// Blocks by identifier.
    pub blocks: Vec<(ContentId, Vec<u8>)>,
}

/// What came of a publication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Relays that say that everything is durable.
    pub durable_at: Vec<Source>,
    /// Relays that refused or failed, with what they said.
    pub failed_at: Vec<(Source, PeerError)>,
}

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
            Self::Refused(relays) => relays.first().map_or("relay/refused", |(_, error)| error.code()),
            Self::Peer(error) => error.code(),
        }
    }
}

/// Why nothing was retracted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum DeleteError {
    /// These rules have no status records: nobody would understand a retraction.
    #[error("this version of the marketplace can't retract a release yet")]
    NotYetPossible,
    /// There is nothing to retract, or it could not be looked up.
    #[error(transparent)]
    Get(#[from] GetError),
}

impl DeleteError {
    /// A stable code for programs.
    pub fn code(&self) -> &'static str {
        match self {
            Self::NotYetPossible => "delete/not-yet-possible",
            Self::Get(error) => error.code(),
        }
    }
}
