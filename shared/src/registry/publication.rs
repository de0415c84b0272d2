//! What is handed to a registry: signed before, for no registry holds a key.

use std::collections::BTreeMap;

use serde_bytes::ByteBuf;

use super::{DeleteError, PeerError, PublishError, Source};
use crate::id::{FullName, Network, PackageId};
use crate::limits::{MAX_BLOCKS_PER_RELEASE, MAX_OFFER_BYTES, MAX_RECORDS_PER_OFFER};
use crate::protocol::publish::{Offer, Receipt};
use crate::record::{ContentId, KeyLog, Record, Release, State, UnverifiedRecord, Verified, Version};

/// Bytes of records that an offer has room for, beside the ids of the blocks of a release.
const OFFERED_BYTES: usize = MAX_OFFER_BYTES - MAX_BLOCKS_PER_RELEASE * 40 - 1024;

/// What to publish: what one publisher signed, behind its key log, and every block of the content that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Publication {
    key_log: KeyLog,
    signed: Vec<Record>,
    blocks: BTreeMap<ContentId, Vec<u8>>,
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
    pub fn read(
        records: &[ByteBuf],
        blocks: BTreeMap<ContentId, Vec<u8>>,
        network: &Network,
    ) -> Result<Self, PublishError> {
        let (mut events, mut pages, mut others) = (Vec::new(), Vec::new(), Vec::new());
        for bytes in records {
            match UnverifiedRecord::decode_known(bytes)? {
                // They may stand before the rotations that name them, and a key log is read the other way.
                UnverifiedRecord::KeepPage(_) => pages.push(bytes.clone()),
                event if event.is_key_event() => events.push((event.publisher(), bytes.clone())),
                other => others.push(other),
            }
        }
        let publisher = events.first().map(|(publisher, _)| *publisher);
        let publisher = publisher.ok_or(PublishError::Incomplete("has no key log"))?;
        let events: Vec<ByteBuf> = events.into_iter().map(|(_, event)| event).chain(pages).collect();
        let key_log = KeyLog::verify(&events, publisher, network)?;
        let signed = others.into_iter().map(|record| record.verify(Some(&key_log), network));
        Ok(Self { signed: signed.collect::<Result<_, _>>()?, key_log, blocks })
    }

    /// What a publisher signed, behind its key log.
    pub fn of(key_log: KeyLog, signed: impl IntoIterator<Item = Record>, blocks: BTreeMap<ContentId, Vec<u8>>) -> Self {
        Self { key_log, signed: signed.into_iter().collect(), blocks }
    }

    /// What is asked of one relay after the other until it has all: the key log, then what was signed under it. A relay that knows the key log
    /// needs no pages; of one that lacks them, pages wait for their rotation, so that they may come in several offers.
    pub fn offers(&self, with_pages: bool) -> Vec<Offer> {
        let is_offered = |record: &Record| with_pages || !matches!(record, Record::KeepPage(_));
        let events = self.key_log.clone().into_records().into_iter().filter(is_offered);
        let mut offers: Vec<Offer> = Vec::new();
        let mut room = 0;
        for record in events.chain(self.signed.iter().cloned()) {
            let bytes = ByteBuf::from(record.bytes().to_vec());
            match offers.last_mut() {
                Some(offer) if offer.records.len() < MAX_RECORDS_PER_OFFER && bytes.len() <= room => {
                    room -= bytes.len();
                    offer.records.push(bytes);
                }
                _ => {
                    room = OFFERED_BYTES.saturating_sub(bytes.len());
                    offers.push(Offer { records: vec![bytes], blocks: Vec::new() });
                }
            }
        }
        if let Some(last) = offers.last_mut() {
            last.blocks = self.blocks.keys().copied().collect();
        }
        offers
    }

    /// Whether a relay keeps all of it, by what it says of the last offer: what was signed, or the last event of the key log.
    pub fn is_kept(&self, receipt: &Receipt) -> bool {
        let last = [self.key_log.head()];
        let mut needed = self.signed.iter().map(Record::id).chain(last.into_iter().filter(|_| self.signed.is_empty()));
        needed.all(|id| receipt.kept.contains(&id))
    }

    /// Whose it is.
    pub const fn key_log(&self) -> &KeyLog {
        &self.key_log
    }

    /// What was signed under the key log.
    pub fn signed(&self) -> &[Record] {
        &self.signed
    }

    /// Blocks by identifier.
    pub const fn blocks(&self) -> &BTreeMap<ContentId, Vec<u8>> {
        &self.blocks
    }

    /// The releases in it.
    pub fn releases(&self) -> impl Iterator<Item = &Verified<Release>> {
        self.signed.iter().filter_map(Record::release)
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
        match &self.signed[..] {
            [Record::Status(status)] if status.state == State::Retracted => {
                Ok((self.name_of(&status.package()), &status.version))
            }
            _ => Err(DeleteError::NotARetraction),
        }
    }
}

#[cfg(test)]
#[path = "publication_tests.rs"]
mod tests;
