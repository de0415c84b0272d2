#![allow(clippy::unwrap_used, reason = "tests")]

use std::future::{pending, ready};
use std::pin::pin;
use std::time::Duration;

use futures::future::Either;
use futures::io::Cursor;
use futures::{AsyncReadExt, FutureExt, TryStreamExt};
use ggen_shared::content::bitswap::encode_block;
use ggen_shared::registry::MaybeSend;

use super::*;

/// A place where time stands, or is always over.
#[derive(Clone, Copy)]
enum Time {
    Stands,
    IsOver,
}

impl Platform for Time {
    type Holes = libp2p::swarm::dummy::Behaviour;

    fn spawn(&self, task: impl Future<Output = ()> + MaybeSend + 'static) {
        task.now_or_never().expect("nothing has to be waited for");
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, _: Duration) -> impl Future<Output = ()> + MaybeSend + 'static {
        match self {
            Self::Stands => Either::Left(pending()),
            Self::IsOver => Either::Right(ready(())),
        }
    }

    fn holes(&self, _: libp2p::PeerId) -> Self::Holes {
        unreachable!("there is no network")
    }

    fn swarm_config(&self) -> libp2p::swarm::Config {
        unreachable!("there is no network")
    }
}

/// A stream on which these bytes come, and then nothing for ever.
fn stalling(bytes: &[u8]) -> impl AsyncRead + Unpin + use<> {
    let nothing = futures::stream::pending::<std::io::Result<Vec<u8>>>().into_async_read();
    Cursor::new(bytes.to_vec()).chain(nothing)
}

fn block(number: u8) -> (ContentId, Vec<u8>) {
    let bytes = vec![number; 1000];
    let cid = ContentId::of_raw(&bytes);
    (cid, encode_block(cid, &bytes, &[]))
}

fn asked(time: Time, cid: ContentId) -> (Exchange<Time>, u64, PeerId, mpsc::Receiver<Arrival>) {
    let (exchange, peer) = (Exchange::new(time), PeerId::random());
    let (arrivals, inbox) = mpsc::channel(8);
    let download = exchange.begin(arrivals);
    assert_eq!(exchange.note(download, peer, vec![Want::new(cid, Ask::Block)]).len(), 1);
    assert!(exchange.state().takes_stream(&peer));
    (exchange, download, peer, inbox)
}

#[test]
fn a_stream_on_which_nothing_more_comes_is_given_up() {
    let (cid, message) = block(1);
    for come in [0, 1, 2, 500] {
        let (exchange, _, peer, _inbox) = asked(Time::IsOver, cid);
        exchange.read(peer, stalling(&message[..come])).now_or_never().expect("its time is over");
        assert_eq!(exchange.state().peers[&peer].reading, 0);
    }
}

#[test]
fn after_a_block_that_was_not_asked_for_a_peer_is_not_read_any_more() {
    let ((right, more), (wrong, message)) = (block(1), block(2));
    let (exchange, _, peer, mut inbox) = asked(Time::Stands, right);
    let mut stream = Cursor::new([&message[..], &more].concat());
    exchange.read(peer, &mut stream).now_or_never().expect("all of it is there");
    assert_eq!(stream.position(), message.len() as u64);
    let arrival = inbox.try_recv().unwrap();
    assert!(matches!(arrival.what, What::Failed(Reason::WrongBlock(cid)) if cid == wrong));
    assert!(!exchange.state().takes_stream(&peer), "nor on another stream");
    assert_eq!(exchange.limit(&peer), MAX_WANTS_MESSAGE_BYTES);
}

#[test]
fn a_peer_that_is_asked_for_nothing_any_more_is_not_read() {
    let (cid, message) = block(1);
    let (exchange, download, peer, _inbox) = asked(Time::Stands, cid);
    assert_eq!(exchange.end(download).len(), 1);
    let mut stream = Cursor::new(message);
    exchange.read(peer, &mut stream).now_or_never().expect("nobody wants it");
    assert_eq!(stream.position(), 0);
    assert!(!exchange.state().takes_stream(&peer));
}

#[test]
fn one_message_of_a_peer_is_read_at_a_time_however_many_streams_it_opens() {
    let (cid, message) = block(1);
    let (exchange, _, peer, mut inbox) = asked(Time::Stands, cid);
    let mut first = Box::pin(exchange.read(peer, stalling(&message[..500])));
    assert!(first.as_mut().now_or_never().is_none());
    let mut stream = Cursor::new(message);
    {
        let mut second = pin!(exchange.read(peer, &mut stream));
        assert!(second.as_mut().now_or_never().is_none());
        assert!(inbox.try_recv().is_err());
        drop(first);
        second.now_or_never().expect("it is its turn");
    }
    assert!(matches!(inbox.try_recv().unwrap().what, What::Block(block) if block.cid() == cid));
}

#[test]
fn of_a_peer_that_is_not_connected_nothing_is_kept() {
    let (cid, _) = block(1);
    let (exchange, download, peer, mut inbox) = asked(Time::Stands, cid);
    exchange.gone(peer, "not connected".into()).now_or_never().unwrap();
    assert!(matches!(inbox.try_recv().unwrap().what, What::Failed(Reason::Unreachable(_))));
    assert!(exchange.note(download, peer, vec![Want::new(cid, Ask::Cancel)]).is_empty());
    assert!(exchange.state().peers.is_empty());
    // What a connected one answered is not kept longer than its download.
    exchange.note(download, peer, vec![Want::new(cid, Ask::Block)]);
    let presences = vec![Presence { cid: *cid.cid(), has: false }];
    assert!(exchange.received(peer, Vec::new(), presences).now_or_never().unwrap());
    assert!(exchange.end(download).is_empty());
    assert!(exchange.state().peers.is_empty());
}
