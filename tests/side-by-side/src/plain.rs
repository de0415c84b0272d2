//! A plain JSON search endpoint: the relay's answer without a proof, which its asker has to believe.

use std::net::SocketAddr;
use std::sync::Arc;

use anyhow::Result;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use ggen_shared::catalogue::Catalogue;
use ggen_shared::catalogue::find::{find, walks};
use ggen_shared::record::{Record, Release};
use ggen_shared::search::query::Query;
use ggen_shared::search::rank::{Brevity, Rank};
use serde::Serialize;

/// Results of an answer.
const RESULTS: usize = 20;

/// What the client's release has, but for what proves it.
#[derive(Serialize)]
struct Found {
    publisher: String,
    handle: Option<String>,
    name: String,
    version: String,
    title: Option<String>,
    description: String,
    categories: Vec<String>,
    tags: Vec<String>,
    license: Option<String>,
    authors: Vec<String>,
    homepage: Option<String>,
    dependencies: Vec<String>,
    created: u64,
}

/// Serves `/search/…` on loopback from here on, and says where.
///
/// # Errors
/// When no port can be had.
pub async fn serve(catalogue: Arc<Catalogue>) -> Result<SocketAddr> {
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    let newest = |catalogue| search(catalogue, Path(String::new()));
    let router =
        Router::new().route("/search/", get(newest)).route("/search/{text}", get(search)).with_state(catalogue);
    tokio::spawn(async move { axum::serve(listener, router).await });
    Ok(address)
}

async fn search(State(catalogue): State<Arc<Catalogue>>, Path(text): Path<String>) -> Response {
    let Ok(query) = Query::parse(&text) else { return StatusCode::BAD_REQUEST.into_response() };
    let walk = walks(catalogue.map(), &query).next();
    let found = walk.and_then(|walk| find(catalogue.map(), &query, RESULTS, walk, None, |_, _| true));
    let mut results: Vec<_> = found
        .into_iter()
        .flat_map(|found| found.candidates)
        .filter(|listed| query.matches(&listed.tokens))
        .filter_map(|listed| {
            let rank = match query.matched(&listed.tokens) {
                Some(matched) => Rank::best(matched, Brevity::of(&listed.tokens), listed.popularity, listed.created),
                None => Rank::newest(listed.created),
            };
            match catalogue.record(&listed.head)? {
                Record::Release(release) => Some((rank, listed.head, release)),
                _ => None,
            }
        })
        .collect();
    results.sort_by_key(|(rank, head, _)| (*rank, *head));
    let results: Vec<_> = results.into_iter().map(|(_, _, release)| shown(&catalogue, release)).collect();
    let any = (header::ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
    ([any], Json(serde_json::json!({ "query": text, "results": results }))).into_response()
}

fn shown(catalogue: &Catalogue, release: &Release) -> Found {
    Found {
        publisher: release.publisher.to_string(),
        handle: catalogue.key_log(&release.publisher).map(|key_log| key_log.handle().to_string()),
        name: release.name.to_string(),
        version: release.version.to_string(),
        title: release.title.clone(),
        description: release.description.clone(),
        categories: release.categories.clone(),
        tags: release.tags.clone(),
        license: release.license.clone(),
        authors: release.authors.clone(),
        homepage: release.homepage.clone(),
        dependencies: release.dependencies.iter().map(|dependency| dependency.name.to_string()).collect(),
        created: release.created,
    }
}
