//! From records to the map: all at once, one after the other, and again after a restart.

use anyhow::{Context, Result};
use ggen_bench::report::{Row, cpu_time, quantile, rss, timed};
use ggen_bench::{Publisher, another_version, verified_catalogue};
use ggen_shared::catalogue::Catalogue;
use ggen_shared::catalogue::build::Builder;
use ggen_shared::record::Record;

/// Measures, and gives the catalogue with all of it.
pub(crate) fn measure(publishers: &mut [Publisher], all: &[Record], rows: &mut Vec<Row>) -> Result<Catalogue> {
    let bytes: Vec<Vec<u8>> = all.iter().map(|record| record.bytes().to_vec()).collect();
    println!("{} kB of records", bytes.iter().map(Vec::len).sum::<usize>() / 1000);

    let (before, cpu) = (rss()?, cpu_time()?);
    let (catalogue, derived) = timed(|| {
        let mut builder = Builder::new();
        for record in all.iter().cloned() {
            builder.insert(record)?;
        }
        let catalogue = builder.finish();
        catalogue.root();
        anyhow::Ok(catalogue)
    });
    let mut catalogue = catalogue?;
    let (memory, cpu) = (rss()? - before, cpu_time()? - cpu);
    println!("{} entries", catalogue.map().len());
    rows.push(Row::new("derive the whole map", "s", derived.as_secs_f64(), Some(4.0), 1));
    rows.push(Row::new("derive the whole map, time of all cores", "s", cpu, None, 1));
    rows.push(Row::new("memory of records and map", "MiB", memory / 1024.0, Some(700.0), 1));

    let cpu = cpu_time()?;
    let (loaded, took) = timed(|| verified_catalogue(bytes.iter().map(Vec::as_slice)).map(|loaded| loaded.root()));
    let cpu = cpu_time()? - cpu;
    anyhow::ensure!(loaded? == catalogue.root(), "what is loaded is what was there");
    rows.push(Row::new("restart: verify and derive again", "s", took.as_secs_f64(), Some(8.0), 1));
    rows.push(Row::new("restart, time of all cores", "s", cpu, None, 1));

    // Another version of every hundredth package, and of the one that most depend on.
    let mut inserts = Vec::new();
    for at in (0..all.len()).step_by(100) {
        let Record::Release(release) = &all[at] else { continue };
        let publisher = publishers.iter_mut().find(|one| one.id() == release.publisher).context("its publisher")?;
        let newer = another_version(publisher, release, "2.0.0")?;
        let (inserted, took) = timed(|| catalogue.insert(Record::Release(Box::new(newer))));
        inserted?;
        inserts.push(took.as_secs_f64() * 1000.0);
    }
    let runs = inserts.len();
    rows.push(Row::new("insert a release, p50", "ms", quantile(&mut inserts, 0.5), Some(1.0), runs));
    rows.push(Row::new("insert a release, p99", "ms", quantile(&mut inserts, 0.99), Some(5.0), runs));
    let (_, took) = timed(|| catalogue.root());
    rows.push(Row::new("hash what so many inserts changed", "ms", took.as_secs_f64() * 1000.0, None, 1));
    Ok(catalogue)
}
