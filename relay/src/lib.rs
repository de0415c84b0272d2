//! The relay of the ggen marketplace, and what its command line is made of.
//!
//! A relay holds every record and proves nothing by itself: what it stores it has verified, what it says others verify again.

#[macro_use]
mod without_streams;

pub mod admission;
mod api;
mod blocks;
pub mod causes;
pub mod checkpoints;
pub mod config;
mod derivation;
mod evidence;
pub mod exclusions;
pub mod files;
mod gateway;
pub mod heads;
pub mod holes;
pub mod http;
pub mod identity;
pub mod json;
pub mod market;
pub mod meter;
mod metrics;
pub mod node;
pub mod open_files;
pub mod package;
pub mod policy;
pub mod provider;
mod providers;
pub mod query;
mod registry;
pub mod reputations;
mod router;
mod serve;
mod spare;
pub mod store;
mod suggest;
pub mod transport;

pub use config::Config;
pub use node::{Cost, Progress, Relay, StartError};
pub use registry::Local;
