//! Which words are a few faults away from one: a letter that is missing, too much or another one, or two beside each other that have changed places.
//!
//! An index of words is walked with the row of the usual table of edit distances that belongs to the letters so far, so that it costs no memory to speak
//! of. A finite automaton of the same is faster to walk with, and takes megabytes and milliseconds to be built for each word.

use fst::Automaton;

/// Matches words that are no more than so many faults away.
pub(super) struct Near {
    letters: Vec<char>,
    most: u8,
}

/// Where the walk is.
#[derive(Clone)]
pub(super) struct State {
    /// Faults between the letters so far and each beginning of the word.
    row: Vec<u8>,
    /// The last letter, and the row before it.
    last: Option<(char, Vec<u8>)>,
    /// Of a letter whose bytes are not all there.
    partial: Vec<u8>,
}

impl State {
    /// Faults between the letters so far and the whole word.
    pub(super) fn faults(&self) -> u8 {
        self.row.last().copied().unwrap_or(u8::MAX)
    }
}

impl Near {
    /// Words as near as that to this one, which has at most 255 letters.
    pub(super) fn new(word: &str, most: u8) -> Self {
        Self { letters: word.chars().take(u8::MAX.into()).collect(), most }
    }

    fn step(&self, State { row, last, .. }: &State, letter: char) -> State {
        let mut next = Vec::with_capacity(row.len());
        next.push(row[0].saturating_add(1));
        for (at, own) in self.letters.iter().enumerate() {
            let other = row[at].saturating_add(u8::from(*own != letter));
            let mut least = other.min(row[at + 1].saturating_add(1)).min(next[at].saturating_add(1));
            if let Some((before, row)) = last
                && at > 0
                && (*own, self.letters[at - 1]) == (*before, letter)
            {
                least = least.min(row[at - 1].saturating_add(1));
            }
            next.push(least);
        }
        State { row: next, last: Some((letter, row.clone())), partial: Vec::new() }
    }
}

impl Automaton for Near {
    type State = State;

    fn start(&self) -> State {
        let row = (0..=self.letters.len()).map(|faults| u8::try_from(faults).unwrap_or(u8::MAX)).collect();
        State { row, last: None, partial: Vec::new() }
    }

    fn is_match(&self, state: &State) -> bool {
        state.partial.is_empty() && state.faults() <= self.most
    }

    fn can_match(&self, state: &State) -> bool {
        // No later row has less than the least of this one, places changed or not.
        state.row.iter().any(|faults| *faults <= self.most)
    }

    fn accept(&self, state: &State, byte: u8) -> State {
        let mut partial = state.partial.clone();
        partial.push(byte);
        let letter = std::str::from_utf8(&partial).ok().and_then(|text| text.chars().next());
        match letter {
            Some(letter) => self.step(state, letter),
            None => State { partial, ..state.clone() },
        }
    }
}

#[cfg(test)]
mod tests {
    use fst::{IntoStreamer, Set, Streamer};
    use proptest::prelude::*;

    use super::*;

    /// Words that are found, each with its faults.
    fn near(word: &str, most: u8, all: &[&str]) -> Vec<(String, u8)> {
        let mut all = all.to_vec();
        all.sort_unstable();
        all.dedup();
        let all = Set::from_iter(all).expect("in order");
        let mut found = all.search_with_state(Near::new(word, most)).into_stream();
        let mut words = Vec::new();
        while let Some((word, state)) = found.next() {
            words.push((String::from_utf8(word.to_vec()).expect("text"), state.faults()));
        }
        words
    }

    #[test]
    fn each_kind_of_fault_counts_once() {
        let all = ["serde", "sered", "serd", "serdes", "sarde", "serialize", "tokio", "edres"];
        let expected = [("sarde", 1), ("serd", 1), ("serde", 0), ("serdes", 1), ("sered", 1)];
        assert_eq!(near("serde", 1, &all), expected.map(|(word, faults)| (word.to_owned(), faults)));
    }

    #[test]
    fn letters_are_counted_and_not_their_bytes() {
        assert_eq!(near("grüße", 1, &["grüse", "gruße", "grusse", "größe"]).len(), 3);
        assert_eq!(near("日本語", 1, &["日本", "日語本", "本語", "語"]).len(), 3);
    }

    /// The table itself.
    fn distance(one: &[char], other: &[char]) -> usize {
        let mut table = vec![vec![0; other.len() + 1]; one.len() + 1];
        for i in 0..=one.len() {
            for j in 0..=other.len() {
                table[i][j] = match (i, j) {
                    (0, _) => j,
                    (_, 0) => i,
                    _ => {
                        let replaced = table[i - 1][j - 1] + usize::from(one[i - 1] != other[j - 1]);
                        let least = replaced.min(table[i - 1][j] + 1).min(table[i][j - 1] + 1);
                        let is_swap = i > 1 && j > 1 && (one[i - 1], one[i - 2]) == (other[j - 2], other[j - 1]);
                        if is_swap { least.min(table[i - 2][j - 2] + 1) } else { least }
                    }
                };
            }
        }
        table[one.len()][other.len()]
    }

    proptest! {
        #[test]
        fn all_that_are_near_are_found_and_no_others(word in "[abü]{1,7}", all in prop::collection::vec("[abü]{1,7}", 1..40), most in 0_u8..3) {
            let all: Vec<&str> = all.iter().map(String::as_str).collect();
            let letters: Vec<char> = word.chars().collect();
            let mut expected: Vec<_> = all
                .iter()
                .map(|other| (other.to_string(), u8::try_from(distance(&letters, &other.chars().collect::<Vec<_>>())).unwrap()))
                .filter(|(_, faults)| *faults <= most)
                .collect();
            expected.sort();
            expected.dedup();
            prop_assert_eq!(near(&word, most, &all), expected);
        }
    }
}
