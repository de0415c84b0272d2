//! Connections over HTTP: how many there may be, of whom, and for how long one is kept that gets nowhere.

use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_io_timeout::TimeoutStream;

use crate::policy;

/// What is granted to whoever connects.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    /// Connections in all.
    connections: usize,
    /// Connections of one source: an IPv4 address, or the /64 network of an IPv6 one.
    per_source: usize,
    /// Whether connections from this machine count only among all: a proxy speaks for everybody.
    spares_loopback: bool,
    /// How long a connection may be without a request, and how long the head of a request may take.
    head_timeout: Duration,
    /// How long nothing may be taken of an answer.
    write_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: policy::MAX_HTTP_CONNECTIONS,
            per_source: policy::MAX_HTTP_CONNECTIONS_PER_SOURCE,
            spares_loopback: true,
            head_timeout: policy::HTTP_HEAD_TIMEOUT,
            write_timeout: policy::HTTP_WRITE_TIMEOUT,
        }
    }
}

/// Serves until it is to stop, then lets requests end that run. What else runs ends when this is dropped.
pub(crate) async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: impl Future<Output = ()>) {
    let gate = Gate::new(limits);
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(limits.head_timeout).max_buf_size(policy::MAX_HTTP_BUFFER_BYTES);
    let (running, mut connections) = (GracefulShutdown::new(), JoinSet::new());
    let mut stop = std::pin::pin!(stop);
    loop {
        tokio::select! {
            () = &mut stop => break,
            accepted = listener.accept() => match accepted {
                Ok((stream, from)) => {
                    // Refused by being closed: an answer would cost what is to be spared.
                    let Some(place) = gate.enter(from.ip()) else { continue };
                    let service = TowerToHyperService::new(router.clone());
                    let connection = http.serve_connection(bounded(stream, limits.write_timeout), service);
                    let connection = running.watch(connection);
                    connections.spawn(async move {
                        if let Err(error) = connection.await {
                            tracing::debug!(%from, %error, "a connection over HTTP ended");
                        }
                        drop(place);
                    });
                }
                Err(error) => pause_after(&error).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(listener);
    running.shutdown().await;
}

/// The stream, which fails when nothing of what is written is taken for so long.
fn bounded(stream: TcpStream, write_timeout: Duration) -> TokioIo<std::pin::Pin<Box<TimeoutStream<TcpStream>>>> {
    // What is ready goes at once: answers are written as a whole.
    _ = stream.set_nodelay(true);
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(write_timeout));
    TokioIo::new(Box::pin(stream))
}

/// Whoever gave up before being accepted is no reason to wait. Without file descriptors there is nothing to do but to wait for some.
async fn pause_after(error: &io::Error) {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    if !matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset) {
        tracing::warn!(%error, "no connection over HTTP can be accepted");
        tokio::time::sleep(policy::HTTP_ACCEPT_PAUSE).await;
    }
}

/// Counts who is in.
#[derive(Clone)]
struct Gate {
    limits: Limits,
    inside: Arc<Mutex<Inside>>,
}

#[derive(Default)]
struct Inside {
    all: usize,
    /// Only sources that have a connection: at most as many as there are connections.
    by_source: HashMap<IpAddr, usize>,
}

/// A place inside, until it is dropped.
struct Place {
    gate: Gate,
    /// None: it counts only among all.
    source: Option<IpAddr>,
}

impl Gate {
    fn new(limits: Limits) -> Self {
        Self { limits, inside: Arc::default() }
    }

    /// A place for whoever comes from there, if there is one.
    fn enter(&self, from: IpAddr) -> Option<Place> {
        let source = source(from);
        let source = (!self.limits.spares_loopback || !source.is_loopback()).then_some(source);
        let mut inside = self.inside();
        let of_source = source.and_then(|source| inside.by_source.get(&source)).copied().unwrap_or(0);
        if inside.all >= self.limits.connections || of_source >= self.limits.per_source {
            return None;
        }
        inside.all += 1;
        if let Some(source) = source {
            inside.by_source.insert(source, of_source + 1);
        }
        Some(Place { gate: self.clone(), source })
    }

    fn inside(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut inside = self.gate.inside();
        inside.all -= 1;
        if let Some(source) = self.source
            && let Some(count) = inside.by_source.get_mut(&source)
        {
            *count -= 1;
            if *count == 0 {
                inside.by_source.remove(&source);
            }
        }
    }
}

/// Whom an address counts for. Whoever has one IPv6 address has the whole /64 network.
fn source(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) if !address.is_loopback() => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)))
        }
        address => address,
    }
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
