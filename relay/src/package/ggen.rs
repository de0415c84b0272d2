//! A ggen package directory: `package.toml` with `[package]`, or `pack.toml` with `[pack]`.

use std::fs;
use std::io::Read;
use std::path::Path;

use ggen_shared::id::PackageName;
use ggen_shared::limits;
use ggen_shared::record::Version;
use toml::{Table, Value};

use super::dependencies::{Dependencies, sorted};
use super::fields::{self, Fields, ListRule, Origin};
use super::tree::{self, File};
use super::{Error, MAX_MANIFEST_BYTES, Manifest, Package, Parsed, ReadmeKey, archive, text};

/// The manifests, the one that counts first.
const MANIFESTS: [&str; 2] = ["package.toml", "pack.toml"];
/// The tables that describe the package, the one that counts first.
const SECTIONS: [&str; 2] = ["package", "pack"];
/// What is said of a manifest without either.
const MISSING_PACKAGE: &str = "is missing. A manifest begins like this:\n\n    [package]\n    name = \"my-package\"\n    \
                               version = \"0.1.0\"\n";

/// Fields of that table. Whatever else stands there is left out of the release.
const FIELDS: [&str; 19] = [
    "name",
    "id",
    "version",
    "description",
    "title",
    "display_name",
    "full_name",
    "category",
    "categories",
    "tags",
    "keywords",
    "license",
    "author",
    "authors",
    "homepage",
    "repository",
    "documentation",
    "readme",
    "dependencies",
];
/// How far from a field's name a slip of the pen leads.
const SLIP: usize = 2;

/// Whether a path's last name is a manifest's.
pub(super) fn is_manifest(path: &Path) -> bool {
    path.file_name().is_some_and(|name| MANIFESTS.iter().any(|manifest| name == *manifest))
}

/// The name of the manifest that counts in a directory.
pub(super) fn manifest_of(directory: &Path) -> Option<&'static str> {
    MANIFESTS.into_iter().find(|name| directory.join(name).symlink_metadata().is_ok())
}

/// The name and version that a directory's manifest says, if it is a good one.
pub(super) fn glance(directory: &Path) -> Option<(PackageName, Version)> {
    let name = manifest_of(directory)?;
    let location = directory.join(name);
    // A link, or a pipe that nobody writes to, is not opened.
    if !location.symlink_metadata().ok()?.is_file() {
        return None;
    }
    let file = File { path: name.into(), location, executable: false };
    let manifest = parse(name, &read_bounded(&file, MAX_MANIFEST_BYTES).ok()??).ok()?.manifest;
    Some((manifest.name, manifest.version))
}

/// Reads a directory.
pub(super) fn read(directory: &Path) -> Result<Package, Error> {
    // Whether it is a package is asked before everything in it is looked at: it may be a home directory.
    let Some(name) = manifest_of(directory) else { return Err(Error::NotAPackage(directory.into())) };
    let files = tree::list(directory)?;
    let Some(file) = files.iter().find(|file| file.path == name) else {
        return Err(Error::NotAPackage(directory.into()));
    };
    let Some(manifest) = read_bounded(file, MAX_MANIFEST_BYTES)? else {
        return Err(Error::TooLarge { file: name.into(), what: "bytes", limit: MAX_MANIFEST_BYTES });
    };
    let parsed = parse(name, &manifest)?;
    let readme = read_readme(&files, &parsed.readme)?;
    let root = format!("{}-{}", parsed.manifest.name, parsed.manifest.version);
    let artifact = archive::build(&root, &files)?;
    Ok(parsed.package(artifact, readme, name))
}

/// Reads a manifest.
pub(super) fn parse(file: &str, bytes: &[u8]) -> Result<Parsed, Error> {
    let document = fields::parse(file, bytes)?;
    let missing =
        |field: &str, reason: &str| Error::Field { file: file.into(), field: field.into(), reason: reason.into() };
    let Some((section, value)) = SECTIONS.into_iter().find_map(|name| Some((name, document.get(name)?))) else {
        return Err(missing("[package]", MISSING_PACKAGE));
    };
    let Value::Table(table) = value else { return Err(missing(section, "is not a table")) };
    let mut fields = Fields { file, origin: Origin::Directory, table, warnings: Vec::new() };

    warn_of_unknown(&mut fields, &document);
    let (name, written) = name(&fields)?;
    let version = fields.version()?;
    let (description, long_description) = fields.description()?;
    let mut title = None;
    for field in ["title", "display_name", "full_name"] {
        title = title.or_else(|| fields.line(field, limits::MAX_TITLE_BYTES));
    }
    let title = title.or(written).filter(|title| title != name.as_str());
    let manifest = Manifest {
        title,
        description,
        categories: fields.list(&["category", "categories"], CATEGORIES)?,
        tags: fields.list(&["tags", "keywords"], TAGS)?,
        license: fields.license(),
        authors: fields.list(&["author", "authors"], AUTHORS)?,
        homepage: fields.url("homepage"),
        repository: fields.url("repository"),
        documentation: fields.url("documentation"),
        dependencies: {
            let mut dependencies = Dependencies::default();
            for value in [table.get("dependencies"), document.get("dependencies")].into_iter().flatten() {
                match value {
                    Value::Table(table) => dependencies.add_table(&mut fields, table, false)?,
                    Value::Array(names) => dependencies.add_names(&mut fields, "dependencies", names, false)?,
                    other => {
                        return Err(fields.error("dependencies", format!("is {}, not a table", fields::kind(other))));
                    }
                }
            }
            dependencies.finish(&fields)?
        },
        name,
        version,
    };
    manifest.check(file)?;
    Ok(Parsed { manifest, readme: fields.readme(), long_description, warnings: fields.warnings })
}

/// Warns of fields that are not known, since what is misspelt is left out. Tables may be other tools'.
fn warn_of_unknown(fields: &mut Fields<'_>, document: &Table) {
    let is_table = |value: &Value| match value {
        Value::Table(_) => true,
        Value::Array(values) => values.first().is_some_and(Value::is_table),
        _ => false,
    };
    for (field, _) in sorted(document).filter(|(field, value)| *field != "dependencies" && !is_table(value)) {
        let shown = text::shortened(&text::line(field).0, 80);
        fields.warn(&shown, "stands outside of [package]; left out");
    }
    for (field, _) in
        sorted(fields.table).filter(|(field, value)| !FIELDS.contains(&field.as_str()) && !is_table(value))
    {
        let meant = FIELDS.iter().map(|known| (text::distance(field, known), known)).min();
        let meant = meant.filter(|(distance, _)| *distance <= SLIP).map(|(_, known)| known);
        let shown = text::shortened(&text::line(field).0, 80);
        fields.warn(
            &shown,
            match meant {
                Some(known) => format!("is not known; left out. Is `{known}` meant?"),
                None => "is not known; left out".into(),
            },
        );
    }
}

pub(super) const CATEGORIES: ListRule =
    ListRule { entries: limits::MAX_CATEGORIES, bytes: limits::MAX_TAG_BYTES, folded: true };
pub(super) const TAGS: ListRule = ListRule { entries: limits::MAX_TAGS, bytes: limits::MAX_TAG_BYTES, folded: true };
pub(super) const AUTHORS: ListRule =
    ListRule { entries: limits::MAX_AUTHORS, bytes: limits::MAX_AUTHOR_BYTES, folded: false };

/// The name; some packages have a title in `name` and the name in `id`. Then the title comes second.
fn name(fields: &Fields<'_>) -> Result<(PackageName, Option<String>), Error> {
    let name = fields.text("name")?;
    let id = fields.text("id")?;
    match (name, id) {
        (Some(name), Some(id)) if PackageName::new(name).is_err() => {
            let title = text::shortened(&text::line(name).0, limits::MAX_TITLE_BYTES);
            Ok((fields.package_name("id", id)?, Some(title).filter(|title| !title.is_empty())))
        }
        (Some(name), _) => Ok((fields.package_name("name", name)?, None)),
        (None, Some(id)) => Ok((fields.package_name("id", id)?, None)),
        (None, None) => Err(fields.error("name", "is missing")),
    }
}

/// The README's bytes, or why it is left out.
fn read_readme(files: &[File], key: &ReadmeKey) -> Result<Result<Option<Vec<u8>>, &'static str>, Error> {
    let file = match key {
        ReadmeKey::None => return Ok(Ok(None)),
        // Only what is in the package: the path is looked up, never opened.
        ReadmeKey::At(path) => match files.iter().find(|file| file.path == *path) {
            Some(file) => file,
            None => return Ok(Err("names no file of the package; left out")),
        },
        ReadmeKey::Default => {
            let exact = files.iter().find(|file| file.path == "README.md");
            match exact.or_else(|| files.iter().find(|file| file.path.eq_ignore_ascii_case("readme.md"))) {
                Some(file) => file,
                None => return Ok(Ok(None)),
            }
        }
    };
    Ok(match read_bounded(file, limits::MAX_README_BYTES)? {
        Some(readme) => Ok(Some(readme)),
        None => Err("is larger than a page renders; left out"),
    })
}

/// A file's bytes; none if there are more than allowed.
pub(super) fn read_bounded(file: &File, max_bytes: u64) -> Result<Option<Vec<u8>>, Error> {
    let io = |source| Error::Io { path: file.location.clone(), source };
    let mut bytes = Vec::new();
    fs::File::open(&file.location).map_err(io)?.take(max_bytes + 1).read_to_end(&mut bytes).map_err(io)?;
    Ok((bytes.len() as u64 <= max_bytes).then_some(bytes))
}
