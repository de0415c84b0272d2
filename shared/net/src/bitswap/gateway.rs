//! Blocks by HTTP: relays that have a trustless gateway are asked through it, in the same download and by the same rules as those that are
//! asked by Bitswap.
//!
//! A run of leaves that follow each other is one request: the archive of that part of the file, with the nodes that lead to it. Whoever is asked for
//! the root sends the beginning of the file with it, for each request costs a round trip. What can't be had by HTTP is asked of the same relay by Bitswap.

use std::ops::Range;

use futures::channel::{mpsc, oneshot};
use futures::future::select;
use futures::{SinkExt, StreamExt, pin_mut};
use ggen_shared::content::Hashed;
use ggen_shared::content::bitswap::{Ask, Want};
use ggen_shared::content::session::Reason;
use ggen_shared::limits::{CHUNK_BYTES, MAX_BLOCK_BYTES, MAX_BLOCKS_IN_FLIGHT_GATEWAY, MAX_DAG_DEPTH};
use ggen_shared::record::{Content, ContentId};
use ggen_shared::registry::MaybeSend;
use libp2p::PeerId;

use super::exchange::{Arrival, What};
use crate::light::Platform;

/// What an archive has besides the blocks that are asked for: the nodes above them, and some bytes for the name of each.
const MAX_OVERHEAD_BYTES: u64 = ((MAX_DAG_DEPTH + 2) * MAX_BLOCK_BYTES) as u64;

/// Bytes of the content that are asked for together with its root: what a gateway is asked for ahead at first, and what it is asked for more once the
/// nodes are there.
const BEGINNING_BYTES: u64 = ((MAX_BLOCKS_IN_FLIGHT_GATEWAY / 2 + MAX_DAG_DEPTH + 1) * CHUNK_BYTES) as u64;

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
    /// Takes which blocks of the content's beginning are wanted, once it is known: they are on their way since the root was asked for.
    beginning: Option<mpsc::Sender<Vec<ContentId>>>,
}

impl Gate {
    fn expect(&mut self, blocks: &[ContentId]) {
        self.unanswered.retain(|cid| !blocks.contains(cid));
        self.unanswered.extend(blocks);
    }
}

impl<'a, P: Platform, G: Gateways> Gates<'a, P, G> {
    pub(super) fn new(platform: &'a P, gateways: &'a G, arrivals: mpsc::Sender<Arrival>) -> Self {
        let gate = |peer| Gate { peer, unanswered: Vec::new(), requests: Vec::new(), beginning: None };
        Self { platform, gateways, arrivals, open: gateways.peers().into_iter().map(gate).collect() }
    }

    /// Whether a peer is asked through its gateway.
    pub(super) fn has(&self, peer: &PeerId) -> bool {
        self.open.iter().any(|gate| gate.peer == *peer)
    }

    fn gate(&mut self, peer: &PeerId) -> Option<&mut Gate> {
        self.open.iter_mut().find(|gate| gate.peer == *peer)
    }

    /// Asks a peer's gateway for blocks that are wanted of `content`; `start_of` says where in it what a block holds begins, and `range_of` which bytes
    /// a leaf holds.
    pub(super) fn send(
        &mut self,
        peer: PeerId,
        wants: &[Want],
        content: Content,
        start_of: impl Fn(&ContentId) -> Option<u64>,
        range_of: impl Fn(&ContentId) -> Option<Range<u64>>,
    ) {
        let (mut begun, mut asked) = (Vec::new(), Vec::new());
        let has_begun = self.gate(&peer).is_some_and(|gate| gate.beginning.is_some());
        for want in wants {
            let Ok(cid) = ContentId::try_from(want.cid) else { continue };
            match want.ask {
                Ask::Block if has_begun && start_of(&cid).is_some_and(|start| start < BEGINNING_BYTES) => {
                    begun.push(cid)
                }
                Ask::Block => asked.push((cid, range_of(&cid))),
                Ask::Cancel => self.answered(&peer, &cid),
                // It is told so when it is asked for the block.
                Ask::Have => {}
            }
        }
        if !begun.is_empty()
            && let Some(gate) = self.gate(&peer)
        {
            gate.expect(&begun);
            let told = gate.beginning.as_mut().map(|beginning| beginning.try_send(begun));
            // It has ended, or has not taken what it was told. What it does not bring is asked for by itself.
            if let Some(Err(unsent)) = told {
                gate.beginning = None;
                unsent.into_inner().into_iter().for_each(|cid| self.ask_for_one(peer, cid));
            }
        }
        for run in asked.chunk_by(|(_, before), (_, after)| follows(before.as_ref(), after.as_ref())) {
            let blocks: Vec<ContentId> = run.iter().map(|(cid, _)| *cid).collect();
            match run {
                [(_, Some(first)), .., (_, Some(last))] => {
                    self.ask(peer, &part(content.cid, first.start..last.end), blocks, None)
                }
                [(cid, None)] if *cid == content.cid => {
                    let (beginning, wanted) = mpsc::channel(MAX_BLOCKS_IN_FLIGHT_GATEWAY);
                    self.ask(peer, &part(content.cid, 0..content.size.min(BEGINNING_BYTES)), blocks, Some(wanted));
                    if let Some(gate) = self.gate(&peer) {
                        gate.beginning = Some(beginning);
                    }
                }
                run => run.iter().for_each(|(cid, _)| self.ask_for_one(peer, *cid)),
            }
        }
    }

    /// Asks for one block by its name.
    pub(super) fn ask_for_one(&mut self, peer: PeerId, cid: ContentId) {
        self.ask(peer, &format!("{cid}?format=car&dag-scope=block"), vec![cid], None);
    }

    /// Makes a request, from which these blocks are taken, and those that are named while it is under way.
    fn ask(&mut self, peer: PeerId, path: &str, blocks: Vec<ContentId>, more: Option<mpsc::Receiver<Vec<ContentId>>>) {
        let bytes = if more.is_some() { BEGINNING_BYTES } else { (blocks.len() * MAX_BLOCK_BYTES) as u64 };
        let archive = self.gateways.ask(&peer, path, bytes + MAX_OVERHEAD_BYTES);
        let (request, ended) = oneshot::channel();
        let Some(gate) = self.gate(&peer) else { return };
        gate.expect(&blocks);
        gate.requests.retain(|request| !request.is_canceled());
        gate.requests.push(request);
        let arrivals = self.arrivals.clone();
        self.platform.spawn(async move {
            let receiving = receive(archive, peer, blocks, more, arrivals);
            pin_mut!(receiving);
            // Whichever ends first: the rest of the archive is not received.
            select(ended, receiving).await;
        });
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

/// A part of the file, with the nodes that lead to it.
fn part(root: ContentId, bytes: Range<u64>) -> String {
    format!("{root}?format=car&entity-bytes={}:{}", bytes.start, bytes.end.saturating_sub(1))
}

/// Hands over what comes of an archive, until there is all that was asked for; of one to which `more` belongs, until nothing more can be.
async fn receive(
    mut archive: impl Archive,
    from: PeerId,
    mut blocks: Vec<ContentId>,
    mut more: Option<mpsc::Receiver<Vec<ContentId>>>,
    mut arrivals: mpsc::Sender<Arrival>,
) {
    let first = blocks.first().copied();
    let last = loop {
        while blocks.is_empty() {
            let Some(more) = &mut more else { return };
            match more.next().await {
                Some(wanted) => blocks = wanted,
                None => return,
            }
        }
        let what = match archive.next().await {
            Ok(Some((cid, block))) => {
                // What was not wanted before may be by now.
                while let Some(wanted) = more.as_mut().and_then(|more| more.try_recv().ok()) {
                    blocks.extend(wanted);
                }
                let Some(position) = blocks.iter().position(|wanted| *wanted == cid) else { continue };
                blocks.remove(position);
                What::Block(block)
            }
            Ok(None) => match blocks.pop() {
                // Others were asked for it first, and meanwhile it went by.
                Some(cid) if more.is_some() && first != Some(cid) => What::Missed(cid),
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
