//! Bad input over the network: a typed refusal, nothing stored, nothing forwarded. And a relay that lies is found out.

use std::sync::Arc;

use ed25519_dalek::{Signer, SigningKey};
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use ggen_net::light::{AskError, Event, FetchError};
use ggen_net::{P2PRegistry, exchange};
use ggen_relay::admission::Shelf;
use ggen_relay::market::peer::Tokio;
use ggen_relay::query::Answer;
use ggen_shared::codec;
use ggen_shared::content::Block;
use ggen_shared::id::{FullName, Handle, KeyCommitment, Network, PublicKey, RecordId};
use ggen_shared::limits::{MAX_BLOCKS_PER_RELEASE, MAX_OFFER_BYTES, MAX_RECORD_BYTES, MAX_RECORDS_PER_OFFER};
use ggen_shared::protocol::publish::Offer;
use ggen_shared::protocol::query::{self, Ask, Question, Request};
use ggen_shared::record::{ContentId, Envelope, Inception, Kind, Payload, Release, Work, sign};
use ggen_shared::registry::{GetError, Registry, SearchOptions};
use ggen_shared::reputation::UNKNOWN_SCORE;
use ggen_shared::search::verified::{AnswerError, verify_key_log};
use ggen_tests::{Package, Publisher, TestPeer, TestRelay, network, until, within};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_bytes::ByteBuf;

/// A relay that is offered bad things, and a peer that hears whatever the relay passes on.
struct Scene {
    relay: TestRelay,
    sender: TestPeer,
    listener: TestPeer,
}

impl Scene {
    async fn new() -> Self {
        Self::of(network()).await
    }

    async fn of(network: Network) -> Self {
        let relay = TestRelay::configured(|config| config.network = network).await;
        let (sender, listener) = (TestPeer::start(&[&relay]).await, TestPeer::start(&[&relay]).await);
        Self { relay, sender, listener }
    }

    /// What the relay holds.
    fn records(&self) -> Vec<RecordId> {
        self.relay.relay().shelf().catalogue().records().map(ggen_shared::record::Record::id).collect()
    }

    /// Offers what must be refused: the code of the refusal. `blocks` are those that the sender has.
    async fn refused(&self, offer: &Offer, blocks: &[Block]) -> String {
        let before = self.records();
        let block = |cid: &ContentId| blocks.iter().find(|block| block.cid == *cid).map(|block| block.data.clone());
        let answer = within("the refusal", self.sender.peer.publish(self.relay.peer_id(), offer, block)).await;
        let refusal = match answer {
            Err(AskError::Exchange(exchange::Error::Refused(refusal))) => refusal,
            other => panic!("no refusal: {other:?}"),
        };
        assert!(!refusal.message.is_empty());
        assert_eq!(self.records(), before, "a refused offer changes no record");
        for cid in &offer.blocks {
            assert!(
                !self.relay.relay().shelf().store().has_block(cid).await.unwrap(),
                "a refused offer leaves no block"
            );
        }
        refusal.code
    }

    /// Offers records alone.
    async fn refused_records(&self, records: Vec<Vec<u8>>) -> String {
        let offer = Offer { records: records.into_iter().map(ByteBuf::from).collect(), blocks: Vec::new() };
        self.refused(&offer, &[]).await
    }

    /// Demands that the listener heard of nothing, by what it hears first: something that was published after all the rest.
    async fn nothing_was_forwarded(mut self) {
        let valid = Publisher::new(250).release("heard", "1.0.0", "the only one that is passed on", b"heard");
        within("the receipt", valid.publish(&self.sender, self.relay.peer_id())).await.unwrap();
        let heard = within("an announcement", async {
            loop {
                match self.listener.events.next().await.expect("the listener runs") {
                    Event::Connections(_) | Event::Missed => {}
                    event @ (Event::Rotated { .. } | Event::Stated { .. } | Event::Accused { .. }) => {
                        panic!("nobody said so: {event:?}")
                    }
                    Event::Announced { release, .. } => return release.id(),
                    Event::Refused { error, .. } => panic!("the relay passed on what it refused: {error}"),
                }
            }
        });
        assert_eq!(heard.await, valid.release.id());
    }
}

fn blocks(package: &Package) -> &[Block] {
    &package.artifact.blocks
}

fn records(package: &Package) -> [Vec<u8>; 2] {
    [package.offer.records[0].to_vec(), package.offer.records[1].to_vec()]
}

/// A publisher and a package of several blocks.
fn package(number: u8) -> (Publisher, Package) {
    let mut publisher = Publisher::new(number);
    let content: Vec<u8> = (0..150_000_u32).flat_map(u32::to_le_bytes).collect();
    let package = publisher.release("bad", "1.0.0", "never to be seen", &content);
    (publisher, package)
}

/// The bytes of a record with any payload, signed as it should be.
fn signed(kind: Kind, payload: Vec<u8>, key: &SigningKey) -> Vec<u8> {
    let signature = key.sign(&kind.signed_message(&network(), &kind.id_of(&payload))).to_bytes();
    Envelope { kind: kind.number().into(), payload, signature }.encode().unwrap().to_vec()
}

/// The release of a package with its fields changed, signed again without any check.
fn changed(publisher: &Publisher, package: &Package, change: impl FnOnce(&mut Release)) -> Vec<u8> {
    let mut release = (*package.release).clone();
    change(&mut release);
    signed(Release::KIND, codec::encode(&release), &publisher.signing)
}

/// Replaces the one place where `old` stands.
fn replaced(bytes: &[u8], old: &[u8], new: &[u8]) -> Vec<u8> {
    let at = bytes.windows(old.len()).position(|window| window == old).expect("it is there");
    [&bytes[..at], new, &bytes[at + old.len()..]].concat()
}

#[tokio::test]
async fn a_wrong_signature_is_refused() {
    let scene = Scene::new().await;
    let (publisher, package) = package(1);
    let [inception, release] = records(&package);
    for at in [release.len() - 1, release.len() - 64] {
        let mut wrong = release.clone();
        wrong[at] ^= 1;
        let offer = Offer { records: vec![inception.clone().into(), wrong.into()], ..package.offer.clone() };
        assert_eq!(scene.refused(&offer, blocks(&package)).await, "record/bad-signature");
    }
    let mut other_text = release.clone();
    other_text = replaced(&other_text, b"never to be seen", b"never to be sEEn");
    assert_eq!(scene.refused_records(vec![inception.clone(), other_text]).await, "record/bad-signature");
    let other_network =
        sign((*package.release).clone(), &publisher.signing, &Network::named("other").unwrap()).unwrap();
    let refused = scene.refused_records(vec![inception.clone(), other_network.bytes().to_vec()]).await;
    assert_eq!(refused, "record/bad-signature");
    let mut wrong_inception = inception;
    *wrong_inception.last_mut().unwrap() ^= 1;
    assert_eq!(scene.refused_records(vec![wrong_inception]).await, "record/bad-signature");
    scene.nothing_was_forwarded().await;
}

#[tokio::test]
async fn a_key_of_small_order_is_refused() {
    let scene = Scene::new().await;
    // The neutral element and a point of order 8: under these, one signature fits many messages.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    let order_8 = "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a";
    let order_8: Vec<u8> = (0..32).map(|at| u8::from_str_radix(&order_8[2 * at..2 * at + 2], 16).unwrap()).collect();
    for key in [neutral, order_8.try_into().unwrap()] {
        let inception = Inception {
            handle: Handle::new("weak").unwrap(),
            key: PublicKey::from_bytes(key),
            next: KeyCommitment::to_key(&PublicKey::from_bytes([7; 32])),
            work: Work::NONE,
        };
        // R is the neutral element and s is 0: what a lax verifier accepts for every message.
        let mut signature = [0; 64];
        signature[0] = 1;
        let envelope =
            Envelope { kind: Kind::Inception.number().into(), payload: codec::encode(&inception), signature };
        let refused = scene.refused_records(vec![envelope.encode().unwrap().to_vec()]).await;
        assert_eq!(refused, "record/weak-key");
    }
    scene.nothing_was_forwarded().await;
}

#[tokio::test]
async fn an_identity_that_has_not_done_what_its_network_asks_for_is_refused() {
    let here = Publisher::new(11);
    let proven = Publisher::of_network(11, Network::main());
    let read = |publisher: &Publisher| {
        let events: Vec<_> = publisher.key_log.events().cloned().collect();
        let envelope = Envelope::decode(&events[0]).unwrap();
        codec::decode::<Inception>(&envelope.payload, MAX_RECORD_BYTES).unwrap()
    };
    let (free, costly) = (read(&here), read(&proven));
    let claimed = Work { nonce: costly.work.nonce + 1, ..costly.work };
    let on = |network: &Network, inception: &Inception| {
        let (kind, payload) = (Kind::Inception, codec::encode(inception));
        let signature = here.signing.sign(&kind.signed_message(network, &kind.id_of(&payload))).to_bytes();
        Envelope { kind: kind.number().into(), payload, signature }.encode().unwrap().to_vec()
    };

    let scene = Scene::new().await;
    let refused = scene.refused_records(vec![on(&network(), &costly)]).await;
    assert_eq!(refused, "record/wrong-work", "none is asked for here");
    scene.nothing_was_forwarded().await;

    let main = Network::main();
    let scene = Scene::of(main.clone()).await;
    for inception in [free, Inception { work: claimed, ..costly.clone() }] {
        assert_eq!(scene.refused_records(vec![on(&main, &inception)]).await, "record/wrong-work");
    }
    let offer = Offer { records: vec![on(&main, &costly).into()], blocks: Vec::new() };
    let receipt = within("the receipt", scene.sender.peer.publish(scene.relay.peer_id(), &offer, |_| None)).await;
    assert_eq!(receipt.unwrap().new.len(), 1);
    assert_eq!(scene.records(), [proven.key_log.publisher().inception()]);
}

#[tokio::test]
async fn bytes_that_are_no_record_are_refused() {
    let scene = Scene::new().await;
    let (publisher, package) = package(2);
    let [inception, release] = records(&package);
    // Kind 4 in two bytes: a value has one encoding only.
    assert_eq!(release[..4], [0xa3, 0x61, b'k', 0x04]);
    let payload = codec::encode(&*package.release);
    let with_name = |name: &[u8]| signed(Kind::Release, replaced(&payload, b"cbad", name), &publisher.signing);
    let with_version =
        |version: &[u8]| signed(Kind::Release, replaced(&payload, b"e1.0.0", version), &publisher.signing);
    let cases = [
        ("nothing", Vec::new()),
        ("a trailing byte", [&release[..], &[0]].concat()),
        ("a truncated record", release[..release.len() - 1].to_vec()),
        ("a number in the long form", [&release[..3], &[0x18, 0x04], &release[4..]].concat()),
        ("an oversized record", vec![0; MAX_RECORD_BYTES + 1]),
        (
            "an oversized payload",
            codec::encode(&Envelope { kind: 4, payload: vec![0; MAX_RECORD_BYTES], signature: [0; 64] }),
        ),
        ("a name of invalid UTF-8", with_name(b"cb\xffd")),
        ("a name that is a path", with_name(b"j../../bad/")),
        ("a version of two numbers", with_version(b"c1.0")),
        ("a version that is a word", with_version(b"flatest")),
        ("a version with a zero in front", with_version(b"f01.0.0")),
        ("a version with build metadata", with_version(b"g1.0.0+b")),
        ("random text", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
    ];
    for (case, bytes) in cases {
        assert_eq!(scene.refused_records(vec![inception.clone(), bytes]).await, "record/encoding", "{case}");
    }
    scene.nothing_was_forwarded().await;
}

#[tokio::test]
async fn a_record_that_breaks_a_rule_is_refused_by_that_rule() {
    let scene = Scene::new().await;
    let (publisher, package) = package(3);
    let [inception, release] = records(&package);
    let of_kind = |kind| Envelope { kind, payload: vec![0xa0], signature: [0; 64] }.encode().unwrap().to_vec();
    let with = |change: fn(&mut Release)| changed(&publisher, &package, change);
    let stranger = Publisher::new(4);
    let cases = [
        (of_kind(0), "record/unknown-kind"),
        (of_kind(256), "record/unknown-kind"),
        // A kind of rules to come is kept, if it says who answers for it.
        (of_kind(99), "record/field"),
        (with(|release| release.description = "x".repeat(513)), "record/field"),
        (with(|release| release.description = "two\nlines".into()), "record/field"),
        (with(|release| release.homepage = Some("javascript:alert(1)".into())), "record/field"),
        (with(|release| release.artifact.size = u64::MAX), "record/field"),
        (with(|release| release.index = u32::MAX), "record/over-quota"),
        (with(|release| release.signed_under = RecordId::from_bytes([9; 32])), "record/unknown-key-event"),
        (changed(&stranger, &package, |_| {}), "record/bad-signature"),
    ];
    for (bytes, code) in cases {
        assert_eq!(scene.refused_records(vec![inception.clone(), bytes]).await, code);
    }
    // Without the inception nobody can tell whose it is.
    assert_eq!(scene.refused_records(vec![release]).await, "publish/unknown-publisher");
    scene.nothing_was_forwarded().await;
}

#[tokio::test]
async fn a_rotation_that_reveals_the_wrong_key_or_replays_another_publishers_is_refused() {
    let scene = Scene::new().await;
    let (owner, mut stranger) = (Publisher::new(8), Publisher::new(9));
    assert_eq!(scene.refused(&owner.rotation_revealing_the_key_in_force(), &[]).await, "record/not-committed");
    // Another publisher's rotation, behind this one's key log.
    let inception = owner.rotate_away().records[0].to_vec();
    let theirs = stranger.rotate(&[]).records.pop().unwrap().to_vec();
    assert_eq!(scene.refused_records(vec![inception.clone(), theirs]).await, "publish/unknown-publisher");
    // Of another network.
    let elsewhere = Publisher::of_network(8, Network::named("other").unwrap()).rotate_away();
    let rotation = elsewhere.records.last().unwrap().to_vec();
    assert_eq!(scene.refused_records(vec![inception, rotation]).await, "record/bad-signature");
    scene.nothing_was_forwarded().await;
}

#[tokio::test]
async fn a_rotation_that_is_sent_again_changes_nothing_and_one_that_forks_gives_nobody_the_name() {
    let scene = Scene::new().await;
    let mut owner = Publisher::new(10);
    let mut thief = owner.stolen();
    let rotation = owner.rotate(&[]);
    let publish = async |offer: &Offer| scene.sender.peer.publish(scene.relay.peer_id(), offer, |_| None).await;
    publish(&rotation).await.unwrap();
    let before = scene.records();
    assert!(publish(&rotation).await.unwrap().new.is_empty());
    assert_eq!(scene.records(), before);
    // Who has the next key as well can fork the log: it ends there, for all of them.
    let fork = thief.rotate(&[RecordId::from_bytes([1; 32])]);
    publish(&fork).await.unwrap();
    for publisher in [&mut owner, &mut thief] {
        let package = publisher.release("name", "1.0.0", "whoever it is", b"whoever it is");
        assert_eq!(scene.refused(&package.offer, blocks(&package)).await, "record/unknown-key-event");
    }
}

#[tokio::test]
async fn more_than_an_offer_may_have_is_refused() {
    let scene = Scene::new().await;
    let (_, package) = package(5);
    let [inception, _] = records(&package);
    assert_eq!(scene.refused_records(vec![inception; MAX_RECORDS_PER_OFFER + 1]).await, "publish/too-much");
    let cid = |number: usize| ContentId::of_raw(&number.to_be_bytes());
    let many = Offer { blocks: (0..=MAX_BLOCKS_PER_RELEASE).map(cid).collect(), ..package.offer.clone() };
    assert_eq!(scene.refused(&many, &[]).await, "publish/too-much");
    // The offer as a whole is bounded before anything of it is read.
    assert_eq!(scene.refused_records(vec![vec![0; MAX_OFFER_BYTES]]).await, "relay/malformed-message");
    scene.nothing_was_forwarded().await;
}

#[tokio::test]
async fn content_that_is_not_what_the_release_says_is_refused() {
    let scene = Scene::new().await;
    let (publisher, package) = package(6);
    let good = blocks(&package);
    let leaf = &good[0];

    let mut damaged = good.to_vec();
    damaged[0].data[1000] ^= 1;
    assert_eq!(scene.refused(&package.offer, &damaged).await, "content/wrong-hash");
    // The sender has nothing of what it offers, and sends empty blocks.
    assert_eq!(scene.refused(&package.offer, &[]).await, "content/wrong-hash");
    let mut long = good.to_vec();
    long[0].data.resize(ggen_shared::limits::MAX_BLOCK_BYTES + 1, 0);
    assert_eq!(scene.refused(&package.offer, &long).await, "relay/malformed-message");

    let without: Vec<ContentId> = package.offer.blocks.iter().copied().filter(|cid| *cid != leaf.cid).collect();
    let missing = Offer { blocks: without, ..package.offer.clone() };
    assert_eq!(scene.refused(&missing, good).await, "publish/missing-block");

    let surplus = Block { cid: ContentId::of_raw(b"free storage"), data: b"free storage".to_vec() };
    let mut more = package.offer.clone();
    more.blocks.push(surplus.cid);
    assert_eq!(scene.refused(&more, &[good, std::slice::from_ref(&surplus)].concat()).await, "publish/too-much");
    let alone = Offer { records: vec![records(&package)[0].clone().into()], blocks: vec![surplus.cid] };
    assert_eq!(scene.refused(&alone, &[surplus]).await, "publish/too-much");

    let longer = changed(&publisher, &package, |release| release.artifact.size += 1);
    let offer = Offer { records: vec![records(&package)[0].clone().into(), longer.into()], ..package.offer.clone() };
    assert_eq!(scene.refused(&offer, good).await, "content/wrong-size");
    scene.nothing_was_forwarded().await;
}

#[tokio::test]
async fn a_record_that_finds_no_place_is_refused_with_its_content() {
    let scene = Scene::new().await;
    let publisher = &mut Publisher::new(7);
    let first = publisher.release("crowded", "1.0.0", "stands at index 0", b"first");
    // Three releases at one index: the two with the smallest ids stay, so the third offered must have the largest.
    let mut rivals: Vec<(RecordId, Offer, Vec<Block>)> = (0..3_u8)
        .map(|number| {
            let artifact = ggen_shared::content::build(&[number; 5000]);
            let mut release = (*first.release).clone();
            release.artifact = artifact.content();
            let release = sign(release, &publisher.signing, &network()).unwrap();
            let records = vec![first.offer.records[0].clone(), release.bytes().to_vec().into()];
            let offer = Offer { records, blocks: artifact.blocks.iter().map(|block| block.cid).collect() };
            (release.id(), offer, artifact.blocks)
        })
        .collect();
    rivals.sort_by_key(|(id, ..)| *id);
    for (_, offer, blocks) in &rivals[..2] {
        let block = |cid: &ContentId| blocks.iter().find(|block| block.cid == *cid).map(|block| block.data.clone());
        scene.sender.peer.publish(scene.relay.peer_id(), offer, block).await.unwrap();
    }
    let (_, offer, blocks) = &rivals[2];
    assert_eq!(scene.refused(offer, blocks).await, "publish/conflict");
}

/// Asks what must be refused: the code of the refusal.
async fn question_refused(peer: &TestPeer, relay: &TestRelay, question: impl Question) -> String {
    match peer.peer.ask(relay.peer_id(), question).await {
        Err(AskError::Exchange(exchange::Error::Refused(refusal))) => refusal.code,
        Err(error) => panic!("no refusal: {error}"),
        Ok(_) => panic!("an answer to what is no question"),
    }
}

#[tokio::test]
async fn a_question_that_is_none_is_refused_by_its_reason() {
    let relay = TestRelay::start(&[]).await;
    let peer = TestPeer::start(&[&relay]).await;
    let search = |text: &str| query::Search { text: text.into(), limit: 20, cursor: None, ..query::Search::default() };
    let with_cursor = |cursor: &[u8]| query::Search { cursor: Some(cursor.to_vec().into()), ..search("word") };
    let cases = [
        (search(&"x".repeat(257)), "query/too-long"),
        (search("one two three four five six seven eight nine"), "query/too-many-words"),
        (query::Search { limit: 0, ..search("word") }, "query/bad-limit"),
        (query::Search { limit: 51, ..search("word") }, "query/bad-limit"),
        (with_cursor(b""), "query/bad-cursor"),
        (with_cursor(b"nowhere"), "query/bad-cursor"),
        (with_cursor(&[0xff; 129]), "query/bad-cursor"),
        // Longer than any question may be.
        (search(&"x".repeat(8 * 1024)), "relay/malformed-message"),
    ];
    for (question, code) in cases {
        assert_eq!(question_refused(&peer, &relay, question).await, code);
    }
    let ids = query::Records { ids: vec![RecordId::from_bytes([0; 32]); 65] };
    assert_eq!(question_refused(&peer, &relay, ids).await, "query/too-many-ids");
}

#[tokio::test]
async fn what_nobody_published_is_unknown() {
    let relay = TestRelay::start(&[]).await;
    let peer = TestPeer::start(&[&relay]).await;
    let registry = P2PRegistry::new(peer.peer.clone());
    let (_, unpublished) = package(8);
    let name = full_name(&unpublished);
    assert_eq!(registry.get_package(&name).await.unwrap_err(), GetError::UnknownPackage(name.clone()));
    assert!(!registry.exists(&name).await.unwrap());
    unpublished.publish(&peer, relay.peer_id()).await.unwrap();
    assert!(registry.exists(&name).await.unwrap());
    let version = "9.9.9".parse().unwrap();
    assert_eq!(registry.get_package_version(&name, &version).await.unwrap_err().code(), "version/not-found");
    // The name is right and the publisher is not: the fingerprint decides, not the name.
    let other = FullName { fingerprint: Publisher::new(9).key_log.publisher().fingerprint(), ..name };
    assert_eq!(registry.get_package(&other).await.unwrap_err().code(), "package/not-found");
    assert_eq!(registry.search("unheard of", SearchOptions::default()).await.unwrap().total, 0);
}

/// What a lying relay changes, by one bit each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lie {
    FoundRelease,
    FoundKeyLog,
    PackageRelease,
    PackageKeyLog,
    KeyLog,
    Block,
}

/// Answers as its shelf does, but for one bit of one record.
struct Liar {
    shelf: Arc<Shelf>,
    lie: Lie,
}

impl Liar {
    fn tell(&self, request: &Request, answer: Vec<u8>) -> Vec<u8> {
        match (self.lie, request) {
            (Lie::FoundRelease, Request::Search(_)) => edit::<query::SearchAnswer>(&answer, |answer| {
                answer.releases.iter_mut().chain(&mut answer.recent).next().map(flip)
            }),
            (Lie::FoundKeyLog, Request::Search(_)) => {
                edit::<query::SearchAnswer>(&answer, |answer| {
                    // What the inception says: its own signature says nothing that its publisher's releases do not.
                    answer.key_logs.first_mut().and_then(|log| log[0].get_mut(24)).map(|byte| *byte ^= 1)
                })
            }
            (Lie::PackageRelease, Request::Package(_)) => edit::<query::PackageAnswer>(&answer, |answer| {
                answer.releases.iter_mut().chain(&mut answer.recent).next().map(flip)
            }),
            (Lie::PackageKeyLog, Request::Package(_)) => {
                edit::<query::PackageAnswer>(&answer, |answer| answer.key_log.first_mut().map(flip))
            }
            (Lie::KeyLog, Request::KeyLogOf(_)) => {
                edit::<query::KeyLogAnswer>(&answer, |answer| answer.events.first_mut().map(flip))
            }
            _ => answer,
        }
    }
}

impl Answer for Liar {
    fn block<'a>(&'a self, cid: &'a ContentId) -> BoxFuture<'a, Option<Vec<u8>>> {
        async move {
            let mut block = self.shelf.block(cid).await?;
            if self.lie == Lie::Block {
                *block.last_mut().expect("not empty") ^= 1;
            }
            Some(block)
        }
        .boxed()
    }

    fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Vec<u8>> {
        async move { self.tell(&ask.request, self.shelf.answer(ask).await) }.boxed()
    }
}

/// Flips the lowest bit of the last byte: of a record's signature, of a block's content.
fn flip(bytes: &mut ByteBuf) {
    *bytes.last_mut().expect("not empty") ^= 1;
}

fn edit<A: Serialize + DeserializeOwned>(answer: &[u8], change: impl FnOnce(&mut A) -> Option<()>) -> Vec<u8> {
    let mut reply: query::Reply<A> = codec::read(answer, ggen_shared::limits::MAX_ANSWER_BYTES).unwrap();
    change(reply.as_mut().unwrap());
    codec::encode(&reply)
}

fn full_name(package: &Package) -> FullName {
    FullName { handle: None, fingerprint: package.release.publisher.fingerprint(), name: package.release.name.clone() }
}

/// A lying relay and an honest one, which hold the same two packages, and a peer that knows only the liar so far.
struct Trial {
    liar: TestRelay,
    honest: TestRelay,
    packages: [Package; 2],
    peer: TestPeer,
    registry: P2PRegistry<Tokio>,
}

impl Trial {
    async fn of(lie: Lie) -> Self {
        let liar = TestRelay::answering(|shelf| Box::new(Liar { shelf, lie })).await;
        let honest = TestRelay::start(&[]).await;
        let packages = [30, 31].map(|number| {
            let name = format!("package-{number}");
            Publisher::new(number).release(&name, "1.0.0", "twice on offer", name.as_bytes())
        });
        for relay in [&liar, &honest] {
            let publisher = TestPeer::start(&[relay]).await;
            for package in &packages {
                package.publish(&publisher, relay.peer_id()).await.unwrap();
            }
        }
        let peer = TestPeer::start(&[&liar]).await;
        let registry = P2PRegistry::new(peer.peer.clone());
        Self { liar, honest, packages, peer, registry }
    }

    /// Whether the liar is now thought less of than a stranger.
    fn assert_distrusted(&self) {
        let now = ggen_net::light::Platform::now(self.peer.peer.platform());
        let reputation = self.peer.peer.reputation(&self.liar.peer_id());
        assert!(reputation.faults() >= 1.0 && reputation.score(now) < UNKNOWN_SCORE, "{reputation:?}");
    }

    /// Adds the honest relay, and makes the liar the one that is asked first all the same.
    async fn with_the_honest_one(&mut self) {
        self.peer.peer.add_relay(self.honest.address("/tcp/", false)).await.unwrap();
        self.peer.connected(2).await;
        for _ in 0..5 {
            self.peer.peer.note_fault(self.honest.peer_id());
        }
        assert_eq!(self.peer.peer.connected()[0], self.liar.peer_id());
    }
}

#[tokio::test]
async fn a_changed_release_in_a_search_is_refused_and_the_one_beside_it_is_not() {
    let mut trial = Trial::of(Lie::FoundRelease).await;
    let found = trial.registry.search("twice offer", SearchOptions::default()).await.unwrap();
    let codes: Vec<_> =
        found.hits.iter().map(|hit| hit.as_ref().map_err(|refused| refused.refused.error.code())).collect();
    assert!(matches!(codes[..], [Ok(_), Err("record/bad-signature")]), "what is refused comes last: {codes:?}");
    assert_eq!(found.hits[1].as_ref().unwrap_err().source.0, trial.liar.peer_id().to_string());
    trial.assert_distrusted();

    trial.peer.peer.add_relay(trial.honest.address("/tcp/", false)).await.unwrap();
    trial.peer.connected(2).await;
    let found = trial.registry.search("twice offer", SearchOptions::default()).await.unwrap();
    assert_eq!(found.source.0, trial.honest.peer_id().to_string(), "the liar is asked last from now on");
    assert_eq!(found.hits.iter().filter(|hit| hit.is_ok()).count(), 2);
}

#[tokio::test]
async fn a_changed_key_log_in_a_search_refuses_that_publishers_release_only() {
    let trial = Trial::of(Lie::FoundKeyLog).await;
    let found = trial.registry.search("twice offer", SearchOptions::default()).await.unwrap();
    let codes: Vec<_> =
        found.hits.iter().map(|hit| hit.as_ref().map_err(|refused| refused.refused.error.code())).collect();
    assert!(matches!(codes[..], [Ok(_), Err("record/no-key-log")]), "what is refused comes last: {codes:?}");
    trial.assert_distrusted();
}

#[tokio::test]
async fn a_changed_release_of_a_package_is_refused_and_had_from_the_honest_relay() {
    let mut trial = Trial::of(Lie::PackageRelease).await;
    let package = trial.packages[0].clone();
    let Err(GetError::Refused(refused)) = trial.registry.get_package(&full_name(&package)).await else {
        panic!("the changed release was accepted")
    };
    assert_eq!(refused.iter().map(|record| record.refused.error.code()).collect::<Vec<_>>(), ["record/bad-signature"]);
    trial.assert_distrusted();

    trial.with_the_honest_one().await;
    let view = trial.registry.get_package(&full_name(&package)).await.unwrap();
    assert_eq!(view.release.release.id(), package.release.id());
    assert_eq!(view.versions.source.0, trial.honest.peer_id().to_string());
    assert_eq!(
        view.versions.refused[0].source.0,
        trial.liar.peer_id().to_string(),
        "what was refused is told with who sent it"
    );
}

#[tokio::test]
async fn a_changed_key_log_of_a_package_is_refused_and_had_from_the_honest_relay() {
    let mut trial = Trial::of(Lie::PackageKeyLog).await;
    let package = trial.packages[0].clone();
    let error = trial.registry.get_package(&full_name(&package)).await.unwrap_err();
    assert_eq!(error.code(), "record/bad-signature");
    trial.assert_distrusted();

    trial.with_the_honest_one().await;
    let view = trial.registry.get_package(&full_name(&package)).await.unwrap();
    assert_eq!(view.release.release.id(), package.release.id());
}

#[tokio::test]
async fn a_changed_block_is_refused_and_had_from_the_honest_relay() {
    let mut trial = Trial::of(Lie::Block).await;
    let package = trial.packages[0].clone();
    match trial.peer.peer.fetch(package.release.artifact).await {
        Err(error @ FetchError::NoProvider { .. }) => {
            assert_eq!(error.code(), Some("content/wrong-hash"));
            let liar = trial.liar.peer_id();
            assert!(error.to_string().contains(&format!("{liar} sent bytes that were not asked for")), "{error}");
        }
        other => panic!("the changed block was accepted: {other:?}"),
    }
    trial.assert_distrusted();

    trial.with_the_honest_one().await;
    let content = trial.peer.peer.fetch(package.release.artifact).await.unwrap();
    assert_eq!(content, package.release.name.as_str().as_bytes());
}

#[tokio::test]
async fn a_changed_key_log_makes_an_announcement_refused() {
    let trial = Trial::of(Lie::KeyLog).await;
    let question = query::KeyLogOf { publisher: trial.packages[0].release.publisher };
    let answer = trial.peer.peer.ask(trial.liar.peer_id(), question.clone()).await.unwrap();
    let error = verify_key_log(&question, &answer, &network()).unwrap_err();
    assert!(matches!(&error, AnswerError::KeyLog(_)) && error.code() == "record/bad-signature", "{error:?}");

    // The listener asks the one who passed the announcement on for the key log, and gets the changed one.
    let mut listener = TestPeer::start(&[&trial.liar]).await;
    let publisher = TestPeer::start(&[&trial.liar]).await;
    let package = Publisher::new(32).release("announced", "1.0.0", "by a publisher that is new", b"new");
    package.publish(&publisher, trial.liar.peer_id()).await.unwrap();
    let refused = within("the refusal", async {
        loop {
            match listener.events.next().await.expect("the listener runs") {
                Event::Connections(_) | Event::Missed => {}
                event @ (Event::Rotated { .. } | Event::Stated { .. } | Event::Accused { .. }) => {
                    panic!("nobody said so: {event:?}")
                }
                Event::Refused { error, from } => return (error.code(), from),
                Event::Announced { release, .. } => panic!("{} was accepted", release.name),
            }
        }
    });
    assert_eq!(refused.await, ("record/bad-signature", trial.liar.peer_id()));
}

#[tokio::test]
async fn what_one_relay_refuses_reaches_no_other() {
    let first = TestRelay::start(&[]).await;
    let second = TestRelay::start(&[&first]).await;
    until("the relays' meeting", || async {
        second.relay().routing_table().await.contains(&first.peer_id()).then_some(())
    })
    .await;
    let sender = TestPeer::start(&[&second]).await;
    let (_, bad) = package(40);
    let mut offer = bad.offer.clone();
    *offer.records[1].last_mut().unwrap() ^= 1;
    sender.peer.publish(second.peer_id(), &offer, |_| None).await.unwrap_err();
    let good = Publisher::new(41).release("good", "1.0.0", "reaches both", b"good");
    good.publish(&sender, second.peer_id()).await.unwrap();
    until("the good release at the other relay", || async {
        first.relay().shelf().catalogue().record(&good.release.id()).is_some().then_some(())
    })
    .await;
    for relay in [&first, &second] {
        assert_eq!(relay.relay().shelf().catalogue().record_count(), 2, "one inception, one release");
    }
}
