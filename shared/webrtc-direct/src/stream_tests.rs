use std::cell::RefCell;
use std::collections::VecDeque;
use std::future::{Future, pending, poll_fn, ready};
use std::rc::Rc;

use futures::executor::LocalPool;
use futures::future::{LocalBoxFuture, join};
use futures::task::LocalSpawnExt;
use futures::{AsyncReadExt, AsyncWriteExt, FutureExt};

use super::*;
use crate::Departures;
use crate::frame::Flag;

/// Messages that a channel of the tests holds before its sender has to wait.
const CAPACITY: usize = 4;

/// One direction of a channel. It knows one waker for each end, the last one that asked, as the trait allows.
#[derive(Default)]
struct Direction {
    messages: VecDeque<Vec<u8>>,
    closed: bool,
    receiver: Option<Waker>,
    sender: Option<Waker>,
}

/// A channel in memory, which can't be sent to another thread.
struct Memory {
    incoming: Rc<RefCell<Direction>>,
    outgoing: Rc<RefCell<Direction>>,
}

fn wake(waker: &mut Option<Waker>) {
    if let Some(waker) = waker.take() {
        waker.wake();
    }
}

impl Channel for Memory {
    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Option<io::Result<Vec<u8>>>> {
        let mut incoming = self.incoming.borrow_mut();
        if let Some(message) = incoming.messages.pop_front() {
            wake(&mut incoming.sender);
            return Poll::Ready(Some(Ok(message)));
        }
        if incoming.closed {
            return Poll::Ready(None);
        }
        incoming.receiver = Some(context.waker().clone());
        Poll::Pending
    }

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let mut outgoing = self.outgoing.borrow_mut();
        if outgoing.closed {
            return Poll::Ready(Err(io::ErrorKind::NotConnected.into()));
        }
        if outgoing.messages.len() < CAPACITY {
            return Poll::Ready(Ok(()));
        }
        outgoing.sender = Some(context.waker().clone());
        Poll::Pending
    }

    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        let mut outgoing = self.outgoing.borrow_mut();
        assert!(outgoing.messages.len() < CAPACITY, "only sent to when it is ready");
        outgoing.messages.push_back(message.to_vec());
        wake(&mut outgoing.receiver);
        Ok(())
    }

    fn close(&mut self) {
        for direction in [&self.incoming, &self.outgoing] {
            let mut direction = direction.borrow_mut();
            direction.closed = true;
            wake(&mut direction.receiver);
            wake(&mut direction.sender);
        }
    }
}

type Timer = LocalBoxFuture<'static, ()>;
type MemoryDepartures = Departures<Memory, fn() -> Timer, Timer>;

/// A connection of the tests: departures that a task of its own polls.
struct End {
    departures: Rc<RefCell<MemoryDepartures>>,
}

impl End {
    fn new(pool: &LocalPool, wait: fn() -> Timer) -> Self {
        let departures = Rc::new(RefCell::new(Departures::new(wait)));
        let weak = Rc::downgrade(&departures);
        let poll = poll_fn(move |context| match weak.upgrade() {
            Some(departures) => {
                departures.borrow_mut().poll(context);
                Poll::Pending
            }
            None => Poll::Ready(()),
        });
        pool.spawner().spawn_local(poll).unwrap();
        Self { departures }
    }

    fn leaving(&self) -> usize {
        self.departures.borrow().len()
    }
}

fn forever() -> Timer {
    pending().boxed_local()
}

fn no_time() -> Timer {
    ready(()).boxed_local()
}

struct World {
    pool: LocalPool,
    ends: [End; 2],
    directions: [Rc<RefCell<Direction>>; 2],
}

impl World {
    /// Two connected ends, and a stream between them.
    fn new(wait: fn() -> Timer) -> (Self, Stream<Memory>, Stream<Memory>) {
        let pool = LocalPool::new();
        let ends = [End::new(&pool, wait), End::new(&pool, wait)];
        let directions: [Rc<RefCell<Direction>>; 2] = Default::default();
        let [one, two] = &directions;
        let a = Memory { incoming: one.clone(), outgoing: two.clone() };
        let b = Memory { incoming: two.clone(), outgoing: one.clone() };
        let a = ends[0].departures.borrow().stream(a);
        let b = ends[1].departures.borrow().stream(b);
        (Self { pool, ends, directions }, a, b)
    }

    fn run<T>(&mut self, future: impl Future<Output = T>) -> T {
        self.pool.run_until(future)
    }

    /// Whether the channel is closed, after all that can happen has.
    fn is_closed(&mut self) -> bool {
        self.pool.run_until_stalled();
        self.directions.iter().all(|direction| direction.borrow().closed)
    }
}

#[test]
fn a_question_and_an_answer_close_their_channel() {
    let (mut world, mut a, mut b) = World::new(forever);
    let question: Vec<u8> = (0..200_000_u32).map(|at| at as u8).collect();
    let asks = async {
        a.write_all(&question).await.unwrap();
        a.close().await.unwrap();
        let mut answer = Vec::new();
        a.read_to_end(&mut answer).await.unwrap();
        answer
    };
    let answers = async {
        let mut all = Vec::new();
        b.read_to_end(&mut all).await.unwrap();
        b.write_all(b"answer").await.unwrap();
        b.close().await.unwrap();
        all
    };
    let (answer, all) = world.run(join(asks, answers));
    assert_eq!((&answer[..], all == question), (&b"answer"[..], true));
    drop((a, b));
    assert!(world.is_closed());
    assert_eq!((world.ends[0].leaving(), world.ends[1].leaving()), (0, 0));
}

#[test]
fn who_closes_and_leaves_at_once_loses_nothing() {
    let (mut world, mut a, mut b) = World::new(forever);
    let sends = async move {
        a.write_all(&[7; 300_000]).await.unwrap();
        a.close().await.unwrap();
    };
    let reads = async {
        let mut all = Vec::new();
        b.read_to_end(&mut all).await.unwrap();
        all
    };
    let ((), all) = world.run(join(sends, reads));
    assert_eq!(all, [7; 300_000]);
    drop(b);
    assert!(world.is_closed());
}

#[test]
fn a_stream_that_is_dropped_is_reset() {
    let (mut world, mut a, mut b) = World::new(forever);
    world.run(a.write_all(b"half of it")).unwrap();
    drop(a);
    let error = world.run(b.read_to_end(&mut Vec::new())).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    drop(b);
    assert!(world.is_closed());
}

#[test]
fn a_reset_waits_for_room_and_no_longer_than_the_timer() {
    for (wait, closed) in [(forever as fn() -> Timer, false), (no_time, true)] {
        let (mut world, mut a, b) = World::new(wait);
        while world.run(async { a.write(&[1; 100]).now_or_never().is_some() }) {}
        drop(a);
        assert_eq!(world.is_closed(), closed);
        drop(b);
        assert!(world.is_closed());
    }
}

#[test]
fn a_peer_that_confirms_nothing_is_waited_for_as_long_as_the_timer_says() {
    for (wait, closed) in [(forever as fn() -> Timer, false), (no_time, true)] {
        let (mut world, mut a, b) = World::new(wait);
        world.run(a.close()).unwrap();
        drop(a);
        assert_eq!(world.is_closed(), closed);
        assert_eq!(world.ends[0].leaving(), usize::from(!closed));
        drop(b);
    }
}

#[test]
fn a_reader_that_pauses_holds_its_writer_back_and_neither_is_hurt() {
    let (mut world, mut a, mut b) = World::new(forever);
    let mut written = 0;
    while let Some(n) = world.run(async { a.write(&[3; 40_000]).now_or_never() }) {
        written += n.unwrap();
        world.pool.run_until_stalled();
    }
    assert_eq!(written, CAPACITY * crate::frame::MAX_DATA_BYTES);
    let writes = async {
        a.write_all(&vec![3; 100_000]).await.unwrap();
        a.close().await.unwrap();
    };
    let mut all = Vec::new();
    let ((), read) = world.run(join(writes, b.read_to_end(&mut all)));
    assert_eq!((read.unwrap(), all), (written + 100_000, vec![3; written + 100_000]));
}

#[test]
fn two_tasks_share_a_stream() {
    let (mut world, a, b) = World::new(forever);
    let both = |stream: Stream<Memory>| {
        let (mut reader, mut writer) = stream.split();
        let reads = async move {
            let mut all = Vec::new();
            reader.read_to_end(&mut all).await.unwrap();
            all.len()
        };
        let writes = async move {
            writer.write_all(&vec![9; 500_000]).await.unwrap();
            writer.close().await.unwrap();
        };
        (reads, writes)
    };
    let ((read_a, write_a), (read_b, write_b)) = (both(a), both(b));
    let spawner = world.pool.spawner();
    spawner.spawn_local(write_a).unwrap();
    spawner.spawn_local(write_b).unwrap();
    let read_a = spawner.spawn_local_with_handle(read_a).unwrap();
    let read_b = spawner.spawn_local_with_handle(read_b).unwrap();
    assert_eq!(world.run(join(read_a, read_b)), (500_000, 500_000));
    assert!(world.is_closed());
}

#[test]
fn a_writer_that_never_reads_learns_that_nobody_reads() {
    let (mut world, mut a, mut b) = World::new(forever);
    world.run(b.close()).unwrap();
    drop(b);
    let error = world.run(async {
        loop {
            if let Err(error) = a.write_all(&[1; 100]).await {
                return error;
            }
        }
    });
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    // The FIN that came with it is confirmed all the same.
    drop(a);
    assert!(world.is_closed());
}

#[test]
fn a_channel_that_fails_fails_its_stream() {
    let (mut world, mut a, b) = World::new(forever);
    for direction in &world.directions {
        direction.borrow_mut().closed = true;
    }
    let error = world.run(a.read(&mut [0; 5])).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    assert!(world.run(a.write(b"x")).is_err());
    assert!(world.run(a.close()).is_err());
    drop((a, b));
    assert_eq!(world.ends[0].leaving(), 0);
}

#[test]
fn a_stream_that_outlives_its_connection_closes_its_channel_at_once() {
    let (mut world, mut a, b) = World::new(forever);
    world.run(a.close()).unwrap();
    world.ends = [End::new(&world.pool, forever), End::new(&world.pool, forever)];
    drop(a);
    assert!(world.is_closed());
    drop(b);
}

#[test]
fn an_empty_read_or_write_is_no_message() {
    let (mut world, mut a, _b) = World::new(forever);
    assert_eq!(world.run(a.write(b"")).unwrap(), 0);
    assert_eq!(world.run(a.read(&mut [])).unwrap(), 0);
    assert!(world.directions.iter().all(|direction| direction.borrow().messages.is_empty()));
    world.run(a.close()).unwrap();
    world.run(a.close()).unwrap();
    let sent = world.directions[1].borrow().messages.clone();
    assert_eq!(sent, [Frame::flag(Flag::Fin).encode()], "closing twice says it once");
}
