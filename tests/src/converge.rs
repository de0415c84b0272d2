//! Relays that lose announcements, and what they come to hold all the same.

mod market;

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::future::BoxFuture;
use ggen_net::{exchange, light::AskError};
use ggen_relay::query::Answer;
use ggen_shared::catalogue::Catalogue;
use ggen_shared::id::PublisherId;
use ggen_shared::protocol::query::Ask;
use ggen_shared::record::{ContentId, KeyLog, Record};
use market::{Market, Publication};

use crate::{TestPeer, TestRelay, within};

/// Relays of the network.
pub const RELAYS: usize = 5;
/// Announcements in a hundred that a relay does not hear.
pub const LOST_PERCENT: u64 = 30;
/// Why a publication may be refused: two others stand at its index, or its key was rotated out.
const REFUSALS: [&str; 3] = ["publish/conflict", "record/void", "record/unknown-key-event"];
/// Publish sessions of one peer at a time.
const SESSIONS: usize = 8;
/// How long it may take until all hold the same: far more than the claim, so that a failure says by how much.
const PATIENCE: Duration = Duration::from_secs(300);

/// Numbers that follow from a seed, so that a failure can be looked at again.
#[derive(Debug)]
struct Numbers(AtomicU64);

impl Numbers {
    const fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }

    /// A number below this one: SplitMix64.
    fn below(&self, bound: u64) -> u64 {
        let mut z = self.0.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed).wrapping_add(0x9e37_79b9_7f4a_7c15);
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound
    }
}

/// A relay that does not hear some announcements.
struct Lossy {
    honest: Box<dyn Answer>,
    numbers: Numbers,
    lost: Arc<AtomicU64>,
}

impl Answer for Lossy {
    fn block<'a>(&'a self, cid: &'a ContentId) -> BoxFuture<'a, Option<Vec<u8>>> {
        self.honest.block(cid)
    }

    fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Vec<u8>> {
        self.honest.answer(ask)
    }

    fn hears(&self, _: &[u8]) -> bool {
        let is_lost = self.numbers.below(100) < LOST_PERCENT;
        self.lost.fetch_add(u64::from(is_lost), Ordering::Relaxed);
        !is_lost
    }
}

/// What came of it.
#[derive(Debug)]
pub struct Outcome {
    /// From the first publication to the last one.
    pub publishing: Duration,
    /// From the last publication until all relays held the same.
    pub converging: Duration,
    /// Records that each relay holds.
    pub records: usize,
    /// Statuses among them.
    pub statuses: usize,
    /// Key logs among them that forked.
    pub frozen: usize,
    /// Records that were published, and that a rotation has made void.
    pub void: usize,
    /// Announcements that were not heard.
    pub lost: u64,
    /// Publications that were refused at first: two others stood at their index, or a rotation had made them void.
    pub refused: usize,
}

/// Starts relays that lose announcements, publishes so many things at all of them at once, and waits until all hold the same: the whole
/// map, and just that of the records that were published. Among them are contested versions, indices that are taken twice and thrice, statuses
/// that come before what they are about, rotations that void half of what was said before, and key logs that fork.
///
/// # Panics
/// When anything else comes of it.
pub async fn converge(publications: usize, seed: u64) -> Outcome {
    eprintln!("seed {seed}");
    let numbers = Numbers::new(seed);
    let lost = Arc::<AtomicU64>::default();
    let relays = start(&numbers, &lost).await;
    let market = Market::new(publications, &numbers);
    let (expected, void) = market.expected();
    let mut queues = vec![Vec::new(); RELAYS];
    for publication in &market.publications {
        queues[numbers.below(RELAYS as u64) as usize].push(publication);
    }
    let start = Instant::now();
    let publish = relays.iter().zip(queues).map(|(relay, queue)| publish_all(relay, queue, &numbers));
    let refused = futures::future::join_all(publish).await.into_iter().sum();
    let again = market.again.iter().map(|its| {
        let relay = &relays[numbers.below(RELAYS as u64) as usize];
        async move {
            let peer = TestPeer::start(&[relay]).await;
            for publication in its {
                publication.publish(&peer, relay.peer_id()).await.expect("what a rotation keeps has a place");
            }
        }
    });
    futures::future::join_all(again).await;
    let publishing = start.elapsed();

    let start = Instant::now();
    let mut pause = tokio::time::interval(Duration::from_millis(50));
    while let Some(other) = relays.iter().find(|relay| !holds(relay, &expected)) {
        let have = other.relay().shelf().catalogue().record_count();
        assert!(start.elapsed() < PATIENCE, "a relay holds {have} of {} records", expected.record_count());
        pause.tick().await;
    }
    let converging = start.elapsed();
    for mut relay in relays {
        relay.stop().await;
    }
    let publishers: BTreeSet<_> = expected.records().map(Record::publisher).collect();
    let is_frozen = |publisher: &&PublisherId| expected.key_log(publisher).is_some_and(KeyLog::is_frozen);
    Outcome {
        publishing,
        converging,
        records: expected.record_count(),
        statuses: expected.records().filter_map(Record::status).count(),
        frozen: publishers.iter().filter(is_frozen).count(),
        void,
        lost: lost.load(Ordering::Relaxed),
        refused,
    }
}

/// Whether a relay holds just that. Counted first: hashing takes a while.
fn holds(relay: &TestRelay, expected: &Catalogue) -> bool {
    let (count, map) = {
        let catalogue = relay.relay().shelf().catalogue();
        (catalogue.record_count(), catalogue.map().clone())
    };
    count == expected.record_count() && map.root() == expected.root()
}

/// Relays that are all connected to each other.
async fn start(numbers: &Numbers, lost: &Arc<AtomicU64>) -> Vec<TestRelay> {
    let mut relays: Vec<TestRelay> = Vec::new();
    for _ in 0..RELAYS {
        let bootstrap = relays.iter().map(|relay| relay.address("/tcp/", false)).collect();
        let (numbers, lost) = (Numbers::new(numbers.below(u64::MAX)), lost.clone());
        let answer = |shelf| Box::new(Lossy { honest: Box::new(shelf), numbers, lost }) as Box<dyn Answer>;
        relays.push(TestRelay::start_as(|config| config.bootstrap = bootstrap, answer).await);
    }
    for relay in &relays {
        within("all relays", relay.relay().wait_for(|status| status.connected >= RELAYS - 1)).await;
    }
    relays
}

/// Publishes some things at one relay, in an order of its own. How many were refused.
async fn publish_all(relay: &TestRelay, mut publications: Vec<&Publication>, numbers: &Numbers) -> usize {
    publications.sort_by_cached_key(|_| numbers.below(u64::MAX));
    let peer = TestPeer::start(&[relay]).await;
    let sessions = futures::stream::iter(publications).map(|publication| publication.publish(&peer, relay.peer_id()));
    let receipts: Vec<_> = sessions.buffer_unordered(SESSIONS).collect().await;
    let refusals = receipts.into_iter().filter_map(|receipt| match receipt {
        Ok(_) => None,
        Err(AskError::Exchange(exchange::Error::Refused(refusal))) if REFUSALS.contains(&&*refusal.code) => Some(()),
        Err(error) => panic!("a publication failed: {error}"),
    });
    refusals.count()
}
