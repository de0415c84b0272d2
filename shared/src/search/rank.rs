//! What comes first. Only what can be verified counts: which field matched, how many distinct publishers depend on the
//! package (as a power of two, so that one more changes little), and how new its release is.

use super::analyser::{Field, Fields, Token, Tokens};

/// What a power of two more dependent publishers is worth, in points.
const POINTS_PER_BUCKET: u8 = 6;
/// What it is worth that the description has a word that the name or a tag has too: it is less likely to be there in passing.
const POINTS_OF_DESCRIPTION: u8 = 8;
/// Buckets beyond this one are not told apart.
const MAX_BUCKET: u8 = 16;

/// How well the words of a query match a package, in points: more is better.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Match(u8);

impl Match {
    /// A package is of a category: in its list, only popularity and age tell packages apart.
    pub const CATEGORY: Self = Self(0);

    /// A word is a token of these fields.
    pub fn whole(fields: Fields) -> Self {
        let points = match fields.best() {
            Field::Name => 140,
            Field::NamePart => 60,
            Field::Tag => 50,
            Field::Category => 34,
            Field::Description => 26,
        };
        Self(if fields.is_described_too() { points + POINTS_OF_DESCRIPTION } else { points })
    }

    /// A word is the beginning of a token of these fields: less than the whole of any token. None for what stands only in the
    /// description, whose words are found whole: the beginnings of all of them would be most of the catalogue.
    pub fn beginning(fields: Fields) -> Option<Self> {
        Some(Self(match fields.best() {
            Field::Name => 24,
            Field::NamePart => 18,
            Field::Tag => 14,
            Field::Category => 8,
            Field::Description => return None,
        }))
    }

    /// The better of both for the last word of a query.
    pub fn of_beginning(tokens: &Tokens, word: &Token) -> Option<Self> {
        let of = |(fields, is_whole)| if is_whole { Some(Self::whole(fields)) } else { Self::beginning(fields) };
        tokens.beginning_with(word).filter_map(of).max()
    }

    /// The match of several words: their mean. None as soon as one of them does not match.
    pub fn mean(words: impl IntoIterator<Item = Option<Self>>) -> Option<Self> {
        let (mut sum, mut count) = (0_u32, 0_u32);
        for word in words {
            sum += u32::from(word?.0);
            count += 1;
        }
        sum.checked_div(count).and_then(|mean| u8::try_from(mean).ok()).map(Self)
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

/// A place in an ordered list: eight bytes that sort as the list does, best first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Rank([u8; 8]);

impl Rank {
    /// The rank of a match: points of match and popularity, then the newer.
    pub fn best(matched: Match, popularity: Popularity, created: u64) -> Self {
        let points = matched.0.saturating_add(popularity.0 * POINTS_PER_BUCKET);
        // Seven bytes of seconds outlast the sun; what claims more is the newest that can be said.
        let mut bytes = (!created.min((1 << 56) - 1)).to_be_bytes();
        bytes[0] = !points;
        Self(bytes)
    }

    /// How popular a package is whose rank is this one, and would be `plain` if nobody depended on it; None when no popularity
    /// makes the one of the other.
    pub fn popularity_beyond(&self, plain: &Self) -> Option<Popularity> {
        let points = plain.0[0].checked_sub(self.0[0])?;
        let popularity = Popularity(points / POINTS_PER_BUCKET);
        let is_one = self.0[1..] == plain.0[1..] && points % POINTS_PER_BUCKET == 0 && popularity.0 <= MAX_BUCKET;
        is_one.then_some(popularity)
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

    const FIELDS: [Field; 5] = [Field::Name, Field::NamePart, Field::Tag, Field::Category, Field::Description];

    fn whole(field: Field) -> Match {
        Match::whole(Fields::only(field))
    }

    #[test]
    fn a_whole_word_ranks_before_any_beginning() {
        let worst_whole = FIELDS.map(whole).into_iter().min();
        let best_beginning = FIELDS.map(|field| Match::beginning(Fields::only(field))).into_iter().flatten().max();
        assert!(worst_whole > best_beginning);
    }

    #[test]
    fn a_field_that_says_more_ranks_first() {
        assert!(FIELDS.map(whole).is_sorted_by(|a, b| a > b));
        assert!(FIELDS.map(|field| Match::beginning(Fields::only(field))).is_sorted_by(|a, b| a > b));
    }

    #[test]
    fn a_tag_that_the_description_has_too_ranks_before_one_that_it_has_not() {
        let tag = Fields::only(Field::Tag);
        assert!(Match::whole(tag.and(Fields::only(Field::Description))) > Match::whole(tag));
        assert_eq!(Match::whole(Fields::only(Field::Description)), whole(Field::Description));
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
    fn points_never_overflow_into_a_worse_rank() {
        let best = Rank::best(whole(Field::Name), Popularity::of(usize::MAX), 0);
        assert!(best < Rank::best(whole(Field::Name), Popularity::of(1), 0));
        assert!((whole(Field::Name).0 + POINTS_OF_DESCRIPTION).checked_add(MAX_BUCKET * POINTS_PER_BUCKET).is_some());
    }

    #[test]
    fn at_equal_points_the_newer_ranks_first() {
        let rank = |created| Rank::best(whole(Field::Tag), Popularity::default(), created);
        assert!(rank(2) < rank(1));
        assert!(rank(u64::MAX) < rank(1 << 40));
        assert!(Rank::newest(2) < Rank::newest(1));
    }
}
