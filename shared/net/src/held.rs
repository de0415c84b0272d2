//! What a client holds of answers that it verified, to show it while no relay can be asked, and to say so.

use std::collections::VecDeque;

use ggen_shared::protocol::query;
use ggen_shared::registry::{Found, SearchResults};

/// Packages that are held, the last ones that were looked up: each is some kilobytes, of many versions a hundred.
const MAX_PACKAGES: usize = 64;
/// Pages of results that are held, the last ones.
const MAX_SEARCHES: usize = 32;

/// Answers, the newest last.
#[derive(Default)]
pub(crate) struct Held {
    packages: VecDeque<(query::Package, Found)>,
    searches: VecDeque<(query::Search, SearchResults)>,
}

impl Held {
    /// Keeps what was found of a package.
    pub(crate) fn keep_package(&mut self, question: &query::Package, found: &Found) {
        if shows(found, question) {
            keep(&mut self.packages, MAX_PACKAGES, question.clone(), found.clone());
        }
    }

    /// What was found: for this version, or by the list of all of them if it has it.
    pub(crate) fn package(&self, question: &query::Package) -> Option<Found> {
        let all = query::Package { version: None, ..question.clone() };
        let held = |question| self.packages.iter().find(|(held, _)| held == question).map(|(_, found)| found);
        let found = [question, &all].into_iter().filter_map(held).find(|found| shows(found, question))?;
        Some(Found { offline: true, ..found.clone() })
    }

    /// Keeps a page of results.
    pub(crate) fn keep_search(&mut self, question: query::Search, results: &SearchResults) {
        keep(&mut self.searches, MAX_SEARCHES, question, results.clone());
    }

    /// The page that was found.
    pub(crate) fn search(&self, question: &query::Search) -> Option<SearchResults> {
        let (_, results) = self.searches.iter().find(|(held, _)| held == question)?;
        Some(SearchResults { offline: true, ..results.clone() })
    }
}

/// Whether something was found of what is asked for: that nothing was says nothing of what came since.
fn shows(found: &Found, question: &query::Package) -> bool {
    let mut releases = found.package.iter().flat_map(|package| &package.releases);
    releases.any(|release| question.version.as_ref().is_none_or(|version| release.version == *version))
}

fn keep<Q: PartialEq, A>(held: &mut VecDeque<(Q, A)>, limit: usize, question: Q, answer: A) {
    held.retain(|(known, _)| *known != question);
    if held.len() >= limit {
        held.pop_front();
    }
    held.push_back((question, answer));
}
