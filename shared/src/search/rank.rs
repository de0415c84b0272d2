//! What comes first. Only what can be verified counts: which fields have the words, how short the name is, how many distinct publishers
//! depend on the package (as a power of two, so that one more changes little), and how new its release is.
//!
//! The points were found with the queries of `tests/relevance` that are there to work with; a fifth more or less of any one changes little.

use super::analyser::{Field, Fields, Token, Tokens};

/// What a word is worth in each field, and what the beginning of one is. A title says what a package is as well as a part of its name does. Words
/// of a description are found whole: the beginnings of all of them would be most of the catalogue.
const POINTS: [(Field, u16, u16); 6] = [
    (Field::Name, 80, 30),
    (Field::Title, 40, 22),
    (Field::NamePart, 36, 18),
    (Field::Tag, 26, 12),
    (Field::Category, 18, 6),
    (Field::Description, 16, 0),
];
/// A word in several fields is hardly there in passing: what the others are worth counts as a part of so many.
const PART_OF_OTHER_FIELDS: u16 = 4;
/// What a power of two more dependent publishers is worth: three of them make up for a word that is a tag rather than in the title.
const POINTS_PER_BUCKET: u16 = 4;
/// Buckets beyond this one are not told apart.
const MAX_BUCKET: u8 = 16;
/// A name has a point for each letter that it is shorter than this: `vim` comes before `vim-addon-manager`. Longer ones are not told apart.
const LETTERS_OF_A_LONG_NAME: usize = 26;

/// How well the words of a query match a package, in points: more is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Match(u16);

impl Match {
    /// A word that stands whole in some fields, and in others as the beginning of a longer one. None when it is in none.
    pub fn of(whole: Fields, beginning: Fields) -> Option<Self> {
        let (mut best, mut sum) = (0, 0);
        for (field, of_whole, of_beginning) in POINTS {
            let points = match () {
                () if whole.have(field) => of_whole,
                () if beginning.have(field) => of_beginning,
                () => 0,
            };
            best = points.max(best);
            sum += points;
        }
        (best > 0).then_some(Self(best + (sum - best) / PART_OF_OTHER_FIELDS))
    }

    /// A word that is a token.
    pub fn whole(tokens: &Tokens, word: &Token) -> Option<Self> {
        Self::of(tokens.fields(word)?, Fields::default())
    }

    /// The last word of a query: a token, or the beginning of some.
    pub fn of_beginning(tokens: &Tokens, word: &Token) -> Option<Self> {
        let (mut whole, mut beginning) = (Fields::default(), Fields::default());
        for (fields, is_whole) in tokens.beginning_with(word) {
            let known = if is_whole { &mut whole } else { &mut beginning };
            *known = known.and(fields);
        }
        Self::of(whole, beginning)
    }

    /// The match of several words: their mean. None as soon as one of them does not match.
    pub fn mean(words: impl IntoIterator<Item = Option<Self>>) -> Option<Self> {
        let (mut sum, mut count) = (0, 0);
        for word in words {
            sum += word?.0;
            count += 1;
        }
        sum.checked_div(count).map(Self)
    }
}

/// How many distinct publishers depend on a package, as a power of two: 0, 1, 2–3, 4–7 and so on.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Popularity(u8);

impl Popularity {
    /// The bucket of a number of publishers.
    pub fn of(publishers: usize) -> Self {
        let bits = usize::BITS - publishers.leading_zeros();
        Self(u8::try_from(bits).unwrap_or(MAX_BUCKET).min(MAX_BUCKET))
    }
}

/// A popularity in a message.
impl Popularity {
    /// The popularity as a byte.
    pub const fn to_byte(self) -> u8 {
        self.0
    }

    /// The popularity that a byte says; None when it is none.
    pub fn from_byte(byte: u8) -> Option<Self> {
        (byte <= MAX_BUCKET).then_some(Self(byte))
    }
}

/// What a package has for a short name, in points.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Brevity(u16);

impl Brevity {
    /// That of the package with these tokens.
    pub fn of(tokens: &Tokens) -> Self {
        Self(LETTERS_OF_A_LONG_NAME.saturating_sub(tokens.name_bytes()) as u16)
    }
}

/// A place in an ordered list: eight bytes that sort as the list does, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank([u8; 8]);

impl Rank {
    /// The rank of a match: points of match, name and popularity, then the newer.
    pub fn best(matched: Match, brevity: Brevity, popularity: Popularity, created: u64) -> Self {
        Self::of(matched.0 + brevity.0, popularity, created)
    }

    /// The rank where only popularity and age count.
    pub fn popular(popularity: Popularity, created: u64) -> Self {
        Self::of(0, popularity, created)
    }

    fn of(points: u16, popularity: Popularity, created: u64) -> Self {
        let points = points + u16::from(popularity.0) * POINTS_PER_BUCKET;
        // Six bytes of seconds are nine million years; what claims more is the newest that can be said.
        let mut bytes = (!created.min((1 << 48) - 1)).to_be_bytes();
        bytes[..2].copy_from_slice(&(!points).to_be_bytes());
        Self(bytes)
    }

    /// What this rank, of a package that nobody depends on, is where it is so popular. Ranks have far more points to spare than popularity takes.
    #[must_use]
    pub fn made_popular(self, popularity: Popularity) -> Self {
        let Self(mut bytes) = self;
        let points = self.points().saturating_sub(u16::from(popularity.0) * POINTS_PER_BUCKET);
        bytes[..2].copy_from_slice(&points.to_be_bytes());
        Self(bytes)
    }

    /// How popular a package is whose rank is this one, and would be `plain` if nobody depended on it; None when no popularity
    /// makes the one of the other.
    pub fn popularity_beyond(&self, plain: &Self) -> Option<Popularity> {
        let points = plain.points().checked_sub(self.points())?;
        let popularity = Popularity(u8::try_from(points / POINTS_PER_BUCKET).ok()?);
        let is_one = self.0[2..] == plain.0[2..] && points % POINTS_PER_BUCKET == 0 && popularity.0 <= MAX_BUCKET;
        is_one.then_some(popularity)
    }

    /// The points, as they are written: the fewer, the better.
    const fn points(&self) -> u16 {
        u16::from_be_bytes([self.0[0], self.0[1]])
    }

    /// The rank where only age counts.
    pub const fn newest(created: u64) -> Self {
        Self((!created).to_be_bytes())
    }

    /// The rank with these bytes.
    pub const fn from_bytes(bytes: [u8; 8]) -> Self {
        Self(bytes)
    }

    /// The rank's bytes.
    pub const fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::testing::Publisher;

    fn whole(field: Field) -> Match {
        Match::of(Fields::only(field), Fields::default()).unwrap()
    }

    fn beginning(field: Field) -> Option<Match> {
        Match::of(Fields::default(), Fields::only(field))
    }

    fn tokens(name: &str) -> Tokens {
        Tokens::of(&Publisher::new(1).release(0, name, "1.0.0", |_| {}))
    }

    fn brevity(name: &str) -> Brevity {
        Brevity::of(&tokens(name))
    }

    #[test]
    fn a_whole_word_ranks_before_a_beginning_in_the_same_field() {
        assert!(POINTS.iter().all(|(field, ..)| beginning(*field).is_none_or(|points| points < whole(*field))));
    }

    #[test]
    fn a_field_that_says_more_ranks_first() {
        assert!(POINTS.is_sorted_by(|a, b| whole(a.0) > whole(b.0) && beginning(a.0) > beginning(b.0)));
    }

    #[test]
    fn a_word_in_more_fields_ranks_before_one_in_the_best_of_them() {
        let fields =
            |all: &[Field]| all.iter().fold(Fields::default(), |fields, field| fields.and(Fields::only(*field)));
        let of = |whole: &[Field], beginning: &[Field]| Match::of(fields(whole), fields(beginning)).unwrap().0;
        assert_eq!(of(&[Field::Tag, Field::Description], &[]), 26 + 16 / 4);
        assert_eq!(of(&[Field::Tag], &[Field::Tag]), 26, "what is whole is not a beginning besides");
        assert_eq!(of(&[Field::Tag], &[Field::NamePart, Field::Category]), 26 + (18 + 6) / 4);
        assert_eq!(of(&[], &[Field::NamePart, Field::Description]), 18, "descriptions are matched whole");
    }

    #[test]
    fn the_last_word_counts_whole_where_it_is_whole_and_as_a_beginning_elsewhere() {
        let tokens = tokens("tower-towering");
        let word = |text| Token::joined(text).unwrap();
        let (part, name) = (Fields::only(Field::NamePart), Fields::only(Field::Name));
        assert_eq!(Match::of_beginning(&tokens, &word("tower")), Match::of(part, name));
        assert_eq!(Match::of_beginning(&tokens, &word("toweri")), Match::of(Fields::default(), part));
        assert_eq!(Match::of_beginning(&tokens, &word("x")), None);
        assert_eq!(Match::whole(&tokens, &word("tower")), Match::of(part, Fields::default()));
        assert_eq!(Match::whole(&tokens, &word("towe")), None);
    }

    #[test]
    fn several_words_match_by_their_mean_and_only_all_together() {
        let (name, tag) = (whole(Field::Name), whole(Field::Tag));
        assert_eq!(Match::mean([Some(name), Some(tag), Some(tag)]), Some(Match((name.0 + tag.0 + tag.0) / 3)));
        assert_eq!(Match::mean([Some(name)]), Some(name));
        assert_eq!(Match::mean([Some(name), None]), None);
        assert_eq!(Match::mean([]), None);
    }

    #[test]
    fn popularity_is_a_power_of_two() {
        let buckets = [0, 1, 2, 3, 4, 7, 8, usize::MAX].map(|count| Popularity::of(count).0);
        assert_eq!(buckets, [0, 1, 2, 2, 3, 3, 4, MAX_BUCKET]);
    }

    #[test]
    fn popularity_is_told_from_the_points_beyond_a_plain_rank() {
        let rank = |popularity, created| Rank::best(whole(Field::Tag), brevity("a"), popularity, created);
        let (plain, four) = (rank(Popularity::default(), 9), rank(Popularity::of(4), 9));
        assert_eq!((plain.made_popular(Popularity::of(4)), plain.made_popular(Popularity::default())), (four, plain));
        assert_eq!(four.popularity_beyond(&plain), Some(Popularity::of(4)));
        assert_eq!(plain.popularity_beyond(&plain), Some(Popularity::default()));
        assert_eq!(plain.popularity_beyond(&four), None, "no popularity takes points away");
        assert_eq!(four.popularity_beyond(&rank(Popularity::default(), 8)), None, "another age");
        let beyond = |points: u16| {
            let mut bytes = plain.0;
            bytes[..2].copy_from_slice(&(plain.points() - points).to_be_bytes());
            Rank(bytes).popularity_beyond(&plain)
        };
        assert_eq!(beyond(POINTS_PER_BUCKET + 1), None, "between two powers");
        assert_eq!(beyond(POINTS_PER_BUCKET * u16::from(MAX_BUCKET)), Some(Popularity::of(usize::MAX)));
        assert_eq!(beyond(POINTS_PER_BUCKET * u16::from(MAX_BUCKET + 1)), None, "more than anybody has");
        assert_eq!(beyond(POINTS_PER_BUCKET * 256), None, "more than a byte");
    }

    #[test]
    fn a_shorter_name_ranks_first_until_both_are_long() {
        let rank = |name: &str| Rank::best(whole(Field::Tag), brevity(name), Popularity::default(), 1);
        assert!(rank("abc") < rank("abcd") && rank("a-b") < rank("abc"));
        let long = "a".repeat(LETTERS_OF_A_LONG_NAME);
        assert!(rank(&long[1..]) < rank(&long));
        assert_eq!(rank(&long), rank(&format!("{long}b")));
    }

    #[test]
    fn points_never_overflow() {
        let all = POINTS.iter().fold(Fields::default(), |fields, (field, ..)| fields.and(Fields::only(*field)));
        let most = Match::of(all, all).unwrap();
        let best = Rank::best(most, brevity("a"), Popularity::of(usize::MAX), 0);
        assert!(best < Rank::best(most, brevity("a"), Popularity::of(1), 0));
        assert_eq!(
            best.popularity_beyond(&Rank::best(most, brevity("a"), Popularity::default(), 0)),
            Some(Popularity(MAX_BUCKET))
        );
    }

    #[test]
    fn at_equal_points_the_newer_ranks_first() {
        let rank = |created| Rank::best(whole(Field::Tag), brevity("a"), Popularity::default(), created);
        assert!(rank(2) < rank(1));
        assert!(rank(u64::MAX) < rank(1 << 40));
        assert!(Rank::popular(Popularity::of(1), 1) < Rank::popular(Popularity::default(), 2));
        assert!(Rank::popular(Popularity::of(1), 2) < Rank::popular(Popularity::of(1), 1));
        assert!(Rank::newest(2) < Rank::newest(1));
    }
}
