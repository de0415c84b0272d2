//! Relays that lie about what they hold, in ways that their proofs seem to bear out: each lie is found by the client that asks, and with one
//! honest relay among those asked the answer is complete all the same.

#![allow(clippy::unwrap_used, reason = "tests")]

use std::sync::{Arc, Mutex};
use std::time::{SystemTime, UNIX_EPOCH};

use ed25519_dalek::SigningKey;
use futures::FutureExt;
use futures::future::BoxFuture;
use ggen_net::{Comparison, P2PRegistry};
use ggen_relay::admission::Shelf;
use ggen_relay::identity::Identity;
use ggen_relay::market::peer::Tokio;
use ggen_relay::query::Answer;
use ggen_shared::catalogue::snapshots::{Snapshot, Snapshots};
use ggen_shared::catalogue::{Leaf, answer};
use ggen_shared::checkpoint::{Checkpoint, RULES};
use ggen_shared::client::Contradiction;
use ggen_shared::codec;
use ggen_shared::id::PublicKey;
use ggen_shared::merkle::Map;
use ggen_shared::protocol::query::{Request, SearchAnswer};
use ggen_shared::registry::{PeerError, Registry, SearchError, SearchOptions, SearchResults};
use ggen_shared::reputation::UNKNOWN_SCORE;
use ggen_tests::{EPOCH, Package, Publisher, TestPeer, TestRelay, network, until};

type Client = P2PRegistry<Tokio>;

/// What a liar does to answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    /// Keeps a package off every list, and holds its record all the same.
    Hide,
    /// Keeps it off every list, and says that it never had the record.
    Withhold,
    /// Leaves a record out that its own proof names.
    Drop,
    /// Signs another root for the same epoch each time it is asked.
    TwoRoots,
    /// Answers as it would have long ago.
    Replay,
    /// Changes a byte of each proof.
    Forge,
    /// Says nothing, after it was asked.
    Silence,
}

const HIDDEN: &str = "hidden";

/// Answers with a map of its own making, signed with the relay's own key.
struct Liar {
    shelf: Arc<Shelf>,
    key: Arc<Mutex<Option<SigningKey>>>,
    lie: Lie,
    asked: Mutex<u64>,
}

impl Liar {
    fn snapshots(&self) -> Option<Snapshots> {
        let key = self.key.lock().unwrap().clone()?;
        let mut asked = self.asked.lock().unwrap();
        *asked += 1;
        let mut map: Map<Leaf> = self.shelf.catalogue().map().clone();
        let is_hidden = |leaf: &Leaf| {
            let package = leaf.listed().map(|listed| listed.head);
            let catalogue = self.shelf.catalogue();
            package.and_then(|id| catalogue.record(&id).cloned()).is_some_and(|record| match record {
                ggen_shared::record::Record::Release(release) => release.name.as_str() == HIDDEN,
                ggen_shared::record::Record::Inception(_) => false,
            })
        };
        if matches!(self.lie, Lie::Hide | Lie::Withhold) {
            let mut gone: Vec<Vec<u8>> =
                map.iter(&[]).filter(|(_, leaf)| is_hidden(leaf)).map(|(key, _)| key.to_vec()).collect();
            if self.lie == Lie::Withhold {
                for record in self.shelf.catalogue().records() {
                    if let ggen_shared::record::Record::Release(release) = record
                        && release.name.as_str() == HIDDEN
                    {
                        gone.push(ggen_shared::catalogue::keys::record(record));
                    }
                }
            }
            gone.iter().for_each(|key| assert!(map.remove(key)));
        }
        if self.lie == Lie::TwoRoots {
            map.insert(format!("z/{asked}").as_bytes(), Leaf::NONE).unwrap();
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() / EPOCH.as_secs();
        let epoch = if self.lie == Lie::Replay { now - 100 } else { now };
        let relay = PublicKey::from_bytes(key.verifying_key().to_bytes());
        let root = map.root().into();
        let checkpoint =
            Checkpoint { network: network(), relay, epoch, root, rules: RULES, exclusions: None, previous: None };
        let mut snapshots = Snapshots::default();
        snapshots.push(Snapshot { checkpoint: checkpoint.sign(&key).unwrap(), map });
        Some(snapshots)
    }

    fn tell(&self, request: &Request) -> Option<Vec<u8>> {
        let snapshots = self.snapshots()?;
        match request {
            Request::Search(search) => {
                let mut reply = answer::search(&self.shelf.catalogue(), &snapshots, search);
                if let Ok(SearchAnswer { releases, recent, evidence, key_logs, .. }) = &mut reply {
                    recent.clear();
                    if self.lie == Lie::Drop {
                        releases.pop();
                        key_logs.pop();
                    }
                    if let (Lie::Forge, Some(evidence)) = (self.lie, evidence) {
                        let last = evidence.proof.len() - 4;
                        evidence.proof[last] ^= 1;
                    }
                }
                Some(codec::encode(&reply))
            }
            Request::Range(range) => Some(codec::encode(&answer::range(&snapshots, range))),
            _ => None,
        }
    }
}

impl Answer for Liar {
    fn answer<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Vec<u8>> {
        async move {
            if self.lie == Lie::Silence && matches!(request, Request::Search(_)) {
                return std::future::pending().await;
            }
            match self.tell(request) {
                Some(lie) => lie,
                None => self.shelf.answer(request).await,
            }
        }
        .boxed()
    }
}

async fn liar(lie: Lie) -> TestRelay {
    let key = Arc::<Mutex<Option<SigningKey>>>::default();
    let its = key.clone();
    let relay = TestRelay::answering(move |shelf| Box::new(Liar { shelf, key: its, lie, asked: Mutex::new(0) })).await;
    let identity = Identity::load_or_create(relay.directory()).unwrap().keypair.try_into_ed25519().unwrap();
    *key.lock().unwrap() = Some(SigningKey::from_bytes(identity.secret().as_ref().try_into().unwrap()));
    relay
}

fn packages() -> [Package; 2] {
    ["plain", HIDDEN].map(|name| {
        let number = u8::try_from(name.len()).unwrap();
        Publisher::new(number).release(name, "1.0.0", "the same word", name.as_bytes())
    })
}

/// A client that knows these relays, all of which hold both packages. The first is asked first.
async fn client(relays: &[&TestRelay]) -> Client {
    for relay in relays {
        for package in packages() {
            package.publish_at(relay).await;
        }
        // What is recent is beside the point here.
        until("a checkpoint of all", async || {
            let shelf = relay.relay().shelf();
            let root = shelf.catalogue().root();
            shelf.snapshots().latest().is_some_and(|latest| latest.map.root() == root).then_some(())
        })
        .await;
    }
    let peer = TestPeer::start(&relays[..1]).await;
    for relay in &relays[1..] {
        peer.peer.add_relay(relay.address("/tcp/", false)).await.unwrap();
        for _ in 0..3 {
            peer.peer.note_fault(relay.peer_id());
        }
    }
    until("connections", async || (peer.peer.connected().len() == relays.len()).then_some(())).await;
    Client::new(peer.peer.clone())
}

fn names(results: &SearchResults) -> Vec<&str> {
    let mut names: Vec<_> = results.hits.iter().flatten().map(|hit| hit.release.name.as_str()).collect();
    names.sort_unstable();
    names
}

async fn search(client: &Client) -> Result<SearchResults, SearchError> {
    client.search("same word", SearchOptions::default()).await
}

async fn compare(client: &Client, results: &SearchResults) -> Comparison {
    client.compare("same word", &SearchOptions::default(), results).await
}

fn score(client: &Client, relay: &TestRelay) -> f64 {
    let now = ggen_net::light::Platform::now(client.peer().platform());
    client.peer().reputation(&relay.peer_id()).score(now)
}

#[tokio::test]
async fn a_package_that_a_relay_holds_and_hides_is_shown_by_an_honest_one_and_the_relay_is_named() {
    let (liar, honest) = (liar(Lie::Hide).await, TestRelay::start(&[]).await);
    let client = client(&[&liar, &honest]).await;
    let found = search(&client).await.unwrap();
    assert_eq!(names(&found), ["plain"], "its proof holds: that is all it commits to");
    let comparison = compare(&client, &found).await;
    let [difference] = &comparison.differ[..] else { panic!("{comparison:?}") };
    assert_eq!(difference.source.0, honest.peer_id().to_string());
    assert_eq!(difference.more[0].release.name.as_str(), HIDDEN);
    assert_eq!(difference.hidden, [difference.more[0].release.id()], "it commits to hold what it does not list");
    assert!(!comparison.is_complete() && score(&client, &liar) < UNKNOWN_SCORE);
}

#[tokio::test]
async fn a_record_that_a_relay_withholds_is_shown_by_an_honest_one() {
    let (liar, honest) = (liar(Lie::Withhold).await, TestRelay::start(&[]).await);
    let client = client(&[&liar, &honest]).await;
    let found = search(&client).await.unwrap();
    let comparison = compare(&client, &found).await;
    let [difference] = &comparison.differ[..] else { panic!("{comparison:?}") };
    assert_eq!(difference.more[0].release.name.as_str(), HIDDEN);
    assert!(difference.hidden.is_empty(), "nothing shows that it is more than behind");
}

#[tokio::test]
async fn two_liars_do_not_outvote_an_honest_relay() {
    let liars = [liar(Lie::Hide).await, liar(Lie::Hide).await];
    let honest = TestRelay::start(&[]).await;
    let client = client(&[&liars[0], &liars[1], &honest]).await;
    let found = search(&client).await.unwrap();
    let comparison = compare(&client, &found).await;
    assert_eq!(comparison.agree.len(), 1, "the other liar");
    assert!(!comparison.is_complete());
    assert_eq!(comparison.differ[0].more[0].release.name.as_str(), HIDDEN);
}

#[tokio::test]
async fn a_record_that_is_left_out_of_its_own_proof_is_missed() {
    let liar = liar(Lie::Drop).await;
    let client = client(&[&liar]).await;
    let found = search(&client).await.unwrap();
    let refused: Vec<_> = found.hits.iter().filter_map(|hit| hit.as_ref().err()).collect();
    assert_eq!(refused.iter().map(|refused| refused.refused.error.code()).collect::<Vec<_>>(), ["relay/withheld"]);
    assert!(score(&client, &liar) < UNKNOWN_SCORE);
}

/// The error of the liar alone; and the whole answer as soon as an honest relay is there too.
async fn refused_alone_and_complete_with_another(lie: Lie, code: &str) {
    let (liar, honest) = (liar(lie).await, TestRelay::start(&[]).await);
    let alone = client(&[&liar]).await;
    let refused = search(&alone).await.unwrap_err();
    let SearchError::Peer(PeerError::BadAnswer(error)) = &refused else { panic!("{refused:?}") };
    assert_eq!(error.code(), code);
    assert!(score(&alone, &liar) < UNKNOWN_SCORE);
    let both = client(&[&liar, &honest]).await;
    assert_eq!(names(&search(&both).await.unwrap()), [HIDDEN, "plain"]);
}

#[tokio::test]
async fn an_old_checkpoint_is_refused() {
    refused_alone_and_complete_with_another(Lie::Replay, "checkpoint/not-fresh").await;
}

#[tokio::test]
async fn a_forged_proof_is_refused() {
    refused_alone_and_complete_with_another(Lie::Forge, "relay/bad-proof").await;
}

#[tokio::test]
async fn two_roots_for_one_epoch_are_kept_as_evidence_that_convinces_who_was_not_there() {
    let liar = liar(Lie::TwoRoots).await;
    let client = client(&[&liar]).await;
    let caught = until("two answers within one epoch", async || match search(&client).await {
        Err(SearchError::Peer(PeerError::BadAnswer(error))) => Some(error),
        _ => None,
    });
    assert_eq!(caught.await.code(), "relay/two-roots");
    let evidence = client.contradictions();
    let shown = Contradiction::verify(evidence[0].bytes(), &network());
    assert_eq!(shown.as_ref(), Some(&evidence[0]));
    assert!(score(&client, &liar) < UNKNOWN_SCORE);
}

#[tokio::test]
async fn a_relay_that_stops_answering_costs_a_timeout_and_no_result() {
    let (liar, honest) = (liar(Lie::Silence).await, TestRelay::start(&[]).await);
    let client = client(&[&liar, &honest]).await;
    assert_eq!(names(&search(&client).await.unwrap()), [HIDDEN, "plain"]);
}
