//! Lookups and announcements in networks of up to a thousand relays, some of them dead: `network [JSON FILE] [SIZES]`. Prints a table.

use std::path::Path;
use std::time::Duration;

use anyhow::Result;
use ggen_bench::network::{Duplicates, Measured, Network};
use ggen_bench::report::{self, Row, quantile};
use ggen_net::P2PConfig;

/// Sizes of networks. Goals for times are of the second.
const SIZES: [usize; 4] = [100, 200, 500, 1000];
const TIMED: usize = 200;
/// How often connections of larger ones are pinged, for whose times there is no goal: tens of thousands of them would keep two cores busy with
/// nothing else. Who is dead is noticed later for it.
const SELDOM: Duration = Duration::from_secs(300);
/// Per cent of the peers that are dead.
const DEAD: [usize; 3] = [0, 20, 50];
/// No time is reported of a run that kept all cores together busier than this: it would be the machine's, not the network's. What else the machine did
/// is told beside it; that can only have made times longer.
const BUSIEST: f64 = 0.8;

#[tokio::main]
async fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let file = arguments.next();
    let sizes: Vec<usize> =
        arguments.next().map_or(Ok(SIZES.into()), |sizes| sizes.split(',').map(str::parse).collect())?;
    let duplicates = Duplicates::listen();
    let mut rows = Vec::new();
    let mut hops = Vec::new();
    for size in sizes {
        println!("{size} relays join: {}", report::load()?);
        let joined = std::time::Instant::now();
        let mut network =
            Network::start(size, if size > TIMED { SELDOM } else { P2PConfig::default().ping_interval }).await?;
        println!("{size} relays have joined and settled: {:.0} s", joined.elapsed().as_secs_f64());
        for dead in DEAD {
            network.kill(dead);
            let mut measured = network.measure(&duplicates).await?;
            if dead == 0 {
                hops.push((size, measured.hops));
            }
            let new = rows_of(&mut measured);
            report::publish(&new, None)?;
            rows.extend(new);
        }
    }
    let of = |size: usize| hops.iter().find(|(other, _)| *other == size).map(|(_, hops)| *hops);
    if let (Some(most), Some(least)) = (of(1000), of(100)) {
        rows.push(Row::new("hops, 1,000 relays less 100", "rounds", most - least, Some(1.5), 1));
    }
    println!();
    report::publish(&rows, file.as_deref().map(Path::new))
}

fn rows_of(measured: &mut Measured) -> Vec<Row> {
    let Measured { peers, dead, .. } = *measured;
    let of = |what: &str| format!("{peers:>4} relays, {dead:>2} % dead: {what}");
    let is_goal = peers == TIMED && dead == 20;
    let lookups = measured.lookup_times.len();
    let mut rows = vec![
        Row::new(of("lookups that succeed"), "share", measured.success, None, lookups),
        Row::new(of("relays asked by a lookup"), "relays", measured.requests, None, lookups),
        Row::new(of("hops by the tables"), "rounds", measured.hops, None, 1),
        Row::new(of("peers that one is connected to"), "peers", measured.connected, None, 1),
        Row::new(of("reach of an announcement"), "share", measured.reach, None, measured.delivery_times.len()),
        Row::new(of("duplicates of an announcement per relay"), "copies", measured.duplicates, None, 1),
    ];
    let parts = [
        ("lookup", &mut measured.lookup_times, 0.95, 800.0, 0),
        ("announcement", &mut measured.delivery_times, 0.99, 2000.0, 1),
    ];
    for (what, times, part, goal, phase) in parts {
        let (busy, own) = (measured.busy[phase], measured.own[phase]);
        rows.push(Row::new(of(&format!("cores busy with {what}s")), "of 1", own, None, 1));
        rows.push(Row::new(of(&format!("cores busy with anything, {what}s")), "of 1", busy, None, 1));
        if own > BUSIEST {
            println!("{}", of(&format!("no times of {what}s: it kept the cores busy to {:.0} %", own * 100.0)));
            continue;
        }
        let count = times.len();
        rows.push(Row::new(of(&format!("{what}, p50")), "ms", quantile(times, 0.5), None, count));
        let name = of(&format!("{what}, p{:.0}", part * 100.0));
        rows.push(Row::new(name, "ms", quantile(times, part), is_goal.then_some(goal), count));
    }
    rows
}
