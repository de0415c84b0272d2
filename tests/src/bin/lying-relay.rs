//! A real relay that lies when it is told to: it flips one bit of every release in its answers.
//!
//! `lying-relay DATA_DIR WWW` prints where it serves HTTP, then obeys the lines `lie` and `honest` on its standard input:
//! each is repeated on its standard output once it holds. At the end of its input it stops.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::Context;
use futures::FutureExt;
use futures::future::BoxFuture;
use ggen_relay::query::Answer;
use ggen_relay::{Config, Relay};
use ggen_shared::codec;
use ggen_shared::id::Network;
use ggen_shared::limits::MAX_ANSWER_BYTES;
use ggen_shared::protocol::query::{PackageAnswer, Reply, Request, SearchAnswer};
use serde_bytes::ByteBuf;
use tokio::io::{AsyncBufReadExt, BufReader};

struct Liar {
    honest: Box<dyn Answer>,
    lies: Arc<AtomicBool>,
}

impl Answer for Liar {
    fn answer<'a>(&'a self, request: &'a Request) -> BoxFuture<'a, Vec<u8>> {
        async move {
            let truth = self.honest.answer(request).await;
            if self.lies.load(Ordering::SeqCst) { lie(request, &truth).unwrap_or(truth) } else { truth }
        }
        .boxed()
    }
}

/// The answer with every release in it forged; none where the answer holds no releases.
fn lie(request: &Request, truth: &[u8]) -> Option<Vec<u8>> {
    match request {
        Request::Search(_) => {
            let mut reply: Reply<SearchAnswer> = codec::decode(truth, MAX_ANSWER_BYTES).ok()?;
            let answer = reply.as_mut().ok()?;
            answer.releases.iter_mut().chain(&mut answer.recent).for_each(flip);
            Some(codec::encode(&reply))
        }
        Request::Package(_) => {
            let mut reply: Reply<PackageAnswer> = codec::decode(truth, MAX_ANSWER_BYTES).ok()?;
            let answer = reply.as_mut().ok()?;
            answer.releases.iter_mut().chain(&mut answer.recent).for_each(flip);
            Some(codec::encode(&reply))
        }
        Request::Range(_)
        | Request::Current(_)
        | Request::Records(_)
        | Request::KeyLogOf(_)
        | Request::Named(_)
        | Request::Block(_) => None,
    }
}

/// Changes one bit of the description, so that the record still reads well and says something else.
fn flip(record: &mut ByteBuf) {
    let field = b"kdescription";
    let found = record.windows(field.len()).position(|window| window == field);
    // Behind the name of the field stands the length of the text, in at most three bytes.
    let text = found.expect("every release has a description") + field.len() + 3;
    record[text] ^= 1;
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args_os().skip(1);
    let (Some(directory), Some(www)) = (arguments.next(), arguments.next()) else {
        anyhow::bail!("usage: lying-relay DATA_DIR WWW");
    };
    let config = Config {
        // The page is one of everyone's network.
        epoch: std::time::Duration::from_secs(ggen_shared::checkpoint::EPOCH_SECONDS),
        http: Some(([127, 0, 0, 1], 0).into()),
        www: Some(www.into()),
        network: Network::main(),
        ..ggen_tests::config(Path::new(&directory), Vec::new())
    };
    let lies = Arc::new(AtomicBool::new(false));
    let knob = lies.clone();
    let relay = Relay::start_with(config, |shelf| Box::new(Liar { honest: Box::new(shelf), lies })).await?;
    println!("http at http://{}", relay.http().context("HTTP is configured")?);

    let mut orders = BufReader::new(tokio::io::stdin()).lines();
    while let Some(order) = orders.next_line().await? {
        match order.as_str() {
            "lie" => knob.store(true, Ordering::SeqCst),
            "honest" => knob.store(false, Ordering::SeqCst),
            _ => anyhow::bail!("neither `lie` nor `honest`: {order}"),
        }
        println!("{order}");
    }
    relay.stop().await;
    Ok(())
}
