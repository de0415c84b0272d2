//! The half that touches the browser: sockets, their events, and what libp2p wants on top.

mod connection;
mod socket;
mod transport;
mod turn;

pub(crate) use self::transport::Transport;
