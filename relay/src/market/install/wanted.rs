//! What somebody asks for at a terminal: `NAME[@REQ]`.

use std::fmt;
use std::str::FromStr;

use ggen_shared::id::{FullName, Handle, PackageName, RecordId};
use semver::VersionReq;

use super::resolve::Which;

/// A package as people name it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Name {
    /// `handle~fingerprint/name`: this one and no other.
    Full(FullName),
    /// `handle/name`: of whoever is meant by the handle.
    OfHandle(Handle, PackageName),
    /// `name`: of whoever has one.
    Bare(PackageName),
}

/// What is asked for: a package, and which versions of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The package.
    pub name: Name,
    /// Which versions.
    pub which: Which,
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Full(name) => name.fmt(f),
            Self::OfHandle(handle, name) => write!(f, "{handle}/{name}"),
            Self::Bare(name) => name.fmt(f),
        }
    }
}

impl FromStr for Name {
    type Err = String;

    /// Handles and names are ASCII: what looks like one in another script is none.
    fn from_str(text: &str) -> Result<Self, String> {
        let shown = |error: ggen_shared::id::ParseError| match text.chars().find(|c| !c.is_ascii()) {
            Some(other) => format!("{error}; `{}` is another character than it may seem", other.escape_unicode()),
            None => error.to_string(),
        };
        match text.split_once('/') {
            Some((publisher, _)) if publisher.contains('~') => text.parse().map(Self::Full).map_err(shown),
            Some((handle, name)) => Ok(Self::OfHandle(handle.parse().map_err(shown)?, name.parse().map_err(shown)?)),
            None => text.parse().map(Self::Bare).map_err(shown),
        }
    }
}

impl FromStr for Asked {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, which) = match text.split_once('@') {
            None => (text, Which::Any),
            Some((name, which)) => match (which.parse::<RecordId>(), which.parse::<VersionReq>()) {
                (Ok(release), _) => (name, Which::Release(release)),
                (_, Ok(requirement)) => (name, Which::Matching(requirement)),
                _ => {
                    return Err(format!(
                        "`{which}` is neither a requirement such as 1.2, =1.2.3 or >=1, <3, nor the id of a release"
                    ));
                }
            },
        };
        Ok(Self { name: name.parse()?, which })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_named_in_three_ways() {
        let name = |text: &str| text.parse::<Name>();
        assert!(matches!(name("alice~aaaaaaaaaaaaaaaa/thing"), Ok(Name::Full(_))));
        assert!(matches!(name("~aaaaaaaaaaaaaaaa/thing"), Ok(Name::Full(_))));
        assert!(matches!(name("alice/thing"), Ok(Name::OfHandle(..))));
        assert!(matches!(name("thing"), Ok(Name::Bare(_))));
        for text in ["alice~aaaaaaaaaaaaaaaa/thing", "alice/thing", "thing"] {
            assert_eq!(name(text).unwrap().to_string(), text);
        }
        for wrong in ["", "/", "alice/", "/thing", "alice~a/thing", "Alice/thing", "alice/bob/thing", "../thing"] {
            assert!(name(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn versions_are_asked_for_by_requirement_or_release() {
        let which = |text: &str| text.parse::<Asked>().map(|asked| asked.which);
        assert_eq!(which("thing"), Ok(Which::Any));
        assert_eq!(which("thing@1.2"), Ok(Which::Matching("^1.2".parse().unwrap())));
        assert_eq!(which("thing@>=1, <3"), Ok(Which::Matching(">=1, <3".parse().unwrap())));
        let release = RecordId::from_bytes([7; 32]);
        assert_eq!(which(&format!("alice/thing@{release}")), Ok(Which::Release(release)));
        assert!(which("thing@latest").unwrap_err().contains("`latest` is neither"));
        assert!(which("thing@").is_err());
    }

    #[test]
    fn a_handle_in_look_alike_letters_is_shown_as_such() {
        // The first letter is Cyrillic.
        let refused = "\u{430}lice/thing".parse::<Asked>().unwrap_err();
        assert!(refused.contains("`\\u{430}` is another character than it may seem"), "{refused}");
        assert!("\u{430}lice~aaaaaaaaaaaaaaaa/thing".parse::<Asked>().unwrap_err().contains("\\u{430}"));
    }
}
