//! A release: one version of a package, and the artifact it stands for.

use std::fmt;
use std::str::FromStr;

use cid::Cid;
use multihash::Multihash;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::text::{check_line, check_url, check_word};
use super::{Error, Kind, Payload};
use crate::id::{PackageId, PackageName, PublisherId, RecordId};
use crate::limits;

const SHA2_256: u64 = 0x12;
const CODEC_RAW: u64 = 0x55;
const CODEC_DAG_PB: u64 = 0x70;
/// The letter `b`, and 36 bytes in base32.
const CID_CHARS: usize = 59;

/// A CIDv1 with SHA-256 over a raw leaf or a dag-pb node: the only identifiers of content here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentId(Cid);

/// A CID of another version, codec or hash.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a CIDv1 of raw or dag-pb content by SHA-256")]
pub struct UnsupportedCid;

impl ContentId {
    /// The identifier of a raw block.
    pub fn of_raw(block: &[u8]) -> Self {
        Self::of(CODEC_RAW, block)
    }

    /// The identifier of a dag-pb node.
    pub fn of_dag_pb(block: &[u8]) -> Self {
        Self::of(CODEC_DAG_PB, block)
    }

    /// The identifier of a raw block, or of a dag-pb node, with this SHA-256.
    pub fn of_digest(is_raw: bool, digest: [u8; 32]) -> Self {
        Self::with(if is_raw { CODEC_RAW } else { CODEC_DAG_PB }, digest)
    }

    fn of(codec: u64, block: &[u8]) -> Self {
        Self::with(codec, Sha256::digest(block).into())
    }

    fn with(codec: u64, digest: [u8; 32]) -> Self {
        let hash = Multihash::wrap(SHA2_256, &digest).expect("32 bytes fit a multihash of 64");
        Self(Cid::new_v1(codec, hash))
    }

    /// Whether these bytes are the block that is meant.
    pub fn matches(&self, block: &[u8]) -> bool {
        Self::of(self.0.codec(), block) == *self
    }

    /// Whether the block is a leaf: its bytes are the content's.
    pub const fn is_raw(&self) -> bool {
        self.0.codec() == CODEC_RAW
    }

    /// The hash as such, by which the DHT knows who has the block.
    pub fn multihash_bytes(&self) -> Vec<u8> {
        self.0.hash().to_bytes()
    }

    /// The blocks, of either kind, that a hash may mean; none for another hash.
    pub fn of_multihash(bytes: &[u8]) -> Option<[Self; 2]> {
        let hash = Multihash::from_bytes(bytes).ok()?;
        let of = |codec| Self::try_from(Cid::new_v1(codec, hash)).ok();
        Some([of(CODEC_RAW)?, of(CODEC_DAG_PB)?])
    }

    /// The identifier as other IPFS libraries take it.
    pub const fn cid(&self) -> &Cid {
        &self.0
    }
}

impl TryFrom<&[u8]> for ContentId {
    type Error = UnsupportedCid;

    fn try_from(bytes: &[u8]) -> Result<Self, UnsupportedCid> {
        Cid::try_from(bytes).map_err(|_| UnsupportedCid)?.try_into()
    }
}

impl TryFrom<Cid> for ContentId {
    type Error = UnsupportedCid;

    fn try_from(cid: Cid) -> Result<Self, UnsupportedCid> {
        let known = cid.version() == cid::Version::V1
            && matches!(cid.codec(), CODEC_RAW | CODEC_DAG_PB)
            && cid.hash().code() == SHA2_256
            && cid.hash().size() == 32;
        if known { Ok(Self(cid)) } else { Err(UnsupportedCid) }
    }
}

impl FromStr for ContentId {
    type Err = UnsupportedCid;

    fn from_str(text: &str) -> Result<Self, UnsupportedCid> {
        // The length is checked first, so that a long text costs nothing.
        if text.len() != CID_CHARS {
            return Err(UnsupportedCid);
        }
        let cid = Cid::from_str(text).map_err(|_| UnsupportedCid)?;
        // The one text form is base32. The library reads every other as well, skips all up to `/ipfs/`, and ignores bytes
        // after the hash: many texts would mean one content.
        if cid.to_string() != text {
            return Err(UnsupportedCid);
        }
        cid.try_into()
    }
}

impl fmt::Display for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl fmt::Debug for ContentId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ContentId({})", self.0)
    }
}

impl Serialize for ContentId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for ContentId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Cid::deserialize(deserializer)?.try_into().map_err(serde::de::Error::custom)
    }
}

/// Content by its hash, with its length.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Content {
    /// The root of its DAG.
    pub cid: ContentId,
    /// Bytes of the content, not of its blocks.
    pub size: u64,
}

/// What a release delivers: the archive's content.
pub type Artifact = Content;

/// A SemVer 2.0 version without build metadata, in its one canonical spelling.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(semver::Version);

/// A version that is not SemVer 2.0, or has build metadata, which precedence ignores and a write-once version can't.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// Not SemVer 2.0.
    #[error("\"{0}\" is not a SemVer 2.0 version")]
    NotSemVer(String),
    /// `+…` at the end.
    #[error("build metadata (`+…`) is not allowed in a version")]
    BuildMetadata,
    /// Longer than [`limits::MAX_VERSION_BYTES`].
    #[error("a version has at most {} bytes", limits::MAX_VERSION_BYTES)]
    TooLong,
}

impl Version {
    /// Whether it is a pre-release such as `1.0.0-rc.1`.
    pub fn is_pre_release(&self) -> bool {
        !self.0.pre.is_empty()
    }

    /// The version with the comparison and matching of the semver crate.
    pub const fn semver(&self) -> &semver::Version {
        &self.0
    }
}

impl FromStr for Version {
    type Err = VersionError;

    fn from_str(text: &str) -> Result<Self, VersionError> {
        if text.len() > limits::MAX_VERSION_BYTES {
            return Err(VersionError::TooLong);
        }
        let version = semver::Version::parse(text).map_err(|_| VersionError::NotSemVer(text.into()))?;
        if !version.build.is_empty() {
            return Err(VersionError::BuildMetadata);
        }
        Ok(Self(version))
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

impl Serialize for Version {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Version {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// Another package that this one needs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dependency {
    /// Whose package is meant. None: the publisher did not say; such a dependency is shown, and never resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub publisher: Option<PublisherId>,
    /// What its publisher calls it.
    pub name: PackageName,
    /// A requirement in the syntax of the semver crate, such as `^1.2`.
    pub requirement: String,
    /// Whether the package works without it.
    pub optional: bool,
}

/// One version of a package. Text fields are single lines; long text is content, by CID.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Release {
    /// Who publishes it.
    pub publisher: PublisherId,
    /// The key event that it is signed under.
    pub signed_under: RecordId,
    /// The record's index below the publisher's quota; a publisher uses each once.
    pub index: u32,
    /// What the publisher calls the package.
    pub name: PackageName,
    /// Which version it is; written once.
    pub version: Version,
    /// The archive.
    pub artifact: Artifact,
    /// A title for people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// What it is, in a paragraph; may be empty.
    pub description: String,
    /// The README, Markdown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub readme: Option<Content>,
    /// What kind of thing it is.
    pub categories: Vec<String>,
    /// Words it should be found by.
    pub tags: Vec<String>,
    /// An SPDX expression, or text where it is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub license: Option<String>,
    /// Who wrote it.
    pub authors: Vec<String>,
    /// Its home page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub homepage: Option<String>,
    /// Where its source is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// Where its documentation is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub documentation: Option<String>,
    /// What it needs.
    pub dependencies: Vec<Dependency>,
    /// When it was made: seconds since 1970, as the publisher says.
    pub created: u64,
}

impl Release {
    /// The package it is a release of.
    pub fn package(&self) -> PackageId {
        PackageId { publisher: self.publisher, name: self.name.clone() }
    }
}

impl Payload for Release {
    const KIND: Kind = Kind::Release;

    fn check(&self) -> Result<(), Error> {
        check_size("artifact", &self.artifact, limits::MAX_ARTIFACT_BYTES)?;
        if let Some(readme) = &self.readme {
            check_size("readme", readme, limits::MAX_README_BYTES)?;
        }
        if let Some(title) = &self.title {
            check_word("title", title, limits::MAX_TITLE_BYTES)?;
        }
        check_line("description", &self.description, limits::MAX_DESCRIPTION_BYTES)?;
        check_list("categories", &self.categories, limits::MAX_CATEGORIES, limits::MAX_TAG_BYTES)?;
        check_list("tags", &self.tags, limits::MAX_TAGS, limits::MAX_TAG_BYTES)?;
        check_list("authors", &self.authors, limits::MAX_AUTHORS, limits::MAX_AUTHOR_BYTES)?;
        if let Some(license) = &self.license {
            check_word("license", license, limits::MAX_LICENSE_BYTES)?;
        }
        for (field, url) in
            [("homepage", &self.homepage), ("repository", &self.repository), ("documentation", &self.documentation)]
        {
            if let Some(url) = url {
                check_url(field, url, limits::MAX_URL_BYTES)?;
            }
        }
        check_dependencies(&self.dependencies)
    }
}

fn check_size(field: &'static str, content: &Content, max: u64) -> Result<(), Error> {
    if content.size > max {
        return Err(Error::field(field, format!("has {} bytes, at most {max} are allowed", content.size)));
    }
    Ok(())
}

fn check_list(field: &'static str, list: &[String], max: usize, max_bytes: usize) -> Result<(), Error> {
    if list.len() > max {
        return Err(Error::field(field, format!("has {} entries, at most {max} are allowed", list.len())));
    }
    for (position, entry) in list.iter().enumerate() {
        check_word(field, entry, max_bytes)?;
        if list[..position].contains(entry) {
            return Err(Error::field(field, format!("has \"{entry}\" twice")));
        }
    }
    Ok(())
}

fn check_dependencies(dependencies: &[Dependency]) -> Result<(), Error> {
    let field = "dependencies";
    if dependencies.len() > limits::MAX_DEPENDENCIES {
        let reason = format!("has {} entries, at most {} are allowed", dependencies.len(), limits::MAX_DEPENDENCIES);
        return Err(Error::field(field, reason));
    }
    for (position, dependency) in dependencies.iter().enumerate() {
        check_word(field, &dependency.requirement, limits::MAX_REQUIREMENT_BYTES)?;
        if semver::VersionReq::parse(&dependency.requirement).is_err() {
            let reason =
                format!("asks for \"{}\" of {}, which is no requirement", dependency.requirement, dependency.name);
            return Err(Error::field(field, reason));
        }
        let same = |other: &Dependency| other.name == dependency.name && other.publisher == dependency.publisher;
        if dependencies[..position].iter().any(same) {
            return Err(Error::field(field, format!("names {} twice", dependency.name)));
        }
    }
    Ok(())
}
