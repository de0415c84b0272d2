//! What peers ask of a relay, each in a task of its own, bounded in number and time.

use std::collections::HashSet;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::stream;
use ggen_net::bitswap::{self, Exchange, NoGateways, Tally};
use ggen_net::streams::OpenError;
use ggen_net::{address, exchange};
use ggen_shared::client::evidence;
use ggen_shared::content::{self, Assembler};
use ggen_shared::id::PublisherId;
use ggen_shared::limits::{DEFAULT_WINDOW_BYTES, MAX_BLOCK_BYTES, MAX_BLOCKS_IN_FLIGHT, WEBRTC_WINDOW_BYTES};
use ggen_shared::protocol::publish::{Offer, Receipt, ReceiptReply, Wanted, WantedReply};
use ggen_shared::protocol::query::{KeyLogOf, Refusal, Reply};
use ggen_shared::protocol::{head, names};
use ggen_shared::record::{self, Content, ContentId, KeyLog, Kind, Record, UnverifiedRecord};
use ggen_shared::reputation::PeerReputation;
use ggen_shared::{checkpoint, codec};
use libp2p::gossipsub::{MessageAcceptance, MessageId};
use libp2p::{PeerId, Stream, StreamProtocol};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::claims::Claims;
use super::incoming::Incoming;
use super::peers::{Peers, Share};
use super::repair::Lacking;
use super::{Command, progress};
use crate::admission::{AdmitError, Shelf, check_created, contents};
use crate::blocks::{self, Wants};
use crate::evidence::Kept;
use crate::market::peer::Tokio;
use crate::query::Answer;
use crate::{policy, reputations};

/// What a relay does for others.
pub(crate) struct Work {
    shelf: Arc<Shelf>,
    evidence: Kept,
    reputations: reputations::Kept,
    answer: Box<dyn Answer>,
    commands: mpsc::Sender<Command>,
    peers: Peers,
    /// Peers with a connection over WebRTC or a circuit.
    webrtc: Mutex<HashSet<PeerId>>,
    streams: Arc<Semaphore>,
    bitswap: Arc<Semaphore>,
    uploads: Arc<Semaphore>,
    announcements: Arc<Semaphore>,
    verifying_heads: Arc<Semaphore>,
    verifying: Arc<Semaphore>,
    fetches: Arc<Semaphore>,
    fetching: Semaphore,
    /// Which relay is the first that is asked besides the one that passed something on.
    next_other: AtomicUsize,
    claims: Claims,
    lacking: Lacking,
    progress: progress::Teller,
    wants: Wants,
    exchange: Exchange<Tokio>,
}

/// What is wrong with an announcement.
enum Unannounced {
    /// Its sender should have refused it.
    Invalid,
    /// Nobody is to blame.
    Unknown,
}

impl Unannounced {
    fn of(error: &record::Error) -> Self {
        if error.depends_on_key_log() { Self::Unknown } else { Self::Invalid }
    }
}

impl Work {
    pub(super) fn new(
        shelf: Arc<Shelf>,
        evidence: Kept,
        reputations: reputations::Kept,
        answer: Box<dyn Answer>,
        commands: mpsc::Sender<Command>,
    ) -> Self {
        Self {
            shelf,
            evidence,
            reputations,
            answer,
            commands,
            peers: Peers::default(),
            webrtc: Mutex::default(),
            streams: Arc::new(Semaphore::new(policy::MAX_STREAMS)),
            bitswap: Arc::new(Semaphore::new(policy::MAX_BITSWAP_STREAMS)),
            uploads: Arc::new(Semaphore::new(policy::UPLOAD_UNITS as usize)),
            announcements: Arc::new(Semaphore::new(policy::MAX_ANNOUNCEMENTS)),
            verifying_heads: Arc::new(Semaphore::new(policy::MAX_VERIFYING_HEADS)),
            verifying: Arc::new(Semaphore::new(policy::MAX_VERIFYING)),
            fetches: Arc::new(Semaphore::new(policy::MAX_FETCHES)),
            fetching: Semaphore::new(policy::MAX_FETCHING),
            next_other: AtomicUsize::new(0),
            claims: Claims::default(),
            lacking: Lacking::default(),
            progress: progress::Teller::default(),
            wants: Wants::default(),
            exchange: Exchange::new(Tokio::default()),
        }
    }

    /// What the relay holds.
    pub(crate) const fn shelf(&self) -> &Arc<Shelf> {
        &self.shelf
    }

    /// What it knows of relays that break the rules.
    pub(crate) const fn evidence(&self) -> &Kept {
        &self.evidence
    }

    /// What it thinks of peers that it has asked for something.
    pub(crate) const fn reputations(&self) -> &reputations::Kept {
        &self.reputations
    }

    /// Notes what came of asking a peer.
    pub(super) fn note(&self, peer: PeerId, note: impl FnOnce(&mut PeerReputation, Duration)) {
        self.reputations.note(peer, super::now(), note);
    }

    /// What is being fetched from other relays.
    pub(super) const fn claims(&self) -> &Claims {
        &self.claims
    }

    /// What releases name and is not here.
    pub(super) const fn lacking(&self) -> &Lacking {
        &self.lacking
    }

    /// Tells how far syncs have come.
    pub(super) const fn progress(&self) -> &progress::Teller {
        &self.progress
    }

    /// Serves a stream that a peer opened. Past the bounds it is dropped, which resets it.
    pub(super) fn accept(self: Arc<Self>, peer: PeerId, protocol: &StreamProtocol, stream: Stream) {
        let share = self.peers.of(peer);
        let is_bitswap = protocol.as_ref() == names::BITSWAP;
        let (all, own) = if is_bitswap { (&self.bitswap, &share.bitswap) } else { (&self.streams, &share.streams) };
        let Some(permits) = both(all, own) else {
            tracing::debug!(%peer, "too many streams: one is dropped");
            return;
        };
        let is_publish = protocol.as_ref() == names::PUBLISH;
        tokio::spawn(async move {
            let ended = if is_bitswap {
                blocks::serve(&self, peer, stream).await.map_err(|error| error.to_string())
            } else if is_publish {
                self.serve_publish(&share, stream).await.map_err(|error| error.to_string())
            } else {
                self.serve_query(stream).await.map_err(|error| error.to_string())
            };
            if let Err(error) = ended {
                tracing::debug!(%peer, %error, "a stream ended badly");
            }
            drop(permits);
        });
    }

    async fn serve_query(&self, mut stream: Stream) -> Result<(), exchange::Error> {
        let (answer, window) = match in_time(policy::QUESTION_TIMEOUT, exchange::read_question(&mut stream)).await {
            Ok(ask) => (self.answer.answer(&ask).await, ask.window),
            Err(exchange::Error::Protocol(error)) => {
                let reply: Reply<()> = Err(malformed(&error));
                (codec::encode(&reply), WEBRTC_WINDOW_BYTES)
            }
            Err(error) => return Err(error),
        };
        in_time(policy::ANSWER_TIMEOUT, self.answer.write(&mut stream, &answer, window)).await
    }

    async fn serve_publish(&self, share: &Share, mut stream: Stream) -> Result<(), exchange::Error> {
        let offer = match in_time(policy::QUESTION_TIMEOUT, exchange::read_offer(&mut stream)).await {
            Ok(offer) => offer,
            Err(exchange::Error::Protocol(error)) => return refuse(stream, malformed(&error)).await,
            Err(error) => return Err(error),
        };
        share.wait_to_add(self.shelf.count_claims(&offer.records) * policy::IDENTITY_IN_RECORDS).await;
        let verified = self.verify(move |shelf| (shelf.verify(&offer), offer)).await;
        let (verified, offer) = verified.ok_or_else(|| std::io::Error::other("the relay is stopping"))?;
        let records = match verified.and_then(|records| check_created(&records, now()).map(|()| records)) {
            Ok(records) => records,
            Err(error) => {
                // It cost as much as a record that is kept, so it counts as one.
                share.wait_to_add(1).await;
                return refuse(stream, error.refusal()).await;
            }
        };
        share.wait_to_add(self.shelf.count_new(&records)).await;
        let wanted = match self.shelf.store().missing(offer.blocks).await {
            Ok(wanted) => wanted,
            Err(error) => return refuse(stream, AdmitError::from(error).refusal()).await,
        };
        let bytes = wanted.len() * MAX_BLOCK_BYTES;
        let Ok(_room) = in_time(policy::ANSWER_TIMEOUT, self.room_for(share, bytes)).await else {
            let busy = Refusal::new("relay/busy", "the relay takes other content now; try again soon");
            return refuse(stream, busy).await;
        };
        let blocks = match in_time(policy::upload_timeout(bytes), read_blocks(&mut stream, wanted)).await {
            Ok(blocks) => blocks,
            Err(exchange::Error::WrongBlock(cid)) => {
                return refuse(stream, AdmitError::from(content::Error::WrongHash(cid)).refusal()).await;
            }
            Err(exchange::Error::Protocol(error)) => return refuse(stream, malformed(&error)).await,
            Err(error) => return Err(error),
        };
        // An offer is of one publisher. Counted now, because anybody can offer what somebody else has signed, without what is in it.
        if let Some(publisher) = records.first().map(Record::publisher) {
            self.peers.wait_to_add_of(publisher, self.shelf.count_new(&records)).await;
        }
        match self.admit_offer(records, blocks).await {
            Ok(receipt) => end_with(stream, &Ok(receipt)).await,
            Err(error) => {
                tracing::debug!(%error, "an offer was refused");
                refuse(stream, error.refusal()).await
            }
        }
    }

    /// Waits until there is memory for the blocks of a session. Small packages do not wait for large ones as long as both fit.
    async fn room_for(&self, share: &Share, bytes: usize) -> Result<Vec<OwnedSemaphorePermit>, exchange::Error> {
        let units = u32::try_from(bytes.div_ceil(policy::UPLOAD_UNIT_BYTES)).unwrap_or(u32::MAX);
        let units = units.min(policy::UPLOAD_UNITS_PER_PEER);
        let closed = |_| std::io::Error::from(std::io::ErrorKind::BrokenPipe);
        // In this order a peer waits for itself, and a group for itself, before others wait for them.
        let of_group = share.group().map(|group| group.uploads.clone());
        let mut permits = Vec::new();
        for uploads in [Some(&share.uploads), of_group.as_ref(), Some(&self.uploads)].into_iter().flatten() {
            permits.push(uploads.clone().acquire_many_owned(units).await.map_err(closed)?);
        }
        Ok(permits)
    }

    /// Takes what was handed over in this process, as from a peer.
    pub(crate) async fn admit(&self, offer: &Offer, blocks: Vec<(ContentId, Vec<u8>)>) -> Result<Receipt, AdmitError> {
        let records = self.shelf.verify(offer)?;
        check_created(&records, now())?;
        // What is held already is no surplus, and need not be written again.
        let wanted = self.shelf.store().missing(offer.blocks.clone()).await?;
        let blocks = blocks.into_iter().filter(|(cid, _)| wanted.contains(cid)).collect();
        self.admit_offer(records, blocks).await
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
        let receipt = self.shelf.admit(records, blocks).await?;
        // A page that waited here becomes new with its rotation, and stands before it.
        let new: Vec<Record> = {
            let catalogue = self.shelf.catalogue();
            receipt.new.iter().filter_map(|id| catalogue.record(id)).cloned().collect()
        };
        for record in new.iter().filter(|record| record.kind() != Kind::Inception) {
            if let Some(release) = record.release() {
                tracing::info!(package = %release.name, version = %release.version, record = %release.id(), "published");
            }
            self.tell(Command::Announce { record: record.bytes().to_vec() }).await;
        }
        Ok(receipt)
    }

    /// Verifies an announcement, keeps it if it is new, and tells gossip whether to pass it on. Whether there is room for that.
    pub(super) fn announced(self: Arc<Self>, from: PeerId, message: MessageId, data: Vec<u8>) -> bool {
        if !self.answer.hears(&data) {
            return false;
        }
        let share = self.peers.of(from);
        let Some(permits) = both(&self.announcements, &share.announcements) else {
            tracing::debug!(%from, "too many announcements: one is left to others");
            return false;
        };
        tokio::spawn(async move {
            let turn = share.verifying.acquire().await;
            let acceptance = match self.admit_announcement(from, &share, &data).await {
                Ok(true) => MessageAcceptance::Accept,
                Ok(false) | Err(Unannounced::Unknown) => MessageAcceptance::Ignore,
                Err(Unannounced::Invalid) => MessageAcceptance::Reject,
            };
            drop((turn, permits));
            self.tell(Command::Report { message, from, acceptance }).await;
        });
        true
    }

    /// Verifies evidence against a relay, keeps it if it is news, and tells gossip whether to pass it on. Whether there is room for that.
    pub(super) fn accused(self: Arc<Self>, from: PeerId, message: MessageId, bytes: Vec<u8>) -> bool {
        let share = self.peers.of(from);
        let Some(permits) = both(&self.announcements, &share.announcements) else { return false };
        // Whoever makes up relays has as much evidence against them as it likes, all of it true.
        if !share.may_add(1) {
            return false;
        }
        tokio::spawn(async move {
            let turn = share.verifying.acquire().await;
            let acceptance = match self.evidence.verify(&bytes) {
                Ok(evidence) => {
                    let relay = address::peer_of(evidence.relay());
                    if self.evidence.keep(evidence) {
                        relay.into_iter().for_each(|relay| self.note(relay, PeerReputation::record_evidence));
                        MessageAcceptance::Accept
                    } else {
                        MessageAcceptance::Ignore
                    }
                }
                // Who knows later rules may have verified it.
                Err(evidence::Error::Checkpoint(checkpoint::Error::OtherRules(_))) => MessageAcceptance::Ignore,
                Err(error) => {
                    tracing::debug!(%from, %error, "evidence that shows nothing");
                    MessageAcceptance::Reject
                }
            };
            drop((turn, permits));
            self.tell(Command::Report { message, from, acceptance }).await;
        });
        true
    }

    /// Whether an announcement was new here.
    async fn admit_announcement(
        self: &Arc<Self>,
        from: PeerId,
        share: &Share,
        data: &[u8],
    ) -> Result<bool, Unannounced> {
        let record = UnverifiedRecord::decode(data).map_err(|_| Unannounced::Invalid)?;
        if self.shelf.catalogue().record(&record.id()).is_some() {
            return Ok(false);
        }
        if !share.may_add(1) {
            tracing::debug!(%from, "too many new records of one peer: one is left to others");
            return Err(Unannounced::Unknown);
        }
        let records = match record {
            UnverifiedRecord::Inception(inception) => {
                if inception.claims_work() && !share.may_add(policy::IDENTITY_IN_RECORDS) {
                    return Err(Unannounced::Unknown);
                }
                let verified = self.verify(|shelf| inception.verify(shelf.network())).await;
                vec![Record::Inception(verified.ok_or(Unannounced::Unknown)?.map_err(|_| Unannounced::Invalid)?)]
            }
            record => {
                let publisher = record.publisher();
                if self.shelf.lacks_work_of(&publisher) && !share.may_add(policy::IDENTITY_IN_RECORDS) {
                    tracing::debug!(%from, "too many new publishers of one peer: one is left to others");
                    return Err(Unannounced::Unknown);
                }
                let known = self.shelf.catalogue().key_log(&publisher).cloned();
                let (key_log, mut records) = match known {
                    Some(key_log) => (key_log, Vec::new()),
                    None => self.fetch_key_log(from, publisher).await.ok_or(Unannounced::Unknown)?,
                };
                records.push(
                    record.verify(Some(&key_log), self.shelf.network()).map_err(|error| Unannounced::of(&error))?,
                );
                records
            }
        };
        let new = self.shelf.count_new(&records);
        if records.first().is_some_and(|record| !self.peers.may_add_of(record.publisher(), new)) {
            tracing::debug!(%from, "too many new records of one publisher: one is left to others");
            return Err(Unannounced::Unknown);
        }
        // The one itself is counted; a key log may be hundreds of records.
        share.wait_to_add(new.saturating_sub(1)).await;
        let content: Vec<Content> = contents(&records).collect();
        // It waits here for its rotation, as it will elsewhere.
        let is_page = records.iter().all(|record| record.kind() == Kind::KeepPage);
        let admitted = match check_created(&records, now()) {
            Ok(()) => self.shelf.admit(records, Vec::new()).await,
            Err(error) => Err(error),
        };
        match admitted {
            Ok(receipt) if receipt.new.is_empty() => Ok(is_page),
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

    async fn fetch_key_log(&self, from: PeerId, publisher: PublisherId) -> Option<(KeyLog, Vec<Record>)> {
        for relay in self.to_ask(from).await {
            let asked = timeout(policy::KEY_LOG_TIMEOUT, self.fetch_key_log_from(relay, publisher)).await;
            if let Ok(Ok(Some(found))) = asked {
                return Some(found);
            }
        }
        None
    }

    /// Asks a relay for a key log. None: it gave none. An error: what it gave is none.
    pub(super) async fn fetch_key_log_from(
        &self,
        relay: PeerId,
        publisher: PublisherId,
    ) -> Result<Option<(KeyLog, Vec<Record>)>, record::Error> {
        let Some(mut stream) = self.open(relay, names::QUERY).await else { return Ok(None) };
        let asked = exchange::ask(&mut stream, KeyLogOf { publisher }, DEFAULT_WINDOW_BYTES).await;
        let Ok(answer) = asked else { return Ok(None) };
        let verify = move |shelf: &Shelf| KeyLog::verify(&answer.events, publisher, shelf.network());
        let Some(verified) = self.verify(verify).await else { return Ok(None) };
        verified.map(|key_log| Some((key_log.clone(), key_log.into_records())))
    }

    /// Signatures, and the work of new publishers: on a thread that serves nobody meanwhile, and few at a time. None when the relay stops.
    pub(super) async fn verify<T: Send + 'static>(
        &self,
        verify: impl FnOnce(&Shelf) -> T + Send + 'static,
    ) -> Option<T> {
        let turn = self.verifying.clone().acquire_owned().await.ok()?;
        let shelf = self.shelf.clone();
        // The thread goes on when nobody waits for it any more, so it keeps its turn.
        let verifying = tokio::task::spawn_blocking(move || {
            let verified = verify(&shelf);
            drop(turn);
            verified
        });
        verifying.await.ok()
    }

    /// What each peer uses.
    pub(super) const fn peers(&self) -> &Peers {
        &self.peers
    }

    /// The relays that are connected.
    pub(super) async fn relays(&self) -> Vec<PeerId> {
        let (relays, connected) = oneshot::channel();
        self.tell(Command::Relays { relays }).await;
        connected.await.unwrap_or_default()
    }

    /// Whom to ask for what belongs to an announcement: whoever passed it on, in most cases the relay that took it; then some
    /// other relays, so that one that only passes on does not keep an announcement from us, and neither does a light peer.
    async fn to_ask(&self, from: PeerId) -> Vec<PeerId> {
        let mut others = self.relays().await;
        others.retain(|relay| *relay != from);
        let first = self.next_other.fetch_add(1, Ordering::Relaxed) % others.len().max(1);
        others.rotate_left(first);
        others.truncate(policy::MAX_OTHERS_ASKED);
        others.insert(0, from);
        others
    }

    /// Fetches what an announced release consists of.
    pub(super) fn fetch_content(self: Arc<Self>, from: PeerId, content: Vec<Content>) {
        let share = self.peers.of(from);
        let Some(permits) = both(&self.fetches, &share.fetches) else {
            tracing::debug!(%from, "too much content is to be fetched: that of a release is later");
            content.into_iter().for_each(|content| self.lacking.note(content));
            return;
        };
        tokio::spawn(async move {
            let own_turn = share.fetching.acquire().await;
            let turn = self.fetching.acquire().await;
            for content in content {
                self.fetch(from, content).await;
            }
            drop((own_turn, turn, permits));
        });
    }

    /// Fetches content from one relay, or from some others. What none of them has is asked for again later; what the operator excludes is not asked for.
    pub(super) async fn fetch(self: &Arc<Self>, from: PeerId, content: Content) {
        if self.shelf.withholds(&content.cid) {
            return;
        }
        let bytes = usize::try_from(content.size).unwrap_or(usize::MAX);
        match timeout(policy::upload_timeout(bytes), self.fetch_from(self.to_ask(from).await, content)).await {
            Ok(Ok(())) => return,
            Ok(Err(error)) => tracing::debug!(cid = %content.cid, %error, "content could not be fetched"),
            Err(_) => tracing::debug!(cid = %content.cid, "content was sent too slowly"),
        }
        self.lacking.note(content);
    }

    async fn fetch_from(self: &Arc<Self>, relays: Vec<PeerId>, content: Content) -> anyhow::Result<()> {
        let assembler = Assembler::checking_only(content)?;
        let incoming = Incoming::new(self.shelf.store());
        let providers = stream::iter(relays.into_iter().map(|peer| {
            let score = self.reputations.of(&peer).score(super::now());
            bitswap::Candidate { peer, in_flight: MAX_BLOCKS_IN_FLIGHT, score }
        }));
        let mut tally = Tally::new(self.reputations.peers(), super::now);
        let work = self.clone();
        let opener: bitswap::Opener = Arc::new(move |peer| {
            let work = work.clone();
            Box::pin(async move { work.open_on(peer, names::BITSWAP).await })
        });
        let on_event = |event| {
            tally.take(&event);
            if let bitswap::Event::Dropped(dropped) = event {
                tracing::debug!(%dropped, "a provider of content was dropped");
            }
        };
        let sources = (&incoming, &NoGateways);
        let fetched = bitswap::download(&self.exchange, &opener, assembler, sources, providers, on_event).await;
        drop(tally);
        fetched?;
        Ok(incoming.commit().await?)
    }

    /// A package head that someone put into the DHT: valid, it is kept like any other publication.
    pub(super) fn head_put(self: Arc<Self>, source: PeerId, key: Vec<u8>, value: Vec<u8>) {
        let share = self.peers.of(source);
        if !share.may_put_head() {
            return tracing::debug!(%source, "too many package heads of one peer: one is left to others");
        }
        let Some(permits) = both(&self.verifying_heads, &share.verifying_heads) else { return };
        tokio::spawn(async move {
            let is_new = head::package_of(&key).is_ok_and(|package| self.shelf.lacks_work_of(&package.publisher));
            if is_new && !share.may_add(policy::IDENTITY_IN_RECORDS) {
                return tracing::debug!(%source, "too many new publishers of one peer: a package head is not looked at");
            }
            let verified = self.verify(move |shelf| head::verify(&key, &value, shelf.network())).await;
            match verified {
                None => {}
                Some(Ok((key_log, release))) => {
                    let mut records = key_log.into_records();
                    records.push(Record::Release(Box::new(release)));
                    let new = self.shelf.count_new(&records);
                    let publisher = records.first().map(Record::publisher);
                    let may_add = || share.may_add(new) && publisher.is_none_or(|it| self.peers.may_add_of(it, new));
                    if new > 0 && !may_add() {
                        tracing::debug!(%source, "too many new records of one peer or publisher: a package head is not kept");
                    } else if let Err(error) = self.keep_head(records).await {
                        tracing::debug!(%source, %error, "a package head is not kept");
                    }
                }
                Some(Err(error)) => tracing::debug!(%source, %error, "a package head is refused"),
            }
            drop(permits);
        });
    }

    async fn keep_head(&self, records: Vec<Record>) -> Result<Receipt, AdmitError> {
        check_created(&records, now())?;
        self.keep(records, Vec::new()).await
    }

    pub(super) async fn open(&self, peer: PeerId, protocol: &'static str) -> Option<Stream> {
        self.open_on(peer, protocol).await.ok()
    }

    async fn open_on(&self, peer: PeerId, protocol: &'static str) -> Result<Stream, OpenError> {
        let (opened, stream) = futures::channel::oneshot::channel();
        self.tell(Command::Open { peer, protocol, opened }).await;
        match timeout(policy::QUESTION_TIMEOUT, stream).await {
            Ok(Ok(stream)) => stream,
            // The connection ended, or does not let a stream through.
            _ => Err(OpenError::NotConnected),
        }
    }

    fn webrtc(&self) -> MutexGuard<'_, HashSet<PeerId>> {
        self.webrtc.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that a peer has a connection over WebRTC: small messages harm no other connection of it.
    pub(super) fn note_webrtc(&self, peer: PeerId) {
        self.webrtc().insert(peer);
    }

    /// Notes that a peer is not connected any more.
    pub(super) fn disconnected(&self, peer: PeerId) {
        self.webrtc().remove(&peer);
        self.peers.disconnected(&peer);
        self.exchange.disconnected(peer);
    }

    pub(super) async fn tell(&self, command: Command) {
        // The node has stopped when the send fails, and with it all reason to tell it anything.
        _ = self.commands.send(command).await;
    }
}

impl blocks::Host for Work {
    fn wants(&self) -> &Wants {
        &self.wants
    }

    fn exchange(&self) -> &Exchange<Tokio> {
        &self.exchange
    }

    async fn has_block(&self, cid: &ContentId) -> bool {
        !self.shelf.withholds(cid) && self.shelf.store().has_block(cid).await.unwrap_or(false)
    }

    async fn block(&self, cid: &ContentId) -> Option<Vec<u8>> {
        self.answer.block(cid).await
    }

    async fn open_bitswap(&self, peer: PeerId) -> Option<Stream> {
        self.open(peer, names::BITSWAP).await
    }

    fn takes_large_messages(&self, peer: &PeerId) -> bool {
        !self.webrtc().contains(peer)
    }
}

/// A permit of everyone's and one of a peer's own, if there are both.
fn both(all: &Arc<Semaphore>, own: &Arc<Semaphore>) -> Option<[OwnedSemaphorePermit; 2]> {
    Some([own.clone().try_acquire_owned().ok()?, all.clone().try_acquire_owned().ok()?])
}

/// Seconds since 1970.
fn now() -> u64 {
    super::now().as_secs()
}

/// Asks for blocks and reads them, each in the time that one may take: who sends nothing does not keep the room for the rest.
async fn read_blocks(
    stream: &mut Stream,
    wanted: Vec<ContentId>,
) -> Result<Vec<(ContentId, Vec<u8>)>, exchange::Error> {
    let reply: WantedReply = Ok(Wanted { blocks: wanted.clone() });
    in_time(policy::ANSWER_TIMEOUT, exchange::write_message(stream, &reply)).await?;
    let mut blocks = Vec::new();
    for cid in wanted {
        let block = in_time(policy::upload_timeout(MAX_BLOCK_BYTES), exchange::read_block(stream, cid)).await?;
        blocks.push((cid, block));
    }
    Ok(blocks)
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

#[cfg(test)]
#[path = "pace_tests.rs"]
mod tests;
