//! The network half of the protocol: what both sides of libp2p must agree on, and the one light peer that browsers,
//! the command line and tests use.

#![forbid(unsafe_code)]

pub mod address;
mod ahead;
mod audit;
mod behaviour;
pub mod bitswap;
mod catch_up;
mod claims;
mod compare;
mod config;
mod confirm;
pub mod exchange;
pub mod gathering;
mod gossip;
mod hand_over;
mod held;
mod in_turn;
mod kademlia;
pub mod light;
mod registry;
mod settle;
pub mod streams;

pub use audit::Audits;
pub use behaviour::{P2PBehaviour, P2PBehaviourEvent, Role, dialable};
pub use catch_up::News;
pub use claims::Claimants;
pub use compare::{Comparison, Difference, Excluded, Fault};
pub use config::P2PConfig;
pub use confirm::{ConfirmError, Confirmed};
pub use gossip::{GRAYLISTED_BELOW, Gossip, evidence_topic, packages_topic, subscribe};
pub use kademlia::Kademlia;
pub use registry::P2PRegistry;
