//! Comparison: one relay's answer held against what other relays commit to. One honest relay among those asked is enough to see that
//! something is kept back, and to get it.

use ggen_shared::catalogue::find::MAX_WALKED;
use ggen_shared::catalogue::keys::{self, ShortId};
use ggen_shared::client::evidence::{self, Evidence};
use ggen_shared::id::RecordId;
use ggen_shared::protocol::query::{KeyLogOf, Package, Search};
use ggen_shared::record::{self, Release, Unverified};
use ggen_shared::registry::{PeerError, PublisherView, ReleaseView, SearchOptions, SearchResults, Source};
use ggen_shared::search::query::Query;
use ggen_shared::search::verified::{Hit, Proven, verify_key_log, verify_package};
use libp2p::PeerId;

use crate::light::Platform;
use crate::registry::{P2PRegistry, peer_error, source};
use crate::settle::Settled;

/// Relays that an answer is compared with, at most: each costs about a kilobyte.
const MAX_COMPARED: usize = 4;

/// What other relays commit to, where an answer's relay commits to something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Anchors that commit to the same for the whole range, or to nothing else that matches.
    pub agree: Vec<Source>,
    /// Relays that have something else.
    pub differ: Vec<Difference>,
    /// Relays that did not say, or said what does not verify.
    pub silent: Vec<(Source, PeerError)>,
}

/// How what one relay has differs from the page of another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Whose it is.
    pub source: Source,
    /// Verified releases that match, that it has and the compared relay has not.
    pub more: Vec<ReleaseView>,
    /// Those of them that the compared relay does not list although it holds what they are derived from.
    pub hidden: Vec<RecordId>,
    /// Releases of the compared page that it does not have.
    pub lacks: Vec<RecordId>,
    /// Releases of the compared page in whose place it has a later one of the same package, or which a status or a rotation that it holds makes void.
    pub outdated: Vec<RecordId>,
    /// Entries of the compared relay that stand for no record which it delivers: it counts more than there is.
    pub unbacked: usize,
    /// Who of both derived what wrongly.
    pub faults: Vec<Fault>,
}

/// A relay whose map is not what the rules make of what it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    /// Who.
    pub source: Source,
    /// What proves it to anyone.
    pub evidence: Evidence,
}

impl Comparison {
    /// Whether the answer's proven part is all there is, as far as anybody who was asked knows: no relay differs, and one at least agrees. Of
    /// results that no checkpoint has yet, it says nothing.
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
        let question = SearchOptions { cursor: None, ..options.clone() }.question(text);
        let (Ok((query, _)), Ok(compared)) = (question.read(), results.source.0.parse::<PeerId>()) else {
            return comparison;
        };
        // By the rules of the page, whichever hold by now.
        let Some(rules) = self.peer().schedule().numbered(proven.checkpoint.rules) else { return comparison };
        let registry = self.by(rules);
        let page = Page { query, compared, question, results, proven };
        let mut others: Vec<_> = self.peer().connections().into_iter().filter(|other| other.is_connected()).collect();
        others.retain(|other| other.peer != compared);
        // Anchors first; a stable order is enough, for there are few.
        let (anchors, found): (Vec<_>, Vec<_>) = others.into_iter().partition(|other| other.anchor);
        for other in anchors.iter().chain(&found).take(MAX_COMPARED) {
            match Box::pin(registry.compare_with(other.peer, &page, &mut comparison.silent)).await {
                Ok(None) if other.anchor => comparison.agree.push(source(other.peer)),
                Ok(None) => {}
                Ok(Some(difference)) => comparison.differ.push(difference),
                Err(error) => comparison.silent.push((source(other.peer), error)),
            }
        }
        comparison
    }

    /// None: the relay has the same, or nothing else that matches. What either lacks is handed to it.
    async fn compare_with(
        &self,
        relay: PeerId,
        page: &Page<'_>,
        silent: &mut Vec<(Source, PeerError)>,
    ) -> Result<Option<Difference>, PeerError> {
        let theirs = self.range(relay, &page.proven.range, 0).await?;
        if theirs.hash == page.proven.hash {
            return Ok(None);
        }
        let settled = match Box::pin(self.settle([page.compared, relay], [page.proven, &theirs])).await {
            Ok(settled) => settled,
            Err((silent, error)) if silent == relay => return Err(error),
            // What the compared relay does not say any more, it said with its page.
            Err((compared, error)) => {
                silent.push((source(compared), error));
                Settled { only: [Vec::new(), self.beyond(relay, page).await?], ..Settled::default() }
            }
        };
        for hit in settled.only.iter().flatten() {
            self.hand_over(hit).await;
        }
        let Settled { only: [ours, mut more], unbacked: [unbacked, its], mut evidence, silent: mut failed, is_whole } =
            settled;
        let is_about = |(at, evidence): &(PeerId, Evidence), relay, hit: &Hit| {
            *at == relay && evidence.release() == Some(hit.release.id())
        };
        // What it lists against the rules is nothing that the page lacks; what an entry of a page that does not match says is no matter.
        more.retain(|hit| {
            let is_asked_for = page.query.matches(&self.rules.tokens(&hit.release)) && page.query.admits(&hit.release);
            is_asked_for && !page.has(hit.release.id()) && !evidence.iter().any(|one| is_about(one, relay, hit))
        });
        let before = more.len();
        for hit in std::mem::take(&mut more) {
            match self.voided(page.compared, &hit, relay).await {
                Some(ignored) => evidence.extend(ignored.map(|ignored| (relay, ignored))),
                None => more.push(hit),
            }
        }
        let is_behind = more.len() < before;
        let mut lacks: Vec<_> = ours.into_iter().filter(|hit| page.has(hit.release.id())).collect();
        if !lacks.is_empty() {
            // What one of them just heard of is no difference of the results.
            let answer = self.ask(relay, page.question.clone()).await.map_err(peer_error)?;
            let theirs = self.verified(relay, |asked| self.verify_search(&page.question, answer, asked))?;
            let theirs = SearchResults::of(theirs, source(relay));
            lacks.retain(|hit| !shows(&theirs, hit.release.id()));
        }
        if more.is_empty() && lacks.is_empty() && evidence.is_empty() && unbacked == 0 {
            // Whoever has something else agrees only if all of it was seen, and is beside the point.
            let is_settled = is_whole && its == 0 && failed.is_empty() && !is_behind;
            let failure = failed.iter().position(|(at, _)| *at == relay).map(|at| failed.remove(at).1);
            silent.extend(failed.into_iter().map(|(relay, error)| (source(relay), error)));
            return if is_settled { Ok(None) } else { Err(failure.unwrap_or(PeerError::Undecided)) };
        }
        silent.extend(failed.into_iter().map(|(relay, error)| (source(relay), error)));
        let (mut outdated, mut missing) = (Vec::new(), Vec::new());
        for hit in &lacks {
            let mut is_outdated = more.iter().any(|other| replaces(other, hit));
            if !is_outdated && let Some(ignored) = self.voided(relay, hit, page.compared).await {
                evidence.extend(ignored.map(|ignored| (page.compared, ignored)));
                is_outdated = true;
            }
            if is_outdated { &mut outdated } else { &mut missing }.push(hit.release.id());
        }
        let is_hidden = |hit: &&Hit| evidence.iter().any(|one| is_about(one, page.compared, hit));
        let hidden = more.iter().filter(is_hidden).map(|hit| hit.release.id()).collect();
        let more = more.iter().map(view).collect();
        let faults = evidence.into_iter().map(|(at, evidence)| Fault { source: source(at), evidence }).collect();
        Ok(Some(Difference { source: source(relay), more, hidden, lacks: missing, outdated, unbacked, faults }))
    }

    /// What a relay lists as far as the page goes, and the page does not.
    async fn beyond(&self, relay: PeerId, page: &Page<'_>) -> Result<Vec<Hit>, PeerError> {
        let ours = page.proven;
        let walked = usize::try_from(ours.walked).unwrap_or(usize::MAX);
        let limit = if ours.walked == ours.total { MAX_WALKED } else { walked.saturating_mul(2).min(MAX_WALKED) };
        let theirs = self.range(relay, &ours.range, u16::try_from(limit).unwrap_or(u16::MAX)).await?;
        let end = ours.keys.last().filter(|_| ours.total > ours.walked);
        let within = theirs.keys.iter().filter(|key| end.is_none_or(|end| *key <= end));
        let missing = within.filter(|key| !ours.keys.contains(key)).filter_map(|key| keys::short_id(key));
        let ids: Vec<ShortId> = missing.take(ggen_shared::client::MAX_DISPUTED).collect();
        Ok(self.named(relay, ids).await?.0)
    }

    /// Whether records of a relay show that a release is not to be chosen any more: a status says so, or the key that it was signed with was
    /// rotated out without keeping it. Some: they do; with evidence against another one that lists it, if that has these records too.
    async fn voided(&self, by: PeerId, hit: &Hit, at: PeerId) -> Option<Option<Evidence>> {
        let (release, publisher) = (&hit.release, PublisherView::from(&hit.key_log));
        let question =
            Package { name: publisher.full_name(&release.package()), version: Some(release.version.clone()) };
        let mut known = None;
        if let Ok(answer) = self.ask(by, question.clone()).await
            && let Ok(Some(package)) = self.verified(by, |asked| verify_package(&question, answer, asked))
        {
            let status = package.status(&release.version).filter(|status| !status.state.is_listed()).cloned();
            known = status.map(|status| (package.key_log, Some(status)));
        }
        if known.is_none() {
            let (network, question) = (self.peer().network(), KeyLogOf { publisher: release.publisher });
            let answer = self.ask(by, question.clone()).await.ok()?;
            let key_log = self.verified(by, |asked| verify_key_log(&question, &answer, asked.network)).ok()??;
            match Unverified::<Release>::decode(release.bytes()).and_then(|release| release.verify(&key_log, network)) {
                Err(record::Error::Void(_)) => {}
                // Nothing follows a fork.
                Err(record::Error::UnknownKeyEvent(_)) if key_log.is_frozen() => {}
                _ => return None,
            }
            known = Some((key_log, None));
        }
        let (key_log, status) = known?;
        let entry = status.as_ref().map_or_else(|| evidence::record_entry(release), evidence::status_entry);
        let known = Hit { key_log: key_log.into(), ..hit.clone() };
        Some(Box::pin(self.examine(at, &known, status.as_ref(), &entry)).await.ok().flatten())
    }

    /// Announces a release to all relays: those that lack it take it in.
    async fn hand_over(&self, hit: &Hit) {
        if let Err(error) = self.peer().announce(hit.release.bytes().to_vec()).await {
            tracing::debug!(%error, record = %hit.release.id(), "a record could not be handed over");
        }
    }
}

/// The page that is compared.
struct Page<'a> {
    query: Query,
    question: Search,
    compared: PeerId,
    results: &'a SearchResults,
    proven: &'a Proven,
}

impl Page<'_> {
    fn has(&self, id: RecordId) -> bool {
        shows(self.results, id)
    }
}

fn shows(results: &SearchResults, id: RecordId) -> bool {
    results.hits.iter().flatten().any(|hit| hit.release.id() == id)
}

/// Whether a release stands for its package rather than another one of the same package.
fn replaces(hit: &Hit, other: &Hit) -> bool {
    let standing = |hit: &Hit| (!hit.release.version.is_pre_release(), hit.release.version.clone());
    hit.release.package() == other.release.package() && standing(hit) > standing(other)
}

fn view(hit: &Hit) -> ReleaseView {
    ReleaseView::of(&hit.key_log, hit.release.clone(), true)
}
