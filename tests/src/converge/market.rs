//! What publishers hand out while relays lose announcements: releases, some of them at odds with each other, statuses of versions that a relay
//! may not have yet, rotations that void what they do not keep, and key logs that fork.

use std::collections::BTreeSet;

use ggen_net::light::AskError;
use ggen_shared::catalogue::Catalogue;
use ggen_shared::content::Dag;
use ggen_shared::id::RecordId;
use ggen_shared::protocol::publish::{Offer, Receipt};
use ggen_shared::record::{Error, State, UnverifiedRecord};
use libp2p::PeerId;

use super::Numbers;
use crate::{Package, Publisher, TestPeer, network};

/// Publishers, whose records come to all relays at once.
const PUBLISHERS: u8 = 16;
const STATES: [State; 4] = [State::Active, State::Deprecated, State::Yanked, State::Retracted];

/// What is offered to a relay at once.
#[derive(Clone)]
pub(super) struct Publication {
    offer: Offer,
    artifact: Option<Dag>,
}

impl From<Package> for Publication {
    fn from(package: Package) -> Self {
        Self { offer: package.offer, artifact: Some(package.artifact) }
    }
}

impl From<Offer> for Publication {
    fn from(offer: Offer) -> Self {
        Self { offer, artifact: None }
    }
}

impl Publication {
    /// The record that it is about: its last one, behind the key log.
    fn id(&self) -> RecordId {
        self.records().last().expect("an offer has records").id()
    }

    fn records(&self) -> impl Iterator<Item = UnverifiedRecord> {
        self.offer.records.iter().map(|bytes| UnverifiedRecord::decode(bytes).expect("it was just signed"))
    }

    pub(super) async fn publish(&self, peer: &TestPeer, relay: PeerId) -> Result<Receipt, AskError> {
        let blocks = || self.artifact.iter().flat_map(|artifact| &artifact.blocks);
        let block = |cid: &_| blocks().find(|block| block.cid == *cid).map(|block| block.data.clone());
        peer.peer.publish(relay, &self.offer, block).await
    }
}

/// All that is published.
pub(super) struct Market {
    /// In no particular order.
    pub(super) publications: Vec<Publication>,
    /// What each publisher who rotated hands out once more, one behind the other: key events, then what they keep. A relay that heard of another
    /// rotation before, or had two records with smaller ids at their index, has given it up.
    pub(super) again: Vec<Vec<Publication>>,
}

/// A publisher, and what it said so far.
struct Author {
    number: u8,
    publisher: Publisher,
    said: Vec<Said>,
}

struct Said {
    id: RecordId,
    name: String,
    version: String,
    index: u32,
}

impl Author {
    fn new(number: u8) -> Self {
        Self { number, publisher: Publisher::new(number), said: Vec::new() }
    }

    /// Says something; now and then what is at odds with what it said before.
    fn speak(&mut self, at: usize, numbers: &Numbers) -> Publication {
        let (mut name, mut version) = (format!("package-{at}"), "1.0.0".to_owned());
        let any = numbers.below(self.said.len().max(1) as u64) as usize;
        let mut state = None;
        if let (Some(last), Some(any)) = (self.said.last(), self.said.get(any)) {
            match numbers.below(20) {
                // Another thing under the same version.
                0..2 => (name, version) = (last.name.clone(), last.version.clone()),
                2..5 => (name, version) = (last.name.clone(), format!("1.0.{at}")),
                // An index that is taken; by the one before it twice, now and then.
                5..8 => self.publisher.next_index = last.index,
                // Relays may hear of it before the version; and two of one number are decided by what they say.
                8..12 => {
                    (name, version) = (any.name.clone(), any.version.clone());
                    state = Some(STATES[numbers.below(STATES.len() as u64) as usize]);
                }
                _ => {}
            }
        }
        let index = self.publisher.next_index;
        let publication: Publication = match state {
            Some(state) => self.publisher.status(&name, &version, 1 + numbers.below(3), state).into(),
            None => {
                let content = format!("content {at}");
                self.publisher.release(&name, &version, "one of many", content.as_bytes()).into()
            }
        };
        self.said.push(Said { id: publication.id(), name, version, index });
        publication
    }

    /// Half of what it said, for a rotation to keep.
    fn half(&self, numbers: &Numbers) -> Vec<RecordId> {
        self.said.iter().filter(|_| numbers.below(2) == 0).map(|said| said.id).collect()
    }

    /// Rotates its key, if it is one of those who do, or in two ways at once; and what these keep.
    fn rotate(&mut self, numbers: &Numbers) -> (Vec<Publication>, BTreeSet<RecordId>) {
        if !matches!(self.number % 4, 1 | 2) {
            return (Vec::new(), BTreeSet::new());
        }
        let mut kept = self.half(numbers);
        let mut rotations = vec![self.publisher.rotate(&kept).into()];
        if self.number % 4 == 2 {
            let others = self.half(numbers);
            rotations.push(Publisher::new(self.number).rotate(&others).into());
            kept.extend(others);
        }
        (rotations, kept.into_iter().collect())
    }
}

impl Market {
    /// So many publications, and some rotations.
    pub(super) fn new(count: usize, numbers: &Numbers) -> Self {
        let mut authors: Vec<_> = (1..=PUBLISHERS).map(Author::new).collect();
        let mut market = Self { publications: Vec::with_capacity(count), again: Vec::new() };
        for at in 0..count {
            if at == count / 2 {
                authors.iter_mut().for_each(|author| market.rotate(author, numbers));
            }
            let author = &mut authors[numbers.below(u64::from(PUBLISHERS)) as usize];
            market.publications.push(author.speak(at, numbers));
        }
        market
    }

    fn rotate(&mut self, author: &mut Author, numbers: &Numbers) {
        let (rotations, kept) = author.rotate(numbers);
        if rotations.is_empty() {
            return;
        }
        let its = self.publications.iter().filter(|publication| kept.contains(&publication.id()));
        self.again.push(rotations.iter().chain(its).cloned().collect());
        self.publications.extend(rotations);
    }

    /// What there is to hold: all that was said, offered until nothing changes. And how many records are void in the end.
    pub(super) fn expected(&self) -> (Catalogue, usize) {
        let all: Vec<_> = self.publications.iter().flat_map(Publication::records).collect();
        let (mut catalogue, network) = (Catalogue::new(), network());
        loop {
            let (before, mut void) = (catalogue.root(), BTreeSet::new());
            for record in &all {
                match record.clone().verify(catalogue.key_log(&record.publisher()), &network) {
                    // Its pages, or what it follows, may come later.
                    Ok(record) => _ = catalogue.insert(record),
                    Err(Error::Void(id)) => _ = void.insert(id),
                    Err(_) => {}
                }
            }
            if catalogue.root() == before {
                return (catalogue, void.len());
            }
        }
    }
}
