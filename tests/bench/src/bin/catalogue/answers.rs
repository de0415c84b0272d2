//! Answers of a relay, and what a client makes of them: how large, how fast.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ggen_bench::queries::QUERIES;
use ggen_bench::report::{Row, median_time, quantile};
use ggen_bench::{committed, network};
use ggen_shared::catalogue::snapshots::Snapshots;
use ggen_shared::catalogue::{Catalogue, answer};
use ggen_shared::codec;
use ggen_shared::limits::MAX_ANSWER_BYTES;
use ggen_shared::protocol::query::{RangeOf, Search, SearchAnswer};
use ggen_shared::search::verified::{Asked, verify_search};

/// Measures.
pub(crate) fn measure(catalogue: &mut Catalogue, rows: &mut Vec<Row>) -> Result<()> {
    let (snapshots, relay) = committed(catalogue)?;
    let network = network();
    let asked = Asked { network: &network, relay: &relay, epoch: 1 };
    two_words(catalogue, &snapshots, &asked, rows)?;
    prefixes(catalogue, &snapshots, rows)?;
    throughput(catalogue, &snapshots, rows);
    Ok(())
}

fn question(text: &str) -> Search {
    Search { text: text.into(), limit: 20, cursor: None, ..Search::default() }
}

fn two_words(catalogue: &Catalogue, snapshots: &Snapshots, asked: &Asked<'_>, rows: &mut Vec<Row>) -> Result<()> {
    let (mut sizes, mut answer_times, mut verify_times, mut hits) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut compare_sizes = Vec::new();
    for text in QUERIES {
        let question = question(text);
        let (reply, took) = median_time(7, || answer::search(catalogue, snapshots, &question));
        let bytes = codec::encode(&reply.map_err(|refusal| anyhow::anyhow!("{refusal}"))?);
        sizes.push(bytes.len() as f64 / 1000.0);
        answer_times.push(took);
        let read = || codec::read::<SearchAnswer>(&bytes, MAX_ANSWER_BYTES);
        let (verified, took) = median_time(3, || anyhow::Ok(verify_search(&question, read()?, asked)?));
        let verified = verified?;
        anyhow::ensure!(verified.hits.iter().all(Result::is_ok), "an honest answer is refused");
        hits.push(verified.hits.len() as f64);
        verify_times.push(took);
        let proven = verified.proven.context("it stands on a proof")?;
        let range = answer::range(snapshots, &RangeOf::first(&proven.range, 0));
        compare_sizes
            .push(codec::encode(&range.map_err(|refusal| anyhow::anyhow!("{refusal}"))?).len() as f64 / 1000.0);
    }
    let runs = QUERIES.len();
    rows.push(Row::new("results of two words, mean", "packages", hits.iter().sum::<f64>() / runs as f64, None, runs));
    rows.push(Row::new("answer of two words, p50", "kB", quantile(&mut sizes, 0.5), Some(16.0), runs));
    rows.push(Row::new("answer of two words, p95", "kB", quantile(&mut sizes, 0.95), Some(48.0), runs));
    rows.push(Row::new("answer of two words, largest", "kB", quantile(&mut sizes, 1.0), Some(64.0), runs));
    rows.push(Row::new("relay's time for two words, p50", "ms", quantile(&mut answer_times, 0.5), Some(1.0), runs));
    rows.push(Row::new("relay's time for two words, p99", "ms", quantile(&mut answer_times, 0.99), Some(10.0), runs));
    rows.push(Row::new("read and verify natively, p50", "ms", quantile(&mut verify_times, 0.5), None, runs));
    let compare = quantile(&mut compare_sizes, 0.5);
    rows.push(Row::new("compare the range with one more relay, p50", "kB", compare, Some(2.0), runs));
    Ok(())
}

fn prefixes(catalogue: &Catalogue, snapshots: &Snapshots, rows: &mut Vec<Row>) -> Result<()> {
    let mut keystrokes = Vec::new();
    for text in QUERIES.iter().filter_map(|text| text.split(' ').next()) {
        for end in 1..=text.len().min(6) {
            let question = question(&text[..end]);
            let (reply, took) = median_time(5, || answer::search(catalogue, snapshots, &question));
            reply.map_err(|refusal| anyhow::anyhow!("{refusal}"))?;
            keystrokes.push(took);
        }
    }
    let runs = keystrokes.len();
    rows.push(Row::new("relay's time for a prefix, p50", "ms", quantile(&mut keystrokes, 0.5), Some(1.0), runs));
    Ok(())
}

fn throughput(catalogue: &Catalogue, snapshots: &Snapshots, rows: &mut Vec<Row>) {
    let (count, second) = (Instant::now(), Duration::from_secs(2));
    let mut answers = 0_u32;
    while count.elapsed() < second {
        let question = question(QUERIES[answers as usize % QUERIES.len()]);
        let reply = answer::search(catalogue, snapshots, &question);
        std::hint::black_box(codec::encode(&reply));
        answers += 1;
    }
    let per_second = f64::from(answers) / count.elapsed().as_secs_f64();
    let measure = "proven answers of two words a second and core";
    rows.push(Row::new(measure, "1/s", per_second, Some(10_000.0), answers as usize));
}
