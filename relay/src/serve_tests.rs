#![allow(clippy::unwrap_used, reason = "tests")]

use std::net::SocketAddr;

use axum::body::Body;
use axum::routing::get;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::oneshot;

use super::*;

/// Long enough for whatever is to happen, however busy the machine.
const DEADLINE: Duration = Duration::from_secs(30);

const GENEROUS: Limits = Limits {
    connections: 100,
    per_source: 100,
    spares_loopback: false,
    head_timeout: DEADLINE,
    write_timeout: DEADLINE,
};

/// A server, until it is dropped.
struct Server {
    address: SocketAddr,
    stop: Option<oneshot::Sender<()>>,
    task: tokio::task::JoinHandle<()>,
}

impl Server {
    async fn start(limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        // More than the sockets between the two ends hold.
        let long = || async { Body::from(vec![7; 64 * 1024 * 1024]) };
        let router = Router::new().route("/", get(|| async { "ok" })).route("/long", get(long));
        let (stop, stopped) = oneshot::channel();
        let stopped = async move { _ = stopped.await };
        let task = tokio::spawn(serve(listener, router, limits, stopped));
        Self { address, stop: Some(stop), task }
    }

    async fn connect(&self) -> Client {
        Client(TcpStream::connect(self.address).await.unwrap())
    }

    /// Whether a new connection is answered; else it is closed without a word.
    async fn answers(&self) -> bool {
        self.connect().await.is_answered().await
    }

    /// Waits until a new connection is answered, asking again and again.
    async fn until_it_answers(&self) {
        within(async { while !self.answers().await {} }).await;
    }
}

struct Client(TcpStream);

impl Client {
    async fn send(&mut self, text: &str) {
        self.0.write_all(text.as_bytes()).await.unwrap();
    }

    /// Asks, and keeps the connection.
    async fn is_answered(&mut self) -> bool {
        // A server that refuses may have closed it by now.
        _ = self.0.write_all(b"GET / HTTP/1.1\r\nhost: here\r\n\r\n").await;
        let mut answer = [0; 15];
        within(self.0.read_exact(&mut answer)).await.is_ok() && answer == *b"HTTP/1.1 200 OK"
    }

    /// Waits until the server closes it; gives what it said before.
    async fn until_closed(&mut self) -> usize {
        let mut read = Vec::new();
        // Closed with a reset or without: it is closed.
        _ = within(self.0.read_to_end(&mut read)).await;
        read.len()
    }
}

async fn within<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, future).await.expect("it happens in time")
}

#[tokio::test]
async fn who_sends_a_request_byte_by_byte_is_cut_off_and_others_are_served_meanwhile() {
    let server = Server::start(Limits { head_timeout: Duration::from_millis(500), ..GENEROUS }).await;
    let mut slow = server.connect().await;
    slow.send("GET / HTTP/1.1\r\n").await;
    let drip = async {
        loop {
            // Each byte comes long before the time is over.
            if slow.0.write_all(b"a").await.is_err() {
                return;
            }
            assert!(server.answers().await, "others are served");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    within(drip).await;
}

#[tokio::test]
async fn a_connection_without_a_request_is_closed_before_the_first_and_after_one() {
    let server = Server::start(Limits { head_timeout: Duration::from_millis(300), ..GENEROUS }).await;
    server.connect().await.until_closed().await;
    let mut client = server.connect().await;
    assert!(client.is_answered().await);
    client.until_closed().await;
}

#[tokio::test]
async fn who_does_not_read_the_answer_is_cut_off_and_the_place_is_free_again() {
    let limits = Limits { connections: 1, write_timeout: Duration::from_millis(300), ..GENEROUS };
    let server = Server::start(limits).await;
    let mut stalled = server.connect().await;
    stalled.send("GET /long HTTP/1.1\r\nhost: here\r\n\r\n").await;
    server.until_it_answers().await;
    assert!(stalled.until_closed().await < 64 * 1024 * 1024, "the answer ended early");
}

#[tokio::test]
async fn who_reads_slowly_and_steadily_gets_the_whole_answer() {
    let server = Server::start(Limits { write_timeout: Duration::from_secs(2), ..GENEROUS }).await;
    let mut slow = server.connect().await;
    slow.send("GET /long HTTP/1.1\r\nhost: here\r\nconnection: close\r\n\r\n").await;
    const PAUSE_BYTES: usize = 4 * 1024 * 1024;
    let (mut read, mut paused) = (0, 0);
    let mut buffer = vec![0; 1024 * 1024];
    within(async {
        loop {
            match slow.0.read(&mut buffer).await.unwrap() {
                0 => break,
                bytes => read += bytes,
            }
            // A pause now and then: how much one read gives, the system decides.
            if read / PAUSE_BYTES > paused {
                paused = read / PAUSE_BYTES;
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    })
    .await;
    assert!(read > 64 * 1024 * 1024, "{read} bytes");
}

#[tokio::test]
async fn connections_are_bounded_in_all_and_per_source_and_a_closed_one_makes_room() {
    for limits in [Limits { connections: 2, ..GENEROUS }, Limits { per_source: 2, ..GENEROUS }] {
        let server = Server::start(limits).await;
        let (mut first, mut second) = (server.connect().await, server.connect().await);
        assert!(first.is_answered().await && second.is_answered().await);
        assert!(!server.answers().await, "{limits:?}");
        drop(first);
        server.until_it_answers().await;
    }
}

#[tokio::test]
async fn a_request_that_runs_may_end_after_the_signal_to_stop_and_idle_connections_are_closed() {
    let mut server = Server::start(GENEROUS).await;
    let (mut idle, mut running) = (server.connect().await, server.connect().await);
    assert!(idle.is_answered().await);
    running.send("GET /long HTTP/1.1\r\nhost: here\r\n\r\n").await;
    let mut some = [0; 1024];
    within(running.0.read_exact(&mut some)).await.unwrap();
    server.stop.take().unwrap().send(()).unwrap();
    idle.until_closed().await;
    assert!(running.until_closed().await > 60 * 1024 * 1024);
    within(&mut server.task).await.unwrap();
}

#[test]
fn a_source_is_an_ipv4_address_or_a_64_network_and_another_one_has_places_of_its_own() {
    let gate = Gate::new(Limits { per_source: 1, spares_loopback: true, ..GENEROUS });
    let enter = |address: &str| gate.enter(address.parse().unwrap());
    let four = enter("203.0.113.7").unwrap();
    assert!(enter("203.0.113.7").is_none());
    assert!(enter("::ffff:203.0.113.7").is_none(), "the same by another name");
    let _other = enter("203.0.113.8").unwrap();
    let _six = enter("2001:db8:0:1::1").unwrap();
    assert!(enter("2001:db8:0:1:ffff::2").is_none(), "the same network");
    let _next = enter("2001:db8:0:2::1").unwrap();
    drop(four);
    assert!(enter("203.0.113.7").is_some());

    // A proxy on this machine.
    let _many: Vec<Place> = ["127.0.0.1", "127.0.0.1", "::1", "::1"].map(|from| enter(from).unwrap()).into();
    assert_eq!(gate.inside().by_source.len(), 3, "who left is forgotten");
}

#[test]
fn no_more_come_in_than_there_are_places_from_wherever_they_come() {
    let gate = Gate::new(Limits { connections: 3, spares_loopback: true, ..GENEROUS });
    let _inside: Vec<Place> =
        ["127.0.0.1", "203.0.113.7", "2001:db8::1"].map(|from| gate.enter(from.parse().unwrap()).unwrap()).into();
    for refused in ["127.0.0.1", "203.0.113.8"] {
        assert!(gate.enter(refused.parse().unwrap()).is_none(), "{refused}");
    }
}
