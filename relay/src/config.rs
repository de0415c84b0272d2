//! How a relay is run: a file, overridden by the command line, resolved once into [`Config`].

use std::net::SocketAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::path::{Path, PathBuf};
use std::time::Duration;

use ggen_shared::checkpoint::EPOCH_SECONDS;
use ggen_shared::id::Network;
use ggen_shared::rules::Schedule;
use libp2p::Multiaddr;
use serde::Deserialize;

use crate::policy;

/// The configuration of a relay.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where everything that must survive is kept.
    pub data_dir: PathBuf,
    /// Addresses to listen on: TCP, QUIC, WebSocket, WebRTC-direct.
    pub listen: Listen,
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
    /// How often the relay commits to what it holds: the same throughout a network.
    pub epoch: Duration,
    /// The rules by which it answers, and in which epochs by others: what this release says.
    pub rules: Schedule,
    /// Whether the router is asked to let others in, where there is one that does so (UPnP).
    pub upnp: bool,
    /// What it carries between peers of which the one can't dial the other.
    pub circuits: Circuits,
    /// Whether it gets from other relays what it lacks. Without, it holds what was published here or announced while it ran.
    pub sync: bool,
}

/// What a relay carries between peers of which the one can't dial the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Circuits {
    /// Circuits at once; none: it leads to nobody.
    pub count: usize,
    /// How long each may last.
    pub duration: Duration,
    /// Bytes that may pass through each; 0: as many as come in its time.
    pub bytes: u64,
}

impl Default for Circuits {
    fn default() -> Self {
        Self { count: policy::MAX_CIRCUITS, duration: policy::CIRCUIT_DURATION, bytes: policy::CIRCUIT_BYTES }
    }
}

/// Where to listen. Addresses that someone chose, which is what collecting makes of them, must all work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listen {
    /// The addresses.
    pub addresses: Vec<Multiaddr>,
    /// Whether a relay that can't listen on each of them does not start. Otherwise one that works is enough.
    pub all: bool,
}

impl FromIterator<Multiaddr> for Listen {
    fn from_iter<I: IntoIterator<Item = Multiaddr>>(addresses: I) -> Self {
        Self { addresses: addresses.into_iter().collect(), all: true }
    }
}

impl Default for Listen {
    /// Every transport on all interfaces, as far as the machine has them: one without IPv6 is no fault of its owner.
    fn default() -> Self {
        let ends = ["tcp/4801", "udp/4801/quic-v1", "tcp/4802/ws", "udp/4803/webrtc-direct"];
        let addresses = ends.iter().flat_map(|end| [format!("/ip4/0.0.0.0/{end}"), format!("/ip6/::/{end}")]);
        let addresses = addresses.map(|address| address.parse().expect("a constant multiaddr")).collect();
        Self { addresses, all: false }
    }
}

/// The file as it is written: TOML, every field optional, unknown fields refused.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct FileConfig {
    /// Default: `ggen-relay-data` in the working directory.
    pub data_dir: Option<PathBuf>,
    /// Default: every transport on all interfaces, TCP and QUIC on port 4801, WebSocket on 4802, WebRTC-direct on 4803;
    /// as many of them as work.
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
    /// Default: 60. A network of its own may choose another number, for all who take part in it.
    pub epoch_seconds: Option<NonZeroU64>,
    /// Whether the router is asked to let others in (UPnP). Default: false.
    pub upnp: Option<bool>,
    /// Circuits that are carried at once between peers of which the one can't dial the other. Default: 1024. None with 0.
    pub circuits: Option<usize>,
    /// How long each of them may last. Default: 600.
    pub circuit_seconds: Option<NonZeroU32>,
    /// Bytes that may pass through each. Default: 134217728, which is 128 MiB. No bound but the time with 0.
    pub circuit_bytes: Option<u64>,
    /// Default: true.
    pub sync: Option<bool>,
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
    #[error(
        "field `bootstrap`: {0} does not end in /p2p/<peer id>: copy an address from the relay's \
         /.well-known/ggen/relay.json"
    )]
    BootstrapWithoutPeer(Multiaddr),
    /// There is no page where it should be.
    #[error(
        "field `www`: {} has no index.html: build the page with `cargo xtask build`, which puts it into www/dist, \
         or leave the field out to serve none",
        .0.display()
    )]
    NoPage(PathBuf),
    /// Nowhere to listen.
    #[error(
        "field `listen`: is empty, and a relay that listens nowhere is of no use: leave it out to have the defaults"
    )]
    ListenNowhere,
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
            epoch_seconds: over.epoch_seconds.or(self.epoch_seconds),
            upnp: over.upnp.or(self.upnp),
            circuits: over.circuits.or(self.circuits),
            circuit_seconds: over.circuit_seconds.or(self.circuit_seconds),
            circuit_bytes: over.circuit_bytes.or(self.circuit_bytes),
            sync: over.sync.or(self.sync),
        }
    }

    /// Where everything that must survive is kept.
    pub fn data_dir(&self) -> PathBuf {
        self.data_dir.clone().unwrap_or_else(|| "ggen-relay-data".into())
    }

    /// Fills in the defaults and checks.
    ///
    /// # Errors
    /// [`Error::Network`], [`Error::BootstrapWithoutPeer`], [`Error::NoPage`], [`Error::ListenNowhere`].
    pub fn resolve(self) -> Result<Config, Error> {
        let data_dir = self.data_dir();
        let (bootstrap, circuits) = (self.bootstrap.unwrap_or_default(), Circuits::default());
        if let Some(address) = bootstrap.iter().find(|address| ggen_net::address::split_peer(address).is_none()) {
            return Err(Error::BootstrapWithoutPeer(address.clone()));
        }
        if self.listen.as_ref().is_some_and(Vec::is_empty) {
            return Err(Error::ListenNowhere);
        }
        if let Some(www) = self.www.as_ref().filter(|www| !www.join("index.html").is_file()) {
            return Err(Error::NoPage(www.clone()));
        }
        Ok(Config {
            data_dir,
            listen: self.listen.map_or_else(Listen::default, Listen::from_iter),
            bootstrap,
            http: Some(self.http.unwrap_or_else(|| SocketAddr::from(([127, 0, 0, 1], 8080)))),
            external: self.external.unwrap_or_default(),
            www: self.www,
            network: self.network.map_or_else(|| Ok(Network::main()), Network::named)?,
            epoch: Duration::from_secs(self.epoch_seconds.map_or(EPOCH_SECONDS, NonZeroU64::get)),
            rules: Schedule::default(),
            upnp: self.upnp.unwrap_or(false),
            circuits: Circuits {
                count: self.circuits.unwrap_or(circuits.count),
                duration: self.circuit_seconds.map_or(circuits.duration, |it| Duration::from_secs(it.get().into())),
                bytes: self.circuit_bytes.unwrap_or(circuits.bytes),
            },
            sync: self.sync.unwrap_or(true),
        })
    }
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
    fn an_operator_bounds_circuits_and_what_is_left_out_is_the_default() {
        let file: FileConfig = toml::from_str("circuits = 8\ncircuit-bytes = 0").unwrap();
        let over = FileConfig { circuit_seconds: NonZeroU32::new(30), ..FileConfig::default() };
        let circuits = file.overridden_by(over).resolve().unwrap().circuits;
        assert_eq!(circuits, Circuits { count: 8, duration: Duration::from_secs(30), bytes: 0 });
        let defaults = FileConfig::default().resolve().unwrap().circuits;
        assert_eq!((defaults.count, defaults.duration.as_secs(), defaults.bytes), (1024, 600, 134_217_728));
    }

    #[test]
    fn a_bootstrap_address_without_a_peer_is_refused() {
        let file =
            FileConfig { bootstrap: Some(vec!["/ip4/127.0.0.1/tcp/1".parse().unwrap()]), ..FileConfig::default() };
        assert!(matches!(file.resolve(), Err(Error::BootstrapWithoutPeer(_))));
    }

    #[test]
    fn addresses_that_were_chosen_must_all_work_and_the_default_ones_need_not() {
        assert!(!FileConfig::default().resolve().unwrap().listen.all);
        let chosen: Multiaddr = "/ip4/127.0.0.1/tcp/1".parse().unwrap();
        let file = FileConfig { listen: Some(vec![chosen.clone()]), ..FileConfig::default() };
        assert_eq!(file.resolve().unwrap().listen, Listen { addresses: vec![chosen], all: true });
        let file = FileConfig { listen: Some(Vec::new()), ..FileConfig::default() };
        assert!(matches!(file.resolve(), Err(Error::ListenNowhere)));
    }

    #[test]
    fn a_page_that_was_not_built_is_refused_with_the_command_that_builds_it() {
        let directory = tempfile::tempdir().unwrap();
        for www in [directory.path().to_owned(), directory.path().join("gone")] {
            let error = FileConfig { www: Some(www.clone()), ..FileConfig::default() }.resolve().unwrap_err();
            let message = error.to_string();
            assert!(message.contains("cargo xtask build") && message.contains(www.to_str().unwrap()), "{message}");
        }
        std::fs::write(directory.path().join("index.html"), "").unwrap();
        let www = Some(directory.path().to_owned());
        assert_eq!(FileConfig { www: www.clone(), ..FileConfig::default() }.resolve().unwrap().www, www);
    }
}
