//! A publisher's key log: which key signs under which event, and what stays valid of what an earlier key signed.
//!
//! An inception, then rotations, each of which reveals the key that the event before it committed to, and puts another one in force. Two
//! rotations that follow one event are a *fork*: somebody else has the revealed key too. The log is frozen there for good: both are kept as
//! evidence, neither puts a key in force, and what was signed under the event stays valid if either of them keeps it. Of more than two,
//! those with the smallest ids count, so that the log is a function of the rotations, not of their order.

use super::rotation::Follower;
use super::{
    Envelope, Error, Inception, Indexed, KeepPage, Payload, Record, RecordBytes, Rotation, Unverified, Verified,
};
use crate::id::{Handle, KeyCommitment, Network, PublicKey, PublisherId, RecordId};
use crate::limits::{KEPT_PER_PAGE, MAX_CONFLICTING_RECORDS, MAX_KEY_EVENTS, MAX_PAGES_PER_KEY_LOG};

/// The verified key events of one publisher, and those of its keep pages that are known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyLog {
    inception: Verified<Inception>,
    /// The rotations that follow one another.
    rotations: Vec<Verified<Rotation>>,
    /// The rotations that follow the last of them: none, or the two of a fork, the smaller id first.
    fork: Vec<Verified<Rotation>>,
    /// By id; each is named by one of the rotations.
    pages: Vec<Verified<KeepPage>>,
}

/// What a rotation or a keep page did to a key log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Followed {
    /// It is part of the log now.
    New,
    /// It was before.
    AlreadyKnown,
    /// Nothing: a fork of rotations with smaller ids is there already, or no rotation names the page.
    NotKept,
}

impl KeyLog {
    /// The key log that begins with an inception.
    pub const fn new(inception: Verified<Inception>) -> Self {
        Self { inception, rotations: Vec::new(), fork: Vec::new(), pages: Vec::new() }
    }

    /// Decodes and verifies the key events of one publisher as a peer sends them, each once: the inception, then rotations in their order,
    /// each page behind a rotation that names it. Not all pages have to be there: what they would keep is refused without them.
    ///
    /// # Errors
    /// Those of decoding and verifying; [`Error::Field`] for an empty or overlong list, or an event that is out of place;
    /// [`Error::WrongId`] when it is not the key log of `publisher`.
    pub fn verify<B: AsRef<[u8]>>(events: &[B], publisher: PublisherId, network: &Network) -> Result<Self, Error> {
        let [inception, rest @ ..] = events else {
            return Err(Error::field("key_log", "is empty"));
        };
        let inception = Unverified::<Inception>::decode(inception.as_ref())?;
        let (expected, actual) = (publisher.inception(), inception.id());
        // First, because it costs nothing.
        if actual != expected {
            return Err(Error::WrongId { expected, actual });
        }
        Self::continued(inception.verify(network)?, rest, network)
    }

    /// As [`Self::verify`], behind an inception.
    pub(crate) fn continued<B: AsRef<[u8]>>(
        inception: Verified<Inception>,
        events: &[B],
        network: &Network,
    ) -> Result<Self, Error> {
        if events.len() > MAX_KEY_EVENTS + MAX_PAGES_PER_KEY_LOG {
            return Err(Error::field("key_log", "has more events than a key log may have"));
        }
        let mut key_log = Self::new(inception);
        for event in events {
            let event = event.as_ref();
            let envelope = Envelope::decode(event)?;
            let followed = if envelope.kind == u16::from(KeepPage::KIND.number()) {
                let page = Unverified::<KeepPage>::from_envelope(envelope, RecordBytes::new(event))?;
                key_log.add_page(page.verify(&key_log, network)?)?
            } else {
                let rotation = Unverified::<Rotation>::from_envelope(envelope, RecordBytes::new(event))?;
                key_log.follow(rotation.verify(&key_log, network)?)?
            };
            if followed != Followed::New {
                return Err(Error::field("key_log", "has an event twice, or one that does not belong to it"));
            }
        }
        Ok(key_log)
    }

    /// Whose key log it is.
    pub const fn publisher(&self) -> PublisherId {
        PublisherId::from_inception(self.inception.id())
    }

    /// The handle that the publisher claims.
    pub fn handle(&self) -> &Handle {
        &self.inception.handle
    }

    /// Where an event stands among those that put a key in force.
    fn position(&self, event: &RecordId) -> Option<usize> {
        if *event == self.inception.id() {
            return Some(0);
        }
        self.rotations.iter().position(|rotation| rotation.id() == *event).map(|at| at + 1)
    }

    /// The rotations that follow the event at a place.
    fn followers(&self, position: usize) -> &[Verified<Rotation>] {
        self.rotations.get(position..=position).unwrap_or(&self.fork)
    }

    /// The key that an event put in force, and the commitment to the next one.
    fn keys_of(&self, position: usize) -> (&PublicKey, &KeyCommitment) {
        match position.checked_sub(1).and_then(|at| self.rotations.get(at)) {
            Some(rotation) => (&rotation.key, &rotation.next),
            None => (&self.inception.key, &self.inception.next),
        }
    }

    /// The key that an event put in force.
    pub fn key_at(&self, event: &RecordId) -> Option<&PublicKey> {
        self.position(event).map(|position| self.keys_of(position).0)
    }

    /// The last event that put a key in force: what new records are signed under, unless the log [is frozen](Self::is_frozen).
    pub fn head(&self) -> RecordId {
        self.rotations.last().map_or(self.inception.id(), |rotation| rotation.id())
    }

    /// Whether the log ends in a fork: nothing can be signed any more.
    pub const fn is_frozen(&self) -> bool {
        !self.fork.is_empty()
    }

    /// How many record indices the publisher has.
    pub fn quota(&self) -> u32 {
        self.inception.work.quota()
    }

    /// What verification of a record demands, the signature excepted: the key that it must be signed by.
    ///
    /// # Errors
    /// [`Error::WrongPublisher`], [`Error::UnknownKeyEvent`], [`Error::OverQuota`], [`Error::Void`], [`Error::NoKeepPage`].
    pub fn check(&self, record: &dyn Indexed, id: &RecordId) -> Result<&PublicKey, Error> {
        let (expected, actual) = (self.publisher(), record.publisher());
        if actual != expected {
            return Err(Error::WrongPublisher { expected, actual });
        }
        let event = record.signed_under();
        let position = self.position(&event).ok_or(Error::UnknownKeyEvent(event))?;
        if record.index() >= self.quota() {
            return Err(Error::OverQuota { index: record.index(), quota: self.quota() });
        }
        if self.followers(position).is_empty() || self.pages_of(position).flatten().any(|page| page.keeps(id)) {
            return Ok(self.keys_of(position).0);
        }
        let is_lacking = self.pages_of(position).any(|page| page.is_none());
        Err(if is_lacking { Error::NoKeepPage(*id) } else { Error::Void(*id) })
    }

    /// Whether a record that [holds](Self::check) was signed by a key that is not in force any more, and kept by the rotation.
    pub fn is_settled(&self, signed_under: &RecordId) -> bool {
        self.position(signed_under).is_some_and(|position| !self.followers(position).is_empty())
    }

    /// The pages of the rotations that follow the event at a place; None for those that are not here.
    fn pages_of(&self, position: usize) -> impl Iterator<Item = Option<&Verified<KeepPage>>> {
        self.followers(position).iter().flat_map(|rotation| &rotation.pages).map(|id| self.page(id))
    }

    /// A keep page that is here.
    fn page(&self, id: &RecordId) -> Option<&Verified<KeepPage>> {
        self.pages.binary_search_by_key(id, |page| page.id()).ok().map(|at| &self.pages[at])
    }

    /// What verification of a rotation or a keep page demands, the signature excepted. Where the event that it follows stands.
    pub(super) fn check_follower(&self, follower: &dyn Follower) -> Result<usize, Error> {
        let (expected, actual) = (self.publisher(), follower.publisher());
        if actual != expected {
            return Err(Error::WrongPublisher { expected, actual });
        }
        let prev = *follower.prev();
        let position = self.position(&prev).ok_or(Error::UnknownKeyEvent(prev))?;
        if *self.keys_of(position).1 != KeyCommitment::to_key(follower.revealed()) {
            return Err(Error::NotCommitted(prev));
        }
        Ok(position)
    }

    /// Continues the log, or forks it. What followed a rotation that is in a fork now is no longer part of it, nor are the pages of rotations
    /// that left. That all pages of the rotation exist is for those to see who have to keep them.
    ///
    /// # Errors
    /// As [`Unverified::verify`], for a rotation that was never checked against this log; [`Error::Field`] when the log is full, or would name
    /// more pages than its quota takes. Both depend on nothing but what the rotation follows.
    pub fn follow(&mut self, rotation: Verified<Rotation>) -> Result<Followed, Error> {
        let position = self.check_follower(&*rotation)?;
        if position + 1 >= MAX_KEY_EVENTS {
            return Err(Error::field("key_log", "has as many events as a key log may have"));
        }
        let before = self.rotations.iter().take(position).map(|rotation| rotation.pages.len()).sum::<usize>();
        // As many as it takes to keep a record at each index, and twice that of all rotations.
        let pages = self.quota() as usize / KEPT_PER_PAGE;
        if rotation.pages.len() > pages || before + rotation.pages.len() > 2 * pages {
            return Err(Error::field("key_log", "names more pages than a key log may have"));
        }
        let mut rivals = self.followers(position).to_vec();
        let Err(at) = rivals.binary_search_by_key(&rotation.id(), |rival| rival.id()) else {
            return Ok(Followed::AlreadyKnown);
        };
        if at >= MAX_CONFLICTING_RECORDS {
            return Ok(Followed::NotKept);
        }
        rivals.insert(at, rotation);
        rivals.truncate(MAX_CONFLICTING_RECORDS);
        self.rotations.truncate(position);
        self.fork.clear();
        if rivals.len() > 1 {
            self.fork = rivals;
        } else {
            self.rotations = [&self.rotations[..], &rivals].concat();
        }
        let pages = std::mem::take(&mut self.pages);
        self.pages = pages.into_iter().filter(|page| self.is_named(page)).collect();
        Ok(Followed::New)
    }

    /// Whether a rotation of the log names a page that follows the same event.
    fn is_named(&self, page: &Verified<KeepPage>) -> bool {
        self.rotations().any(|rotation| rotation.names(page))
    }

    /// Adds a page that a rotation of the log names.
    ///
    /// # Errors
    /// As [`Unverified::verify`], for a page that was never checked against this log.
    pub fn add_page(&mut self, page: Verified<KeepPage>) -> Result<Followed, Error> {
        self.check_follower(&*page)?;
        match self.pages.binary_search_by_key(&page.id(), |known| known.id()) {
            Ok(_) => Ok(Followed::AlreadyKnown),
            Err(at) if self.is_named(&page) => {
                self.pages.insert(at, page);
                Ok(Followed::New)
            }
            Err(_) => Ok(Followed::NotKept),
        }
    }

    /// The rotations, those of a fork last.
    pub fn rotations(&self) -> impl Iterator<Item = &Verified<Rotation>> {
        self.rotations.iter().chain(&self.fork)
    }

    /// The keep pages that are here.
    pub fn pages(&self) -> impl Iterator<Item = &Verified<KeepPage>> {
        self.pages.iter()
    }

    /// The events as records, pages before the rotations that name them: the order to offer them in.
    pub fn into_records(self) -> Vec<Record> {
        let mut records = vec![Record::Inception(self.inception.clone())];
        for rotation in self.rotations() {
            let pages = self.pages().filter(|page| rotation.names(page));
            records.extend(pages.map(|page| Record::KeepPage(Box::new(page.clone()))));
            records.push(Record::Rotation(Box::new(rotation.clone())));
        }
        records
    }

    /// The events as they are sent, in the order that [`Self::verify`] reads.
    pub fn events(&self) -> impl Iterator<Item = &RecordBytes> {
        self.chain().chain(self.pages().map(Verified::bytes))
    }

    /// The events as they are sent, without pages.
    pub fn chain(&self) -> impl Iterator<Item = &RecordBytes> {
        std::iter::once(self.inception.bytes()).chain(self.rotations().map(Verified::bytes))
    }

    /// As [`Self::events`], with only those pages that keep one of some records, which all hold.
    pub fn events_for(&self, records: impl IntoIterator<Item = (RecordId, RecordId)>) -> Vec<&RecordBytes> {
        let mut pages: Vec<&Verified<KeepPage>> = Vec::new();
        for (signed_under, id) in records {
            pages.extend(self.page_for(&signed_under, &id));
        }
        pages.sort_by_key(|page| page.id());
        pages.dedup_by_key(|page| page.id());
        self.chain().chain(pages.into_iter().map(Verified::bytes)).collect()
    }

    /// The first page that keeps a record, if it takes one.
    pub fn page_for(&self, signed_under: &RecordId, id: &RecordId) -> Option<&Verified<KeepPage>> {
        let position = self.position(signed_under)?;
        self.pages_of(position).flatten().find(|page| page.keeps(id))
    }
}

impl KeepPage {
    /// Whether it lists a record.
    pub fn keeps(&self, id: &RecordId) -> bool {
        self.keep.binary_search(id).is_ok()
    }
}
