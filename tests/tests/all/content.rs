//! Content by Bitswap, from real relays: several at once, of which some do not serve well.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::channel::oneshot;
use futures::{AsyncReadExt, AsyncWriteExt};
use ggen_net::bitswap::{Event, NoBlocks, NoGateways};
use ggen_net::light::FetchError;
use ggen_shared::content::bitswap::{Ask, Message, Want};
use ggen_shared::content::session::{Progress, Reason, SILENT, SLOW};
use ggen_shared::limits::{CHUNK_BYTES, MAX_BLOCKS_IN_FLIGHT, MAX_WANTS_MESSAGE_BYTES};
use ggen_shared::protocol::names;
use ggen_shared::protocol::query::KeyLogOf;
use ggen_shared::record::ContentId;
use ggen_tests::attack::RawPeer;
use ggen_tests::dht::{BlackHoles, NamesProviders};
use ggen_tests::provider::{Kept, Provider, Serving, bytes};
use ggen_tests::{Package, Publisher, TestPeer, TestRelay, until, within};

const MEGABYTE: usize = 1_000_000;

fn package(length: usize) -> Package {
    Publisher::new(1).release("content", "1.0.0", "many blocks", &bytes(length))
}

/// Relays that all have a package, and serve its blocks each in its way.
async fn providers<const N: usize>(package: &Package, serving: [Serving; N]) -> [Provider; N] {
    let mut providers = Vec::new();
    for serving in serving {
        let provider = Provider::start(serving).await;
        package.publish_at(&provider.relay).await;
        providers.push(provider);
    }
    providers.try_into().unwrap_or_else(|_| unreachable!("as many as asked for"))
}

async fn peer(providers: &[Provider]) -> TestPeer {
    let relays: Vec<_> = providers.iter().map(|provider| &provider.relay).collect();
    TestPeer::start(&relays).await
}

#[tokio::test]
async fn of_three_providers_one_sends_wrong_bytes_and_one_stalls_and_the_content_is_whole() {
    for length in [MEGABYTE, 50 * MEGABYTE] {
        let package = package(length);
        let serving = [Serving::Well, Serving::Wrongly(1), Serving::NoMore(1)];
        let providers = providers(&package, serving).await;
        let [_, wrong, _] = &providers;
        let peer = peer(&providers).await;
        // It answered well so far, so it is the first that is asked, and for more once its first block was right.
        let question = KeyLogOf { publisher: package.release.publisher };
        for _ in 0..3 {
            within("an answer", peer.peer.ask(wrong.relay.peer_id(), question.clone())).await.unwrap();
        }
        let (mut told, mut dropped) = (Vec::new(), Vec::new());
        let begun = Instant::now();
        let on_event = |event| match event {
            Event::Progress(progress) => told.push(progress),
            Event::Dropped(provider) => dropped.push(provider),
            Event::Delivered(_) | Event::Late(_) => {}
        };
        let fetched = peer.peer.fetch_with(package.release.artifact, (&NoBlocks, &NoGateways), on_event);
        let content = within("the content", fetched).await.unwrap();
        let took = begun.elapsed();
        assert!(content == bytes(length), "the bytes are those published");
        assert!(took < SLOW + Duration::from_secs(10), "nobody waited for the one that stalls: {took:?}");
        println!("{length} bytes in {took:?}");

        let total = length as u64;
        assert_eq!(told.first(), Some(&Progress { done: 0, total }));
        assert_eq!(told.last(), Some(&Progress { done: total, total }));
        assert!(told.is_sorted_by(|a, b| a.done < b.done), "it only grows: {told:?}");
        assert_eq!(dropped.len(), 1, "{dropped:?}");
        assert_eq!(dropped[0].peer, wrong.relay.peer_id());
        assert!(matches!(dropped[0].reason, Reason::WrongBlock(_)), "{dropped:?}");
        let faults = |provider: &Provider| peer.peer.reputation(&provider.relay.peer_id()).faults();
        assert!(faults(wrong) > 0.9 && faults(&providers[0]) == 0.0 && faults(&providers[2]) == 0.0);
        assert_eq!(peer.peer.connected().last(), Some(&wrong.relay.peer_id()), "it is asked last from now on");
    }
}

#[tokio::test]
async fn several_providers_share_the_blocks_and_each_is_sent_once() {
    let package = package(20 * MEGABYTE);
    let slowly = Serving::Slowly(Duration::from_millis(30));
    let providers = providers(&package, [slowly; 3]).await;
    let peer = peer(&providers).await;
    assert!(within("the content", peer.peer.fetch(package.release.artifact)).await.unwrap() == bytes(20 * MEGABYTE));
    let served: Vec<_> = providers.iter().map(Provider::served).collect();
    let all: usize = served.iter().map(Vec::len).sum();
    let blocks: BTreeSet<_> = served.iter().flatten().collect();
    assert_eq!((all, blocks.len()), (package.artifact.blocks.len(), package.artifact.blocks.len()));
    assert!(
        served.iter().all(|served| served.len() > all / 6),
        "{:?}",
        served.iter().map(Vec::len).collect::<Vec<_>>()
    );
}

#[tokio::test]
async fn a_download_that_broke_off_goes_on_with_the_blocks_that_are_here() {
    let package = package(5 * MEGABYTE);
    let providers = providers(&package, [Serving::Slowly(Duration::from_millis(20))]).await;
    let first = peer(&providers).await;
    let kept = Kept::default();
    let (tell, half) = oneshot::channel();
    let mut tell = Some(tell);
    let on_event = |event| {
        if let Event::Progress(progress) = event
            && progress.done > progress.total / 2
            && let Some(tell) = tell.take()
        {
            _ = tell.send(());
        }
    };
    tokio::select! {
        _ = first.peer.fetch_with(package.release.artifact, (&kept, &NoGateways), on_event) => panic!("it was to break off"),
        _ = half => {}
    }
    first.peer.close().await;
    let (held, damaged) = (kept.count(), kept.damage().expect("half of them"));
    assert!(held < package.artifact.blocks.len());

    // Another life of the program, to which the blocks are left, and another provider, which has nothing under way for the first one.
    let others = self::providers(&package, [Serving::Well]).await;
    let second = peer(&others).await;
    let mut first_told = None;
    let on_event = |event| {
        if let Event::Progress(progress) = event {
            first_told.get_or_insert(progress);
        }
    };
    let fetched = second.peer.fetch_with(package.release.artifact, (&kept, &NoGateways), on_event);
    assert!(within("the rest", fetched).await.unwrap() == bytes(5 * MEGABYTE));
    let again = others[0].served();
    // What the disk has damaged is fetched again. If it is the first block, what hangs below it is still here.
    assert_eq!(again.len(), package.artifact.blocks.len() - held + 1, "{again:?}");
    assert!(again.contains(&damaged));
}

#[tokio::test]
async fn a_download_that_is_dropped_is_cancelled_at_its_providers() {
    let package = package(20 * MEGABYTE);
    let providers = providers(&package, [Serving::Slowly(Duration::from_millis(100))]).await;
    let peer = peer(&providers).await;
    let (tell, begun) = oneshot::channel();
    let mut tell = Some(tell);
    let on_event = |event| {
        if matches!(event, Event::Progress(Progress { done: 1.., .. }))
            && let Some(tell) = tell.take()
        {
            _ = tell.send(());
        }
    };
    tokio::select! {
        _ = peer.peer.fetch_with(package.release.artifact, (&NoBlocks, &NoGateways), on_event) => panic!("it was to be cancelled"),
        _ = begun => {}
    }
    let asked = providers[0].served().len() + MAX_BLOCKS_IN_FLIGHT;
    // It is as good as before. Wants are answered in their order: by now all that was asked for before this one would have been.
    let small = Publisher::new(2).release("small", "1.0.0", "one block", b"small");
    small.publish_at(&providers[0].relay).await;
    assert_eq!(within("more", peer.peer.fetch(small.release.artifact)).await.unwrap(), b"small");
    let served = providers[0].served().len() - 1;
    assert!(served < asked, "{served} blocks, and {asked} had been asked for");
    assert!(peer.peer.reputation(&providers[0].relay.peer_id()).faults() == 0.0);
}

#[tokio::test]
async fn what_no_provider_holds_is_not_found_and_one_that_is_gone_is_named() {
    let package = package(MEGABYTE);
    let mut providers = providers(&package, [Serving::NoMore(2)]).await;
    let peer = peer(&providers).await;
    let other = Publisher::new(3).release("other", "1.0.0", "published nowhere", &bytes(7));
    let error = within("the refusal", peer.peer.fetch(other.release.artifact)).await.unwrap_err();
    assert!(matches!(error, FetchError::NotFound(cid) if cid == other.artifact.root), "{error}");

    let id = providers[0].relay.peer_id();
    let fetching = peer.peer.fetch(package.release.artifact);
    let stopping = async {
        until("the second block", || async { (providers[0].served().len() > 2).then_some(()) }).await;
        providers[0].relay.stop().await;
    };
    let (fetched, ()) = within("both", async { futures::join!(fetching, stopping) }).await;
    let error = fetched.unwrap_err();
    assert!(error.to_string().contains(&format!("{id} can't be asked: the connection ended")), "{error}");
    assert_eq!(error.code(), Some("content/no-provider"));
}

#[tokio::test]
async fn a_want_list_of_a_million_entries_costs_a_relay_next_to_nothing() {
    let package = package(MEGABYTE);
    let [provider] = providers(&package, [Serving::Well]).await;
    let address = provider.relay.address("/tcp/", false);
    let (peer, mut inbound) = RawPeer::connect(&address, &[names::BITSWAP]).await;
    let want = |number: u32| Want::new(ContentId::of_raw(&number.to_be_bytes()), Ask::Block);
    // In one message: its length alone is refused.
    let million = Message::of_wants((0..1_000_000).map(want).collect()).encode();
    assert!(million.len() > 10 * MAX_WANTS_MESSAGE_BYTES);
    let mut stream = within("a stream", peer.open(names::BITSWAP)).await.unwrap();
    let written = within("the end", async { stream.write_all(&million).await.and(stream.flush().await) }).await;
    let end = within("the end", stream.read(&mut [0; 1])).await;
    assert!(written.is_err() || matches!(end, Err(_) | Ok(0)), "the stream is reset");

    // In a hundred messages, none of whose answers is read: its queue is full, and others are served as before.
    for first in (0..1_000_000).step_by(10_000) {
        let message = Message::of_wants((first..first + 10_000).map(want).collect()).encode();
        assert!(message.len() <= MAX_WANTS_MESSAGE_BYTES);
        let mut stream = within("a stream", peer.open(names::BITSWAP)).await.unwrap();
        // A relay that has enough of them resets the stream.
        _ = within("room for wants", async { stream.write_all(&message).await.and(stream.close().await) }).await;
    }
    let other = TestPeer::start(&[&provider.relay]).await;
    let begun = Instant::now();
    assert!(within("the content", other.peer.fetch(package.release.artifact)).await.unwrap() == bytes(MEGABYTE));
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    within("an answer", inbound.recv()).await.expect("it says what it lacks");
}

#[tokio::test]
async fn a_peer_that_takes_no_blocks_keeps_none_from_others() {
    let package = package(20 * MEGABYTE);
    let [provider] = providers(&package, [Serving::Well]).await;
    let address = provider.relay.address("/tcp/", false);
    let mut deaf = Vec::new();
    for _ in 0..8 {
        let (peer, inbound) = RawPeer::connect(&address, &[names::BITSWAP]).await;
        let wants = package.artifact.blocks.iter().map(|block| Want::new(block.cid, Ask::Block)).collect();
        let mut stream = within("a stream", peer.open(names::BITSWAP)).await.unwrap();
        stream.write_all(&Message::of_wants(wants).encode()).await.unwrap();
        stream.flush().await.unwrap();
        // The streams with its blocks wait in there, and nobody reads them.
        deaf.push((peer, inbound, stream));
    }
    let other = TestPeer::start(&[&provider.relay]).await;
    let begun = Instant::now();
    assert!(within("the content", other.peer.fetch(package.release.artifact)).await.unwrap() == bytes(20 * MEGABYTE));
    assert!(begun.elapsed() < SILENT, "{:?}", begun.elapsed());
    let blocks = package.artifact.blocks.len();
    assert!(provider.served().len() < blocks + 8 * 8, "{} blocks were read", provider.served().len());
}

#[tokio::test]
async fn a_block_that_nobody_asked_for_ends_a_message_stream_and_is_kept_nowhere() {
    let relay = Arc::new(TestRelay::start(&[]).await);
    let (peer, _inbound) = RawPeer::connect(&relay.address("/tcp/", false), &[names::BITSWAP]).await;
    let block = vec![7; CHUNK_BYTES];
    let cid = ContentId::of_raw(&block);
    let mut stream = within("a stream", peer.open(names::BITSWAP)).await.unwrap();
    let message = ggen_shared::content::bitswap::encode_block(cid, &block, &[]);
    stream.write_all(&message).await.unwrap();
    stream.flush().await.unwrap();
    let asking = TestPeer::start(&[&relay]).await;
    let wanted = ggen_shared::record::Content { cid, size: block.len() as u64 };
    let error = within("the refusal", asking.peer.fetch(wanted)).await.unwrap_err();
    assert!(matches!(error, FetchError::NotFound(_)), "{error}");
}

#[tokio::test]
async fn content_that_no_connected_relay_has_comes_from_one_that_the_dht_names() {
    let first = Provider::start(Serving::Well).await;
    let package = package(MEGABYTE);
    // Before there is anybody who hears of it.
    package.publish_at(&first.relay).await;
    let second = TestRelay::start_as(
        |config| {
            config.sync = false;
            config.bootstrap = vec![first.relay.address("/tcp/", false)];
        },
        |shelf| Box::new(shelf),
    );
    let second = second.await;
    until("the relays' meeting", || async {
        second.relay().routing_table().await.contains(&first.relay.peer_id()).then_some(())
    })
    .await;
    // It knows one relay, and looks for no others.
    let peer = TestPeer::start(&[&second]).await;
    assert!(!second.relay().shelf().store().has_block(&package.artifact.root).await.unwrap());
    let fetched = within("the content", peer.peer.fetch(package.release.artifact)).await.unwrap();
    assert!(fetched == bytes(MEGABYTE));
    assert_eq!(peer.peer.connected(), [second.peer_id()], "it is a provider, and no relay of ours");
    assert_eq!(first.served().len(), package.artifact.blocks.len());
}

#[tokio::test]
async fn providers_that_lead_nowhere_make_room_for_one_that_has_the_content() {
    let good = Provider::start(Serving::Well).await;
    let package = package(MEGABYTE);
    package.publish_at(&good.relay).await;
    let holes = BlackHoles::open(60).await;
    let (address, good_id) = (good.relay.address("/tcp/", false), good.relay.peer_id());
    let unknown = ContentId::of_raw(b"what nobody has");
    let mut named = holes.providers(19);
    named.push((good_id, vec![address]));
    let dht = NamesProviders::start([(unknown, holes.providers(20)), (package.artifact.root, named)]).await;
    let peer = TestPeer::at(std::slice::from_ref(&dht.address)).await;

    // These are still being dialed when the next are named.
    let nobody = peer.peer.fetch(ggen_shared::record::Content { cid: unknown, size: 15 });
    assert!(tokio::time::timeout(Duration::from_secs(2), nobody).await.is_err(), "it is still looking");
    let begun = Instant::now();
    let fetched = within("the content", peer.peer.fetch(package.release.artifact)).await.unwrap();
    assert!(fetched == bytes(MEGABYTE));
    println!("{:?}", begun.elapsed());
}
