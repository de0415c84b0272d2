//! What was measured, as a table for people and as JSON for programs.

use std::fmt;

use anyhow::Result;
use serde_json::{Value, json};

use crate::kinds::{Kind, Over, can_go_direct};
use crate::programs::Fetched;

/// The tries of one pair.
pub(crate) struct Row {
    over: Over,
    serves: Kind,
    fetches: Kind,
    fetched: Vec<Fetched>,
    failed: Vec<String>,
}

impl Row {
    pub(crate) const fn new(over: Over, serves: Kind, fetches: Kind) -> Self {
        Self { over, serves, fetches, fetched: Vec::new(), failed: Vec::new() }
    }

    pub(crate) fn note(&mut self, fetched: Result<Fetched>) {
        match fetched {
            Ok(fetched) => self.fetched.push(fetched),
            Err(error) => self.failed.push(format!("{error:#}")),
        }
    }

    pub(crate) const fn key(&self) -> (Over, Kind, Kind) {
        (self.over, self.serves, self.fetches)
    }

    fn tries(&self) -> usize {
        self.fetched.len() + self.failed.len()
    }

    fn direct(&self) -> usize {
        self.fetched.iter().filter(|fetched| fetched.is_direct).count()
    }

    fn expected(&self) -> (bool, &'static str) {
        can_go_direct(self.over, self.serves, self.fetches)
    }

    fn median(&self, of: impl Fn(&Fetched) -> f64) -> f64 {
        let mut all: Vec<f64> = self.fetched.iter().map(of).collect();
        all.sort_by(f64::total_cmp);
        all.get(all.len() / 2).copied().unwrap_or(f64::NAN)
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (can, why) = self.expected();
        write!(
            f,
            "{:<6}{:<17}{:<17}{:<7}{:>3} of {:<4}{:>3} of {:<4}{:>7.2}{:>7.2}   {why}",
            self.over.name(),
            self.serves.name(),
            self.fetches.name(),
            if can { "yes" } else { "no" },
            self.direct(),
            self.tries(),
            self.fetched.len() - self.direct(),
            self.tries(),
            self.median(|fetched| fetched.first_block_seconds),
            self.median(|fetched| fetched.seconds),
        )
    }
}

pub(crate) fn print(rows: &[Row], browser: &Result<f64>) {
    println!(
        "\nSeconds until the first block came, and all of them; between hosts there is no distance, and 15 Mbit/s out of each."
    );
    println!(
        "{:<6}{:<17}{:<17}{:<7}{:<11}{:<11}{:>6}{:>7}   because",
        "over", "serves", "fetches", "direct", "went so", "by relay", "first", "all s"
    );
    rows.iter().for_each(|row| println!("{row}"));
    match browser {
        Ok(seconds) => println!("a page fetched what only a peer behind a symmetric router has in {seconds:.2} s"),
        Err(error) => println!("a page could not fetch what only a peer behind a symmetric router has: {error:#}"),
    }
    println!();
}

pub(crate) fn json(rows: &[Row], browser: &Result<f64>) -> Value {
    let row = |row: &Row| {
        let (can_go_direct, because) = row.expected();
        json!({
            "over": row.over.name(),
            "serves": row.serves.name(),
            "fetches": row.fetches.name(),
            "can_go_direct": can_go_direct,
            "because": because,
            "tries": row.tries(),
            "direct": row.direct(),
            "through_relay": row.fetched.len() - row.direct(),
            "failed": row.failed,
            "first_block_seconds": row.fetched.iter().map(|it| it.first_block_seconds).collect::<Vec<_>>(),
            "seconds": row.fetched.iter().map(|it| it.seconds).collect::<Vec<_>>(),
        })
    };
    json!({
        "pairs": rows.iter().map(row).collect::<Vec<_>>(),
        "browser_from_symmetric_seconds": browser.as_ref().ok(),
    })
}

/// What is not as it should be.
pub(crate) fn faults(rows: &[Row], browser: &Result<f64>) -> Vec<String> {
    let mut faults: Vec<String> =
        browser.as_ref().err().map(|error| format!("the page: {error:#}")).into_iter().collect();
    for row in rows {
        let pair = format!("{} from {} to {}", row.over.name(), row.serves.name(), row.fetches.name());
        faults.extend(row.failed.iter().map(|why| format!("{pair}: the package was not exchanged: {why}")));
        let (can, why) = row.expected();
        if !can && row.direct() > 0 {
            faults.push(format!("{pair}: {} tries went direct, which can't be: {why}", row.direct()));
        }
        if can && row.direct() * 10 < row.tries() * 9 {
            let (direct, tries) = (row.direct(), row.tries());
            faults.push(format!("{pair}: {direct} of {tries} tries went direct, and 9 of 10 should"));
        }
    }
    faults
}
