//! What relays say of a package that a lock file names: whether it is what the lock says, and what was said of its version since.

use ggen_net::light::Platform;
use ggen_net::{ConfirmError, Confirmed};
use ggen_shared::id::{FullName, Handle, PackageId, RecordId};
use ggen_shared::record::{self, Release, State, Unverified, Verified};
use ggen_shared::registry::{GetError, PeerError};

use super::gather::Market;
use super::lock::Locked;
use super::series::Pick;

/// Why a locked package is not installed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The lock file says something else than the release that it names.
    #[error("the lock file is wrong: release {release} is {} {} with content {}", .is.name, .is.version, .is.artifact.cid)]
    OtherRelease {
        /// The release.
        release: RecordId,
        /// What it is.
        is: Box<Release>,
    },
    /// The lock file names its publisher by a handle that is not theirs.
    #[error("the lock file is wrong: the publisher of {locked} calls itself {claimed}")]
    OtherHandle {
        /// What the lock file says.
        locked: Box<FullName>,
        /// The handle that the publisher claims.
        claimed: Handle,
    },
    /// The record in the lock file is not that of the release that it names, or nobody's.
    #[error("the lock file is wrong: its record of release {release} is none")]
    BadRecord {
        /// The release.
        release: RecordId,
        /// Why.
        source: record::Error,
    },
    /// Its publisher took it back by a rotation of the key.
    #[error(
        "release {0} is void: its publisher has rotated the key that signed it and not kept it, as one does with what a thief of the key has \
         signed. Look at its versions; or install it all the same, with --trust-lock"
    )]
    Void(RecordId),
    /// Nobody has the release, so nobody can say whether the lock file is right.
    #[error(
        "no relay has release {0} any more: its publisher may have rotated the key that signed it and not kept it. Look at its \
         versions; or install what the lock file says unchecked, with --trust-lock"
    )]
    NoRecord(RecordId),
    /// Relays could not be asked, or what they say does not hold.
    #[error(transparent)]
    Confirm(#[from] ConfirmError),
}

impl From<PeerError> for Error {
    fn from(error: PeerError) -> Self {
        Self::Confirm(GetError::from(error).into())
    }
}

impl<P: Platform> Market<'_, P> {
    /// Checks a locked package by the release that it names, which a relay shows or else the lock file: who has the publisher's key can push a
    /// release out of all relays, by others that take its place, and must not push it out of lock files. What there is to say about its version since it was locked; nothing when all is well.
    ///
    /// # Errors
    /// [`Error`].
    pub async fn check(&self, pick: &Pick, locked: &Locked) -> Result<Option<String>, Error> {
        let name = FullName { handle: None, ..locked.full_name.clone() };
        let confirmed = match self.registry.confirm(&name, Some(&pick.version)).await {
            Ok(confirmed) => Some(confirmed),
            Err(ConfirmError::Get(GetError::UnknownPackage(_))) => None,
            Err(error) => return Err(error.into()),
        };
        let shown = confirmed.iter().flat_map(|confirmed| &confirmed.package().releases);
        let shown = shown.clone().find(|release| release.id() == locked.release).cloned();
        let by_relays = match shown {
            Some(release) => Some(release),
            None => Box::pin(self.registry.release(pick.package.publisher, locked.release)).await?,
        };
        let is_kept = by_relays.is_some();
        let release = match by_relays {
            Some(release) => release,
            None => Box::pin(self.by_lock_file(&pick.package, locked)).await?,
        };
        let is_as_locked =
            release.package() == pick.package && release.version == pick.version && release.artifact == locked.content;
        if !is_as_locked {
            return Err(Error::OtherRelease { release: locked.release, is: Box::new((*release).clone()) });
        }
        let claimed = confirmed.as_ref().map(|confirmed| confirmed.package().key_log.handle());
        if let (Some(claimed), Some(handle)) = (claimed, &locked.full_name.handle)
            && claimed != handle
        {
            return Err(Error::OtherHandle { locked: locked.full_name.clone().into(), claimed: claimed.clone() });
        }
        let said = confirmed.and_then(|confirmed| said_since(&confirmed, &release));
        let is_pushed_out = || "is kept by no relay any more: its publisher's key signed others in its place".into();
        Ok(said.or_else(|| (!is_kept).then(is_pushed_out)))
    }

    /// The release as the lock file has it, if it holds under what relays know of its publisher's key.
    async fn by_lock_file(&self, package: &PackageId, locked: &Locked) -> Result<Verified<Release>, Error> {
        let release = locked.release;
        let record = locked.record.as_ref().ok_or(Error::NoRecord(release))?;
        let key_log = self.registry.key_log(package.publisher).await?.ok_or(Error::NoRecord(release))?;
        let verified = Unverified::<Release>::decode(record)
            .and_then(|record| record.verify(&key_log, self.registry.peer().network()))
            .and_then(|record| record.expect_id(release));
        verified.map_err(|error| match error {
            record::Error::Void(id) if id == release => Error::Void(release),
            source => Error::BadRecord { release, source },
        })
    }
}

/// What speaks against a release.
fn said_since(confirmed: &Confirmed, release: &Verified<Release>) -> Option<String> {
    let package = confirmed.package();
    let reason = package.status(&release.version).map(|status| &status.reason[..]).unwrap_or_default();
    let colon = if reason.is_empty() { "" } else { ": " };
    let stands = package.standing(&release.version);
    match package.state(&release.version) {
        state @ (State::Yanked | State::Retracted | State::Deprecated) => {
            Some(format!("is {}{colon}{reason}", state.as_str()))
        }
        State::Active if stands.is_none() => {
            Some("is contested: its publisher's key signed another release of it".into())
        }
        State::Active if stands.is_some_and(|standing| standing.artifact != release.artifact) => {
            Some("is not what its publisher has kept of this version".into())
        }
        State::Active => None,
    }
}
