//! The half that touches the browser: sockets, their events, and what libp2p wants on top.

mod connection;
mod socket;
mod transport;

pub(crate) use self::transport::Transport;
