//! Catches up with other relays: what gossip lost, and what there was before this relay. See [`ggen_shared::sync`].
//!
//! Several relays are asked at once, each for another part. What was delivered is durable before the next question, so a sync that
//! is cut, this relay killed even, goes on where it was: by what differs then.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use ggen_net::exchange;
use ggen_shared::catalogue::keys;
use ggen_shared::codec;
use ggen_shared::limits::DEFAULT_WINDOW_BYTES;
use ggen_shared::protocol::names;
use ggen_shared::protocol::query::{Ask, Question};
use ggen_shared::protocol::sync::RecordsOf;
use ggen_shared::record::{self, Record, UnverifiedRecord};
use ggen_shared::reputation::PeerReputation;
use ggen_shared::rules::Rules;
use ggen_shared::sync::{self, Descent, Part, SALT_BYTES, Step};
use libp2p::PeerId;
use serde_bytes::ByteBuf;
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, timeout};

use super::progress::{Cost, End};
use super::work::Work;
use crate::admission::{AdmitError, check_created, contents};
use crate::policy;

/// Why a sync with one relay ended early. What was delivered before stays.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("no stream to it")]
    NotConnected,
    #[error("it did not answer in time")]
    Timeout,
    #[error(transparent)]
    Exchange(#[from] exchange::Error),
    #[error(transparent)]
    Descent(#[from] sync::Error),
    #[error("a record of it is refused: {0}")]
    Record(#[from] record::Error),
    #[error(transparent)]
    Admit(#[from] AdmitError),
    #[error("no salt could be drawn: {0}")]
    Salt(#[from] getrandom::Error),
    #[error("it sent more than it may, and has its turn again in {} s", .0.as_secs())]
    TooMuch(Duration),
    #[error("the relay is being stopped")]
    Stopping,
}

impl Error {
    /// Whether it is the other relay that is to blame, or may be. One whose connection broke may come back at once.
    const fn is_theirs(&self) -> bool {
        !matches!(
            self,
            Self::NotConnected
                | Self::Exchange(exchange::Error::Io(_))
                | Self::Admit(_)
                | Self::Salt(_)
                | Self::TooMuch(_)
                | Self::Stopping
        )
    }
}

/// A sync that ended: with whom, how, and what it cost all the same.
type Ended = (PeerId, Result<(), Error>, Cost);

/// Syncs with relays that were just met, and with all others in turn; with some of them at once.
pub(super) async fn run(work: Arc<Work>, mut met: mpsc::Receiver<PeerId>) {
    let (mut sessions, mut turn) = (JoinSet::<Ended>::new(), 0_usize);
    // Relays with which a sync runs, or none is to be begun for a while.
    let mut running: HashMap<PeerId, Option<Instant>> = HashMap::new();
    let mut tick = tokio::time::interval(policy::SYNC_INTERVAL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let next = tokio::select! {
            Some(relay) = met.recv() => vec![relay],
            Some(ended) = sessions.join_next() => {
                if let Ok((relay, ended, cost)) = ended {
                    running.insert(relay, on_end(relay, ended, cost, &work));
                }
                continue;
            }
            _ = tick.tick() => {
                let mut relays = relays(&work).await;
                turn = (turn + policy::MAX_SYNCS) % relays.len().max(1);
                relays.rotate_left(turn);
                relays
            }
        };
        let now = Instant::now();
        running.retain(|_, until| until.is_none_or(|until| until > now));
        for relay in next {
            if sessions.len() < policy::MAX_SYNCS && !running.contains_key(&relay) {
                running.insert(relay, None);
                let work = work.clone();
                work.progress().begun();
                sessions.spawn(async move {
                    let mut cost = Cost::default();
                    (relay, work.sync_with(relay, &mut cost).await, cost)
                });
            }
        }
    }
}

/// Tells what became of a sync. Until when there is to be no other one with this relay.
fn on_end(relay: PeerId, ended: Result<(), Error>, cost: Cost, work: &Work) -> Option<Instant> {
    let how = match ended {
        Ok(()) => End::Well,
        Err(Error::TooMuch(_)) => End::Paused,
        Err(_) => End::Badly,
    };
    work.progress().ended(how, cost);
    let Cost { records, sent, received } = cost;
    match ended {
        Ok(()) if records == 0 => tracing::trace!(%relay, "nothing to sync"),
        Ok(()) => tracing::info!(%relay, records, sent, received, "synced"),
        Err(error) => {
            match &error {
                Error::Record(_) => work.note(relay, PeerReputation::record_fault),
                error if error.is_theirs() => work.note(relay, PeerReputation::record_failure),
                _ => {}
            }
            tracing::info!(%relay, %error, records, sent, received, "a sync ended early");
            if let Error::TooMuch(pause) = error {
                return Some(Instant::now() + pause);
            }
            if error.is_theirs() {
                return Some(Instant::now() + policy::SYNC_PAUSE);
            }
        }
    }
    Some(Instant::now())
}

async fn relays(work: &Work) -> Vec<PeerId> {
    let mut relays = work.relays().await;
    relays.sort();
    relays
}

impl Work {
    /// Gets what a relay has and this one lacks.
    async fn sync_with(self: &Arc<Self>, relay: PeerId, cost: &mut Cost) -> Result<(), Error> {
        let mut salt = [0; SALT_BYTES];
        getrandom::fill(&mut salt)?;
        let mut descent = Descent::new(salt);
        let (mut told, mut delivered) = (Instant::now(), Instant::now());
        let mut before = cost.records;
        while let Some(step) = descent.next_step()? {
            if std::mem::replace(&mut before, cost.records) != cost.records {
                delivered = Instant::now();
            }
            if delivered.elapsed() > policy::SYNC_PATIENCE {
                return Err(Error::Timeout);
            }
            match step {
                Step::Compare(question) => {
                    let answer = self.ask(relay, cost, question.clone()).await?;
                    let here = self.shelf().catalogue().map().clone();
                    // What changed is hashed again for it: not on a thread that serves others.
                    let compared = tokio::task::spawn_blocking(move || {
                        descent.on_compared(&here, &question.parts, &answer).map(|()| descent)
                    });
                    descent = compared.await.map_err(|_| Error::Stopping)??;
                    self.progress().of(descent.total());
                }
                Step::Fetch(parts) => {
                    let (claim, taken) = self.claims().take(parts);
                    taken.into_iter().for_each(|part| descent.postpone(part));
                    let here = self.shelf().catalogue().map().clone();
                    let parts = descent.still_missing(&here, &claim.parts);
                    if !parts.is_empty() {
                        self.fetch_records(relay, &mut descent, parts, cost).await?;
                    }
                }
                Step::Wait => {
                    self.claims().released().await;
                    delivered = Instant::now();
                }
            }
            if told.elapsed() > policy::SYNC_REPORT_INTERVAL {
                told = Instant::now();
                let (have, of) = (self.shelf().catalogue().record_count(), descent.total());
                tracing::info!(%relay, records = cost.records, have, of, "syncing");
            }
        }
        Ok(())
    }

    /// Gets the records of some parts, and keeps them answer by answer.
    async fn fetch_records(
        self: &Arc<Self>,
        relay: PeerId,
        descent: &mut Descent,
        parts: Vec<Part>,
        cost: &mut Cost,
    ) -> Result<(), Error> {
        let mut question = RecordsOf { parts, after: None };
        loop {
            let answer = self.ask(relay, cost, question.clone()).await?;
            let mut keys = Vec::with_capacity(answer.records.len());
            for bytes in &answer.records {
                let claimed = UnverifiedRecord::decode(bytes)?;
                keys.extend(Part::of_entry(&keys::claimed(&claimed)));
            }
            // Before any of them is verified: what was not asked for costs no more than its bytes.
            let bytes = answer.records.iter().map(|record| record.len()).sum();
            let after = descent.on_records(&question, &keys, bytes, answer.rest)?;
            let new = self.keep_synced(relay, answer.records).await?;
            descent.on_sound(new);
            cost.records += new;
            match after {
                Some(_) => question.after = after,
                None => return Ok(()),
            }
        }
    }

    /// Keeps what is to be kept of some records. How many of them are new.
    pub(super) async fn keep_synced(self: &Arc<Self>, relay: PeerId, bytes: Vec<ByteBuf>) -> Result<u64, Error> {
        let bytes = Arc::new(bytes);
        let all = bytes.clone();
        let verified = self.verify(move |shelf| shelf.verify_all(all.iter().map(|bytes| &bytes[..])));
        if let Ok(records) = verified.await.ok_or(Error::Stopping)? {
            return self.keep_records(relay, records).await;
        }
        // One of them does not hold as things are here: each by itself then.
        let mut new = 0;
        for bytes in bytes.iter() {
            new += self.keep_one(relay, bytes).await?;
        }
        Ok(new)
    }

    /// Keeps a record if it is to be kept. How many are new.
    async fn keep_one(self: &Arc<Self>, relay: PeerId, bytes: &[u8]) -> Result<u64, Error> {
        let verify = async || {
            let bytes = bytes.to_vec();
            self.verify(move |shelf| shelf.verify_all(std::iter::once(&bytes[..]))).await.ok_or(Error::Stopping)
        };
        let mut verified = verify().await?;
        if let Err(AdmitError::UnknownPublisher(publisher)) = verified {
            let found = timeout(policy::KEY_LOG_TIMEOUT, self.fetch_key_log_from(relay, publisher)).await;
            match found {
                Ok(Ok(Some((_, key_log)))) => {
                    _ = self.keep_records(relay, key_log).await?;
                    verified = verify().await?;
                }
                Ok(Err(error)) if is_fault(&error) => return Err(error.into()),
                _ => {}
            }
        }
        match verified {
            Ok(records) => self.keep_records(relay, records).await,
            Err(AdmitError::Record(error)) if is_fault(&error) => Err(error.into()),
            Err(error) => {
                tracing::debug!(%relay, %error, "a record of another relay is not kept");
                Ok(0)
            }
        }
    }

    /// Keeps verified records. How many are new.
    async fn keep_records(self: &Arc<Self>, relay: PeerId, mut records: Vec<Record>) -> Result<u64, Error> {
        let now = super::now().as_secs();
        // A place that smaller ids have taken is theirs at the other relay too, once it syncs with this one.
        records
            .retain(|record| self.shelf().may_keep(record) && check_created(std::slice::from_ref(record), now).is_ok());
        let content = contents(&records).collect();
        let new = match self.shelf().admit(records, Vec::new()).await {
            Ok(receipt) => receipt.new.len() as u64,
            // Smaller ids were faster.
            Err(AdmitError::Conflict(_)) => 0,
            Err(error) => return Err(error.into()),
        };
        self.clone().fetch_content(relay, content);
        // What was delivered stays. Who delivers without end makes room for others: there are few places to sync in.
        match self.peers().of(relay).spend_synced(usize::try_from(new).unwrap_or(usize::MAX)) {
            Duration::ZERO => Ok(new),
            pause => Err(Error::TooMuch(pause)),
        }
    }

    async fn ask<Q: Question>(&self, relay: PeerId, cost: &mut Cost, question: Q) -> Result<Q::Answer, Error> {
        // The records are the same by all rules.
        let rules = Rules::FIRST.number;
        let ask = Ask { window: DEFAULT_WINDOW_BYTES, rules, request: question.into_request() };
        cost.sent += codec::encode(&ask).len() as u64;
        let asked = async {
            let mut stream = self.open(relay, names::QUERY).await.ok_or(Error::NotConnected)?;
            Ok::<_, Error>(exchange::ask_bytes(&mut stream, &ask).await?)
        };
        let began = Instant::now();
        let reply = timeout(SYNC_TIMEOUT, asked).await.unwrap_or(Err(Error::Timeout))?;
        cost.received += reply.len() as u64;
        let answer = exchange::answer_of::<Q>(&reply)?;
        self.note(relay, |reputation, now| reputation.record_success(now, began.elapsed()));
        Ok(answer)
    }
}

/// Whether no honest relay holds such a record. Others may be void here and not there, as long as one of both lacks something.
const fn is_fault(error: &record::Error) -> bool {
    matches!(
        error,
        record::Error::Encoding(_)
            | record::Error::Field { .. }
            | record::Error::WeakKey
            | record::Error::BadSignature
            | record::Error::WrongWork
            | record::Error::OverQuota { .. }
    )
}

/// How long one question of a sync may take.
const SYNC_TIMEOUT: Duration = Duration::from_secs(10);
