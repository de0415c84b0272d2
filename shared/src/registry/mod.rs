//! A registry as a program uses it: eight operations, whatever is behind them. An implementation says how to search, how to look a package up
//! and how to hand records over; what the operations mean is here, once for all of them.

mod error;
mod publication;
mod view;

use std::future::Future;

pub use self::error::{DeleteError, GetError, PeerError, PublishError, SearchError};
pub use self::publication::{Publication, Published};
pub use self::view::{
    Found, PackageView, PublisherView, RefusedRecord, ReleaseView, SearchOptions, SearchResults, Source, VersionView,
    Versions,
};
use crate::id::FullName;
use crate::record::{Release, Verified, Version};

/// `Send` and `Sync` natively, where tasks move between threads; no demand on wasm32, where there is one thread and JavaScript's futures
/// belong to it. This is the one place that decides it.
#[cfg(not(target_arch = "wasm32"))]
mod threads {
    /// `Send`, where there are threads.
    pub trait MaybeSend: Send {}
    impl<T: Send + ?Sized> MaybeSend for T {}

    /// `Sync`, where there are threads.
    pub trait MaybeSync: Sync {}
    impl<T: Sync + ?Sized> MaybeSync for T {}
}

#[cfg(target_arch = "wasm32")]
mod threads {
    /// `Send`, where there are threads.
    pub trait MaybeSend {}
    impl<T: ?Sized> MaybeSend for T {}

    /// `Sync`, where there are threads.
    pub trait MaybeSync {}
    impl<T: ?Sized> MaybeSync for T {}
}

pub use self::threads::{MaybeSend, MaybeSync};

/// The operations of a package registry. It holds no key: what is published or retracted was signed before.
pub trait Registry: MaybeSync {
    /// Packages that match what a person typed, with the filters and in the order of the options.
    fn search(
        &self,
        text: &str,
        options: SearchOptions,
    ) -> impl Future<Output = Result<SearchResults, SearchError>> + MaybeSend;

    /// What there is of a package, verified: of one version, or of all. Where several can be asked, one that shows what was asked for.
    fn look_up(
        &self,
        name: &FullName,
        version: Option<&Version>,
    ) -> impl Future<Output = Result<Found, PeerError>> + MaybeSend;

    /// Hands signed records and their content over. Done when at least one relay says that they are durable.
    fn hand_over(&self, publication: &Publication)
    -> impl Future<Output = Result<Published, PublishError>> + MaybeSend;

    /// A package by its newest version that is neither a pre-release nor withdrawn nor contested; by a pre-release if there is nothing else.
    fn get_package(&self, name: &FullName) -> impl Future<Output = Result<PackageView, GetError>> + MaybeSend {
        async move { PackageView::of(name, None, self.look_up(name, None).await?) }
    }

    /// A package by this version and no other. A yanked one is shown, and said to be yanked.
    fn get_package_version(
        &self,
        name: &FullName,
        version: &Version,
    ) -> impl Future<Output = Result<PackageView, GetError>> + MaybeSend {
        async move { PackageView::of(name, Some(version), self.look_up(name, Some(version)).await?) }
    }

    /// The versions of a package in the precedence of SemVer, highest first, those that were withdrawn too; and how many more there are.
    fn list_versions(&self, name: &FullName) -> impl Future<Output = Result<Versions, GetError>> + MaybeSend {
        async move { Versions::of(name, self.look_up(name, None).await?) }
    }

    /// Publishes. The same again succeeds, and changes nothing. A release of a version that its publisher published before with other content
    /// is refused to it: handed over, it would contest the first one.
    fn publish(&self, publication: &Publication) -> impl Future<Output = Result<Published, PublishError>> + MaybeSend {
        async move {
            for release in publication.releases() {
                let name = publication.name_of(&release.package());
                let found = self.look_up(&name, Some(&release.version)).await?;
                if !found.has(&release.id()) {
                    found.admit(&name, release)?;
                }
            }
            self.hand_over(publication).await
        }
    }

    /// Whether a publisher can publish such a release: what it asks before it signs one.
    fn may_release(
        &self,
        name: &FullName,
        release: &Release,
    ) -> impl Future<Output = Result<(), PublishError>> + MaybeSend {
        async move { self.look_up(name, Some(&release.version)).await?.admit(name, release) }
    }

    /// Retracts a version, as the signed status in the publication says: out of listings and search, and its number never to be used again.
    /// What was signed and copied can't be unmade. To retract it again succeeds, and changes nothing.
    fn delete(&self, retraction: &Publication) -> impl Future<Output = Result<Published, DeleteError>> + MaybeSend {
        async move {
            let (name, version) = retraction.retracted()?;
            match self.get_package_version(&name, version).await {
                // A thief's release may be what contests it.
                Ok(_) | Err(GetError::Retracted { .. } | GetError::Contested { .. }) => {}
                Err(error) => return Err(error.into()),
            }
            Ok(self.hand_over(retraction).await?)
        }
    }

    /// Whether there is such a package, be all of its versions withdrawn.
    fn exists(&self, name: &FullName) -> impl Future<Output = Result<bool, GetError>> + MaybeSend {
        async move {
            match self.list_versions(name).await {
                Ok(_) => Ok(true),
                Err(GetError::UnknownPackage(_)) => Ok(false),
                Err(error) => Err(error),
            }
        }
    }

    /// The release that a package is shown by, without its content.
    fn metadata(&self, name: &FullName) -> impl Future<Output = Result<Verified<Release>, GetError>> + MaybeSend {
        async move { Ok(self.get_package(name).await?.release.release) }
    }
}
