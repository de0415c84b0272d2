//! The lock file: what was asked for and what was installed for it, by release ids and CIDs. The same installation gives the same bytes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use data_encoding::BASE64;
use ggen_shared::id::{FullName, Network, PackageId, PublisherId, RecordId};
use ggen_shared::limits::{MAX_ARTIFACT_BYTES, MAX_DEPENDENCIES, MAX_RECORD_BYTES};
use ggen_shared::record::{Content, Version};
use semver::VersionReq;
use serde::{Deserialize, Serialize};

use super::resolve::{MAX_PACKAGES, Wanted, Which};
use super::series::{Pick, Series};
use crate::files::Fault;

/// What the file is called.
pub const FILE_NAME: &str = "ggen.lock";

/// The one format that there is.
const FORMAT: u32 = 1;

/// Bytes of a lock file that are read: as many as the most packages take whose records are as long as a record may be, in base64, and what is
/// written of them besides.
const MAX_BYTES: u64 = (MAX_PACKAGES * 3 * MAX_RECORD_BYTES) as u64;

const HEADER: &str = "# Made by ggen-market install; `ggen-market install --locked` installs just this.\n\n";

/// A version of a package as it is locked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locked {
    /// The name that means its package and no other.
    pub full_name: FullName,
    /// The release.
    pub release: RecordId,
    /// The signed record of the release, so that it can be verified also when no relay keeps it any more. Lock files had none before.
    pub record: Option<Vec<u8>>,
    /// The archive.
    pub content: Content,
    /// What it needs, with what it asks of the packages.
    pub needs: BTreeMap<Pick, String>,
}

/// A lock file's contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// The network that the packages are of.
    pub network: Network,
    /// What was asked for, and what is installed as that: each of these is among the packages, and of each package there is one.
    pub wanted: BTreeMap<Pick, Wanted>,
    /// What is installed for it.
    pub packages: BTreeMap<Pick, Locked>,
}

/// Why a lock file is not read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system said so.
    #[error(transparent)]
    Io(#[from] Fault),
    /// It is no TOML of this shape.
    #[error("{} is no lock file", path.display())]
    Shape {
        /// The file.
        path: PathBuf,
        /// Where and why.
        source: Box<toml::de::Error>,
    },
    /// Something in it is not as `install` writes it.
    #[error("{}: {reason}", path.display())]
    Content {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// As it is written.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u32,
    network: String,
    #[serde(default)]
    wanted: Vec<WrittenWanted>,
    #[serde(default)]
    package: Vec<WrittenPackage>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenWanted {
    name: String,
    version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    requirement: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    release: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    with_optional: bool,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct WrittenPackage {
    name: String,
    publisher: String,
    version: String,
    release: String,
    content: String,
    size: u64,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    dependencies: Vec<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    record: Option<String>,
}

impl Lock {
    /// Reads the lock file of a directory; None where there is none.
    ///
    /// # Errors
    /// [`Error`].
    pub fn read(directory: &Path) -> Result<Option<Self>, Error> {
        let path = directory.join(FILE_NAME);
        let io = Fault::at(&path);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io(error).into()),
        };
        let mut text = String::new();
        file.take(MAX_BYTES + 1).read_to_string(&mut text).map_err(io)?;
        let content = |reason: String| Error::Content { path: path.clone(), reason };
        if text.len() as u64 > MAX_BYTES {
            return Err(content(format!("is longer than {MAX_BYTES} bytes")));
        }
        let written: Written =
            toml::from_str(&text).map_err(|error| Error::Shape { path: path.clone(), source: Box::new(error) })?;
        written.read().map(Some).map_err(content)
    }

    /// Writes it, in one step.
    ///
    /// # Errors
    /// [`Error::Io`]. What was there before is there still.
    pub fn write(&self, directory: &Path, temporary: &Path) -> Result<(), Error> {
        let path = directory.join(FILE_NAME);
        let written = || {
            let mut file = File::create(temporary)?;
            file.write_all(self.to_text().as_bytes())?;
            file.sync_all()?;
            fs::rename(temporary, &path)
        };
        written().map_err(|error| Fault::at(&path)(error).into())
    }

    /// The file's text: sorted, so that the same packages give the same bytes.
    pub fn to_text(&self) -> String {
        let name = |pick: &Pick| self.packages.get(pick).map(|locked| locked.full_name.to_string());
        let mut wanted: Vec<_> = self
            .wanted
            .iter()
            .filter_map(|(pick, wanted)| {
                let (requirement, release) = match &wanted.which {
                    Which::Any => (None, None),
                    Which::Matching(requirement) => (Some(requirement.to_string()), None),
                    Which::Release(release) => (None, Some(release.to_string())),
                };
                let (name, version) = (name(pick)?, pick.version.to_string());
                Some(WrittenWanted { name, version, requirement, release, with_optional: wanted.with_optional })
            })
            .collect();
        wanted.sort_by(|one, other| one.name.cmp(&other.name));
        let mut package: Vec<_> = self
            .packages
            .iter()
            .map(|(pick, locked)| {
                let need = |(needed, requirement): (&Pick, &String)| {
                    Some(format!("{}@{} {requirement}", name(needed)?, needed.version))
                };
                let mut dependencies: Vec<_> = locked.needs.iter().filter_map(need).collect();
                dependencies.sort();
                WrittenPackage {
                    name: locked.full_name.to_string(),
                    publisher: pick.package.publisher.to_string(),
                    version: pick.version.to_string(),
                    release: locked.release.to_string(),
                    content: locked.content.cid.to_string(),
                    size: locked.content.size,
                    dependencies,
                    record: locked.record.as_ref().map(|record| BASE64.encode(record)),
                }
            })
            .collect();
        // Versions of one package stay as they are: the lowest first.
        package.sort_by(|one, other| one.name.cmp(&other.name));
        let written = Written { version: FORMAT, network: self.network.to_string(), wanted, package };
        let text = toml::to_string_pretty(&written).expect("tables of text and numbers are TOML");
        format!("{HEADER}{text}")
    }

    /// The directory of each package below the one that they are installed in: `NAME-VERSION`, and with the publisher's fingerprint
    /// behind it where two packages would stand in one.
    pub fn directories(&self) -> BTreeMap<Pick, String> {
        let plain = |pick: &Pick| format!("{}-{}", pick.package.name, pick.version);
        let mut taken: BTreeMap<String, usize> = BTreeMap::new();
        for pick in self.packages.keys() {
            // Some file systems take letters in either case for the same.
            *taken.entry(plain(pick).to_lowercase()).or_default() += 1;
        }
        let directory = |pick: &Pick| {
            let plain = plain(pick);
            let is_shared = taken.get(&plain.to_lowercase()).is_some_and(|count| *count > 1);
            let PackageId { name, publisher } = &pick.package;
            // Neither character is in a name or a version, so this is no other package's.
            let apart = || format!("{name}@{}~{}", pick.version, publisher.fingerprint());
            (pick.clone(), if is_shared { apart() } else { plain })
        };
        self.packages.keys().map(directory).collect()
    }
}

impl Written {
    fn read(self) -> Result<Lock, String> {
        if self.version != FORMAT {
            return Err(format!("is of format {}, which this program does not know", self.version));
        }
        if self.package.len() > MAX_PACKAGES {
            return Err(format!("has more than {MAX_PACKAGES} packages"));
        }
        let mut picks: HashMap<(FullName, Version), Pick> = HashMap::new();
        let mut series: BTreeSet<(PackageId, Series)> = BTreeSet::new();
        for package in &self.package {
            let (full_name, publisher): (FullName, PublisherId) = (read(&package.name)?, read(&package.publisher)?);
            if publisher.fingerprint() != full_name.fingerprint {
                return Err(format!("{full_name} is not of publisher {publisher}"));
            }
            let id = PackageId { publisher, name: full_name.name.clone() };
            let pick = Pick { package: id.clone(), version: read(&package.version)? };
            if !series.insert((id, pick.series())) {
                return Err(format!("has {full_name} {} twice", pick.series()));
            }
            picks.insert((full_name, pick.version.clone()), pick);
        }
        let pick_of = |name: &str, version: &str| {
            let of = (read::<FullName>(name)?, read::<Version>(version)?);
            picks.get(&of).cloned().ok_or_else(|| format!("names {name} {version}, and has no such package"))
        };
        let mut wanted = BTreeMap::new();
        let mut named: BTreeSet<PackageId> = BTreeSet::new();
        for written in &self.wanted {
            let pick = pick_of(&written.name, &written.version)?;
            if !named.insert(pick.package.clone()) {
                return Err(format!("asks for {} twice", written.name));
            }
            wanted.insert(pick, written.read()?);
        }
        let read_package = |it: &WrittenPackage| Ok((pick_of(&it.name, &it.version)?, it.read(&pick_of)?));
        let packages = self.package.iter().map(read_package).collect::<Result<_, String>>()?;
        Ok(Lock { wanted, packages, network: Network::named(self.network).map_err(|error| error.to_string())? })
    }
}

impl WrittenWanted {
    fn read(&self) -> Result<Wanted, String> {
        let which = match (&self.requirement, &self.release) {
            (None, None) => Which::Any,
            (Some(requirement), None) => Which::Matching(read(requirement)?),
            (None, Some(release)) => Which::Release(read(release)?),
            (Some(_), Some(_)) => return Err(format!("asks for {} by a requirement and by a release", self.name)),
        };
        Ok(Wanted { which, with_optional: self.with_optional })
    }
}

impl WrittenPackage {
    fn read(&self, pick_of: &impl Fn(&str, &str) -> Result<Pick, String>) -> Result<Locked, String> {
        if self.size > MAX_ARTIFACT_BYTES || self.dependencies.len() > 2 * MAX_DEPENDENCIES {
            return Err(format!("{} is larger than a release may be", self.name));
        }
        let need = |text: &String| {
            let parts = text.split_once(' ').and_then(|(pick, rest)| Some((pick.split_once('@')?, rest)));
            let ((name, version), requirement) =
                parts.ok_or_else(|| format!("`{}` is no dependency", text.escape_default()))?;
            // What several dependencies on one package ask of it stands in a row. Whoever wrote the file, it is shown as it is.
            if !requirement.split(',').all(|part| VersionReq::parse(part.trim()).is_ok()) {
                return Err(format!("`{}` is no requirement", requirement.escape_default()));
            }
            Ok((pick_of(name, version)?, requirement.to_owned()))
        };
        Ok(Locked {
            full_name: read(&self.name)?,
            release: read(&self.release)?,
            record: self.record.as_deref().map(|text| self.read_record(text)).transpose()?,
            content: Content { cid: read(&self.content)?, size: self.size },
            needs: self.dependencies.iter().map(need).collect::<Result<_, String>>()?,
        })
    }

    /// The bytes of the record; whether they are one is seen when it is needed.
    fn read_record(&self, text: &str) -> Result<Vec<u8>, String> {
        let wrong = || format!("the record of {} is no record in base64", self.name);
        if text.len() > 2 * MAX_RECORD_BYTES {
            return Err(wrong());
        }
        BASE64.decode(text.as_bytes()).map_err(|_| wrong())
    }
}

fn read<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| format!("`{}`: {error}", text.escape_default()))
}

#[cfg(test)]
#[path = "lock_tests.rs"]
pub(super) mod tests;
