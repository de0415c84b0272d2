//! Where records are signed: each version once, at an index of its own, kept with its content and written down before it goes anywhere.

use std::collections::BTreeSet;

use ggen_shared::content;
use ggen_shared::id::{PackageName, RecordId};
use ggen_shared::record::{self, Record, Release, UnverifiedRecord, Verified, sign};

use super::keys::PublisherKey;
use super::ledger::Ledger;
use super::outbox::{Blocks, Outbox, Waiting};
use super::publish::{Error, Publishers};
use super::status::Subject;
use crate::package::{Package, Standing};

/// Indices that no release takes: what was published can be withdrawn to the end.
pub(crate) const KEPT_FOR_STATUSES: u32 = 64;

/// A key, its ledger and what waits for relays.
pub struct Desk {
    pub(super) key: PublisherKey,
    pub(super) ledger: Ledger,
    pub(super) outbox: Outbox,
    publishers: Publishers,
    /// Names of packages that are being published and may not be in the ledger yet.
    coming: BTreeSet<PackageName>,
}

/// A package with its content in blocks, to be signed.
pub(super) struct Prepared {
    package: Package,
    artifact: record::Content,
    readme: Option<record::Content>,
    blocks: Blocks,
}

/// A release with its content.
pub(super) struct Signed {
    pub(super) release: Verified<Release>,
    pub(super) blocks: Blocks,
    /// Whether it waits in the outbox.
    pub(super) waits: bool,
}

impl Prepared {
    /// Which version of which package.
    pub(super) fn subject(&self) -> Subject {
        Subject { name: self.package.manifest.name.clone(), version: self.package.manifest.version.clone() }
    }

    /// Cuts a package's content into blocks.
    pub(super) fn of(package: Package) -> Self {
        let artifact = content::build(&package.artifact);
        let readme = package.readme.as_deref().map(content::build);
        let (artifact_content, readme_content) = (artifact.content(), readme.as_ref().map(content::Dag::content));
        let blocks = artifact.blocks.into_iter().chain(readme.into_iter().flat_map(|readme| readme.blocks));
        let blocks = blocks.map(|block| (block.cid, block.data)).collect();
        // It is in the blocks now, and is not needed twice.
        let package = Package { artifact: Vec::new(), readme: None, ..package };
        Self { package, artifact: artifact_content, readme: readme_content, blocks }
    }
}

impl Desk {
    /// Takes up what an earlier run left: a record that waits and is not in the ledger was signed right before that run ended, and is
    /// written down now. What a rotation made void waits for nothing any more. What can't be read, or is another key's, is left as it is.
    ///
    /// # Errors
    /// [`Error::Outbox`], [`Error::Ledger`].
    pub fn new(key: PublisherKey, ledger: Ledger, outbox: Outbox, publishers: Publishers) -> Result<Self, Error> {
        let mut desk = Self { key, ledger, outbox, publishers, coming: BTreeSet::new() };
        let known: BTreeSet<RecordId> = desk.ledger.ids().collect();
        for waiting in desk.outbox.list()?.into_iter().filter(|waiting| !known.contains(&waiting.id)) {
            match desk.read(&waiting) {
                Ok((record, _)) => desk.ledger.stage(record)?,
                Err(Error::Record(record::Error::Void(_))) => desk.outbox.remove(&waiting)?,
                Err(error) => tracing::warn!(record = %waiting.id, "what waits for relays can't be used: {error}"),
            }
        }
        desk.ledger.commit()?;
        Ok(desk)
    }

    /// The key, and the ledger with all that it signed.
    pub fn into_key_and_ledger(self) -> (PublisherKey, Ledger) {
        (self.key, self.ledger)
    }

    /// Says that these packages are being published, so that dependencies on them mean them.
    pub fn expect(&mut self, names: impl IntoIterator<Item = PackageName>) {
        self.coming.extend(names);
    }

    /// A record that waits, verified, and its content.
    pub(super) fn read(&self, waiting: &Waiting) -> Result<(Record, Blocks), Error> {
        let (bytes, blocks) = self.outbox.read(waiting)?;
        let record = UnverifiedRecord::decode(&bytes)?.verify(Some(&self.key.key_log), &self.key.network)?;
        Ok((record, blocks))
    }

    /// Signs packages, with one sync of the ledger for all of them. Each is kept in the outbox before it is written down.
    pub(super) fn sign_all(&mut self, packages: Vec<Prepared>, now: u64) -> Vec<Result<Signed, Error>> {
        let mut signed: Vec<_> = packages.into_iter().map(|prepared| self.sign(prepared, now)).collect();
        let new = |signed: &&Signed| signed.waits;
        let records: Vec<(Record, &Blocks)> = signed
            .iter()
            .flatten()
            .filter(new)
            .map(|signed| (Record::Release(Box::new(signed.release.clone())), &signed.blocks))
            .collect();
        let kept = self.outbox.put(records.iter().map(|(record, blocks)| (record, *blocks))).map_err(Error::from);
        drop(records);
        let written = kept.and_then(|()| Ok(self.ledger.commit()?));
        if let Err(error) = written {
            // None of them goes anywhere. Whatever was kept of them is taken up by the next run.
            let reason = error.to_string();
            for signed in signed.iter_mut().filter(|signed| signed.as_ref().is_ok_and(|signed| signed.waits)) {
                *signed = Err(Error::NotWritten(reason.clone()));
            }
        }
        signed
    }

    /// The signed release of a package: the one signed before if there is one, a new one otherwise, which is only staged.
    fn sign(&mut self, prepared: Prepared, now: u64) -> Result<Signed, Error> {
        let Prepared { package, artifact, readme, blocks } = prepared;
        let before = self.ledger.release(&package.manifest.name, &package.manifest.version).cloned();
        let standing = Standing {
            publisher: self.key.key_log.publisher(),
            signed_under: before.as_ref().map_or_else(|| self.key.key_log.head(), |before| before.signed_under),
            index: before.as_ref().map_or_else(|| self.next_index(KEPT_FOR_STATUSES), |before| Ok(before.index))?,
            created: before.as_ref().map_or(now, |before| before.created),
        };
        let mut release = package.manifest.release(standing, artifact, readme);
        if let Some(before) = before {
            // Whose package a dependency means may be known better by now; the signed release stands all the same.
            for (dependency, signed) in release.dependencies.iter_mut().zip(&before.dependencies) {
                dependency.publisher = signed.publisher;
            }
            if release != *before {
                return Err(Error::WrittenOnce { name: release.name, version: release.version.to_string() });
            }
            return Ok(Signed { release: before, blocks, waits: false });
        }
        for dependency in release.dependencies.iter_mut().filter(|dependency| dependency.publisher.is_none()) {
            let is_own = self.coming.contains(&dependency.name) || self.ledger.names().any(|it| *it == dependency.name);
            let own = is_own.then_some(standing.publisher);
            dependency.publisher = self.publishers.get(&dependency.name).copied().or(own);
        }
        let release = sign(release, &self.key.signing, &self.key.network)?;
        self.ledger.stage(Record::Release(Box::new(release.clone())))?;
        Ok(Signed { release, blocks, waits: true })
    }

    /// The index of what is signed next, if more than so many are left.
    ///
    /// # Errors
    /// [`Error::QuotaUsed`].
    pub(crate) fn next_index(&self, kept: u32) -> Result<u32, Error> {
        let (next, quota) = (self.ledger.next_index(), self.key.key_log.quota());
        if next + kept < quota { Ok(next) } else { Err(Error::QuotaUsed(quota)) }
    }

    /// Writes down one record that has no content, kept in the outbox before.
    pub(super) fn write_down(&mut self, record: Record) -> Result<(), Error> {
        self.ledger.stage(record.clone())?;
        self.outbox.put([(&record, &Blocks::new())])?;
        Ok(self.ledger.commit()?)
    }
}
