//! The options that JavaScript gives, checked.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use ggen_net::{P2PConfig, address};
use ggen_shared::id::Network;
use ggen_shared::limits::MAX_RESULTS;
use ggen_shared::registry;
use ggen_shared::reputation::PeerReputation;
use ggen_shared::search::query::{Filters, Order};
use libp2p::{Multiaddr, PeerId};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::error::Error;

/// Addresses to begin with: more add nothing, since further relays come from the DHT.
const MAX_RELAY_ADDRESSES: usize = 1024;
/// A multiaddr with a long name, a certificate's hash and a peer id is well below this, in bytes.
const MAX_ADDRESS_BYTES: usize = 1024;
/// Relays of earlier visits that are kept in mind: a page is connected to a few.
pub(crate) const MAX_REMEMBERED: usize = 16;

/// How to reach a relay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
pub(crate) enum Transport {
    /// WebSocket.
    #[serde(rename = "websocket")]
    WebSocket,
    /// WebRTC-direct.
    #[serde(rename = "webrtc-direct")]
    WebRtcDirect,
}

impl Transport {
    fn is_of(self, address: &Multiaddr) -> bool {
        address::Transport::of(address)
            == match self {
                Self::WebSocket => address::Transport::WebSocket,
                Self::WebRtcDirect => address::Transport::WebRtcDirect,
            }
    }
}

/// Options of the client's start.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Options {
    relays: Option<Vec<String>>,
    transports: Option<Vec<Transport>>,
    discover: Option<bool>,
    epoch_seconds: Option<f64>,
    network: Option<String>,
}

/// What to start with.
#[derive(Debug, Clone)]
pub(crate) struct Start {
    pub(crate) config: P2PConfig,
    /// Never empty, each once, best first.
    pub(crate) transports: Vec<Transport>,
    /// Each once.
    pub(crate) remembered: Vec<Known>,
}

impl Options {
    /// Checks the options. `possible` says what this browser can do here. Of relays that are remembered those are taken that can be dialed; where
    /// there is one, no other has to be named.
    ///
    /// # Errors
    /// `client/bad-options`.
    pub(crate) fn check(
        self,
        possible: impl Fn(Transport) -> bool,
        remembered: impl IntoIterator<Item = Remembered>,
    ) -> Result<Start, Error> {
        let wanted = self.transports.unwrap_or_else(|| vec![Transport::WebSocket, Transport::WebRtcDirect]);
        let mut transports = Vec::new();
        for transport in wanted.into_iter().filter(|transport| possible(*transport)) {
            if !transports.contains(&transport) {
                transports.push(transport);
            }
        }
        if transports.is_empty() {
            return Err(Error::bad_options("none of the transports is possible in this browser, or here in it"));
        }
        let mut known: Vec<Known> = Vec::new();
        for relay in remembered.into_iter().take(MAX_REMEMBERED).filter_map(|it| it.read(&transports)) {
            if known.iter().all(|other| other.peer != relay.peer) {
                known.push(relay);
            }
        }
        let relays = match self.relays {
            Some(relays) if relays.is_empty() && !known.is_empty() => Vec::new(),
            given => relays(&given.unwrap_or_default(), &transports)?,
        };
        let epoch = match self.epoch_seconds {
            None => P2PConfig::default().epoch,
            Some(seconds) => Duration::try_from_secs_f64(seconds)
                .ok()
                .filter(|epoch| !epoch.is_zero())
                .ok_or_else(|| Error::bad_options("epochSeconds is no length of time"))?,
        };
        let network = self.network.map_or_else(|| Ok(Network::main()), Network::named);
        let config = P2PConfig {
            network: network.map_err(|error| Error::bad_options(format!("network: {error}")))?,
            epoch,
            relays,
            remembered: known.iter().map(|relay| relay.address.clone()).collect(),
            discover: self.discover.unwrap_or(true),
            agent: concat!(env!("CARGO_PKG_NAME"), "/", env!("CARGO_PKG_VERSION")).into(),
            ..P2PConfig::default()
        };
        Ok(Start { config, transports, remembered: known })
    }
}

/// The addresses that these transports can dial, those of the best transport first. A relay names its TCP and QUIC
/// addresses too, so what cannot be dialed from here is left out; that nothing remains is an error.
pub(crate) fn relays(texts: &[String], transports: &[Transport]) -> Result<Vec<Multiaddr>, Error> {
    if texts.len() > MAX_RELAY_ADDRESSES {
        return Err(Error::bad_options(format!("relays has more than {MAX_RELAY_ADDRESSES} addresses")));
    }
    let addresses = texts.iter().map(|text| relay(text)).collect::<Result<Vec<_>, _>>()?;
    let of = |transport: Transport| addresses.iter().filter(move |address| transport.is_of(address));
    let dialable: Vec<Multiaddr> = transports.iter().copied().flat_map(of).cloned().collect();
    if dialable.is_empty() {
        return Err(Error::bad_options("relays has no address that the transports can dial"));
    }
    Ok(dialable)
}

fn relay(text: &str) -> Result<Multiaddr, Error> {
    // The length is checked first, so that neither reading nor repeating a long text costs anything.
    if text.len() > MAX_ADDRESS_BYTES {
        return Err(Error::bad_options(format!("relays has an address of more than {MAX_ADDRESS_BYTES} bytes")));
    }
    let address: Multiaddr =
        text.parse().map_err(|_| Error::bad_options(format!("relays has what is no multiaddr: {text}")))?;
    if address::split_peer(&address).is_none() {
        return Err(Error::bad_options(format!("relays has an address that does not end in /p2p/<peer id>: {text}")));
    }
    if address::is_unspecified(&address) {
        return Err(Error::bad_options(format!("relays has an address that names no host: {text}")));
    }
    Ok(address)
}

/// A relay that served at an earlier visit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Remembered {
    address: String,
    reputation: PeerReputation,
}

impl Remembered {
    /// Where a relay is, and what is thought of it.
    pub(crate) fn new(address: &Multiaddr, reputation: PeerReputation) -> Self {
        Self { address: address.to_string(), reputation }
    }

    /// Who and where it is, and what was thought of it; None when nobody could dial it from here by these transports.
    fn read(self, transports: &[Transport]) -> Option<Known> {
        let address = relay(&self.address).ok().filter(|address| transports.iter().any(|it| it.is_of(address)))?;
        Some(Known { peer: address::split_peer(&address)?.0, address, reputation: self.reputation })
    }
}

/// A relay that served at an earlier visit, and can be dialed.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) peer: PeerId,
    pub(crate) address: Multiaddr,
    pub(crate) reputation: PeerReputation,
}

/// Options of a search.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(crate) struct SearchOptions {
    limit: Option<f64>,
    cursor: Option<String>,
    #[serde(default)]
    filters: SearchFilters,
    order: Option<Order>,
    /// Whether somebody types it.
    #[serde(default)]
    pub(crate) typing: bool,
}

/// What packages have to be besides. Publishers and packages are named as the page knows them.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct SearchFilters {
    category: Option<String>,
    license: Option<String>,
    publisher: Option<String>,
    keyword: Option<String>,
}

impl TryFrom<SearchOptions> for registry::SearchOptions {
    type Error = Error;

    fn try_from(options: SearchOptions) -> Result<Self, Error> {
        let mut checked = Self::default();
        if let Some(limit) = options.limit {
            checked.limit = whole(limit)
                .and_then(|limit| u16::try_from(limit).ok())
                .filter(|limit| (1..=MAX_RESULTS).contains(&usize::from(*limit)))
                .ok_or_else(|| Error::bad_options(format!("limit is a whole number from 1 to {MAX_RESULTS}")))?;
        }
        if let Some(cursor) = options.cursor {
            let bytes = BASE64URL_NOPAD.decode(cursor.as_bytes()).map_err(|_| Error::bad_cursor())?;
            checked.cursor = Some(ByteBuf::from(bytes));
        }
        let SearchFilters { category, license, publisher, keyword } = options.filters;
        let publisher = publisher.map(|id| id.parse()).transpose().map_err(Error::invalid_name)?;
        checked.filters = Filters { category, license, publisher, keyword, depends_on: None };
        checked.order = options.order.unwrap_or_default();
        Ok(checked)
    }
}

/// The number, if it is a whole one that JavaScript holds exactly.
pub(crate) fn whole(number: f64) -> Option<u64> {
    const MAX_SAFE_INTEGER: f64 = 9_007_199_254_740_991.0;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked to be exact")]
    ((0.0..=MAX_SAFE_INTEGER).contains(&number) && number.fract() == 0.0).then_some(number as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const PEER: &str = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN";

    fn options(relays: &[&str], transports: Option<Vec<Transport>>) -> Options {
        let relays = relays.iter().map(|address| format!("{address}/p2p/{PEER}")).collect();
        Options { relays: Some(relays), transports, discover: None, epoch_seconds: None, network: None }
    }

    fn code(options: Options) -> &'static str {
        options.check(|_| true, None).expect_err("must be refused").code
    }

    #[test]
    fn keeps_what_can_be_dialed_best_transport_first() {
        let all = ["/ip4/1.2.3.4/tcp/1", "/ip4/1.2.3.4/tcp/2/ws", "/ip4/1.2.3.4/udp/3/webrtc-direct"];
        let order = |transports| {
            let start = options(&all, Some(transports)).check(|_| true, None).expect("valid");
            start.config.relays.iter().map(|address| address.to_string()).collect::<Vec<_>>()
        };
        let ws = format!("/ip4/1.2.3.4/tcp/2/ws/p2p/{PEER}");
        let webrtc = format!("/ip4/1.2.3.4/udp/3/webrtc-direct/p2p/{PEER}");
        assert_eq!(order(vec![Transport::WebSocket, Transport::WebRtcDirect]), [ws.clone(), webrtc.clone()]);
        assert_eq!(order(vec![Transport::WebRtcDirect, Transport::WebSocket]), [webrtc, ws.clone()]);
        assert_eq!(order(vec![Transport::WebSocket, Transport::WebSocket]), [ws]);
    }

    #[test]
    fn a_network_of_its_own_is_named() {
        let named = |name: Option<String>| {
            Options { network: name, ..options(&["/ip4/1.2.3.4/tcp/2/ws"], None) }.check(|_| true, None)
        };
        assert_eq!(named(None).expect("valid").config.network, Network::main());
        assert_eq!(named(Some("ours".into())).expect("valid").config.network.as_str(), "ours");
        for name in [String::new(), "x".repeat(1000)] {
            assert_eq!(named(Some(name)).expect_err("is none").code, "client/bad-options");
        }
    }

    #[test]
    fn leaves_out_a_transport_that_is_not_possible_here() {
        let both = ["/ip4/1.2.3.4/udp/3/webrtc-direct", "/ip4/1.2.3.4/tcp/2/ws"];
        let start = options(&both, None).check(|transport| transport == Transport::WebSocket, None).expect("valid");
        assert_eq!(start.transports, [Transport::WebSocket]);
        assert_eq!(start.config.relays.len(), 1);
    }

    #[test]
    fn refuses_options_that_lead_nowhere() {
        assert_eq!(code(Options::default()), "client/bad-options");
        assert_eq!(code(options(&["/ip4/1.2.3.4/tcp/1"], None)), "client/bad-options");
        assert_eq!(code(options(&["/ip4/0.0.0.0/tcp/1/ws"], None)), "client/bad-options");
        assert_eq!(code(options(&["/ip4/1.2.3.4/tcp/1/ws"], Some(Vec::new()))), "client/bad-options");
        for text in ["", "nonsense", "/ip4/1.2.3.4/tcp/1/ws", &"/".repeat(MAX_ADDRESS_BYTES + 1)] {
            let relays = Some(vec![text.to_owned()]);
            assert_eq!(code(Options { relays, ..Options::default() }), "client/bad-options", "{text}");
        }
        let many = vec!["/ip4/1.2.3.4/tcp/1/ws"; MAX_RELAY_ADDRESSES + 1];
        assert_eq!(code(options(&many, None)), "client/bad-options");
    }

    #[test]
    fn of_what_is_remembered_only_what_can_be_dialed_is_taken_and_is_enough() {
        let start = |addresses: &[&str]| {
            let of = |address: &&str| Remembered {
                address: format!("{address}/p2p/{PEER}"),
                reputation: PeerReputation::new(),
            };
            options(&[], Some(vec![Transport::WebSocket])).check(|_| true, addresses.iter().map(of))
        };
        let webrtc = "/ip4/1.2.3.4/udp/1/webrtc-direct";
        let bad = [webrtc, "/ip4/1.2.3.4/tcp/1", "/ip4/0.0.0.0/tcp/1/ws", "nonsense"];
        assert_eq!(start(&bad).expect_err("none of it is of use").code, "client/bad-options");
        let ws = ["/ip4/1.2.3.4/tcp/1/ws", "/ip4/1.2.3.4/tcp/2/ws"];
        let start = start(&[&bad[..], &ws].concat()).expect("one is enough");
        assert_eq!(start.config.remembered.len(), 1, "of one peer");
        assert!(start.config.relays.is_empty(), "it is not one that was named");
    }

    #[test]
    fn a_search_has_a_limit_in_range_and_a_cursor_of_ours() {
        let check = |limit, cursor: Option<&str>| {
            registry::SearchOptions::try_from(SearchOptions {
                limit,
                cursor: cursor.map(Into::into),
                ..SearchOptions::default()
            })
            .map_err(|error| error.code)
        };
        assert_eq!(check(None, None), Ok(registry::SearchOptions::default()));
        assert_eq!(check(Some(50.0), None).map(|options| options.limit), Ok(50));
        for limit in [0.0, 51.0, 1.5, -1.0, 65537.0, f64::NAN, f64::INFINITY] {
            assert_eq!(check(Some(limit), None), Err("client/bad-options"), "{limit}");
        }
        assert_eq!(check(None, Some("AQI")).map(|options| options.cursor), Ok(Some(ByteBuf::from([1, 2]))));
        assert_eq!(check(None, Some("not base64!")), Err("query/bad-cursor"));
    }
}
