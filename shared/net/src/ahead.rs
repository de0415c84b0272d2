//! Answers to what is typed next, asked for before the key is pressed. Whoever types then waits for no relay, however far it is, at most keys; and
//! relays are asked a third more often, not two or three times as often, for what came ahead is not asked for again.

use std::collections::VecDeque;
use std::time::Duration;

use futures::channel::oneshot;
use ggen_shared::protocol::query::{self, Cursor};
use ggen_shared::registry::{Registry, SearchError, SearchOptions, SearchResults};
use ggen_shared::rules::Rules;
use ggen_shared::search::ahead::likely;
use ggen_shared::search::query::Query;

use crate::light::Platform;
use crate::registry::P2PRegistry;

/// How long an answer counts: somebody hesitates, or goes back a letter.
const FRESH: Duration = Duration::from_secs(10);
/// Answers that are kept or awaited, the last ones.
const MAX_KEPT: usize = 16;
/// Questions that are asked ahead at a time: what a relay can have its clients ask others by keeping silent.
const MAX_UNDER_WAY: usize = 4;
/// How long nothing is asked for ahead once something happened that was to be forgotten for: in a network where much does, it would be in vain.
const PAUSE: Duration = Duration::from_secs(1);

/// What was asked for ahead, and what was answered a moment ago. The newest last.
#[derive(Default)]
pub(crate) struct Ahead {
    kept: VecDeque<Kept>,
    /// Answers that were kept or awaited since the beginning.
    count: u64,
    /// Questions that were typed since the beginning.
    typed: u64,
    /// Questions that are asked ahead now.
    under_way: usize,
    /// How often all was forgotten: what was asked for before that is not kept.
    forgotten: u64,
    /// When something last happened that answers may not have.
    happened: Duration,
}

/// The first page of what, in the same words or in others.
#[derive(PartialEq)]
struct Page {
    query: Query,
    limit: u16,
    rules: Rules,
    /// What is recent in one stands on a checkpoint in the next.
    epoch: u64,
}

struct Kept {
    page: Page,
    /// Which of all this is.
    number: u64,
    since: Duration,
    answer: Answer,
}

enum Answer {
    /// It was asked for. Who waits for it; they ask themselves when it does not come.
    Awaited(Vec<oneshot::Sender<SearchResults>>),
    There(Box<SearchResults>),
}

impl Ahead {
    /// The answer to the same, if it is fresh.
    fn find(&mut self, page: &Page, now: Duration) -> Option<&mut Answer> {
        // A clock may be set back.
        self.kept.retain(|kept| now.checked_sub(kept.since).is_some_and(|age| age < FRESH));
        self.kept.iter_mut().find(|kept| kept.page == *page).map(|kept| &mut kept.answer)
    }

    /// Keeps an answer, or that it was asked for, in place of any other to the same. Returns its number.
    fn keep(&mut self, page: Page, now: Duration, answer: Answer) -> u64 {
        self.kept.retain(|kept| kept.page != page);
        if self.kept.len() >= MAX_KEPT {
            self.kept.pop_front();
        }
        self.count += 1;
        self.kept.push_back(Kept { page, number: self.count, since: now, answer });
        self.count
    }

    /// What was asked for ahead is there, or is not to be had.
    fn settle(&mut self, number: u64, results: Option<SearchResults>) {
        self.under_way -= 1;
        let Some(at) = self.kept.iter().position(|kept| kept.number == number) else { return };
        let Some(results) = results else {
            self.kept.remove(at);
            return;
        };
        if let Answer::Awaited(waiting) = &mut self.kept[at].answer {
            for waiting in waiting.drain(..) {
                // It may not wait any more.
                _ = waiting.send(results.clone());
            }
        }
        self.kept[at].answer = Answer::There(Box::new(results));
    }

    /// Whether it is worth to ask ahead.
    fn may_ask(&self, now: Duration) -> bool {
        self.under_way < MAX_UNDER_WAY && now.checked_sub(self.happened).is_none_or(|since| since >= PAUSE)
    }

    /// Forgets all answers. Who waits for one asks itself.
    pub(crate) fn forget(&mut self) {
        self.kept.clear();
        self.forgotten += 1;
    }

    /// Something happened that answers may not have.
    pub(crate) fn note_change(&mut self, now: Duration) {
        self.forget();
        self.happened = now;
    }
}

impl<P: Platform> P2PRegistry<P> {
    /// [`Registry::search`] for somebody who types: what is likely typed next is asked for ahead. An answer may be ten seconds old.
    ///
    /// # Errors
    /// As [`Registry::search`].
    pub async fn search_typed(&self, text: &str, options: SearchOptions) -> Result<SearchResults, SearchError> {
        let question = options.question(text);
        let (query, None) = question.read()? else { return self.search(text, options).await };
        let page = self.page(query, options.limit);
        let (sender, receiver) = oneshot::channel();
        // That nobody can be asked is for people to see.
        let is_alone = self.peer().connected().is_empty();
        let (number, forgotten) = {
            let mut ahead = self.ahead();
            match ahead.find(&page, self.peer().platform().now()).filter(|_| !is_alone) {
                Some(Answer::There(results)) => _ = sender.send((**results).clone()),
                Some(Answer::Awaited(waiting)) => waiting.push(sender),
                None => drop(sender),
            }
            ahead.typed += 1;
            (ahead.typed, ahead.forgotten)
        };
        let results = match receiver.await {
            Ok(results) => {
                let results = as_answer_to(results, &question);
                self.hold(question, &results);
                results
            }
            Err(oneshot::Canceled) => {
                let results = self.search_held(question).await?;
                let mut ahead = self.ahead();
                if is_good(&results) && ahead.forgotten == forgotten {
                    let answer = Answer::There(Box::new(results.clone()));
                    ahead.keep(page, self.peer().platform().now(), answer);
                }
                results
            }
        };
        if !results.offline {
            let (registry, text, found) = (self.clone(), text.to_owned(), results.clone());
            self.peer().platform().spawn(async move {
                // What is there is shown first.
                registry.peer().platform().sleep(Duration::ZERO).await;
                // Whoever types faster than answers come has no use for what they foresee.
                let is_last = {
                    let ahead = registry.ahead();
                    (ahead.typed, ahead.forgotten) == (number, forgotten)
                };
                if is_last {
                    registry.ask_ahead(&text, &options, &found);
                }
            });
        }
        Ok(results)
    }

    fn ask_ahead(&self, text: &str, options: &SearchOptions, results: &SearchResults) {
        let found = results.hits.iter().flatten().map(|hit| &*hit.release);
        let now = self.peer().platform().now();
        for text in likely(text, found) {
            let question = options.question(&text);
            let Ok((query, _)) = question.read() else { continue };
            let page = self.page(query, options.limit);
            let mut ahead = self.ahead();
            if !ahead.may_ask(now) || ahead.find(&page, now).is_some() {
                continue;
            }
            ahead.under_way += 1;
            let number = ahead.keep(page, now, Answer::Awaited(Vec::new()));
            drop(ahead);
            let registry = self.clone();
            self.peer().platform().spawn(async move {
                let results = registry.find(&question).await;
                registry.ahead().settle(number, results.ok().filter(is_good));
            });
        }
    }

    fn page(&self, query: Query, limit: u16) -> Page {
        Page { query, limit, rules: self.peer().rules(), epoch: self.peer().epoch() }
    }
}

/// Whether it is worth to be kept: what was refused is asked for again, and may come from another relay.
fn is_good(results: &SearchResults) -> bool {
    !results.offline && results.hits.iter().all(Result::is_ok)
}

/// The next page is asked for as one of the text that stands there now, which may be written otherwise.
fn as_answer_to(results: SearchResults, question: &query::Search) -> SearchResults {
    let cursor = results.cursor.as_deref().and_then(|cursor| Cursor::from_bytes(cursor));
    let cursor = cursor.map(|cursor| Cursor { query: question.tag(), ..cursor }.to_bytes());
    SearchResults { cursor, ..results }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "tests")]
    use super::*;

    fn page(text: &str) -> Page {
        Page { query: Query::parse(text).unwrap(), limit: 20, rules: Rules::FIRST, epoch: 7 }
    }

    fn keep(ahead: &mut Ahead, text: &str, seconds: u64) {
        ahead.keep(page(text), Duration::from_secs(seconds), Answer::Awaited(Vec::new()));
    }

    fn has(ahead: &mut Ahead, page: &Page, seconds: u64) -> bool {
        ahead.find(page, Duration::from_secs(seconds)).is_some()
    }

    #[test]
    fn an_answer_is_found_by_its_query_however_it_is_written_and_by_nothing_else() {
        let mut ahead = Ahead::default();
        keep(&mut ahead, "Serde json", 100);
        assert!(has(&mut ahead, &page("serde JSON "), 100));
        assert!(!has(&mut ahead, &page("serde jso"), 100));
        assert!(!has(&mut ahead, &Page { limit: 10, ..page("serde json") }, 100), "a shorter page");
        let other = Rules { number: 2, ..Rules::FIRST };
        assert!(!has(&mut ahead, &Page { rules: other, ..page("serde json") }, 100), "by other rules");
        assert!(!has(&mut ahead, &Page { epoch: 8, ..page("serde json") }, 100), "a minute later");
    }

    #[test]
    fn an_answer_counts_for_some_seconds() {
        let mut ahead = Ahead::default();
        keep(&mut ahead, "serde", 100);
        let fresh = FRESH.as_secs();
        assert!(has(&mut ahead, &page("serde"), 100 + fresh - 1));
        assert!(!has(&mut ahead, &page("serde"), 100 + fresh));
        assert!(!has(&mut ahead, &page("serde"), 100), "it is gone");
        keep(&mut ahead, "serde", 100);
        assert!(!has(&mut ahead, &page("serde"), 99), "the clock was set back");
    }

    #[test]
    fn little_is_asked_ahead_at_a_time_and_nothing_where_much_happens() {
        let mut ahead = Ahead::default();
        let now = Duration::from_secs(100);
        for _ in 0..MAX_UNDER_WAY {
            assert!(ahead.may_ask(now));
            ahead.under_way += 1;
        }
        assert!(!ahead.may_ask(now));
        ahead.settle(0, None);
        assert!(ahead.may_ask(now));
        ahead.note_change(now);
        assert!(!ahead.may_ask(now) && ahead.may_ask(now + PAUSE));
        assert!(ahead.may_ask(Duration::from_secs(1)), "the clock was set back");
    }

    #[test]
    fn each_is_kept_once_and_the_last_ones_only() {
        let mut ahead = Ahead::default();
        for number in 0..=MAX_KEPT {
            keep(&mut ahead, &format!("word{number}"), 100);
            keep(&mut ahead, &format!("word{number}"), 100);
        }
        assert_eq!(ahead.kept.len(), MAX_KEPT);
        assert!(!has(&mut ahead, &page("word0"), 100));
        assert!(has(&mut ahead, &page("word1"), 100) && has(&mut ahead, &page(&format!("word{MAX_KEPT}")), 100));
        ahead.forget();
        assert_eq!(ahead.kept.len(), 0);
    }
}
