//! How a relay is run: a file, overridden by the command line, resolved once into [`Config`].

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use ggen_shared::id::Network;
use libp2p::Multiaddr;
use serde::Deserialize;

/// The configuration of a relay.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where everything that must survive is kept.
    pub data_dir: PathBuf,
    /// Addresses to listen on: TCP, QUIC, WebSocket, WebRTC-direct.
    pub listen: Vec<Multiaddr>,
    /// Relays to join the network through, each ending in `/p2p/<peer id>`.
    pub bootstrap: Vec<Multiaddr>,
    /// Where HTTP is served; none: no HTTP.
    pub http: Option<SocketAddr>,
    /// Addresses at which others reach this relay, where it can't know them itself.
    pub external: Vec<Multiaddr>,
    /// The built marketplace page; none: no page.
    pub www: Option<PathBuf>,
    /// The network whose records count.
    pub network: Network,
}

/// The file as it is written: TOML, every field optional, unknown fields refused.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FileConfig {
    /// Default: `ggen-relay-data` in the working directory.
    pub data_dir: Option<PathBuf>,
    /// Default: every transport on all interfaces, TCP and QUIC on port 4801, WebSocket on 4802, WebRTC-direct on 4803.
    pub listen: Option<Vec<Multiaddr>>,
    /// Default: none, a network of its own.
    pub bootstrap: Option<Vec<Multiaddr>>,
    /// Default: `127.0.0.1:8080`.
    pub http: Option<SocketAddr>,
    /// Default: none.
    pub external: Option<Vec<Multiaddr>>,
    /// Default: none.
    pub www: Option<PathBuf>,
    /// Default: `ggen`, everyone's.
    pub network: Option<String>,
}

/// Why a configuration is refused.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file could not be read.
    #[error("{path}: {source}")]
    Read {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not TOML, or has fields that are unknown or of another type.
    #[error("{path}: {source}")]
    Parse {
        /// Which file.
        path: PathBuf,
        /// Why, with line and column.
        source: Box<toml::de::Error>,
    },
    /// The network's name is not one.
    #[error("field `network`: {0}")]
    Network(#[from] ggen_shared::id::ParseError),
    /// A bootstrap address names no peer.
    #[error("field `bootstrap`: {0} does not end in /p2p/<peer id>")]
    BootstrapWithoutPeer(Multiaddr),
}

impl FileConfig {
    /// Reads a configuration file.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Parse`].
    pub fn read(path: &Path) -> Result<Self, Error> {
        let text = std::fs::read_to_string(path).map_err(|source| Error::Read { path: path.into(), source })?;
        toml::from_str(&text).map_err(|source| Error::Parse { path: path.into(), source: Box::new(source) })
    }

    /// Fields of `over` take the place of these where they are given.
    #[must_use]
    pub fn overridden_by(self, over: Self) -> Self {
        Self {
            data_dir: over.data_dir.or(self.data_dir),
            listen: over.listen.or(self.listen),
            bootstrap: over.bootstrap.or(self.bootstrap),
            http: over.http.or(self.http),
            external: over.external.or(self.external),
            www: over.www.or(self.www),
            network: over.network.or(self.network),
        }
    }

    /// Fills in the defaults and checks.
    ///
    /// # Errors
    /// [`Error::Network`], [`Error::BootstrapWithoutPeer`].
    pub fn resolve(self) -> Result<Config, Error> {
        let bootstrap = self.bootstrap.unwrap_or_default();
        if let Some(address) = bootstrap.iter().find(|address| ggen_net::address::split_peer(address).is_none()) {
            return Err(Error::BootstrapWithoutPeer(address.clone()));
        }
        Ok(Config {
            data_dir: self.data_dir.unwrap_or_else(|| "ggen-relay-data".into()),
            listen: self.listen.unwrap_or_else(default_listen),
            bootstrap,
            http: Some(self.http.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8080)))),
            external: self.external.unwrap_or_default(),
            www: self.www,
            network: self.network.map_or_else(|| Ok(Network::main()), Network::named)?,
        })
    }
}

fn default_listen() -> Vec<Multiaddr> {
    ["tcp/4801", "udp/4801/quic-v1", "tcp/4802/ws", "udp/4803/webrtc-direct"]
        .iter()
        .flat_map(|end| [format!("/ip4/0.0.0.0/{end}"), format!("/ip6/::/{end}")])
        .map(|address| address.parse().expect("a constant multiaddr"))
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    #[test]
    fn an_unknown_field_is_refused_by_name() {
        let error = toml::from_str::<FileConfig>("listn = []").unwrap_err();
        assert!(error.to_string().contains("listn"), "{error}");
    }

    #[test]
    fn the_command_line_overrides_the_file() {
        let file = FileConfig { network: Some("a".into()), http: "127.0.0.1:1".parse().ok(), ..FileConfig::default() };
        let over = FileConfig { network: Some("b".into()), ..FileConfig::default() };
        let config = file.overridden_by(over).resolve().unwrap();
        assert_eq!((config.network.as_str(), config.http), ("b", "127.0.0.1:1".parse().ok()));
    }

    #[test]
    fn a_bootstrap_address_without_a_peer_is_refused() {
        let file =
            FileConfig { bootstrap: Some(vec!["/ip4/127.0.0.1/tcp/1".parse().unwrap()]), ..FileConfig::default() };
        assert!(matches!(file.resolve(), Err(Error::BootstrapWithoutPeer(_))));
    }
}
