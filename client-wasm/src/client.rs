//! The class that JavaScript uses.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::time::Duration;

use futures::channel::{mpsc, oneshot};
use futures::future::{Either, select};
use futures::{StreamExt, pin_mut};
use ggen_net::light::{self, Event, LightPeer, Phase, Platform};
use ggen_net::{News, P2PRegistry};
use ggen_shared::client::Evidence;
use ggen_shared::id::PackageId;
use ggen_shared::record::{Content, ContentId, Version};
use ggen_shared::registry::{self, GetError, PackageView, Registry, ReleaseView, SearchResults};
use ggen_shared::reputation::UNKNOWN_SCORE;
use js_sys::{Function, Uint8Array};
use libp2p::identity::Keypair;
use libp2p::{Multiaddr, PeerId};
use serde_bytes::ByteBuf;
use wasm_bindgen::JsValue;
use wasm_bindgen::prelude::wasm_bindgen;

use crate::error::Error;
use crate::gateways::{Gateways, JsGateways};
use crate::js::{options, report, to_js, to_js_at_once};
use crate::kept::{Kept, KeptBlocks};
use crate::names::Meant;
use crate::options::{Known, MAX_REMEMBERED, Options, Remembered, SearchOptions, Transport, relays, whole};
use crate::platform::Browser;
use crate::{transport, view};

/// How long a question waits for a relay that is being dialed.
const DIALING_PATIENCE: Duration = Duration::from_secs(10);
/// How long a question waits when every dial has failed and the next one is yet to come.
const FAILED_PATIENCE: Duration = Duration::from_secs(2);

/// A light client of the marketplace. `js/src/types.ts` declares its methods as `RawClient` and says what they give and
/// throw.
#[wasm_bindgen]
pub struct Client {
    registry: P2PRegistry<Browser>,
    changes: Changes,
    closed: Cell<bool>,
    transports: Vec<Transport>,
    /// Relays of earlier visits.
    remembered: Vec<Known>,
    /// The last first page, to compare with what other relays commit to.
    shown: RefCell<Option<Shown>>,
    /// Searches that were asked for.
    asked: Cell<u64>,
}

/// A page that was answered, and what it answers.
#[derive(Clone)]
struct Shown {
    /// Which one it is of all that were asked for.
    number: u64,
    query: String,
    options: registry::SearchOptions,
    results: SearchResults,
}

#[wasm_bindgen]
impl Client {
    /// Begins to connect. `remembered` has what [`Self::remembered`] gave at an earlier visit; what of it can't be read is left out. `on_event` is called
    /// with a `MarketEvent`; what it throws is reported and changes nothing.
    pub async fn start(given: JsValue, remembered: Vec<JsValue>, on_event: Function) -> Result<Self, Error> {
        let remembered = remembered.into_iter().filter_map(|relay| serde_wasm_bindgen::from_value(relay).ok());
        let start = options::<Options>(given)?.check(transport::possible, remembered)?;
        // A peer id for this visit only: nothing that follows a person around.
        let keypair = Keypair::generate_ed25519();
        let transports = transport::of(&keypair, &start.transports);
        let (peer, events) = light::start(&keypair, transports, &Browser, start.config);
        // Before anything is dialed.
        peer.remember(start.remembered.iter().map(|relay| (relay.peer, relay.reputation)));
        let registry = P2PRegistry::new(peer);
        let mut news = registry.news(events);
        // The first event says that the relays are being dialed: before it, a question would find none at all.
        let first = news.next().await;
        let changes = Changes::default();
        Browser.spawn(tell(first, news, on_event, changes.clone()));
        registry.keep_auditing(entropy);
        let (closed, shown, asked) = Default::default();
        Ok(Self { registry, changes, closed, transports: start.transports, remembered: start.remembered, shown, asked })
    }

    /// `Promise<SearchAnswer>`.
    pub async fn search(&self, query: String, given: JsValue) -> Result<JsValue, Error> {
        let given = options::<SearchOptions>(given)?;
        let typing = given.typing;
        let options: registry::SearchOptions = given.try_into()?;
        let number = self.asked.get() + 1;
        self.asked.set(number);
        let registry = self.registry().await?;
        let results = match typing {
            true => registry.search_typed(&query, options.clone()).await?,
            false => registry.search(&query, options.clone()).await?,
        };
        // An answer that comes late takes the place of none that was asked for behind it.
        let is_newer = self.shown.borrow().as_ref().is_none_or(|shown| shown.number < number);
        if options.cursor.is_none() && is_newer {
            self.shown.replace(Some(Shown { number, query: query.clone(), options, results: results.clone() }));
        }
        to_js_at_once(&view::SearchAnswer::new(query, results))
    }

    /// `Promise<SearchAnswer>` of the packages that depend on one.
    pub async fn dependents(&self, full_name: String, given: JsValue) -> Result<JsValue, Error> {
        let options: registry::SearchOptions = options::<SearchOptions>(given)?.try_into()?;
        let meant: Meant = full_name.parse()?;
        // A fingerprint is a part of the publisher's id, and dependents name all of it.
        let publisher = match meant.publisher {
            Some(publisher) => publisher,
            None => self.package(&full_name).await?.release.publisher.id,
        };
        let package = PackageId { publisher, name: meant.full_name.name };
        let results = self.registry().await?.dependents(&package, options).await?;
        to_js_at_once(&view::SearchAnswer::new(String::new(), results))
    }

    /// `Promise<Comparison>`, of the first page of this query, if it was the last one asked for.
    pub async fn compare(&self, query: String) -> Result<JsValue, Error> {
        let shown = self.shown.borrow().clone().filter(|shown| shown.query == query);
        let shown = shown.ok_or_else(|| Error::bad_options("only the last answer can be compared"))?;
        let comparison = self.registry().await?.compare(&query, &shown.options, &shown.results).await;
        to_js(&view::Comparison::from(comparison))
    }

    /// `Promise<Fault | undefined>`, of one of the connected relays.
    pub async fn audit(&self, relay: String) -> Result<JsValue, Error> {
        let relay = relay.parse().map_err(|_| Error::bad_options("the relay is not a peer id"))?;
        let found = self.registry().await?.audit(relay, entropy()).await;
        match found.map_err(registry::GetError::Peer)? {
            Some(evidence) => to_js(&view::Fault::from(&evidence)),
            None => Ok(JsValue::UNDEFINED),
        }
    }

    /// `Audits`.
    pub fn audits(&self) -> Result<JsValue, Error> {
        to_js(&view::Audits::from(self.open()?.audits()))
    }

    /// `Fault[]`: evidence against relays, found here or by others; the last pieces.
    pub fn evidence(&self) -> Result<JsValue, Error> {
        to_js(&self.open()?.evidence().iter().map(view::Fault::from).collect::<Vec<_>>())
    }

    /// `Fault`: what evidence shows that somebody else found.
    #[wasm_bindgen(js_name = checkEvidence)]
    pub fn check_evidence(&self, evidence: &[u8]) -> Result<JsValue, Error> {
        let registry = self.open()?;
        let peer = registry.peer();
        let evidence = Evidence::verify(evidence, peer.network(), peer.schedule()).map_err(Error::bad_evidence)?;
        to_js(&view::Fault::from(&evidence))
    }

    /// `Promise<PackageView>`.
    #[wasm_bindgen(js_name = getPackage)]
    pub async fn get_package(&self, full_name: String) -> Result<JsValue, Error> {
        to_js(&view::Package::from(self.package(&full_name).await?))
    }

    /// `Promise<PackageView>`.
    #[wasm_bindgen(js_name = getPackageVersion)]
    pub async fn get_package_version(&self, full_name: String, version: String) -> Result<JsValue, Error> {
        let meant: Meant = full_name.parse()?;
        let version: Version = version.parse().map_err(Error::invalid_name)?;
        let package = self.registry().await?.get_package_version(&meant.full_name, &version).await?;
        to_js(&view::Package::from(package))
    }

    /// `Promise<VersionList>`.
    #[wasm_bindgen(js_name = listVersions)]
    pub async fn list_versions(&self, full_name: String) -> Result<JsValue, Error> {
        let meant: Meant = full_name.parse()?;
        let versions = self.registry().await?.list_versions(&meant.full_name).await?;
        to_js(&view::Versions::from(versions))
    }

    /// `Promise<Published>`, of what is published or, with `is_retraction`, of a retraction. Blocks by their CIDs, in the same order.
    #[wasm_bindgen(js_name = handOver)]
    pub async fn hand_over(
        &self,
        records: Vec<Uint8Array>,
        cids: Vec<String>,
        blocks: Vec<Uint8Array>,
        is_retraction: bool,
    ) -> Result<JsValue, Error> {
        let block =
            |(cid, block): (&String, &Uint8Array)| Ok((cid.parse().map_err(Error::invalid_name)?, block.to_vec()));
        let blocks = cids.iter().zip(&blocks).map(block).collect::<Result<_, Error>>()?;
        let records: Vec<ByteBuf> = records.iter().map(|record| ByteBuf::from(record.to_vec())).collect();
        let publication = registry::Publication::read(&records, blocks, self.open()?.peer().network())?;
        let registry = self.registry().await?;
        let published = match is_retraction {
            true => registry.delete(&publication).await?,
            false => registry.publish(&publication).await?,
        };
        to_js(&view::Published::from(published))
    }

    /// `Promise<boolean>`.
    pub async fn exists(&self, full_name: String) -> Result<bool, Error> {
        let meant: Meant = full_name.parse()?;
        Ok(self.registry().await?.exists(&meant.full_name).await?)
    }

    /// `Promise<Release>`.
    pub async fn metadata(&self, full_name: String) -> Result<JsValue, Error> {
        to_js(&view::Release::from(self.package(&full_name).await?.release))
    }

    /// `Promise<HeadView>`.
    pub async fn head(&self, full_name: String) -> Result<JsValue, Error> {
        let meant: Meant = full_name.parse()?;
        let peer = self.registry().await?.peer();
        let publisher = match meant.publisher {
            Some(publisher) => publisher,
            None => self.package(&full_name).await?.release.publisher.id,
        };
        let package = PackageId { publisher, name: meant.full_name.name.clone() };
        let (from, key_log, release) = peer.get_head(&package).await?;
        if !meant.full_name.means(&key_log.publisher(), key_log.handle()) {
            return Err(GetError::UnknownPackage(meant.full_name).into());
        }
        let release = ReleaseView::of(&key_log, release, false);
        let from = from.map(|peer| peer.to_string()).unwrap_or_default();
        to_js(&view::Head { release: release.into(), from })
    }

    /// `Promise<void>`: all of the content is in `kept` then. `on_event`, if given, is called with a `ContentEvent`; what it throws is reported and
    /// changes nothing. What `kept` has is not fetched, if its hash is right; relays that have one of `gateways` are asked through it.
    pub async fn content(
        &self,
        cid: String,
        size: f64,
        on_event: Option<Function>,
        kept: KeptBlocks,
        gateways: JsGateways,
    ) -> Result<(), Error> {
        let cid: ContentId = cid.parse().map_err(Error::invalid_name)?;
        let size = whole(size).ok_or_else(|| Error::bad_options("size is a whole number of bytes"))?;
        let tell = |event| {
            let Some((on_event, event)) = on_event.as_ref().zip(view::ContentEvent::of(event)) else { return };
            match to_js(&event).map(|event| on_event.call1(&JsValue::NULL, &event)) {
                Ok(Ok(_)) => {}
                Ok(Err(thrown)) => report(&thrown),
                Err(error) => report(&error.into()),
            }
        };
        let peer = self.registry().await?.peer();
        Ok(peer.fetch_into(Content { cid, size }, (&Kept(kept), &Gateways::new(gateways)), tell).await?)
    }

    /// `Connection[]`.
    pub fn connections(&self) -> Result<JsValue, Error> {
        let connections = self.open()?.peer().connections();
        to_js(&connections.into_iter().map(view::Connection::from).collect::<Vec<_>>())
    }

    /// `Reputation`, of any peer.
    pub fn reputation(&self, peer: String) -> Result<JsValue, Error> {
        let peer = peer.parse().map_err(|_| Error::bad_options("it is not a peer id"))?;
        to_js(&view::Reputation::new(&self.open()?.peer().reputation(&peer), Browser.now()))
    }

    /// `RememberedRelay[]` for the next visit: the connected relays, then those of earlier visits; none that is thought worse of than of a stranger.
    pub fn remembered(&self) -> Result<JsValue, Error> {
        let (peer, now) = (self.open()?.peer(), Browser.now());
        let connected = peer.connections().into_iter().filter(light::Connection::is_connected);
        // One that was dialed without saying who is meant is meant by now.
        let connected = connected.filter_map(|it| Some((it.peer, it.address.with_p2p(it.peer).ok()?)));
        let before = self.remembered.iter().map(|relay| (relay.peer, relay.address.clone()));
        let mut relays: Vec<(PeerId, Multiaddr)> = Vec::new();
        for (id, address) in connected.chain(before) {
            let is_new = relays.iter().all(|(other, _)| *other != id);
            if is_new && relays.len() < MAX_REMEMBERED && peer.reputation(&id).score(now) >= UNKNOWN_SCORE {
                relays.push((id, address));
            }
        }
        to_js(&relays.iter().map(|(id, at)| Remembered::new(at, peer.reputation(id))).collect::<Vec<_>>())
    }

    /// Adds relays that are named later than at the start.
    #[wasm_bindgen(js_name = addRelays)]
    pub async fn add_relays(&self, addresses: Vec<String>) -> Result<(), Error> {
        let peer = self.open()?.peer();
        for address in relays(&addresses, &self.transports)? {
            peer.add_relay(address).await?;
        }
        Ok(())
    }

    /// Ends all connections. What is under way ends with an error.
    pub fn close(&self) {
        if !self.closed.replace(true) {
            let peer = self.registry.peer().clone();
            Browser.spawn(async move { peer.close().await });
        }
    }
}

impl Client {
    fn open(&self) -> Result<&P2PRegistry<Browser>, Error> {
        if self.closed.get() { Err(Error::closed()) } else { Ok(&self.registry) }
    }

    /// The registry, once a relay is connected or it makes no sense to wait longer.
    pub(crate) async fn registry(&self) -> Result<&P2PRegistry<Browser>, Error> {
        let asked = Browser.now();
        loop {
            let registry = self.open()?;
            let Some(patience) = patience(registry.peer()) else { return Ok(registry) };
            let rest = patience.saturating_sub(Browser.now().saturating_sub(asked));
            if rest.is_zero() {
                return Ok(registry);
            }
            let (change, late) = (self.changes.next(), Browser.sleep(rest));
            pin_mut!(late);
            if let Either::Right(_) = select(change, late).await {
                return self.open();
            }
        }
    }

    async fn package(&self, full_name: &str) -> Result<PackageView, Error> {
        let meant: Meant = full_name.parse()?;
        Ok(self.registry().await?.get_package(&meant.full_name).await?)
    }
}

/// Random bytes: which record an audit looks at is not for a relay to guess.
fn entropy() -> [u8; 32] {
    let mut entropy = [0; 32];
    // Without a source of randomness there is no client at all: its identity is random too.
    _ = getrandom::fill(&mut entropy);
    entropy
}

/// How long to wait for a relay; None when one is connected.
fn patience(peer: &LightPeer<Browser>) -> Option<Duration> {
    let connections = peer.connections();
    let any = |phase| connections.iter().any(|connection| connection.phase == phase);
    if any(Phase::Connected) {
        None
    } else if any(Phase::Connecting) {
        Some(DIALING_PATIENCE)
    } else {
        Some(FAILED_PATIENCE)
    }
}

/// Passes on what happens, until the peer ends.
async fn tell(first: Option<News>, rest: mpsc::Receiver<News>, on_event: Function, changes: Changes) {
    let mut all = futures::stream::iter(first).chain(rest);
    while let Some(news) = all.next().await {
        if matches!(news, News::Heard(Event::Connections(_))) {
            changes.tell();
        }
        let Some(event) = view::Event::of(news) else { continue };
        let told = to_js(&event).map(|event| on_event.call1(&JsValue::NULL, &event));
        match told {
            Ok(Ok(_)) => {}
            Ok(Err(thrown)) => report(&thrown),
            Err(error) => report(&error.into()),
        }
    }
    // Whoever waits for a relay finds out that none comes.
    changes.tell();
}

/// Lets tasks wait for the next change of the connections.
#[derive(Clone, Default)]
struct Changes(Rc<RefCell<Vec<oneshot::Sender<()>>>>);

impl Changes {
    /// Ends at the next change, also one that comes before this is awaited.
    fn next(&self) -> oneshot::Receiver<()> {
        let (sender, receiver) = oneshot::channel();
        let mut waiting = self.0.borrow_mut();
        // So that there are never more than there are questions under way.
        waiting.retain(|sender| !sender.is_canceled());
        waiting.push(sender);
        receiver
    }

    fn tell(&self) {
        let waiting = self.0.take();
        for sender in waiting {
            // Nobody waits any more when this fails.
            _ = sender.send(());
        }
    }
}

/// Says in the console what a fault in this module was; then the module traps, and JavaScript gets a `RuntimeError`.
#[wasm_bindgen(start)]
pub fn on_load() {
    std::panic::set_hook(Box::new(|panic| report(&JsValue::from(panic.to_string()))));
}
