//! Text to tokens: the same function at the relay that lists a package and at the client that checks the listing.
//!
//! Rules, in order:
//! 1. Invisible characters (soft hyphen, zero-width space and joiners, variation selectors) are left out; then NFKC.
//! 2. A *part* is a run of alphanumeric characters and the combining marks that follow them. It is cut where camel case
//!    begins a new word: `fooBar`, before the last capital of `HTTPServer`, and `HTTP2Server`. One or two `+` or `#` at
//!    the end of a word belong to it (`c++`, `f#`).
//! 3. A *name* is one or more parts, joined by camel case or by at most two of `_ - . / '`: `serde_json`, `I/O`, `don't`.
//! 4. Case is folded by upper-casing and then lower-casing each character (`ß` is `ss`, `ς` is `σ`), then NFKC again.
//! 5. A token longer than [`MAX_TOKEN_BYTES`] is cut at a character's end, in texts and in queries alike.
//! 6. The plural of a word of four ASCII letters or more is its singular, by these endings, the first that fits: `ies` is `y`; `sses`,
//!    `shes`, `ches` and `xes` lose `es`; `s` goes, except behind `s`, `u`, `i` or `j`.
//!
//! A text has the tokens of every part and of every name with its parts run together; a query looks for names run together.
//! So `serde_json`, `serde-json` and `SerdeJson` find each other, `serde` finds them all, and `JavaScript` finds `javascript`.
//! Nothing else is stemmed. A script without spaces is one long part, found by its beginning.
//!
//! The tables of NFKC are in `nfkc.bin` ([`NFKC_TABLES`]), case and alphanumeric those of the standard library ([`CASE_TABLES`]). They are part of the rules: a toolchain with other tables fails a test. Time and
//! memory are linear in the text.

use std::borrow::Cow;
use std::fmt;
use std::ops::Range;

use crate::limits::{MAX_TOKEN_BYTES, MAX_TOKENS_PER_PACKAGE};
use crate::record::Release;
use crate::search::nfkc::{is_combining_mark, nfkc};

/// The Unicode version of the tables that tokens are normalised with.
pub const NFKC_TABLES: (u8, u8, u8) = (18, 0, 0);
/// The Unicode version of the tables that words are told from what separates them, and upper from lower case.
pub const CASE_TABLES: (u8, u8, u8) = (17, 0, 0);

/// How many `_`, `-` and the like may stand between two parts of a name, and how many `+` or `#` at a word's end.
const MAX_RUN: usize = 2;

/// A folded word of at most [`MAX_TOKEN_BYTES`]; never empty.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(String);

impl Token {
    /// The token of a word. None of nothing.
    fn of(word: &str) -> Option<Self> {
        let mut token = String::new();
        fold(word, &mut token);
        (!token.is_empty()).then_some(Self(token))
    }

    /// All words of a text run together, whatever stands between them. None when there are none.
    pub fn joined(text: &str) -> Option<Self> {
        Self::of(&joined(text))
    }

    /// The token as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// Puts the token of a word behind a text: rules 4 to 6. Of nothing, nothing.
fn fold(word: &str, text: &mut String) {
    let begin = text.len();
    if word.is_ascii() {
        text.push_str(word);
        text[begin..].make_ascii_lowercase();
    } else {
        text.extend(nfkc(&mut word.chars().flat_map(char::to_uppercase).flat_map(char::to_lowercase)));
    }
    text.truncate(text.floor_char_boundary(begin + MAX_TOKEN_BYTES));
    if let Some((without, is_y)) = plural_ending(&text[begin..]) {
        text.truncate(text.len() - without);
        text.extend(is_y.then_some('y'));
    }
}

/// Rule 6: how many letters the singular lacks, and whether it has a `y` in their place. None of what is no plural. No singular is one, so
/// that a token is its own token.
fn plural_ending(word: &str) -> Option<(usize, bool)> {
    let ends_with = |endings: &[&str]| endings.iter().any(|ending| word.ends_with(ending));
    let is_word = || word.len() >= 4 && word.bytes().all(|byte| byte.is_ascii_alphabetic());
    if !word.ends_with('s') || !is_word() || ends_with(&["ss", "us", "is", "js"]) {
        return None;
    }
    Some(match () {
        () if ends_with(&["ies"]) => (3, true),
        () if ends_with(&["sses", "shes", "ches", "xes"]) => (2, false),
        () => (1, false),
    })
}

/// The words of a text run together, not yet folded.
fn joined(text: &str) -> String {
    let mut joined = String::new();
    each_name(&normalised(text), |parts| joined.extend(parts.iter().copied()));
    joined
}

/// The names of a text run together, in order: what a query looks for.
pub fn wholes(text: &str) -> Vec<Token> {
    let mut wholes = Vec::new();
    each_name(&normalised(text), |parts| wholes.extend(Token::of(&parts.concat())));
    wholes
}

/// The tokens that a text is found by: each part and each name run together, in order, repetitions included.
pub fn tokens(text: &str) -> Vec<Token> {
    let mut tokens = Vec::new();
    each_word(text, |word| tokens.extend(Token::of(word)));
    tokens
}

/// Gives each part and each name run together, not yet folded.
fn each_word(text: &str, mut each: impl FnMut(&str)) {
    each_name(&normalised(text), |parts| {
        parts.iter().copied().for_each(&mut each);
        if parts.len() > 1 {
            each(&parts.concat());
        }
    });
}

/// Rule 1. Most text is ASCII, which NFKC leaves as it is.
fn normalised(text: &str) -> Cow<'_, str> {
    match text.is_ascii() {
        true => Cow::Borrowed(text),
        false => Cow::Owned(nfkc(&mut text.chars().filter(|c| !is_invisible(*c))).into_iter().collect()),
    }
}

/// Gives each name of a normalised text: its parts as they stand there, not yet folded.
fn each_name<'a>(text: &'a str, mut each: impl FnMut(&[&'a str])) {
    let mut parts: Vec<&str> = Vec::new();
    // Where the part begins that is being read.
    let mut begin = None;
    // The last character of the part that is no combining mark: what camel case is seen by.
    let mut last = ' ';
    let mut at = 0;
    while let Some(c) = char_at(text, at) {
        let next = at + c.len_utf8();
        if c.is_alphanumeric() {
            if let Some(begin) = begin.take_if(|_| begins_word(last, c, char_at(text, next))) {
                parts.push(&text[begin..at]);
            }
            begin.get_or_insert(at);
            // None of the small letters that follow begins a word, and they are most of a text.
            let small = text.as_bytes()[next..].iter().take_while(|byte| byte.is_ascii_lowercase()).count();
            at = next + small;
            last = if small > 0 { 'a' } else { c };
            continue;
        }
        if begin.is_some() && is_combining_mark(c) {
            at = next;
            continue;
        }
        let class = class(c);
        let run = run(&text[at..], class);
        let after = at + run.len();
        let joins = || begin.is_some() && run.chars().count() <= MAX_RUN;
        let word_follows = || text[after..].starts_with(char::is_alphanumeric);
        let (end, ends_name) = match class {
            Class::Connector => (at, !(joins() && word_follows())),
            Class::Suffix if joins() && !word_follows() => (after, true),
            Class::Suffix | Class::Other => (at, true),
        };
        if let Some(begin) = begin.take() {
            parts.push(&text[begin..end]);
        }
        if ends_name && !parts.is_empty() {
            each(&parts);
            parts.clear();
        }
        at = after;
    }
    if let Some(begin) = begin {
        parts.push(&text[begin..]);
    }
    if !parts.is_empty() {
        each(&parts);
    }
}

/// The character that begins at a place.
fn char_at(text: &str, at: usize) -> Option<char> {
    match text.as_bytes().get(at)? {
        byte if byte.is_ascii() => Some(char::from(*byte)),
        _ => text[at..].chars().next(),
    }
}

/// What a character between words does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    /// May join parts to a name.
    Connector,
    /// May belong to the end of a word.
    Suffix,
    /// Separates.
    Other,
}

const fn class(c: char) -> Class {
    match c {
        '_' | '-' | '.' | '/' | '\'' | '\u{2019}' | '\u{2010}' | '\u{2011}' => Class::Connector,
        '+' | '#' => Class::Suffix,
        _ => Class::Other,
    }
}

/// The characters of one class at the beginning of a text; of those that separate, one is enough.
fn run(text: &str, of: Class) -> &str {
    let first = text.chars().next().map_or(0, char::len_utf8);
    let others = match of {
        Class::Other => 0,
        of => text[first..].find(|c| class(c) != of).unwrap_or(text.len() - first),
    };
    &text[..first + others]
}

/// Whether camel case begins a word with `c`.
fn begins_word(last: char, c: char, next: Option<char>) -> bool {
    let next_is_lower = next.is_some_and(char::is_lowercase);
    c.is_uppercase() && (last.is_lowercase() || ((last.is_uppercase() || last.is_numeric()) && next_is_lower))
}

/// Characters that nobody sees and that would split words that look the same.
const fn is_invisible(c: char) -> bool {
    matches!(c, '\u{ad}' | '\u{200b}'..='\u{200d}' | '\u{2060}' | '\u{feff}' | '\u{fe00}'..='\u{fe0f}')
}

/// Where in a release a token stands; where it says most about the package comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Field {
    /// It is the package's name.
    Name,
    /// It is in the title.
    Title,
    /// It is a part of the package's name, or all of it.
    NamePart,
    /// It is in a tag.
    Tag,
    /// It is in a category.
    Category,
    /// It is in the description.
    Description,
}

/// The fields that a token stands in, a bit each.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct Fields(u8);

impl fmt::Debug for Fields {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let all = [Field::Name, Field::Title, Field::NamePart, Field::Tag, Field::Category, Field::Description];
        f.debug_list().entries(all.into_iter().filter(|field| self.have(*field))).finish()
    }
}

impl Fields {
    /// This field alone.
    pub const fn only(field: Field) -> Self {
        Self(1 << field as u8)
    }

    /// These and others.
    #[must_use]
    pub const fn and(self, others: Self) -> Self {
        Self(self.0 | others.0)
    }

    /// Whether it is one of them.
    pub const fn have(self, field: Field) -> bool {
        self.0 & 1 << field as u8 != 0
    }

    /// These without the description; None when there is no other.
    pub fn beside_description(self) -> Option<Self> {
        let others = Self(self.0 & !Self::only(Field::Description).0);
        (others != Self::default()).then_some(others)
    }
}

/// The tokens that a release is found by, each with its fields: at most [`MAX_TOKENS_PER_PACKAGE`], those of the fields that
/// say most first.
///
/// In order of their bytes and in one allocation, for a relay holds those of every package: length, fields, text of each. Length and fields
/// are below 128, so each is a character of one byte, and all of it is text: a token is cut out without a look at each of its bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tokens(Box<str>);

impl Tokens {
    /// The tokens of a release.
    pub fn of(release: &Release) -> Self {
        Self::of_texts(release, &release.description)
    }

    /// Those that are found by their beginnings, too.
    pub fn beside_description(release: &Release) -> Self {
        Self::of_texts(release, "")
    }

    fn of_texts(release: &Release, description: &str) -> Self {
        let name = release.name.as_str();
        // Tokens one behind the other as they come, and where each stands, in order of their bytes: most of a description are there already.
        let mut all = String::new();
        let mut kept: Vec<Kept> = Vec::new();
        let mut keep = |word: &str, field| {
            let begin = all.len();
            fold(word, &mut all);
            let token = Kept::new(begin, &all[begin..], field);
            let place = |known: &Kept| {
                known.begins.cmp(&token.begins).then_with(|| all[known.place()].cmp(&all[token.place()]))
            };
            match kept.binary_search_by(place) {
                Ok(at) => kept[at].fields = kept[at].fields.and(token.fields),
                Err(at) if token.length > 0 && kept.len() < MAX_TOKENS_PER_PACKAGE => return kept.insert(at, token),
                Err(_) => {}
            }
            all.truncate(begin);
        };
        keep(&joined(name), Field::Name);
        let texts = [(name, Field::NamePart)].into_iter();
        let texts = texts.chain(release.title.iter().map(|text| (text.as_str(), Field::Title)));
        let texts = texts.chain(release.tags.iter().map(|text| (text.as_str(), Field::Tag)));
        let texts = texts.chain(release.categories.iter().map(|text| (text.as_str(), Field::Category)));
        for (text, field) in texts.chain([(description, Field::Description)]) {
            each_word(text, |word| keep(word, field));
        }
        let mut packed = String::with_capacity(all.len() + 2 * kept.len());
        for token in kept {
            packed.extend([char::from(token.length), char::from(token.fields.0)]);
            packed.push_str(&all[token.place()]);
        }
        Self(packed.into())
    }

    /// Every token with its fields, in the order of their bytes.
    pub fn iter(&self) -> impl Iterator<Item = (&str, Fields)> {
        let mut rest = &*self.0;
        std::iter::from_fn(move || {
            let [length, fields, ..] = *rest.as_bytes() else { return None };
            let (token, behind) = rest.get(2..)?.split_at_checked(length.into())?;
            rest = behind;
            Some((token, Fields(fields)))
        })
    }

    /// The fields of this very token.
    pub fn fields(&self, token: &Token) -> Option<Fields> {
        let (known, fields) = self.from(token).next()?;
        (known == token.as_str()).then_some(fields)
    }

    /// The fields of each token that begins with this one, and whether it is this one.
    pub fn beginning_with(&self, beginning: &Token) -> impl Iterator<Item = (Fields, bool)> {
        let tokens = self.from(beginning);
        let beginning = beginning.as_str();
        let tokens = tokens.take_while(move |(token, _)| token.starts_with(beginning));
        tokens.map(move |(token, fields)| (fields, token.len() == beginning.len()))
    }

    /// The tokens from this one on: they are in order, and none before it has to be looked at. The first byte mostly tells.
    fn from(&self, token: &Token) -> impl Iterator<Item = (&str, Fields)> {
        let (token, first) = (token.as_str(), token.as_str().as_bytes().first());
        self.iter().skip_while(move |(known, _)| known.as_bytes().first() < first || *known < token)
    }

    /// Bytes of the package's name, its parts run together: [`MAX_TOKEN_BYTES`] at most.
    pub fn name_bytes(&self) -> usize {
        self.iter().find(|(_, fields)| fields.have(Field::Name)).map_or(MAX_TOKEN_BYTES, |(name, _)| name.len())
    }
}

/// A token of a text that is read.
struct Kept {
    /// Its first bytes as a number, zeros behind the last: they tell it from most others without a look at where it stands.
    begins: u64,
    begin: u32,
    /// [`MAX_TOKEN_BYTES`] at most.
    length: u8,
    fields: Fields,
}

impl Kept {
    fn new(begin: usize, token: &str, field: Field) -> Self {
        let mut begins = [0; 8];
        let first = token.len().min(begins.len());
        begins[..first].copy_from_slice(&token.as_bytes()[..first]);
        Self {
            begins: u64::from_be_bytes(begins),
            begin: begin as u32,
            length: token.len() as u8,
            fields: Fields::only(field),
        }
    }

    const fn place(&self) -> Range<usize> {
        self.begin as usize..self.begin as usize + self.length as usize
    }
}

#[cfg(test)]
#[path = "analyser_tests.rs"]
mod tests;
