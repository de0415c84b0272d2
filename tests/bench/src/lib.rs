//! Corpora of real packages as signed records of many publishers: what tests and benchmarks at scale run on. Never in git.
//!
//! A corpus is a file of records, key logs before releases, each behind its length in four bytes, big endian.

#[cfg(feature = "relays")]
pub mod network;
pub mod queries;
#[cfg(feature = "relays")]
pub mod relays;
pub mod report;

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use ed25519_dalek::SigningKey;
use ggen_shared::catalogue::Catalogue;
use ggen_shared::catalogue::build::Builder;
use ggen_shared::catalogue::snapshots::{Snapshot, Snapshots};
use ggen_shared::id::{Handle, KeyCommitment, Network, PackageName, PublicKey, PublisherId};
use ggen_shared::limits::{MAX_DEPENDENCIES, MAX_DESCRIPTION_BYTES, MAX_TAGS, MAX_TITLE_BYTES, MAX_URL_BYTES};
use ggen_shared::record::{Artifact, ContentId, Dependency, Inception, Record, Release, Verified, Work, sign};

/// The network of corpora.
pub fn network() -> Network {
    Network::named("corpus").expect("a short name")
}

/// Publishers of a corpus: the real maintainers are many; so many are enough to tell popularity apart.
const PUBLISHERS: usize = 400;

/// One package of an index.
#[derive(Debug, Clone, Default)]
pub struct Package {
    /// Its name there.
    pub name: String,
    /// One line.
    pub synopsis: String,
    /// The long description; empty when there is none.
    pub description: String,
    /// The maintainer.
    pub maintainer: String,
    /// The section.
    pub section: String,
    /// The homepage.
    pub homepage: Option<String>,
    /// Tags of the index.
    pub tags: Vec<String>,
    /// Names of packages that it needs.
    pub depends: Vec<String>,
}

/// The packages of this Debian machine, by name, with their long descriptions if those were fetched
/// (`apt-get -o Acquire::Languages=en update`).
///
/// # Errors
/// When apt can't be asked.
pub fn debian() -> Result<Vec<Package>> {
    let mut long: HashMap<String, String> = HashMap::new();
    for entry in fs::read_dir("/var/lib/apt/lists").context("this is no Debian machine")?.flatten() {
        if entry.file_name().to_string_lossy().contains("Translation-en") {
            let path = entry.path();
            let mut command = Command::new("/usr/lib/apt/apt-helper");
            stanzas(command.arg("cat-file").arg(&path), |fields| {
                if let (Some(hash), Some(text)) = (fields.get("Description-md5"), fields.get("Description-en")) {
                    long.insert(hash.clone(), text.clone());
                }
            })?;
        }
    }
    let mut packages = BTreeMap::new();
    stanzas(Command::new("apt-cache").arg("dumpavail"), |fields| {
        let text = |name: &str| fields.get(name).cloned().unwrap_or_default();
        let description = fields.get("Description-md5").and_then(|hash| long.get(hash)).cloned();
        let description = description.unwrap_or_else(|| text("Description"));
        let (synopsis, rest) = description.split_once('\n').unwrap_or((&description, ""));
        let package = Package {
            name: text("Package"),
            synopsis: synopsis.to_owned(),
            description: rest.lines().map(str::trim).filter(|line| *line != ".").collect::<Vec<_>>().join(" "),
            maintainer: text("Maintainer"),
            section: text("Section"),
            homepage: fields.get("Homepage").cloned(),
            tags: tags(&text("Tag")),
            depends: text("Depends")
                .split([',', '|'])
                .filter_map(|dependency| dependency.split_whitespace().next())
                .map(|name| name.split(':').next().unwrap_or(name).to_owned())
                .collect(),
        };
        packages.insert(package.name.clone(), package);
    })?;
    if packages.is_empty() {
        bail!("apt knows no packages: run apt-get -o Acquire::Languages=en update");
    }
    Ok(packages.into_values().collect())
}

/// What follows the facets in a list such as `field::graphics, use::viewing`, each once: several facets have values of the same name.
fn tags(text: &str) -> Vec<String> {
    let mut tags: Vec<String> = Vec::new();
    for (_, tag) in text.split(',').filter_map(|tag| tag.trim().split_once("::")) {
        if !tags.iter().any(|known| known == tag) {
            tags.push(tag.to_owned());
        }
    }
    tags
}

/// Gives each stanza that a command prints, field by field.
fn stanzas(command: &mut Command, mut each: impl FnMut(&HashMap<String, String>)) -> Result<()> {
    let mut child = command.stdout(Stdio::piped()).spawn().with_context(|| format!("cannot start {command:?}"))?;
    let output = child.stdout.take().context("its output was asked for as a pipe")?;
    let (mut fields, mut last) = (HashMap::<String, String>::new(), String::new());
    for line in BufReader::new(output).split(b'\n') {
        let line = String::from_utf8_lossy(&line?).into_owned();
        if line.is_empty() {
            each(&fields);
            fields.clear();
        } else if let Some(more) = line.strip_prefix(' ') {
            if let Some(text) = fields.get_mut(&last) {
                text.push('\n');
                text.push_str(more);
            }
        } else if let Some((name, value)) = line.split_once(": ") {
            last = name.to_owned();
            fields.insert(last.clone(), value.to_owned());
        }
    }
    if !fields.is_empty() {
        each(&fields);
    }
    child.wait()?;
    Ok(())
}

/// A publisher of a corpus, made of its number.
#[derive(Debug, Clone)]
pub struct Publisher {
    network: Network,
    key: SigningKey,
    inception: Verified<Inception>,
    next_index: u32,
}

impl Publisher {
    /// The publisher of this number, in the network of corpora.
    pub fn new(number: usize) -> Self {
        Self::in_network(number, network())
    }

    fn in_network(number: usize, network: Network) -> Self {
        let secret = |what: &str| *blake3_of(&format!("{what} {number}")).as_bytes();
        let (key, next) = (SigningKey::from_bytes(&secret("key")), SigningKey::from_bytes(&secret("next")));
        let public = |key: &SigningKey| PublicKey::from_bytes(key.verifying_key().to_bytes());
        let inception = Inception {
            handle: Handle::new(format!("maintainer-{number}")).expect("a valid handle"),
            key: public(&key),
            next: KeyCommitment::to_key(&public(&next)),
            work: Work::NONE,
        };
        let inception = sign(inception, &key, &network).expect("a valid inception");
        Self { network, key, inception, next_index: 0 }
    }

    /// Its id.
    pub const fn id(&self) -> PublisherId {
        PublisherId::from_inception(self.inception.id())
    }

    /// Its key log as a record.
    pub fn record(&self) -> Record {
        Record::Inception(self.inception.clone())
    }

    /// Signs a release as its next one.
    ///
    /// # Errors
    /// When the release is none.
    pub fn sign(&mut self, release: Release) -> Result<Verified<Release>> {
        let release =
            Release { publisher: self.id(), signed_under: self.inception.id(), index: self.next_index, ..release };
        let signed = sign(release, &self.key, &self.network)?;
        self.next_index += 1;
        Ok(signed)
    }
}

fn blake3_of(text: &str) -> ggen_shared::merkle::Hash {
    ggen_shared::merkle::Hash::leaf(b"corpus", text.as_bytes())
}

/// Packages as signed records, key logs first.
pub fn records(packages: &[Package]) -> (Vec<Publisher>, Vec<Record>) {
    records_in(&network(), packages)
}

/// Packages as signed records of a network.
pub fn records_in(network: &Network, packages: &[Package]) -> (Vec<Publisher>, Vec<Record>) {
    let publisher = |number| Publisher::in_network(number, network.clone());
    let mut publishers: Vec<_> = (0..PUBLISHERS).map(publisher).collect();
    let owner = |package: &Package| {
        let hash = blake3_of(&package.maintainer);
        usize::from(u16::from_be_bytes([hash.as_bytes()[0], hash.as_bytes()[1]])) % PUBLISHERS
    };
    let owners: HashMap<&str, usize> = packages.iter().map(|package| (&*package.name, owner(package))).collect();
    let mut records: Vec<_> =
        publishers.iter().map(|publisher| Record::Inception(publisher.inception.clone())).collect();
    let ids: Vec<_> = publishers.iter().map(Publisher::id).collect();
    for package in packages {
        let publisher = &mut publishers[owner(package)];
        let Some(release) = release(package, publisher, |name| owners.get(name).map(|owner| ids[*owner])) else {
            continue;
        };
        records.push(Record::Release(Box::new(release)));
    }
    (publishers, records)
}

fn release(
    package: &Package,
    publisher: &mut Publisher,
    owner: impl Fn(&str) -> Option<PublisherId>,
) -> Option<Verified<Release>> {
    let named = |name: &str| PackageName::new(name.replace('+', "p")).ok();
    let mut depends: Vec<&String> = package.depends.iter().collect();
    depends.sort();
    depends.dedup();
    let dependency = |name: &String| {
        Some(Dependency { publisher: Some(owner(name)?), name: named(name)?, requirement: "*".into(), optional: false })
    };
    let age = u32::from_be_bytes(*blake3_of(&package.name).as_bytes().first_chunk()?);
    let content = format!("{} {}", package.name, package.synopsis);
    let release = Release {
        publisher: publisher.id(),
        signed_under: publisher.inception.id(),
        index: publisher.next_index,
        name: named(&package.name)?,
        version: "1.0.0".parse().ok()?,
        artifact: Artifact { cid: ContentId::of_raw(content.as_bytes()), size: content.len() as u64 },
        title: Some(cut(&package.synopsis, MAX_TITLE_BYTES)).filter(|title| !title.is_empty()),
        description: cut(&package.description, MAX_DESCRIPTION_BYTES),
        readme: None,
        categories: Some(package.section.clone()).filter(|section| !section.is_empty()).into_iter().collect(),
        tags: package.tags.iter().take(MAX_TAGS).cloned().collect(),
        license: None,
        authors: Vec::new(),
        homepage: package.homepage.clone().filter(|url| url.len() <= MAX_URL_BYTES && url.starts_with("http")),
        repository: None,
        documentation: None,
        dependencies: depends.into_iter().filter_map(dependency).take(MAX_DEPENDENCIES).collect(),
        // Spread over three years: an index does not say when.
        created: 1_650_000_000 + u64::from(age % 94_000_000),
    };
    let signed = sign(release, &publisher.key, &publisher.network).ok()?;
    publisher.next_index += 1;
    Some(signed)
}

/// At most so many bytes of a text, cut between words.
fn cut(text: &str, bytes: usize) -> String {
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if text.len() <= bytes {
        return text.trim().to_owned();
    }
    let end = text.char_indices().map(|(at, _)| at).take_while(|at| *at <= bytes).last().unwrap_or_default();
    let cut = &text[..end];
    cut.rsplit_once(' ').map_or(cut, |(whole, _)| whole).trim().to_owned()
}

/// Signs a release of a package that is in the corpus already: another version of it.
pub fn another_version(publisher: &mut Publisher, release: &Release, version: &str) -> Result<Verified<Release>> {
    let release = Release {
        version: version.parse()?,
        index: publisher.next_index,
        created: release.created + 1,
        artifact: Artifact { cid: ContentId::of_raw(version.as_bytes()), size: version.len() as u64 },
        ..release.clone()
    };
    publisher.next_index += 1;
    Ok(sign(release, &publisher.key, &publisher.network)?)
}

/// Writes a corpus.
///
/// # Errors
/// What the disk says.
pub fn write(path: &Path, records: &[Record]) -> Result<()> {
    let mut bytes = Vec::new();
    for record in records {
        bytes.extend(u32::try_from(record.bytes().len())?.to_be_bytes());
        bytes.extend_from_slice(record.bytes());
    }
    if let Some(directory) = path.parent() {
        fs::create_dir_all(directory)?;
    }
    fs::File::create(path)?.write_all(&bytes)?;
    Ok(())
}

/// Builds a catalogue from the bytes of records as a relay does at its start: every one of them verified.
///
/// # Errors
/// The first record that does not hold.
pub fn verified_catalogue<'a>(all: impl Iterator<Item = &'a [u8]>) -> Result<Catalogue> {
    let all: Vec<&[u8]> = all.collect();
    let mut builder = Builder::new();
    match builder.load(&all, &network()) {
        0 => Ok(builder.finish()),
        left_out => bail!("{left_out} records do not verify"),
    }
}

/// What a relay of the corpus' network commits to in epoch 1, and which relay that is.
pub fn committed(catalogue: &mut Catalogue) -> (Snapshots, PublicKey) {
    let key = SigningKey::from_bytes(&[7; 32]);
    let snapshot = Snapshot::sign(catalogue, &network(), &key, 1, None);
    let mut snapshots = Snapshots::default();
    snapshots.push(snapshot);
    (snapshots, PublicKey::from_bytes(key.verifying_key().to_bytes()))
}
