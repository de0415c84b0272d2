//! The handle to a light peer: what callers await.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::channel::{mpsc, oneshot};
use futures::future::{Either, select};
use futures::{SinkExt, Stream as Several, StreamExt, pin_mut, stream};
use ggen_shared::client::{Dossier, Evidence};
use ggen_shared::content::session::{self, Dropped};
use ggen_shared::content::{self, Assembler};
use ggen_shared::id::{Network, PackageId, PublicKey};
use ggen_shared::limits::{
    CHUNK_BYTES, MAX_BLOCKS_IN_FLIGHT, MAX_BLOCKS_IN_FLIGHT_WEBRTC, MAX_PROVIDERS, WEBRTC_WINDOW_BYTES,
};
use ggen_shared::protocol::publish::{Offer, Receipt};
use ggen_shared::protocol::query::{Ask, Question, Request};
use ggen_shared::protocol::{head, names};
use ggen_shared::record::{Content, ContentId, KeyLog, Release, Verified};
use ggen_shared::reputation::{PeerReputation, Reputations};
use ggen_shared::rules::{Rules, Schedule};
use libp2p::{Multiaddr, PeerId, Stream};

use super::platform::Platform;
use crate::address::Transport;
use crate::bitswap::{self, Blocks, Candidate, Exchange, Gateways, NoBlocks, NoGateways, Opener, Tally};
use crate::in_turn::InTurn;
use crate::{P2PConfig, address, exchange, streams};

/// Answers to one DHT lookup that are looked at before the lookup counts as failed.
const MAX_HEADS: usize = 8;

/// How long further heads are waited for once one was found.
const SECOND_OPINION: Duration = Duration::from_secs(1);

/// How long the connected relays have for content of one block before the DHT is asked who else has it.
const PATIENCE: Duration = Duration::from_secs(1);

/// What handles and the driver share.
pub(super) type Shared<T> = Arc<Mutex<T>>;

/// What a handle asks of the driver.
pub(super) enum Command {
    Open { peer: PeerId, protocol: &'static str, opened: oneshot::Sender<Result<Stream, streams::OpenError>> },
    AddRelay { address: Multiaddr },
    GetHead { key: Vec<u8>, found: mpsc::Sender<HeadFound> },
    PutHead { key: Vec<u8>, value: Vec<u8>, done: oneshot::Sender<Result<(), String>> },
    FindProviders { key: Vec<u8>, found: mpsc::Sender<PeerId> },
    Announce { record: Vec<u8>, done: oneshot::Sender<Result<(), String>> },
    Accuse { evidence: Box<Evidence> },
    Close,
}

/// A value that the DHT gave, not looked at.
pub(super) struct HeadFound {
    pub(super) from: Option<PeerId>,
    pub(super) value: Vec<u8>,
}

/// Where a connection is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Phase {
    /// Being dialed.
    Connecting,
    /// In use.
    Connected,
    /// To be dialed again after a pause.
    Waiting,
}

/// A relay that we are, want to be, or were connected to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// Who it is.
    pub peer: PeerId,
    /// The address in use, or the first that is tried.
    pub address: Multiaddr,
    /// The transport of that address.
    pub transport: Transport,
    /// Whether it was named by the user, the page or the configuration: only then its agreement counts.
    pub anchor: bool,
    /// Where it is in its life.
    pub phase: Phase,
    /// The last round trip.
    pub rtt: Option<Duration>,
    /// What went wrong last.
    pub problem: Option<String>,
}

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No relay is connected.
    #[error("no relay can be reached")]
    Unreachable,
    /// The relay did not answer in time.
    #[error("the relay did not answer within {} s", .0.as_secs())]
    Timeout(Duration),
    /// The stream could not be opened.
    #[error(transparent)]
    Open(#[from] streams::OpenError),
    /// The exchange failed.
    #[error(transparent)]
    Exchange(#[from] exchange::Error),
    /// The light peer was closed.
    #[error("the client is closed")]
    Closed,
}

/// Why content could not be had.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// Nobody could be asked.
    #[error(transparent)]
    Ask(#[from] AskError),
    /// Nobody who was asked holds a block of it.
    #[error("nobody who can be reached holds the block {0}")]
    NotFound(ContentId),
    /// No provider is left that could send a block.
    #[error("{}", session::Error::NoProvider { cid: *cid, dropped: dropped.clone() })]
    NoProvider {
        /// The block that is missing.
        cid: ContentId,
        /// Those that were asked and dropped, and why.
        dropped: Vec<Dropped<PeerId>>,
    },
    /// The content itself is bad: not what was promised.
    #[error(transparent)]
    Content(#[from] content::Error),
}

impl From<session::Error<PeerId>> for FetchError {
    fn from(error: session::Error<PeerId>) -> Self {
        match error {
            session::Error::Content(error) => error.into(),
            session::Error::NotFound(cid) => Self::NotFound(cid),
            session::Error::NoProvider { dropped, .. } if dropped.is_empty() => AskError::Unreachable.into(),
            session::Error::NoProvider { cid, dropped } => Self::NoProvider { cid, dropped },
        }
    }
}

impl FetchError {
    /// A stable code for programs, such as `content/not-found`; none for what asking brought about.
    pub fn code(&self) -> Option<&'static str> {
        match self {
            Self::Ask(_) => None,
            Self::NotFound(_) => Some("content/not-found"),
            Self::NoProvider { dropped, .. } if dropped.iter().any(|dropped| dropped.reason.is_fault()) => {
                Some("content/wrong-hash")
            }
            Self::NoProvider { .. } => Some("content/no-provider"),
            Self::Content(error) => Some(error.code()),
        }
    }
}

/// Why a package head could not be read from the DHT.
#[derive(Debug, thiserror::Error)]
pub enum HeadError {
    /// No DHT server that was reached has it.
    #[error("the DHT holds no head of this package")]
    NotFound,
    /// What came was refused; the first reason.
    #[error("the DHT gave a head that was refused: {0}")]
    Refused(#[from] head::Error),
    /// The light peer was closed.
    #[error("the client is closed")]
    Closed,
}

/// A verified package head, and the DHT server that gave it.
pub type FoundHead = (Option<PeerId>, KeyLog, Verified<Release>);

/// How long a lookup goes on: until its limit, and only [`SECOND_OPINION`] after the first head, given as (now, then).
fn remaining(limit: Duration, first: Option<(Duration, Duration)>) -> Option<Duration> {
    match first {
        None => Some(limit),
        Some((now, then)) => SECOND_OPINION.checked_sub(now.saturating_sub(then)).filter(|left| !left.is_zero()),
    }
}

/// The head that a package is shown by: the highest version, pre-releases last.
fn newer(best: Option<FoundHead>, found: FoundHead) -> Option<FoundHead> {
    let rank = |head: &FoundHead| (!head.2.version.is_pre_release(), head.2.version.clone());
    Some(match best {
        Some(best) if rank(&best) >= rank(&found) => best,
        _ => found,
    })
}

/// A handle to a running light peer. Clones share it; it stops when the last one is dropped.
#[derive(Clone)]
pub struct LightPeer<P> {
    commands: mpsc::Sender<Command>,
    platform: P,
    config: Arc<P2PConfig>,
    connections: Shared<Vec<Connection>>,
    reputations: Shared<Reputations<PeerId>>,
    dossier: Shared<Dossier>,
    exchange: Exchange<P>,
}

impl<P: Platform> LightPeer<P> {
    pub(super) fn new(
        commands: mpsc::Sender<Command>,
        platform: P,
        config: P2PConfig,
        (connections, reputations, dossier): (Shared<Vec<Connection>>, Shared<Reputations<PeerId>>, Shared<Dossier>),
        exchange: Exchange<P>,
    ) -> Self {
        Self { commands, platform, config: Arc::new(config), connections, reputations, dossier, exchange }
    }

    /// The network whose records count here.
    pub fn network(&self) -> &Network {
        &self.config.network
    }

    /// The epoch that it is now.
    pub fn epoch(&self) -> u64 {
        let epoch = self.platform.now().as_nanos() / self.config.epoch.as_nanos().max(1);
        u64::try_from(epoch).unwrap_or(u64::MAX)
    }

    /// How long an epoch of the network is.
    pub fn epoch_length(&self) -> Duration {
        self.config.epoch
    }

    /// When the epoch that it is now ends, since 1970.
    pub(crate) fn epoch_end(&self) -> Duration {
        self.config.epoch.saturating_mul(u32::try_from(self.epoch() + 1).unwrap_or(u32::MAX))
    }

    /// The rules that hold now.
    pub fn rules(&self) -> Rules {
        self.config.rules.at(self.epoch())
    }

    /// The rules that are known.
    pub fn schedule(&self) -> &Schedule {
        &self.config.rules
    }

    /// The platform the peer runs on.
    pub const fn platform(&self) -> &P {
        &self.platform
    }

    /// All relays, as they were when something last changed.
    pub fn connections(&self) -> Vec<Connection> {
        self.connections.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The relays that can be asked now, the most reliable first.
    pub fn connected(&self) -> Vec<PeerId> {
        let now = self.platform.now();
        let mut connected: Vec<(f64, PeerId)> = Vec::new();
        // A few relays are put in their place one by one: a general sort is one more copy of it in a browser's download.
        for connection in self.connections().into_iter().filter(|connection| connection.phase == Phase::Connected) {
            let score = self.reputation(&connection.peer).score(now);
            let place = connected.iter().position(|(other, _)| *other < score).unwrap_or(connected.len());
            connected.insert(place, (score, connection.peer));
        }
        connected.into_iter().map(|(_, peer)| peer).collect()
    }

    /// What is thought of a peer, from what it did and what of that verified.
    pub fn reputation(&self, peer: &PeerId) -> PeerReputation {
        self.thought_of().of(peer)
    }

    /// What is thought of all peers that something is known of: to be kept, and given to [`Self::remember`] next time.
    pub fn reputations(&self) -> Vec<(PeerId, PeerReputation)> {
        self.thought_of().all().to_vec()
    }

    /// Takes what was thought of peers before. Of those that something is known of by now, that stays.
    pub fn remember(&self, before: impl IntoIterator<Item = (PeerId, PeerReputation)>) {
        self.thought_of().remember(before, self.platform.now());
    }

    /// Notes that a peer sent what does not verify.
    pub fn note_fault(&self, peer: PeerId) {
        self.note(peer, |reputation, now| reputation.record_fault(now));
    }

    /// Evidence against relays that was found here, or by others about relays that are known here; the last pieces.
    pub fn evidence(&self) -> Vec<Evidence> {
        self.dossier().all().cloned().collect()
    }

    /// Keeps evidence that was found here, thinks less of whom it convicts, and tells everybody of it, if it is news.
    pub(crate) fn accuse(&self, evidence: Evidence) {
        let connections = self.connections();
        let is_anchor = |relay: &PublicKey| {
            let relay = address::peer_of(relay);
            connections.iter().any(|connection| connection.anchor && Some(connection.peer) == relay)
        };
        if self.dossier().keep(evidence.clone(), is_anchor) {
            if let Some(relay) = address::peer_of(evidence.relay()) {
                self.note(relay, PeerReputation::record_evidence);
            }
            // Without a driver there is nobody to tell.
            _ = self.commands.clone().try_send(Command::Accuse { evidence: Box::new(evidence) });
        }
    }

    fn dossier(&self) -> MutexGuard<'_, Dossier> {
        self.dossier.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note(&self, peer: PeerId, note: impl FnOnce(&mut PeerReputation, Duration)) {
        self.thought_of().note(peer, self.platform.now(), note);
    }

    fn thought_of(&self) -> MutexGuard<'_, Reputations<PeerId>> {
        self.reputations.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a relay to stay connected to; the address ends in `/p2p/<peer id>`.
    ///
    /// # Errors
    /// [`AskError::Closed`].
    pub async fn add_relay(&self, address: Multiaddr) -> Result<(), AskError> {
        self.send(Command::AddRelay { address }).await
    }

    /// Asks one relay. The records in the answer are not verified yet.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn ask<Q: Question>(&self, peer: PeerId, question: Q) -> Result<Q::Answer, AskError> {
        self.ask_by(peer, question, self.rules()).await
    }

    /// As [`Self::ask`], by some rules rather than those that hold now: what follows on an earlier answer is asked by the rules of that one.
    ///
    /// # Errors
    /// As [`Self::ask`].
    pub async fn ask_by<Q: Question>(&self, peer: PeerId, question: Q, rules: Rules) -> Result<Q::Answer, AskError> {
        // On the heap: it holds buffers, and whoever asks several things after each other would hold as many of them.
        let reply = Box::pin(self.ask_bytes(peer, question.into_request(), rules)).await?;
        self.read_answer::<Q>(peer, &reply)
    }

    /// What a relay's reply says.
    pub(crate) fn read_answer<Q: Question>(&self, peer: PeerId, reply: &[u8]) -> Result<Q::Answer, AskError> {
        exchange::answer_of::<Q>(reply).map_err(|error| {
            if matches!(error, exchange::Error::Protocol(_)) {
                self.note_fault(peer);
            }
            error.into()
        })
    }

    /// Asks connected relays the same by some rules, the most reliable first: one outcome after the other, as [`InTurn`] has it.
    pub(crate) fn ask_in_turn(
        &self,
        request: Request,
        rules: Rules,
    ) -> impl Several<Item = (PeerId, Result<Vec<u8>, AskError>)> + '_ {
        let ask = move |relay| {
            let request = request.clone();
            async move { (relay, self.ask_bytes(relay, request, rules).await) }
        };
        // It has its turn after others the next time.
        let on_silence = |relay| self.note(relay, PeerReputation::record_failure);
        let turns = InTurn::new(self.platform.clone(), self.connected(), ask, on_silence);
        stream::unfold(turns, |mut turns| async move { turns.next().await.map(|outcome| (outcome, turns)) })
    }

    /// As [`Self::ask`], whatever the question: one state machine for all of them, which a browser has to download.
    async fn ask_bytes(&self, peer: PeerId, request: Request, rules: Rules) -> Result<Vec<u8>, AskError> {
        let limit = self.config.request_timeout;
        let window = self
            .connections()
            .iter()
            .find(|connection| connection.peer == peer)
            .map_or(WEBRTC_WINDOW_BYTES, Connection::window);
        let asked = self.platform.now();
        let reply = self
            .within(limit, async {
                let mut stream = self.open(peer, names::QUERY).await?;
                Ok(exchange::ask_bytes(&mut stream, &Ask { window, rules: rules.number, request }).await?)
            })
            .await
            .unwrap_or(Err(AskError::Timeout(limit)));
        match &reply {
            Ok(_) => self.note(peer, |reputation, now| reputation.record_success(now, now.saturating_sub(asked))),
            Err(AskError::Exchange(exchange::Error::Protocol(_))) => self.note_fault(peer),
            Err(_) => self.note(peer, PeerReputation::record_failure),
        }
        reply
    }

    /// Hands records and their content to one relay, and returns once it says that they are durable there.
    ///
    /// # Errors
    /// [`AskError`]; the offer may be made again.
    pub async fn publish(
        &self,
        peer: PeerId,
        offer: &Offer,
        block: impl FnMut(&ContentId) -> Option<Vec<u8>>,
    ) -> Result<Receipt, AskError> {
        // Content takes longer than a question: as long as the largest artifact at a modem's pace is not waited for.
        let limit = self.config.request_timeout * 30;
        self.within(limit, async {
            let mut stream = self.open(peer, names::PUBLISH).await?;
            Ok(exchange::publish(&mut stream, offer, block).await?)
        })
        .await
        .unwrap_or(Err(AskError::Timeout(limit)))
    }

    /// Fetches content, as [`Self::fetch_with`] does, and keeps none of it.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn fetch(&self, content: Content) -> Result<Vec<u8>, FetchError> {
        self.fetch_with(content, (&NoBlocks, &NoGateways), |_| {}).await
    }

    /// Fetches content as [`Self::fetch_into`] does, and gives its bytes.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn fetch_with(
        &self,
        content: Content,
        sources: (&impl Blocks, &impl Gateways),
        on_event: impl FnMut(bitswap::Event),
    ) -> Result<Vec<u8>, FetchError> {
        Ok(self.assemble(Assembler::new(content)?, sources, on_event).await?.into_bytes()?)
    }

    /// Fetches content from the connected relays, and others that the DHT names, several at once: each block is checked against
    /// its hash, what `blocks` has already is not fetched, relays that have one of `gateways` are asked through it, connected or not, and
    /// `on_event` is told how far it is. All of it is in `blocks` then, and held nowhere else. Dropping the future cancels it.
    ///
    /// # Errors
    /// [`FetchError`].
    pub async fn fetch_into(
        &self,
        content: Content,
        sources: (&impl Blocks, &impl Gateways),
        on_event: impl FnMut(bitswap::Event),
    ) -> Result<(), FetchError> {
        self.assemble(Assembler::checking_only(content)?, sources, on_event).await.map(drop)
    }

    async fn assemble(
        &self,
        assembler: Assembler,
        (blocks, gateways): (&impl Blocks, &impl Gateways),
        mut on_event: impl FnMut(bitswap::Event),
    ) -> Result<Assembler, FetchError> {
        let mut tally = Tally::new(&self.reputations, || self.platform.now());
        let note = |event: bitswap::Event| {
            tally.take(&event);
            on_event(event);
        };
        let providers = self.providers(assembler.content(), gateways.peers());
        // On the heap: it holds a whole download's state, and callers would hold it once more.
        let (opener, sources) = (self.opener(), (blocks, gateways));
        let fetched = Box::pin(bitswap::download(&self.exchange, &opener, assembler, sources, providers, note)).await;
        drop(tally);
        Ok(fetched?)
    }

    fn opener(&self) -> Opener {
        let peer = self.clone();
        Arc::new(move |provider| {
            let peer = peer.clone();
            Box::pin(async move { peer.open_on(provider, names::BITSWAP).await })
        })
    }

    /// Whom to ask for content: the connected relays, those that have a gateway, and those that the DHT names.
    fn providers(&self, content: Content, gateways: Vec<PeerId>) -> impl Several<Item = Candidate> + '_ {
        // Nobody is taken twice.
        let connected = stream::iter(self.connected().into_iter().chain(gateways));
        let found = async move {
            // What is small is there before the DHT has answered, if the relays have it.
            if content.size <= CHUNK_BYTES as u64 {
                self.platform.sleep(PATIENCE).await;
            }
            let (found, providers) = mpsc::channel(MAX_PROVIDERS);
            if self.config.find_providers {
                // Without a driver nobody is found.
                _ = self.send(Command::FindProviders { key: content.cid.multihash_bytes(), found }).await;
            }
            // The lookup is a question, and to be connected another one.
            providers.take_until(self.platform.sleep(self.config.request_timeout * 2))
        };
        connected.chain(stream::once(found).flatten()).map(|peer| Candidate {
            peer,
            in_flight: self.in_flight(&peer),
            score: self.reputation(&peer).score(self.platform.now()),
        })
    }

    /// Blocks that a peer may be asked for ahead.
    fn in_flight(&self, peer: &PeerId) -> usize {
        match self.connections().iter().find(|connection| connection.peer == *peer) {
            Some(connection) if connection.transport != Transport::WebRtcDirect => MAX_BLOCKS_IN_FLIGHT,
            // One that is no relay may be connected in any way.
            _ => MAX_BLOCKS_IN_FLIGHT_WEBRTC,
        }
    }

    /// Reads a package's head from the DHT and verifies it. Works when no connected relay holds the record.
    ///
    /// # Errors
    /// [`HeadError`].
    pub async fn get_head(
        &self,
        package: &PackageId,
    ) -> Result<(Option<PeerId>, KeyLog, Verified<Release>), HeadError> {
        let limit = self.config.request_timeout * 2;
        let key = head::key(package);
        let (found, mut heads) = mpsc::channel(MAX_HEADS);
        self.send(Command::GetHead { key: key.clone(), found }).await.map_err(|_| HeadError::Closed)?;
        let (mut best, mut refusal) = (None, None);
        let mut first = None;
        // Any holder may have an old head. What more of them say is waited for only a moment once there is one.
        while let Some(limit) = remaining(limit, first.map(|first| (self.platform.now(), first))) {
            let Some(Some(found)) = self.within(limit, heads.next()).await else { break };
            match head::verify(&key, &found.value, &self.config.network) {
                Ok((key_log, release)) => {
                    first.get_or_insert_with(|| self.platform.now());
                    best = newer(best, (found.from, key_log, release));
                }
                Err(error) => refusal = refusal.or(Some(error)),
            }
        }
        best.ok_or_else(|| refusal.map_or(HeadError::NotFound, HeadError::Refused))
    }

    /// Puts a package's head into the DHT: relays validate it, and keep the records that it carries.
    ///
    /// # Errors
    /// A sentence: no relay took it, or the records are too long for the DHT.
    pub async fn put_head(&self, key_log: &KeyLog, release: &Verified<Release>) -> Result<(), String> {
        let value = head::encode(key_log, release).ok_or("the records are too long for the DHT")?;
        let (done, outcome) = oneshot::channel();
        let command = Command::PutHead { key: head::key(&release.package()), value, done };
        self.send(command).await.map_err(|error| error.to_string())?;
        outcome.await.map_err(|_| AskError::Closed.to_string())?
    }

    /// Announces a signed record by gossip.
    ///
    /// # Errors
    /// A sentence: nobody subscribes, or the record was announced before.
    pub async fn announce(&self, record: Vec<u8>) -> Result<(), String> {
        let (done, outcome) = oneshot::channel();
        self.send(Command::Announce { record, done }).await.map_err(|error| error.to_string())?;
        outcome.await.map_err(|_| AskError::Closed.to_string())?
    }

    /// Stops the peer for all handles.
    pub async fn close(&self) {
        // It is closed already when the send fails.
        _ = self.send(Command::Close).await;
    }

    /// Opens a stream to a connected peer, by a protocol that begins with `/`.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn open(&self, peer: PeerId, protocol: &'static str) -> Result<Stream, AskError> {
        if self.commands.is_closed() {
            return Err(AskError::Closed);
        }
        Ok(self.open_on(peer, protocol).await?)
    }

    async fn open_on(&self, peer: PeerId, protocol: &'static str) -> Result<Stream, streams::OpenError> {
        let (opened, stream) = oneshot::channel();
        let sent = self.send(Command::Open { peer, protocol, opened }).await;
        match stream.await {
            Ok(stream) if sent.is_ok() => stream,
            // The connection or the driver ended before the stream was there.
            _ => Err(streams::OpenError::NotConnected),
        }
    }

    async fn send(&self, command: Command) -> Result<(), AskError> {
        self.commands.clone().send(command).await.map_err(|_| AskError::Closed)
    }

    async fn within<T>(&self, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
        let sleep = self.platform.sleep(limit);
        pin_mut!(work, sleep);
        match select(work, sleep).await {
            Either::Left((result, _)) => Some(result),
            Either::Right(_) => None,
        }
    }
}
