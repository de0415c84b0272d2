//! What an operator watches: `/metrics`, in the text format of OpenMetrics that Prometheus reads.

use std::fmt;
use std::sync::Arc;

use axum::extract::State as Extract;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use ggen_net::light::Platform;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;
use tokio::sync::watch;

use crate::Local;
use crate::admission::Shelf;
use crate::market::peer::Tokio;
use crate::meter::Meter;
use crate::node::Status;

/// The text format of OpenMetrics.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is looked at when somebody asks.
#[derive(Clone)]
pub(crate) struct Metrics {
    pub(crate) meter: Arc<Meter>,
    pub(crate) shelf: Arc<Shelf>,
    pub(crate) registry: Local,
    pub(crate) status: watch::Receiver<Status>,
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

/// `/metrics`. It looks at counts, and waits for nobody but whoever writes to the catalogue at the moment.
pub(crate) async fn get(Extract(metrics): Extract<Metrics>) -> Response {
    let shown = tokio::task::spawn_blocking(move || metrics.show()).await;
    match shown {
        Ok(Ok(shown)) => ([(header::CONTENT_TYPE, OPEN_METRICS)], shown).into_response(),
        Ok(Err(_)) | Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

impl Metrics {
    fn show(self) -> Result<String, fmt::Error> {
        let mut registry = Registry::with_prefix("ggen_relay");
        registry.register_collector(Box::new(self));
        let mut shown = String::new();
        text::encode(&mut shown, &registry)?;
        Ok(shown)
    }

    /// What is as large as it is now: name, meaning, value.
    fn gauges(&self) -> [(&'static str, &'static str, i64); 5] {
        let (records, excluded) = {
            let catalogue = self.shelf.catalogue();
            (catalogue.record_count(), catalogue.exclusions().len())
        };
        let epoch = self.shelf.snapshots().latest().map_or(0, |latest| latest.checkpoint.epoch);
        let peers = self.status.borrow().connected;
        let evidence = self.registry.evidence_count();
        let of = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
        [
            ("peers", "Peers that are connected", of(peers)),
            ("records", "Records that are held", of(records)),
            ("exclusions", "Releases and publishers that the operator excludes", of(excluded)),
            ("evidence", "Pieces of evidence that are kept against other relays", of(evidence)),
            ("checkpoint_epoch", "The epoch of the last checkpoint", i64::try_from(epoch).unwrap_or(i64::MAX)),
        ]
    }
}

impl Collector for Metrics {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        for (name, help, value) in self.gauges() {
            let metric = encoder.encode_descriptor(name, help, None, MetricType::Gauge)?;
            ConstGauge::new(value).encode(metric)?;
        }
        let help = "What the relay thinks of the peers that it has asked, from 0 to 1; 0.5 is a stranger's";
        let mut family = encoder.encode_descriptor("reputation", help, None, MetricType::Gauge)?;
        let now = Tokio::default().now();
        // As many as are remembered, which is bounded.
        for (peer, reputation) in self.registry.reputations() {
            let labels = [("peer", peer.to_string())];
            ConstGauge::new(reputation.score(now)).encode(family.encode_family(&labels)?)?;
        }
        let help = "Bytes that streams carried, by their protocol";
        let mut family = encoder.encode_descriptor("stream_bytes", help, None, MetricType::Counter)?;
        for (protocol, received, sent) in self.meter.read() {
            for (direction, bytes) in [("received", received), ("sent", sent)] {
                let labels = [("protocol", protocol), ("direction", direction)];
                ConstCounter::new(bytes).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}
