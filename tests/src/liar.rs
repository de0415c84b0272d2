//! A relay that lies on order, in ways that its own proofs bear out where they can: it signs what it says with its own key.
//!
//! A lie about what is derived is a map that the library made and that one line changes; a lie about what is held is the whole catalogue of
//! fewer records. What is beyond that, such as a stream without end, is done to the answer's bytes.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ed25519_dalek::SigningKey;
use futures::future::BoxFuture;
use futures::{AsyncWriteExt, FutureExt};
use ggen_net::exchange;
use ggen_relay::admission::Shelf;
use ggen_relay::query::Answer;
use ggen_shared::catalogue::keys::{self, Place, ShortId};
use ggen_shared::catalogue::snapshots::{Snapshot, Snapshots};
use ggen_shared::catalogue::{Catalogue, Leaf, answer};
use ggen_shared::checkpoint::Checkpoint;
use ggen_shared::codec;
use ggen_shared::id::{PublicKey, RecordId};
use ggen_shared::limits::MAX_ANSWER_BYTES;
use ggen_shared::merkle::Map;
use ggen_shared::protocol::query::{Ask, NamedAnswer, PackageAnswer, Reply, Request, SearchAnswer, Show};
use ggen_shared::record::{ContentId, Record};
use ggen_shared::rules::Rules;
use ggen_shared::search::filter::{FILTER_BYTES, Filter};
use ggen_shared::search::rank::Rank;
use libp2p::Stream;
use serde_bytes::ByteBuf;

/// The package that lies are about.
pub const HIDDEN: &str = "hidden";

/// What a liar does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// Changes a bit of every record in its answers.
    Flip,
    /// Changes a byte of each proof.
    Forge,
    /// Changes how many entries a proof says that there are.
    Count,
    /// Leaves the last record of an answer out that its own proof names.
    Drop,
    /// Answers as of long ago.
    Replay,
    /// Signs another root for the same epoch each time it is asked.
    TwoRoots,
    /// Keeps the package off every list, and holds its record all the same.
    Hide,
    /// Derives the lists of words without it.
    Terms,
    /// Derives the lists of beginnings of words without it.
    Beginnings,
    /// Derives the list of all packages without it.
    Newest,
    /// Derives the lists of dependents without it.
    Dependents,
    /// Says that more packages match than do, behind those that are shown.
    Inflate,
    /// Ranks it last.
    Rank,
    /// Gives it a filter that rules it out.
    Filter,
    /// Holds its release, and lists no version of it.
    Version,
    /// Says that it never had the record.
    Withhold,
    /// Says that it never had the newest of the package's releases.
    Old,
    /// Says what it commits to, and then not what that is.
    Refuse,
    /// Keeps the package off every list, with more entries in its stead than one comparison keeps.
    Decoys,
    /// The same, with so many that no comparison comes to its place.
    Bury,
    /// Says that it never heard of a status of the package.
    Yank,
    /// Says that it never heard of a rotation, and has what it made void.
    Rotation,
    /// Holds the statuses of the package, and says of its versions what it would without them.
    Unheeded,
    /// Holds all rotations, and what they made void as if there were none.
    Void,
    /// Does not deliver what its entries name.
    Mute,
    /// Says of what its entries name that it does not have it.
    Forget,
    /// Says nothing when it is asked for a search.
    Silence,
    /// Stops in the middle of an answer.
    Stall,
    /// Sends an answer that never ends.
    Endless,
}

const ALL: [(&str, Lie); 29] = [
    ("lie", Lie::Flip),
    ("forge", Lie::Forge),
    ("count", Lie::Count),
    ("drop", Lie::Drop),
    ("replay", Lie::Replay),
    ("two-roots", Lie::TwoRoots),
    ("hide", Lie::Hide),
    ("terms", Lie::Terms),
    ("beginnings", Lie::Beginnings),
    ("newest", Lie::Newest),
    ("dependents", Lie::Dependents),
    ("inflate", Lie::Inflate),
    ("rank", Lie::Rank),
    ("filter", Lie::Filter),
    ("version", Lie::Version),
    ("withhold", Lie::Withhold),
    ("old", Lie::Old),
    ("refuse", Lie::Refuse),
    ("decoys", Lie::Decoys),
    ("bury", Lie::Bury),
    ("yank", Lie::Yank),
    ("rotation", Lie::Rotation),
    ("unheeded", Lie::Unheeded),
    ("void", Lie::Void),
    ("mute", Lie::Mute),
    ("forget", Lie::Forget),
    ("silence", Lie::Silence),
    ("stall", Lie::Stall),
    ("endless", Lie::Endless),
];

impl FromStr for Lie {
    type Err = anyhow::Error;

    fn from_str(order: &str) -> Result<Self, Self::Err> {
        let known = ALL.iter().find(|(name, _)| *name == order);
        known.map(|(_, lie)| *lie).ok_or_else(|| anyhow::anyhow!("no such lie: {order}"))
    }
}

/// What a liar needs to know, and what it is told: clones share it.
#[derive(Clone, Default)]
pub struct Orders(Arc<Mutex<(Option<SigningKey>, Option<Lie>)>>);

impl Orders {
    /// Gives it its own key to sign with.
    pub fn sign_with(&self, key: SigningKey) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).0 = Some(key);
    }

    /// Tells it what to do from now on; None: to be honest.
    pub fn lie(&self, lie: Option<Lie>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).1 = lie;
    }

    fn get(&self) -> Option<(SigningKey, Lie)> {
        let orders = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        orders.0.clone().zip(orders.1)
    }
}

/// Stands between a relay and those who ask it.
pub struct Liar {
    shelf: Arc<Shelf>,
    orders: Orders,
    epoch: Duration,
    asked: AtomicU64,
    /// What it made up last, and for which epoch and lie: one map an epoch, as an honest relay has.
    made: Mutex<Option<(u64, Lie, Snapshots)>>,
    /// All records that it ever held when it was asked: a rotation does not make it forget.
    seen: Mutex<BTreeMap<RecordId, Record>>,
}

impl Liar {
    /// Lies on order, from what a relay holds.
    pub fn new(shelf: Arc<Shelf>, orders: Orders, epoch: Duration) -> Self {
        Self { shelf, orders, epoch, asked: AtomicU64::new(0), made: Mutex::default(), seen: Mutex::default() }
    }

    /// What is about the package: the short ids of its releases, and their records.
    fn target(&self) -> (BTreeSet<ShortId>, Vec<Record>) {
        let is_target =
            |record: &&Record| matches!(record, Record::Release(release) if release.name.as_str() == HIDDEN);
        let records: Vec<_> = self.shelf.catalogue().records().filter(is_target).cloned().collect();
        (records.iter().map(|record| ShortId::of(&record.id())).collect(), records)
    }

    /// Takes note of what it holds now.
    fn remember(&self) {
        let held: Vec<_> = self.shelf.catalogue().records().cloned().collect();
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        seen.extend(held.into_iter().map(|record| (record.id(), record)));
    }

    /// What a lie says was never there.
    fn gone(&self, lie: Lie) -> BTreeSet<RecordId> {
        let is_said = |record: &Record| record.status().is_some_and(|status| status.name.as_str() == HIDDEN);
        let is_rotation = |record: &Record| matches!(record, Record::Rotation(_) | Record::KeepPage(_));
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let all = |is_gone: &dyn Fn(&Record) -> bool| {
            seen.values().filter(|record| is_gone(record)).map(Record::id).collect()
        };
        match lie {
            Lie::Withhold | Lie::Old => gone(&self.target().1, lie),
            Lie::Yank | Lie::Unheeded => all(&is_said),
            // As long as nothing had been said of it.
            Lie::Rotation | Lie::Void => all(&|record| is_said(record) || is_rotation(record)),
            _ => BTreeSet::new(),
        }
    }

    /// The catalogue without some records, as a relay has it that never heard of them.
    fn without(&self, gone: &BTreeSet<RecordId>) -> Catalogue {
        let mut catalogue = Catalogue::new();
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let mut left: Vec<_> = seen.values().filter(|record| !gone.contains(&record.id())).cloned().collect();
        // Key logs come before what is signed under them; what is refused for its order is offered again.
        while !left.is_empty() {
            let before = left.len();
            left.retain(|record| catalogue.insert(record.clone()).is_err());
            if left.len() == before {
                break;
            }
        }
        catalogue
    }

    fn map(&self, lie: Lie) -> Map<Leaf> {
        let (ids, _) = self.target();
        let mut map = self.shelf.catalogue().map().clone();
        let lists = |key: &[u8]| ids.iter().any(|id| keys::lists(key, id));
        let mut remove = |beginnings: &[&[u8]]| {
            let listed = map.iter(&[]).map(|(key, _)| key.to_vec());
            let gone: Vec<_> =
                listed.filter(|key| lists(key) && beginnings.iter().any(|one| key.starts_with(one))).collect();
            gone.iter().for_each(|key| _ = map.remove(key));
        };
        match lie {
            Lie::Hide | Lie::Refuse => remove(&[b""]),
            Lie::Decoys | Lie::Bury => {
                let true_map = self.shelf.catalogue().map().clone();
                remove(&[b""]);
                let words =
                    |key: &[u8]| key.len() == b"x/word\0".len() + Place::BYTES && key[1..].starts_with(b"/word\0");
                let listed = true_map.iter(&[]).filter(|(key, _)| lists(key) && words(key));
                for (key, leaf) in listed {
                    // Behind what ranks better than the package, and before it: they are too short to name a record.
                    let count: u16 = if lie == Lie::Bury { 5_000 } else { 40 };
                    let step = 0xfe00 / count;
                    for number in 0..count {
                        let points = &key[..b"x/word\0".len() + size_of::<u16>()];
                        let place = [points, &(number * step).to_be_bytes()].concat();
                        _ = map.insert(&place, leaf.clone());
                    }
                }
            }
            Lie::Terms => remove(&[b"t/"]),
            Lie::Beginnings => remove(&[b"x/"]),
            Lie::Newest => remove(&[b"n/"]),
            Lie::Dependents => remove(&[b"d/"]),
            Lie::Withhold | Lie::Old | Lie::Yank | Lie::Rotation => map = self.without(&self.gone(lie)).map().clone(),
            Lie::Unheeded | Lie::Void => {
                let gone = self.gone(lie);
                map = self.without(&gone).map().clone();
                let catalogue = self.shelf.catalogue();
                for record in gone.iter().filter_map(|id| catalogue.record(id)) {
                    _ = map.insert(&keys::record(record), Leaf::NONE);
                }
            }
            Lie::Version => {
                let is_of = |key: &[u8]| key.starts_with(b"p/") && ids.iter().any(|id| key.ends_with(id.as_bytes()));
                let gone: Vec<_> = map.iter(b"p/").map(|(key, _)| key.to_vec()).filter(|key| is_of(key)).collect();
                gone.iter().for_each(|key| _ = map.remove(key));
            }
            Lie::Inflate | Lie::Rank | Lie::Filter => self.list_wrongly(&mut map, lie, &ids),
            Lie::TwoRoots => {
                let key = format!("z/{}", self.asked.fetch_add(1, Ordering::SeqCst));
                _ = map.insert(key.as_bytes(), Leaf::NONE);
            }
            _ => {}
        }
        map
    }

    /// Lists the package otherwise than the rules say, or more of them, wherever words lead to it.
    fn list_wrongly(&self, map: &mut Map<Leaf>, lie: Lie, ids: &BTreeSet<ShortId>) {
        let entries = [&b"t/"[..], b"x/"].into_iter().flat_map(|words| map.iter(words));
        let is_target = |key: &[u8]| ids.iter().any(|id| key.ends_with(id.as_bytes()));
        let entries: Vec<_> =
            entries.filter(|(key, _)| is_target(key)).map(|(key, leaf)| (key.to_vec(), leaf.clone())).collect();
        for (key, leaf) in entries {
            let (range, place) = key.split_at(key.len() - Place::BYTES);
            let Some(listed) = leaf.listed() else { continue };
            let (gone, key, leaf) = match lie {
                Lie::Filter => {
                    let listed = ggen_shared::catalogue::Listed {
                        filter: Filter::from_bytes([0; FILTER_BYTES]),
                        ..listed.clone()
                    };
                    (false, key.clone(), Leaf::of(listed))
                }
                // Of all ranks the last; a place that no package has.
                lie => {
                    let head = if lie == Lie::Rank { &place[8..] } else { &[0xff; ShortId::BYTES][..] };
                    let last = [range, Rank::from_bytes([0xff; 8]).as_bytes(), head].concat();
                    (lie == Lie::Rank, last, leaf.clone())
                }
            };
            if gone {
                map.remove(&[range, place].concat());
            }
            _ = map.insert(&key, leaf);
        }
    }

    fn snapshots(&self, key: &SigningKey, lie: Lie) -> Option<Snapshots> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?.as_nanos() / self.epoch.as_nanos();
        let now = u64::try_from(now).ok()?;
        let mut made = self.made.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((epoch, told, snapshots)) = &*made
            && (*epoch, *told) == (now, lie)
            && lie != Lie::TwoRoots
        {
            return Some(snapshots.clone());
        }
        let map = self.map(lie);
        let checkpoint = Checkpoint {
            network: self.shelf.network().clone(),
            relay: PublicKey::from_bytes(key.verifying_key().to_bytes()),
            epoch: if lie == Lie::Replay { now - 100 } else { now },
            root: map.root().into(),
            rules: Rules::FIRST.number,
            exclusions: None,
            previous: None,
        };
        let mut snapshots = Snapshots::default();
        snapshots.push(Snapshot { checkpoint: checkpoint.sign(key).ok()?, map });
        *made = Some((now, lie, snapshots.clone()));
        Some(snapshots)
    }

    /// What it says instead of the truth; None: the truth.
    fn tell(&self, request: &Request, key: &SigningKey, lie: Lie) -> Option<Vec<u8>> {
        if matches!(lie, Lie::Flip | Lie::Silence | Lie::Stall | Lie::Endless) {
            return None;
        }
        if lie == Lie::Mute {
            return matches!(request, Request::Named(_)).then(refusal);
        }
        if lie == Lie::Forget {
            let Request::Named(named) = request else { return None };
            let nothing = NamedAnswer { releases: vec![None; named.ids.len()], key_logs: Vec::new() };
            return Some(codec::encode(&Reply::Ok(nothing)));
        }
        let snapshots = self.snapshots(key, lie)?;
        // What it says that it never heard of, no answer of it shows.
        let pretends = matches!(lie, Lie::Yank | Lie::Rotation | Lie::Unheeded | Lie::Void);
        let catalogue = if pretends { self.without(&self.gone(lie)) } else { self.shelf.catalogue().clone() };
        match request {
            Request::Named(named) if pretends => Some(codec::encode(&answer::named(&catalogue, named))),
            Request::KeyLogOf(key_log) if pretends => Some(codec::encode(&answer::key_log_of(&catalogue, key_log))),
            Request::Package(package) if pretends => {
                Some(codec::encode(&answer::package(&catalogue, &snapshots, package)))
            }
            Request::Search(search) => {
                let reply = answer::search_in_full(&catalogue, &snapshots, search);
                let mut reply = reply.map(|packed| SearchAnswer::try_from(packed).expect("it was just packed"));
                if let Ok(answer) = &mut reply {
                    answer.recent.clear();
                    spoil(answer, lie);
                }
                Some(codec::encode(&reply))
            }
            Request::Range(range) if lie == Lie::Refuse && range.show != Show::First(0) => Some(refusal()),
            Request::Named(_) | Request::Records(_) if lie == Lie::Refuse => Some(refusal()),
            Request::Range(range) => Some(codec::encode(&answer::range(&snapshots, range))),
            Request::Package(package) if matches!(lie, Lie::Withhold | Lie::Old) => {
                Some(codec::encode(&answer::package(&self.without(&self.gone(lie)), &snapshots, package)))
            }
            _ => None,
        }
    }
}

/// The records that a liar says it never had.
fn gone(records: &[Record], lie: Lie) -> BTreeSet<RecordId> {
    let version = |record: &&Record| match record {
        Record::Release(release) => Some(release.version.clone()),
        _ => None,
    };
    match lie {
        Lie::Old => records.iter().max_by_key(version).map(Record::id).into_iter().collect(),
        _ => records.iter().map(Record::id).collect(),
    }
}

fn refusal() -> Vec<u8> {
    let refusal = ggen_shared::protocol::query::Refusal::new("relay/busy", "not now");
    codec::encode(&Reply::<()>::Err(refusal))
}

/// What is done to a search answer that was proven.
fn spoil(answer: &mut SearchAnswer, lie: Lie) {
    match (lie, &mut answer.evidence) {
        (Lie::Drop, _) => {
            answer.releases.pop();
            answer.key_logs.truncate(answer.releases.len() + answer.recent.len());
        }
        (Lie::Forge, Some(evidence)) => {
            let last = evidence.proof.len() - 4;
            evidence.proof[last] ^= 1;
        }
        (Lie::Count, Some(evidence)) => {
            // The count of the last subtree that is not shown: behind its operation, and before its hash.
            let hidden =
                (0..evidence.proof.len()).rev().find(|at| evidence.proof[*at] == 2 && evidence.proof.len() > at + 33);
            if let Some(at) = hidden {
                evidence.proof[at + 1] ^= 1;
            }
        }
        _ => {}
    }
}

impl Answer for Liar {
    fn block<'a>(&'a self, cid: &'a ContentId) -> BoxFuture<'a, Option<Vec<u8>>> {
        self.shelf.block(cid)
    }

    fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Vec<u8>> {
        async move {
            self.remember();
            let Some((key, lie)) = self.orders.get() else { return self.shelf.answer(ask).await };
            if lie == Lie::Silence && matches!(ask.request, Request::Search(_)) {
                return std::future::pending().await;
            }
            match self.tell(&ask.request, &key, lie) {
                Some(told) => told,
                None => {
                    let truth = self.shelf.answer(ask).await;
                    if lie == Lie::Flip { flipped(&ask.request, &truth).unwrap_or(truth) } else { truth }
                }
            }
        }
        .boxed()
    }

    fn write<'a>(
        &'a self,
        stream: &'a mut Stream,
        answer: &'a [u8],
        window: u32,
    ) -> BoxFuture<'a, Result<(), exchange::Error>> {
        async move {
            match self.orders.get() {
                Some((_, Lie::Stall)) => {
                    stream.write_all(&u32::try_from(answer.len()).unwrap_or(u32::MAX).to_be_bytes()).await?;
                    stream.write_all(&answer[..answer.len() / 2]).await?;
                    stream.flush().await?;
                    std::future::pending().await
                }
                Some((_, Lie::Endless)) => endless(stream).await.map_err(exchange::Error::Io),
                _ => exchange::write_answer(stream, answer, window).await,
            }
        }
        .boxed()
    }
}

/// As much as an answer may be, one byte after the other: as slow as it takes to never come to an end.
async fn endless(stream: &mut Stream) -> io::Result<()> {
    let length = u32::try_from(MAX_ANSWER_BYTES).unwrap_or(u32::MAX);
    stream.write_all(&length.to_be_bytes()).await?;
    let mut pause = tokio::time::interval(Duration::from_millis(20));
    for _ in 0..length {
        pause.tick().await;
        stream.write_all(&[0]).await?;
        stream.flush().await?;
    }
    Ok(())
}

/// The answer with every release in it forged; none where the answer holds no releases.
fn flipped(request: &Request, truth: &[u8]) -> Option<Vec<u8>> {
    match request {
        Request::Search(_) => {
            let mut reply: Reply<SearchAnswer> = codec::read(truth, MAX_ANSWER_BYTES).ok()?;
            let answer = reply.as_mut().ok()?;
            answer.releases.iter_mut().chain(&mut answer.recent).for_each(flip);
            Some(codec::encode(&reply))
        }
        Request::Package(_) => {
            let mut reply: Reply<PackageAnswer> = codec::decode(truth, MAX_ANSWER_BYTES).ok()?;
            let answer = reply.as_mut().ok()?;
            answer.releases.iter_mut().chain(&mut answer.recent).for_each(flip);
            Some(codec::encode(&reply))
        }
        _ => None,
    }
}

/// Changes one bit of the description, so that the record still reads well and says something else.
fn flip(record: &mut ByteBuf) {
    let field = b"kdescription";
    let found = record.windows(field.len()).position(|window| window == field);
    // Behind the name of the field stands the length of the text, in at most three bytes.
    let text = found.expect("every release has a description") + field.len() + 3;
    record[text] ^= 1;
}
