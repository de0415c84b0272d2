//! Relays of benchmarks.

use std::path::Path;
use std::time::Duration;

use ggen_relay::{Config, Relay};
use ggen_shared::rules::Schedule;

use crate::network;

/// A relay of benchmarks, which joins another one or none.
///
/// # Panics
/// Never: the address is a constant.
pub fn config(directory: &Path, bootstrap: Option<&Relay>) -> Config {
    let tcp = "/ip4/127.0.0.1/tcp/0".parse().expect("a multiaddr");
    Config {
        epoch: Duration::from_secs(60),
        rules: Schedule::default(),
        upnp: false,
        circuits: ggen_relay::config::Circuits::default(),
        sync: true,
        data_dir: directory.into(),
        listen: std::iter::once(tcp).collect(),
        bootstrap: bootstrap.map(|relay| relay.addresses()).unwrap_or_default(),
        http: None,
        external: Vec::new(),
        www: None,
        network: network(),
    }
}
