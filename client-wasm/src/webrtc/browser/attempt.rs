//! Reaching a peer by the version that it speaks.

use std::future::poll_fn;
use std::time::Duration;

use data_encoding::BASE64_NOPAD;
use futures::FutureExt;
use futures::future::{Either, LocalBoxFuture, select, select_ok};
use ggen_net::light::Platform;
use webrtc_direct::ufrag::{self, Version};

use super::super::sdp;
use super::super::target::{Fingerprint, Target};
use super::channel::DataChannel;
use super::{Error, peer::Peer};
use crate::platform::Browser;

/// How long a peer may take to be reached by one version before the other one begins beside it. A peer that speaks a version says
/// so within a round trip; what begins in vain costs a socket.
const HEAD_START: Duration = Duration::from_millis(500);

/// Random bytes in the user name of version 1.
const UFRAG_BYTES: usize = 24;

/// A peer that has answered by a version.
pub(super) struct Reached {
    pub(super) peer: Peer,
    /// The channel of the Noise handshake.
    pub(super) handshake: DataChannel,
    /// That of the browser for this connection.
    pub(super) certificate: Fingerprint,
}

/// Reaches a peer by either version, in this order.
pub(super) async fn reach(target: Target, [first, second]: [Version; 2]) -> Result<Reached, Error> {
    let first = attempt(target, first);
    match select(first, Browser.sleep(HEAD_START).boxed_local()).await {
        Either::Left((Ok(reached), _)) => Ok(reached),
        Either::Left((Err(error), _)) => attempt(target, second).await.map_err(|_| error),
        Either::Right(((), first)) => select_ok([first, attempt(target, second)]).await.map(|(reached, _)| reached),
    }
}

/// Ends once the peer has answered; dropped before, it leaves nothing behind.
fn attempt(target: Target, version: Version) -> LocalBoxFuture<'static, Result<Reached, Error>> {
    async move {
        let peer = Peer::new(version)?;
        // Before the offer, which would otherwise offer nothing.
        let handshake = peer.handshake()?;
        let (description, ufrag) = match version {
            Version::One => {
                let ufrag = random_ufrag();
                (peer.offer(|offer| Some(sdp::with_credentials(offer, &ufrag))).await?, ufrag)
            }
            Version::Two => {
                let description = peer.offer(|_| None).await?;
                let password = sdp::password(&description).ok_or(Error::NoPassword)?;
                let ufrag = ufrag::server(password).map_err(|_| Error::NoPassword)?;
                (description, ufrag)
            }
        };
        let certificate = sdp::fingerprint(&description).ok_or(Error::NoFingerprint)?;
        peer.answer(&sdp::answer(target, &ufrag)).await?;
        poll_fn(|context| peer.poll_reached(context)).await?;
        Ok(Reached { peer, handshake, certificate })
    }
    .boxed_local()
}

fn random_ufrag() -> String {
    let mut random = [0; UFRAG_BYTES];
    _ = getrandom::fill(&mut random);
    ufrag::shared(&BASE64_NOPAD.encode(&random)).expect("letters, digits, plus and slash, of a length that is allowed")
}
