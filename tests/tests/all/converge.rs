//! Relays come to hold the same, whatever gossip loses and in whatever order records come.

use std::time::Duration;

use ggen_tests::converge::converge;

/// Some hundreds, which is what a dev build does in a minute: `cargo xtask bench sync` publishes 2,000.
const PUBLICATIONS: usize = 300;

#[tokio::test(flavor = "multi_thread")]
async fn five_relays_that_lose_a_third_of_all_announcements_hold_the_same_30_s_after_the_last_publication() {
    let outcome = converge(PUBLICATIONS, 0x0067_6765_6e00_0001).await;
    eprintln!("{outcome:?}");
    assert!(outcome.lost > 0, "it was not lossy");
    assert!(outcome.statuses > 0 && outcome.frozen > 0 && outcome.void > 0, "{outcome:?}");
    assert!(outcome.converging < Duration::from_secs(30), "{outcome:?}");
}
