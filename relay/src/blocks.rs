//! Blocks for whoever wants them, by Bitswap.
//!
//! Each peer has a queue of wants, bounded, and one task that answers them one after the other, so that a peer that asks for much
//! waits for itself, and one that does not read holds one block and its queue until its time is up. What is not here is said at
//! once: wants are not remembered until the block comes.

use std::collections::{BTreeMap, HashMap};
use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use cid::Cid;
use futures::AsyncWriteExt;
use ggen_net::bitswap::{self, Error, Exchange, LINGER};
use ggen_shared::content::bitswap::{Ask, Message, Presence, Want, encode_block};
use ggen_shared::limits::{MAX_BLOCK_BYTES, MAX_WANTS_PER_PEER};
use ggen_shared::record::ContentId;
use libp2p::{PeerId, Stream};
use tokio::sync::{Notify, Semaphore, SemaphorePermit};
use tokio::time::timeout;

use crate::market::peer::Tokio;
use crate::policy;

/// Presences that are sent together, when no block is sent that they could go with.
const PRESENCES: usize = 128;

/// Who has blocks for peers that want them.
pub(crate) trait Host: Send + Sync + 'static {
    /// What peers want of it.
    fn wants(&self) -> &Wants;

    /// What it wants of peers, which comes on the same streams.
    fn exchange(&self) -> &Exchange<Tokio>;

    /// Whether a block is here.
    fn has_block(&self, cid: &ContentId) -> impl Future<Output = bool> + Send;

    /// The bytes of a block, if it is here.
    fn block(&self, cid: &ContentId) -> impl Future<Output = Option<Vec<u8>>> + Send;

    /// A new stream of the protocol to a peer that is connected.
    fn open_bitswap(&self, peer: PeerId) -> impl Future<Output = Option<Stream>> + Send;

    /// Whether a peer is connected other than through relays.
    fn is_direct(&self, _: &PeerId) -> bool {
        true
    }

    /// Whether no connection of a peer is WebRTC, also beyond a circuit, which can't send large messages.
    fn takes_large_messages(&self, _: &PeerId) -> bool {
        false
    }
}

/// The wants of all peers.
#[derive(Debug)]
pub(crate) struct Wants {
    peers: Mutex<HashMap<PeerId, Arc<Queue>>>,
    /// Blocks in memory.
    sending: Semaphore,
}

/// The wants of one peer, in the order in which they came.
#[derive(Debug, Default)]
struct Queue {
    wants: Mutex<Queued>,
    more: Notify,
}

#[derive(Debug, Default)]
struct Queued {
    /// By their number.
    wants: BTreeMap<u64, Want>,
    numbers: HashMap<Cid, u64>,
    next: u64,
}

impl Default for Wants {
    fn default() -> Self {
        Self { peers: Mutex::default(), sending: Semaphore::new(policy::MAX_BLOCKS_SENDING) }
    }
}

impl Wants {
    fn peers(&self) -> MutexGuard<'_, HashMap<PeerId, Arc<Queue>>> {
        self.peers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes what a peer wants. Its queue, if nobody answers it yet.
    fn take(&self, peer: PeerId, wants: Vec<Want>, full: bool) -> Option<Arc<Queue>> {
        let mut peers = self.peers();
        if let Some(queue) = peers.get(&peer) {
            queue.queued().update(wants, full);
            queue.more.notify_one();
            return None;
        }
        let queue = Arc::new(Queue::default());
        queue.queued().update(wants, full);
        if queue.queued().wants.is_empty() {
            return None;
        }
        peers.insert(peer, queue.clone());
        Some(queue)
    }

    /// Forgets a peer that wants nothing. Whether it does.
    fn is_done(&self, peer: &PeerId) -> bool {
        let mut peers = self.peers();
        let is_done = peers.get(peer).is_none_or(|queue| queue.queued().wants.is_empty());
        if is_done {
            peers.remove(peer);
        }
        is_done
    }

    /// Forgets what a peer wanted that does not take it.
    fn forget(&self, peer: &PeerId, queue: &Arc<Queue>) {
        let mut peers = self.peers();
        if peers.get(peer).is_some_and(|known| Arc::ptr_eq(known, queue)) {
            peers.remove(peer);
        }
    }
}

impl Queue {
    fn queued(&self) -> MutexGuard<'_, Queued> {
        self.wants.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queued {
    fn update(&mut self, wants: Vec<Want>, full: bool) {
        if full {
            self.wants.clear();
            self.numbers.clear();
        }
        for want in wants {
            match (want.ask, self.numbers.get(&want.cid).copied()) {
                (Ask::Cancel, Some(number)) => self.remove(number),
                (Ask::Cancel, None) => {}
                // Whoever wants a block has no use for knowing that it is there.
                (Ask::Have, Some(_)) => {}
                (Ask::Block, Some(number)) => _ = self.wants.insert(number, want),
                (_, None) if self.wants.len() < MAX_WANTS_PER_PEER => {
                    self.numbers.insert(want.cid, self.next);
                    self.wants.insert(self.next, want);
                    self.next += 1;
                }
                // As others do: it asks again when it is told nothing.
                (_, None) => {}
            }
        }
    }

    fn remove(&mut self, number: u64) {
        if let Some(want) = self.wants.remove(&number) {
            self.numbers.remove(&want.cid);
        }
    }

    fn pop(&mut self) -> Option<Want> {
        let (_, want) = self.wants.pop_first()?;
        self.numbers.remove(&want.cid);
        Some(want)
    }
}

/// What is sent next, and the room in memory that its block takes.
type Next<'a> = Option<(Vec<u8>, Option<SemaphorePermit<'a>>)>;

/// Reads the messages of one stream, until it ends or nothing comes on it for a while, and answers what the peer wants.
pub(crate) async fn serve<H: Host>(host: &Arc<H>, peer: PeerId, mut stream: Stream) -> Result<(), Error> {
    let served = read_messages(host, peer, &mut stream).await;
    if let Err(Error::Protocol(error)) = &served {
        host.exchange().failed(peer, error.clone().into()).await;
    }
    served
}

async fn read_messages<H: Host>(host: &Arc<H>, peer: PeerId, stream: &mut Stream) -> Result<(), Error> {
    loop {
        let length = bitswap::read_length(stream, host.exchange().limit(&peer));
        // Others open a new stream when they have more to say.
        let Some(length) = timeout(policy::SILENCE_TIMEOUT, length).await.unwrap_or(Ok(None))? else {
            return Ok(());
        };
        let body = timeout(policy::upload_timeout(length), bitswap::read_body(stream, length)).await;
        let message = body.unwrap_or_else(|_| Err(io::Error::from(io::ErrorKind::TimedOut).into()))?;
        if let Some(queue) = host.wants().take(peer, message.wants, message.full) {
            tokio::spawn(answer(host.clone(), peer, queue));
        }
        if !host.exchange().received(peer, message.blocks, message.presences).await {
            return Ok(());
        }
    }
}

/// Answers what a peer wants, until it wants nothing more or does not take what it wanted.
async fn answer<H: Host>(host: Arc<H>, peer: PeerId, queue: Arc<Queue>) {
    let mut path: Option<Path> = None;
    loop {
        let Some((message, room)) = next_message(&*host, &queue).await else {
            // It wants more when it has what it wanted.
            if timeout(LINGER, queue.more.notified()).await.is_err() && host.wants().is_done(&peer) {
                break;
            }
            continue;
        };
        let sent = timeout(policy::upload_timeout(MAX_BLOCK_BYTES), send(&*host, peer, &mut path, &message)).await;
        drop(room);
        if let Err(error) = sent.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
            tracing::debug!(%peer, %error, "a peer does not take the blocks that it wants");
            return host.wants().forget(&peer, &queue);
        }
    }
    if let Some(path) = path {
        path.close().await;
    }
}

/// A stream to a peer.
struct Path {
    stream: Stream,
    /// Whether the peer was connected other than through relays when it was opened: then it leads through none.
    is_direct: bool,
}

impl Path {
    async fn close(mut self) {
        // What was sent was sent.
        _ = timeout(policy::ANSWER_TIMEOUT, self.stream.close()).await;
    }
}

/// Sends a message on the stream that is there, or on a new one: a peer that waited for nothing may have given up the old one, and one that was
/// reached through a relay may be connected directly by now.
async fn send(host: &impl Host, peer: PeerId, path: &mut Option<Path>, message: &[u8]) -> io::Result<()> {
    let is_direct = host.is_direct(&peer);
    if let Some(left) = path.take_if(|path| is_direct && !path.is_direct) {
        tokio::spawn(left.close());
    }
    if let Some(open) = path
        && write(host, peer, &mut open.stream, message).await.is_ok()
    {
        return Ok(());
    }
    let stream = host.open_bitswap(peer).await.ok_or(io::ErrorKind::NotConnected)?;
    write(host, peer, &mut path.insert(Path { stream, is_direct }).stream, message).await
}

async fn write(host: &impl Host, peer: PeerId, stream: &mut Stream, message: &[u8]) -> io::Result<()> {
    if host.takes_large_messages(&peer) {
        bitswap::write_at_once(stream, message).await
    } else {
        bitswap::write(stream, message).await
    }
}

/// The answer to the next wants: one block at most, and what is known of others.
async fn next_message<'a>(host: &'a impl Host, queue: &Queue) -> Next<'a> {
    let mut presences = Vec::new();
    while presences.len() < PRESENCES {
        let Some(want) = queue.queued().pop() else { break };
        let has = match (ContentId::try_from(want.cid), want.ask) {
            (Ok(cid), Ask::Block) => {
                let room = host.wants().sending.acquire().await.ok();
                if let Some(block) = host.block(&cid).await {
                    return Some((encode_block(cid, &block, &presences), room));
                }
                false
            }
            (Ok(cid), Ask::Have) => host.has_block(&cid).await,
            // Nobody here holds blocks of other kinds.
            _ => false,
        };
        if has || want.send_dont_have {
            presences.push(Presence { cid: want.cid, has });
        }
    }
    (!presences.is_empty()).then(|| (Message { presences, ..Message::default() }.encode(), None))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cid(number: usize) -> ContentId {
        ContentId::of_raw(&number.to_be_bytes())
    }

    fn wants(numbers: std::ops::Range<usize>, ask: Ask) -> Vec<Want> {
        numbers.map(|number| Want::new(cid(number), ask)).collect()
    }

    fn pop_all(queue: &Queue) -> Vec<(Cid, Ask)> {
        std::iter::from_fn(|| queue.queued().pop()).map(|want| (want.cid, want.ask)).collect()
    }

    #[test]
    fn wants_are_answered_in_the_order_in_which_they_came_and_once() {
        let (all, peer) = (Wants::default(), PeerId::random());
        let queue = all.take(peer, wants(0..3, Ask::Block), false).unwrap();
        assert!(all.take(peer, wants(1..4, Ask::Block), false).is_none(), "somebody answers them already");
        assert_eq!(pop_all(&queue), [0, 1, 2, 3].map(|number| (*cid(number).cid(), Ask::Block)));
        assert!(all.is_done(&peer));
        assert!(all.take(peer, wants(0..1, Ask::Cancel), false).is_none(), "nothing is wanted");
        assert!(all.peers().is_empty());
    }

    #[test]
    fn what_is_cancelled_or_not_on_a_full_list_is_not_answered() {
        let (all, peer) = (Wants::default(), PeerId::random());
        let queue = all.take(peer, wants(0..4, Ask::Have), false).unwrap();
        all.take(peer, [wants(0..1, Ask::Cancel), wants(2..3, Ask::Block)].concat(), false);
        let kept = [(1, Ask::Have), (2, Ask::Block), (3, Ask::Have)];
        assert_eq!(pop_all(&queue), kept.map(|(number, ask)| (*cid(number).cid(), ask)));
        all.take(peer, wants(0..4, Ask::Block), false);
        all.take(peer, wants(7..8, Ask::Block), true);
        assert_eq!(pop_all(&queue), [(*cid(7).cid(), Ask::Block)]);
    }

    #[test]
    fn a_million_wants_of_one_peer_take_no_more_room_than_its_queue() {
        let (all, peer) = (Wants::default(), PeerId::random());
        let queue = all.take(peer, wants(0..1, Ask::Block), false).unwrap();
        for first in (0..1_000_000).step_by(10_000) {
            all.take(peer, wants(first..first + 10_000, Ask::Block), false);
            all.take(peer, wants(first + 1..first + 10_000, Ask::Cancel), false);
            all.take(peer, wants(first..first + 10_000, Ask::Have), false);
        }
        let queued = queue.queued();
        assert_eq!((queued.wants.len(), queued.numbers.len()), (MAX_WANTS_PER_PEER, MAX_WANTS_PER_PEER));
    }
}
