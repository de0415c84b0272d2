//! Queries with the packages that a person expects, and how well answers meet them.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use anyhow::{Context, Result, bail};

/// How many results a person looks at.
const LOOKED_AT: usize = 5;

/// Half of the queries may be looked at while ranking is worked on; the other half says how well it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    /// To work with.
    Tune,
    /// Held out.
    Held,
}

/// A query and the packages of which one at least should be among the first.
#[derive(Debug, Clone)]
pub struct Query {
    /// Which packages it is asked of.
    pub corpus: String,
    /// Which half it is of.
    pub half: Half,
    /// What is typed.
    pub text: String,
    /// Names of packages.
    pub expected: Vec<String>,
}

/// Reads a file of lines of four columns, separated by tabs: corpus, half, query, expected names with commas.
///
/// # Errors
/// When a line is none.
pub fn read(path: &Path) -> Result<Vec<Query>> {
    let text = fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let query = |line: &str| {
        let columns: Vec<&str> = line.split('\t').collect();
        let [corpus, half, text, expected] = columns[..] else { bail!("not four columns: {line}") };
        let half = match half {
            "tune" => Half::Tune,
            "held" => Half::Held,
            _ => bail!("neither `tune` nor `held`: {line}"),
        };
        // As package names are written here.
        let expected = expected.split(',').map(|name| name.trim().to_lowercase().replace('+', "p")).collect();
        Ok(Query { corpus: corpus.into(), half, text: text.into(), expected })
    };
    text.lines().skip(1).filter(|line| !line.trim().is_empty()).map(query).collect()
}

impl Query {
    /// Whether any expected package is there to be found.
    pub fn can_be_met(&self, names: &BTreeSet<String>) -> bool {
        self.expected.iter().any(|name| names.contains(name))
    }

    /// The place of the first expected package in an answer, from 1.
    pub fn place(&self, answer: &[String]) -> Option<usize> {
        answer.iter().position(|name| self.expected.contains(name)).map(|at| at + 1)
    }
}

/// How well answers to several queries do.
#[derive(Debug, Clone, Copy, Default)]
pub struct Score {
    queries: usize,
    successes: usize,
    reciprocals: f64,
}

impl Score {
    /// Counts one more query, by the place of what was expected.
    pub fn count(&mut self, place: Option<usize>) {
        self.queries += 1;
        self.successes += usize::from(place.is_some_and(|place| place <= LOOKED_AT));
        self.reciprocals += place.map_or(0.0, |place| 1.0 / place as f64);
    }

    /// Counts what another score has counted.
    pub fn add(&mut self, other: Self) {
        self.queries += other.queries;
        self.successes += other.successes;
        self.reciprocals += other.reciprocals;
    }

    /// Queries that were counted.
    pub const fn queries(&self) -> usize {
        self.queries
    }

    /// The share of queries with an expected package among the first five.
    pub fn success(&self) -> f64 {
        self.successes as f64 / self.queries as f64
    }

    /// The mean of one divided by the place of the first expected package; of 20 results.
    pub fn mean_reciprocal_rank(&self) -> f64 {
        self.reciprocals / self.queries as f64
    }
}
