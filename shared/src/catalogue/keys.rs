//! The keyspaces: which ordered lists a package stands in, and where. One pure function derives them all.
//!
//! | range | lists |
//! | --- | --- |
//! | `t/<term>\0` | packages with this token, best first |
//! | `x/<1–6 letters>\0` | packages with a token that begins so, best first, each once |
//! | `n/` | packages, newest first |
//! | `d/<package>\0` | packages that depend on this one, newest first |
//!
//! A key is its range, then eight bytes of [`Rank`], then the [`PackageKey`].

use std::collections::BTreeMap;

use crate::id::PackageId;
use crate::limits::MAX_PREFIX_CHARS;
use crate::record::Release;
use crate::search::analyser::{Token, Tokens};
use crate::search::rank::{Match, Popularity, Rank};

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

/// A package's place in a range: ranges are ordered by it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// What decides.
    pub rank: Rank,
    /// What decides between equals; arbitrary, and the same everywhere.
    pub package: PackageKey,
}

/// An entry of a keyspace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The list: a keyspace, and what the list is about.
    pub range: Vec<u8>,
    /// The place in it.
    pub place: Place,
}

impl Key {
    /// The key as the bytes that it sorts by.
    pub fn to_bytes(&self) -> Vec<u8> {
        [&self.range[..], self.place.rank.as_bytes(), self.place.package.as_bytes()].concat()
    }
}

/// The range of packages with this token.
pub fn term(token: &Token) -> Vec<u8> {
    range(b"t/", token.as_str().as_bytes())
}

/// What the ranges of all tokens that begin so begin with.
pub fn terms_that_begin(beginning: &Token) -> Vec<u8> {
    [b"t/", beginning.as_str().as_bytes()].concat()
}

/// The range of packages with a token that begins so; None for a beginning longer than [`MAX_PREFIX_CHARS`].
pub fn prefix(beginning: &Token) -> Option<Vec<u8>> {
    let text = beginning.as_str();
    (text.chars().count() <= MAX_PREFIX_CHARS).then(|| range(b"x/", text.as_bytes()))
}

/// The range of all packages.
pub fn newest() -> Vec<u8> {
    b"n/".to_vec()
}

/// The range of packages that depend on this one.
pub fn dependents(package: &PackageKey) -> Vec<u8> {
    range(b"d/", package.as_bytes())
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

/// Every entry of a package whose head is this release: a function of the release and of how many depend on it.
pub fn entries(package: PackageKey, head: &Release, tokens: &Tokens, popularity: Popularity) -> Vec<Key> {
    let best = |matched| Place { rank: Rank::best(matched, popularity, head.created), package };
    let newest_first = Place { rank: Rank::newest(head.created), package };

    let mut entries = vec![Key { range: newest(), place: newest_first }];
    for dependency in dependencies(head) {
        entries.push(Key { range: dependents(&PackageKey::of(&dependency)), place: newest_first });
    }
    let mut beginnings: BTreeMap<&str, Match> = BTreeMap::new();
    for (token, fields) in tokens.iter() {
        entries.push(Key { range: term(token), place: best(Match::whole(fields)) });
        for beginning in beginnings_of(token) {
            let whole = beginning.len() == token.as_str().len();
            let matched = if whole { Match::whole(fields) } else { Match::beginning(fields) };
            let known = beginnings.entry(beginning).or_insert(matched);
            *known = matched.max(*known);
        }
    }
    for (beginning, matched) in beginnings {
        entries.push(Key { range: range(b"x/", beginning.as_bytes()), place: best(matched) });
    }
    entries
}

/// The first letter of a token, the first two, and so on.
fn beginnings_of(token: &Token) -> impl Iterator<Item = &str> {
    let text = token.as_str();
    text.char_indices().take(MAX_PREFIX_CHARS).map(|(at, c)| &text[..at + c.len_utf8()])
}
