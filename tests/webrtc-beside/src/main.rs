//! `webrtc-beside JSON [COUNT]`: what connections over WebRTC-direct cost whoever listens: ours, and that of `libp2p-webrtc`. Each listens in a
//! process of its own on one UDP port, and is dialed by the same dialer, over loopback. Prints a table and writes what it says.

use std::future::poll_fn;
use std::pin::Pin;
use std::process::Stdio;
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use futures::{AsyncReadExt, AsyncWriteExt, StreamExt};
use libp2p::core::muxing::{StreamMuxer, StreamMuxerBox, SubstreamBox};
use libp2p::core::transport::{Boxed, DialOpts, ListenerId, PortUse, TransportEvent};
use libp2p::core::{Endpoint, Transport as _};
use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId};
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::{mpsc, oneshot};

type Transport = Boxed<(PeerId, StreamMuxerBox)>;

/// Connections, and those that are made at once.
const CONNECTIONS: usize = 500;
const AT_ONCE: usize = 20;
/// What is said on each, and answered.
const MESSAGE_BYTES: usize = 1000;
/// How often each listener has its turn.
const RUNS: usize = 5;
/// How long nothing more has to come, so that what a handshake needs is given back.
const SETTLING: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> Result<()> {
    // An error says that one is installed already.
    _ = rustls::crypto::ring::default_provider().install_default();
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["serve", which] => serve(which).await,
        [file, rest @ ..] => {
            let count = rest.first().map_or(Ok(CONNECTIONS), |count| count.parse())?;
            compare(file, count).await
        }
        [] => bail!("webrtc-beside JSON [COUNT]"),
    }
}

fn transport(which: &str) -> Result<Transport> {
    let key = Keypair::generate_ed25519();
    Ok(match which {
        "ours" => webrtc_direct_native::Transport::new(&key, webrtc_direct_native::Certificate::generate()?)?
            .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)))
            .boxed(),
        "theirs" => {
            let mut random = getrandom::rand_core::UnwrapErr(getrandom::SysRng);
            let certificate = libp2p_webrtc::tokio::Certificate::generate(&mut random)?;
            libp2p_webrtc::tokio::Transport::new(key, certificate)
                .map(|(peer, connection), _| (peer, StreamMuxerBox::new(connection)))
                .boxed()
        }
        other => bail!("{other} is neither"),
    })
}

/// Listens, and gives back what comes on each stream. For each line on its input it says what it has used.
async fn serve(which: &str) -> Result<()> {
    let mut transport = transport(which)?;
    transport.listen_on(ListenerId::next(), "/ip4/127.0.0.1/udp/0/webrtc-direct".parse()?)?;
    tokio::spawn(async move {
        loop {
            match poll_fn(|context| Pin::new(&mut transport).poll(context)).await {
                TransportEvent::NewAddress { listen_addr, .. } => println!("{listen_addr}"),
                TransportEvent::Incoming { upgrade, .. } => {
                    tokio::spawn(async move {
                        if let Ok((_, muxer)) = upgrade.await {
                            let (_, mut inbound) = drive(muxer);
                            while let Some(stream) = inbound.recv().await {
                                tokio::spawn(answer(stream));
                            }
                        }
                    });
                }
                _ => {}
            }
        }
    });
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while lines.next_line().await?.is_some() {
        let status = std::fs::read_to_string("/proc/self/status")?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let stat = std::fs::read_to_string("/proc/self/stat")?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
        println!("{} {ticks}", resident.trim().trim_end_matches(" kB"));
    }
    Ok(())
}

/// Gives back what comes.
async fn answer(mut stream: SubstreamBox) -> std::io::Result<()> {
    let mut message = [0; MESSAGE_BYTES];
    stream.read_exact(&mut message).await?;
    stream.write_all(&message).await?;
    stream.close().await
}

type Opener = mpsc::Sender<oneshot::Sender<SubstreamBox>>;

/// Drives a connection in a task. Returns what opens streams, and those that the peer opens.
fn drive(mut muxer: StreamMuxerBox) -> (Opener, mpsc::Receiver<SubstreamBox>) {
    let (sender, inbound) = mpsc::channel(64);
    let (opener, mut requests) = mpsc::channel::<oneshot::Sender<SubstreamBox>>(1);
    let mut waiting: Option<oneshot::Sender<SubstreamBox>> = None;
    tokio::spawn(poll_fn(move |context| {
        loop {
            match Pin::new(&mut muxer).poll(context) {
                Poll::Ready(Err(_)) => return Poll::Ready(()),
                Poll::Ready(Ok(_)) => continue,
                Poll::Pending => {}
            }
            if let Poll::Ready(Ok(stream)) = Pin::new(&mut muxer).poll_inbound(context) {
                _ = sender.try_send(stream);
                continue;
            }
            if waiting.is_none() {
                match requests.poll_recv(context) {
                    Poll::Ready(Some(request)) => waiting = Some(request),
                    // Whoever dialed has no further use for it. Who listens has none from the beginning.
                    Poll::Ready(None) if sender.is_closed() => return Poll::Ready(()),
                    _ => {}
                }
            }
            if waiting.is_some() {
                if let Poll::Ready(Ok(stream)) = Pin::new(&mut muxer).poll_outbound(context) {
                    _ = waiting.take().map(|request| request.send(stream));
                    continue;
                }
            }
            return Poll::Pending;
        }
    }));
    (opener, inbound)
}

/// A listener in a process of its own.
struct Listener {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    address: Multiaddr,
}

impl Listener {
    async fn start(which: &str) -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        let mut child =
            command.args(["serve", which]).stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn()?;
        let input = child.stdin.take().context("no input")?;
        let mut output = BufReader::new(child.stdout.take().context("no output")?).lines();
        let address = output.next_line().await?.context("it ended")?.parse()?;
        Ok(Self { child, input, output, address })
    }

    /// What it has used: memory in kB, and processor time.
    async fn used(&mut self) -> Result<(f64, Duration)> {
        use tokio::io::AsyncWriteExt as _;
        self.input.write_all(b"\n").await?;
        let line = self.output.next_line().await?.context("it ended")?;
        let (resident, ticks) = line.split_once(' ').context("not what was asked for")?;
        Ok((resident.parse()?, Duration::from_millis(ticks.parse::<u64>()? * 10)))
    }
}

#[derive(Debug)]
struct Figures {
    connects_per_second: f64,
    processor_ms: f64,
    kilobytes: f64,
}

async fn measure(which: &str, count: usize) -> Result<Figures> {
    let mut listener = Listener::start(which).await?;
    let dialer = Arc::new(std::sync::Mutex::new(transport("ours")?));
    let address = listener.address.clone();
    let connect = || {
        let (dialer, address) = (dialer.clone(), address.clone());
        async move {
            let options = DialOpts { role: Endpoint::Dialer, port_use: PortUse::New };
            let dial = dialer.lock().expect("nobody panics").dial(address, options)?;
            let (_, muxer) = dial.await?;
            let (opener, inbound) = drive(muxer);
            ask(&opener).await?;
            Ok::<_, anyhow::Error>((opener, inbound))
        }
    };
    // What is made once is not counted.
    let first = connect().await.with_context(|| format!("the first connection to {which}"))?;
    let (memory_before, time_before) = listener.used().await?;
    let start = Instant::now();
    let connections: Vec<_> =
        futures::stream::iter(0..count).map(|_| connect()).buffer_unordered(AT_ONCE).collect().await;
    let took = start.elapsed();
    let connections = connections.into_iter().collect::<Result<Vec<_>>>();
    let connections = connections.with_context(|| format!("one of {count} connections to {which}"))?;
    tokio::time::sleep(SETTLING).await;
    let (memory, time) = listener.used().await?;
    drop((first, connections));
    listener.child.kill().await?;
    Ok(Figures {
        connects_per_second: count as f64 / took.as_secs_f64(),
        processor_ms: (time - time_before).as_secs_f64() * 1000.0 / count as f64,
        kilobytes: (memory - memory_before) / count as f64,
    })
}

/// Says something on a new stream, and waits for the answer.
async fn ask(opener: &Opener) -> Result<()> {
    let (sender, receiver) = oneshot::channel();
    opener.send(sender).await?;
    let mut stream = receiver.await?;
    let (message, mut answer) = ([7; MESSAGE_BYTES], [0; MESSAGE_BYTES]);
    stream.write_all(&message).await?;
    stream.read_exact(&mut answer).await?;
    ensure!(answer == message, "another message came back");
    Ok(stream.close().await?)
}

async fn compare(file: &str, count: usize) -> Result<()> {
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..RUNS {
        ours.push(measure("ours", count).await?);
        theirs.push(measure("theirs", count).await?);
    }
    let mut rows = Vec::new();
    println!("{:<28}{:>12}{:>16}{:>8}", format!("{count} connections"), "ours", "libp2p-webrtc", "ratio");
    let measures: [(&str, &str, bool, fn(&Figures) -> f64); 3] = [
        ("connects", "1/s", true, |figures| figures.connects_per_second),
        ("processor of a connection", "ms", false, |figures| figures.processor_ms),
        ("memory of a connection", "kB", false, |figures| figures.kilobytes),
    ];
    for (measure, unit, more_is_better, of) in measures {
        let median = |figures: &[Figures]| {
            let mut values: Vec<f64> = figures.iter().map(of).collect();
            values.sort_by(f64::total_cmp);
            values[values.len() / 2]
        };
        let (ours, theirs) = (median(&ours), median(&theirs));
        println!("{:<28}{ours:>12.2}{theirs:>16.2}{:>8.2}", format!("{measure}, {unit}"), ours / theirs);
        rows.push(serde_json::json!({
            "measure": measure, "unit": unit, "ours": ours, "peer": theirs, "peer_name": "libp2p-webrtc 0.10",
            "ratio": ours / theirs, "goal": "ahead", "holds": (ours > theirs) == more_is_better, "runs": RUNS,
        }));
    }
    std::fs::write(file, serde_json::to_string_pretty(&rows)?)?;
    Ok(())
}
