//! Answers of a relay, and what a client makes of them: how large, how fast.

use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use ggen_bench::queries::QUERIES;
use ggen_bench::report::{Row, cpu_time, median_time, quantile, rss, timed};
use ggen_bench::{committed, network};
use ggen_shared::catalogue::snapshots::Snapshots;
use ggen_shared::catalogue::{Catalogue, answer};
use ggen_shared::codec;
use ggen_shared::limits::MAX_ANSWER_BYTES;
use ggen_shared::protocol::query::{RangeOf, Refusal, Search, SearchAnswer};
use ggen_shared::rules::Rules;
use ggen_shared::search::verified::{Asked, verify_search};

/// Measures.
pub(crate) fn measure(catalogue: &mut Catalogue, rows: &mut Vec<Row>) -> Result<()> {
    let (snapshots, relay) = committed(catalogue);
    let network = network();
    let asked = Asked { network: &network, relay: &relay, epoch: 1, rules: Rules::FIRST };
    cold(catalogue, &snapshots, rows)?;
    pack(catalogue, rows)?;
    two_words(catalogue, &snapshots, &asked, rows)?;
    prefixes(catalogue, &snapshots, rows)?;
    throughput(catalogue, &snapshots, rows)
}

/// The first answers after a start: what they are made of is not packed yet.
fn cold(catalogue: &Catalogue, snapshots: &Snapshots, rows: &mut Vec<Row>) -> Result<()> {
    let mut times = Vec::new();
    for text in QUERIES {
        let (reply, took) = timed(|| answer::search(catalogue, snapshots, &question(text)));
        reply.map_err(|refusal| anyhow::anyhow!("{refusal}"))?;
        times.push(took.as_secs_f64() * 1000.0);
    }
    let runs = QUERIES.len();
    rows.push(Row::new("the same right after a start, p50", "ms", quantile(&mut times, 0.5), Some(1.0), runs));
    rows.push(Row::new("the same right after a start, p99", "ms", quantile(&mut times, 0.99), Some(10.0), runs));
    Ok(())
}

/// What a relay does in the background once it has started.
fn pack(catalogue: &Catalogue, rows: &mut Vec<Row>) -> Result<()> {
    let (memory, cpu) = (rss()?, cpu_time()?);
    let mut records = 0;
    for record in catalogue.records() {
        record.bytes().packed();
        records += 1;
    }
    rows.push(Row::new("pack all records, time of one core", "s", cpu_time()? - cpu, None, records));
    rows.push(Row::new("memory of packed records", "MiB", (rss()? - memory) / 1024.0, None, records));
    Ok(())
}

fn question(text: &str) -> Search {
    Search { text: text.into(), limit: 20, cursor: None, ..Search::default() }
}

fn two_words(catalogue: &Catalogue, snapshots: &Snapshots, asked: &Asked<'_>, rows: &mut Vec<Row>) -> Result<()> {
    let (mut sizes, mut answer_times, mut verify_times, mut hits) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let (mut sizes_alone, mut times_alone, mut compare_sizes) = (Vec::new(), Vec::new(), Vec::new());
    for text in QUERIES {
        let question = question(text);
        // As a relay answers that has time for it.
        let joined = || {
            let mut answer = answer::search(catalogue, snapshots, &question)?;
            answer.records.join();
            Ok(answer)
        };
        let (reply, took) = median_time(7, joined);
        let bytes = codec::encode(&reply.map_err(|refusal: Refusal| anyhow::anyhow!("{refusal}"))?);
        sizes.push(bytes.len() as f64 / 1000.0);
        answer_times.push(took);
        let (reply, took) = median_time(7, || answer::search(catalogue, snapshots, &question));
        let bytes_alone = codec::encode(&reply.map_err(|refusal| anyhow::anyhow!("{refusal}"))?);
        sizes_alone.push(bytes_alone.len() as f64 / 1000.0);
        times_alone.push(took);
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
    rows.push(Row::new("the same with records not joined, p50", "kB", quantile(&mut sizes_alone, 0.5), None, runs));
    rows.push(Row::new("the same with records not joined, p50", "ms", quantile(&mut times_alone, 0.5), None, runs));
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

fn throughput(catalogue: &Catalogue, snapshots: &Snapshots, rows: &mut Vec<Row>) -> Result<()> {
    let (start, cpu) = (Instant::now(), cpu_time()?);
    let mut answers = 0_u32;
    while start.elapsed() < Duration::from_secs(4) {
        let question = question(QUERIES[answers as usize % QUERIES.len()]);
        let reply = answer::search(catalogue, snapshots, &question);
        std::hint::black_box(codec::encode(&reply.map_err(|refusal| anyhow::anyhow!("{refusal}"))?));
        answers += 1;
    }
    // Of the one core that this runs on.
    let per_second = f64::from(answers) / (cpu_time()? - cpu);
    let measure = "proven answers of two words a second and core, not joined";
    rows.push(Row::new(measure, "1/s", per_second, Some(10_000.0), answers as usize));
    Ok(())
}
