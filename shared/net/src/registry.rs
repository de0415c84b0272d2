//! The registry over the network: asks relays one after the other, the best first, and verifies what each of them says.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use futures::{StreamExt, pin_mut};
use ggen_shared::checkpoint::{Checkpoint, Signed};
use ggen_shared::client::{Evidence, Seen, Witness};
use ggen_shared::id::{FullName, PackageId};
use ggen_shared::protocol::query::{self, Question, SearchAnswer};
use ggen_shared::record::Version;
use ggen_shared::registry::{
    Found, PeerError, Publication, PublishError, Published, Registry, SearchError, SearchOptions, SearchResults, Source,
};
use ggen_shared::rules::Rules;
use ggen_shared::search::verified::{AnswerError, Asked, Known, VerifiedSearch, verify_package, verify_search_knowing};
use libp2p::PeerId;

use crate::ahead::Ahead;
use crate::audit::Audits;
use crate::held::Held;
use crate::light::{AskError, LightPeer, Platform};
use crate::{address, exchange};

/// Relays of which it is remembered that they withheld something.
const MAX_WITHHELD: usize = 64;

/// The eight operations of a registry, by a light peer through relays that it does not trust.
#[derive(Clone)]
pub struct P2PRegistry<P> {
    shared: Arc<Shared<P>>,
    /// By which relays are asked: whatever takes several questions keeps to those that held when it began.
    pub(crate) rules: Rules,
}

/// What clones of a registry share.
pub(crate) struct Shared<P> {
    peer: LightPeer<P>,
    memory: Mutex<Memory>,
    known: Mutex<Known>,
    held: Mutex<Held>,
    ahead: Mutex<Ahead>,
}

/// What is remembered of relays.
#[derive(Default)]
pub(crate) struct Memory {
    witness: Witness,
    audits: Audits,
    /// Relays that did not deliver what the last audit asked for.
    withheld: BTreeSet<PeerId>,
}

impl<P: Platform> P2PRegistry<P> {
    /// The registry that this light peer reaches.
    pub fn new(peer: LightPeer<P>) -> Self {
        Self {
            rules: peer.rules(),
            shared: Arc::new(Shared {
                peer,
                memory: Mutex::default(),
                known: Mutex::default(),
                held: Mutex::default(),
                ahead: Mutex::default(),
            }),
        }
    }

    /// The same registry, to ask by the rules that hold now.
    pub(crate) fn now(&self) -> Self {
        self.by(self.peer().rules())
    }

    /// The same registry, to ask by some rules.
    pub(crate) fn by(&self, rules: Rules) -> Self {
        Self { shared: self.shared.clone(), rules }
    }

    /// Asks by these rules.
    pub(crate) async fn ask<Q: Question>(&self, relay: PeerId, question: Q) -> Result<Q::Answer, AskError> {
        self.peer().ask_by(relay, question, self.rules).await
    }

    /// Evidence against relays: see [`LightPeer::evidence`].
    pub fn evidence(&self) -> Vec<Evidence> {
        self.peer().evidence()
    }

    /// How many audits there were, and what came of them.
    pub fn audits(&self) -> Audits {
        self.memory().audits
    }

    pub(crate) fn count_audit(&self, count: impl FnOnce(&mut Audits)) {
        count(&mut self.memory().audits);
    }

    /// Whether a relay withheld what an audit asked for, and what the one before did.
    pub(crate) fn note_withheld(&self, relay: PeerId, is_withheld: bool) -> bool {
        let withheld = &mut self.memory().withheld;
        if !is_withheld {
            withheld.remove(&relay);
            return false;
        }
        // Relays come and go; of how many this is remembered is no matter.
        if withheld.len() >= MAX_WITHHELD {
            withheld.clear();
        }
        !withheld.insert(relay)
    }

    pub(crate) fn downgrade(&self) -> Weak<Shared<P>> {
        Arc::downgrade(&self.shared)
    }

    pub(crate) fn upgrade(shared: &Weak<Shared<P>>) -> Option<Self> {
        shared.upgrade().map(|shared| Self { rules: shared.peer.rules(), shared })
    }

    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.shared.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was answered before.
    fn held(&self) -> MutexGuard<'_, Held> {
        self.shared.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps a page of results for when nobody can be asked.
    pub(crate) fn hold(&self, question: query::Search, results: &SearchResults) {
        self.held().keep_search(question, results);
    }

    /// What was asked for ahead.
    pub(crate) fn ahead(&self) -> MutexGuard<'_, Ahead> {
        self.shared.ahead.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The light peer.
    pub fn peer(&self) -> &LightPeer<P> {
        &self.shared.peer
    }

    /// Asks one relay after the other until one gives an answer that `judge` accepts; the last one's error otherwise. None is waited for long
    /// while there are others to ask.
    async fn ask_any<Q, T, E>(
        &self,
        question: &Q,
        mut judge: impl FnMut(PeerId, Q::Answer) -> Result<T, E>,
    ) -> Result<T, E>
    where
        Q: Question,
        E: From<PeerError>,
    {
        let mut failure = E::from(PeerError::Unreachable);
        let outcomes = self.peer().ask_in_turn(question.clone().into_request(), self.rules);
        pin_mut!(outcomes);
        while let Some((relay, reply)) = outcomes.next().await {
            match reply.and_then(|reply| self.peer().read_answer::<Q>(relay, &reply)) {
                Ok(answer) => match judge(relay, answer) {
                    Ok(found) => return Ok(found),
                    Err(error) => failure = error,
                },
                Err(error) => failure = peer_error(error).into(),
            }
        }
        Err(failure)
    }

    /// Asks for a page of results.
    pub(crate) async fn find(&self, question: &query::Search) -> Result<SearchResults, PeerError> {
        let registry = self.now();
        registry
            .ask_any(question, |relay, answer| {
                let verified = registry.verified(relay, |asked| {
                    let verified = registry.verify_search(question, answer, asked)?;
                    verified.proven.iter().try_for_each(|proven| match self.witness(&proven.checkpoint) {
                        // A page that is read on stands on the checkpoint of the page before it, which may be an old one.
                        Err(AnswerError::Rollback) if question.cursor.is_some() => Ok(()),
                        seen => seen,
                    })?;
                    Ok(verified)
                })?;
                self.note_refused(relay, verified.hits.iter().any(Result::is_err));
                Ok::<_, PeerError>(SearchResults::of(verified, source(relay)))
            })
            .await
    }

    /// Asks for a page of results; that of before, where nobody can be asked.
    pub(crate) async fn search_held(&self, question: query::Search) -> Result<SearchResults, SearchError> {
        match self.find(&question).await {
            Ok(results) => {
                self.hold(question, &results);
                Ok(results)
            }
            Err(error) if error.is_offline() => Ok(self.held().search(&question).ok_or(error)?),
            Err(error) => Err(error.into()),
        }
    }

    /// The packages that depend on one, those first that most publishers depend on, unless `options` say otherwise: proven and counted like
    /// any search. They say which page, too, and their filters hold besides.
    ///
    /// # Errors
    /// [`SearchError`].
    pub async fn dependents(
        &self,
        package: &PackageId,
        mut options: SearchOptions,
    ) -> Result<SearchResults, SearchError> {
        options.filters.depends_on = Some(package.clone());
        self.search("", options).await
    }

    /// Verifies an answer, and notes that its relay broke the protocol, if it did.
    pub(crate) fn verified<T>(
        &self,
        relay: PeerId,
        verify: impl FnOnce(&Asked<'_>) -> Result<T, AnswerError>,
    ) -> Result<T, PeerError> {
        let key =
            address::key_of(&relay).ok_or_else(|| refused("relay/unknown-key", "its identity is no Ed25519 key"))?;
        let (network, epoch) = (self.peer().network(), self.peer().epoch());
        let asked = Asked { network, relay: &key, epoch, rules: self.rules };
        verify(&asked).map_err(|error| {
            self.peer().note_fault(relay);
            PeerError::BadAnswer(error)
        })
    }

    /// Verifies a search answer, but for what was verified before.
    pub(crate) fn verify_search(
        &self,
        question: &query::Search,
        answer: SearchAnswer,
        asked: &Asked<'_>,
    ) -> Result<VerifiedSearch, AnswerError> {
        let mut known = self.shared.known.lock().unwrap_or_else(PoisonError::into_inner);
        verify_search_knowing(question, answer, asked, &mut known)
    }

    /// Remembers what a relay committed to, and refuses what contradicts it, which is evidence.
    pub(crate) fn witness(&self, checkpoint: &Signed<Checkpoint>) -> Result<(), AnswerError> {
        let seen = self.memory().witness.see(checkpoint);
        match seen {
            Seen::Fine => Ok(()),
            Seen::Contradiction(evidence) => {
                self.peer().accuse(evidence);
                Err(AnswerError::TwoRoots)
            }
            Seen::Rollback => Err(AnswerError::Rollback),
        }
    }

    fn note_refused(&self, relay: PeerId, any: bool) {
        if any {
            self.peer().note_fault(relay);
        }
    }
}

impl<P: Platform> Registry for P2PRegistry<P> {
    async fn search(&self, text: &str, options: SearchOptions) -> Result<SearchResults, SearchError> {
        let question = options.question(text);
        // What is no query is nobody's fault but the asker's, and no relay is asked.
        question.read()?;
        if question.cursor.is_none() {
            // Who asks anew wants what is newer than that.
            self.ahead().forget();
        }
        self.search_held(question).await
    }

    async fn look_up(&self, name: &FullName, version: Option<&Version>) -> Result<Found, PeerError> {
        let question = query::Package { name: name.clone(), version: version.cloned() };
        // What shows nothing: a relay that knows more than the next one must not be forgotten, nor what was refused.
        let mut others: Vec<Found> = Vec::new();
        let registry = self.now();
        let shown = registry
            .ask_any(&question, |relay, answer| {
                let package = registry.verified(relay, |asked| {
                    let package = verify_package(&question, answer, asked)?;
                    package.iter().try_for_each(|package| self.witness(&package.proven.checkpoint))?;
                    Ok(package)
                })?;
                self.note_refused(relay, package.as_ref().is_some_and(|package| !package.refused.is_empty()));
                let found = Found::by(package, source(relay));
                if found.package.as_ref().is_some_and(|package| package.shown(version).is_some()) {
                    return Ok(found);
                }
                others.push(found);
                // The next one is asked.
                Err(PeerError::Unreachable)
            })
            .await;
        let found = shown.or_else(|error| match (0..others.len()).max_by_key(|at| others[*at].says()) {
            Some(most) => Ok(others.swap_remove(most)),
            None => Err(error),
        });
        match found {
            Ok(mut found) => {
                self.held().keep_package(&question, &found);
                found.refused.extend(others.into_iter().flat_map(Found::into_refused));
                Ok(found)
            }
            Err(error) if error.is_offline() => self.held().package(&question).ok_or(error),
            Err(error) => Err(error),
        }
    }

    async fn hand_over(&self, publication: &Publication) -> Result<Published, PublishError> {
        let relays = self.peer().connected();
        if relays.is_empty() {
            return Err(PeerError::Unreachable.into());
        }
        let mut published = Published { durable_at: Vec::new(), failed_at: Vec::new() };
        for relay in relays {
            match self.peer().hand_over(relay, publication).await {
                Ok(_) => published.durable_at.push(source(relay)),
                Err(error) => published.failed_at.push((source(relay), peer_error(error))),
            }
        }
        if published.durable_at.is_empty() { Err(PublishError::Refused(published.failed_at)) } else { Ok(published) }
    }
}

pub(crate) fn source(relay: PeerId) -> Source {
    Source(relay.to_string())
}

pub(crate) fn refused(code: &'static str, message: &str) -> PeerError {
    PeerError::Refused(query::Refusal::new(code, message))
}

pub(crate) fn peer_error(error: AskError) -> PeerError {
    match error {
        AskError::Unreachable | AskError::Open(_) => PeerError::Unreachable,
        AskError::Timeout(_) => PeerError::Timeout,
        AskError::Closed => PeerError::Closed,
        AskError::Exchange(exchange::Error::Refused(refusal)) => PeerError::Refused(refusal),
        AskError::Exchange(exchange::Error::Io(_)) => PeerError::Unreachable,
        AskError::Exchange(error) => refused("relay/broke-protocol", &error.to_string()),
    }
}
