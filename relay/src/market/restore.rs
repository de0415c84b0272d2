//! What relays have lost of what a publisher signed: a thief with the key drives records out of relays by conflicting ones. A rotation makes
//! those void, and the owner's come back from the ledger.

use std::collections::BTreeSet;

use futures::future::join_all;
use futures::stream::{self, StreamExt};
use ggen_net::light::{AskError, Platform};
use ggen_shared::catalogue::keys;
use ggen_shared::id::RecordId;
use ggen_shared::limits::MAX_RECORDS_ANSWER_BYTES;
use ggen_shared::protocol::sync::RecordsOf;
use ggen_shared::record::{Record, UnverifiedRecord};
use ggen_shared::registry::Publication;
use ggen_shared::sync::Part;
use libp2p::PeerId;

use super::outbox::Blocks;
use super::publish::Publishing;
use crate::causes;

/// Bytes of records that a relay is listened to for, to see which it has: twice what a ledger of all indices may come to as a rule.
const MAX_LISTED_BYTES: usize = 256 * 1024 * 1024;
const MAX_ANSWERS: usize = MAX_LISTED_BYTES / MAX_RECORDS_ANSWER_BYTES;
/// Records that a relay is handed at once: enough to fill the wait for its disk.
const CONCURRENCY: usize = 8;

/// What came of it at a relay.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Restored {
    /// How many records it lacked and has again.
    pub records: usize,
    /// Those that it lacks still, with why: as a rule it has no content of the release any more, which only publishing again brings.
    pub lacking: Vec<(RecordId, String)>,
}

/// Why it is not known what a relay lacks.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be asked.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// Its answers have no end.
    #[error("its list of the publisher's records does not end")]
    Endless,
}

impl<P: Platform> Publishing<P> {
    /// Hands each relay that this peer is connected to what it lacks of what the ledger has, if it is good under the key log as it is now. What
    /// waits in the outbox is not of it.
    pub async fn restore(&self) -> Vec<(PeerId, Result<Restored, Error>)> {
        let records = self.kept();
        join_all(self.peer().connected().into_iter().map(async |relay| (relay, self.restore_at(relay, &records).await)))
            .await
    }

    /// What the key log keeps of what the ledger has, and was delivered before.
    fn kept(&self) -> Vec<Record> {
        let desk = self.desk();
        let waiting: BTreeSet<RecordId> =
            desk.outbox.list().unwrap_or_default().into_iter().map(|waiting| waiting.id).collect();
        let verify = |bytes: &[u8]| UnverifiedRecord::decode(bytes)?.verify(Some(self.key_log()), &desk.key.network);
        let kept = desk.ledger.records().filter_map(|bytes| verify(bytes).ok());
        kept.filter(|record| !waiting.contains(&record.id())).collect()
    }

    async fn restore_at(&self, relay: PeerId, records: &[Record]) -> Result<Restored, Error> {
        let there = self.listed_at(relay).await?;
        let missing = records.iter().filter(|record| !there.contains(&record.id()));
        let handed = stream::iter(missing)
            .map(async |record| {
                let publication = Publication::of(self.key_log().clone(), [record.clone()], Blocks::new());
                (record.id(), self.peer().hand_over(relay, &publication).await)
            })
            .buffer_unordered(CONCURRENCY);
        let count = async |mut restored: Restored, (id, handed): (RecordId, Result<_, AskError>)| {
            match handed {
                Ok(_) => restored.records += 1,
                Err(error) => restored.lacking.push((id, causes::of(&error))),
            }
            restored
        };
        Ok(handed.fold(Restored::default(), count).await)
    }

    /// The ids of the publisher's records that a relay says it has. It gains nothing by a lie: what it has is offered to it again at most.
    async fn listed_at(&self, relay: PeerId) -> Result<BTreeSet<RecordId>, Error> {
        let mut question = RecordsOf { parts: vec![Part::of_publisher(&self.publisher())], after: None };
        let mut there = BTreeSet::new();
        for _ in 0..MAX_ANSWERS {
            let answer = self.peer().ask(relay, question.clone()).await?;
            let records: Vec<_> = answer.records.iter().filter_map(|it| UnverifiedRecord::decode(it).ok()).collect();
            there.extend(records.iter().map(UnverifiedRecord::id));
            match records.last().and_then(|last| Part::of_entry(&keys::claimed(last))) {
                Some(last) if answer.rest && Some(&last) > question.after.as_ref() => question.after = Some(last),
                _ => return Ok(there),
            }
        }
        Err(Error::Endless)
    }
}
