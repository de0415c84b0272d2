//! A download: what its [`Session`] decides, performed.

use futures::channel::mpsc;
use futures::future::{Either, pending};
use futures::{FutureExt, Stream, StreamExt, pin_mut, select};
use ggen_shared::content::bitswap::{Ask, Want};
use ggen_shared::content::session::{Dropped, Effect, Error, Input, Progress, Session};
use ggen_shared::content::{Assembler, Hashed, Repeat, Unhashed};
use ggen_shared::limits::MAX_BLOCKS_IN_FLIGHT_GATEWAY;
use ggen_shared::record::ContentId;
use ggen_shared::registry::MaybeSend;
use libp2p::PeerId;

use super::exchange::{Arrival, Exchange, What};
use super::gateway::{Gates, Gateways};
use super::outbox::{self, Opener};
use crate::light::Platform;

/// Arrivals that may wait for a download: a few blocks, then the streams that they come on are not read.
const ARRIVALS: usize = 4;

/// Where blocks are kept, so that a download that broke off goes on where it was, or the content itself is put together. `at` is where in
/// it a leaf stands, in bytes; nodes stand nowhere.
pub trait Blocks {
    /// The bytes of a block, if they are here. They are hashed again: a disk can lie, too.
    fn get(&self, cid: &ContentId) -> impl Future<Output = Option<Vec<u8>>> + MaybeSend;

    /// Takes note of one that was here, and is right.
    fn found(&self, _block: &Hashed, _at: Option<u64>) {}

    /// Keeps a block. One that can't be kept is fetched again another time.
    fn put(&self, block: &Hashed, at: Option<u64>) -> impl Future<Output = ()> + MaybeSend;

    /// Takes note that what it has stands in a further place.
    fn repeat(&self, _repeat: Repeat) {}
}

/// Keeps nothing.
#[derive(Debug, Clone, Copy)]
pub struct NoBlocks;

impl Blocks for NoBlocks {
    async fn get(&self, _: &ContentId) -> Option<Vec<u8>> {
        None
    }

    async fn put(&self, _: &Hashed, _: Option<u64>) {}
}

/// Who may have the content.
#[derive(Debug, Clone, Copy)]
pub struct Candidate {
    /// Who.
    pub peer: PeerId,
    /// Blocks that it may be asked for ahead.
    pub in_flight: usize,
    /// What is thought of it, from 0 to 1: the best are asked first.
    pub score: f64,
}

/// What happens during a download.
#[derive(Debug, Clone)]
pub enum Event {
    /// More of the content is there, verified.
    Progress(Progress),
    /// A provider sent a block that verified.
    Delivered(PeerId),
    /// A provider was dropped.
    Dropped(Dropped<PeerId>),
    /// A provider was so late with a block that another one has sent it meanwhile.
    Late(PeerId),
}

/// Downloads content: what `blocks` has is not fetched, the rest comes from `providers`; `opener` opens the streams to them, and those
/// that have one of `gateways` are asked through it. Dropping the future cancels what was asked for.
///
/// # Errors
/// [`Error`].
pub async fn download<P: Platform>(
    exchange: &Exchange<P>,
    opener: &Opener,
    assembler: Assembler,
    (blocks, gateways): (&impl Blocks, &impl Gateways),
    providers: impl Stream<Item = Candidate>,
    mut on_event: impl FnMut(Event),
) -> Result<Assembler, Error<PeerId>> {
    let (arrivals, mut inbox) = mpsc::channel(ARRIVALS);
    let mut session = Session::new(assembler);
    let mut gates = Gates::new(exchange.platform(), gateways, arrivals.clone());
    let mut outboxes = Outboxes::begin(exchange, opener, arrivals);
    let providers = providers.fuse();
    pin_mut!(providers);
    let (mut input, mut told) = (Input::Time, None);
    let (mut alarm_at, mut alarm) = (None, Either::Right(pending()));
    loop {
        for effect in session.handle(input, exchange.platform().now()) {
            match effect {
                Effect::Send { to, wants } if gates.has(&to) => {
                    gates.send(to, &wants, session.content(), |cid| session.start_of(cid), |cid| session.range_of(cid));
                }
                Effect::Send { to, wants } => outboxes.send(to, wants),
                Effect::Dropped(dropped) => {
                    outboxes.close(&dropped.peer);
                    gates.close(&dropped.peer);
                    on_event(Event::Dropped(dropped));
                }
                Effect::Late(peer) => on_event(Event::Late(peer)),
            }
        }
        session.take_repeats().into_iter().for_each(|repeat| blocks.repeat(repeat));
        let progress = session.progress();
        if told.replace(progress) != Some(progress) {
            on_event(Event::Progress(progress));
        }
        if session.is_complete() {
            return Ok(session.into_assembler());
        }
        if let Some(cid) = session.to_look_up() {
            let found = match blocks.get(&cid).await {
                Some(data) => Some(exchange.platform().hash(Unhashed { is_raw: cid.is_raw(), data }).await),
                None => None,
            };
            let found = found.filter(|block| block.cid() == cid);
            if let Some(block) = &found {
                blocks.found(block, place(&session, block));
            }
            session.looked_up(&cid, found);
            input = Input::Time;
            continue;
        }
        if let Some(error) = session.failure() {
            return Err(error);
        }
        // One that comes too early does no harm, and a new one for each block is a call of the browser.
        if let Some(at) = session.next_step()
            && alarm_at.is_none_or(|alarm_at| at < alarm_at)
        {
            alarm_at = Some(at);
            let pause = at.saturating_sub(exchange.platform().now());
            alarm = Either::Left(Box::pin(exchange.platform().sleep(pause)));
        }
        input = select! {
            Arrival { from, what } = inbox.select_next_some() => match what {
                What::Block(block) => {
                    gates.answered(&from, &block.cid());
                    Input::Block { from, block }
                }
                What::Presence(cid, has) => {
                    gates.answered(&from, &cid);
                    Input::Presence { from, cid, has }
                }
                What::Failed(reason) => Input::Failed { peer: from, reason },
                What::Missed(cid) => {
                    gates.ask_for_one(from, cid);
                    Input::Time
                }
                What::Closed => {
                    tracing::debug!(%from, "a gateway is given up");
                    let wants = gates.close(&from).into_iter().map(|cid| Want::new(cid, Ask::Block)).collect();
                    outboxes.send(from, wants);
                    Input::Time
                }
            },
            provider = providers.next() => match provider {
                Some(Candidate { peer, score, .. }) if gates.has(&peer) => {
                    Input::Provider { peer, in_flight: MAX_BLOCKS_IN_FLIGHT_GATEWAY, in_runs: true, score }
                }
                Some(Candidate { peer, in_flight, score }) => Input::Provider { peer, in_flight, in_runs: false, score },
                None => Input::NoMoreProviders,
            },
            () = (&mut alarm).fuse() => {
                (alarm_at, alarm) = (None, Either::Right(pending()));
                Input::Time
            }
        };
        if let Input::Block { from, block } = &input
            && session.is_wanted(&block.cid())
        {
            blocks.put(block, place(&session, block)).await;
            on_event(Event::Delivered(*from));
        }
    }
}

/// Where a block stands in the content, if it is a leaf of the length that belongs there.
fn place<P: Clone + PartialEq + std::fmt::Display>(session: &Session<P>, block: &Hashed) -> Option<u64> {
    let range = session.range_of(&block.cid())?;
    (range.end - range.start == block.data().len() as u64).then_some(range.start)
}

/// What a download sends to its providers. When it is dropped, however that comes, what was asked for is cancelled.
struct Outboxes<'a, P: Platform> {
    exchange: &'a Exchange<P>,
    opener: &'a Opener,
    download: u64,
    open: Vec<(PeerId, mpsc::Sender<Vec<Want>>)>,
}

impl<'a, P: Platform> Outboxes<'a, P> {
    fn begin(exchange: &'a Exchange<P>, opener: &'a Opener, arrivals: mpsc::Sender<Arrival>) -> Self {
        Self { exchange, opener, download: exchange.begin(arrivals), open: Vec::new() }
    }

    fn send(&mut self, to: PeerId, wants: Vec<Want>) {
        let wants = self.exchange.note(self.download, to, wants);
        self.push(to, wants);
    }

    fn push(&mut self, to: PeerId, wants: Vec<Want>) {
        if !wants.is_empty() {
            let position = self.open.iter().position(|(peer, _)| *peer == to).unwrap_or_else(|| {
                self.open.push((to, outbox::start(self.exchange, self.opener, to)));
                self.open.len() - 1
            });
            // A provider that takes nothing is silent, and is dropped for it.
            _ = self.open[position].1.try_send(wants);
        }
    }

    fn close(&mut self, peer: &PeerId) {
        self.open.retain(|(open, _)| open != peer);
    }
}

impl<P: Platform> Drop for Outboxes<'_, P> {
    fn drop(&mut self) {
        for (peer, cancelled) in self.exchange.end(self.download) {
            if self.open.iter().any(|(open, _)| *open == peer) {
                self.push(peer, cancelled);
            }
        }
    }
}
