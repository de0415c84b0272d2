use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::time::timeout;
use webrtc_direct::ufrag;

use super::*;
use crate::stun::Request;

const SOON: Duration = Duration::from_secs(10);
const CLIENT_HELLO: &[u8] = b"\x16\xfe\xfd\0\0\0\0\0\0\0\x05\0\x01\x01\x02";

struct Listening {
    port: Arc<Port>,
    newcomers: mpsc::Receiver<Newcomer>,
    address: SocketAddr,
}

impl Listening {
    fn new() -> Self {
        let (port, newcomers) = Port::bind((Ipv4Addr::UNSPECIFIED, 0).into(), Arc::default()).unwrap();
        let address = (Ipv4Addr::LOCALHOST, port.local_addr().unwrap().port()).into();
        Self { port, newcomers, address }
    }

    fn count(&self, counter: impl Fn(&Counters) -> &AtomicU64) -> u64 {
        counter(&self.port.shared.counters).load(Ordering::Relaxed)
    }

    fn counts(&self) -> (usize, usize, usize) {
        self.port.shared.table().counts()
    }
}

/// A peer of one address, with a name of its own.
struct Peer {
    socket: UdpSocket,
    name: String,
    /// Bytes that it has sent.
    sent: usize,
}

impl Peer {
    async fn new(ip: [u8; 4], to: SocketAddr) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::from(ip), 0)).await.unwrap();
        socket.connect(to).await.unwrap();
        let server = ufrag::server(&clock::random_text::<24>()).unwrap();
        Self { socket, name: format!("{server}:client"), sent: 0 }
    }

    fn name(&self) -> UserName<'_> {
        UserName::parse(self.name.as_bytes()).unwrap()
    }

    async fn send(&mut self, datagram: &[u8]) {
        self.sent += self.socket.send(datagram).await.unwrap();
    }

    async fn ask(&mut self, name: &str) {
        let password = name.split_once(':').unwrap().0;
        let request = Request { transaction: [5; 12], user_name: name, password, controls: true, tie_breaker: 1 };
        self.send(&request.encode()).await;
    }

    async fn receive(&self) -> Vec<u8> {
        let mut buffer = vec![0; 2048];
        let length = timeout(SOON, self.socket.recv(&mut buffer)).await.expect("something comes").unwrap();
        buffer.truncate(length);
        buffer
    }

    /// Answers the next question, and waits for the answer to its own.
    async fn answer(&mut self) {
        let question = self.receive().await;
        let question = Message::parse(&question).unwrap();
        assert_eq!(question.class, Class::Request);
        let from = self.socket.local_addr().unwrap();
        let answer = stun::success(&question.transaction, from, self.name().client_password());
        self.send(&answer).await;
        let answer = self.receive().await;
        let answer = Message::parse(&answer).unwrap();
        assert_eq!((answer.class, answer.transaction), (Class::Success, [5; 12]));
        assert!(answer.is_signed_by(self.name().server_password()));
    }

    /// Becomes a candidate.
    async fn introduce(&mut self) {
        let name = self.name.clone();
        self.ask(&name).await;
        self.answer().await;
    }
}

#[tokio::test]
async fn forged_addresses_begin_nothing_and_get_no_more_bytes_than_have_come() {
    let mut listening = Listening::new();
    let mut forged = Vec::new();
    for host in 0..200 {
        // Whoever forges an address sees nothing of what is sent to it.
        let mut peer = Peer::new([127, 5, 0, host], listening.address).await;
        let name = peer.name.clone();
        for _ in 0..3 {
            peer.ask(&name).await;
            peer.send(CLIENT_HELLO).await;
        }
        // It guesses.
        let answer = stun::success(&[5; 12], listening.address, peer.name().client_password());
        peer.send(&answer).await;
        peer.send(CLIENT_HELLO).await;
        forged.push(peer);
    }
    // What comes behind them is served, so they were all looked at.
    let mut honest = Peer::new([127, 6, 0, 1], listening.address).await;
    honest.introduce().await;
    assert_eq!(listening.counts(), (1, 0, 0));
    assert_eq!((listening.count(|counters| &counters.begun), listening.newcomers.len()), (0, 0));
    assert_eq!(listening.count(|counters| &counters.asked), 3 * 200 + 1);
    for peer in &forged {
        let (mut received, mut buffer) = (0, [0; 2048]);
        while let Ok(length) = peer.socket.try_recv(&mut buffer) {
            received += length;
        }
        assert!((1..=peer.sent).contains(&received), "{received} for {}", peer.sent);
    }
    honest.send(CLIENT_HELLO).await;
    let newcomer = timeout(SOON, listening.newcomers.recv()).await.unwrap().unwrap();
    assert_eq!(*newcomer.name, *honest.name);
}

#[tokio::test]
async fn an_address_is_nobodys_who_does_not_receive_there() {
    let mut listening = Listening::new();
    let mut mallory = Peer::new([127, 5, 0, 1], listening.address).await;
    mallory.introduce().await;
    mallory.send(CLIENT_HELLO).await;
    let first = timeout(SOON, listening.newcomers.recv()).await.unwrap().unwrap();
    // By the name of a connection, by one of its own, before and behind.
    let mut alice = Peer::new([127, 6, 0, 1], listening.address).await;
    let others = [mallory.name.clone(), Peer::new([127, 5, 0, 2], listening.address).await.name];
    for name in &others {
        alice.ask(name).await;
        // She knows no such name, and does not answer.
        alice.receive().await;
    }
    alice.introduce().await;
    for name in &others {
        alice.ask(name).await;
        alice.receive().await;
    }
    alice.send(CLIENT_HELLO).await;
    let newcomer = timeout(SOON, listening.newcomers.recv()).await.unwrap().unwrap();
    assert_eq!((*newcomer.name).to_owned(), alice.name);
    assert_eq!(newcomer.remote, alice.socket.local_addr().unwrap());
    drop(first);
}

#[tokio::test]
async fn few_datagrams_wait_for_a_peer_that_is_not_authenticated() {
    let mut listening = Listening::new();
    let mut peer = Peer::new([127, 5, 0, 1], listening.address).await;
    peer.introduce().await;
    peer.send(CLIENT_HELLO).await;
    let mut newcomer = timeout(SOON, listening.newcomers.recv()).await.unwrap().unwrap();
    let name = peer.name.clone();
    for (authenticates, most) in [(false, MAX_WAITING_OF_HANDSHAKE), (true, 100)] {
        if authenticates {
            newcomer.place.authenticate();
        }
        for _ in 0..100 {
            peer.send(CLIENT_HELLO).await;
        }
        // The answer to what comes behind them.
        peer.ask(&name).await;
        peer.receive().await;
        let mut waiting = 0;
        while let Ok(arrival) = newcomer.arrivals.try_recv() {
            waiting += usize::from(matches!(arrival, Arrival::Datagram(..)));
        }
        assert_eq!(waiting, most);
    }
}

#[tokio::test]
async fn a_connection_is_told_of_another_address_from_which_its_peer_had_asked_before_it_began() {
    let mut listening = Listening::new();
    let mut first = Peer::new([127, 5, 0, 1], listening.address).await;
    let mut second = Peer::new([127, 5, 0, 2], listening.address).await;
    second.name.clone_from(&first.name);
    first.introduce().await;
    second.introduce().await;
    first.send(CLIENT_HELLO).await;
    let mut newcomer = timeout(SOON, listening.newcomers.recv()).await.unwrap().unwrap();
    let name = second.name.clone();
    second.ask(&name).await;
    second.receive().await;
    second.send(b"\x17 more").await;
    let mut arrivals = Vec::new();
    while arrivals.len() < 3 {
        arrivals.push(timeout(SOON, newcomer.arrivals.recv()).await.unwrap().unwrap());
    }
    let from = second.socket.local_addr().unwrap();
    assert!(matches!(&arrivals[1], Arrival::Checked(address, true) if *address == from));
    assert!(matches!(&arrivals[2], Arrival::Datagram(address, _) if *address == from));
}
