//! Comparison: one relay's answer held against what other relays commit to. One honest relay among those asked is enough to see that
//! something is kept back, and to get it.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, stream};
use ggen_shared::catalogue::find::MAX_WALKED;
use ggen_shared::catalogue::keys::{self, PackageKey, ShortId};
use ggen_shared::client::MAX_DISPUTED;
use ggen_shared::client::evidence::{self, Evidence};
use ggen_shared::id::RecordId;
use ggen_shared::protocol::query::{KeyLogOf, Package, Search};
use ggen_shared::record::{self, Release, Unverified, Verified};
use ggen_shared::registry::{PeerError, PublisherView, ReleaseView, SearchOptions, SearchResults, Source};
use ggen_shared::search::query::Query;
use ggen_shared::search::verified::{Hit, MappedVersions, Proven, verify_key_log, verify_package};
use libp2p::PeerId;

use crate::light::Platform;
use crate::registry::{P2PRegistry, peer_error, source};
use crate::settle::Settled;

/// Relays that an answer is compared with, at most: each costs about a kilobyte.
const MAX_COMPARED: usize = 4;
/// Questions about single packages that one relay is asked at a time.
const MAX_ASKED_AT_ONCE: usize = 8;

/// What other relays commit to, where an answer's relay commits to something.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Anchors that commit to the same for the whole range, or to nothing else that matches; or to all but what their own operators exclude.
    pub agree: Vec<Source>,
    /// Relays that have something else, or exclude something.
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
    /// Releases that match, that one of both lists, and that the operator of the other one keeps off its lists.
    pub excluded: Vec<Excluded>,
    /// Whether all that both have differently was seen.
    pub is_whole: bool,
}

/// A release that the operator of a relay excludes, as its map says: an explained difference, and no fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excluded {
    /// Whose operator.
    pub source: Source,
    /// What, as another relay has it.
    pub release: ReleaseView,
    /// Why, as the operator says; may be empty.
    pub reason: String,
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
    /// Whether the answer's proven part is all there is, as far as anybody who was asked knows: no relay differs but by what its own operator
    /// excludes, and one at least agrees. Of results that no checkpoint has yet, it says nothing.
    pub fn is_complete(&self) -> bool {
        self.differ.iter().all(Difference::is_its_own) && !self.agree.is_empty()
    }
}

impl Difference {
    /// Whether there is nothing to it but what operators exclude, as far as it was seen.
    pub fn is_explained(&self) -> bool {
        let is_nothing_else = self.more.is_empty()
            && self.lacks.is_empty()
            && self.outdated.is_empty()
            && self.faults.is_empty()
            && self.unbacked == 0;
        is_nothing_else && !self.excluded.is_empty()
    }

    /// Whether there is nothing to it but what the other relay's own operator excludes: the page lacks nothing of it.
    fn is_its_own(&self) -> bool {
        self.is_whole && self.is_explained() && self.excluded.iter().all(|one| one.source == self.source)
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
                Ok(Some(difference)) => {
                    if other.anchor && difference.is_its_own() {
                        comparison.agree.push(source(other.peer));
                    }
                    comparison.differ.push(difference);
                }
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
        let (settled, is_answered) = match Box::pin(self.settle([page.compared, relay], [page.proven, &theirs])).await {
            Ok(settled) => (settled, true),
            Err((silent, error)) if silent == relay => return Err(error),
            // What the compared relay does not say any more, it said with its page.
            Err((compared, error)) => {
                silent.push((source(compared), error));
                let only = [Vec::new(), self.beyond(relay, page).await?];
                (Settled { only, ..Settled::default() }, false)
            }
        };
        let Settled { only, unbacked: [unbacked, its], mut evidence, silent: mut failed, is_whole } = settled;
        let [ours, theirs_only] = only;
        let is_about = |(at, evidence): &(PeerId, Evidence), relay, hit: &Hit| {
            *at == relay && evidence.release() == Some(hit.release.id())
        };
        // What it lists against the rules is nothing that the page lacks; what an entry of a page that does not match says is no matter.
        let is_more = |hit: &&Hit| {
            let is_asked_for = page.query.matches(&self.rules.tokens(&hit.release)) && page.query.admits(&hit.release);
            is_asked_for && !page.has(hit.release.id()) && !evidence.iter().any(|one| is_about(one, relay, hit))
        };
        let more: Vec<Hit> = theirs_only.iter().filter(is_more).cloned().collect();
        let lacks: Vec<Hit> = ours.iter().filter(|hit| page.has(hit.release.id())).cloned().collect();
        let mut explanations = Explanations::default();
        let has_exclusions = [page.proven, &theirs].iter().any(|proven| proven.checkpoint.exclusions.is_some());
        if is_answered && has_exclusions {
            let listed = [&ours[..], &theirs_only[..]];
            explanations = Box::pin(self.explanations(relay, page, listed, more.iter().chain(&lacks))).await;
            failed.append(&mut explanations.silent);
        }
        let Explained { rest: mut more, mut excluded } = explanations.explain(more, 0, page.compared);
        let Explained { rest: mut lacks, excluded: by_relay } = explanations.explain(lacks, 1, relay);
        excluded.extend(by_relay);
        // An older version on the page stands for one that is excluded, and that the query does not find.
        excluded.extend(explanations.unfound(page.compared));
        for hit in ours.iter().chain(&theirs_only).filter(|hit| !explanations.is_explained(hit)) {
            self.hand_over(hit).await;
        }
        let before = more.len();
        for hit in std::mem::take(&mut more) {
            match self.voided(page.compared, &hit, relay).await {
                Some(ignored) => evidence.extend(ignored.map(|ignored| (relay, ignored))),
                None => more.push(hit),
            }
        }
        let is_behind = more.len() < before;
        if !lacks.is_empty() {
            // What one of them just heard of is no difference of the results.
            let answer = self.ask(relay, page.question.clone()).await.map_err(peer_error)?;
            let theirs = self.verified(relay, |asked| self.verify_search(&page.question, answer, asked))?;
            let theirs = SearchResults::of(theirs, source(relay));
            lacks.retain(|hit| !shows(&theirs, hit.release.id()));
        }
        // Whoever has something else agrees only if all of it was seen, and is beside the point.
        let is_settled = is_whole && its == 0 && failed.is_empty() && !is_behind;
        if more.is_empty() && lacks.is_empty() && evidence.is_empty() && excluded.is_empty() && unbacked == 0 {
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
        Ok(Some(Difference {
            source: source(relay),
            more,
            hidden,
            lacks: missing,
            outdated,
            unbacked,
            faults,
            excluded,
            is_whole: is_settled,
        }))
    }

    /// What both relays say of the versions of packages that they list differently. `listed`: what only either of them lists; `hits`: what is to be explained
    /// of it.
    async fn explanations<'a>(
        &self,
        relay: PeerId,
        page: &Page<'_>,
        listed: [&[Hit]; 2],
        hits: impl Iterator<Item = &'a Hit>,
    ) -> Explanations {
        let hits: Vec<&Hit> = hits.collect();
        let packages: BTreeSet<PackageKey> = hits.iter().map(|hit| PackageKey::of(&hit.release.package())).collect();
        let (mut explanations, relays) = (Explanations::default(), [page.compared, relay]);
        for (at, relay) in relays.into_iter().enumerate() {
            let questions = packages.iter().map(|package| async move {
                let answer = self.ask(relay, MappedVersions::question(package)).await.map_err(peer_error)?;
                let versions = self.verified(relay, |asked| {
                    let (checkpoint, versions) = MappedVersions::verify(package, &answer, asked)?;
                    self.witness(&checkpoint)?;
                    Ok(versions)
                })?;
                Ok::<_, PeerError>((*package, versions))
            });
            let answers: Vec<_> = stream::iter(questions).buffered(MAX_ASKED_AT_ONCE).collect().await;
            for answer in answers {
                match answer {
                    Ok((package, versions)) => _ = explanations.versions[at].insert(package, versions),
                    Err(error) => explanations.silent.push((relay, error)),
                }
            }
        }
        // Who has the later version that another one excludes has to list it, unless the query does not find it.
        for (at, relay) in relays.into_iter().enumerate() {
            let later: BTreeSet<ShortId> =
                hits.iter().filter_map(|hit| explanations.stands_in_for(hit, 1 - at)).collect();
            let is_on_page =
                |id: &ShortId| at == 0 && page.results.hits.iter().flatten().any(|hit| is(&hit.release, id));
            let is_listed = |id: &ShortId| listed[at].iter().any(|hit| is(&hit.release, id)) || is_on_page(id);
            let (known, unlisted): (Vec<_>, Vec<_>) = later.into_iter().partition(is_listed);
            explanations.accounted[at].extend(known);
            match self.named(relay, unlisted.into_iter().take(MAX_DISPUTED).collect()).await {
                Ok((found, _)) => {
                    let is_found = |hit: &Hit| {
                        page.query.matches(&self.rules.tokens(&hit.release)) && page.query.admits(&hit.release)
                    };
                    for hit in found.into_iter().filter(|hit| !is_found(hit)) {
                        explanations.accounted[at].insert(ShortId::of(&hit.release.id()));
                        explanations.unfound[at].push(hit);
                    }
                }
                Err(error) => explanations.silent.push((relay, error)),
            }
        }
        explanations
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
        let ids: Vec<ShortId> = missing.take(MAX_DISPUTED).collect();
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

/// What two relays say of the versions of packages that they list differently: the compared one, then the other.
#[derive(Default)]
struct Explanations {
    versions: [BTreeMap<PackageKey, MappedVersions>; 2],
    /// Later versions that the other one excludes, and that each of them lists, or has to list nowhere that was asked for.
    accounted: [BTreeSet<ShortId>; 2],
    /// The latter.
    unfound: [Vec<Hit>; 2],
    /// What either did not say.
    silent: Vec<(PeerId, PeerError)>,
}

/// Hits that one of two relays lists and the other does not.
struct Explained {
    /// Those that no exclusion explains.
    rest: Vec<Hit>,
    /// Those that the other one's operator excludes.
    excluded: Vec<Excluded>,
}

impl Explanations {
    /// Sorts hits that are not listed by one of both: by the relay at that place.
    fn explain(&self, hits: Vec<Hit>, not_by: usize, relay: PeerId) -> Explained {
        let mut explained = Explained { rest: Vec::new(), excluded: Vec::new() };
        for hit in hits {
            match self.reason(&hit, not_by) {
                Some(reason) => {
                    let (reason, release) = (reason.to_owned(), view(&hit));
                    explained.excluded.push(Excluded { source: source(relay), release, reason });
                }
                None if self.is_stand_in(&hit, 1 - not_by) => {}
                None => explained.rest.push(hit),
            }
        }
        explained
    }

    fn of(&self, hit: &Hit, at: usize) -> Option<&MappedVersions> {
        self.versions[at].get(&PackageKey::of(&hit.release.package()))
    }

    fn reason(&self, hit: &Hit, at: usize) -> Option<&str> {
        self.of(hit, at)?.excludes(&hit.release)
    }

    /// The later version that a relay's operator excludes, for which it lists a hit, and that the other one has.
    fn stands_in_for(&self, hit: &Hit, at: usize) -> Option<ShortId> {
        self.of(hit, at)?.stands_in_for(&hit.release, self.of(hit, 1 - at)?)
    }

    /// Whether a relay lists a hit for such a one, and the other one hides nothing with it.
    fn is_stand_in(&self, hit: &Hit, at: usize) -> bool {
        self.stands_in_for(hit, at).is_some_and(|later| self.accounted[1 - at].contains(&later))
    }

    /// Whether that one of both does not list it is no reason to hand it over.
    fn is_explained(&self, hit: &Hit) -> bool {
        [0, 1].into_iter().any(|at| self.reason(hit, at).is_some() || self.is_stand_in(hit, at))
    }

    /// What the compared relay excludes, and what of it is not found by the query: older versions on its page stand for it.
    fn unfound(&self, compared: PeerId) -> Vec<Excluded> {
        let excluded = self.unfound[1].iter().filter_map(|hit| {
            let reason = self.reason(hit, 0)?.to_owned();
            Some(Excluded { source: source(compared), release: view(hit), reason })
        });
        excluded.collect()
    }
}

fn is(release: &Verified<Release>, id: &ShortId) -> bool {
    ShortId::of(&release.id()) == *id
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
