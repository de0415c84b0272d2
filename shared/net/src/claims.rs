//! Who may be meant by a bare name: the publishers who claim a handle, and those who have a package of a name.
//!
//! Claims are free, so a bare name means something only where one publisher alone has it at all anchors. Each anchor proves the range of those
//! that it knows of; what one of them hides another one shows.

use std::collections::BTreeMap;

use futures::future::join_all;
use ggen_shared::catalogue::keys::{self, ShortId};
use ggen_shared::id::{Handle, PackageName, PublisherId};
use ggen_shared::protocol::query::KeyLogOf;
use ggen_shared::registry::{PeerError, PublisherView};
use ggen_shared::search::verified::verify_key_log;
use libp2p::PeerId;

use crate::light::Platform;
use crate::registry::{P2PRegistry, peer_error};

/// Claimants of each relay that are looked at: two are too many to choose from, and these are shown.
const MAX_CLAIMANTS: u16 = 8;

/// Publishers who may be meant.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Claimants {
    /// Those that are known, in the order of their ids.
    pub publishers: Vec<PublisherView>,
    /// Whether a relay has more of them than were looked at.
    pub has_more: bool,
    /// Anchors that said so.
    pub asked: usize,
}

impl<P: Platform> P2PRegistry<P> {
    /// The publishers who claim a handle at any of the connected anchors.
    ///
    /// # Errors
    /// No anchor says.
    pub async fn claimants(&self, handle: &Handle) -> Result<Claimants, PeerError> {
        let registry = &self.now();
        self.of_anchors(async |relay| {
            let claims = registry.range(relay, &keys::handle(handle), MAX_CLAIMANTS).await?;
            let ids = claims.keys.iter().filter_map(|key| key.last_chunk().copied().map(PublisherId::from_bytes));
            let mut found = Vec::new();
            for publisher in ids {
                // A claim that nothing stands behind is none.
                if let Some(claimant) = registry.publisher(relay, publisher).await?
                    && claimant.handle == *handle
                {
                    found.push(claimant);
                }
            }
            Ok((found, claims.total > u64::from(MAX_CLAIMANTS)))
        })
        .await
    }

    /// The publishers who have a package of this name that can be chosen, at any of the connected anchors.
    ///
    /// # Errors
    /// No anchor says.
    pub async fn publishers_of(&self, name: &PackageName) -> Result<Claimants, PeerError> {
        let registry = &self.now();
        self.of_anchors(async |relay| {
            let packages = registry.range(relay, &keys::of_name(name), MAX_CLAIMANTS).await?;
            let ids: Vec<ShortId> = packages.keys.iter().filter_map(|key| keys::short_id(key)).collect();
            let (hits, _) = registry.named(relay, ids).await?;
            let mut found = Vec::new();
            for hit in hits.iter().filter(|hit| hit.release.name == *name) {
                found.extend(registry.publisher(relay, hit.release.publisher).await?);
            }
            Ok((found, packages.total > u64::from(MAX_CLAIMANTS)))
        })
        .await
    }

    /// A publisher, as a relay's key log proves it; None when the relay does not know it.
    async fn publisher(&self, relay: PeerId, publisher: PublisherId) -> Result<Option<PublisherView>, PeerError> {
        let question = KeyLogOf { publisher };
        let answer = self.ask(relay, question.clone()).await.map_err(peer_error)?;
        let key_log = self.verified(relay, |asked| verify_key_log(&question, &answer, asked.network))?;
        Ok(key_log.as_ref().map(PublisherView::from))
    }

    /// What all anchors say that do, together; the error of the first when none does.
    async fn of_anchors(
        &self,
        ask: impl AsyncFn(PeerId) -> Result<(Vec<PublisherView>, bool), PeerError>,
    ) -> Result<Claimants, PeerError> {
        let connections = self.peer().connections();
        let anchors = connections.iter().filter(|relay| relay.anchor && relay.is_connected());
        let mut failure = PeerError::Unreachable;
        let (mut publishers, mut has_more, mut asked) = (BTreeMap::new(), false, 0);
        for answer in join_all(anchors.map(|relay| ask(relay.peer))).await {
            match answer {
                Ok((found, more)) => {
                    asked += 1;
                    has_more |= more;
                    publishers.extend(found.into_iter().map(|publisher| (publisher.id, publisher)));
                }
                Err(error) => failure = error,
            }
        }
        let found = Claimants { publishers: publishers.into_values().collect(), has_more, asked };
        if asked > 0 { Ok(found) } else { Err(failure) }
    }
}
