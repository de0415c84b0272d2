//! Asks relays for what choosing versions lacks: lists of versions, confirmed by anchors, and whom names mean.

use std::collections::BTreeSet;

use futures::stream::{self, StreamExt};
use ggen_net::light::Platform;
use ggen_net::{Claimants, ConfirmError, Confirmed, P2PRegistry};
use ggen_shared::id::{FullName, Handle, Network, PackageId, PackageName, PublisherId};
use ggen_shared::record::{Release, State, Verified, Version};
use ggen_shared::registry::{GetError, PeerError};

use super::known::{Candidate, Known, Meaning, PassedOver, Versions};
use super::pins::Pins;
use super::resolve::{self, Request, Solution, resolve};
use super::wanted::Name;

/// Packages that relays are asked about at once: enough to fill the wait for answers.
const CONCURRENCY: usize = 8;

/// Why versions could not be chosen.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A name may mean several publishers' packages.
    #[error("`{name}` may mean {}: say which by its full name", list(.candidates, *.has_more))]
    Ambiguous {
        /// What was asked for.
        name: Name,
        /// What may be meant.
        candidates: Vec<FullName>,
        /// Whether there are more.
        has_more: bool,
    },
    /// A name means nobody's package.
    #[error("there is no package `{0}`, as far as the relays know that were asked")]
    Unknown(Name),
    /// Fewer anchors answered than have to agree.
    #[error("{by} of the {needed} relays that have to agree said who is meant by `{name}`")]
    TooFew {
        /// What was asked for.
        name: Name,
        /// How many answered.
        by: usize,
        /// How many had to.
        needed: usize,
    },
    /// Relays could not be asked, or what they say does not hold.
    #[error(transparent)]
    Confirm(#[from] ConfirmError),
    /// No versions go together.
    #[error(transparent)]
    Resolve(#[from] resolve::Error),
}

impl Error {
    /// Whether nobody could be asked, rather than that the answer is no.
    pub const fn is_of_network(&self) -> bool {
        matches!(self, Self::Confirm(ConfirmError::Get(GetError::Peer(_))))
    }
}

impl From<PeerError> for Error {
    fn from(error: PeerError) -> Self {
        Self::Confirm(GetError::from(error).into())
    }
}

fn list(names: &[FullName], has_more: bool) -> String {
    let names: Vec<_> = names.iter().map(ToString::to_string).collect();
    format!("{}{}", names.join(" or "), if has_more { ", or others" } else { "" })
}

/// The marketplace as an installation sees it.
pub struct Market<'a, P> {
    /// Asks the relays.
    pub registry: P2PRegistry<P>,
    /// Anchors that have to have a release in their checkpoints.
    pub needed: usize,
    /// Whom the user means by handles.
    pub pins: &'a Pins,
}

impl<P: Platform> Market<'_, P> {
    fn network(&self) -> &Network {
        self.registry.peer().network()
    }

    /// Chooses versions: what that lacks is asked for, layer by layer, and added to what is known.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn choose(&self, request: &Request, known: &mut Known) -> Result<Solution, Error> {
        loop {
            match resolve(request, known) {
                Err(resolve::Error::Lacks { packages, names }) => {
                    self.learn_versions(packages, known).await?;
                    self.learn_names(names, known).await?;
                }
                resolved => return Ok(resolved?),
            }
        }
    }

    /// Adds versions of packages to what is known.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn learn_versions(&self, packages: BTreeSet<PackageId>, known: &mut Known) -> Result<(), Error> {
        let mut found = stream::iter(packages)
            .map(async |package| {
                let versions = Box::pin(self.versions(&package)).await;
                (package, versions)
            })
            .buffer_unordered(CONCURRENCY);
        while let Some((package, versions)) = found.next().await {
            known.packages.insert(package, versions?);
        }
        Ok(())
    }

    async fn learn_names(&self, names: BTreeSet<PackageName>, known: &mut Known) -> Result<(), Error> {
        for name in names {
            let meaning = match Box::pin(self.meant(&Name::Bare(name.clone()))).await {
                Ok(package) => Meaning::One(package),
                Err(Error::Ambiguous { candidates, .. }) => Meaning::Several(candidates),
                Err(Error::Unknown(_)) => Meaning::Nobody,
                Err(error) => return Err(error),
            };
            known.names.insert(name, meaning);
        }
        Ok(())
    }

    /// The versions of a package; None for one that no relay knows.
    async fn versions(&self, package: &PackageId) -> Result<Option<Versions>, Error> {
        let name = FullName { handle: None, fingerprint: package.publisher.fingerprint(), name: package.name.clone() };
        match self.registry.confirm(&name, None).await {
            // Another publisher may have the same fingerprint.
            Ok(confirmed) if confirmed.package().key_log.publisher() != package.publisher => Ok(None),
            Ok(confirmed) => Ok(Some(versions_of(&confirmed, self.needed))),
            Err(ConfirmError::Get(GetError::UnknownPackage(_))) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// The package that a name means.
    ///
    /// # Errors
    /// [`Error::Ambiguous`] when it may mean several, [`Error::Unknown`], [`Error::TooFew`], [`Error::Confirm`].
    pub async fn meant(&self, asked: &Name) -> Result<PackageId, Error> {
        match asked {
            Name::Full(name) => match self.registry.confirm(name, None).await {
                Ok(confirmed) => {
                    let publisher = confirmed.package().key_log.publisher();
                    Ok(PackageId { publisher, name: name.name.clone() })
                }
                Err(ConfirmError::Get(GetError::UnknownPackage(_))) => Err(Error::Unknown(asked.clone())),
                Err(error) => Err(error.into()),
            },
            Name::OfHandle(handle, name) => {
                let pinned: Vec<PublisherId> = self.pins.publishers(self.network(), handle).copied().collect();
                if let [publisher] = pinned[..] {
                    return Ok(PackageId { publisher, name: name.clone() });
                }
                if !pinned.is_empty() {
                    let of = |publisher: &PublisherId| (handle.clone(), *publisher);
                    return Err(ambiguous(asked, name, pinned.iter().map(of), false));
                }
                let claimants = self.registry.claimants(handle).await?;
                self.only(asked, name, claimants)
            }
            Name::Bare(name) => {
                let mut claimants = self.registry.publishers_of(name).await?;
                let is_pinned = |publisher: &PublisherId| self.pins.has(self.network(), publisher);
                if claimants.publishers.iter().any(|publisher| is_pinned(&publisher.id)) {
                    claimants.publishers.retain(|publisher| is_pinned(&publisher.id));
                    claimants.has_more = false;
                }
                self.only(asked, name, claimants)
            }
        }
    }

    /// The package of the one publisher who may be meant.
    fn only(&self, asked: &Name, name: &PackageName, claimants: Claimants) -> Result<PackageId, Error> {
        let Claimants { publishers, has_more, asked: by } = claimants;
        match &publishers[..] {
            _ if by < self.needed => Err(Error::TooFew { name: asked.clone(), by, needed: self.needed }),
            [] => Err(Error::Unknown(asked.clone())),
            [publisher] if !has_more => Ok(PackageId { publisher: publisher.id, name: name.clone() }),
            _ => {
                let publishers = publishers.into_iter().map(|publisher| (publisher.handle, publisher.id));
                Err(ambiguous(asked, name, publishers, has_more))
            }
        }
    }
}

fn ambiguous(
    asked: &Name,
    name: &PackageName,
    publishers: impl Iterator<Item = (Handle, PublisherId)>,
    has_more: bool,
) -> Error {
    let full = |(handle, publisher): (Handle, PublisherId)| FullName {
        handle: Some(handle),
        fingerprint: publisher.fingerprint(),
        name: name.clone(),
    };
    Error::Ambiguous { name: asked.clone(), candidates: publishers.map(full).collect(), has_more }
}

/// The versions of a package that anchors confirm, and those that are passed over.
pub fn versions_of(confirmed: &Confirmed, needed: usize) -> Versions {
    let package = confirmed.package();
    let mut candidates: Vec<Candidate> = Vec::new();
    for release in &package.releases {
        let stands = package.standing(&release.version).map(Verified::id);
        // Of releases that deliver the same, one stands for them all.
        if stands.is_some_and(|standing| standing != release.id()) {
            continue;
        }
        let by = confirmed.committed_by(release).count();
        let passed_over = match package.state(&release.version) {
            State::Retracted => Some(PassedOver::Retracted),
            State::Yanked => Some(PassedOver::Yanked),
            State::Active | State::Deprecated if stands.is_none() => Some(PassedOver::Contested),
            State::Active | State::Deprecated => (by < needed).then_some(PassedOver::Unconfirmed { by, needed }),
        };
        candidates.push(candidate(confirmed, release, passed_over));
    }
    let is_whole = package.total <= package.releases.len() as u64;
    Versions { full_name: confirmed.full_name(), candidates, is_whole }
}

fn candidate(confirmed: &Confirmed, release: &Verified<Release>, passed_over: Option<PassedOver>) -> Candidate {
    Candidate {
        version: release.version.clone(),
        release: release.id(),
        record: release.bytes().to_vec(),
        content: release.artifact,
        dependencies: release.dependencies.clone(),
        passed_over,
        deprecated: deprecation(confirmed, &release.version),
    }
}

fn deprecation(confirmed: &Confirmed, version: &Version) -> Option<String> {
    let status = confirmed.package().status(version).filter(|status| status.state == State::Deprecated)?;
    Some(status.reason.clone())
}
