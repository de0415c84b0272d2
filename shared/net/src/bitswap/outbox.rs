//! What one download sends to one provider.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use futures::channel::mpsc;
use futures::future::{BoxFuture, Either, poll_immediate, select};
use futures::{AsyncWriteExt, StreamExt, pin_mut};
use ggen_shared::content::bitswap::{Message, Want};
use ggen_shared::content::session::Reason;
use libp2p::{PeerId, Stream};

use super::exchange::Exchange;
use super::wire;
use crate::light::Platform;
use crate::streams::OpenError;

/// How long a stream is kept on which nothing is sent. Other software gives up one on which nothing comes for ten seconds.
pub const LINGER: Duration = Duration::from_secs(5);
/// How long a provider may take to take what is asked of it.
const TAKE_TIMEOUT: Duration = Duration::from_secs(10);
/// Lists of wants that may wait to be sent; a provider that takes none of them is no use.
const WAITING: usize = 64;

/// Opens a stream to a connected peer, for messages of Bitswap.
pub type Opener = Arc<dyn Fn(PeerId) -> BoxFuture<'static, Result<Stream, OpenError>> + Send + Sync>;

/// Begins to send what comes through the channel, until its other end is dropped and all was sent.
pub(super) fn start<P: Platform>(exchange: &Exchange<P>, opener: &Opener, peer: PeerId) -> mpsc::Sender<Vec<Want>> {
    let (sender, wants) = mpsc::channel(WAITING);
    let (exchange, opener) = (exchange.clone(), opener.clone());
    exchange.platform().clone().spawn(async move {
        match run(exchange.platform(), &opener, peer, wants).await {
            Ok(()) => {}
            Err(Error::Open(error @ OpenError::NotConnected)) => exchange.gone(peer, error.to_string()).await,
            Err(error) => exchange.failed(peer, Reason::Unreachable(error.to_string())).await,
        }
    });
    sender
}

/// Why a provider takes no wants.
#[derive(Debug, thiserror::Error)]
enum Error {
    #[error(transparent)]
    Open(#[from] OpenError),
    #[error(transparent)]
    Io(#[from] io::Error),
}

async fn run<P: Platform>(
    platform: &P,
    opener: &Opener,
    peer: PeerId,
    mut wants: mpsc::Receiver<Vec<Want>>,
) -> Result<(), Error> {
    let mut stream: Option<Stream> = None;
    loop {
        let next = match &stream {
            // Without a stream there is nothing to close.
            None => wants.next().await,
            Some(_) => match within(platform, LINGER, wants.next()).await {
                Some(next) => next,
                None => {
                    close(&mut stream).await;
                    continue;
                }
            },
        };
        let Some(list) = next else { break };
        let message = Message::of_wants(list).encode();
        let sent = within(platform, TAKE_TIMEOUT, send(opener, peer, &mut stream, &message)).await;
        sent.unwrap_or_else(|| Err(io::Error::from(io::ErrorKind::TimedOut).into()))?;
    }
    close(&mut stream).await;
    Ok(())
}

/// Sends a message on the stream that is there, or on a new one: the other side may have given up the old one.
async fn send(opener: &Opener, peer: PeerId, stream: &mut Option<Stream>, message: &[u8]) -> Result<(), Error> {
    if let Some(open) = stream
        && wire::write(open, message).await.is_ok()
    {
        return Ok(());
    }
    let opened = stream.insert(opener(peer).await?);
    Ok(wire::write(opened, message).await?)
}

async fn close(stream: &mut Option<Stream>) {
    if let Some(mut stream) = stream.take() {
        // What was sent was sent.
        _ = stream.close().await;
    }
}

/// What comes of some work, unless it takes longer.
pub(super) async fn within<P: Platform, T>(platform: &P, limit: Duration, work: impl Future<Output = T>) -> Option<T> {
    pin_mut!(work);
    // What is there already needs no timer, which is a call of the browser.
    if let Some(result) = poll_immediate(&mut work).await {
        return Some(result);
    }
    let sleep = platform.sleep(limit);
    pin_mut!(sleep);
    match select(work, sleep).await {
        Either::Left((result, _)) => Some(result),
        Either::Right(_) => None,
    }
}
