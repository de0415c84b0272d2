#![allow(clippy::unwrap_used, reason = "tests")]

use std::collections::VecDeque;
use std::future::pending;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::executor::block_on;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use ggen_shared::limits::CHUNK_BYTES;

use super::*;

/// A platform that keeps its tasks, for the test to run.
#[derive(Clone, Default)]
struct Tasks(Arc<Mutex<Vec<BoxFuture<'static, ()>>>>);

impl Tasks {
    /// Runs all as far as they come: how many have not ended.
    fn run(&self) -> usize {
        let mut tasks = self.0.lock().unwrap();
        tasks.retain_mut(|task| task.now_or_never().is_none());
        tasks.len()
    }
}

impl Platform for Tasks {
    type Holes = libp2p::swarm::dummy::Behaviour;

    fn spawn(&self, task: impl Future<Output = ()> + MaybeSend + 'static) {
        self.0.lock().unwrap().push(task.boxed());
    }

    fn now(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, _: Duration) -> impl Future<Output = ()> + MaybeSend + 'static {
        pending()
    }

    fn holes(&self, _: libp2p::PeerId) -> Self::Holes {
        unreachable!("there is no network")
    }

    fn swarm_config(&self) -> libp2p::swarm::Config {
        unreachable!("there is no network")
    }
}

/// What an archive gives, and then nothing for ever.
#[derive(Clone, Default)]
struct Given(VecDeque<Result<Option<(ContentId, Hashed)>, ArchiveError>>);

impl Archive for Given {
    async fn next(&mut self) -> Result<Option<(ContentId, Hashed)>, ArchiveError> {
        match self.0.pop_front() {
            Some(given) => given,
            None => pending().await,
        }
    }
}

/// One relay with a gateway, what it is asked for, and what the first request gets.
struct One(PeerId, Mutex<Vec<(String, u64)>>, Mutex<Given>);

impl Gateways for One {
    type Archive = Given;

    fn peers(&self) -> Vec<PeerId> {
        vec![self.0]
    }

    fn ask(&self, peer: &PeerId, path: &str, limit: u64) -> Given {
        assert_eq!(*peer, self.0);
        self.1.lock().unwrap().push((path.to_owned(), limit));
        std::mem::take(&mut *self.2.lock().unwrap())
    }
}

fn leaf(number: u8) -> Hashed {
    Hashed::raw(vec![number; 10])
}

fn cid(number: u8) -> ContentId {
    leaf(number).cid()
}

fn wants(numbers: &[u8]) -> Vec<Want> {
    numbers.iter().map(|number| Want::new(cid(*number), Ask::Block)).collect()
}

/// Leaf `number` is at that place of the content; those from 100 on are no leaves.
fn range_of(block: &ContentId) -> Option<Range<u64>> {
    let number = (0..100).find(|number| cid(*number) == *block)?;
    let start = u64::from(number) * CHUNK_BYTES as u64;
    Some(start..start + CHUNK_BYTES as u64)
}

fn start_of(block: &ContentId) -> Option<u64> {
    range_of(block).map(|range| range.start)
}

fn content() -> Content {
    Content { cid: cid(200), size: 100 * CHUNK_BYTES as u64 }
}

/// What comes of an archive that gives this, when the first three leaves were asked for.
fn received(given: Vec<Result<Option<(ContentId, Hashed)>, ArchiveError>>) -> Vec<What> {
    let (arrivals, inbox) = mpsc::channel(8);
    let asked = (0..3).map(cid).collect();
    let receiving = receive(Given(given.into()), PeerId::random(), asked, None, arrivals);
    // One that goes on waiting is dropped, and with it the other end of what arrives.
    _ = receiving.now_or_never();
    block_on(inbox.map(|arrival| arrival.what).collect())
}

#[test]
fn a_run_of_leaves_is_one_request_and_what_stands_alone_is_asked_for_by_its_name() {
    let (tasks, one) = (Tasks::default(), One(PeerId::random(), Mutex::default(), Mutex::default()));
    let mut gates = Gates::new(&tasks, &one, mpsc::channel(1).0);
    assert!(gates.has(&one.0) && !gates.has(&PeerId::random()));
    gates.send(one.0, &wants(&[100, 2, 3, 4, 7, 9, 10]), content(), start_of, range_of);
    let chunk = CHUNK_BYTES;
    let (paths, limits): (Vec<_>, Vec<_>) = one.1.lock().unwrap().drain(..).unzip();
    let expected = [
        format!("{}?format=car&dag-scope=block", cid(100)),
        format!("{}?format=car&entity-bytes={}:{}", cid(200), 2 * chunk, 5 * chunk - 1),
        format!("{}?format=car&dag-scope=block", cid(7)),
        format!("{}?format=car&entity-bytes={}:{}", cid(200), 9 * chunk, 11 * chunk - 1),
    ];
    assert_eq!(paths, expected);
    assert_eq!(limits[1] - limits[0], 2 * MAX_BLOCK_BYTES as u64);
}

#[test]
fn what_a_closed_gateway_did_not_answer_is_left_to_others_and_its_requests_end() {
    let (tasks, one) = (Tasks::default(), One(PeerId::random(), Mutex::default(), Mutex::default()));
    let mut gates = Gates::new(&tasks, &one, mpsc::channel(1).0);
    gates.send(one.0, &wants(&[1, 2, 3, 8]), content(), start_of, range_of);
    gates.send(one.0, &[Want::new(cid(3), Ask::Cancel), Want::new(cid(5), Ask::Have)], content(), start_of, range_of);
    gates.answered(&one.0, &cid(1));
    assert_eq!(tasks.run(), 2, "two requests under way");
    assert_eq!(gates.close(&one.0), [cid(2), cid(8)]);
    assert_eq!(tasks.run(), 0);
    assert!(!gates.has(&one.0));
    assert!(gates.close(&one.0).is_empty());
}

#[test]
fn blocks_are_handed_over_by_the_hash_of_their_bytes_whatever_they_are_called() {
    let all = received(vec![
        Ok(Some((cid(9), leaf(9)))),
        Ok(Some((cid(0), leaf(0)))),
        Ok(Some((cid(1), leaf(7)))),
        Ok(Some((cid(0), leaf(0)))),
        Ok(None),
    ]);
    let expected = [What::Block(leaf(0)), What::Block(leaf(7)), What::Presence(cid(2), false)];
    assert_eq!(format!("{all:?}"), format!("{expected:?}"), "what nobody asked for is left out");
}

#[test]
fn what_is_no_archive_is_a_fault_and_what_breaks_off_is_not() {
    let broken = received(vec![Ok(Some((cid(0), leaf(0)))), Err(ArchiveError::Broken("too long".into()))]);
    assert!(
        matches!(&broken[..], [What::Block(_), What::Failed(reason)] if reason.is_fault() && reason.to_string().contains("too long")),
        "{broken:?}"
    );
    let off = received(vec![Err(ArchiveError::Unreachable)]);
    assert!(matches!(off[..], [What::Closed]), "{off:?}");
}

#[test]
fn what_a_gateway_lacks_is_said_of_each_block() {
    let lacking = received(vec![Ok(None), Ok(None), Ok(None)]);
    assert_eq!(lacking.len(), 3);
    assert!(lacking.iter().all(|what| matches!(what, What::Presence(_, false))), "{lacking:?}");
}

/// A root and an inner node, whose names say that they have links.
fn node(number: u8) -> Hashed {
    Hashed::dag_pb(vec![number; 10])
}

#[test]
fn the_beginning_comes_with_the_root_and_what_goes_by_unwanted_is_asked_for_by_itself() {
    let (root, inner) = (node(1), node(2));
    let content = Content { cid: root.cid(), size: 100 * CHUNK_BYTES as u64 };
    let blocks =
        [&root, &inner, &leaf(0), &leaf(1), &leaf(2), &leaf(3)].map(|block| Ok(Some((block.cid(), block.clone()))));
    let given = Given(blocks.into_iter().chain([Ok(None), Ok(None)]).collect());
    let one = One(PeerId::random(), Mutex::default(), Mutex::new(given));
    let tasks = Tasks::default();
    let (arrivals, mut inbox) = mpsc::channel(16);
    let mut gates = Gates::new(&tasks, &one, arrivals);
    let start = |cid: &ContentId| if *cid == inner.cid() { Some(0) } else { start_of(cid) };
    let mut ask = |gates: &mut Gates<'_, _, _>, cids: &[ContentId]| {
        let wants: Vec<_> = cids.iter().map(|cid| Want::new(*cid, Ask::Block)).collect();
        gates.send(one.0, &wants, content, start, range_of);
        _ = tasks.run();
        let mut came = Vec::new();
        while let Ok(Arrival { what, .. }) = inbox.try_recv() {
            came.push(match what {
                What::Block(block) => (block.cid(), true),
                What::Missed(cid) => (cid, false),
                other => panic!("{other:?}"),
            });
        }
        came
    };
    assert_eq!(ask(&mut gates, &[root.cid()]), [(root.cid(), true)]);
    assert_eq!(ask(&mut gates, &[inner.cid()]), [(inner.cid(), true)]);
    assert_eq!(ask(&mut gates, &[cid(0), cid(2)]), [(cid(0), true), (cid(2), true)]);
    // Leaf 1 was left to another one, and is far back now; leaf 90 was never on its way.
    assert_eq!(ask(&mut gates, &[cid(3), cid(1), cid(90)]), [(cid(3), true), (cid(1), false)]);
    gates.ask_for_one(one.0, cid(1));
    let paths: Vec<_> = one.1.lock().unwrap().iter().map(|(path, _)| path.clone()).collect();
    let alone = |cid| format!("{cid}?format=car&dag-scope=block");
    assert_eq!(
        paths,
        [format!("{}?format=car&entity-bytes=0:{}", root.cid(), BEGINNING_BYTES - 1), alone(cid(90)), alone(cid(1))]
    );
    assert_eq!(gates.close(&one.0).len(), 7, "nothing is counted twice");
}
