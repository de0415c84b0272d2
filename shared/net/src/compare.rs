//! Comparison: one relay's answer held against what other relays commit to. One honest relay among those asked is enough to see that
//! something is kept back, and to get it.

use ggen_shared::catalogue::find::MAX_WALKED;
use ggen_shared::catalogue::keys::{self, ShortId};
use ggen_shared::id::RecordId;
use ggen_shared::protocol::query::{RangeOf, Search};
use ggen_shared::record::Record;
use ggen_shared::registry::{PeerError, ReleaseView, SearchOptions, SearchResults, Source};
use ggen_shared::search::verified::{Proven, verify_range, verify_search};
use libp2p::PeerId;

use crate::light::Platform;
use crate::registry::{P2PRegistry, peer_error, search_results, source};

/// Relays that an answer is compared with, at most: each costs about a kilobyte.
const MAX_COMPARED: usize = 4;

/// What other relays commit to, where an answer's relay commits to something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Anchors that commit to the same for the whole range, or give the same page where records were just published.
    pub agree: Vec<Source>,
    /// Relays that give another page.
    pub differ: Vec<Difference>,
    /// Relays that did not say, or said what does not verify.
    pub silent: Vec<(Source, PeerError)>,
}

/// How the page of one relay differs from another's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Whose page differs from the one that was compared.
    pub source: Source,
    /// Verified releases that it has and the compared page has not.
    pub more: Vec<ReleaseView>,
    /// Those of them that the compared relay commits to hold, under the very checkpoint by which it does not list them: it derived its
    /// lists wrongly, and the proofs of both show that to anyone.
    pub hidden: Vec<RecordId>,
    /// Releases of the compared page that it does not have.
    pub lacks: Vec<RecordId>,
}

impl Comparison {
    /// Whether the answer is all there is, as far as anybody who was asked knows: no relay differs, and one at least agrees.
    pub fn is_complete(&self) -> bool {
        self.differ.is_empty() && !self.agree.is_empty()
    }
}

impl<P: Platform> P2PRegistry<P> {
    /// Compares a page of results with what other relays commit to. Agreement is counted of anchors only: relays that were configured.
    /// Whoever was found in the DHT may show that something is kept back, and no more.
    ///
    /// A valid record that a relay lacks is handed to it.
    pub async fn compare(&self, text: &str, options: &SearchOptions, results: &SearchResults) -> Comparison {
        let mut comparison = Comparison::default();
        let Some(proven) = &results.proven else { return comparison };
        let peer = self.peer();
        let mut others: Vec<_> = peer.connections().into_iter().filter(|other| other.is_connected()).collect();
        others.retain(|other| source(other.peer) != results.source);
        // Anchors first; a stable order is enough, for there are few.
        let (anchors, found): (Vec<_>, Vec<_>) = others.into_iter().partition(|other| other.anchor);
        for other in anchors.iter().chain(&found).take(MAX_COMPARED) {
            match self.compare_with(other.peer, text, options, results, proven).await {
                Ok(None) if other.anchor => comparison.agree.push(source(other.peer)),
                Ok(None) => {}
                Ok(Some(difference)) => comparison.differ.push(difference),
                Err(error) => comparison.silent.push((source(other.peer), error)),
            }
        }
        comparison
    }

    /// None: the relay has the same.
    async fn compare_with(
        &self,
        relay: PeerId,
        text: &str,
        options: &SearchOptions,
        results: &SearchResults,
        proven: &Proven,
    ) -> Result<Option<Difference>, PeerError> {
        let theirs = self.range(relay, &proven.range, 0).await?;
        if theirs.hash == proven.hash {
            return Ok(None);
        }
        // Somewhere in the range they differ: how far our run goes, and theirs must not end before ours if it has more.
        let walked = usize::try_from(proven.walked).unwrap_or(usize::MAX);
        let limit = if proven.walked == proven.total { MAX_WALKED } else { walked.saturating_mul(2).min(MAX_WALKED) };
        let theirs = self.range(relay, &proven.range, u16::try_from(limit).unwrap_or(u16::MAX)).await?;
        let (more, lacks) = differing(proven, &theirs);
        if more.is_empty() && lacks.is_empty() {
            return Ok(None);
        }

        let question = Search { text: text.into(), limit: options.limit, cursor: None };
        let answer = self.peer().ask(relay, question.clone()).await.map_err(peer_error)?;
        let page = self.verified(relay, |asked| verify_search(&question, answer, asked))?;
        let page = search_results(page, relay);
        // An entry of a package that does not match is no difference of the results; nor is what one of them just heard of.
        let more = only_in(&page, results, &more);
        let lacks = only_in(results, &page, &lacks);
        if more.is_empty() && lacks.is_empty() {
            return Ok(None);
        }
        let mut hidden = Vec::new();
        for hit in &more {
            if let Ok(compared) = results.source.0.parse::<PeerId>()
                && self.hides(compared, hit, proven).await
            {
                self.peer().note_fault(compared);
                hidden.push(hit.release.id());
            }
        }
        for hit in more.iter().chain(&lacks) {
            self.hand_over(hit).await;
        }
        let lacks = lacks.iter().map(|hit| hit.release.id()).collect();
        Ok(Some(Difference { source: source(relay), more, hidden, lacks }))
    }

    async fn range(&self, relay: PeerId, range: &[u8], limit: u16) -> Result<Proven, PeerError> {
        let question = RangeOf::first(range, limit);
        let answer = self.peer().ask(relay, question.clone()).await.map_err(peer_error)?;
        self.verified(relay, |asked| {
            let proven = verify_range(&question, &answer, asked)?;
            self.witness(&proven)?;
            Ok(proven)
        })
    }

    /// Whether a relay commits to hold a release: then it has no reason not to list it.
    async fn hides(&self, relay: PeerId, hit: &ReleaseView, proven: &Proven) -> bool {
        let key = keys::record(&Record::Release(Box::new(hit.release.clone())));
        let held = self.range(relay, &key, 1).await;
        held.is_ok_and(|held| held.total > 0 && held.checkpoint.root == proven.checkpoint.root)
    }

    /// Announces a release to all relays: those that lack it take it in.
    async fn hand_over(&self, hit: &ReleaseView) {
        if let Err(error) = self.peer().announce(hit.release.bytes().to_vec()).await {
            tracing::debug!(%error, record = %hit.release.id(), "a record could not be handed over");
        }
    }
}

/// The releases whose entries only they, and only we have, up to where the shorter of both runs ends.
fn differing(ours: &Proven, theirs: &Proven) -> (Vec<ShortId>, Vec<ShortId>) {
    let end = |run: &Proven| run.keys.last().filter(|_| run.total > run.walked).cloned();
    let within = |key: &&Vec<u8>| [end(ours), end(theirs)].iter().flatten().all(|end| *key <= end);
    let only = |one: &Proven, other: &Proven| {
        let keys = one.keys.iter().filter(within).filter(|key| !other.keys.contains(key));
        keys.filter_map(|key| keys::short_id(key)).collect()
    };
    (only(theirs, ours), only(ours, theirs))
}

/// The hits of one page that are not on the other, of those with these ids.
fn only_in(page: &SearchResults, other: &SearchResults, ids: &[ShortId]) -> Vec<ReleaseView> {
    let is_there = |id| other.hits.iter().flatten().any(|hit| hit.release.id() == id);
    let hits = page.hits.iter().flatten();
    hits.filter(|hit| ids.contains(&ShortId::of(&hit.release.id())) && !is_there(hit.release.id())).cloned().collect()
}
