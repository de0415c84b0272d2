//! The keyspaces: which entries of the catalogue's map a set of records has. Pure functions derive them all.
//!
//! | key | says | value |
//! | --- | --- | --- |
//! | `r/` publisher, kind (1 byte), record id | a member | none |
//! | `h/` handle `\0` publisher | who claims a handle | none |
//! | `p/` package, version, 0 or 1, short id | a release stands for a version (0) or contests it (1); highest version first | state, status; mark, reason |
//! | `t/` term `\0` place | packages with this token, best first | filter |
//! | `x/` beginning `\0` place | packages with a token that begins so, best first, each once | filter |
//! | `c/` category `\0` place | packages of a category, best first | filter |
//! | `n/` place | packages, newest first | filter |
//! | `l/` license `\0` place | packages under a license, alone or with others; best first | filter |
//! | `o/` publisher, place | packages of a publisher, best first | filter |
//! | `a/` name `\0` short id | packages by name | filter |
//! | `b/` place | packages, those first that most publishers depend on | filter |
//! | `d/` package, place | packages that depend on this one, best first | filter |
//! | `dp/` package, publisher | other publishers whose packages depend on this one | none |
//!
//! A *package* is its [`PackageKey`], a *place* eight bytes of [`Rank`] and the [`ShortId`] of the release that the package is listed by.
//! A *filter* is the [`Filter`](crate::search::filter::Filter) of that release's tokens. *State, status*: nothing while no status says
//! anything of the version, then one byte ([`State`](crate::record::State)) and the [`ShortId`] of the status that decides. *Mark,
//! reason*: where the operator of the relay excludes what stands for the version, a byte 255 and why, in words; else nothing
//! ([`Exclusions`](super::Exclusions)). A term stands whole; a beginning has at most
//! [`MAX_PREFIX_CHARS`] letters, and tokens that are only in the description have none but themselves.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::leaf::Standing;
use crate::id::{Handle, PackageId, PackageName, PublisherId, RecordId};
use crate::limits::MAX_PREFIX_CHARS;
use crate::merkle::MAX_KEY_BYTES;
use crate::record::{Kind, Record, Release, UnverifiedRecord, Version};
use crate::search::analyser::{Fields, Token, Tokens};
use crate::search::rank::{Brevity, Match, Popularity, Rank};

/// A package in a key: 160 bits of the hash of its id. Two packages with one key cost 2⁸⁰ hashes to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackageKey([u8; 20]);

impl PackageKey {
    /// Bytes of a package key.
    pub const BYTES: usize = 20;

    /// The key of a package.
    pub fn of(package: &PackageId) -> Self {
        let mut hasher = blake3::Hasher::new_derive_key("ggen marketplace 2026 package key");
        hasher.update(package.publisher.as_bytes());
        hasher.update(package.name.as_str().as_bytes());
        let mut key = [0; Self::BYTES];
        hasher.finalize_xof().fill(&mut key);
        Self(key)
    }

    /// The package key with these bytes.
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes of the key.
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

/// A record in a key: the first 160 bits of its id. Two records of one publisher that share them cost 2⁸⁰ hashes to find.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ShortId(#[serde(with = "serde_bytes")] [u8; 20]);

impl ShortId {
    /// Bytes of a short id.
    pub const BYTES: usize = 20;

    /// The short id of a record.
    pub fn of(id: &RecordId) -> Self {
        let mut short = [0; Self::BYTES];
        short.copy_from_slice(&id.as_bytes()[..Self::BYTES]);
        Self(short)
    }

    /// The short id with these bytes.
    pub const fn from_bytes(bytes: [u8; Self::BYTES]) -> Self {
        Self(bytes)
    }

    /// The bytes of the id.
    pub const fn as_bytes(&self) -> &[u8; Self::BYTES] {
        &self.0
    }
}

/// A package's place in a range: ranges are ordered by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// What decides.
    pub rank: Rank,
    /// The release that the package is listed by. It decides between equals: arbitrary, and the same everywhere.
    pub head: ShortId,
}

impl Place {
    /// Bytes of a place.
    pub const BYTES: usize = 8 + ShortId::BYTES;

    /// The place as the bytes that it sorts by.
    pub fn to_bytes(self) -> [u8; Self::BYTES] {
        let mut bytes = [0; Self::BYTES];
        bytes[..8].copy_from_slice(self.rank.as_bytes());
        bytes[8..].copy_from_slice(&self.head.0);
        bytes
    }

    /// The place with these bytes; None when there are too few or too many.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (rank, head) = bytes.split_first_chunk()?;
        Some(Self { rank: Rank::from_bytes(*rank), head: ShortId(head.try_into().ok()?) })
    }
}

/// The range of packages with this token.
pub fn term(token: &Token) -> Vec<u8> {
    range(b"t/", token.as_str().as_bytes())
}

/// The range of all tokens.
pub fn terms() -> Vec<u8> {
    b"t/".to_vec()
}

/// The token of an entry of that range.
pub fn term_of(key: &[u8]) -> Option<&str> {
    let end = key.iter().position(|byte| *byte == 0)?;
    std::str::from_utf8(key[..end].strip_prefix(b"t/")?).ok()
}

/// A key behind all entries of a token, and before those of the next one.
pub fn behind_term(token: &str) -> Vec<u8> {
    [b"t/", token.as_bytes(), b"\x01"].concat()
}

/// The range of packages with a token that begins so. Of a beginning longer than [`MAX_PREFIX_CHARS`] it is the range of its first
/// letters: more packages than are meant.
pub fn prefix(beginning: &Token) -> Vec<u8> {
    let text = beginning.as_str();
    range(b"x/", beginnings_of(text).last().unwrap_or_default().as_bytes())
}

/// Whether the range of a beginning has just the packages that are meant.
pub fn prefix_is_exact(beginning: &Token) -> bool {
    beginning.as_str().chars().count() < MAX_PREFIX_CHARS
}

/// The range of packages of a category, however it is written; None for one without a letter.
pub fn category(name: &str) -> Option<Vec<u8>> {
    Token::joined(name).map(|token| of_category(&token))
}

/// The range of packages of a category.
pub fn of_category(category: &Token) -> Vec<u8> {
    range(b"c/", category.as_str().as_bytes())
}

/// The range of packages under a license.
pub fn license(license: &Token) -> Vec<u8> {
    range(b"l/", license.as_str().as_bytes())
}

/// The licenses that an expression names, each folded: `MIT OR Apache-2.0` and `MIT/Apache-2.0` name two.
pub fn licenses(expression: &str) -> impl Iterator<Item = Token> {
    let names = expression.split(|c: char| c.is_whitespace() || "()/,;".contains(c));
    let names = names.filter(|name| !["or", "and", "with"].iter().any(|word| name.eq_ignore_ascii_case(word)));
    names.filter_map(Token::joined)
}

/// The range of packages of a publisher.
pub fn of_publisher(publisher: &PublisherId) -> Vec<u8> {
    [b"o/", &publisher.as_bytes()[..]].concat()
}

/// The range of all packages.
pub fn newest() -> Vec<u8> {
    b"n/".to_vec()
}

/// The range of all packages by name.
pub fn by_name() -> Vec<u8> {
    b"a/".to_vec()
}

/// The range of packages of a name, whoever's.
pub fn of_name(name: &PackageName) -> Vec<u8> {
    range(b"a/", name.as_str().as_bytes())
}

/// The range of all packages, those first that most depend on.
pub fn by_dependents() -> Vec<u8> {
    b"b/".to_vec()
}

/// The range of packages that depend on this one.
pub fn dependents(package: &PackageKey) -> Vec<u8> {
    [b"d/", &package.0[..]].concat()
}

/// Whether places of a range move when a package gets more popular.
pub fn is_by_popularity(range: &[u8]) -> bool {
    [b"t/", b"x/", b"c/", b"l/", b"o/", b"b/", b"d/"].iter().any(|keyspace| range.starts_with(*keyspace))
}

/// The range of publishers who depend on a package.
pub fn dependent_publishers(package: &PackageKey) -> Vec<u8> {
    [b"dp/", &package.0[..]].concat()
}

/// The range of all records.
pub fn records() -> Vec<u8> {
    b"r/".to_vec()
}

/// The range of a publisher's records of a kind.
pub fn records_of(publisher: &PublisherId, kind: Kind) -> Vec<u8> {
    [b"r/", &publisher.as_bytes()[..], &[kind.number()]].concat()
}

/// The entry of a publisher's record of a kind.
pub fn record_entry(publisher: &PublisherId, kind: Kind, id: &RecordId) -> Vec<u8> {
    [&records_of(publisher, kind), &id.as_bytes()[..]].concat()
}

/// The entry of a record.
pub fn record(record: &Record) -> Vec<u8> {
    record_entry(&record.publisher(), record.kind(), &record.id())
}

/// The entry that a record would have if it holds.
pub fn claimed(record: &UnverifiedRecord) -> Vec<u8> {
    record_entry(&record.publisher(), record.kind(), &record.id())
}

/// The id of the record that an entry is about.
pub fn record_of(key: &[u8]) -> Option<RecordId> {
    let id = key.strip_prefix(b"r/")?.get(33..)?;
    Some(RecordId::from_bytes(id.try_into().ok()?))
}

/// The short id at the end of an entry.
pub fn short_id(key: &[u8]) -> Option<ShortId> {
    key.last_chunk().copied().map(ShortId)
}

/// The range of publishers who claim a handle.
pub fn handle(handle: &Handle) -> Vec<u8> {
    range(b"h/", handle.as_str().as_bytes())
}

/// The range of a package's versions.
pub fn versions(package: &PackageKey) -> Vec<u8> {
    [b"p/", &package.0[..]].concat()
}

/// The range of the releases of one version.
pub fn of_version(package: &PackageKey, version: &Version) -> Vec<u8> {
    let precedence: Vec<u8> = precedence(version).iter().map(|byte| !byte).collect();
    [versions(package), precedence].concat()
}

/// The entries of a version: of the release that stands for it, and of the one that contests it.
pub fn version(
    package: &PackageKey,
    version: &Version,
    standing: &RecordId,
    contesting: Option<&RecordId>,
) -> Vec<Vec<u8>> {
    let range = of_version(package, version);
    let entry = |role, id| [&range, &[role][..], ShortId::of(id).as_bytes()].concat();
    std::iter::once(entry(0, standing)).chain(contesting.map(|id| entry(1, id))).collect()
}

/// What the key of a version's entry says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VersionEntry<'a> {
    /// The version, as bytes that sort the highest first.
    pub precedence: &'a [u8],
    /// Whether the release contests the one that stands for the version.
    pub is_contesting: bool,
    /// The release.
    pub release: ShortId,
}

impl<'a> VersionEntry<'a> {
    /// Reads a key of the range [`versions`]; None when it is no such key.
    pub fn of(key: &'a [u8]) -> Option<Self> {
        let rest = key.strip_prefix(b"p/")?.get(PackageKey::BYTES..)?;
        let (rest, release) = rest.split_last_chunk()?;
        let (role, precedence) = rest.split_last()?;
        Some(Self { precedence, is_contesting: *role != 0, release: ShortId(*release) })
    }

    /// Whether the version is a pre-release.
    pub fn is_pre_release(&self) -> bool {
        // Behind three numbers stands a byte that only versions without more to say have.
        self.precedence.get(3 * size_of::<u64>()) != Some(&0)
    }

    /// Whether a version whose entry has this value may stand for its package.
    pub fn may_be_listed(value: &[u8]) -> bool {
        Standing::of(value).may_be_listed()
    }
}

/// Bytes that sort as versions do by SemVer's precedence.
fn precedence(version: &Version) -> Vec<u8> {
    let version = version.semver();
    let mut bytes = Vec::new();
    for number in [version.major, version.minor, version.patch] {
        bytes.extend_from_slice(&number.to_be_bytes());
    }
    if version.pre.is_empty() {
        bytes.push(0xff);
        return bytes;
    }
    for identifier in version.pre.split('.') {
        if identifier.bytes().all(|byte| byte.is_ascii_digit()) {
            // Without leading zeros, the longer number is the greater one; a version is far shorter than 256 bytes.
            bytes.extend([1, u8::try_from(identifier.len()).unwrap_or(u8::MAX)]);
            bytes.extend_from_slice(identifier.as_bytes());
        } else {
            bytes.push(2);
            bytes.extend_from_slice(identifier.as_bytes());
            bytes.push(0);
        }
    }
    // Fewer identifiers come first.
    bytes.push(0);
    bytes
}

fn range(keyspace: &[u8], about: &[u8]) -> Vec<u8> {
    [keyspace, about, b"\0"].concat()
}

/// The packages that a release depends on, those that it names by publisher.
pub fn dependencies(release: &Release) -> impl Iterator<Item = PackageId> {
    release.dependencies.iter().filter_map(|dependency| {
        dependency.publisher.map(|publisher| PackageId { publisher, name: dependency.name.clone() })
    })
}

/// The entries by which a release counts for the popularity of what it depends on, its own publisher's packages excepted.
pub fn counted(release: &Release) -> impl Iterator<Item = Vec<u8>> {
    let others = dependencies(release).filter(|package| package.publisher != release.publisher);
    others.map(|package| [&dependent_publishers(&PackageKey::of(&package)), &release.publisher.as_bytes()[..]].concat())
}

/// Whether a key lists a package by this release: all do that end with a place.
pub fn lists(key: &[u8], head: &ShortId) -> bool {
    let others: [&[u8]; 4] = [b"r/", b"h/", b"p/", b"dp/"];
    key.ends_with(head.as_bytes()) && !others.iter().any(|keyspace| key.starts_with(keyspace))
}

/// Every entry of a package whose head is this release: a function of the release and of how many depend on it.
pub fn listing(head: &RecordId, release: &Release, tokens: &Tokens, popularity: Popularity) -> Vec<Vec<u8>> {
    let mut entries = Vec::new();
    each_listing(head, release, tokens, popularity, |entry| entries.push(entry.to_vec()));
    entries
}

/// The rest of the one entry of [`listing`] that is in a range; None when there is none.
pub fn listing_in(
    range: &[u8],
    head: &RecordId,
    release: &Release,
    tokens: &Tokens,
    popularity: Popularity,
) -> Option<Vec<u8>> {
    let mut found = None;
    each_listing_in(Some(range), head, release, tokens, popularity, |entry| {
        found = found.take().or_else(|| entry.strip_prefix(range).map(<[u8]>::to_vec));
    });
    found
}

/// Gives every entry of [`listing`]. They are many: no allocation for each.
pub(super) fn each_listing(
    head: &RecordId,
    release: &Release,
    tokens: &Tokens,
    popularity: Popularity,
    each: impl FnMut(&[u8]),
) {
    each_listing_in(None, head, release, tokens, popularity, each);
}

/// Gives every entry of [`listing`] that is in a range, and perhaps others; without a range, every one.
fn each_listing_in(
    range: Option<&[u8]>,
    head: &RecordId,
    release: &Release,
    tokens: &Tokens,
    popularity: Popularity,
    mut each: impl FnMut(&[u8]),
) {
    // Only tokens that begin with the word of a range have a part in it.
    let word = match range {
        None => Some(&[][..]),
        Some([b't' | b'x', b'/', word @ .., 0]) => Some(word),
        Some(_) => None,
    };
    let tokens_of_range =
        || tokens.iter().filter(|(token, _)| word.is_some_and(|word| token.as_bytes().starts_with(word)));
    let head = ShortId::of(head);
    let brevity = Brevity::of(tokens);
    let best = |matched| Place { rank: Rank::best(matched, brevity, popularity, release.created), head }.to_bytes();
    let newest_first = Place { rank: Rank::newest(release.created), head }.to_bytes();
    let mut key = Vec::with_capacity(MAX_KEY_BYTES);
    let mut entry = |parts: &[&[u8]]| {
        key.clear();
        parts.iter().for_each(|part| key.extend_from_slice(part));
        each(&key);
    };

    if range.is_none() || word.is_none() {
        // A release may name a dependency, a category or a license twice. One set of all: each type has a sort of its own, which a browser downloads.
        let dependencies = dependencies(release).map(|package| dependents(&PackageKey::of(&package)));
        let categories = release.categories.iter().filter_map(|name| category(name));
        let licenses = release.license.iter().flat_map(|expression| licenses(expression)).map(|name| license(&name));
        let ranges: BTreeSet<Vec<u8>> = dependencies.chain(categories).chain(licenses).collect();
        let popular = Place { rank: Rank::popular(popularity, release.created), head }.to_bytes();
        entry(&[&newest(), &newest_first]);
        entry(&[&by_name(), release.name.as_str().as_bytes(), b"\0", head.as_bytes()]);
        entry(&[&by_dependents(), &popular]);
        entry(&[&of_publisher(&release.publisher), &popular]);
        ranges.iter().for_each(|range| entry(&[range, &popular]));
    }
    // Tokens are in order, so those that begin alike stand together: the beginnings of the last one, the shortest first, each with the fields
    // where it stands whole, and with those where it begins a token.
    let mut open: Vec<(&str, Fields, Fields)> = Vec::with_capacity(MAX_PREFIX_CHARS);
    let mut close = |open: &mut Vec<(&str, Fields, Fields)>, from: usize| {
        for (beginning, whole, begun) in open.drain(from..) {
            if let Some(matched) = Match::of(whole, begun) {
                entry(&[b"x/", beginning.as_bytes(), b"\0", &best(matched)]);
            }
        }
    };
    for (token, fields) in tokens_of_range() {
        let same = open.iter().take_while(|(beginning, ..)| token.starts_with(beginning)).count();
        close(&mut open, same);
        let others = fields.beside_description().unwrap_or_default();
        for (at, beginning) in beginnings_of(token).enumerate() {
            // A token that is longer than beginnings are is found by its first letters, as if it ended there.
            let ends = beginning.len() == token.len() || at + 1 == MAX_PREFIX_CHARS;
            let (whole, begun) = if ends { (fields, Fields::default()) } else { (Fields::default(), others) };
            match open.get_mut(at) {
                Some((_, known, known_begun)) => (*known, *known_begun) = (known.and(whole), known_begun.and(begun)),
                None => open.push((beginning, whole, begun)),
            }
        }
    }
    close(&mut open, 0);
    for (token, fields) in tokens_of_range() {
        if let Some(matched) = Match::of(fields, Fields::default()) {
            entry(&[b"t/", token.as_bytes(), b"\0", &best(matched)]);
        }
    }
}

/// The first letter of a token, the first two, and so on.
fn beginnings_of(token: &str) -> impl Iterator<Item = &str> {
    token.char_indices().take(MAX_PREFIX_CHARS).map(|(at, c)| &token[..at + c.len_utf8()])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalogue::testing::{Publisher, depends_on};
    use crate::id::PackageName;

    #[test]
    fn versions_sort_by_precedence() {
        let ordered = [
            "0.0.1",
            "0.9.0",
            "0.10.0",
            "1.0.0-0",
            "1.0.0-2",
            "1.0.0-11",
            "1.0.0-11.a",
            "1.0.0-a",
            "1.0.0-alpha",
            "1.0.0-alpha.1",
            "1.0.0-alpha.beta",
            "1.0.0-beta",
            "1.0.0-beta.2",
            "1.0.0-beta.11",
            "1.0.0-beta-",
            "1.0.0-rc.1",
            "1.0.0",
            "2.0.0-0",
            "10.0.0",
            "18446744073709551615.0.0",
        ];
        let versions: Vec<Version> = ordered.iter().map(|text| text.parse().unwrap()).collect();
        assert!(versions.is_sorted(), "SemVer's own order");
        assert!(versions.iter().map(precedence).is_sorted_by(|a, b| a < b));
    }

    #[test]
    fn what_is_behind_a_term_is_before_the_next_one() {
        let entry = |word| [&term(&Token::joined(word).unwrap())[..], &[0xff; Place::BYTES]].concat();
        let (short, next) = (entry("ab"), entry("aba"));
        assert_eq!((term_of(&short), term_of(&next)), (Some("ab"), Some("aba")));
        assert!(short < behind_term("ab") && behind_term("ab") < next);
        assert_eq!((term_of(b"x/ab\0"), term_of(b"t/ab"), term_of(b"t/\xff\0")), (None, None, None));
    }

    #[test]
    fn the_entry_in_a_range_is_that_of_the_whole_listing() {
        let publisher = Publisher::new(1);
        let other = PackageId { publisher: Publisher::new(2).id(), name: PackageName::new("other").unwrap() };
        let release = publisher.release(0, "tower-towering", "1.0.0", |release| {
            release.title = Some("Tow towers, beginningsoflongwords".into());
            release.tags = vec!["t".into(), "été".into(), "beginnings".into()];
            release.categories = vec!["Command line".into()];
            release.license = Some("MIT OR Apache-2.0".into());
            release.description = "A tower of beginnings that tows".into();
            release.dependencies = vec![depends_on(&other)];
        });
        let (id, tokens, popularity) = (release.id(), Tokens::of(&release), Popularity::of(3));
        let listing = listing(&id, &release, &tokens, popularity);
        assert!(listing.len() > 40, "{}", listing.len());
        for entry in &listing {
            let behind_range = if entry.starts_with(b"a/") { 2 } else { entry.len() - Place::BYTES };
            let (range, rest) = entry.split_at(behind_range);
            assert_eq!(listing_in(range, &id, &release, &tokens, popularity).as_deref(), Some(rest), "{range:?}");
        }
        for range in [&b"t/towe\0"[..], b"x/tha\0", b"x/towerings\0", b"x/\0", b"t/\0", b"l/bsd\0", b"z/"] {
            assert_eq!(listing_in(range, &id, &release, &tokens, popularity), None, "{range:?}");
        }
    }

    #[test]
    fn the_longest_keys_fit_the_map() {
        let package = PackageKey::from_bytes([0xff; PackageKey::BYTES]);
        let pre: String = std::iter::repeat_n("a.", 27).collect();
        let long: Version = format!("0.0.0-{pre}abcd").parse().unwrap();
        assert_eq!(long.to_string().len(), crate::limits::MAX_VERSION_BYTES);
        let key = &version(&package, &long, &RecordId::from_bytes([0; 32]), None)[0];
        assert!(key.len() <= crate::merkle::MAX_KEY_BYTES, "{}", key.len());
    }
}
