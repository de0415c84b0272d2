//! How far a download is, at a terminal only.

use ggen_net::bitswap::{Event, NoBlocks, NoGateways};
use ggen_net::light::{FetchError, LightPeer};
use ggen_relay::market::peer::Tokio;
use ggen_shared::record::Content;
use indicatif::{ProgressBar, ProgressStyle};

/// A bar for so many bytes, with a message behind it.
pub(crate) fn bar(bytes: u64) -> ProgressBar {
    let style =
        ProgressStyle::with_template("{bar:30} {bytes} of {total_bytes} {msg}").expect("a template of known keys");
    ProgressBar::new(bytes).with_style(style)
}

/// Fetches content, and adds what has come of it to a bar; all of it if it ends well.
///
/// # Errors
/// [`FetchError`]. What was added stays.
pub(crate) async fn fetch(peer: &LightPeer<Tokio>, content: Content, bar: &ProgressBar) -> Result<Vec<u8>, FetchError> {
    let mut shown = 0;
    let mut show = |done: u64| {
        bar.inc(done.saturating_sub(shown));
        shown = shown.max(done);
    };
    let fetched = peer
        .fetch_with(content, (&NoBlocks, &NoGateways), |event| {
            if let Event::Progress(progress) = event {
                show(progress.done);
            }
        })
        .await?;
    show(content.size);
    Ok(fetched)
}
