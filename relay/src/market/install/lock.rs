//! The lock file: what was asked for and what was installed for it, by release ids and CIDs. The same installation gives the same bytes.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Display;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ggen_shared::id::{FullName, Network, PackageId, PublisherId, RecordId};
use ggen_shared::limits::{MAX_ARTIFACT_BYTES, MAX_DEPENDENCIES};
use ggen_shared::record::{Content, Version};
use serde::{Deserialize, Serialize};

use super::resolve::{MAX_PACKAGES, Wanted, Which};

/// What the file is called.
pub const FILE_NAME: &str = "ggen.lock";

/// The one format that there is.
const FORMAT: u32 = 1;

/// Bytes of a lock file that are read: as many as the most packages with many dependencies take.
const MAX_BYTES: u64 = 16 * 1024 * 1024;

const HEADER: &str = "# Made by ggen-market install; `ggen-market install --locked` installs just this.\n\n";

/// A package as it is locked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Locked {
    /// The name that means it and no other.
    pub full_name: FullName,
    /// Which version.
    pub version: Version,
    /// The release.
    pub release: RecordId,
    /// The archive.
    pub content: Content,
    /// The packages that it needs, with what it asks of them.
    pub needs: BTreeMap<PackageId, String>,
}

/// A lock file's contents.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Lock {
    /// The network that the packages are of.
    pub network: Network,
    /// What was asked for: each of these is among the packages.
    pub wanted: BTreeMap<PackageId, Wanted>,
    /// What is installed for it.
    pub packages: BTreeMap<PackageId, Locked>,
}

/// Why a lock file is not read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The system said so.
    #[error("{}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What it said.
        source: io::Error,
    },
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
}

impl Lock {
    /// Reads the lock file of a directory; None where there is none.
    ///
    /// # Errors
    /// [`Error`].
    pub fn read(directory: &Path) -> Result<Option<Self>, Error> {
        let path = directory.join(FILE_NAME);
        let io = |source| Error::Io { path: path.clone(), source };
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io(error)),
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
        written().map_err(|source| Error::Io { path: path.clone(), source })
    }

    /// The file's text: sorted, so that the same packages give the same bytes.
    pub fn to_text(&self) -> String {
        let name = |package: &PackageId| self.packages.get(package).map(|locked| locked.full_name.to_string());
        let mut wanted: Vec<_> = self
            .wanted
            .iter()
            .filter_map(|(package, wanted)| {
                let (requirement, release) = match &wanted.which {
                    Which::Any => (None, None),
                    Which::Matching(requirement) => (Some(requirement.to_string()), None),
                    Which::Release(release) => (None, Some(release.to_string())),
                };
                Some(WrittenWanted { name: name(package)?, requirement, release, with_optional: wanted.with_optional })
            })
            .collect();
        wanted.sort_by(|one, other| one.name.cmp(&other.name));
        let mut package: Vec<_> = self
            .packages
            .iter()
            .map(|(package, locked)| {
                let needs = locked.needs.iter();
                let needs = needs.filter_map(|(needed, requirement)| Some(format!("{} {requirement}", name(needed)?)));
                let mut dependencies: Vec<_> = needs.collect();
                dependencies.sort();
                WrittenPackage {
                    name: locked.full_name.to_string(),
                    publisher: package.publisher.to_string(),
                    version: locked.version.to_string(),
                    release: locked.release.to_string(),
                    content: locked.content.cid.to_string(),
                    size: locked.content.size,
                    dependencies,
                }
            })
            .collect();
        package.sort_by(|one, other| one.name.cmp(&other.name));
        let written = Written { version: FORMAT, network: self.network.to_string(), wanted, package };
        let text = toml::to_string_pretty(&written).expect("tables of text and numbers are TOML");
        format!("{HEADER}{text}")
    }

    /// The directory of each package below the one that they are installed in: `NAME-VERSION`, and with the publisher's fingerprint
    /// behind it where two packages would stand in one.
    pub fn directories(&self) -> BTreeMap<PackageId, String> {
        let plain = |locked: &Locked| format!("{}-{}", locked.full_name.name, locked.version);
        let mut taken: BTreeMap<String, usize> = BTreeMap::new();
        for locked in self.packages.values() {
            // Some file systems take letters in either case for the same.
            *taken.entry(plain(locked).to_lowercase()).or_default() += 1;
        }
        let directory = |(package, locked): (&PackageId, &Locked)| {
            let plain = plain(locked);
            let is_shared = taken.get(&plain.to_lowercase()).is_some_and(|count| *count > 1);
            let FullName { name, fingerprint, .. } = &locked.full_name;
            // Neither character is in a name or a version, so this is no other package's.
            let directory = if is_shared { format!("{name}@{}~{fingerprint}", locked.version) } else { plain };
            (package.clone(), directory)
        };
        self.packages.iter().map(directory).collect()
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
        let mut ids: HashMap<FullName, PackageId> = HashMap::new();
        for package in &self.package {
            let (name, publisher): (FullName, PublisherId) = (read(&package.name)?, read(&package.publisher)?);
            if publisher.fingerprint() != name.fingerprint {
                return Err(format!("{name} is not of publisher {publisher}"));
            }
            let id = PackageId { publisher, name: name.name.clone() };
            if ids.insert(name.clone(), id).is_some() {
                return Err(format!("has {name} twice"));
            }
        }
        let distinct: BTreeSet<&PackageId> = ids.values().collect();
        if distinct.len() != ids.len() {
            return Err("has a package twice".into());
        }
        let id_of = |name: &str| {
            let name: FullName = read(name)?;
            ids.get(&name).cloned().ok_or_else(|| format!("names {name}, and has no such package"))
        };
        let wanted = self.wanted.iter().map(|wanted| Ok((id_of(&wanted.name)?, wanted.read()?)));
        let wanted = wanted.collect::<Result<_, String>>()?;
        let packages = self.package.iter().map(|package| Ok((id_of(&package.name)?, package.read(&id_of)?)));
        let packages = packages.collect::<Result<_, String>>()?;
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
    fn read(&self, id_of: &impl Fn(&str) -> Result<PackageId, String>) -> Result<Locked, String> {
        if self.size > MAX_ARTIFACT_BYTES || self.dependencies.len() > 2 * MAX_DEPENDENCIES {
            return Err(format!("{} is larger than a release may be", self.name));
        }
        let need = |text: &String| {
            let (name, requirement) = text.split_once(' ').ok_or_else(|| format!("`{text}` is no dependency"))?;
            Ok((id_of(name)?, requirement.to_owned()))
        };
        Ok(Locked {
            full_name: read(&self.name)?,
            version: read(&self.version)?,
            release: read(&self.release)?,
            content: Content { cid: read(&self.content)?, size: self.size },
            needs: self.dependencies.iter().map(need).collect::<Result<_, String>>()?,
        })
    }
}

fn read<T: FromStr<Err: Display>>(text: &str) -> Result<T, String> {
    text.parse().map_err(|error: T::Err| format!("`{text}`: {error}"))
}

#[cfg(test)]
#[path = "lock_tests.rs"]
pub(super) mod tests;
