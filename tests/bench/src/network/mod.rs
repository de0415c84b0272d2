//! A network of relays in one process: real Kademlia and gossip with the settings of relays, over connections in memory that take their time.

mod link;
mod measure;
mod node;

use std::collections::{HashMap, HashSet};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::StreamExt;
use futures::stream;
use libp2p::PeerId;
use libp2p::kad::{KBucketKey, Record, RecordKey};
use tokio::sync::mpsc;

use self::link::Net;
pub use self::measure::Duplicates;
use self::measure::Machine;
use self::node::{Command, Handle, Heard, Looked, Node};

/// Peers whom a newcomer knows.
const KNOWN_TO_NEWCOMERS: usize = 3;
/// Between two newcomers, at least, and until this process keeps the cores less busy than so: a relay that joins asks some hundred others, and has
/// two cores of its own where it is no relay of a thousand in one process.
const JOIN_PAUSE: Duration = Duration::from_millis(40);
const JOIN_BUSY: f64 = 0.8;
/// After how many newcomers it is told how far it is.
const JOINED_REPORT: usize = 100;
/// Records that are looked for, each put by one peer.
const RECORDS: usize = 20;
/// Lookups in all, and at once.
const LOOKUPS: usize = 200;
const LOOKUPS_AT_ONCE: usize = 2;
/// Announcements, and the pause behind each for each relay, up to so many: all relays of a network share two cores here, and each tells all others that it
/// is connected to of every announcement, four times, which is five seconds of a core among two hundred. Of more, no times are to be had on such cores, and it
/// would take most of an hour.
const ANNOUNCEMENTS: usize = 10;
const ANNOUNCEMENT_PAUSE: Duration = Duration::from_millis(60);
const MAX_PAUSES: usize = 200;
/// Bytes of an announcement: as a release has.
const ANNOUNCEMENT_BYTES: usize = 500;
/// How long nothing comes any more when all that was announced has come, or will not: a thousand relays in one process are late.
const PATIENCE: Duration = Duration::from_secs(5);
/// The network has settled when what it takes of the cores leaves room, and has not become less for so long, by so much of it: what joining costs is over
/// then, and what is left is what so many connections cost. It is waited for no longer than this.
const SETTLED_BUSY: f64 = 0.7;
const SETTLE_FOR: Duration = Duration::from_secs(30);
const SETTLES_BY: f64 = 0.1;
const SETTLE_AT_MOST: Duration = Duration::from_secs(1200);

/// What was measured with some of the peers dead.
#[derive(Debug)]
pub struct Measured {
    /// Peers in all.
    pub peers: usize,
    /// Per cent of them that are dead.
    pub dead: usize,
    /// Lookups that found the record.
    pub success: f64,
    /// Times of those that did, in milliseconds.
    pub lookup_times: Vec<f64>,
    /// Peers that a lookup asked, at the mean.
    pub requests: f64,
    /// Rounds that a lookup needs by the routing tables as they are, at the mean.
    pub hops: f64,
    /// Peers that one is connected to, at the mean: the dead among them until that is noticed.
    pub connected: f64,
    /// Live peers that an announcement reached.
    pub reach: f64,
    /// Times until it did, in milliseconds.
    pub delivery_times: Vec<f64>,
    /// Copies of an announcement that came to a peer which had it, at the mean.
    pub duplicates: f64,
    /// How busy all cores were while lookups were measured, and announcements.
    pub busy: [f64; 2],
    /// What part of all cores this process took in both.
    pub own: [f64; 2],
}

/// A network whose peers joined one after the other.
pub struct Network {
    net: Arc<Net>,
    live: Vec<Handle>,
    dead: Vec<Handle>,
    records: Vec<RecordKey>,
    heard: mpsc::Receiver<Heard>,
    random: ggen_tests::attack::Random,
    announced: u64,
}

impl Network {
    /// Starts so many peers, lets them join, and puts the records that are looked for. Each connection is pinged at that interval.
    ///
    /// # Errors
    /// When most records find no place, or the machine's state can't be read.
    pub async fn start(size: usize, ping_interval: Duration) -> Result<Self> {
        let start = Instant::now();
        let net = Arc::<Net>::default();
        let (tell, heard) = mpsc::channel(4 * size * ANNOUNCEMENTS);
        let mut network = Self {
            net,
            live: Vec::new(),
            dead: Vec::new(),
            records: Vec::new(),
            heard,
            random: ggen_tests::attack::Random::new(size as u64),
            announced: 0,
        };
        for number in 0..size {
            let ip = network.place(number);
            let peer = Node::start(&network.net, ip, tell.clone(), ping_interval);
            let known = network.live.len().min(KNOWN_TO_NEWCOMERS);
            let others = (0..known).map(|_| network.random.one_of(&network.live)).map(|other| (other.id, other.ip));
            let others = others.collect();
            peer.tell(Command::Join { others }).await;
            network.live.push(peer);
            loop {
                let machine = Machine::now()?;
                tokio::time::sleep(JOIN_PAUSE).await;
                if machine.own_share()? < JOIN_BUSY {
                    break;
                }
            }
            if (number + 1) % JOINED_REPORT == 0 {
                println!("{} have joined after {:.0} s", number + 1, start.elapsed().as_secs_f64());
            }
        }
        network.settle().await?;
        for number in 0..RECORDS {
            let record = Record::new(format!("/bench/{size}/{number}").into_bytes(), vec![7; 300]);
            let key = record.key.clone();
            let by = network.random.below(network.live.len());
            if network.live[by].ask(|done| Command::Put { record, done }).await == Some(true) {
                network.records.push(key);
            }
        }
        ensure!(network.records.len() * 10 >= RECORDS * 9, "only {} records found a place", network.records.len());
        Ok(network)
    }

    /// Where a peer is: some have others near them, as in the data centres that relays stand in.
    fn place(&mut self, number: usize) -> Ipv4Addr {
        let [.., high, low] = number.to_be_bytes();
        let network = self.random.below(400) + 256;
        let [.., first, second] = network.to_be_bytes();
        Ipv4Addr::new(first + 10, second, high, low)
    }

    /// Waits until what joining costs is over.
    async fn settle(&self) -> Result<()> {
        let start = Instant::now();
        let (mut least, mut since) = (f64::INFINITY, start);
        while (least > SETTLED_BUSY || since.elapsed() < SETTLE_FOR) && start.elapsed() < SETTLE_AT_MOST {
            let machine = Machine::now()?;
            tokio::time::sleep(Duration::from_secs(5)).await;
            let share = machine.own_share()?;
            if share < least * (1.0 - SETTLES_BY) {
                (least, since) = (share, Instant::now());
            }
        }
        println!("the relays keep the cores busy to {:.0} % by themselves", least * 100.0);
        Ok(())
    }

    /// Lets peers die, without a word, until so many per cent of all are dead.
    pub fn kill(&mut self, per_cent: usize) {
        let all = self.live.len() + self.dead.len();
        while self.dead.len() * 100 < all * per_cent {
            let at = self.random.below(self.live.len());
            let peer = self.live.swap_remove(at);
            self.net.kill(peer.ip);
            peer.task.abort();
            self.dead.push(peer);
        }
    }

    /// Looks for records and announces something.
    ///
    /// # Errors
    /// When the machine's state can't be read.
    pub async fn measure(&mut self, duplicates: &Duplicates) -> Result<Measured> {
        let (hops, all) = (self.hops().await, self.live.len() + self.dead.len());
        let machine = Machine::now()?;
        let mut looked = self.look().await;
        // Who holds the record itself asks nobody.
        looked.retain(|it| it.requests > 0 || it.found.is_none());
        let (lookups_busy, lookups_own) = (machine.busy()?, machine.own_share()?);
        let machine = Machine::now()?;
        duplicates.reset();
        let (reach, delivery_times) = self.announce().await;
        let (busy, own) = (machine.busy()?, machine.own_share()?);
        let heard = reach * (ANNOUNCEMENTS * self.live.len()) as f64;
        let found: Vec<f64> = looked.iter().filter_map(|it| it.found).map(|time| time.as_secs_f64() * 1000.0).collect();
        Ok(Measured {
            peers: all,
            dead: self.dead.len() * 100 / all,
            success: found.len() as f64 / looked.len() as f64,
            lookup_times: found,
            requests: looked.iter().map(|it| f64::from(it.requests)).sum::<f64>() / looked.len() as f64,
            hops,
            connected: self.connected().await,
            reach,
            delivery_times,
            duplicates: duplicates.count() as f64 / heard.max(1.0),
            busy: [lookups_busy, busy],
            own: [lookups_own, own],
        })
    }

    async fn connected(&self) -> f64 {
        let mut all = 0;
        for peer in &self.live {
            all += peer.ask(|done| Command::Connected { done }).await.unwrap_or_default();
        }
        all as f64 / self.live.len() as f64
    }

    async fn look(&mut self) -> Vec<Looked> {
        let tasks: Vec<(usize, RecordKey)> = (0..LOOKUPS)
            .map(|_| (self.random.below(self.live.len()), self.random.one_of(&self.records).clone()))
            .collect();
        let live = &self.live;
        let looked = stream::iter(tasks)
            .map(|(by, key)| async move { live[by].ask(|done| Command::Look { key, done }).await })
            .buffer_unordered(LOOKUPS_AT_ONCE);
        looked.filter_map(|looked| async move { looked }).collect().await
    }

    /// What part of the live peers hears of an announcement, and when each does.
    async fn announce(&mut self) -> (f64, Vec<f64>) {
        while self.heard.try_recv().is_ok() {}
        let mut sent = HashMap::new();
        for _ in 0..ANNOUNCEMENTS {
            self.announced += 1;
            let mut data = vec![0; ANNOUNCEMENT_BYTES];
            data[..8].copy_from_slice(&self.announced.to_be_bytes());
            let by = self.random.below(self.live.len());
            sent.insert(data.clone(), Instant::now());
            self.live[by].tell(Command::Publish { data }).await;
            tokio::time::sleep(ANNOUNCEMENT_PAUSE * self.live.len().min(MAX_PAUSES) as u32).await;
        }
        // Who announces it has it without hearing of it.
        let expected = ANNOUNCEMENTS * (self.live.len() - 1);
        let mut times = Vec::new();
        while times.len() < expected {
            let Ok(Some(heard)) = tokio::time::timeout(PATIENCE, self.heard.recv()).await else { break };
            if let Some(at) = sent.get(&heard.data) {
                times.push(heard.at.duration_since(*at).as_secs_f64() * 1000.0);
            }
        }
        (times.len() as f64 / expected as f64, times)
    }

    /// How many rounds of questions lead from a peer to one that holds a record: each round asks those three, of all that are known by then, that are
    /// nearest to the key, live, and were not asked yet, and learns whom they have in their tables near it.
    async fn hops(&mut self) -> f64 {
        const NEAREST: usize = 20;
        const ASKED_AT_ONCE: usize = 3;
        let (mut rounds, mut count) = (0, 0);
        for key in self.records.clone() {
            let mut tables = HashMap::new();
            let mut holders = HashSet::new();
            for peer in &self.live {
                let key = key.clone();
                if let Some((table, has)) = peer.ask(|done| Command::Table { key, done }).await {
                    tables.insert(peer.id, table);
                    holders.extend(has.then_some(peer.id));
                }
            }
            let target = KBucketKey::new(key.to_vec());
            let nearest = |peers: &[PeerId]| {
                let mut peers = peers.to_vec();
                peers.sort_by_cached_key(|peer| KBucketKey::from(*peer).distance(&target));
                peers.truncate(NEAREST);
                peers
            };
            for _ in 0..5 {
                let from = self.random.one_of(&self.live).id;
                if holders.contains(&from) || !tables.contains_key(&from) {
                    continue;
                }
                let (mut known, mut asked, mut round) = (nearest(&tables[&from]), HashSet::from([from]), 0);
                loop {
                    let next: Vec<PeerId> = known
                        .iter()
                        .filter(|peer| tables.contains_key(peer) && !asked.contains(*peer))
                        .take(ASKED_AT_ONCE)
                        .copied()
                        .collect();
                    if next.is_empty() {
                        break;
                    }
                    round += 1;
                    if next.iter().any(|peer| holders.contains(peer)) {
                        (rounds, count) = (rounds + round, count + 1);
                        break;
                    }
                    for peer in next {
                        asked.insert(peer);
                        known.extend(nearest(&tables[&peer]));
                    }
                    known.sort_by_cached_key(|peer| KBucketKey::from(*peer).distance(&target));
                    known.dedup();
                }
            }
        }
        f64::from(rounds) / f64::from(count.max(1))
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        self.live.iter().for_each(|peer| peer.task.abort());
    }
}
