//! The trustless gateway of IPFS: blocks and archives of blocks over plain HTTP, for clients that verify and for caches that need not be trusted.
//!
//! <https://specs.ipfs.tech/http-gateways/trustless-gateway/>: `/ipfs/<cid>` gives one block (`raw`) or, depth first, the blocks of a file or of a
//! range of its bytes (`car`, version 1). What a CID names never changes, so answers may be kept for ever.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, Query, State as Extract};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use futures::StreamExt;
use ggen_shared::content::{Child, children};
use ggen_shared::limits::MAX_DAG_DEPTH;
use ggen_shared::record::ContentId;
use ggen_shared::{codec, varint};
use serde::{Deserialize, Serialize};
use tokio::sync::{Semaphore, mpsc};

use crate::admission::Shelf;
use crate::policy;

/// A block, and an archive of blocks, as media types.
const RAW: &str = "application/vnd.ipld.raw";
const CAR: &str = "application/vnd.ipld.car";
/// How an archive of ours is made: depth first, a block as often as it is linked.
const CAR_AS_MADE: &str = "application/vnd.ipld.car; version=1; order=dfs; dups=y";

/// Serves blocks.
#[derive(Clone)]
pub(crate) struct Gateway {
    shelf: Arc<Shelf>,
    /// Blocks that are being read for one answer each.
    reading: Arc<Semaphore>,
    /// Archives that are being sent.
    sending: Arc<Semaphore>,
}

/// What the query string asks for.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) struct Parameters {
    format: Option<String>,
    dag_scope: Option<String>,
    entity_bytes: Option<String>,
}

/// What is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Raw,
    Car,
}

/// Why there is no answer, in a line of text.
type Refused = (StatusCode, &'static str);

impl Gateway {
    pub(crate) fn new(shelf: Arc<Shelf>) -> Self {
        let turns = |count| Arc::new(Semaphore::new(count));
        Self { shelf, reading: turns(policy::MAX_HTTP_BLOCKS), sending: turns(policy::MAX_ARCHIVES) }
    }
}

/// `/ipfs/<cid>`.
pub(crate) async fn get(
    Extract(gateway): Extract<Gateway>,
    Path(cid): Path<String>,
    Query(parameters): Query<Parameters>,
    method: Method,
    headers: HeaderMap,
) -> Response {
    gateway.answer(&cid, &parameters, &method, &headers).await.unwrap_or_else(IntoResponse::into_response)
}

impl Gateway {
    async fn answer(
        &self,
        cid: &str,
        parameters: &Parameters,
        method: &Method,
        headers: &HeaderMap,
    ) -> Result<Response, Refused> {
        let cid: ContentId = cid
            .parse()
            .map_err(|_| (StatusCode::BAD_REQUEST, "not a CIDv1 of raw or dag-pb content by SHA-256, in base32\n"))?;
        let format = wanted(parameters, headers)?;
        let scope = match format {
            Format::Raw => None,
            Format::Car => parameters.scope()?,
        };
        let named = names(&cid, format, scope.as_ref());
        let is_known = headers.get_all(header::IF_NONE_MATCH).iter().any(|known| matches(known, &named));
        if is_known {
            return Ok((StatusCode::NOT_MODIFIED, named).into_response());
        }
        let busy = (StatusCode::SERVICE_UNAVAILABLE, "the relay reads other blocks now: try again soon\n");
        // Whoever asks for many waits behind those who ask for one, and not for long.
        let turn = tokio::time::timeout(policy::HTTP_TURN_TIMEOUT, self.reading.acquire()).await;
        let _turn = turn.map_err(|_| busy)?.map_err(|_| busy)?;
        let block = self.shelf.block(&cid).await.map_err(|error| {
            tracing::error!(%error, %cid, "a block can't be read");
            (StatusCode::INTERNAL_SERVER_ERROR, "the relay could not read the block\n")
        })?;
        let block = block.ok_or((StatusCode::NOT_FOUND, "the relay has no such block\n"))?;
        let body = match format {
            Format::Raw => return Ok(raw(block, named, headers)),
            // What it would be long is not known before it is sent.
            Format::Car if *method == Method::HEAD => Body::empty(),
            Format::Car => self.archive(cid, block, scope)?,
        };
        Ok((named, body).into_response())
    }

    /// Sends an archive from a task of its own. A reader that stalls ends it.
    fn archive(&self, root: ContentId, block: Vec<u8>, scope: Option<Range<u64>>) -> Result<Body, Refused> {
        let busy = (StatusCode::SERVICE_UNAVAILABLE, "the relay sends other archives now: try again soon\n");
        let permit = self.sending.clone().try_acquire_owned().map_err(|_| busy)?;
        let (sender, receiver) = mpsc::channel(1);
        let archive = Archive { shelf: self.shelf.clone(), sender, scope: scope.unwrap_or(0..u64::MAX) };
        let bytes: u64 = children(&root, &block, 0).map_or(0, |all| all.iter().map(|child| child.bytes).sum());
        let limit = policy::upload_timeout(usize::try_from(bytes).unwrap_or(usize::MAX));
        tokio::spawn(async move {
            // Whoever reads has what was sent, and sees that it is not all. At a modem's pace nobody keeps the turn of others.
            match tokio::time::timeout(limit, archive.send(root, block)).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, %root, "an archive ended early"),
                Err(_) => tracing::debug!(%root, "an archive was read too slowly"),
            }
            drop(permit);
        });
        let chunks = futures::stream::unfold(receiver, |mut receiver| async {
            receiver.recv().await.map(|chunk: io::Result<Vec<u8>>| (chunk, receiver))
        });
        Ok(Body::from_stream(chunks.boxed()))
    }
}

impl Parameters {
    /// Which bytes of the file an archive is to hold, with the blocks that lead to them; None for all of them.
    fn scope(&self) -> Result<Option<Range<u64>>, Refused> {
        let bad =
            (StatusCode::BAD_REQUEST, "entity-bytes is FROM:TO, in bytes from the file's beginning, TO may be *\n");
        match self.dag_scope.as_deref() {
            // Nothing but the root: no bytes are below it.
            Some("block") => return Ok(Some(0..0)),
            None | Some("all" | "entity") => {}
            Some(_) => return Err((StatusCode::BAD_REQUEST, "dag-scope is block, entity or all\n")),
        }
        let Some(bytes) = &self.entity_bytes else { return Ok(None) };
        let (from, to) = bytes.split_once(':').ok_or(bad)?;
        let from: u64 = from.parse().map_err(|_| bad)?;
        let to = match to {
            "*" => u64::MAX,
            to => to.parse::<u64>().ok().and_then(|last| last.checked_add(1)).ok_or(bad)?,
        };
        Ok(Some(from..to.max(from)))
    }
}

/// The format that is asked for: by the query string, else by the header.
fn wanted(parameters: &Parameters, headers: &HeaderMap) -> Result<Format, Refused> {
    let unknown = (StatusCode::NOT_ACCEPTABLE, "this gateway gives ?format=raw and ?format=car, and nothing else\n");
    match parameters.format.as_deref() {
        Some("raw") => return Ok(Format::Raw),
        Some("car") => return Ok(Format::Car),
        Some(_) => return Err(unknown),
        None => {}
    }
    let accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    let types = accepted.flat_map(|value| value.split(',')).map(|one| one.split(';').next().unwrap_or_default().trim());
    types
        .filter_map(|one| match one {
            RAW => Some(Format::Raw),
            CAR => Some(Format::Car),
            _ => None,
        })
        .next()
        .ok_or(unknown)
}

/// What is said of an answer whose address vouches for it, as the specification of gateways has it.
pub(crate) const KEPT_FOR_GOOD: &str = "public, max-age=29030400, immutable";

/// What names the answer for browsers and caches.
fn names(cid: &ContentId, format: Format, scope: Option<&Range<u64>>) -> [(HeaderName, String); 6] {
    let (media, ending, disposition) = match format {
        Format::Raw => (RAW, "raw".to_owned(), "bin"),
        Format::Car => {
            let scope = scope.map_or_else(String::new, |bytes| format!(".{}-{}", bytes.start, bytes.end));
            (CAR_AS_MADE, format!("car{scope}"), "car")
        }
    };
    [
        (header::CONTENT_TYPE, media.into()),
        (header::CACHE_CONTROL, KEPT_FOR_GOOD.into()),
        (header::ETAG, format!("\"{cid}.{ending}\"")),
        (header::CONTENT_DISPOSITION, format!("attachment; filename=\"{cid}.{disposition}\"")),
        (HeaderName::from_static("x-ipfs-path"), format!("/ipfs/{cid}")),
        (header::VARY, "accept".into()),
    ]
}

/// Whether what a client has is what it would get.
fn matches(known: &HeaderValue, named: &[(HeaderName, String); 6]) -> bool {
    let is_it = |tag: &str| tag == "*" || named.iter().any(|(name, value)| name == header::ETAG && value == tag);
    known.to_str().is_ok_and(|tags| tags.split(',').map(|tag| tag.trim().trim_start_matches("W/")).any(is_it))
}

/// One block, or a part of it.
fn raw(block: Vec<u8>, named: [(HeaderName, String); 6], headers: &HeaderMap) -> Response {
    let length = block.len();
    let accepts = [(header::ACCEPT_RANGES, "bytes".to_owned())];
    let Some(range) = headers.get(header::RANGE) else { return (named, accepts, block).into_response() };
    match range.to_str().ok().and_then(|range| part(range, length)) {
        Some(Ok(part)) => {
            let of = [(header::CONTENT_RANGE, format!("bytes {}-{}/{length}", part.start, part.end - 1))];
            (StatusCode::PARTIAL_CONTENT, named, accepts, of, block[part].to_vec()).into_response()
        }
        Some(Err(())) => {
            (StatusCode::RANGE_NOT_SATISFIABLE, [(header::CONTENT_RANGE, format!("bytes */{length}"))]).into_response()
        }
        // Several ranges, or other units: a server may send all.
        None => (named, accepts, block).into_response(),
    }
}

/// The part of `length` bytes that a header asks for; Err for one that is not there, None for what is no single range.
fn part(range: &str, length: usize) -> Option<Result<Range<usize>, ()>> {
    let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
    let (start, end) = match (from.trim(), to.trim()) {
        ("", last) => (length.saturating_sub(last.parse().ok()?), length),
        (from, "") => (from.parse().ok()?, length),
        (from, to) => (from.parse().ok()?, to.parse::<usize>().ok()?.saturating_add(1).min(length)),
    };
    Some(if start < end { Ok(start..end) } else { Err(()) })
}

/// An archive that is being sent.
struct Archive {
    shelf: Arc<Shelf>,
    sender: mpsc::Sender<io::Result<Vec<u8>>>,
    /// Of which bytes of the file.
    scope: Range<u64>,
}

/// The first section of an archive.
#[derive(Serialize)]
struct Header {
    roots: [ContentId; 1],
    version: u64,
}

impl Archive {
    async fn send(&self, root: ContentId, block: Vec<u8>) -> io::Result<()> {
        self.write(section(&[&codec::encode(&Header { roots: [root], version: 1 })])).await?;
        // What is still to be sent, the next one last: the block, where its content stands in the file, how deep it is.
        let mut next = self.below(&root, &block, 0, 0)?;
        self.write(section(&[&root.cid().to_bytes(), &block])).await?;
        while let Some((child, depth)) = next.pop() {
            let block = self.shelf.store().block(&child.cid).await.map_err(io::Error::other)?;
            let Some(block) = block else {
                self.write_end(format!("the relay has no block {}", child.cid)).await;
                return Ok(());
            };
            next.extend(self.below(&child.cid, &block, child.at, depth)?);
            self.write(section(&[&child.cid.cid().to_bytes(), &block])).await?;
        }
        Ok(())
    }

    /// The children of a block that hold bytes of the scope, the first one last.
    fn below(&self, cid: &ContentId, block: &[u8], at: u64, depth: usize) -> io::Result<Vec<(Child, usize)>> {
        if depth > MAX_DAG_DEPTH {
            return Err(io::Error::other("the content is deeper than any artifact"));
        }
        let children = children(cid, block, at).map_err(io::Error::other)?;
        let is_in =
            |child: &Child| child.at < self.scope.end && self.scope.start < child.at.saturating_add(child.bytes);
        Ok(children.into_iter().rev().filter(is_in).map(|child| (child, depth + 1)).collect())
    }

    async fn write(&self, bytes: Vec<u8>) -> io::Result<()> {
        let sent = tokio::time::timeout(policy::ANSWER_TIMEOUT, self.sender.send(Ok(bytes))).await;
        match sent {
            Ok(Ok(())) => Ok(()),
            Ok(Err(_)) => Err(io::ErrorKind::BrokenPipe.into()),
            Err(_) => Err(io::ErrorKind::TimedOut.into()),
        }
    }

    /// Breaks the answer off, so that nobody takes it for whole.
    async fn write_end(&self, reason: String) {
        _ = tokio::time::timeout(policy::ANSWER_TIMEOUT, self.sender.send(Err(io::Error::other(reason)))).await;
    }
}

/// A section of an archive: its length, then its parts.
fn section(parts: &[&[u8]]) -> Vec<u8> {
    let length: usize = parts.iter().map(|part| part.len()).sum();
    let mut buffer = Vec::with_capacity(length + 4);
    varint::put(&mut buffer, length as u64);
    parts.iter().for_each(|part| buffer.extend_from_slice(part));
    buffer
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn scope(dag_scope: Option<&str>, entity_bytes: Option<&str>) -> Result<Option<Range<u64>>, StatusCode> {
        let text = |text: Option<&str>| text.map(str::to_owned);
        let parameters = Parameters { format: None, dag_scope: text(dag_scope), entity_bytes: text(entity_bytes) };
        parameters.scope().map_err(|(status, _)| status)
    }

    #[test]
    fn a_scope_is_of_bytes_and_what_is_none_is_refused() {
        assert_eq!(scope(None, None), Ok(None));
        assert_eq!(scope(Some("block"), None), Ok(Some(0..0)));
        assert_eq!(scope(Some("entity"), Some("0:9")), Ok(Some(0..10)));
        assert_eq!(scope(None, Some("5:*")), Ok(Some(5..u64::MAX)));
        assert_eq!(scope(None, Some("9:5")), Ok(Some(9..9)));
        for bad in ["", "1", "a:b", "0:18446744073709551615", "-1:5"] {
            assert_eq!(scope(None, Some(bad)), Err(StatusCode::BAD_REQUEST), "{bad}");
        }
        assert_eq!(scope(Some("galaxy"), None), Err(StatusCode::BAD_REQUEST));
    }

    #[test]
    fn a_part_of_a_block_is_within_it() {
        assert_eq!(part("bytes=0-3", 10), Some(Ok(0..4)));
        assert_eq!(part("bytes=8-", 10), Some(Ok(8..10)));
        assert_eq!(part("bytes=-3", 10), Some(Ok(7..10)));
        assert_eq!(part("bytes=-30", 10), Some(Ok(0..10)));
        assert_eq!(part("bytes=3-99", 10), Some(Ok(3..10)));
        for nowhere in ["bytes=10-", "bytes=5-4", "bytes=-0"] {
            assert_eq!(part(nowhere, 10), Some(Err(())), "{nowhere}");
        }
        for other in ["bytes=0-1,3-4", "items=0-1", "bytes=a-b", ""] {
            assert_eq!(part(other, 10), None, "{other}");
        }
        assert_eq!(part("bytes=0-18446744073709551615", 10), Some(Ok(0..10)));
    }
}
