//! Answers over the wire with all packages of Debian: `wire [JSON FILE]`. A real relay on loopback beside one that answers the same questions
//! with bytes that it has already, in turns: what is left is the work of answering. Prints a table.

use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::FutureExt;
use futures::future::{BoxFuture, try_join_all};
use ggen_bench::queries::QUERIES;
use ggen_bench::report::{self, Row, quantile};
use ggen_bench::{debian, network, records};
use ggen_net::exchange;
use ggen_relay::query::Answer;
use ggen_relay::{Config, Relay};
use ggen_shared::limits::DEFAULT_WINDOW_BYTES;
use ggen_shared::protocol::names;
use ggen_shared::protocol::query::{Ask, Question, Request, Search};
use ggen_shared::record::ContentId;
use ggen_shared::rules::{Rules, Schedule};
use ggen_tests::attack::RawPeer;

/// Records that are handed to a relay at once when it is filled.
const AT_ONCE: usize = 1000;
/// Connections, and questions that are asked on each of them at once.
const CONNECTIONS: usize = 4;
const ASKED_AT_ONCE: usize = 4;
/// How often both are measured, and how long each time.
const TURNS: usize = 5;
const TURN: Duration = Duration::from_secs(3);
/// Between the key presses of somebody who types fast.
const PAUSE: Duration = Duration::from_millis(50);

#[tokio::main]
async fn main() -> Result<()> {
    let (_, all) = records(&debian()?);
    let (directory, other) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let first = Relay::start(config(directory.path())).await?;
    for some in all.chunks(AT_ONCE) {
        first.shelf().admit(some.to_vec(), Vec::new()).await?;
    }
    first.stop().await;
    let mut rows = Vec::new();

    println!("before: {}", report::load()?);
    let start = Instant::now();
    // It commits to all of it before it listens.
    let relay = Relay::start(config(directory.path())).await?;
    let took = start.elapsed().as_secs_f64();
    ensure!(relay.shelf().catalogue().record_count() == all.len(), "what was acknowledged is there");
    rows.push(Row::new("a relay's restart, all records verified, to its first answer", "s", took, Some(8.0), 1));

    let peers = peers(&relay).await?;
    // One after the other without a pause: what a relay answers that has no time to spare.
    let mut replies = HashMap::new();
    for text in QUERIES {
        replies.insert(text.to_owned(), ask(&peers[0], text).await?);
    }
    let mut sizes: Vec<_> = replies.values().map(|reply| reply.len() as f64 / 1000.0).collect();
    rows.push(Row::new("bytes of an answer, p50", "kB", quantile(&mut sizes, 0.5), None, QUERIES.len()));
    sizes.clear();
    for text in QUERIES {
        tokio::time::sleep(PAUSE).await;
        sizes.push(ask(&peers[0], text).await?.len() as f64 / 1000.0);
    }
    rows.push(Row::new("the same for one who pauses, p50", "kB", quantile(&mut sizes, 0.5), Some(16.0), QUERIES.len()));
    let echo = Relay::start_with(config(other.path()), move |_| Box::new(Echo(replies))).await?;
    let echoed = self::peers(&echo).await?;

    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..TURNS {
        ours.push(answers_a_second(&peers).await?);
        bare.push(answers_a_second(&echoed).await?);
    }
    println!("after: {}", report::load()?);
    let measure = format!("answers a second over TCP, {CONNECTIONS} connections, {ASKED_AT_ONCE} at once on each");
    let (ours, bare) = (quantile(&mut ours, 0.5), quantile(&mut bare, 0.5));
    rows.push(Row::new(measure, "1/s", ours, Some(0.5), TURNS).beside("echo", bare));
    relay.stop().await;
    echo.stop().await;
    report::publish(&rows, std::env::args().nth(1).as_deref().map(Path::new))
}

/// Answers with what it has, and looks at nothing.
struct Echo(HashMap<String, Vec<u8>>);

impl Answer for Echo {
    fn block<'a>(&'a self, _: &'a ContentId) -> BoxFuture<'a, Option<Vec<u8>>> {
        async { None }.boxed()
    }

    fn answer<'a>(&'a self, ask: &'a Ask) -> BoxFuture<'a, Vec<u8>> {
        let reply = match &ask.request {
            Request::Search(search) => self.0.get(&search.text).cloned(),
            _ => None,
        };
        async move { reply.unwrap_or_default() }.boxed()
    }
}

fn config(directory: &Path) -> Config {
    let tcp = "/ip4/127.0.0.1/tcp/0".parse().expect("a multiaddr");
    Config {
        epoch: Duration::from_secs(60),
        rules: Schedule::default(),
        upnp: false,
        circuits: ggen_relay::config::Circuits::default(),
        sync: false,
        data_dir: directory.into(),
        listen: std::iter::once(tcp).collect(),
        bootstrap: Vec::new(),
        http: None,
        external: Vec::new(),
        www: None,
        network: network(),
    }
}

async fn peers(relay: &Relay) -> Result<Vec<Arc<RawPeer>>> {
    let address = relay.addresses().into_iter().next().context("an address")?;
    let mut peers = Vec::new();
    for _ in 0..CONNECTIONS {
        peers.push(Arc::new(RawPeer::connect(&address, &[]).await.0));
    }
    Ok(peers)
}

async fn ask(peer: &RawPeer, text: &str) -> Result<Vec<u8>> {
    let question = Search { text: text.into(), limit: 20, ..Search::default() };
    let mut stream = peer.open(names::QUERY).await?;
    let ask = Ask { window: DEFAULT_WINDOW_BYTES, rules: Rules::FIRST.number, request: question.into_request() };
    Ok(exchange::ask_bytes(&mut stream, &ask).await?)
}

/// How many questions are answered in a second, asked at once on all connections.
async fn answers_a_second(peers: &[Arc<RawPeer>]) -> Result<f64> {
    let start = Instant::now();
    let askers = (0..CONNECTIONS * ASKED_AT_ONCE).map(|asker| {
        let peer = peers[asker % CONNECTIONS].clone();
        tokio::spawn(async move {
            let mut answers = 0;
            while start.elapsed() < TURN {
                let reply = ask(&peer, QUERIES[(asker * 7 + answers) % QUERIES.len()]).await?;
                ensure!(!reply.is_empty(), "an answer");
                answers += 1;
            }
            Ok(answers)
        })
    });
    let answers = try_join_all(askers).await?.into_iter().sum::<Result<usize>>()?;
    Ok(answers as f64 / start.elapsed().as_secs_f64())
}
