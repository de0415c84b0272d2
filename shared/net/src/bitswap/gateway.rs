//! Blocks by HTTP: relays that have a trustless gateway are asked through it, in the same download and by the same rules as those that are
//! asked by Bitswap.
//!
//! A run of leaves that follow each other is one request: the archive of that part of the file, with the nodes that lead to it. What can't be
//! had by HTTP is asked of the same relay by Bitswap.

use std::ops::Range;

use futures::channel::{mpsc, oneshot};
use futures::future::select;
use futures::{SinkExt, pin_mut};
use ggen_shared::content::Hashed;
use ggen_shared::content::bitswap::{Ask, Want};
use ggen_shared::content::session::Reason;
use ggen_shared::limits::{MAX_BLOCK_BYTES, MAX_DAG_DEPTH};
use ggen_shared::record::ContentId;
use ggen_shared::registry::MaybeSend;
use libp2p::PeerId;

use super::exchange::{Arrival, What};
use crate::light::Platform;

/// What an archive has besides the blocks that are asked for: the nodes above them, and some bytes for the name of each.
const MAX_OVERHEAD_BYTES: u64 = ((MAX_DAG_DEPTH + 2) * MAX_BLOCK_BYTES) as u64;

/// Why a gateway sent no further block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ArchiveError {
    /// It can't be asked, or broke off.
    #[error("the gateway can't be asked")]
    Unreachable,
    /// What it sent is no archive, or longer than what was asked for can be.
    #[error("{0}")]
    Broken(String),
}

/// An archive that is being received. Dropping it ends the request.
pub trait Archive {
    /// The next block, and which one the gateway says that it is; none at the end, or if it has no such content. No block is larger than any may be.
    fn next(&mut self) -> impl Future<Output = Result<Option<(ContentId, Hashed)>, ArchiveError>> + MaybeSend;
}

/// The gateways of relays.
pub trait Gateways {
    /// An archive that is being received.
    type Archive: Archive + MaybeSend + 'static;

    /// The relays that have one.
    fn peers(&self) -> Vec<PeerId>;

    /// Asks a relay's gateway for `/ipfs/` with this behind it. More than `limit` bytes are not to be received.
    fn ask(&self, peer: &PeerId, path: &str, limit: u64) -> Self::Archive;
}

/// Nobody has one.
#[derive(Debug, Clone, Copy)]
pub struct NoGateways;

impl Gateways for NoGateways {
    type Archive = Self;

    fn peers(&self) -> Vec<PeerId> {
        Vec::new()
    }

    fn ask(&self, _: &PeerId, _: &str, _: u64) -> Self {
        Self
    }
}

impl Archive for NoGateways {
    async fn next(&mut self) -> Result<Option<(ContentId, Hashed)>, ArchiveError> {
        Ok(None)
    }
}

/// What one download asks of gateways.
pub(super) struct Gates<'a, P, G> {
    platform: &'a P,
    gateways: &'a G,
    arrivals: mpsc::Sender<Arrival>,
    open: Vec<Gate>,
}

/// What one gateway is asked for.
struct Gate {
    peer: PeerId,
    /// What it did not answer yet: at most what one provider may be asked for ahead.
    unanswered: Vec<ContentId>,
    /// Requests under way, some of which may have ended. When one of these is dropped, so is its request.
    requests: Vec<oneshot::Sender<()>>,
}

impl<'a, P: Platform, G: Gateways> Gates<'a, P, G> {
    pub(super) fn new(platform: &'a P, gateways: &'a G, arrivals: mpsc::Sender<Arrival>) -> Self {
        let gate = |peer| Gate { peer, unanswered: Vec::new(), requests: Vec::new() };
        Self { platform, gateways, arrivals, open: gateways.peers().into_iter().map(gate).collect() }
    }

    /// Whether a peer is asked through its gateway.
    pub(super) fn has(&self, peer: &PeerId) -> bool {
        self.open.iter().any(|gate| gate.peer == *peer)
    }

    fn gate(&mut self, peer: &PeerId) -> Option<&mut Gate> {
        self.open.iter_mut().find(|gate| gate.peer == *peer)
    }

    /// Asks a peer's gateway for the blocks that are wanted of `root`; `range_of` says which bytes of the content a leaf holds.
    pub(super) fn send(
        &mut self,
        peer: PeerId,
        wants: &[Want],
        root: ContentId,
        range_of: impl Fn(&ContentId) -> Option<Range<u64>>,
    ) {
        let named = |want: &Want| ContentId::try_from(want.cid).ok().map(|cid| (cid, want.ask));
        let mut asked = Vec::new();
        for (cid, ask) in wants.iter().filter_map(named) {
            match ask {
                Ask::Block => asked.push((cid, range_of(&cid))),
                Ask::Cancel => self.answered(&peer, &cid),
                // It is told so when it is asked for the block.
                Ask::Have => {}
            }
        }
        for run in asked.chunk_by(|(_, before), (_, after)| follows(before.as_ref(), after.as_ref())) {
            let blocks: Vec<ContentId> = run.iter().map(|(cid, _)| *cid).collect();
            let limit = (blocks.len() * MAX_BLOCK_BYTES) as u64 + MAX_OVERHEAD_BYTES;
            let archive = self.gateways.ask(&peer, &path(root, run), limit);
            let (request, ended) = oneshot::channel();
            let Some(gate) = self.gate(&peer) else { return };
            gate.unanswered.extend(&blocks);
            gate.requests.retain(|request| !request.is_canceled());
            gate.requests.push(request);
            let arrivals = self.arrivals.clone();
            self.platform.spawn(async move {
                let receiving = receive(archive, peer, blocks, arrivals);
                pin_mut!(receiving);
                // Whichever ends first: the rest of the archive is not received.
                select(ended, receiving).await;
            });
        }
    }

    /// Notes that a block came, or is not there.
    pub(super) fn answered(&mut self, peer: &PeerId, cid: &ContentId) {
        if let Some(gate) = self.gate(peer) {
            gate.unanswered.retain(|unanswered| unanswered != cid);
        }
    }

    /// Asks a peer's gateway for nothing more: what it did not answer.
    pub(super) fn close(&mut self, peer: &PeerId) -> Vec<ContentId> {
        let position = self.open.iter().position(|gate| gate.peer == *peer);
        position.map(|position| self.open.swap_remove(position).unanswered).unwrap_or_default()
    }
}

/// Whether a leaf's bytes are those behind another's.
fn follows(before: Option<&Range<u64>>, after: Option<&Range<u64>>) -> bool {
    before.zip(after).is_some_and(|(before, after)| before.end == after.start)
}

/// What is asked for: a part of the file, or one node by itself.
fn path(root: ContentId, run: &[(ContentId, Option<Range<u64>>)]) -> String {
    match run {
        [(_, Some(first)), .., (_, Some(last))] => {
            format!("{root}?format=car&entity-bytes={}:{}", first.start, last.end.saturating_sub(1))
        }
        [(cid, _), ..] => format!("{cid}?format=car&dag-scope=block"),
        [] => String::new(),
    }
}

/// Hands over what comes of an archive, until there is all that was asked for.
async fn receive(
    mut archive: impl Archive,
    from: PeerId,
    mut blocks: Vec<ContentId>,
    mut arrivals: mpsc::Sender<Arrival>,
) {
    let last = loop {
        if blocks.is_empty() {
            return;
        }
        let what = match archive.next().await {
            Ok(Some((cid, block))) => {
                let Some(position) = blocks.iter().position(|wanted| *wanted == cid) else { continue };
                blocks.remove(position);
                What::Block(block)
            }
            Ok(None) => match blocks.pop() {
                Some(cid) => What::Presence(cid, false),
                None => return,
            },
            Err(ArchiveError::Broken(reason)) => break What::Failed(Reason::NoArchive(reason)),
            Err(ArchiveError::Unreachable) => break What::Closed,
        };
        if arrivals.send(Arrival { from, what }).await.is_err() {
            // The download has ended.
            return;
        }
    };
    _ = arrivals.send(Arrival { from, what: last }).await;
}

#[cfg(test)]
mod tests;
