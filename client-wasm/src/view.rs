//! What JavaScript gets: plain data in the shapes of `js/src/types.ts`, which is the contract.

use std::time::Duration;

use data_encoding::BASE64URL_NOPAD;
use ggen_net::{News, address, bitswap, light};
use ggen_shared::client::Evidence;
use ggen_shared::id::{FullName, RecordId};
use ggen_shared::merkle::Hash;
use ggen_shared::record;
use ggen_shared::registry::{self, PackageView, PublisherView, RefusedRecord, ReleaseView, SearchResults, VersionView};
use ggen_shared::reputation::PeerReputation;
use ggen_shared::search::verified::Proven;
use libp2p::PeerId;
use serde::{Serialize, Serializer};

/// A publisher, as its key log proves it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Publisher {
    id: String,
    handle: String,
    fingerprint: String,
}

/// Content that is named by its hash.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ContentRef {
    cid: String,
    size: Number,
}

/// What is told of a download.
#[derive(Debug, Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
pub(crate) enum ContentEvent {
    /// Bytes that are there and verified, of all.
    Progress { done: f64, total: f64 },
    /// A relay that is used no more for it.
    Dropped { peer: String, reason: String },
}

impl ContentEvent {
    /// None for what a page has no use for.
    pub(crate) fn of(event: bitswap::Event) -> Option<Self> {
        // Exact below 2⁵³, which the bound on artifacts is far below.
        #[allow(clippy::cast_precision_loss, reason = "see above")]
        match event {
            bitswap::Event::Progress(progress) => {
                Some(Self::Progress { done: progress.done as f64, total: progress.total as f64 })
            }
            bitswap::Event::Dropped(dropped) => {
                Some(Self::Dropped { peer: dropped.peer.to_string(), reason: dropped.reason.to_string() })
            }
            bitswap::Event::Delivered(_) | bitswap::Event::Late(_) => None,
        }
    }
}

/// A release whose signature and hash were verified here. Most of an answer is what releases say, so it is read where it lies.
#[derive(Debug)]
pub(crate) struct Release(ReleaseView);

impl Serialize for Release {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let ReleaseView { publisher, release, .. } = &self.0;
        let said = ReleaseFields {
            id: release.id().to_string(),
            publisher: publisher.into(),
            name: release.name.as_str(),
            full_name: publisher.full_name(&release.package()).to_string(),
            version: release.version.to_string(),
            title: release.title.as_deref(),
            description: &release.description,
            categories: &release.categories,
            tags: &release.tags,
            license: release.license.as_deref(),
            authors: &release.authors,
            homepage: release.homepage.as_deref(),
            repository: release.repository.as_deref(),
            documentation: release.documentation.as_deref(),
            dependencies: release.dependencies.iter().map(Into::into).collect(),
            artifact: release.artifact.into(),
            readme: release.readme.map(Into::into),
            created: number(release.created),
            signed_under: release.signed_under.to_string(),
        };
        said.serialize(serializer)
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct ReleaseFields<'a> {
    id: String,
    publisher: Publisher,
    name: &'a str,
    full_name: String,
    version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    title: Option<&'a str>,
    description: &'a str,
    categories: &'a [String],
    tags: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    license: Option<&'a str>,
    authors: &'a [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    homepage: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    repository: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    documentation: Option<&'a str>,
    dependencies: Vec<Dependency<'a>>,
    artifact: ContentRef,
    #[serde(skip_serializing_if = "Option::is_none")]
    readme: Option<ContentRef>,
    created: Number,
    signed_under: String,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Dependency<'a> {
    #[serde(skip_serializing_if = "Option::is_none")]
    publisher: Option<String>,
    name: &'a str,
    requirement: &'a str,
    optional: bool,
}

/// Why something that a peer sent was not accepted.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Refusal {
    code: &'static str,
    message: String,
    relay: String,
}

/// One row of an answer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase", tag = "status")]
enum Hit {
    #[serde(rename_all = "camelCase")]
    Verified {
        release: Box<Release>,
        in_checkpoint: bool,
        state: &'static str,
        #[serde(skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        #[serde(skip_serializing_if = "Option::is_none")]
        instead: Option<Instead>,
    },
    Refused {
        refusal: Refusal,
    },
}

/// A page of results.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SearchAnswer {
    query: String,
    hits: Vec<Hit>,
    total: Number,
    total_is_exact: bool,
    relay: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cursor: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    proof: Option<Proof>,
    suggestions: Vec<String>,
    offline: bool,
}

/// What an answer stands on.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Proof {
    epoch: Number,
    root: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    range_hash: Option<String>,
    entries: Number,
    walked: Number,
    bytes: Number,
}

/// One package.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Package {
    release: Release,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    instead: Option<Instead>,
    versions: Vec<Version>,
    missing: Number,
    refused: Vec<Refusal>,
    relay: String,
    offline: bool,
    in_checkpoint: bool,
    proof: Proof,
}

/// The versions of a package, and what is known of the list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Versions {
    versions: Vec<Version>,
    missing: Number,
    refused: Vec<Refusal>,
    relay: String,
    offline: bool,
}

/// What came of a publication.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Published {
    durable_at: Vec<String>,
    failed_at: Vec<Refusal>,
}

/// What other relays commit to, where an answer's relay commits to something.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Comparison {
    complete: bool,
    agree: Vec<String>,
    differ: Vec<Difference>,
    silent: Vec<Refusal>,
}

/// How what one relay has differs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Difference {
    relay: String,
    more: Vec<Release>,
    explained: bool,
    hidden: Vec<String>,
    excluded: Vec<Excluded>,
    lacks: Vec<String>,
    outdated: Vec<String>,
    unbacked: Number,
    faults: Vec<Fault>,
}

/// What the operator of a relay keeps off its lists.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Excluded {
    relay: String,
    release: Release,
    reason: String,
}

/// How one relay breaks the rules.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Fault {
    relay: String,
    code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<String>,
    #[serde(with = "serde_bytes")]
    evidence: Vec<u8>,
}

/// Audits up to now.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Audits {
    passed: Number,
    failed: Number,
    unfinished: Number,
}

/// The package that a publisher names in place of a deprecated one.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Instead {
    publisher: String,
    name: String,
}

/// One version in a list.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Version {
    version: String,
    id: String,
    created: Number,
    state: &'static str,
}

/// A package head from the DHT.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Head {
    pub(crate) release: Release,
    /// Peer id of the DHT server that gave it.
    pub(crate) from: String,
}

/// A relay that we are, want to be, or were connected to.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Connection {
    peer: String,
    address: String,
    transport: &'static str,
    anchor: bool,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    rtt_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
}

/// What is thought of a peer.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Reputation {
    score: f64,
    successes: f64,
    failures: f64,
    faults: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    latency_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    last_seen: Option<f64>,
}

/// What happens without being asked for.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase", tag = "type")]
pub(crate) enum Event {
    Connections {
        connections: Vec<Connection>,
    },
    Announced {
        release: Box<Release>,
    },
    #[serde(rename_all = "camelCase")]
    Rotated {
        publisher: String,
        handle: String,
        is_frozen: bool,
    },
    #[serde(rename_all = "camelCase")]
    Stated {
        full_name: String,
        version: String,
        state: &'static str,
        reason: String,
    },
    Accused {
        fault: Fault,
    },
    Refused {
        refusal: Refusal,
    },
    CaughtUp {
        found: usize,
    },
}

impl SearchAnswer {
    pub(crate) fn new(query: String, results: SearchResults) -> Self {
        let hits = results.hits.into_iter().map(|hit| match hit {
            Ok(view) => view.into(),
            Err(refused) => Hit::Refused { refusal: refused.into() },
        });
        Self {
            query,
            hits: hits.collect(),
            total: number(results.total),
            total_is_exact: results.total_is_exact,
            relay: results.source.0,
            cursor: results.cursor.map(|cursor| BASE64URL_NOPAD.encode(&cursor)),
            proof: results.proven.map(Into::into),
            suggestions: results.suggestions,
            offline: results.offline,
        }
    }
}

impl From<ReleaseView> for Hit {
    fn from(view: ReleaseView) -> Self {
        let (state, reason, instead) = said(&view);
        Self::Verified { in_checkpoint: view.in_checkpoint, state, reason, instead, release: Box::new(view.into()) }
    }
}

/// What the publisher says of the version: its state, why, and what to use instead.
fn said(view: &ReleaseView) -> (&'static str, Option<String>, Option<Instead>) {
    let status = view.status.as_deref();
    let reason = status.map(|status| status.reason.clone()).filter(|reason| !reason.is_empty());
    let instead = status.and_then(|status| status.instead.as_ref());
    let instead =
        instead.map(|package| Instead { publisher: package.publisher.to_string(), name: package.name.to_string() });
    (view.state.unwrap_or_default().as_str(), reason, instead)
}

impl From<Proven> for Proof {
    fn from(proven: Proven) -> Self {
        Self {
            epoch: number(proven.checkpoint.epoch),
            root: Hash::from(proven.checkpoint.root).to_string(),
            range_hash: proven.hash.map(|hash| hash.to_string()),
            entries: number(proven.total),
            walked: number(proven.walked),
            bytes: number(proven.bytes as u64),
        }
    }
}

impl From<ggen_net::Comparison> for Comparison {
    fn from(comparison: ggen_net::Comparison) -> Self {
        let ids = |ids: Vec<RecordId>| ids.iter().map(ToString::to_string).collect();
        Self {
            complete: comparison.is_complete(),
            agree: comparison.agree.into_iter().map(|source| source.0).collect(),
            differ: comparison
                .differ
                .into_iter()
                .map(|difference| Difference {
                    explained: difference.is_explained(),
                    relay: difference.source.0,
                    excluded: difference.excluded.into_iter().map(Into::into).collect(),
                    more: difference.more.into_iter().map(Into::into).collect(),
                    hidden: ids(difference.hidden),
                    lacks: ids(difference.lacks),
                    outdated: ids(difference.outdated),
                    unbacked: number(difference.unbacked as u64),
                    faults: difference.faults.iter().map(|fault| Fault::from(&fault.evidence)).collect(),
                })
                .collect(),
            silent: comparison
                .silent
                .into_iter()
                .map(|(source, error)| Refusal { code: error.code(), message: error.to_string(), relay: source.0 })
                .collect(),
        }
    }
}

impl From<ggen_net::Excluded> for Excluded {
    fn from(excluded: ggen_net::Excluded) -> Self {
        Self { relay: excluded.source.0, release: excluded.release.into(), reason: excluded.reason }
    }
}

impl From<&Evidence> for Fault {
    fn from(evidence: &Evidence) -> Self {
        Self {
            relay: address::peer_of(evidence.relay()).map_or_else(String::new, |peer| peer.to_string()),
            code: evidence.misdeed().code(),
            release: evidence.release().map(|release| release.to_string()),
            evidence: evidence.bytes().to_vec(),
        }
    }
}

impl From<ggen_net::Audits> for Audits {
    fn from(audits: ggen_net::Audits) -> Self {
        Self { passed: number(audits.passed), failed: number(audits.failed), unfinished: number(audits.unfinished) }
    }
}

impl From<ReleaseView> for Release {
    fn from(view: ReleaseView) -> Self {
        Self(view)
    }
}

impl From<&PublisherView> for Publisher {
    fn from(view: &PublisherView) -> Self {
        Self {
            id: view.id.to_string(),
            handle: view.handle.to_string(),
            fingerprint: view.id.fingerprint().to_string(),
        }
    }
}

impl From<record::Content> for ContentRef {
    fn from(content: record::Content) -> Self {
        Self { cid: content.cid.to_string(), size: number(content.size) }
    }
}

impl<'a> From<&'a record::Dependency> for Dependency<'a> {
    fn from(dependency: &'a record::Dependency) -> Self {
        Self {
            publisher: dependency.publisher.map(|publisher| publisher.to_string()),
            name: dependency.name.as_str(),
            requirement: &dependency.requirement,
            optional: dependency.optional,
        }
    }
}

impl From<PackageView> for Package {
    fn from(view: PackageView) -> Self {
        let (state, reason, instead) = said(&view.release);
        let Versions { versions, missing, refused, relay, offline } = view.versions.into();
        Self {
            in_checkpoint: view.release.in_checkpoint,
            state,
            reason,
            instead,
            proof: view.proven.into(),
            release: view.release.into(),
            versions,
            missing,
            refused,
            relay,
            offline,
        }
    }
}

impl From<registry::Versions> for Versions {
    fn from(versions: registry::Versions) -> Self {
        Self {
            versions: versions.list.into_iter().map(Into::into).collect(),
            missing: number(versions.missing),
            refused: versions.refused.into_iter().map(Into::into).collect(),
            relay: versions.source.0,
            offline: versions.offline,
        }
    }
}

impl From<registry::Published> for Published {
    fn from(published: registry::Published) -> Self {
        let failed = |(source, error): (registry::Source, registry::PeerError)| Refusal {
            code: error.code(),
            message: error.to_string(),
            relay: source.0,
        };
        Self {
            durable_at: published.durable_at.into_iter().map(|source| source.0).collect(),
            failed_at: published.failed_at.into_iter().map(failed).collect(),
        }
    }
}

impl From<VersionView> for Version {
    fn from(view: VersionView) -> Self {
        Self {
            version: view.version.to_string(),
            id: view.id.to_string(),
            created: number(view.created),
            state: view.state.as_str(),
        }
    }
}

impl From<RefusedRecord> for Refusal {
    fn from(record: RefusedRecord) -> Self {
        Self { code: record.refused.error.code(), message: record.refused.error.to_string(), relay: record.source.0 }
    }
}

impl Refusal {
    fn new(error: &record::Error, from: PeerId) -> Self {
        Self { code: error.code(), message: error.to_string(), relay: from.to_string() }
    }
}

impl From<light::Connection> for Connection {
    fn from(connection: light::Connection) -> Self {
        Self {
            peer: connection.peer.to_string(),
            address: connection.address.to_string(),
            transport: connection.transport.name(),
            anchor: connection.anchor,
            state: match connection.phase {
                light::Phase::Connecting => "connecting",
                light::Phase::Connected => "connected",
                light::Phase::Waiting => "waiting",
            },
            rtt_ms: connection.rtt.map(|rtt| rtt.as_secs_f64() * 1000.0),
            problem: connection.problem,
        }
    }
}

impl Reputation {
    /// As it is at a time since 1970.
    pub(crate) fn new(reputation: &PeerReputation, now: Duration) -> Self {
        Self {
            score: reputation.score(now),
            successes: reputation.successes(),
            failures: reputation.failures(),
            faults: reputation.faults(),
            latency_ms: reputation.latency().map(|latency| latency.as_secs_f64() * 1000.0),
            last_seen: reputation.last_seen().map(|seen| seen.as_secs_f64()),
        }
    }
}

impl Event {
    /// What JavaScript is told, if it is.
    pub(crate) fn of(news: News) -> Option<Self> {
        let event = match news {
            News::Heard(event) => event,
            News::Missed(release) => return Some(Self::Announced { release: Box::new((*release).into()) }),
            News::CaughtUp { found } => return Some(Self::CaughtUp { found }),
        };
        Some(match event {
            light::Event::Connections(connections) => {
                Self::Connections { connections: connections.into_iter().map(Into::into).collect() }
            }
            light::Event::Announced { release, key_log, from: _ } => {
                let view = ReleaseView::of(&*key_log, *release, false);
                Self::Announced { release: Box::new(view.into()) }
            }
            light::Event::Rotated { key_log, from: _ } => Self::Rotated {
                publisher: key_log.publisher().to_string(),
                handle: key_log.handle().to_string(),
                is_frozen: key_log.is_frozen(),
            },
            light::Event::Stated { status, key_log, from: _ } => {
                let full_name = FullName {
                    handle: Some(key_log.handle().clone()),
                    fingerprint: status.publisher.fingerprint(),
                    name: status.name.clone(),
                };
                Self::Stated {
                    full_name: full_name.to_string(),
                    version: status.version.to_string(),
                    state: status.state.as_str(),
                    reason: status.reason.clone(),
                }
            }
            light::Event::Accused { evidence, from: _ } => Self::Accused { fault: Fault::from(&*evidence) },
            light::Event::Refused { from, error } => Self::Refused { refusal: Refusal::new(&error, from) },
            light::Event::Missed => return None,
        })
    }
}

/// A number as JavaScript has it. A publisher may claim any `u64`, which must not make an answer unreadable: past what
/// a `number` holds exactly, where no honest count or time lies, it is the largest that it does.
#[derive(Debug, Serialize)]
#[serde(transparent)]
struct Number(u64);

const fn number(number: u64) -> Number {
    const MAX_SAFE_INTEGER: u64 = (1 << 53) - 1;
    Number(if number < MAX_SAFE_INTEGER { number } else { MAX_SAFE_INTEGER })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use ggen_net::address::Transport;
    use ggen_shared::registry::Source;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_connection_has_the_names_of_the_contract() {
        let peer = PeerId::random();
        let connection = light::Connection {
            peer,
            address: "/ip4/1.2.3.4/tcp/1/ws".parse().expect("a multiaddr"),
            transport: Transport::WebSocket,
            anchor: true,
            phase: light::Phase::Connected,
            rtt: Some(Duration::from_micros(1500)),
            problem: None,
        };
        let event = Event::of(News::Heard(light::Event::Connections(vec![connection]))).expect("it is told");
        let expected = json!({ "type": "connections", "connections": [{
            "peer": peer.to_string(), "address": "/ip4/1.2.3.4/tcp/1/ws", "transport": "websocket",
            "anchor": true, "state": "connected", "rttMs": 1.5,
        }] });
        assert_eq!(serde_json::to_value(event).expect("plain data"), expected);
    }

    #[test]
    fn an_answer_has_the_names_of_the_contract_and_numbers_that_javascript_holds() {
        let results = SearchResults {
            hits: Vec::new(),
            total: u64::MAX,
            total_is_exact: false,
            cursor: Some(serde_bytes::ByteBuf::from([1, 2])),
            source: Source("relay".into()),
            proven: None,
            suggestions: vec!["r".into()],
            offline: false,
        };
        let answer = serde_json::to_value(SearchAnswer::new("q".into(), results)).expect("plain data");
        let expected = json!({
            "query": "q", "hits": [], "total": 9_007_199_254_740_991_u64, "totalIsExact": false, "relay": "relay",
            "cursor": "AQI", "suggestions": ["r"], "offline": false,
        });
        assert_eq!(answer, expected);
    }

    #[test]
    fn a_refused_row_says_why_and_who() {
        let from = PeerId::random();
        let hit = Hit::Refused { refusal: Refusal::new(&record::Error::BadSignature, from) };
        let value = serde_json::to_value(hit).expect("plain data");
        assert_eq!(value["status"], "refused");
        assert_eq!(value["refusal"]["code"], "record/bad-signature");
        assert_eq!(value["refusal"]["relay"], from.to_string());
    }
}
