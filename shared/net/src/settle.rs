//! Settling what two relays have differently: who of them is wrong, and what there is.
//!
//! Neither is believed. Of each entry that differs, the record is got and the entry derived here; a relay whose map contradicts itself is
//! named with evidence that convinces others, one that merely lacks a record is behind.

use ggen_shared::catalogue::keys::{self, ShortId};
use ggen_shared::client::evidence::{self, Evidence};
use ggen_shared::client::{Differences, Disputed};
use ggen_shared::protocol::query::{self, Named, RangeOf};
use ggen_shared::record::{Status, Verified};
use ggen_shared::registry::PeerError;
use ggen_shared::search::verified::{AnswerError, Hit, Proven, verify_named, verify_pieces, verify_range};
use libp2p::PeerId;

use crate::light::Platform;
use crate::registry::{P2PRegistry, peer_error};

/// Entries that are derived again: each costs three small proofs of both relays.
const MAX_EXAMINED: usize = 8;
/// Times that an entry is looked at again because a relay committed to something new meanwhile.
const ATTEMPTS: usize = 3;

/// What two relays have differently in a range.
#[derive(Debug, Default)]
pub(crate) struct Settled {
    /// What the compared relay and what the other one lists, and the other of both not so: verified.
    pub(crate) only: [Vec<Hit>; 2],
    /// Entries of either that name no record which it delivers.
    pub(crate) unbacked: [usize; 2],
    /// Evidence against either.
    pub(crate) evidence: Vec<(PeerId, Evidence)>,
    /// What a relay did not say, or said wrongly, on the way.
    pub(crate) silent: Vec<(PeerId, PeerError)>,
    /// Whether it is all that both had differently when they were compared first, as far as they said.
    pub(crate) is_whole: bool,
}

impl<P: Platform> P2PRegistry<P> {
    /// Descends to what differs in a range, and derives it again. `proven`: what both were compared by.
    ///
    /// # Errors
    /// The relay that does not say what it commits to, or can't prove it, and why.
    pub(crate) async fn settle(
        &self,
        relays: [PeerId; 2],
        proven: [&Proven; 2],
    ) -> Result<Settled, (PeerId, PeerError)> {
        let (disputed, is_whole) = self.disputed(relays, proven).await?;
        let mut settled = Settled { is_whole, ..Settled::default() };
        let mut hits = [Vec::new(), Vec::new()];
        for (side, relay) in relays.into_iter().enumerate() {
            let entries = disputed.iter().filter(|entry| entry.values[side].is_some());
            let ids: Vec<_> = entries.filter_map(|entry| keys::short_id(&entry.key)).collect();
            let count = ids.len();
            match self.named(relay, ids).await {
                Ok((found, missing)) => {
                    settled.unbacked[side] = count.saturating_sub(found.len());
                    hits[side] = found;
                    settled.silent.extend(missing.map(|missing| (relay, missing)));
                }
                Err(error) => settled.silent.push((relay, error)),
            }
        }
        for entry in disputed.iter().take(MAX_EXAMINED) {
            let Some(hit) = hits.iter().flatten().find(|hit| names(&entry.key, hit)) else { continue };
            for relay in relays {
                match Box::pin(self.examine(relay, hit, None, &entry.key)).await {
                    Ok(Some(evidence)) => settled.evidence.push((relay, evidence)),
                    Ok(None) => {}
                    Err(error) => settled.silent.push((relay, error)),
                }
            }
        }
        for (side, hits) in hits.into_iter().enumerate() {
            let is_other = |entry: &Disputed| entry.values[side].is_some() && entry.values[0] != entry.values[1];
            let is_only = |hit: &Hit| disputed.iter().any(|entry| names(&entry.key, hit) && is_other(entry));
            settled.only[side] = hits.into_iter().filter(is_only).collect();
        }
        Ok(settled)
    }

    /// What differs, and whether that is all of it.
    async fn disputed(
        &self,
        relays: [PeerId; 2],
        proven: [&Proven; 2],
    ) -> Result<(Vec<Disputed>, bool), (PeerId, PeerError)> {
        let [one, other] = relays;
        let mut differences = Differences::within(&proven[0].range, proven[0].total.saturating_add(proven[1].total));
        // Of two maps of one relay, parts would be compared that never stood beside each other.
        let mut is_same = true;
        while let Some(question) = differences.next_question() {
            let ours = self.part(one, &question).await.map_err(|error| (one, error))?;
            let theirs = self.part(other, &question).await.map_err(|error| (other, error))?;
            // Both held when they came.
            let mut pieces = |relay, answer, proven: &Proven| {
                let (checkpoint, pieces) = self.verified(relay, |asked| verify_pieces(&question, answer, asked))?;
                is_same &= checkpoint.root == proven.checkpoint.root;
                Ok(pieces)
            };
            let ours = pieces(one, &ours, proven[0]).map_err(|error| (one, error))?;
            let theirs = pieces(other, &theirs, proven[1]).map_err(|error| (other, error))?;
            differences.on_answers(&ours, &theirs);
        }
        let is_whole = is_same && differences.is_whole();
        Ok((differences.disputed(), is_whole))
    }

    /// What a relay's map has in a range: its hash and count, and the first entries.
    pub(crate) async fn range(&self, relay: PeerId, range: &[u8], limit: u16) -> Result<Proven, PeerError> {
        let question = RangeOf::first(range, limit);
        Ok(self.proven(relay, &question).await?.1)
    }

    /// The same, with the answer as it came.
    pub(crate) async fn proven(
        &self,
        relay: PeerId,
        question: &RangeOf,
    ) -> Result<(query::Evidence, Proven), PeerError> {
        let answer = self.ask(relay, question.clone()).await.map_err(peer_error)?;
        let proven = self.verified(relay, |asked| {
            let proven = verify_range(question, &answer, asked)?;
            self.witness(&proven.checkpoint)?;
            Ok(proven)
        })?;
        Ok((answer, proven))
    }

    /// A part of a descent, whose proof holds.
    pub(crate) async fn part(&self, relay: PeerId, question: &RangeOf) -> Result<query::Evidence, PeerError> {
        let answer = self.ask(relay, question.clone()).await.map_err(peer_error)?;
        self.verified(relay, |asked| self.witness(&verify_pieces(question, &answer, asked)?.0))?;
        Ok(answer)
    }

    /// The releases that entries of a relay name, and what is wrong with the first that it does not deliver.
    pub(crate) async fn named(
        &self,
        relay: PeerId,
        ids: Vec<ShortId>,
    ) -> Result<(Vec<Hit>, Option<PeerError>), PeerError> {
        if ids.is_empty() {
            return Ok((Vec::new(), None));
        }
        let question = Named { ids };
        let answer = self.ask(relay, question.clone()).await.map_err(peer_error)?;
        let verified = self.verified(relay, |asked| verify_named(&question, &answer, asked.network))?;
        let (mut hits, mut missing) = (Vec::new(), None);
        for hit in verified {
            match hit {
                Some(Ok(hit)) => hits.push(hit),
                Some(Err(error)) => {
                    self.peer().note_fault(relay);
                    missing.get_or_insert(AnswerError::Refused(error));
                }
                // It may have been displaced since the checkpoint: no fault as such.
                None => _ = missing.get_or_insert(AnswerError::Withheld),
            }
        }
        Ok((hits, missing.map(PeerError::BadAnswer)))
    }

    /// Derives an entry that a release has, or that names it, and looks whether a relay's map is what the rules say. Evidence is kept.
    /// `status`: one of the release's version, if the entry is its.
    pub(crate) async fn examine(
        &self,
        relay: PeerId,
        Hit { key_log, release, .. }: &Hit,
        status: Option<&Verified<Status>>,
        entry: &[u8],
    ) -> Result<Option<Evidence>, PeerError> {
        let key_log = key_log
            .verified(self.peer().network())
            .map_err(|error| PeerError::BadAnswer(AnswerError::KeyLog(error)))?;
        let mut since = 0;
        for _ in 0..ATTEMPTS {
            let [at, versions, last] = evidence::questions(release, entry);
            let answers = [
                self.proven_since(relay, &at, &mut since).await?,
                self.proven_since(relay, &versions, &mut since).await?,
                self.proven_since(relay, &last, &mut since).await?,
            ];
            let peer = self.peer();
            match Evidence::of(&key_log, release, status, entry, answers, peer.network(), peer.schedule()) {
                Ok(evidence) => {
                    self.peer().accuse(evidence.clone());
                    return Ok(Some(evidence));
                }
                Err(evidence::Error::NotOneRoot) => {}
                Err(evidence::Error::ShowsNothing) => return Ok(None),
                // Nothing is known, neither good nor bad.
                Err(_) => return Err(PeerError::Undecided),
            }
        }
        Err(PeerError::Undecided)
    }

    /// As [`Self::proven`], of one who asks one thing after the other: what a relay commits to then never gets older. `since`: the epoch up to now.
    async fn proven_since(
        &self,
        relay: PeerId,
        question: &RangeOf,
        since: &mut u64,
    ) -> Result<query::Evidence, PeerError> {
        let (answer, proven) = self.proven(relay, question).await?;
        if proven.checkpoint.epoch < *since {
            return Err(self.went_back(relay));
        }
        *since = proven.checkpoint.epoch;
        Ok(answer)
    }

    /// Notes that a relay answered from an older checkpoint than the one before: it could choose which of both is looked at.
    pub(crate) fn went_back(&self, relay: PeerId) -> PeerError {
        self.peer().note_fault(relay);
        PeerError::BadAnswer(AnswerError::Rollback)
    }
}

fn names(entry: &[u8], hit: &Hit) -> bool {
    entry.ends_with(ShortId::of(&hit.release.id()).as_bytes())
}
