//! The network half of the protocol: what both sides of libp2p must agree on, and the one light peer that browsers,
//! the command line and tests use.

#![forbid(unsafe_code)]

pub mod address;
mod audit;
mod behaviour;
pub mod bitswap;
mod claims;
mod compare;
mod config;
mod confirm;
pub mod exchange;
mod gossip;
mod hand_over;
mod held;
mod kademlia;
pub mod light;
mod registry;
mod settle;
pub mod streams;

pub use audit::Audits;
pub use behaviour::{P2PBehaviour, P2PBehaviourEvent, Role, dialable};
pub use claims::Claimants;
pub use compare::{Comparison, Difference, Fault};
pub use config::P2PConfig;
pub use confirm::{ConfirmError, Confirmed};
pub use gossip::{GRAYLISTED_BELOW, Gossip, packages_topic};
pub use kademlia::Kademlia;
pub use registry::P2PRegistry;
