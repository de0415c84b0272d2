//! The libp2p transport.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};

use futures::{
    AsyncWriteExt, FutureExt,
    future::{BoxFuture, Pending},
};
use libp2p::{
    Multiaddr, PeerId,
    core::{
        UpgradeInfo,
        transport::{DialOpts, ListenerId, TransportError, TransportEvent},
        upgrade::InboundConnectionUpgrade,
    },
    identity::Keypair,
    noise,
};
use send_wrapper::SendWrapper;

use super::super::{
    target::{Target, noise_prologue},
    versions::Versions,
};
use super::{
    Error,
    attempt::{self, Reached},
    connection::Connection,
};

/// Whether this browser has WebRTC, here: workers have none.
pub(crate) fn is_possible() -> bool {
    js_sys::Reflect::has(&js_sys::global(), &"RTCPeerConnection".into()).unwrap_or(false)
}

/// Dials WebRTC-direct. It cannot listen: no browser can.
#[derive(Debug, Clone)]
pub(crate) struct Transport {
    keypair: Keypair,
    versions: Arc<Mutex<Versions>>,
}

impl Transport {
    /// A transport that authenticates with this key.
    pub(crate) fn new(keypair: &Keypair) -> Self {
        Self { keypair: keypair.clone(), versions: Arc::default() }
    }
}

impl libp2p::Transport for Transport {
    type Output = (PeerId, Connection);
    type Error = Error;
    type ListenerUpgrade = Pending<Result<Self::Output, Error>>;
    type Dial = BoxFuture<'static, Result<Self::Output, Error>>;

    fn listen_on(&mut self, _: ListenerId, address: Multiaddr) -> Result<(), TransportError<Error>> {
        Err(TransportError::MultiaddrNotSupported(address))
    }

    fn remove_listener(&mut self, _: ListenerId) -> bool {
        false
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<Self::Dial, TransportError<Error>> {
        match Target::parse(&address).filter(|_| !options.role.is_listener()) {
            Some(target) => Ok(SendWrapper::new(self.clone().connect(target)).boxed()),
            None => Err(TransportError::MultiaddrNotSupported(address)),
        }
    }

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<TransportEvent<Self::ListenerUpgrade, Error>> {
        Poll::Pending
    }
}

impl Transport {
    async fn connect(self, target: Target) -> Result<(PeerId, Connection), Error> {
        let order = self.versions().order(target.socket);
        let Reached { peer, handshake, certificate } = attempt::reach(target, order).await?;
        let version = peer.version();
        let connection = Connection::new(peer);
        let noise = noise::Config::new(&self.keypair)
            .map_err(handshake_failed)?
            .with_prologue(noise_prologue(certificate, target.certificate));
        let protocol = noise.protocol_info().next().unwrap_or_default();
        // Who listens begins, so that its first words need no further round trip.
        let upgrade = noise.upgrade_inbound(connection.stream(handshake), protocol);
        let (id, mut channel) = upgrade.await.map_err(handshake_failed)?;
        channel.close().await.map_err(handshake_failed)?;
        self.versions().reached(target.socket, version);
        Ok((id, connection))
    }

    fn versions(&self) -> std::sync::MutexGuard<'_, Versions> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn handshake_failed(error: impl ToString) -> Error {
    Error::Handshake(error.to_string())
}
