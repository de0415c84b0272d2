//! A `.crate` file, as cargo makes it: its manifest is normalised, with nothing inherited from a workspace.

use std::io;

use ggen_shared::id::PackageName;
use ggen_shared::limits;
use ggen_shared::record::Version;
use toml::{Table, Value};

use super::dependencies::{Dependencies, sorted};
use super::fields::{self, Fields, Origin};
use super::ggen::{AUTHORS, CATEGORIES, TAGS};
use super::{Error, MAX_MANIFEST_BYTES, Manifest, Package, Parsed, ReadmeKey, crate_file};

const MANIFEST: &str = "Cargo.toml";

/// Reads a `.crate` file; its bytes are the artifact.
pub(super) fn read(file: &str, bytes: Vec<u8>) -> Result<Package, Error> {
    // One pass as a rule: READMEs are where they usually are. Only one elsewhere takes a second.
    let mut contents = crate_file::scan(file, &bytes, |path| match path {
        MANIFEST => Some(MAX_MANIFEST_BYTES),
        _ if is_usual_readme(path) => Some(limits::MAX_README_BYTES),
        _ => None,
    })?;
    let shown = format!("{file}: {MANIFEST}");
    let manifest = match contents.kept.remove(MANIFEST) {
        None => return Err(Error::NotAPackage(file.into())),
        Some(None) => return Err(Error::TooLarge { file: shown, what: "bytes", limit: MAX_MANIFEST_BYTES }),
        Some(Some(manifest)) => manifest,
    };
    let (parsed, root) = parse(&shown, &manifest)?;
    if contents.root != root {
        let reason = format!("the archive's directory is {:?}, not {root:?}", contents.root);
        return Err(Error::Field { file: shown, field: "name".into(), reason });
    }
    let readme = match &parsed.readme {
        ReadmeKey::None => Ok(None),
        ReadmeKey::Default => kept(contents.kept.remove("README.md")),
        ReadmeKey::At(path) => match contents.kept.remove(path) {
            Some(found) => kept(Some(found)),
            None => {
                let limit = |other: &str| (other == path).then_some(limits::MAX_README_BYTES);
                let found = crate_file::scan(file, &bytes, limit)?.kept.remove(path);
                if found.is_none() { Err("names no file of the package; left out") } else { kept(found) }
            }
        },
    };
    Ok(parsed.package(bytes, readme, &shown))
}

/// The name and version that a `.crate` file's manifest says, read no further than that.
pub(super) fn glance(file: impl io::Read) -> Option<(PackageName, Version)> {
    let manifest = crate_file::first(io::BufReader::new(file), MANIFEST, MAX_MANIFEST_BYTES)?;
    let (Parsed { manifest, .. }, _) = parse(MANIFEST, &manifest).ok()?;
    Some((manifest.name, manifest.version))
}

fn kept(found: Option<Option<Vec<u8>>>) -> Result<Option<Vec<u8>>, &'static str> {
    match found {
        Some(None) => Err("is larger than a page renders; left out"),
        Some(found) => Ok(found),
        None => Ok(None),
    }
}

fn is_usual_readme(path: &str) -> bool {
    // Few of them: each may be kept in memory.
    matches!(path, "README.md" | "readme.md" | "Readme.md" | "README" | "README.txt" | "README.rst" | "README.adoc")
}

/// Reads a manifest, and says what the archive's directory must be called.
fn parse(file: &str, bytes: &[u8]) -> Result<(Parsed, String), Error> {
    let document = fields::parse(file, bytes)?;
    // `[project]` is what `[package]` was called before cargo 1.0.
    let table = match document.get("package").or_else(|| document.get("project")) {
        Some(Value::Table(table)) => table,
        _ => return Err(Error::Field { file: file.into(), field: "[package]".into(), reason: "is missing".into() }),
    };
    let mut fields = Fields { file, origin: Origin::Crate, table, warnings: Vec::new() };
    let written = fields.text("name")?.ok_or_else(|| fields.error("name", "is missing"))?;
    let name = fields.package_name("name", &written.to_ascii_lowercase())?;
    let version = fields.version()?;
    let root = format!("{written}-{version}");
    let (description, long_description) = fields.description()?;
    let manifest = Manifest {
        // Crates have no title; the spelling of the name is worth keeping where the name's own rules lose it.
        title: Some(written.to_string()).filter(|title| title != name.as_str()),
        description,
        categories: fields.list(&["categories"], CATEGORIES)?,
        tags: fields.list(&["keywords"], TAGS)?,
        license: license(&mut fields),
        authors: fields.list(&["authors"], AUTHORS)?,
        homepage: fields.url("homepage"),
        repository: fields.url("repository"),
        documentation: fields.url("documentation"),
        dependencies: {
            let mut dependencies = Dependencies::default();
            for table in dependency_tables(&document) {
                dependencies.add_table(&mut fields, table, true)?;
            }
            let targets = document.get("target").and_then(Value::as_table);
            let targets = targets.into_iter().flat_map(sorted).filter_map(|(_, target)| target.as_table());
            for table in targets.flat_map(dependency_tables) {
                dependencies.add_optional_table(&mut fields, table, true)?;
            }
            dependencies.finish(&fields)?
        },
        name,
        version,
    };
    manifest.check(file)?;
    Ok((Parsed { manifest, readme: fields.readme(), long_description, warnings: fields.warnings }, root))
}

/// The tables of what a crate, or one target of it, needs to be built and run. Build dependencies count, for a crate is source and can't be
/// used without them; what only its tests need does not. What single targets need is optional: hardly anybody needs what all of
/// them do.
fn dependency_tables(table: &Table) -> impl Iterator<Item = &Table> {
    let names = ["dependencies", "build-dependencies", "build_dependencies"];
    names.into_iter().filter_map(|name| table.get(name).and_then(Value::as_table))
}

fn license(fields: &mut Fields<'_>) -> Option<String> {
    fields.license().or_else(|| {
        let room = limits::MAX_LICENSE_BYTES - "SEE LICENSE IN ".len();
        fields.line("license-file", room).map(|file| format!("SEE LICENSE IN {file}"))
    })
}
