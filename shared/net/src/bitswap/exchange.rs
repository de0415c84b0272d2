//! What was asked of whom, and who gets what comes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::channel::mpsc;
use futures::lock::Mutex as Turn;
use futures::{AsyncRead, SinkExt};
use ggen_shared::content::bitswap::{Ask, Presence, Want};
use ggen_shared::content::session::{Reason, SILENT};
use ggen_shared::content::{Hashed, Unhashed};
use ggen_shared::limits::{MAX_ARTIFACT_BYTES, MAX_BITSWAP_MESSAGE_BYTES, MAX_BLOCK_BYTES, MAX_WANTS_MESSAGE_BYTES};
use ggen_shared::record::ContentId;
use libp2p::{PeerId, Stream};

use super::outbox::within;
use super::wire::{self, Error};
use crate::light::Platform;

/// Streams of one peer that are open at once: one does, and other software opens one for each message. They are read in turn.
const MAX_STREAMS_PER_PEER: usize = 16;
/// Blocks that one peer was asked for and has not answered, those of downloads that ended included: some of the largest artifacts.
const MAX_UNANSWERED: usize = 8 * (MAX_ARTIFACT_BYTES as usize / MAX_BLOCK_BYTES);

/// What comes for a download.
pub(super) struct Arrival {
    pub(super) from: PeerId,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    Block(Hashed),
    Presence(ContentId, bool),
    Failed(Reason),
    /// Its gateway has sent the part of the content in which this was hoped to be, and it was not: to be asked for by itself.
    Missed(ContentId),
    /// Its gateway can't be asked any more.
    Closed,
}

/// The part of Bitswap that asks. Clones share it.
pub struct Exchange<P>(Arc<Inner<P>>);

impl<P> Clone for Exchange<P> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

struct Inner<P> {
    platform: P,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    next: u64,
    downloads: Vec<(u64, mpsc::Sender<Arrival>)>,
    peers: HashMap<PeerId, Asked>,
}

/// What one peer was asked.
#[derive(Default)]
struct Asked {
    /// By which downloads, of those that run.
    by: Vec<u64>,
    /// Blocks that it did not answer yet.
    blocks: HashMap<ContentId, Unanswered>,
    /// Streams of it that are being read.
    reading: usize,
    /// Whoever reads a message of it holds the first, and whoever hands one over the second: while one is hashed, the next one comes. So two at
    /// a time are in memory, however many streams it opens.
    turns: [Arc<Turn<()>>; 2],
}

/// A block that a peer may still send, as often as it was asked for it.
#[derive(Default)]
struct Unanswered {
    times: usize,
    downloads: Vec<u64>,
}

impl<P: Platform> Exchange<P> {
    /// An exchange that was asked for nothing yet.
    pub fn new(platform: P) -> Self {
        Self(Arc::new(Inner { platform, state: Mutex::default() }))
    }

    pub(super) fn platform(&self) -> &P {
        &self.0.platform
    }

    /// The longest message that a peer may send: one that is asked for nothing has only wants to send.
    pub fn limit(&self, peer: &PeerId) -> usize {
        if self.is_asked(peer) { MAX_BITSWAP_MESSAGE_BYTES } else { MAX_WANTS_MESSAGE_BYTES }
    }

    fn is_asked(&self, peer: &PeerId) -> bool {
        self.state().peers.get(peer).is_some_and(|asked| !asked.by.is_empty())
    }

    /// Reads a stream that a peer opened, until it ends. Wants are not answered here: a light peer serves nobody.
    /// Nor is a peer read that is asked for nothing, or was found to break the rules.
    pub fn accept(&self, peer: PeerId, stream: Stream) {
        if self.state().takes_stream(&peer) {
            let exchange = self.clone();
            self.platform().spawn(async move { exchange.read(peer, stream).await });
        }
    }

    async fn read<S: AsyncRead + Unpin>(&self, peer: PeerId, mut stream: S) {
        while self.is_asked(&peer) {
            match self.read_next(peer, &mut stream).await {
                Ok(true) => {}
                Ok(false) | Err(Error::Io(_)) => break,
                Err(Error::Protocol(error)) => {
                    self.failed(peer, error.into()).await;
                    break;
                }
            }
        }
        if let Some(asked) = self.state().peers.get_mut(&peer) {
            asked.reading = asked.reading.saturating_sub(1);
        }
    }

    /// Reads a message. Whether there may be another. Who takes longer than this is dropped as silent by every download.
    async fn read_next<S: AsyncRead + Unpin>(&self, peer: PeerId, stream: &mut S) -> Result<bool, Error> {
        let length = within(self.platform(), SILENT, wire::read_length(stream, self.limit(&peer))).await;
        let Some(length) = length.unwrap_or(Ok(None))? else { return Ok(false) };
        let turns = self.state().peers.get(&peer).map(|asked| asked.turns.clone());
        let Some([reading, handing]) = turns else { return Ok(false) };
        let _reading = reading.lock().await;
        if length > self.limit(&peer) {
            // It is asked for nothing any more.
            return Ok(false);
        }
        let message = within(self.platform(), SILENT, wire::read_body(stream, length)).await;
        let Some(message) = message else { return Ok(false) };
        let message = message?;
        let (exchange, handing) = (self.clone(), handing.lock_owned().await);
        self.platform().spawn(async move {
            // Whoever breaks the rules is asked for nothing any more, and so not read.
            _ = exchange.received(peer, message.blocks, message.presences).await;
            drop(handing);
        });
        Ok(true)
    }

    /// Hands over what a peer sent. Waits while a download that wants it has not taken what came before. Whether the peer keeps the rules:
    /// what else comes on the stream of one that does not is not to be read.
    #[must_use]
    pub async fn received(&self, peer: PeerId, blocks: Vec<Unhashed>, presences: Vec<Presence>) -> bool {
        for block in blocks {
            let block = self.platform().hash(block).await;
            let cid = block.cid();
            let asked = self.state().answered(&peer, &cid);
            match asked {
                Some(downloads) => self.tell(peer, downloads, || What::Block(block.clone())).await,
                None => {
                    self.failed(peer, Reason::WrongBlock(cid)).await;
                    return false;
                }
            }
        }
        for presence in presences {
            let Ok(cid) = ContentId::try_from(presence.cid) else { continue };
            let downloads = self.state().asked(&peer, &cid, presence.has);
            self.tell(peer, downloads, || What::Presence(cid, presence.has)).await;
        }
        true
    }

    /// Tells downloads that a peer can't be used any more. It is asked for nothing from then on, unless a further download asks it.
    pub async fn failed(&self, peer: PeerId, reason: Reason) {
        let downloads =
            self.state().peers.get_mut(&peer).map(|asked| std::mem::take(&mut asked.by)).unwrap_or_default();
        tracing::debug!(%peer, %reason, downloads = downloads.len(), "a provider failed");
        self.tell(peer, downloads, || What::Failed(reason.clone())).await;
    }

    /// Notes that a peer is not connected any more.
    pub fn disconnected(&self, peer: PeerId) {
        let downloads = self.state().forget(&peer);
        if !downloads.is_empty() {
            let exchange = self.clone();
            let reason = Reason::Unreachable("the connection ended".into());
            self.platform().spawn(async move {
                exchange.tell(peer, downloads, || What::Failed(reason.clone())).await;
            });
        }
    }

    /// Tells downloads that a peer that they asked is not connected. Nothing that it was asked for can come.
    pub(super) async fn gone(&self, peer: PeerId, why: String) {
        let downloads = self.state().forget(&peer);
        self.tell(peer, downloads, || What::Failed(Reason::Unreachable(why.clone()))).await;
    }

    async fn tell(&self, from: PeerId, downloads: Vec<u64>, what: impl Fn() -> What) {
        for download in downloads {
            let sender = self.state().sender(download);
            if let Some(mut sender) = sender {
                // It has ended when this fails.
                _ = sender.send(Arrival { from, what: what() }).await;
            }
        }
    }

    /// Begins a download: its number.
    pub(super) fn begin(&self, arrivals: mpsc::Sender<Arrival>) -> u64 {
        let mut state = self.state();
        let number = state.next;
        state.next += 1;
        state.downloads.push((number, arrivals));
        number
    }

    /// Ends a download: what is to be cancelled. What it asked for may still come.
    pub(super) fn end(&self, download: u64) -> Vec<(PeerId, Vec<Want>)> {
        let mut state = self.state();
        state.downloads.retain(|(number, _)| *number != download);
        let forget = |(peer, asked): (&PeerId, &mut Asked)| {
            asked.by.retain(|by| *by != download);
            (*peer, asked.forget(download))
        };
        let cancelled: Vec<_> = state.peers.iter_mut().map(forget).filter(|(_, wants)| !wants.is_empty()).collect();
        state.peers.retain(|_, asked| asked.matters());
        cancelled
    }

    /// Notes what a download is about to ask of a peer, and leaves out cancelling what another one waits for.
    pub(super) fn note(&self, download: u64, peer: PeerId, mut wants: Vec<Want>) -> Vec<Want> {
        let mut state = self.state();
        if wants.iter().all(|want| want.ask == Ask::Cancel) && !state.peers.contains_key(&peer) {
            return Vec::new();
        }
        let asked = state.peers.entry(peer).or_default();
        // Who is only told what is not wanted any more may have been dropped.
        if !asked.by.contains(&download) && wants.iter().any(|want| want.ask != Ask::Cancel) {
            asked.by.push(download);
        }
        wants.retain(|want| match ContentId::try_from(want.cid) {
            Ok(cid) if want.ask == Ask::Cancel => asked.cancel(download, &cid),
            Ok(cid) => {
                asked.ask(download, cid);
                true
            }
            Err(_) => false,
        });
        wants
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Asked {
    fn takes_streams(&self) -> bool {
        !self.by.is_empty() && self.reading < MAX_STREAMS_PER_PEER
    }

    /// Whether anything may still come of it.
    fn matters(&self) -> bool {
        !self.by.is_empty() || !self.blocks.is_empty() || self.reading > 0
    }

    fn ask(&mut self, download: u64, cid: ContentId) {
        if self.blocks.len() >= MAX_UNANSWERED {
            self.blocks.retain(|_, block| !block.downloads.is_empty());
        }
        let block = self.blocks.entry(cid).or_default();
        block.times += 1;
        if !block.downloads.contains(&download) {
            block.downloads.push(download);
        }
    }

    /// Whether nobody waits for the block any more. It may come all the same.
    fn cancel(&mut self, download: u64, cid: &ContentId) -> bool {
        let Some(block) = self.blocks.get_mut(cid) else { return true };
        block.downloads.retain(|of| *of != download);
        block.downloads.is_empty()
    }

    /// Cancels all that a download waits for.
    fn forget(&mut self, download: u64) -> Vec<Want> {
        let waiting = self.blocks.iter_mut().filter(|(_, block)| block.downloads.contains(&download));
        let left = waiting.filter_map(|(cid, block)| {
            block.downloads.retain(|of| *of != download);
            block.downloads.is_empty().then(|| Want::new(*cid, Ask::Cancel))
        });
        left.collect()
    }
}

impl State {
    fn sender(&self, download: u64) -> Option<mpsc::Sender<Arrival>> {
        self.downloads.iter().find(|(number, _)| *number == download).map(|(_, sender)| sender.clone())
    }

    /// Whether a stream that a peer opened is to be read: it is counted then.
    fn takes_stream(&mut self, peer: &PeerId) -> bool {
        let asked = self.peers.get_mut(peer).filter(|asked| asked.takes_streams());
        asked.map(|asked| asked.reading += 1).is_some()
    }

    /// Forgets a peer: the downloads that run and have asked it for something.
    fn forget(&mut self, peer: &PeerId) -> Vec<u64> {
        self.peers.remove(peer).map(|asked| asked.by).unwrap_or_default()
    }

    /// The downloads for which a peer sends a block; None if it was not asked for.
    fn answered(&mut self, peer: &PeerId, cid: &ContentId) -> Option<Vec<u64>> {
        let asked = self.peers.get_mut(peer)?;
        let block = asked.blocks.get_mut(cid)?;
        block.times -= 1;
        if block.times == 0 {
            asked.blocks.remove(cid).map(|block| block.downloads)
        } else {
            Some(block.downloads.clone())
        }
    }

    /// The downloads that wait for what a peer says of a block. Who says that it lacks one sends it no more.
    fn asked(&mut self, peer: &PeerId, cid: &ContentId, has: bool) -> Vec<u64> {
        let downloads =
            self.peers.get(peer).and_then(|asked| asked.blocks.get(cid)).map(|block| block.downloads.clone());
        if !has {
            self.answered(peer, cid);
        }
        downloads.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
