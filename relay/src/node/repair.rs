//! Content that releases name and that is not here: what could not be fetched when its release came, or was being fetched when the relay
//! ended. It is asked for again, some at a time, until another relay has it.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{StreamExt, stream};
use ggen_shared::content::children;
use ggen_shared::record::{Content, ContentId};

use super::work::Work;
use crate::admission::contents;
use crate::policy;
use crate::store::{BlockError, Store};

/// What is to be asked for again, each once, in the order in which it was last asked for. As many as releases have contents.
#[derive(Default)]
pub(super) struct Lacking(Mutex<Queue>);

#[derive(Default)]
struct Queue {
    order: VecDeque<Content>,
    known: HashSet<ContentId>,
}

impl Lacking {
    fn queue(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes content that is not here.
    pub(super) fn note(&self, content: Content) {
        let mut queue = self.queue();
        if queue.known.insert(content.cid) {
            queue.order.push_back(content);
        }
    }

    /// Takes the next ones.
    fn take(&self, count: usize) -> Vec<Content> {
        let mut queue = self.queue();
        let count = count.min(queue.order.len());
        let taken: Vec<Content> = queue.order.drain(..count).collect();
        taken.iter().for_each(|content| _ = queue.known.remove(&content.cid));
        taken
    }
}

/// Looks for what an earlier run has not fetched, then asks for all that is lacking now and then, for as long as the relay runs.
pub(super) async fn run(work: Arc<Work>) {
    look_for(&work).await;
    let mut tick = tokio::time::interval(policy::REPAIR_INTERVAL);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        // Whichever is the first: others are asked too.
        let Some(relay) = work.relays().await.first().copied() else { continue };
        let lacking = work.lacking().take(policy::REPAIRED_AT_ONCE);
        stream::iter(lacking).for_each_concurrent(policy::MAX_FETCHING, |content| work.fetch(relay, content)).await;
    }
}

/// Notes all content that releases name and that is not here as a whole.
async fn look_for(work: &Work) {
    let (shelf, mut lacking) = (work.shelf(), 0_usize);
    let named: Vec<Content> = shelf
        .catalogue()
        .records()
        .flat_map(|record| contents(std::slice::from_ref(record)).collect::<Vec<_>>())
        .collect();
    for content in named.into_iter().filter(|content| !shelf.withholds(&content.cid)) {
        // What can't be read is fetched again.
        if !is_whole(shelf.store(), content.cid).await.unwrap_or(false) {
            work.lacking().note(content);
            lacking += 1;
        }
    }
    if lacking > 0 {
        tracing::info!(lacking, "content that releases name is not here yet: it is asked for");
    }
}

/// Whether all blocks of some content are here. Inner nodes are read, leaves only looked for: what is damaged is found when it is served.
async fn is_whole(store: &Store, root: ContentId) -> Result<bool, BlockError> {
    let mut open = vec![root];
    while let Some(cid) = open.pop() {
        if cid.is_raw() {
            if !store.seems_to_have(&cid) {
                return Ok(false);
            }
            continue;
        }
        let Some(block) = store.block(&cid).await? else { return Ok(false) };
        let Ok(below) = children(&cid, &block, 0) else { return Ok(false) };
        open.extend(below.iter().map(|child| child.cid));
    }
    Ok(true)
}
