//! A relay's own store as a registry: the same operations as over the network, with nothing in between. Its answers are made and verified as
//! those that others get, so that both can't drift apart.

use std::sync::Arc;

use ggen_shared::catalogue::snapshots::Snapshots;
use ggen_shared::catalogue::{Catalogue, Exclusions, answer};
use ggen_shared::client::Evidence;
use ggen_shared::id::FullName;
use ggen_shared::protocol::publish::Receipt;
use ggen_shared::protocol::query::{Package, PackageAnswer, PackedSearchAnswer, Refusal, SearchAnswer};
use ggen_shared::record::Version;
use ggen_shared::registry::{
    Found, PeerError, Publication, PublishError, Published, Registry, SearchError, SearchOptions, SearchResults, Source,
};
use ggen_shared::reputation::PeerReputation;
use ggen_shared::search::verified::{AnswerError, Asked, verify_package, verify_search};
use libp2p::PeerId;

use crate::admission::Shelf;
use crate::node::Work;

/// The registry that a relay is by itself.
#[derive(Clone)]
pub struct Local {
    relay: PeerId,
    work: Arc<Work>,
}

impl Local {
    pub(crate) const fn new(relay: PeerId, work: Arc<Work>) -> Self {
        Self { relay, work }
    }

    /// Evidence against other relays that this one was shown, the oldest first.
    pub fn evidence(&self) -> Vec<Evidence> {
        self.work.evidence().all()
    }

    /// How much evidence against other relays it keeps.
    pub(crate) fn evidence_count(&self) -> usize {
        self.work.evidence().count()
    }

    /// What this relay thinks of peers that it has asked for something, in no order.
    pub fn reputations(&self) -> Vec<(PeerId, PeerReputation)> {
        self.work.reputations().all()
    }

    /// What this relay's operator excludes.
    pub fn exclusions(&self) -> Exclusions {
        self.shelf().catalogue().exclusions().clone()
    }

    fn shelf(&self) -> &Shelf {
        self.work.shelf()
    }

    fn source(&self) -> Source {
        Source(self.relay.to_string())
    }

    /// Makes an answer and verifies it, by the rules that hold and the last checkpoint.
    fn ask<A, T>(
        &self,
        make: impl FnOnce(&Catalogue, &Snapshots) -> Result<A, Refusal>,
        verify: impl FnOnce(A, &Asked<'_>) -> Result<T, AnswerError>,
    ) -> Result<T, PeerError> {
        let refused = |code, message: &str| PeerError::Refused(Refusal::new(code, message));
        let relay = ggen_net::address::key_of(&self.relay);
        let relay = relay.ok_or_else(|| refused("relay/unknown-key", "its identity is no Ed25519 key"))?;
        let derivation = self.shelf().derivations().next();
        let derivation = derivation.ok_or_else(|| refused("relay/stopping", "the relay is being stopped"))?;
        let (answer, epoch) = {
            let (catalogue, snapshots) = (derivation.catalogue(), derivation.snapshots());
            let epoch = snapshots.latest().map_or(0, |snapshot| snapshot.checkpoint.epoch);
            (make(&catalogue, &snapshots).map_err(PeerError::Refused)?, epoch)
        };
        let asked = Asked { network: self.shelf().network(), relay: &relay, epoch, rules: derivation.rules() };
        Ok(verify(answer, &asked)?)
    }
}

impl Local {
    /// What there is of a package, and the very answer that shows it to others: records as signed, and the proof.
    ///
    /// # Errors
    /// [`PeerError`].
    pub fn answered(&self, name: &FullName, version: Option<&Version>) -> Result<(Found, PackageAnswer), PeerError> {
        let question = Package { name: name.clone(), version: version.cloned() };
        let (package, answer) = self.ask(
            |catalogue, snapshots| answer::package(catalogue, snapshots, &question),
            |answer, asked| Ok((verify_package(&question, answer.clone(), asked)?, answer)),
        )?;
        Ok((Found::by(package, self.source()), answer))
    }

    /// What a search finds, and the very answer that shows it to others.
    ///
    /// # Errors
    /// [`SearchError`].
    pub fn searched(
        &self,
        text: &str,
        options: SearchOptions,
    ) -> Result<(SearchResults, PackedSearchAnswer), SearchError> {
        let question = options.question(text);
        question.read()?;
        let (verified, answer) = self.ask(
            |catalogue, snapshots| answer::search(catalogue, snapshots, &question),
            |answer, asked| {
                let unpacked = SearchAnswer::try_from(answer.clone()).map_err(|_| AnswerError::NotAnAnswer)?;
                Ok((verify_search(&question, unpacked, asked)?, answer))
            },
        )?;
        Ok((SearchResults::of(verified, self.source()), answer))
    }
}

impl Registry for Local {
    async fn search(&self, text: &str, options: SearchOptions) -> Result<SearchResults, SearchError> {
        Ok(self.searched(text, options)?.0)
    }

    async fn look_up(&self, name: &FullName, version: Option<&Version>) -> Result<Found, PeerError> {
        Ok(self.answered(name, version)?.0)
    }

    async fn hand_over(&self, publication: &Publication) -> Result<Published, PublishError> {
        let refused = |refusal| PublishError::Refused(vec![(self.source(), PeerError::Refused(refusal))]);
        let mut receipt = Receipt { kept: Vec::new(), new: Vec::new() };
        for offer in publication.offers(true) {
            // The last offer names them.
            let blocks = match offer.blocks.is_empty() {
                true => Vec::new(),
                false => publication.blocks().clone().into_iter().collect(),
            };
            receipt = self.work.admit(&offer, blocks).await.map_err(|error| refused(error.refusal()))?;
        }
        if !publication.is_kept(&receipt) {
            return Err(refused(Refusal::new("publish/not-kept", "not every record was kept")));
        }
        Ok(Published { durable_at: vec![self.source()], failed_at: Vec::new() })
    }
}
