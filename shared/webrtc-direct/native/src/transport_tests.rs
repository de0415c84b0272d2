use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use futures::{AsyncReadExt, AsyncWriteExt};
use libp2p::core::muxing::StreamMuxer;
use libp2p::core::transport::{DialOpts, ListenerId, PortUse, TransportEvent};
use libp2p::core::{Endpoint, Transport as _};
use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId};
use tokio::net::UdpSocket;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};

use super::*;
use crate::limits::{MAX_CANDIDATES_OF_ONE, MAX_DATAGRAM_BYTES, STUN_BURST};
use crate::stun::Request;

const THEIR_FINGERPRINT: &str =
    "6C:46:3E:75:6B:21:D3:A9:A1:E0:5B:19:AA:E5:C4:0F:0E:10:80:43:E7:88:2A:65:E0:14:16:C8:CA:10:85:5F";
const SOON: Duration = Duration::from_secs(20);

/// A connection that a task drives, as libp2p's swarm would.
struct Driven {
    inbound: mpsc::Receiver<Stream>,
    opener: mpsc::Sender<oneshot::Sender<Stream>>,
    task: JoinHandle<Error>,
}

fn drive(mut connection: Connection) -> Driven {
    let (inbound_sender, inbound) = mpsc::channel(4096);
    let (opener, mut requests) = mpsc::channel::<oneshot::Sender<Stream>>(16);
    let mut waiting = None;
    let task = tokio::spawn(poll_fn(move |context| {
        loop {
            if let Poll::Ready(Err(error)) = Pin::new(&mut connection).poll(context) {
                return Poll::Ready(error);
            }
            if let Poll::Ready(Ok(stream)) = Pin::new(&mut connection).poll_inbound(context) {
                _ = inbound_sender.try_send(stream);
                continue;
            }
            if waiting.is_none()
                && let Poll::Ready(Some(request)) = requests.poll_recv(context)
            {
                waiting = Some(request);
            }
            if waiting.is_some()
                && let Poll::Ready(Ok(stream)) = Pin::new(&mut connection).poll_outbound(context)
            {
                _ = waiting.take().map(|request: oneshot::Sender<Stream>| request.send(stream));
                continue;
            }
            return Poll::Pending;
        }
    }));
    Driven { inbound, opener, task }
}

impl Driven {
    async fn open(&self) -> Stream {
        let (sender, receiver) = oneshot::channel();
        self.opener.send(sender).await.unwrap();
        timeout(SOON, receiver).await.unwrap().unwrap()
    }

    async fn accept(&mut self) -> Stream {
        timeout(SOON, self.inbound.recv()).await.unwrap().unwrap()
    }

    async fn end(self) -> Error {
        timeout(SOON, self.task).await.unwrap().unwrap()
    }
}

/// A peer that listens, and a task that takes connections.
struct Server {
    address: Multiaddr,
    socket: SocketAddr,
    id: PeerId,
    connections: mpsc::Receiver<Result<(PeerId, Connection), Error>>,
    counters: Arc<Counters>,
}

impl Server {
    async fn on(address: &str) -> Self {
        let key = Keypair::generate_ed25519();
        let id = key.public().to_peer_id();
        let mut transport = Transport::new(&key, Certificate::generate().unwrap()).unwrap();
        let counters = transport.counters();
        transport.listen_on(ListenerId::next(), address.parse().unwrap()).unwrap();
        let next = poll_fn(|context| Pin::new(&mut transport).poll(context)).await;
        let TransportEvent::NewAddress { listen_addr, .. } = next else { panic!("{next:?}") };
        let (socket, _) = libp2p_webrtc_utils::parse_webrtc_dial_addr(&listen_addr).unwrap();
        let (sender, connections) = mpsc::channel(1024);
        tokio::spawn(async move {
            loop {
                let event = poll_fn(|context| Pin::new(&mut transport).poll(context)).await;
                if let TransportEvent::Incoming { upgrade, .. } = event {
                    let sender = sender.clone();
                    tokio::spawn(async move { sender.send(upgrade.await).await });
                }
            }
        });
        Self { address: listen_addr, socket, id, connections, counters }
    }

    async fn accept(&mut self) -> (PeerId, Connection) {
        timeout(SOON, self.connections.recv()).await.unwrap().unwrap().unwrap()
    }

    /// The address at which somebody else passes datagrams on.
    fn through(&self, socket: SocketAddr) -> Multiaddr {
        let (_, certificate) = libp2p_webrtc_utils::parse_webrtc_dial_addr(&self.address).unwrap();
        transport::multiaddr(socket, Some(certificate))
    }
}

async fn dial(address: &Multiaddr, version: Version) -> Result<(PeerId, Connection), Error> {
    let key = Keypair::generate_ed25519();
    let mut transport = Transport::new(&key, Certificate::generate().unwrap()).unwrap().dialing(version);
    let options = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
    transport.dial(address.clone(), options).unwrap().await
}

/// A connection between two peers, driven at both ends.
async fn connected(version: Version) -> (Driven, Driven, Server) {
    let mut server = Server::on("/ip4/127.0.0.1/udp/0/webrtc-direct").await;
    let (peer, client) = dial(&server.address, version).await.unwrap();
    assert_eq!(peer, server.id);
    let client = drive(client);
    let (_, accepted) = server.accept().await;
    (client, drive(accepted), server)
}

/// Passes datagrams on between a client and a server, for as long as it is let.
struct Between {
    address: SocketAddr,
    passes: Arc<AtomicBool>,
    /// Sends to the server as if the client had.
    client_side: Arc<UdpSocket>,
}

impl Between {
    async fn new(server: SocketAddr) -> Self {
        let near = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap());
        let far = Arc::new(UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap());
        far.connect(server).await.unwrap();
        let passes = Arc::new(AtomicBool::new(true));
        let address = near.local_addr().unwrap();
        let client_side = far.clone();
        tokio::spawn({
            let passes = passes.clone();
            async move {
                let (mut to, mut from) = ([0; 2048], [0; 2048]);
                let mut client = None;
                loop {
                    tokio::select! {
                        Ok((length, sender)) = near.recv_from(&mut to) => {
                            client = Some(sender);
                            if passes.load(Ordering::Relaxed) {
                                _ = far.send(&to[..length]).await;
                            }
                        }
                        Ok(length) = far.recv(&mut from) => {
                            if let Some(client) = client.filter(|_| passes.load(Ordering::Relaxed)) {
                                _ = near.send_to(&from[..length], client).await;
                            }
                        }
                    }
                }
            }
        });
        Self { address, passes, client_side }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn both_versions_connect_over_both_families_and_know_each_other() {
    for address in ["/ip4/127.0.0.1/udp/0/webrtc-direct", "/ip6/::1/udp/0/webrtc-direct"] {
        let mut server = Server::on(address).await;
        for version in [Version::One, Version::Two] {
            let (peer, client) = dial(&server.address, version).await.unwrap();
            assert_eq!(peer, server.id);
            let client = drive(client);
            let (_, accepted) = server.accept().await;
            let mut accepted = drive(accepted);
            let mut stream = client.open().await;
            stream.write_all(b"question").await.unwrap();
            stream.close().await.unwrap();
            let mut other = accepted.accept().await;
            let mut question = Vec::new();
            other.read_to_end(&mut question).await.unwrap();
            other.write_all(&[&question[..], b" answered"].concat()).await.unwrap();
            other.close().await.unwrap();
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).await.unwrap();
            assert_eq!(answer, b"question answered");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn the_accepting_end_opens_streams_too() {
    let (mut client, server, _keep) = connected(Version::Two).await;
    let mut stream = server.open().await;
    stream.write_all(b"first").await.unwrap();
    let mut other = client.accept().await;
    let mut bytes = [0; 5];
    other.read_exact(&mut bytes).await.unwrap();
    assert_eq!(&bytes, b"first");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_address_with_another_certificate_is_another_peer() {
    let server = Server::on("/ip4/127.0.0.1/udp/0/webrtc-direct").await;
    let other = transport::multiaddr(server.socket, Some(Certificate::generate().unwrap().fingerprint()));
    assert!(matches!(dial(&other, Version::One).await, Err(Error::WrongCertificate)));
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_there_is_noticed() {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    let silent =
        transport::multiaddr(socket.local_addr().unwrap(), Some(Certificate::generate().unwrap().fingerprint()));
    let dialed = timeout(SOON, dial(&silent, Version::One)).await.unwrap();
    assert!(matches!(dialed, Err(Error::Lost | Error::Timeout)), "{dialed:?}");
    drop(socket);
    // A system that says so is believed.
    let refused = timeout(Duration::from_secs(5), dial(&silent, Version::One)).await.unwrap();
    assert!(matches!(refused, Err(Error::Socket(_))), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn sixty_four_megabytes_pass_a_reader_that_stops_for_five_seconds() {
    const BYTES: usize = 64 * 1024 * 1024;
    let (client, mut server, _keep) = connected(Version::Two).await;
    let mut stream = client.open().await;
    let writes = tokio::spawn(async move {
        let block: Vec<u8> = (0..64 * 1024_u32).map(|at| (at % 251) as u8).collect();
        for _ in 0..BYTES / block.len() {
            stream.write_all(&block).await.unwrap();
        }
        stream.close().await.unwrap();
    });
    let mut other = server.accept().await;
    let mut buffer = vec![0; 64 * 1024];
    let (mut read, mut stopped) = (0, false);
    loop {
        let n = timeout(SOON, other.read(&mut buffer)).await.expect("it goes on").unwrap();
        if n == 0 {
            break;
        }
        for (at, byte) in buffer[..n].iter().enumerate() {
            assert_eq!(usize::from(*byte), (read + at) % (64 * 1024) % 251);
        }
        read += n;
        if read >= BYTES / 2 && !stopped {
            stopped = true;
            sleep(Duration::from_secs(5)).await;
        }
    }
    assert_eq!(read, BYTES);
    writes.await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn two_thousand_streams_one_after_the_other_keep_few_channels() {
    let mut server = Server::on("/ip4/127.0.0.1/udp/0/webrtc-direct").await;
    let (_, client) = dial(&server.address, Version::One).await.unwrap();
    let session = client.driver().session().clone();
    let client = drive(client);
    let (_, accepted) = server.accept().await;
    let accepted_session = accepted.driver().session().clone();
    let mut accepted = drive(accepted);
    let mut most = 0;
    for number in 0..2000_u32 {
        let mut stream = client.open().await;
        stream.write_all(&number.to_be_bytes()).await.unwrap();
        stream.close().await.unwrap();
        let mut other = accepted.accept().await;
        let mut question = Vec::new();
        other.read_to_end(&mut question).await.unwrap();
        other.write_all(&question).await.unwrap();
        other.close().await.unwrap();
        drop(other);
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        assert_eq!(answer, number.to_be_bytes());
        drop(stream);
        for session in [&session, &accepted_session] {
            most = most.max(driver::lock(session).channel_count());
        }
    }
    assert!(most < 64, "{most} channels at once");
    println!("at most {most} channels at once");
    // What is left over goes by itself.
    let gone = async {
        while driver::lock(&session).channel_count() + driver::lock(&accepted_session).channel_count() > 2 {
            sleep(Duration::from_millis(50)).await;
        }
    };
    timeout(SOON, gone).await.expect("all channels are closed at both ends");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_is_closed_ends_at_the_other_end_at_once() {
    let (client, server, _keep) = connected(Version::One).await;
    let mut stream = client.open().await;
    client.task.abort();
    assert!(matches!(timeout(Duration::from_secs(1), server.end()).await.unwrap(), Error::ClosedByPeer));
    assert!(stream.write_all(b"x").await.is_err());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_vanishes_is_noticed_within_ten_seconds_and_leaves_nothing() {
    let mut server = Server::on("/ip4/127.0.0.1/udp/0/webrtc-direct").await;
    let between = Between::new(server.socket).await;
    let (_, client) = dial(&server.through(between.address), Version::Two).await.unwrap();
    let session = client.driver().session().clone();
    let client = drive(client);
    let (_, accepted) = server.accept().await;
    let accepted_session = Arc::downgrade(accepted.driver().session());
    let mut accepted = drive(accepted);
    let mut stream = client.open().await;
    stream.write_all(b"x").await.unwrap();
    let other = accepted.accept().await;
    // Idle for longer than it takes to ask.
    sleep(Duration::from_secs(6)).await;
    assert!(!client.task.is_finished() && !accepted.task.is_finished());
    between.passes.store(false, Ordering::Relaxed);
    let (at_client, at_server) =
        timeout(Duration::from_secs(10), futures::future::join(client.end(), accepted.end())).await.unwrap();
    assert!(matches!((&at_client, &at_server), (Error::Lost, Error::Lost)), "{at_client:?} {at_server:?}");
    drop((other, stream, session));
    assert!(accepted_session.upgrade().is_none(), "the memory of a lost connection is freed");
}

#[tokio::test(flavor = "multi_thread")]
async fn floods_of_requests_and_garbage_leave_others_alone() {
    let mut server = Server::on("/ip4/0.0.0.0/udp/0/webrtc-direct").await;
    let target: SocketAddr = (Ipv4Addr::LOCALHOST, server.socket.port()).into();
    let reachable = server.through(target);
    // One of 127.0.0.2, which is counted like any address.
    let name = ufrag_name();
    let valid = Request {
        transaction: [1; 12],
        user_name: &name,
        password: server_half(&name),
        controls: true,
        tie_breaker: 1,
    };
    let mut wrong = valid.encode();
    wrong[24] ^= 1;
    let long = Request { user_name: &"a".repeat(1000), ..valid }.encode();
    let stop = Arc::new(AtomicBool::new(false));
    let mut floods = Vec::new();
    for port in 0..20_u16 {
        let socket = UdpSocket::bind((Ipv4Addr::new(127, 0, 0, 2), 0)).await.unwrap();
        let (stop, wrong, long) = (stop.clone(), wrong.clone(), long.clone());
        floods.push(tokio::spawn(async move {
            let mut sent = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                let name = ufrag_name();
                let valid = Request {
                    transaction: [2; 12],
                    user_name: &name,
                    password: server_half(&name),
                    controls: true,
                    tie_breaker: 1,
                }
                .encode();
                for datagram in [
                    &wrong[..],
                    &long,
                    &valid,
                    b"\x16\xfe\xfd\0\0\0\0\0\0\0\x05\0\x01\x01\x02",
                    &[0x17; 1200],
                    b"",
                    &[port as u8; 33],
                ] {
                    _ = socket.send_to(datagram, target).await;
                    sent += 1;
                }
                sleep(Duration::from_millis(20)).await;
            }
            sent
        }));
    }
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    let Counters { answered, throttled, invalid, begun, refused, unexpected, .. } = &*server.counters;
    let flooded = async {
        while count(throttled) < 1000 || count(invalid) == 0 || count(unexpected) == 0 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    timeout(SOON, flooded).await.expect("a flood, and what it is counted as");
    for version in [Version::One, Version::Two, Version::One] {
        let began = crate::limits::HANDSHAKE_TIMEOUT;
        let (_, client) = timeout(began, dial(&reachable, version)).await.expect("a flood holds nobody up").unwrap();
        let client = drive(client);
        let accepted = loop {
            match timeout(SOON, server.connections.recv()).await.unwrap().unwrap() {
                Ok((_, connection)) => break connection,
                // Those that the flood has begun.
                Err(error) => assert!(matches!(error, Error::Dtls(_) | Error::Timeout | Error::Lost), "{error:?}"),
            }
        };
        let mut accepted = drive(accepted);
        let mut stream = client.open().await;
        stream.write_all(b"here").await.unwrap();
        stream.close().await.unwrap();
        let mut bytes = Vec::new();
        accepted.accept().await.read_to_end(&mut bytes).await.unwrap();
        assert_eq!(bytes, b"here");
    }
    stop.store(true, Ordering::Relaxed);
    let mut sent = 0;
    for flood in floods {
        sent += flood.await.unwrap();
    }
    println!("{sent} datagrams: {:?}", server.counters);
    assert!(count(answered) < u64::from(STUN_BURST) + 64 * 30, "what one address asks is bounded");
    assert!(count(throttled) > count(answered));
    assert!(count(begun) <= 3 + MAX_CANDIDATES_OF_ONE as u64 * 30 && count(refused) < sent);
}

fn ufrag_name() -> String {
    let shared = webrtc_direct::ufrag::shared(&clock::random_text::<20>()).unwrap();
    format!("{shared}:{shared}")
}

fn server_half(name: &str) -> &str {
    name.split_once(':').unwrap().0
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_from_a_connections_own_address_does_not_end_it() {
    let mut server = Server::on("/ip4/127.0.0.1/udp/0/webrtc-direct").await;
    let between = Between::new(server.socket).await;
    let (_, client) = dial(&server.through(between.address), Version::One).await.unwrap();
    let client = drive(client);
    let (_, accepted) = server.accept().await;
    let mut accepted = drive(accepted);
    let name = ufrag_name();
    let other = Request {
        transaction: [1; 12],
        user_name: &name,
        password: server_half(&name),
        controls: true,
        tie_breaker: 1,
    }
    .encode();
    for round in 0..200_u32 {
        for datagram in [
            &[0x17; 100][..],
            &[0x15, 0xfe, 0xfd, 0, 0, 0, 0, 0, 0, 0, 9, 0, 2, 2, 40],
            &other,
            &round.to_be_bytes(),
            &[22; MAX_DATAGRAM_BYTES],
        ] {
            between.client_side.send(datagram).await.unwrap();
        }
        if round % 20 == 0 {
            let mut stream = client.open().await;
            stream.write_all(&round.to_be_bytes()).await.unwrap();
            stream.close().await.unwrap();
            let mut bytes = Vec::new();
            accepted.accept().await.read_to_end(&mut bytes).await.unwrap();
            assert_eq!(bytes, round.to_be_bytes());
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_peer_that_never_reads_and_never_confirms_holds_a_bounded_amount() {
    let (client, mut server, _keep) = connected(Version::One).await;
    let mut stream = client.open().await;
    let mut written = 0;
    while let Ok(n) = timeout(Duration::from_secs(2), stream.write(&[1; 16 * 1024])).await {
        written += n.unwrap();
        assert!(written < 2 * 1024 * 1024);
    }
    let mut unread = server.accept().await;
    // What was written is there.
    let mut all = vec![0; written];
    timeout(SOON, unread.read_exact(&mut all)).await.unwrap().unwrap();
}

#[test]
fn a_certificate_survives_a_file_and_one_of_libp2p_webrtc_is_read() {
    let certificate = Certificate::generate().unwrap();
    let text = certificate.to_pem();
    let again = Certificate::from_pem(&text).unwrap();
    assert_eq!((&again, again.to_pem()), (&certificate, text.clone()));
    assert!(!format!("{certificate:?}").contains("private"));
    for wrong in [
        "",
        "x",
        &text[..text.len() / 2],
        &text.replace("PRIVATE_KEY", "OTHER"),
        &text.replace("EXPIRES", "CERTIFICATE"),
    ] {
        assert!(Certificate::from_pem(wrong).is_err());
    }
    // As an identity of a relay has it that was made before there was this crate.
    let theirs = include_str!("certificate_of_libp2p_webrtc.pem");
    let read = Certificate::from_pem(theirs).unwrap();
    assert_eq!(read.fingerprint().to_sdp_format(), THEIR_FINGERPRINT);
    assert_eq!(read.to_pem(), theirs, "and an older relay reads ours");
    session::Session::new(Arc::new(session::Config::new(read).unwrap()), session::Role::Server, clock::now()).unwrap();
}
