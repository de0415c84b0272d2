//! The network half of the protocol: what both sides of libp2p must agree on, and the one light peer that browsers,
//! the command line and tests use.

#![forbid(unsafe_code)]

pub mod address;
mod behaviour;
mod compare;
mod config;
pub mod exchange;
pub mod light;
mod registry;
pub mod streams;

pub use behaviour::{Gossip, P2PBehaviour, P2PBehaviourEvent, Role, dialable, packages_topic};
pub use compare::{Comparison, Difference};
pub use config::P2PConfig;
pub use registry::P2PRegistry;
