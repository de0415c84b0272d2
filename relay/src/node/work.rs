//! What peers ask of a relay, each in a task of its own, bounded in number and time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ggen_net::exchange;
use ggen_shared::codec;
use ggen_shared::content::{self, Assembler};
use ggen_shared::limits::{DEFAULT_WINDOW_BYTES, MAX_BLOCK_BYTES, WEBRTC_WINDOW_BYTES};
use ggen_shared::protocol::publish::{Offer, Receipt, ReceiptReply};
use ggen_shared::protocol::query::{Block, KeyLogOf, Refusal, Reply};
use ggen_shared::protocol::{head, names};
use ggen_shared::record::{Content, ContentId, KeyLog, Record, UnverifiedRecord};
use libp2p::gossipsub::{MessageAcceptance, MessageId};
use libp2p::{PeerId, Stream, StreamProtocol};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};
use tokio::time::timeout;

use super::Command;
use crate::admission::{AdmitError, Shelf, contents};
use crate::policy;
use crate::query::Answer;

pub(super) struct Work {
    shelf: Arc<Shelf>,
    answer: Box<dyn Answer>,
    commands: mpsc::Sender<Command>,
    per_peer: Mutex<HashMap<PeerId, usize>>,
    streams: Arc<Semaphore>,
    uploads: Arc<Semaphore>,
    verifying: Arc<Semaphore>,
    fetching: Arc<Semaphore>,
}

/// One of a peer's streams, counted until it ends.
struct Counted {
    work: Arc<Work>,
    peer: PeerId,
}

impl Drop for Counted {
    fn drop(&mut self) {
        let mut per_peer = self.work.per_peer.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if let Some(count) = per_peer.get_mut(&self.peer) {
            *count -= 1;
            if *count == 0 {
                per_peer.remove(&self.peer);
            }
        }
    }
}

/// What is wrong with an announcement.
enum Unannounced {
    /// Its sender should have refused it.
    Invalid,
    /// Nobody is to blame.
    Unknown,
}

impl Work {
    pub(super) fn new(shelf: Arc<Shelf>, answer: Box<dyn Answer>, commands: mpsc::Sender<Command>) -> Self {
        Self {
            shelf,
            answer,
            commands,
            per_peer: Mutex::default(),
            streams: Arc::new(Semaphore::new(policy::MAX_STREAMS)),
            uploads: Arc::new(Semaphore::new(policy::UPLOAD_UNITS as usize)),
            verifying: Arc::new(Semaphore::new(policy::MAX_VERIFYING)),
            fetching: Arc::new(Semaphore::new(policy::MAX_FETCHING)),
        }
    }

    /// Serves a stream that a peer opened. Past the bounds it is dropped, which resets it.
    pub(super) fn accept(self: Arc<Self>, peer: PeerId, protocol: &StreamProtocol, stream: Stream) {
        let Ok(permit) = self.streams.clone().try_acquire_owned() else {
            tracing::debug!(%peer, "too many streams: one is dropped");
            return;
        };
        let Some(counted) = self.count(peer) else {
            tracing::debug!(%peer, "too many streams of one peer: one is dropped");
            return;
        };
        let publish = protocol.as_ref() == names::PUBLISH;
        tokio::spawn(async move {
            let served = if publish { self.serve_publish(stream).await } else { self.serve_query(stream).await };
            if let Err(error) = served {
                tracing::debug!(%peer, %error, "a stream ended badly");
            }
            drop((permit, counted));
        });
    }

    fn count(self: &Arc<Self>, peer: PeerId) -> Option<Counted> {
        let mut per_peer = self.per_peer.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let count = per_peer.entry(peer).or_default();
        if *count >= policy::MAX_STREAMS_PER_PEER {
            return None;
        }
        *count += 1;
        Some(Counted { work: self.clone(), peer })
    }

    async fn serve_query(&self, mut stream: Stream) -> Result<(), exchange::Error> {
        let (answer, window) = match in_time(policy::QUESTION_TIMEOUT, exchange::read_question(&mut stream)).await {
            Ok(ask) => (self.answer.answer(&ask.request).await, ask.window),
            Err(exchange::Error::Protocol(error)) => {
                let reply: Reply<()> = Err(malformed(&error));
                (codec::encode(&reply), WEBRTC_WINDOW_BYTES)
            }
            Err(error) => return Err(error),
        };
        in_time(policy::ANSWER_TIMEOUT, exchange::write_answer(&mut stream, &answer, window)).await
    }

    async fn serve_publish(&self, mut stream: Stream) -> Result<(), exchange::Error> {
        let offer = match in_time(policy::QUESTION_TIMEOUT, exchange::read_offer(&mut stream)).await {
            Ok(offer) => offer,
            Err(exchange::Error::Protocol(error)) => return refuse(stream, malformed(&error)).await,
            Err(error) => return Err(error),
        };
        let records = match self.shelf.verify(&offer) {
            Ok(records) => records,
            Err(error) => return refuse(stream, error.refusal()).await,
        };
        let wanted = match self.shelf.store().missing(offer.blocks).await {
            Ok(wanted) => wanted,
            Err(error) => return refuse(stream, AdmitError::from(error).refusal()).await,
        };
        let bytes = wanted.len() * MAX_BLOCK_BYTES;
        let Ok(_room) = in_time(policy::ANSWER_TIMEOUT, self.room_for(bytes)).await else {
            let busy = Refusal::new("relay/busy", "the relay takes other content now; try again soon");
            return refuse(stream, busy).await;
        };
        let blocks = match in_time(policy::upload_timeout(bytes), exchange::read_blocks(&mut stream, wanted)).await {
            Ok(blocks) => blocks,
            Err(exchange::Error::WrongBlock(cid)) => {
                return refuse(stream, AdmitError::from(content::Error::WrongHash(cid)).refusal()).await;
            }
            Err(exchange::Error::Protocol(error)) => return refuse(stream, malformed(&error)).await,
            Err(error) => return Err(error),
        };
        match self.admit_offer(records, blocks).await {
            Ok(receipt) => end_with(stream, &Ok(receipt)).await,
            Err(error) => {
                tracing::debug!(%error, "an offer was refused");
                refuse(stream, error.refusal()).await
            }
        }
    }

    /// Waits until there is memory for the blocks of a session. Small packages do not wait for large ones as long as both fit.
    async fn room_for(&self, bytes: usize) -> Result<OwnedSemaphorePermit, exchange::Error> {
        let units = u32::try_from(bytes.div_ceil(policy::UPLOAD_UNIT_BYTES)).unwrap_or(u32::MAX);
        let room = self.uploads.clone().acquire_many_owned(units.min(policy::UPLOAD_UNITS)).await;
        room.map_err(|_| std::io::Error::from(std::io::ErrorKind::BrokenPipe).into())
    }

    async fn admit_offer(
        &self,
        records: Vec<Record>,
        blocks: Vec<(ContentId, Vec<u8>)>,
    ) -> Result<Receipt, AdmitError> {
        self.shelf.check_content(&records, &blocks).await?;
        self.keep(records, blocks).await
    }

    /// Admits verified records, and announces the releases among them that are new.
    async fn keep(&self, records: Vec<Record>, blocks: Vec<(ContentId, Vec<u8>)>) -> Result<Receipt, AdmitError> {
        let receipt = self.shelf.admit(records.clone(), blocks).await?;
        for record in records.iter().filter(|record| receipt.new.contains(&record.id())) {
            if let Record::Release(release) = record {
                tracing::info!(package = %release.name, version = %release.version, record = %release.id(), "published");
                self.tell(Command::Announce { record: record.bytes().to_vec() }).await;
            }
        }
        Ok(receipt)
    }

    /// Verifies an announcement, keeps it if it is new, and tells gossip whether to pass it on.
    pub(super) fn announced(self: Arc<Self>, from: PeerId, message: MessageId, data: Vec<u8>) {
        let Ok(permit) = self.verifying.clone().try_acquire_owned() else {
            tracing::debug!(%from, "too many announcements: one is left to others");
            return;
        };
        tokio::spawn(async move {
            let acceptance = match self.admit_announcement(from, &data).await {
                Ok(true) => MessageAcceptance::Accept,
                Ok(false) | Err(Unannounced::Unknown) => MessageAcceptance::Ignore,
                Err(Unannounced::Invalid) => MessageAcceptance::Reject,
            };
            drop(permit);
            self.tell(Command::Report { message, from, acceptance }).await;
        });
    }

    /// Whether an announcement was new here.
    async fn admit_announcement(self: &Arc<Self>, from: PeerId, data: &[u8]) -> Result<bool, Unannounced> {
        let record = UnverifiedRecord::decode(data).map_err(|_| Unannounced::Invalid)?;
        if self.shelf.catalogue().record(&record.id()).is_some() {
            return Ok(false);
        }
        let records = match record {
            UnverifiedRecord::Inception(inception) => {
                vec![Record::Inception(inception.verify(self.shelf.network()).map_err(|_| Unannounced::Invalid)?)]
            }
            UnverifiedRecord::Release(release) => {
                let publisher = release.publisher();
                let known = self.shelf.catalogue().key_log(&publisher).cloned();
                let (key_log, mut records) = match known {
                    Some(key_log) => (key_log, Vec::new()),
                    None => self.fetch_key_log(from, publisher).await.ok_or(Unannounced::Unknown)?,
                };
                let release = release.verify(&key_log, self.shelf.network()).map_err(|_| Unannounced::Invalid)?;
                records.push(Record::Release(Box::new(release)));
                records
            }
        };
        let content: Vec<Content> = contents(&records).collect();
        match self.shelf.admit(records, Vec::new()).await {
            Ok(receipt) if receipt.new.is_empty() => Ok(false),
            Ok(_) => {
                self.clone().fetch_content(from, content);
                Ok(true)
            }
            Err(error) => {
                tracing::debug!(%from, %error, "an announced record is not kept");
                Err(Unannounced::Unknown)
            }
        }
    }

    async fn fetch_key_log(
        &self,
        from: PeerId,
        publisher: ggen_shared::id::PublisherId,
    ) -> Option<(KeyLog, Vec<Record>)> {
        let mut stream = self.open(from).await?;
        let question = exchange::ask(&mut stream, KeyLogOf { publisher }, DEFAULT_WINDOW_BYTES);
        let answer = timeout(policy::QUESTION_TIMEOUT, question).await.ok()?.ok()?;
        let key_log = KeyLog::verify(&answer.events, publisher, self.shelf.network()).ok()?;
        let records = self.shelf.verify(&Offer { records: answer.events, blocks: Vec::new() }).ok()?;
        Some((key_log, records))
    }

    /// Fetches what an announced release consists of from whoever passed it on: in most cases the relay that took it.
    fn fetch_content(self: Arc<Self>, from: PeerId, content: Vec<Content>) {
        tokio::spawn(async move {
            let Ok(_permit) = self.fetching.acquire().await else { return };
            for content in content {
                if let Err(error) = self.fetch(from, content).await {
                    tracing::debug!(%from, cid = %content.cid, %error, "content could not be fetched");
                }
            }
        });
    }

    async fn fetch(&self, from: PeerId, content: Content) -> anyhow::Result<()> {
        let mut assembler = Assembler::checking_only(content)?;
        let mut blocks = Vec::new();
        while let Some(cid) = assembler.wants().first().copied() {
            let block = match self.shelf.store().block(&cid).await? {
                Some(block) => block,
                None => {
                    let mut stream = self.open(from).await.ok_or_else(|| anyhow::anyhow!("not connected"))?;
                    let answer = exchange::ask(&mut stream, Block { cid }, DEFAULT_WINDOW_BYTES);
                    let data = timeout(policy::ANSWER_TIMEOUT, answer).await??.data;
                    let data = data.ok_or_else(|| anyhow::anyhow!("the peer lacks block {cid}"))?.into_vec();
                    blocks.push((cid, data.clone()));
                    data
                }
            };
            assembler.feed(&cid, &block)?;
        }
        let batch = crate::store::Batch { blocks, ..Default::default() };
        Ok(self.shelf.store().commit(batch).await?)
    }

    /// A package head that someone put into the DHT: valid, it is kept like any other publication.
    pub(super) fn head_put(self: Arc<Self>, source: PeerId, key: Vec<u8>, value: Vec<u8>) {
        let Ok(permit) = self.verifying.clone().try_acquire_owned() else { return };
        tokio::spawn(async move {
            match head::verify(&key, &value, self.shelf.network()) {
                Ok((key_log, release)) => {
                    let mut records = key_log.into_records();
                    records.push(Record::Release(Box::new(release)));
                    if let Err(error) = self.keep(records, Vec::new()).await {
                        tracing::debug!(%source, %error, "a package head is not kept");
                    }
                }
                Err(error) => tracing::debug!(%source, %error, "a package head is refused"),
            }
            drop(permit);
        });
    }

    async fn open(&self, peer: PeerId) -> Option<Stream> {
        let (opened, stream) = futures::channel::oneshot::channel();
        self.tell(Command::Open { peer, protocol: names::QUERY, opened }).await;
        timeout(policy::QUESTION_TIMEOUT, stream).await.ok()?.ok()?.ok()
    }

    async fn tell(&self, command: Command) {
        // The node has stopped when the send fails, and with it all reason to tell it anything.
        _ = self.commands.send(command).await;
    }
}

/// What a peer is told whose message is none.
fn malformed(error: &codec::Error) -> Refusal {
    Refusal::new("relay/malformed-message", error.to_string())
}

/// Ends a publish session with a refusal, which reads the same in the place of either reply.
async fn refuse(stream: Stream, refusal: Refusal) -> Result<(), exchange::Error> {
    end_with(stream, &Err(refusal)).await
}

/// Ends a publish session. A peer that does not take the reply loses it, and keeps the session no longer.
async fn end_with(mut stream: Stream, reply: &ReceiptReply) -> Result<(), exchange::Error> {
    in_time(policy::ANSWER_TIMEOUT, async {
        exchange::write_message(&mut stream, reply).await?;
        Ok(futures::AsyncWriteExt::close(&mut stream).await?)
    })
    .await
}

/// The work, or an error when it takes too long.
async fn in_time<T>(
    limit: Duration,
    work: impl Future<Output = Result<T, exchange::Error>>,
) -> Result<T, exchange::Error> {
    timeout(limit, work).await.unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
}
