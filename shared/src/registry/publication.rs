//! What is handed to a registry: signed before, for no registry holds a key.

use super::{DeleteError, PeerError, PublishError, Source};
use crate::id::{FullName, Network, PackageId};
use crate::record::{ContentId, KeyLog, Record, Release, State, UnverifiedRecord, Verified, Version};

/// What to publish: what one publisher signed, behind its key log, and every block of the content that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    key_log: KeyLog,
    /// The key log, then what was signed under it.
    records: Vec<Record>,
    /// Blocks by identifier.
    blocks: Vec<(ContentId, Vec<u8>)>,
}

/// What came of a publication.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Relays that say that everything is durable.
    pub durable_at: Vec<Source>,
    /// Relays that refused or failed, with what they said.
    pub failed_at: Vec<(Source, PeerError)>,
}

impl Publication {
    /// Reads signed records: a publisher's key events, the inception first and rotations in their order, and what it signed under them.
    ///
    /// # Errors
    /// [`PublishError::Record`] for the first record that does not verify; [`PublishError::Incomplete`] without an inception.
    pub fn read<B: AsRef<[u8]>>(
        records: &[B],
        blocks: Vec<(ContentId, Vec<u8>)>,
        network: &Network,
    ) -> Result<Self, PublishError> {
        let decoded =
            records.iter().map(|bytes| UnverifiedRecord::decode(bytes.as_ref())).collect::<Result<Vec<_>, _>>()?;
        let publisher = decoded.first().map(UnverifiedRecord::publisher).ok_or(PublishError::Incomplete("is empty"))?;
        let numbered = || decoded.iter().zip(records);
        // Pages may stand before the rotations that name them, and a key log is read the other way.
        let is_page = |record: &UnverifiedRecord| matches!(record, UnverifiedRecord::KeepPage(_));
        let events = numbered().filter(|(record, _)| record.is_key_event() && !is_page(record));
        let pages = numbered().filter(|(record, _)| is_page(record));
        let events: Vec<&[u8]> = events.chain(pages).map(|(_, bytes)| bytes.as_ref()).collect();
        if events.is_empty() {
            return Err(PublishError::Incomplete("has no key log"));
        }
        let key_log = KeyLog::verify(&events, publisher, network)?;
        let mut read = key_log.clone().into_records();
        for record in decoded.into_iter().filter(|record| !record.is_key_event()) {
            read.push(record.verify(Some(&key_log), network)?);
        }
        Ok(Self { key_log, records: read, blocks })
    }

    /// What a publisher signed, behind its key log.
    pub fn of(key_log: KeyLog, signed: impl IntoIterator<Item = Record>, blocks: Vec<(ContentId, Vec<u8>)>) -> Self {
        let records = key_log.clone().into_records().into_iter().chain(signed).collect();
        Self { key_log, records, blocks }
    }

    /// The key log, then what was signed under it.
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// Blocks by identifier.
    pub fn blocks(&self) -> &[(ContentId, Vec<u8>)] {
        &self.blocks
    }

    /// The releases in it.
    pub fn releases(&self) -> impl Iterator<Item = &Verified<Release>> {
        self.records.iter().filter_map(Record::release)
    }

    /// The full name of a package of its publisher.
    pub fn name_of(&self, package: &PackageId) -> FullName {
        let (handle, fingerprint) = (Some(self.key_log.handle().clone()), self.key_log.publisher().fingerprint());
        FullName { handle, fingerprint, name: package.name.clone() }
    }

    /// The one version that it retracts.
    ///
    /// # Errors
    /// [`DeleteError::NotARetraction`].
    pub fn retracted(&self) -> Result<(FullName, &Version), DeleteError> {
        let mut signed = self.records.iter().filter(|record| record.indexed().is_some());
        match (signed.next(), signed.next()) {
            (Some(Record::Status(status)), None) if status.state == State::Retracted => {
                Ok((self.name_of(&status.package()), &status.version))
            }
            _ => Err(DeleteError::NotARetraction),
        }
    }
}
