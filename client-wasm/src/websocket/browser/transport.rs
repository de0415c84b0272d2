//! The libp2p transport.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use futures::{
    FutureExt,
    future::{BoxFuture, Pending},
};
use libp2p::{
    Multiaddr,
    core::transport::{DialOpts, ListenerId, TransportError, TransportEvent},
};
use send_wrapper::SendWrapper;

use super::{
    super::{Error, address},
    connection::Connection,
};

/// Dials WebSockets. It cannot listen: no browser can.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Transport;

impl libp2p::Transport for Transport {
    type Output = Connection;
    type Error = Error;
    type ListenerUpgrade = Pending<Result<Connection, Error>>;
    type Dial = BoxFuture<'static, Result<Connection, Error>>;

    fn listen_on(&mut self, _: ListenerId, address: Multiaddr) -> Result<(), TransportError<Error>> {
        Err(TransportError::MultiaddrNotSupported(address))
    }

    fn remove_listener(&mut self, _: ListenerId) -> bool {
        false
    }

    fn dial(&mut self, address: Multiaddr, options: DialOpts) -> Result<Self::Dial, TransportError<Error>> {
        // As the listener of a hole punch this would wait for a connection that cannot come.
        let url = if options.role.is_listener() { None } else { address::url(&address) };
        match url {
            Some(url) => Ok(SendWrapper::new(Connection::open(url)).boxed()),
            None => Err(TransportError::MultiaddrNotSupported(address)),
        }
    }

    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<TransportEvent<Self::ListenerUpgrade, Error>> {
        Poll::Pending
    }
}
