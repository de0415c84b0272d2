//! The harness of tests that cross crates: it starts real relays on loopback, and real peers that talk to them.

pub mod attack;
pub mod conformance;
pub mod converge;
pub mod dht;
pub mod drill;
pub mod http;
pub mod install;
pub mod liar;
mod listening;
pub mod pretender;
pub mod process;
pub mod provider;
pub mod relays;
pub mod terminal;

use std::path::{Path, PathBuf};
use std::time::Duration;

use ed25519_dalek::SigningKey;
use futures::StreamExt;
use futures::channel::mpsc;
use ggen_net::P2PConfig;
use ggen_net::light::{Event, LightPeer};
use ggen_relay::config::Circuits;
use ggen_relay::market::keys::PublisherKey;
use ggen_relay::market::peer::{self, Tokio};
use ggen_relay::{Config, Relay};
use ggen_shared::codec;
use ggen_shared::content::{self, Dag};
use ggen_shared::id::{Handle, KeyCommitment, Network, PackageId, PublicKey, PublisherId, RecordId};
use ggen_shared::limits::KEPT_PER_PAGE;
use ggen_shared::protocol::publish::{Offer, Receipt};
use ggen_shared::record::{
    Content, Dependency, Inception, KeepPage, KeyLog, RecordBytes, Release, Rotation, State, Status, Verified, Work,
    sign, sign_unknown,
};
use ggen_shared::rules::Schedule;
use libp2p::{Multiaddr, PeerId};
use serde::Serialize;
use serde_bytes::ByteBuf;
use tempfile::TempDir;

/// How long any single event may take. Far more than it needs: a slow machine is no failure, silence is.
pub const DEADLINE: Duration = Duration::from_secs(30);

/// Waits for an event, and fails the test with its name when it does not come.
///
/// # Panics
/// After [`DEADLINE`].
pub async fn within<T>(what: &str, work: impl Future<Output = T>) -> T {
    tokio::time::timeout(DEADLINE, work).await.unwrap_or_else(|_| panic!("{what}: not within {DEADLINE:?}"))
}

/// Asks again until the answer is there: for what another peer makes true, with no event of ours. Yields in between.
///
/// # Panics
/// After [`DEADLINE`].
pub async fn until<T, F: Future<Output = Option<T>>>(what: &str, mut probe: impl FnMut() -> F) -> T {
    within(what, async {
        let mut pause = tokio::time::interval(Duration::from_millis(20));
        loop {
            pause.tick().await;
            if let Some(found) = probe().await {
                return found;
            }
        }
    })
    .await
}

/// A relay in this process, with a data directory of its own that is removed at the end.
pub struct TestRelay {
    relay: Option<Relay>,
    epoch: Duration,
    directory: TempDir,
}

impl TestRelay {
    /// Starts a relay on loopback, joined to others.
    ///
    /// # Panics
    /// When it does not start.
    pub async fn start(bootstrap: &[&Self]) -> Self {
        show_logs();
        let bootstrap = bootstrap.iter().map(|relay| relay.address("/tcp/", false)).collect();
        let directory = tempfile::tempdir().expect("a temporary directory");
        let relay = Relay::start(config(directory.path(), bootstrap)).await.expect("the relay starts");
        Self { relay: Some(relay), epoch: EPOCH, directory }
    }

    /// The running relay.
    ///
    /// # Panics
    /// After [`Self::stop`].
    pub fn relay(&self) -> &Relay {
        self.relay.as_ref().expect("the relay was not stopped")
    }

    /// Who it is.
    pub fn peer_id(&self) -> PeerId {
        self.relay().peer_id()
    }

    /// How long its epochs are.
    pub const fn epoch(&self) -> Duration {
        self.epoch
    }

    /// Its data directory.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// One of its addresses, by a part of it; `websocket` chooses between TCP as such and WebSocket.
    ///
    /// # Panics
    /// When it has none.
    pub fn address(&self, part: &str, websocket: bool) -> Multiaddr {
        let addresses = self.relay().addresses();
        let mut found = addresses.into_iter().filter(|address| address.to_string().contains(part));
        found.find(|address| address.to_string().contains("/ws") == websocket).expect("the relay listens there")
    }

    /// Stops it for good.
    pub async fn stop(&mut self) {
        if let Some(relay) = self.relay.take() {
            relay.stop().await;
        }
    }
}

/// Shows what `RUST_LOG` asks for, beside the test that wrote it.
fn show_logs() {
    let filter = tracing_subscriber::EnvFilter::from_default_env();
    // Another test of this process has set it up when this fails.
    _ = tracing_subscriber::fmt().with_env_filter(filter).with_test_writer().with_ansi(false).try_init();
}

/// The configuration of a relay on loopback, every port chosen by the system.
pub fn config(directory: &Path, bootstrap: Vec<Multiaddr>) -> Config {
    let listen = ["tcp/0", "udp/0/quic-v1", "tcp/0/ws", "udp/0/webrtc-direct"];
    Config {
        epoch: EPOCH,
        rules: Schedule::default(),
        upnp: false,
        circuits: Circuits::default(),
        sync: true,
        data_dir: directory.into(),
        listen: listen.iter().map(|end| format!("/ip4/127.0.0.1/{end}").parse().expect("a multiaddr")).collect(),
        bootstrap,
        http: None,
        external: Vec::new(),
        www: None,
        network: network(),
    }
}

/// How long an epoch of the network of tests is: long enough that two relays are in the same one most of the time.
pub const EPOCH: std::time::Duration = std::time::Duration::from_secs(1);

/// The network of tests: records of it count nowhere else.
pub fn network() -> Network {
    Network::named("test").expect("a short name")
}

/// A light peer in this process, with its events.
pub struct TestPeer {
    /// The handle.
    pub peer: LightPeer<Tokio>,
    /// What happens.
    pub events: mpsc::Receiver<Event>,
}

impl TestPeer {
    /// Starts a light peer that knows these relays, and waits until it is connected to them.
    pub async fn start(relays: &[&TestRelay]) -> Self {
        Self::start_with(relays, false).await
    }

    /// As [`Self::start`]; `discover`: whether it looks for further relays in the DHT.
    ///
    /// # Panics
    /// When it can't start or connect.
    pub async fn start_with(relays: &[&TestRelay], discover: bool) -> Self {
        let config = P2PConfig {
            network: network(),
            epoch: relays.first().map_or(EPOCH, |relay| relay.epoch),
            relays: relays.iter().map(|relay| relay.address("/tcp/", false)).collect(),
            discover,
            ..P2PConfig::default()
        };
        let (peer, events) = peer::start(config).expect("the system's DNS configuration can be read");
        let mut started = Self { peer, events };
        started.connected(relays.len()).await;
        started
    }

    /// Waits until so many relays are connected.
    pub async fn connected(&mut self, count: usize) {
        until("connections", || async { (self.peer.connected().len() >= count).then_some(()) }).await;
    }

    /// The next announcement that verified.
    ///
    /// # Panics
    /// When none comes.
    pub async fn announced(&mut self) -> Verified<Release> {
        within("an announcement", async {
            loop {
                match self.events.next().await {
                    Some(Event::Announced { release, .. }) => return *release,
                    Some(_) => {}
                    None => panic!("the peer ended"),
                }
            }
        })
        .await
    }
}

/// A publisher with a key that follows from a number, so that a failure can be looked at again.
pub struct Publisher {
    /// Signs.
    pub signing: SigningKey,
    /// The key log.
    pub key_log: KeyLog,
    network: Network,
    next_index: u32,
}

/// The key that is committed to beside one in force that so many rotations came before.
fn key_after(key: &SigningKey, rotations: usize) -> SigningKey {
    let mask = 0xff_u8.wrapping_sub(u8::try_from(rotations).expect("a test rotates a few times"));
    SigningKey::from_bytes(&key.to_bytes().map(|byte| byte ^ mask))
}

/// The key that the rotation of this number, counted from one, puts in force by revealing another.
fn key_by(revealed: &SigningKey, rotation: usize) -> SigningKey {
    let mut bytes = revealed.to_bytes();
    // Each rotation has a byte of its own, so that no key comes back.
    bytes[rotation] ^= 0x55;
    SigningKey::from_bytes(&bytes)
}

/// A signed release with its content.
#[derive(Clone)]
pub struct Package {
    /// The release.
    pub release: Verified<Release>,
    /// Its artifact.
    pub artifact: Dag,
    /// What to offer to a relay.
    pub offer: Offer,
}

impl Publisher {
    /// The publisher of a number.
    ///
    /// # Panics
    /// Never: the fields are valid.
    pub fn new(number: u8) -> Self {
        Self::of_network(number, network())
    }

    /// The publisher of a number in another network.
    ///
    /// # Panics
    /// Never: the fields are valid.
    pub fn of_network(number: u8, network: Network) -> Self {
        let signing = SigningKey::from_bytes(&[number; 32]);
        let next = key_after(&signing, 0);
        let public = |key: &SigningKey| PublicKey::from_bytes(key.verifying_key().to_bytes());
        let inception = Inception {
            handle: Handle::new(format!("publisher-{number}")).expect("a valid handle"),
            key: public(&signing),
            next: KeyCommitment::to_key(&public(&next)),
            work: Work::NONE,
        };
        let inception = sign(inception.proven_for(&network), &signing, &network).expect("a valid inception");
        Self { key_log: KeyLog::new(inception), signing, network, next_index: 0 }
    }

    /// Who has the key of a file, and signs from this index on.
    pub fn with_key(key: PublisherKey, next_index: u32) -> Self {
        let PublisherKey { signing, key_log, network, .. } = key;
        Self { signing, key_log, network, next_index }
    }

    /// Signs a release of a package whose artifact is `content`.
    ///
    /// # Panics
    /// When the fields are not valid.
    pub fn release(&mut self, name: &str, version: &str, description: &str, content: &[u8]) -> Package {
        self.release_with(name, version, content, |release| release.description = description.into())
    }

    /// Says something in a record of a kind that nobody knows.
    ///
    /// # Panics
    /// When it is the number of a known kind.
    pub fn unknown(&mut self, kind: u8, says: &str) -> Offer {
        #[derive(Serialize)]
        struct Says<'a> {
            publisher: PublisherId,
            signed_under: RecordId,
            index: u32,
            says: &'a str,
        }
        let (publisher, signed_under) = (self.key_log.publisher(), self.key_log.head());
        let payload = codec::encode(&Says { publisher, signed_under, index: self.next_index, says });
        self.next_index += 1;
        let record = sign_unknown(kind, payload, &self.signing, &self.network).expect("an unknown kind");
        self.offer([record.bytes()])
    }

    /// Says that a version is yanked.
    ///
    /// # Panics
    /// When the fields are not valid.
    pub fn yank(&mut self, name: &str, version: &str) -> Offer {
        self.status(name, version, 1, State::Yanked)
    }

    /// Says what a version is good for.
    ///
    /// # Panics
    /// When the fields are not valid.
    pub fn status(&mut self, name: &str, version: &str, seq: u64, state: State) -> Offer {
        let status = self.signed_status(name, version, seq, state);
        self.offer([status.bytes()])
    }

    /// As [`Self::status`], but for the offer.
    ///
    /// # Panics
    /// When the fields are not valid.
    pub fn signed_status(&mut self, name: &str, version: &str, seq: u64, state: State) -> Verified<Status> {
        let status = Status {
            publisher: self.key_log.publisher(),
            signed_under: self.key_log.head(),
            index: self.next_index,
            name: name.parse().expect("a package name"),
            version: version.parse().expect("a version"),
            seq,
            state,
            reason: "broken".into(),
            instead: None,
        };
        self.next_index += 1;
        sign(status, &self.signing, &self.network).expect("a valid status")
    }

    /// Rotates the key away, and keeps nothing of what it signed.
    ///
    /// # Panics
    /// Never: the fields are valid.
    pub fn rotate_away(&self) -> Offer {
        let (pages, rotation) = self.rotation(&[]);
        self.offer(pages.iter().map(Verified::bytes).chain([rotation.bytes()]))
    }

    /// Rotates by the next key to a fresh one, which signs from now on, and keeps these records of the key before it. What to offer: the
    /// pages, then the rotation.
    ///
    /// # Panics
    /// Never: the fields are valid.
    pub fn rotate(&mut self, keep: &[RecordId]) -> Offer {
        let (signing, (pages, rotation)) = (self.fresh_key(), self.rotation(keep));
        let offer = self.offer(pages.iter().map(Verified::bytes).chain([rotation.bytes()]));
        _ = self.key_log.follow(rotation).expect("it follows the last event");
        for page in pages {
            _ = self.key_log.add_page(page).expect("the rotation names it");
        }
        self.signing = signing;
        offer
    }

    /// Somebody who has the key in force, and no other, and goes on where its owner is.
    pub fn stolen(&self) -> Self {
        let Self { signing, key_log, network, next_index } = self;
        Self { signing: signing.clone(), key_log: key_log.clone(), network: network.clone(), next_index: *next_index }
    }

    /// A package of this publisher.
    ///
    /// # Panics
    /// When it is no name.
    pub fn package(&self, name: &str) -> PackageId {
        PackageId { publisher: self.key_log.publisher(), name: name.parse().expect("a package name") }
    }

    /// What a thief of the key in force can make of a rotation: it reveals that key, which nothing has committed to.
    ///
    /// # Panics
    /// Never: the fields are valid.
    pub fn rotation_revealing_the_key_in_force(&self) -> Offer {
        let public = |key: &SigningKey| PublicKey::from_bytes(key.verifying_key().to_bytes());
        let fresh = self.fresh_key();
        let rotation = Rotation {
            publisher: self.key_log.publisher(),
            prev: self.key_log.head(),
            revealed: public(&self.signing),
            key: public(&fresh),
            next: KeyCommitment::to_key(&public(&self.next_key())),
            pages: Vec::new(),
        };
        let rotation = sign(rotation, &self.signing, &self.network).expect("a valid rotation");
        self.offer([rotation.bytes()])
    }

    /// The key that the one in force has committed to.
    fn next_key(&self) -> SigningKey {
        key_after(&self.signing, self.key_log.rotations().count())
    }

    /// The key that the next rotation puts in force.
    fn fresh_key(&self) -> SigningKey {
        key_by(&self.next_key(), self.key_log.rotations().count() + 1)
    }

    fn rotation(&self, keep: &[RecordId]) -> (Vec<Verified<KeepPage>>, Verified<Rotation>) {
        let public = |key: &SigningKey| PublicKey::from_bytes(key.verifying_key().to_bytes());
        let (publisher, prev) = (self.key_log.publisher(), self.key_log.head());
        let (revealing, signing) = (self.next_key(), self.fresh_key());
        let (revealed, key) = (public(&revealing), public(&signing));
        let mut keep = keep.to_vec();
        keep.sort();
        let page = |keep: &[RecordId]| {
            let page = KeepPage { publisher, prev, revealed, keep: keep.to_vec() };
            sign(page, &revealing, &self.network).expect("a valid keep page")
        };
        let pages: Vec<_> = keep.chunks(KEPT_PER_PAGE).map(page).collect();
        let mut ids: Vec<_> = pages.iter().map(Verified::id).collect();
        ids.sort();
        let after = key_after(&signing, self.key_log.rotations().count() + 1);
        let next = KeyCommitment::to_key(&public(&after));
        let rotation = Rotation { publisher, prev, revealed, key, next, pages: ids };
        (pages, sign(rotation, &revealing, &self.network).expect("a valid rotation"))
    }

    /// The key log as it is now, then some records.
    fn offer<'a>(&'a self, records: impl IntoIterator<Item = &'a RecordBytes>) -> Offer {
        let records = self.key_log.events().chain(records);
        Offer { records: records.map(|bytes| ByteBuf::from(bytes.to_vec())).collect(), blocks: Vec::new() }
    }

    /// As [`Self::release`], changed before it is signed.
    ///
    /// # Panics
    /// When the fields are not valid.
    pub fn release_with(
        &mut self,
        name: &str,
        version: &str,
        content: &[u8],
        change: impl FnOnce(&mut Release),
    ) -> Package {
        let artifact = content::build(content);
        let mut release = Release {
            publisher: self.key_log.publisher(),
            signed_under: self.key_log.head(),
            index: self.next_index,
            name: name.parse().expect("a package name"),
            version: version.parse().expect("a version"),
            artifact: Content { cid: artifact.root, size: artifact.size },
            title: None,
            description: String::new(),
            readme: None,
            categories: vec!["testing".into()],
            tags: Vec::new(),
            license: Some("MIT".into()),
            authors: Vec::new(),
            homepage: None,
            repository: None,
            documentation: None,
            dependencies: Vec::new(),
            created: 1_750_000_000,
        };
        self.next_index += 1;
        change(&mut release);
        let release = sign(release, &self.signing, &self.network).expect("a valid release");
        let blocks = artifact.blocks.iter().map(|block| block.cid).collect();
        let offer = Offer { blocks, ..self.offer([release.bytes()]) };
        Package { release, artifact, offer }
    }
}

/// Hands records without content to one relay, through a peer of its own.
///
/// # Panics
/// When the relay does not take them.
pub async fn offer_to(relay: &TestRelay, offer: &Offer) -> Receipt {
    let peer = TestPeer::start(&[relay]).await;
    within("the receipt", peer.peer.publish(relay.peer_id(), offer, |_| None)).await.expect("the relay takes it")
}

/// A dependency on any version of a package.
pub fn depends_on(package: &PackageId) -> Dependency {
    Dependency {
        publisher: Some(package.publisher),
        name: package.name.clone(),
        requirement: "*".into(),
        optional: false,
    }
}

impl Package {
    /// Hands the package to a relay.
    ///
    /// # Errors
    /// What the relay or the network says.
    pub async fn publish(&self, peer: &TestPeer, relay: PeerId) -> Result<Receipt, ggen_net::light::AskError> {
        let block = |cid: &ggen_shared::record::ContentId| {
            self.artifact.blocks.iter().find(|block| block.cid == *cid).map(|block| block.data.clone())
        };
        peer.peer.publish(relay, &self.offer, block).await
    }

    /// Hands it to one relay through a peer of its own.
    ///
    /// # Panics
    /// When the relay does not keep it.
    pub async fn publish_at(&self, relay: &TestRelay) {
        let peer = TestPeer::start(&[relay]).await;
        let receipt = within("the receipt", self.publish(&peer, relay.peer_id())).await.expect("the relay takes it");
        assert!(receipt.kept.contains(&self.release.id()));
    }
}

/// A program of this workspace, as cargo built it beside the running test or program.
///
/// # Panics
/// When it was not built: the runner builds the whole workspace first.
pub fn program(name: &str) -> PathBuf {
    let own = std::env::current_exe().expect("the path of the running program");
    // A program is in target/<profile>, a test in target/<profile>/deps.
    let programs = own.ancestors().skip(1).take(2).map(|directory| directory.join(name));
    let there = programs.clone().find(|program| program.exists());
    there.unwrap_or_else(|| panic!("{name} was not built beside {}: run cargo build --workspace", own.display()))
}
