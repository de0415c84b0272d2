//! What a relay serves over HTTP: the page, packages as JSON, blocks, where it is on the network, and whether it is well.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use axum::extract::State as Extract;
use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use ggen_shared::protocol::names;
use libp2p::{Multiaddr, PeerId};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot, watch};
use tower_http::services::{ServeDir, ServeFile};
use tower_http::set_header::SetResponseHeaderLayer;

use crate::admission::Shelf;
use crate::api::{self, Api};
use crate::gateway::{self, Gateway, KEPT_FOR_GOOD};
use crate::meter::Meter;
use crate::metrics::{self, Metrics};
use crate::node::{Command, Progress, Status};
use crate::{Local, policy};

/// Scripts of the page itself and wasm, connections to any relay, and nothing else.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; \
     img-src 'self' data:; connect-src 'self' ws: wss: http: https:; font-src 'self'; base-uri 'none'; \
     form-action 'self'; frame-ancestors 'none'";

/// What the handlers know.
#[derive(Clone)]
pub struct State {
    peer_id: PeerId,
    shelf: Arc<Shelf>,
    registry: Local,
    status: watch::Receiver<Status>,
    progress: watch::Receiver<Progress>,
    meter: Arc<Meter>,
    commands: mpsc::Sender<Command>,
}

impl State {
    /// The state of a running relay.
    pub(crate) const fn new(
        peer_id: PeerId,
        shelf: Arc<Shelf>,
        registry: Local,
        status: watch::Receiver<Status>,
        progress: watch::Receiver<Progress>,
        meter: Arc<Meter>,
        commands: mpsc::Sender<Command>,
    ) -> Self {
        Self { peer_id, shelf, registry, status, progress, meter, commands }
    }
}

/// `/.well-known/ggen/relay.json`: all that a light client needs to reach this relay.
#[derive(Debug, Serialize)]
struct RelayJson {
    peer_id: String,
    addresses: Vec<String>,
    /// Where the relays are that the operator joined the network through: the page compares answers with theirs.
    anchors: Vec<String>,
    /// Where on this server its trustless gateway is: what of IPFS begins with `/ipfs/`.
    gateway: &'static str,
    versions: BTreeMap<&'static str, &'static str>,
}

/// The routes of a relay.
pub fn router(state: State, www: Option<&Path>) -> Router {
    let open = SetResponseHeaderLayer::overriding(header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    let fresh = SetResponseHeaderLayer::overriding(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    let api = Router::new()
        .route("/healthz", get(|| async { "ok\n" }))
        .route("/readyz", get(ready))
        .route("/.well-known/ggen/relay.json", get(relay_json))
        .route("/.well-known/ggen/routing.json", get(routing_json))
        .layer(open.clone())
        .layer(fresh.clone())
        .with_state(state.clone());
    let watched = Metrics {
        meter: state.meter.clone(),
        shelf: state.shelf.clone(),
        registry: state.registry.clone(),
        status: state.status.clone(),
    };
    let metrics = Router::new().route("/metrics", get(metrics::get)).layer(fresh.clone()).with_state(watched);
    let packages = Router::new()
        .route("/api/v1/evidence", get(api::evidence))
        .route("/api/v1/exclusions", get(api::exclusions))
        .route("/api/v1/reputations", get(api::reputations))
        .route("/api/v1/packages", get(api::search))
        .route("/api/v1/packages/{owner}/{name}", get(api::package))
        .route("/api/v1/packages/{owner}/{name}/{version}", get(api::version))
        .layer(open.clone())
        .layer(fresh)
        .with_state(Api::new(state.registry.clone()));
    let blocks = Router::new()
        .route("/ipfs/{cid}", get(gateway::get))
        .layer(open)
        .layer(constant_header(
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            "content-length, content-range, etag, x-ipfs-path",
        ))
        .with_state(Gateway::new(state.shelf.clone()));
    let page = match www {
        Some(www) => page(www),
        None => Router::new().fallback(|| async { (StatusCode::NOT_FOUND, "this relay serves no page\n") }),
    };
    page.merge(api)
        .merge(metrics)
        .merge(packages)
        .merge(blocks)
        .layer(constant_header(header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY))
        .layer(constant_header(header::X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .layer(constant_header(header::REFERRER_POLICY, "no-referrer"))
}

/// The page's files; a path of the page itself, such as a package's, gets the page.
///
/// What the build has named by its content is kept by browsers for good; the page, which names these files, is asked for again each time.
fn page(www: &Path) -> Router {
    let files = |directory: &Path| ServeDir::new(directory).precompressed_br().precompressed_gzip();
    let for_good = SetResponseHeaderLayer::overriding(header::CACHE_CONTROL, |answer: &Response| {
        // A page of another version names files that are not here: they are not missing for good.
        let is_there = answer.status().is_success() || answer.status() == StatusCode::NOT_MODIFIED;
        is_there.then(|| HeaderValue::from_static(KEPT_FOR_GOOD))
    });
    let again = SetResponseHeaderLayer::if_not_present(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    let assets = Router::new().fallback_service(files(&www.join("assets"))).layer(for_good);
    Router::new()
        .nest_service("/assets", assets)
        .fallback_service(files(www).fallback(ServeFile::new(www.join("index.html"))))
        .layer(again)
}

fn constant_header(name: HeaderName, value: &'static str) -> SetResponseHeaderLayer<HeaderValue> {
    SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value))
}

/// Ready: everything is loaded, what other relays had is here too, the relay listens, and the disk takes writes.
async fn ready(Extract(state): Extract<State>) -> impl IntoResponse {
    let status = state.status.borrow().clone();
    let records = state.shelf.catalogue().record_count();
    if status.addresses.is_empty() {
        return (StatusCode::SERVICE_UNAVAILABLE, "not listening yet\n".to_owned());
    }
    if state.shelf.snapshots().latest().is_none() {
        return (StatusCode::SERVICE_UNAVAILABLE, "no checkpoint yet: the next epoch brings one\n".to_owned());
    }
    let progress = *state.progress.borrow();
    if !progress.has_caught_up && (progress.has_met || status.joining) {
        let of = progress.of.max(records as u64);
        return (StatusCode::SERVICE_UNAVAILABLE, format!("syncing: {records} of {of} records\n"));
    }
    match tokio::time::timeout(policy::READY_TIMEOUT, state.shelf.store().ready()).await {
        Ok(Ok(())) => (StatusCode::OK, format!("ready: {records} records, {} peers\n", status.connected)),
        Ok(Err(error)) => {
            tracing::error!(%error, "the store is not ready");
            (StatusCode::SERVICE_UNAVAILABLE, "the store is not ready\n".to_owned())
        }
        Err(_) => {
            tracing::error!("the store does not answer");
            (StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n".to_owned())
        }
    }
}

async fn relay_json(Extract(state): Extract<State>) -> Json<RelayJson> {
    let texts = |addresses: &[Multiaddr]| addresses.iter().map(ToString::to_string).collect();
    let (addresses, anchors) = {
        let status = state.status.borrow();
        (texts(&status.addresses), texts(&status.anchors))
    };
    let versions = BTreeMap::from([
        ("software", env!("CARGO_PKG_VERSION")),
        ("identify", names::IDENTIFY),
        ("kademlia", names::KADEMLIA),
        ("query", names::QUERY),
        ("publish", names::PUBLISH),
    ]);
    Json(RelayJson { peer_id: state.peer_id.to_string(), addresses, anchors, gateway: "/ipfs/", versions })
}

/// The peers in the routing table: any DHT client can learn as much by asking around.
async fn routing_json(Extract(state): Extract<State>) -> Result<Json<Vec<String>>, StatusCode> {
    let (table, answer) = oneshot::channel();
    // Peers come first: whoever asks here while the node is busy may ask again.
    state.commands.try_send(Command::Routing { table }).map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    let peers = answer.await.map_err(|_| StatusCode::SERVICE_UNAVAILABLE)?;
    Ok(Json(peers.iter().map(ToString::to_string).collect()))
}
