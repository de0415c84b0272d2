//! Packages as plain JSON, for scripts and caches: what the relay shows, with the answer that proves it.
//!
//! `/api/v1/packages?q=…&limit=…&cursor=…` searches, `/api/v1/packages/<handle~fingerprint>/<name>` shows a package, `…/<version>` one version.
//! `answer` is, in base64, the dag-cbor that this relay gives on `/ggen/query/1.0.0` to the same question: records as they were signed, the
//! checkpoint, and the proof under its root. Whoever verifies needs nothing else of the answer.
//!
//! `/api/v1/evidence` shows which relays are proven to break the rules, with what proves it; `/api/v1/reputations`, what this relay thinks of peers that
//! it has asked for something ([`PeerReputation`]); `/api/v1/exclusions`, what this relay's operator
//! excludes, in lines: an id, a space, the reason. Its hash is in the relay's checkpoints
//! ([`Exclusions::hash`](ggen_shared::catalogue::Exclusions::hash)).

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, Query, State as Extract};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use data_encoding::{BASE64, BASE64URL_NOPAD};
use ggen_net::address;
use ggen_net::light::Platform;
use ggen_shared::client::Evidence;
use ggen_shared::codec;
use ggen_shared::id::FullName;
use ggen_shared::limits::MAX_RESULTS;
use ggen_shared::record::Version;
use ggen_shared::registry::{GetError, PackageView, PeerError, SearchError, SearchOptions};
use ggen_shared::reputation::PeerReputation;
use libp2p::PeerId;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use crate::market::peer::Tokio;
use crate::{Local, json as shown, policy};

/// Answers questions.
#[derive(Clone)]
pub(crate) struct Api {
    registry: Local,
    turns: Arc<Semaphore>,
}

/// What the query string of a search asks for.
#[derive(Debug, Deserialize)]
pub(crate) struct Search {
    #[serde(default)]
    q: String,
    limit: Option<u16>,
    cursor: Option<String>,
}

/// An error as it is answered.
struct Problem {
    status: StatusCode,
    code: &'static str,
    message: String,
}

impl Api {
    pub(crate) fn new(registry: Local) -> Self {
        Self { registry, turns: Arc::new(Semaphore::new(policy::MAX_HTTP_QUESTIONS)) }
    }

    /// Works where it blocks nobody else, when it is its turn.
    async fn work(
        &self,
        work: impl FnOnce(&Local) -> Result<Value, Problem> + Send + 'static,
    ) -> Result<Value, Problem> {
        let stopping =
            || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "relay/stopping", &"the relay is being stopped");
        let busy =
            || Problem::new(StatusCode::SERVICE_UNAVAILABLE, "relay/busy", &"the relay answers others now: try again");
        let turn = tokio::time::timeout(policy::HTTP_TURN_TIMEOUT, self.turns.acquire()).await;
        let _turn = turn.map_err(|_| busy())?.map_err(|_| stopping())?;
        let registry = self.registry.clone();
        tokio::task::spawn_blocking(move || work(&registry)).await.map_err(|_| stopping())?
    }
}

/// `/api/v1/packages`.
pub(crate) async fn search(Extract(api): Extract<Api>, Query(asked): Query<Search>) -> Response {
    let found = api.work(move |registry| {
        let cursor = asked.cursor.as_deref().map(|text| BASE64URL_NOPAD.decode(text.as_bytes())).transpose();
        let cursor = cursor.map_err(|_| Problem::new(StatusCode::BAD_REQUEST, "query/bad-cursor", &"no cursor"))?;
        let defaults = SearchOptions::default();
        let limit = asked.limit.unwrap_or(defaults.limit).clamp(1, u16::try_from(MAX_RESULTS).unwrap_or(u16::MAX));
        let options = SearchOptions { limit, cursor: cursor.map(ByteBuf::from), ..defaults };
        let (results, answer) = registry.searched(&asked.q, options)?;
        let mut found = with_answer(shown::search(&asked.q, &results), &answer);
        found["cursor"] = results.cursor.map(|cursor| BASE64URL_NOPAD.encode(&cursor)).into();
        Ok(found)
    });
    answer(found.await)
}

/// `/api/v1/packages/<owner>/<name>`.
pub(crate) async fn package(Extract(api): Extract<Api>, Path((owner, name)): Path<(String, String)>) -> Response {
    answer(api.work(move |registry| one(registry, &owner, &name, None)).await)
}

/// `/api/v1/packages/<owner>/<name>/<version>`.
pub(crate) async fn version(
    Extract(api): Extract<Api>,
    Path((owner, name, version)): Path<(String, String, String)>,
) -> Response {
    answer(api.work(move |registry| one(registry, &owner, &name, Some(&version))).await)
}

/// `/api/v1/evidence`.
pub(crate) async fn evidence(Extract(api): Extract<Api>) -> Response {
    let show = |evidence: &Evidence| {
        json!({
            "relay": address::peer_of(evidence.relay()).map(|relay| relay.to_string()),
            "code": evidence.misdeed().code(),
            "release": evidence.release().map(|release| release.to_string()),
            "evidence": BASE64.encode(evidence.bytes()),
        })
    };
    answer(api.work(move |registry| Ok(registry.evidence().iter().map(show).collect())).await)
}

/// `/api/v1/reputations`: of each peer the score now (0 to 1), the counts that it is made of, decayed to the last event, the moving average of how long
/// good answers took, and when it was last heard of, in seconds since 1970. The best first.
pub(crate) async fn reputations(Extract(api): Extract<Api>) -> Response {
    let shown = api.work(|registry| {
        let now = Tokio::default().now();
        let mut all = registry.reputations();
        all.sort_by(|(a, one), (b, other)| other.score(now).total_cmp(&one.score(now)).then_with(|| a.cmp(b)));
        let show = |(peer, reputation): &(PeerId, PeerReputation)| {
            json!({
                "peer": peer.to_string(),
                "score": reputation.score(now),
                "successes": reputation.successes(),
                "failures": reputation.failures(),
                "faults": reputation.faults(),
                "latency_ms": reputation.latency().map(|latency| latency.as_secs_f64() * 1000.0),
                "last_seen": reputation.last_seen().map(|seen| seen.as_secs()),
            })
        };
        Ok(all.iter().map(show).collect())
    });
    answer(shown.await)
}

/// `/api/v1/exclusions`.
pub(crate) async fn exclusions(Extract(api): Extract<Api>) -> Response {
    let list = api.work(|registry| Ok(registry.exclusions().to_string().into())).await;
    match list {
        Ok(Value::String(list)) => list.into_response(),
        other => answer(other),
    }
}

fn one(registry: &Local, owner: &str, name: &str, version: Option<&str>) -> Result<Value, Problem> {
    let invalid = |reason: &dyn ToString| Problem::new(StatusCode::BAD_REQUEST, "name/invalid", reason);
    let name: FullName = format!("{owner}/{name}").parse().map_err(|error| invalid(&error))?;
    let version: Option<Version> = version.map(str::parse).transpose().map_err(|error| invalid(&error))?;
    let (found, answer) = registry.answered(&name, version.as_ref()).map_err(GetError::from)?;
    let relay = found.source.0.clone();
    let mut package = with_answer(shown::package(&PackageView::of(&name, version.as_ref(), found)?), &answer);
    package["relay"] = relay.into();
    Ok(package)
}

fn with_answer(mut shown: Value, answer: &impl Serialize) -> Value {
    shown["answer"] = BASE64.encode(&codec::encode(answer)).into();
    shown
}

fn answer(found: Result<Value, Problem>) -> Response {
    found.map_or_else(IntoResponse::into_response, |found| Json(found).into_response())
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, message: &dyn ToString) -> Self {
        Self { status, code, message: message.to_string() }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        (self.status, Json(json!({ "error": { "code": self.code, "message": self.message } }))).into_response()
    }
}

impl From<GetError> for Problem {
    fn from(error: GetError) -> Self {
        let status = match &error {
            GetError::UnknownPackage(_) | GetError::UnknownVersion { .. } => StatusCode::NOT_FOUND,
            GetError::Contested { .. } => StatusCode::CONFLICT,
            GetError::Retracted { .. } | GetError::Withdrawn(_) => StatusCode::GONE,
            GetError::Refused(_) | GetError::Peer(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.code(), &error)
    }
}

impl From<SearchError> for Problem {
    fn from(error: SearchError) -> Self {
        let status = match &error {
            SearchError::Query(_) => StatusCode::BAD_REQUEST,
            SearchError::Peer(PeerError::Refused(refusal)) if refusal.code.starts_with("query/") => {
                StatusCode::BAD_REQUEST
            }
            SearchError::Peer(_) => StatusCode::SERVICE_UNAVAILABLE,
        };
        Self::new(status, error.code(), &error)
    }
}
