//! Words that are spelled nearly like those of a search that finds little. They are this relay's guess: nothing proves that there are no
//! better ones. A client looks for one of them as for anything else, and what it finds is proven.

mod near;

use std::sync::{Arc, Mutex, PoisonError};

use fst::{IntoStreamer, Set, SetBuilder, Streamer};
use ggen_shared::catalogue::find::{find, walks};
use ggen_shared::catalogue::{Catalogue, Leaf, keys};
use ggen_shared::limits::MAX_SUGGESTIONS;
use ggen_shared::merkle::{Hash, Map};
use ggen_shared::protocol::query::Search;
use ggen_shared::record::{Record, Release};
use ggen_shared::search::analyser::{Token, wholes};
use ggen_shared::search::query::Query;
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use self::near::Near;
use crate::admission::Shelf;
use crate::policy;

/// Fewer results than this may be due to a misspelled word.
pub(crate) const FEW_RESULTS: usize = 3;
/// A word that packages have is a misspelled one only if so many times as many have the other.
const TIMES_AS_MANY: u64 = 10;
/// Letters from which on a word may have two faults; shorter ones are too like others.
const LETTERS_FOR_TWO_FAULTS: usize = 5;
/// Shorter words are not corrected.
const MIN_LETTERS: usize = 3;
/// Words that are looked at for one: of a short word there are hundreds.
const MAX_CANDIDATES: usize = 4096;

/// What suggestions are made from: built when they are first asked for, and again when the catalogue has changed since.
pub(crate) struct Suggester {
    vocabulary: Mutex<Option<Arc<Vocabulary>>>,
    /// One at a time, with the vocabulary being built; who waits too long gets none.
    turn: Arc<Semaphore>,
}

impl Default for Suggester {
    fn default() -> Self {
        Self { vocabulary: Mutex::default(), turn: Arc::new(Semaphore::new(1)) }
    }
}

impl Suggester {
    /// Other spellings of what was asked for, the likeliest first. None when it would take too long.
    pub(crate) async fn suggest(&self, shelf: &Arc<Shelf>, question: &Search) -> Vec<String> {
        let (shelf, question) = (shelf.clone(), question.clone());
        let suggest = async {
            let turn = self.turn.clone().acquire_owned().await.ok()?;
            let (answer, suggestions) = oneshot::channel();
            tokio::task::spawn_blocking(move || {
                shelf.suggester().work(&shelf, &question, answer);
                drop(turn);
            });
            suggestions.await.ok()
        };
        timeout(policy::SUGGESTION_TIMEOUT, suggest).await.ok().flatten().unwrap_or_default()
    }

    fn work(&self, shelf: &Shelf, question: &Search, answer: oneshot::Sender<Vec<String>>) {
        let Some(map) = shelf.snapshots().latest().map(|snapshot| snapshot.map.clone()) else { return };
        let vocabulary = self.known().unwrap_or_else(|| self.build(&map));
        let suggestions = vocabulary.suggest(&map, question, |token| spelling(&shelf.catalogue(), &map, token));
        // Nobody waits any more if it took too long.
        _ = answer.send(suggestions);
        if vocabulary.root != map.root() {
            self.build(&map);
        }
    }

    fn known(&self) -> Option<Arc<Vocabulary>> {
        self.vocabulary.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn build(&self, map: &Map<Leaf>) -> Arc<Vocabulary> {
        let vocabulary = Arc::new(Vocabulary::of(map));
        *self.vocabulary.lock().unwrap_or_else(PoisonError::into_inner) = Some(vocabulary.clone());
        vocabulary
    }
}

/// Every word that packages are found by: some megabytes for hundreds of thousands.
struct Vocabulary {
    root: Hash,
    words: Set<Vec<u8>>,
}

impl Vocabulary {
    fn of(map: &Map<Leaf>) -> Self {
        let mut words = SetBuilder::memory();
        let mut after = keys::terms();
        while let Some((key, _)) = map.iter_after(&keys::terms(), &after).next() {
            let Some(word) = keys::term_of(&key) else { break };
            // They come in the order of their bytes, which is the only thing that a builder refuses.
            _ = words.insert(word);
            after = keys::behind_term(word);
        }
        Self { root: map.root(), words: words.into_set() }
    }

    /// The text with those of its words corrected that hardly any package has, and with which something is found.
    fn suggest(&self, map: &Map<Leaf>, question: &Search, spelled: impl Fn(&Token) -> Option<String>) -> Vec<String> {
        let pieces: Vec<&str> = question.text.split_whitespace().collect();
        let corrections: Vec<Vec<String>> = pieces
            .iter()
            .enumerate()
            .map(|(at, piece)| match &wholes(piece)[..] {
                [word] => self.near(map, word, at + 1 == pieces.len()).iter().filter_map(&spelled).collect(),
                _ => Vec::new(),
            })
            .collect();
        let most = corrections.iter().map(Vec::len).max().unwrap_or_default();
        let text = |choice: usize| {
            let piece = |(piece, others): (&&str, &Vec<String>)| {
                others.get(choice.min(others.len().saturating_sub(1))).map_or_else(|| (*piece).to_owned(), Clone::clone)
            };
            pieces.iter().zip(&corrections).map(piece).collect::<Vec<_>>().join(" ")
        };
        let finds_something = |text: &String| {
            let Ok(query) = Query::new(text, &question.filters, question.order) else { return false };
            let found = walks(map, &query).next().and_then(|walk| find(map, &query, 1, walk, None, |_, _| true));
            found.is_some_and(|found| found.candidates.iter().any(|listed| query.matches(&listed.tokens)))
        };
        (0..most).map(text).filter(finds_something).take(MAX_SUGGESTIONS).collect()
    }

    /// Words that this one may be meant for, the likeliest first: with the fewest faults, then with the same first letter, then those of most
    /// packages. None when packages have the word itself.
    fn near(&self, map: &Map<Leaf>, word: &Token, is_last: bool) -> Vec<Token> {
        let letters = word.as_str().chars().count();
        let has = |word: &Token| map.count(&keys::term(word));
        let own = match is_last && keys::prefix_is_exact(word) {
            true => map.count(&keys::prefix(word)),
            false => has(word),
        };
        if letters < MIN_LETTERS || own >= FEW_RESULTS as u64 {
            return Vec::new();
        }
        let mut found: Vec<(u8, bool, u64, Token)> = Vec::new();
        let most = if letters < LETTERS_FOR_TWO_FAULTS { 1 } else { 2 };
        let mut near = self.words.search_with_state(Near::new(word.as_str(), most)).into_stream();
        for _ in 0..MAX_CANDIDATES {
            let Some((other, state)) = near.next() else { break };
            let Some(other) = std::str::from_utf8(other).ok().and_then(Token::joined) else { continue };
            let begins_otherwise = other.as_str().chars().next() != word.as_str().chars().next();
            let count = has(&other);
            if count >= own * TIMES_AS_MANY && count > 0 && other != *word {
                found.push((state.faults(), begins_otherwise, u64::MAX - count, other));
            }
        }
        found.sort();
        found.into_iter().map(|(.., word)| word).take(MAX_SUGGESTIONS).collect()
    }
}

/// How the first package that has a token spells it: tokens are folded, and names run together.
fn spelling(catalogue: &Catalogue, map: &Map<Leaf>, token: &Token) -> Option<String> {
    let (_, leaf) = map.iter(&keys::term(token)).next()?;
    let release = catalogue.record(&leaf.listed()?.head).and_then(Record::release)?;
    Some(spelled_in(release, token).unwrap_or_else(|| token.as_str().to_owned()))
}

fn spelled_in(release: &Release, token: &Token) -> Option<String> {
    let texts = std::iter::once(release.name.as_str())
        .chain(release.title.as_deref())
        .chain(release.tags.iter().map(String::as_str))
        .chain(release.categories.iter().map(String::as_str))
        .chain([release.description.as_str()]);
    let is_it = |piece: &&str| wholes(piece).as_slice() == std::slice::from_ref(token);
    let is_no_letter = |c: char| !c.is_alphanumeric();
    let names = texts.clone().flat_map(str::split_whitespace).map(|piece| piece.trim_matches(is_no_letter)).find(is_it);
    let spelled = names.or_else(|| texts.flat_map(|text| text.split(is_no_letter)).find(is_it));
    spelled.map(str::to_lowercase)
}

#[cfg(test)]
#[path = "suggest_tests.rs"]
pub(crate) mod tests;
