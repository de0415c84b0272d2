//! Catches up with other relays: what gossip lost, and what there was before this relay. See [`ggen_shared::sync`].

use std::sync::Arc;
use std::time::Duration;

use ggen_net::exchange;
use ggen_shared::limits::DEFAULT_WINDOW_BYTES;
use ggen_shared::merkle::proof::{self, Range, verify_levels, verify_run};
use ggen_shared::protocol::query::{Current, CurrentAnswer, Question, RangeOf, Records, Show};
use ggen_shared::record::Record;
use ggen_shared::sync::{self, Descent, LEVELS, RUN, Step};
use libp2p::PeerId;
use tokio::sync::{mpsc, oneshot};
use tokio::time::{Instant, timeout};

use super::Command;
use super::work::Work;
use crate::admission::{AdmitError, check_created, contents};
use crate::policy;

/// Why a sync with one relay ended early. What was delivered before stays.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error("no stream to it")]
    NotConnected,
    #[error("it did not answer in time")]
    Timeout,
    #[error(transparent)]
    Exchange(#[from] exchange::Error),
    #[error("its map does not hold together: {0}")]
    Proof(#[from] proof::Error),
    #[error(transparent)]
    Descent(#[from] sync::Error),
    #[error("a record of it is refused: {0}")]
    Admit(#[from] AdmitError),
}

/// Syncs with one relay after the other, and at once with a relay that was just met.
pub(super) async fn run(work: Arc<Work>, mut met: mpsc::Receiver<PeerId>) {
    let mut turn = 0_usize;
    let mut tick = tokio::time::interval(policy::SYNC_INTERVAL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        let relay = tokio::select! {
            relay = met.recv() => relay,
            _ = tick.tick() => {
                let relays = relays(&work).await;
                turn = turn.wrapping_add(1);
                relays.get(turn % relays.len().max(1)).copied()
            }
        };
        let Some(relay) = relay else { continue };
        match work.sync_with(relay).await {
            Ok(0) => tracing::trace!(%relay, "nothing to sync"),
            Ok(records) => tracing::info!(%relay, records, "synced"),
            Err(error) => tracing::debug!(%relay, %error, "a sync ended early"),
        }
        work.set_syncing(None);
    }
}

async fn relays(work: &Work) -> Vec<PeerId> {
    let (relays, connected) = oneshot::channel();
    work.tell(Command::Relays { relays }).await;
    let mut relays = connected.await.unwrap_or_default();
    relays.sort();
    relays
}

impl Work {
    /// Gets what a relay has and this one lacks. How many records came.
    async fn sync_with(self: &Arc<Self>, relay: PeerId) -> Result<u64, Error> {
        let mut descent = Descent::new();
        let mut told = Instant::now();
        while let Some(step) = descent.next_step()? {
            match step {
                Step::Levels(prefix) => {
                    let range = Range { prefix, after: None };
                    let answer = self.ask(relay, Current(RangeOf::of(&range, Show::Levels(LEVELS)))).await?;
                    let (pieces, _) = verify_levels(&answer.root.into(), &range.prefix, &answer.proof)?;
                    descent.on_levels(self.shelf().catalogue().map(), pieces);
                }
                Step::Run(range) => {
                    let answer: CurrentAnswer = self.ask(relay, Current(RangeOf::of(&range, Show::First(RUN)))).await?;
                    let run = verify_run(&answer.root.into(), &range, &answer.proof)?;
                    self.set_syncing(Some(run.total()));
                    descent.on_run(self.shelf().catalogue().map(), range.clone(), &run);
                }
                Step::Records(ids) => {
                    let answer = self.ask(relay, Records { ids: ids.clone() }).await?;
                    let unanswered = ids.get(answer.records.len()..).unwrap_or_default().to_vec();
                    // One that is gone since made room for others, which the next sync finds.
                    let bytes: Vec<_> = answer.records.iter().take(ids.len()).flatten().collect();
                    let records = self.shelf().verify_all(bytes.iter().map(|bytes| &bytes[..]))?;
                    descent.on_records(ids.len(), records.len(), unanswered)?;
                    self.keep_synced(relay, records).await?;
                    if told.elapsed() > policy::SYNC_REPORT_INTERVAL {
                        told = Instant::now();
                        let here = self.shelf().catalogue().record_count();
                        tracing::info!(%relay, records = descent.delivered(), here, "syncing");
                    }
                }
            }
        }
        Ok(descent.delivered())
    }

    async fn keep_synced(self: &Arc<Self>, relay: PeerId, mut records: Vec<Record>) -> Result<(), Error> {
        let now = super::now().as_secs();
        // A place that smaller ids have taken is theirs at the other relay too, once it syncs with this one.
        records
            .retain(|record| self.shelf().may_keep(record) && check_created(std::slice::from_ref(record), now).is_ok());
        let content = contents(&records).collect();
        self.shelf().admit(records, Vec::new()).await?;
        self.clone().fetch_content(relay, content);
        Ok(())
    }

    async fn ask<Q: Question>(&self, relay: PeerId, question: Q) -> Result<Q::Answer, Error> {
        let asked = async {
            let mut stream = self.open(relay).await.ok_or(Error::NotConnected)?;
            Ok(exchange::ask(&mut stream, question, DEFAULT_WINDOW_BYTES).await?)
        };
        timeout(SYNC_TIMEOUT, asked).await.unwrap_or(Err(Error::Timeout))
    }
}

/// How long one question of a sync may take.
const SYNC_TIMEOUT: Duration = Duration::from_secs(20);
