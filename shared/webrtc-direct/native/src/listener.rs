//! One address that is listened on.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};

use futures::Stream;
use if_watch::IfEvent;
use if_watch::tokio::IfWatcher;
use libp2p::core::transport::{ListenerId, TransportEvent};
use libp2p::identity::Keypair;
use tokio::sync::mpsc;

use crate::error::Error;
use crate::handshake;
use crate::port::{Newcomer, Port};
use crate::session::Config;
use crate::transport::{Upgrade, multiaddr};

type Event = TransportEvent<Upgrade, Error>;

/// Tells of the addresses of one socket, and of who begins a connection to it.
pub(crate) struct Listener {
    id: ListenerId,
    /// Held for those who come. Connections hold it themselves.
    _port: Arc<Port>,
    address: SocketAddr,
    newcomers: mpsc::Receiver<Newcomer>,
    keypair: Keypair,
    config: Arc<Config>,
    /// If it listens on all addresses of the machine.
    interfaces: Option<IfWatcher>,
    /// Told before anything else.
    first: Option<Event>,
    /// It is to be closed; `Some` until that is told.
    closing: Option<Option<Event>>,
    waker: Option<Waker>,
}

impl Listener {
    pub(crate) fn new(
        id: ListenerId,
        port: Arc<Port>,
        newcomers: mpsc::Receiver<Newcomer>,
        keypair: Keypair,
        config: Arc<Config>,
    ) -> io::Result<Self> {
        let address = port.local_addr()?;
        let interfaces = address.ip().is_unspecified().then(IfWatcher::new).transpose()?;
        let listen_addr = multiaddr(address, Some(config.fingerprint()));
        let first = interfaces.is_none().then_some(Event::NewAddress { listener_id: id, listen_addr });
        Ok(Self { id, _port: port, address, newcomers, keypair, config, interfaces, first, closing: None, waker: None })
    }

    pub(crate) fn id(&self) -> ListenerId {
        self.id
    }

    /// No more connections are taken. Those that there are go on.
    pub(crate) fn close(&mut self) {
        if self.closing.is_none() {
            self.closing = Some(Some(Event::ListenerClosed { listener_id: self.id, reason: Ok(()) }));
            if let Some(waker) = self.waker.take() {
                waker.wake();
            }
        }
    }

    fn poll_interfaces(&mut self, context: &mut Context<'_>) -> Poll<Event> {
        let Some(interfaces) = &mut self.interfaces else { return Poll::Pending };
        let listener_id = self.id;
        loop {
            let event = std::task::ready!(interfaces.poll_if_event(context));
            let (ip, is_up): (IpAddr, _) = match &event {
                Ok(IfEvent::Up(net)) => (net.addr(), true),
                Ok(IfEvent::Down(net)) => (net.addr(), false),
                Err(_) => (self.address.ip(), false),
            };
            if let Err(error) = event {
                return Poll::Ready(Event::ListenerError { listener_id, error: error.into() });
            }
            if ip.is_ipv4() == self.address.is_ipv4() {
                let socket = SocketAddr::new(ip, self.address.port());
                let listen_addr = multiaddr(socket, Some(self.config.fingerprint()));
                return Poll::Ready(if is_up {
                    Event::NewAddress { listener_id, listen_addr }
                } else {
                    Event::AddressExpired { listener_id, listen_addr }
                });
            }
        }
    }

    fn incoming(&self, newcomer: Newcomer) -> Event {
        let local_addr = multiaddr(self.address, Some(self.config.fingerprint()));
        let send_back_addr = multiaddr(newcomer.remote, None);
        let upgrade = handshake::accept(self.config.clone(), self.keypair.clone(), newcomer);
        Event::Incoming { listener_id: self.id, upgrade: Box::pin(upgrade), local_addr, send_back_addr }
    }
}

impl Stream for Listener {
    type Item = Event;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Event>> {
        if let Some(closing) = &mut self.closing {
            return Poll::Ready(closing.take());
        }
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(first));
        }
        if let Poll::Ready(event) = self.poll_interfaces(context) {
            return Poll::Ready(Some(event));
        }
        if let Poll::Ready(Some(newcomer)) = self.newcomers.poll_recv(context) {
            return Poll::Ready(Some(self.incoming(newcomer)));
        }
        self.waker = Some(context.waker().clone());
        Poll::Pending
    }
}
