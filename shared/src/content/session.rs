//! A download from several providers at once, as a pure state machine: what happened goes in, what to send comes out.
//!
//! Providers stand in the order of what is thought of them, the best first. Each is asked for a few blocks ahead, more of them while it
//! delivers, and no two for the same block unless the first is slow about it. Whoever sends what was not asked of it, or
//! nothing for too long, is dropped with the reason. Every block is hashed before it comes here, and [`Assembler`] checks that
//! it is what the promised size puts in its place.

mod provider;

use std::collections::VecDeque;
use std::fmt;
use std::ops::Range;
use std::time::Duration;

use self::provider::Provider;
use super::bitswap::{self, Ask, Want};
use super::{Assembler, Error as ContentError, Hashed, Repeat};
use crate::limits::{MAX_PROVIDERS, MAX_PROVIDERS_TRIED};
use crate::record::{Content, ContentId};

/// A provider that delivers nothing for this long is slow: what it was asked for is asked of others as well, and it is asked
/// for nothing more until it delivers.
pub const SLOW: Duration = Duration::from_secs(4);
/// A provider that delivers nothing for this long is dropped. A block takes as long over a modem.
pub const SILENT: Duration = Duration::from_secs(30);
/// When nothing else is left to ask for, a block that one provider has not delivered for this long is asked of another.
pub const IMPATIENT: Duration = Duration::from_secs(1);

/// Something that happened.
#[derive(Debug)]
pub enum Input<P> {
    /// A peer that may have the content can be asked.
    Provider {
        /// Who.
        peer: P,
        /// Blocks that it may be asked for ahead.
        in_flight: usize,
        /// Whether it is asked for many blocks at once that follow each other, because each time costs something.
        in_runs: bool,
        /// What is thought of it: the highest is asked first, of equal ones whoever was named first.
        score: f64,
    },
    /// All providers that there are were named.
    NoMoreProviders,
    /// A block came.
    Block {
        /// From whom.
        from: P,
        /// The block.
        block: Hashed,
    },
    /// A provider says whether it has a block.
    Presence {
        /// Who.
        from: P,
        /// Which block.
        cid: ContentId,
        /// Whether it has it.
        has: bool,
    },
    /// A provider can't be used any more.
    Failed {
        /// Who.
        peer: P,
        /// Why.
        reason: Reason,
    },
    /// Nothing, but [`Session::next_step`] has come.
    Time,
}

/// What to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect<P> {
    /// Send wants.
    Send {
        /// To whom.
        to: P,
        /// What it is asked, or not any more.
        wants: Vec<Want>,
    },
    /// A provider was dropped.
    Dropped(Dropped<P>),
    /// A provider was so late with a block that another one has sent it meanwhile; told once.
    Late(P),
}

/// A provider that was dropped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped<P> {
    /// Who.
    pub peer: P,
    /// Why.
    pub reason: Reason,
}

impl<P: fmt::Display> fmt::Display for Dropped<P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.peer, self.reason)
    }
}

/// Why a provider was dropped.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// It sent a block that it was not asked for; of its name this is all that is known.
    #[error("sent bytes that were not asked for, with the hash {0}")]
    WrongBlock(ContentId),
    /// It sent what is no message.
    #[error("broke the protocol: {0}")]
    Malformed(#[from] bitswap::Error),
    /// Its gateway sent what is no archive of what it was asked for.
    #[error("sent no archive of blocks: {0}")]
    NoArchive(String),
    /// It delivered nothing for too long.
    #[error("delivered nothing for {} s", .0.as_secs())]
    Silent(Duration),
    /// It is not connected, or does not speak the protocol.
    #[error("can't be asked: {0}")]
    Unreachable(String),
}

impl Reason {
    /// Whether no honest provider does this.
    pub const fn is_fault(&self) -> bool {
        matches!(self, Self::WrongBlock(_) | Self::Malformed(_) | Self::NoArchive(_))
    }
}

/// Why a download failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error<P: fmt::Display> {
    /// The content itself is bad: no provider has better.
    #[error(transparent)]
    Content(#[from] ContentError),
    /// Every provider says that it lacks a block.
    #[error("no provider has the block {0}")]
    NotFound(ContentId),
    /// No provider is left.
    #[error("no provider is left for the block {cid}{}", listed(.dropped))]
    NoProvider {
        /// A block that is missing.
        cid: ContentId,
        /// Those that were dropped, and why.
        dropped: Vec<Dropped<P>>,
    },
}

fn listed<P: fmt::Display>(dropped: &[Dropped<P>]) -> String {
    let each: Vec<_> = dropped.iter().map(ToString::to_string).collect();
    if each.is_empty() { String::new() } else { format!(": {}", each.join("; ")) }
}

/// How far a download has come, in bytes of the content.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Progress {
    /// Bytes that are there and verified.
    pub done: u64,
    /// Bytes of all of it.
    pub total: u64,
}

/// A block that is wanted.
#[derive(Debug)]
struct Wanted {
    cid: ContentId,
    /// Whether it was looked for at home: before, nobody is asked.
    looked_up: bool,
}

/// A download. `P` names a provider.
#[derive(Debug)]
pub struct Session<P> {
    assembler: Assembler,
    /// In the order of the content.
    wanted: Vec<Wanted>,
    /// The best first: at most [`MAX_PROVIDERS`] that seem to have the content, and those that turned out to lack some of it.
    providers: Vec<Provider<P>>,
    /// Those whose turn comes when one is dropped or lacks what is wanted.
    waiting: VecDeque<Provider<P>>,
    /// At most [`MAX_PROVIDERS_TRIED`], with those in use and waiting.
    dropped: Vec<Dropped<P>>,
    /// Whether further providers may be named.
    searching: bool,
    error: Option<ContentError>,
}

impl<P: Clone + PartialEq + fmt::Display> Session<P> {
    /// Begins a download.
    pub fn new(assembler: Assembler) -> Self {
        let mut session = Self {
            assembler,
            wanted: Vec::new(),
            providers: Vec::new(),
            waiting: VecDeque::new(),
            dropped: Vec::new(),
            searching: true,
            error: None,
        };
        session.note_wants();
        session
    }

    /// A block to look for at home, if there is one that was not looked for yet: [`Self::looked_up`] is to follow.
    pub fn to_look_up(&self) -> Option<ContentId> {
        self.wanted.iter().find(|wanted| !wanted.looked_up).map(|wanted| wanted.cid)
    }

    /// Takes what was found at home.
    pub fn looked_up(&mut self, cid: &ContentId, found: Option<Hashed>) {
        if let Some(wanted) = self.wanted.iter_mut().find(|wanted| wanted.cid == *cid) {
            wanted.looked_up = true;
        }
        if let Some(block) = found.filter(|block| block.cid() == *cid) {
            self.take(block);
        }
    }

    /// Which bytes of the content a block holds that is wanted, if it is a leaf.
    pub fn range_of(&self, cid: &ContentId) -> Option<Range<u64>> {
        self.assembler.range_of(cid)
    }

    /// Where in the content the bytes begin that a block holds which is wanted, or that the leaves below it hold.
    pub fn start_of(&self, cid: &ContentId) -> Option<u64> {
        self.assembler.start_of(cid)
    }

    /// What is downloaded.
    pub const fn content(&self) -> Content {
        self.assembler.content()
    }

    /// What was found to stand in further places of the content.
    pub fn take_repeats(&mut self) -> Vec<Repeat> {
        self.assembler.take_repeats()
    }

    /// Whether a block is wanted now.
    pub fn is_wanted(&self, cid: &ContentId) -> bool {
        self.assembler.is_wanted(cid)
    }

    /// How far it is.
    pub const fn progress(&self) -> Progress {
        Progress { done: self.assembler.arrived_bytes(), total: self.assembler.content().size }
    }

    /// Whether every block is there.
    pub fn is_complete(&self) -> bool {
        self.assembler.is_complete()
    }

    /// What was put together.
    pub fn into_assembler(self) -> Assembler {
        self.assembler
    }

    /// Providers that were dropped so far, and why.
    pub fn dropped(&self) -> &[Dropped<P>] {
        &self.dropped
    }

    /// Why it can't go on, if so.
    pub fn failure(&self) -> Option<Error<P>> {
        if let Some(error) = &self.error {
            return Some(error.clone().into());
        }
        if self.searching || !self.waiting.is_empty() {
            return None;
        }
        let cid = self.lacked_by_all()?;
        Some(if self.dropped.is_empty() && !self.providers.is_empty() {
            Error::NotFound(cid)
        } else {
            Error::NoProvider { cid, dropped: self.dropped.clone() }
        })
    }

    /// A wanted block that all providers in use say they lack.
    fn lacked_by_all(&self) -> Option<ContentId> {
        let lacked =
            |wanted: &&Wanted| wanted.looked_up && self.providers.iter().all(|provider| provider.lacks(&wanted.cid));
        self.wanted.iter().find(lacked).map(|wanted| wanted.cid)
    }

    /// When to come again with [`Input::Time`] if nothing else happens.
    pub fn next_step(&self) -> Option<Duration> {
        let patience = self.providers.iter().filter_map(Provider::next_step);
        let hedge = self.overdue().map(|(asked, _, _)| asked + IMPATIENT);
        patience.chain(hedge).min()
    }

    /// Takes what happened, and says what to do. `now` is the time since 1970.
    pub fn handle(&mut self, input: Input<P>, now: Duration) -> Vec<Effect<P>> {
        let mut effects = Vec::new();
        match input {
            Input::Provider { peer, in_flight, in_runs, score } => {
                self.add(Provider::new(peer, in_flight, in_runs, score));
            }
            Input::NoMoreProviders => self.searching = false,
            Input::Block { from, block } => self.on_block(&from, block, now, &mut effects),
            Input::Presence { from, cid, has } => {
                if let Some(provider) = self.provider(&from) {
                    provider.on_presence(cid, has, now);
                }
            }
            Input::Failed { peer, reason } => self.drop_provider(&peer, reason, &mut effects),
            Input::Time => {}
        }
        self.check_time(now, &mut effects);
        if self.error.is_none() {
            self.seat();
            self.ask(now, &mut effects);
        }
        effects
    }

    fn provider(&mut self, peer: &P) -> Option<&mut Provider<P>> {
        self.providers.iter_mut().find(|provider| provider.peer == *peer)
    }

    fn add(&mut self, provider: Provider<P>) {
        let peer = &provider.peer;
        let tried = self.providers.len() + self.waiting.len() + self.dropped.len();
        let is_known = self.providers.iter().chain(&self.waiting).any(|known| known.peer == *peer)
            || self.dropped.iter().any(|dropped| dropped.peer == *peer);
        if !is_known && tried < MAX_PROVIDERS_TRIED {
            let place = self.waiting.iter().position(|other| other.score < provider.score);
            self.waiting.insert(place.unwrap_or(self.waiting.len()), provider);
        }
    }

    /// Gives those who wait the places that are free. Whoever has little of the content takes no place, and what all of the others lack may
    /// be had from one more: else those who have nothing would keep out the one who has it.
    fn seat(&mut self) {
        while (self.has_places() || self.lacked_by_all().is_some())
            && let Some(provider) = self.waiting.pop_front()
        {
            let place = self.providers.iter().position(|other| other.score < provider.score);
            self.providers.insert(place.unwrap_or(self.providers.len()), provider);
        }
    }

    fn has_places(&self) -> bool {
        self.providers.iter().filter(|provider| !provider.is_poor()).count() < MAX_PROVIDERS
    }

    fn on_block(&mut self, from: &P, block: Hashed, now: Duration, effects: &mut Vec<Effect<P>>) {
        let cid = block.cid();
        let Some(provider) = self.provider(from) else { return };
        if !provider.on_block(&cid, now) {
            return self.drop_provider(from, Reason::WrongBlock(cid), effects);
        }
        // It may have come from another one before.
        if !self.is_wanted(&cid) {
            return;
        }
        self.take(block);
        for other in self.providers.iter_mut().filter(|provider| provider.asked_for(&cid)) {
            if other.is_late(&cid, now) {
                effects.push(Effect::Late(other.peer.clone()));
            }
            other.forget(&cid, now);
            effects.push(Effect::Send { to: other.peer.clone(), wants: vec![Want::new(cid, Ask::Cancel)] });
        }
    }

    /// Puts a block in its place.
    fn take(&mut self, block: Hashed) {
        let (cid, has_links) = (block.cid(), !block.cid().is_raw());
        match self.assembler.take(block) {
            Ok(()) if has_links => self.note_wants(),
            Ok(()) => self.wanted.retain(|wanted| wanted.cid != cid),
            Err(error) => self.error = Some(error),
        }
    }

    /// Notes which blocks are wanted now that links to some are known.
    fn note_wants(&mut self) {
        let known = std::mem::take(&mut self.wanted);
        let looked_up = |cid: &ContentId| known.iter().any(|wanted| wanted.cid == *cid && wanted.looked_up);
        let wants = self.assembler.wants().into_iter();
        self.wanted = wants.map(|cid| Wanted { cid, looked_up: looked_up(&cid) }).collect();
    }

    fn drop_provider(&mut self, peer: &P, reason: Reason, effects: &mut Vec<Effect<P>>) {
        let Some(position) = self.providers.iter().position(|provider| provider.peer == *peer) else {
            return self.waiting.retain(|waiting| waiting.peer != *peer);
        };
        let provider = self.providers.remove(position);
        let wants: Vec<_> = provider.asked().map(|cid| Want::new(*cid, Ask::Cancel)).collect();
        if !wants.is_empty() {
            effects.push(Effect::Send { to: peer.clone(), wants });
        }
        let dropped = Dropped { peer: provider.peer, reason };
        self.dropped.push(dropped.clone());
        effects.push(Effect::Dropped(dropped));
    }

    /// Looks who is slow, and who was silent for too long.
    fn check_time(&mut self, now: Duration, effects: &mut Vec<Effect<P>>) {
        let silent = |provider: &mut Provider<P>| provider.check_time(now).then(|| provider.peer.clone());
        let silent: Vec<_> = self.providers.iter_mut().filter_map(silent).collect();
        for peer in silent {
            self.drop_provider(&peer, Reason::Silent(SILENT), effects);
        }
    }

    /// Asks providers for what nobody is asked for, as far as there is room: one block each in turn, or a run of them.
    fn ask(&mut self, now: Duration, effects: &mut Vec<Effect<P>>) {
        let mut wants: Vec<Vec<Want>> = self.providers.iter().map(|_| Vec::new()).collect();
        loop {
            let mut asked_any = false;
            for (position, wants) in wants.iter_mut().enumerate() {
                for _ in 0..self.providers[position].at_once() {
                    let Some(cid) = self.choose(position, now) else { break };
                    self.providers[position].ask(cid, now);
                    wants.push(Want::new(cid, Ask::Block));
                    asked_any = true;
                }
            }
            if !asked_any {
                break;
            }
        }
        self.ask_who_has_it(&mut wants);
        for (provider, wants) in self.providers.iter().zip(wants).filter(|(_, wants)| !wants.is_empty()) {
            effects.push(Effect::Send { to: provider.peer.clone(), wants });
        }
    }

    /// Before it is known what else is wanted, the others are asked whether they have the first block.
    fn ask_who_has_it(&mut self, wants: &mut [Vec<Want>]) {
        let root = self.assembler.content().cid;
        if !self.wanted.iter().any(|wanted| wanted.cid == root && wanted.looked_up) {
            return;
        }
        for (provider, wants) in self.providers.iter_mut().zip(wants) {
            if provider.ask_whether(&root) {
                wants.push(Want::new(root, Ask::Have));
            }
        }
    }

    /// The block that a provider is to be asked for next.
    fn choose(&self, position: usize, now: Duration) -> Option<ContentId> {
        let provider = &self.providers[position];
        if !provider.has_room() {
            return None;
        }
        let open = |wanted: &&Wanted| {
            let is_free = !provider.tried(&wanted.cid) && !self.is_asked_for(&wanted.cid);
            wanted.looked_up && is_free && (!provider.is_poor() || !self.has_better(&wanted.cid))
        };
        let open = self.wanted.iter().find(open).map(|wanted| wanted.cid);
        open.or_else(|| {
            let (asked, cid, other) = self.overdue()?;
            (other == position && now >= asked + IMPATIENT).then_some(cid)
        })
    }

    /// Whether somebody who is not slow is asked for a block.
    fn is_asked_for(&self, cid: &ContentId) -> bool {
        self.providers.iter().any(|provider| !provider.is_slow() && provider.asked_for(cid))
    }

    /// Whether there is somebody who seems to have all of the content and could still be asked for a block.
    fn has_better(&self, cid: &ContentId) -> bool {
        self.providers.iter().any(|provider| !provider.is_poor() && !provider.is_slow() && !provider.tried(cid))
    }

    /// The block that one provider is asked for since the longest time while another one has nothing to do: since when, which,
    /// and the position of that other one.
    fn overdue(&self) -> Option<(Duration, ContentId, usize)> {
        let idle = |cid: &ContentId| {
            self.providers
                .iter()
                .position(|provider| provider.has_room() && !provider.is_poor() && !provider.tried(cid))
        };
        let single = self.wanted.iter().filter_map(|wanted| {
            let mut asked = self.providers.iter().filter_map(|provider| provider.asked_at(&wanted.cid));
            let since = asked.next()?;
            if asked.next().is_some() {
                return None;
            }
            Some((since, wanted.cid))
        });
        single.filter_map(|(since, cid)| Some((since, cid, idle(&cid)?))).min_by_key(|(since, ..)| *since)
    }
}

#[cfg(test)]
mod tests;
