//! What a manifest becomes, and which of its faults stop it.

use std::fmt::Write;

use ggen_shared::id::{PublisherId, RecordId};
use ggen_shared::limits;
use ggen_shared::record::{Content, ContentId, Payload};

use super::{Directory, sample};
use crate::package::{Error, Standing, read};

/// A package whose table has these lines besides name and version.
fn with(lines: &str) -> Directory {
    Directory::with(&with_text(lines))
}

fn with_text(lines: &str) -> String {
    format!("[package]\nname = \"some\"\nversion = \"1.0.0\"\n{lines}\n")
}

fn message(manifest: &str) -> String {
    Directory::with(manifest).error().to_string()
}

#[test]
fn reads_the_sample_packages() {
    let package = read(&sample("rest-api-axum")).unwrap();
    let manifest = package.manifest;
    assert_eq!((manifest.name.as_str(), manifest.version.to_string().as_str()), ("rest-api-axum", "1.2.0"));
    assert_eq!(manifest.title.as_deref(), Some("REST API with Axum"));
    assert_eq!(manifest.categories, ["web-services"]);
    assert_eq!(manifest.tags, ["rest", "axum", "openapi", "rust", "api", "code-generation"]);
    assert_eq!(manifest.authors, ["ggen Contributors"]);
    assert_eq!(manifest.license.as_deref(), Some("MIT OR Apache-2.0"));
    assert_eq!(manifest.repository.as_deref(), Some("https://github.com/seanchatmangpt/ggen"));
    let needs: Vec<_> = manifest
        .dependencies
        .iter()
        .map(|need| (need.name.as_str(), need.requirement.as_str(), need.optional))
        .collect();
    assert_eq!(needs, [("invoice-ontology", ">=2.0.0-rc.1, <3", true), ("rdf-vocabularies", "^0.3", false)]);
    assert!(package.readme.unwrap().starts_with(b"# REST API with Axum"));
    assert_eq!(package.warnings, []);

    let package = read(&sample("event-sourcing-pack")).unwrap();
    assert_eq!(package.manifest.name.as_str(), "event-sourcing-pack");
    assert_eq!((package.manifest.title, package.readme), (None, None));
}

#[test]
fn a_long_description_is_cut_in_the_record_and_whole_in_the_readme() {
    let package = read(&sample("invoice-ontology")).unwrap();
    let description = package.manifest.description;
    assert!(description.len() <= limits::MAX_DESCRIPTION_BYTES && description.ends_with("is due on a date."));
    assert!(!description.contains('\n'));
    assert!(String::from_utf8(package.readme.unwrap()).unwrap().ends_with("in English and German."));
    assert_eq!(package.warnings.len(), 1);
    assert_eq!(package.manifest.categories, ["finance", "ontologies"]);

    let directory = with(&format!("description = \"{}\"", "word ".repeat(200)));
    directory.file("README.md", "its own");
    let package = directory.read().unwrap();
    assert!(package.manifest.description.ends_with("word…"));
    assert_eq!(package.readme.unwrap(), b"its own");
}

#[test]
fn invalid_toml_is_refused_with_line_and_column() {
    let error = Directory::with("[package]\nname = \"a\"\nversion = 1.0.0\n").error();
    assert!(matches!(&error, Error::InvalidToml { line: 3, column: 14.., .. }), "{error:?}");
    assert!(error.to_string().starts_with("package.toml: line 3, column 14: "), "{error}");
    assert_eq!(message("[package\n"), message("[package\r\n"));
    let directory = Directory::with("");
    directory.file("package.toml", b"[package]\nname = \"caf\xe9\"\n");
    assert_eq!(directory.error().to_string(), "package.toml: line 2, column 12: not UTF-8");
    assert_eq!(Directory::with(&"a = [".repeat(100_000)).error().code(), "package/invalid-toml");
    assert_eq!(Directory::with("[package]\nname = \"a\"\nname = \"b\"\n").error().code(), "package/invalid-toml");
}

#[test]
fn faults_of_name_version_and_description_name_file_field_and_reason() {
    for (manifest, expected) in [
        ("package = 1", "package.toml: field `package`: is not a table"),
        ("[package]\nversion = \"1.0.0\"", "package.toml: field `name`: is missing"),
        ("[package]\nname = \"a\"", "package.toml: field `version`: is missing"),
        ("[package]\nname = 1\nversion = \"1.0.0\"", "package.toml: field `name`: is a number, not text"),
        (
            "[package]\nname = \"Some Name\"\nversion = \"1.0.0\"",
            "package.toml: field `name`: \"Some Name\": a package name has 1 to 64 characters, each a lower-case letter, a \
             digit, '.', '_' or '-'; it begins with a letter or a digit, and has no two dots in a row",
        ),
        (
            "[package]\nname = \"a\"\nversion = \"1.0\"",
            "package.toml: field `version`: \"1.0\" is not a SemVer 2.0 version",
        ),
        (
            "[package]\nname = \"a\"\nversion = \"1.0.0+x\"",
            "package.toml: field `version`: \"1.0.0+x\": build metadata (`+…`) is not allowed in a version",
        ),
        (
            "[package]\nname = \"a\"\nversion = \"1.0.0\"\ndescription = []",
            "package.toml: field `description`: is a list, not text",
        ),
    ] {
        assert_eq!(message(manifest), expected);
    }
}

#[test]
fn a_manifest_without_a_package_is_answered_by_an_example_that_can_be_published() {
    for manifest in ["", "name = \"a\"\nversion = \"1.0.0\""] {
        let message = message(manifest);
        assert!(message.starts_with("package.toml: field `[package]`: is missing. "), "{message}");
        let (_, example) = message.split_once("\n\n").unwrap();
        assert_eq!(Directory::with(example).read().unwrap().manifest.name.as_str(), "my-package");
    }
}

#[test]
fn fields_that_are_not_known_are_named_and_tables_of_other_tools_are_not() {
    let lines =
        "licence = \"MIT\"\nextra = [1]\ndescription = \"d\"\n[package.metadata]\na = 1\n[[templates]]\nb = 1\n[tool]";
    let directory = Directory::with(&format!("author = \"me\"\n{}", with_text(lines)));
    let warnings: Vec<_> = directory.read().unwrap().warnings.iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "package.toml: field `author`: stands outside of [package]; left out",
            "package.toml: field `extra`: is not known; left out",
            "package.toml: field `licence`: is not known; left out. Is `license` meant?",
        ]
    );
}

#[test]
fn a_directory_may_be_named_by_its_manifest() {
    let directory = Directory::sound();
    assert_eq!(read(&directory.path().join("package.toml")).unwrap(), directory.read().unwrap());
    let readme = read(&directory.path().join("README.md")).unwrap_err();
    assert!(readme.to_string().contains("pass a directory with package.toml"), "{readme}");
}

#[test]
fn faults_of_optional_metadata_are_warnings() {
    let lines = "license = 3\nrepository = \"owner/name\"\nhomepage = \"javascript:alert(1)\"\nauthor = { name = \"a\" }\n\
                 documentation = \"https://example.org/\u{202e}x\"\ntags = [\"a\", 1]\nreadme = \"gone.md\"\n\
                 description = \"turned \\u202e around\"";
    let package = with(lines).read().unwrap();
    let manifest = &package.manifest;
    assert_eq!((&manifest.license, &manifest.repository, &manifest.homepage), (&None, &None, &None));
    assert_eq!((&manifest.documentation, manifest.authors.len()), (&None, 0));
    assert_eq!(manifest.tags, ["a"]);
    assert_eq!(manifest.description, "turned around");
    let mut fields: Vec<_> = package.warnings.iter().map(|warning| warning.field.as_str()).collect();
    fields.sort_unstable();
    assert_eq!(
        fields,
        ["author", "description", "documentation", "homepage", "license", "readme", "repository", "tags"]
    );
    assert_eq!(
        package.warnings.iter().find(|warning| warning.field == "repository").unwrap().to_string(),
        "package.toml: field `repository`: \"owner/name\" is not an http or https URL of at most 256 bytes; left out"
    );
}

#[test]
fn lists_over_their_bounds_are_refused() {
    let list = |count: usize| (0..count).map(|number| format!("\"t{number}\"")).collect::<Vec<_>>().join(",");
    assert!(with(&format!("tags = [{}]", list(limits::MAX_TAGS))).read().is_ok());
    let error = with(&format!("tags = [{}]\nkeywords = [\"one-more\"]", list(limits::MAX_TAGS))).error();
    assert_eq!(error.to_string(), "package.toml: field `keywords`: more than 32 entries");
    assert_eq!(with(&format!("categories = [{}]", list(limits::MAX_CATEGORIES + 1))).error().code(), "package/field");
    assert_eq!(with(&format!("authors = [{}]", list(limits::MAX_AUTHORS + 1))).error().code(), "package/field");
    let error = with(&format!("tags = [\"{}\"]", "x".repeat(65))).error().to_string();
    assert!(error.contains("`tags`") && error.ends_with("has 65 bytes, at most 64 are allowed"), "{error}");
}

#[test]
fn equal_categories_and_tags_in_other_case_are_one() {
    let package =
        with("category = \"Enterprise\"\ncategories = [\"enterprise \", \"ÄRZTE\", \"ärzte\", \"\"]").read().unwrap();
    assert_eq!(package.manifest.categories, ["enterprise", "ärzte"]);
    // The key repeated inside of its table, as some real packages have it.
    let package = with("[package.tags]\ntags = [\"A\", \"b\"]\n[package.keywords]\nkeywords = [\"a\"]").read().unwrap();
    assert_eq!(package.manifest.tags, ["a", "b"]);
}

#[test]
fn reads_dependencies_in_every_shape_that_packages_use() {
    let publisher = PublisherId::from_bytes([7; 32]);
    let lines = format!(
        "dependencies = [\"listed\", \"bounded@^1.2\"]\n[dependencies]\nplain = \"1\"\nbare = {{}}\n\
         own = {{ version = \"=1.0.0\", publisher = \"{publisher}\", optional = true }}\nrequired = [\"needed\"]\n\
         optional = [\"perhaps\"]\nfeatures = [\"Order lifecycle\"]"
    );
    let package = with(&lines).read().unwrap();
    let needs = package.manifest.dependencies;
    let shown: Vec<_> = needs
        .iter()
        .map(|need| format!("{} {} {}", need.name, need.requirement, if need.optional { "?" } else { "!" }))
        .collect();
    let expected =
        ["bare * !", "bounded ^1.2 !", "listed * !", "needed * !", "own =1.0.0 ?", "perhaps * ?", "plain 1 !"];
    assert_eq!(shown, expected);
    assert_eq!(needs.iter().filter_map(|need| need.publisher).collect::<Vec<_>>(), [publisher]);
    assert_eq!(package.warnings.iter().filter(|warning| warning.field == "dependencies.features").count(), 1);
}

#[test]
fn refuses_dependencies_that_say_nothing() {
    for (lines, expected) in [
        (
            "[dependencies]\nother = \"src/other/\"",
            "field `dependencies.other`: \"src/other/\" is not a requirement such as \"^1.2\" or \">=1.2, <2\"",
        ),
        ("[dependencies]\nOther = \"1\"", "field `dependencies.Other`: \"Other\": a package name has 1 to 64"),
        ("[dependencies]\na = { version = 1 }", "field `dependencies.a.version`: is a number, not text"),
        (
            "[dependencies]\na = { publisher = \"me\" }",
            "field `dependencies.a.publisher`: a publisher id is 52 characters",
        ),
        ("[dependencies]\na = { optional = \"no\" }", "field `dependencies.a.optional`: is text, not true or false"),
        ("dependencies = 1", "field `dependencies`: is a number, not a table"),
    ] {
        let message = with(lines).error().to_string();
        assert!(message.starts_with(&format!("package.toml: {expected}")), "{message}");
    }
    let mut many = String::from("[dependencies]\n");
    for number in 0..=limits::MAX_DEPENDENCIES {
        writeln!(many, "d{number} = \"1\"").unwrap();
    }
    assert!(with(&many).error().to_string().contains("has 129 entries, at most 128 are allowed"));
}

#[test]
fn refuses_metadata_that_does_not_fit_a_record() {
    let mut lines = String::from("[dependencies]\n");
    for number in 0..limits::MAX_DEPENDENCIES {
        let requirement = [">=1.0.0, <2.0.0"; 7].join(", ");
        writeln!(lines, "dependency-{number}-{} = \"{requirement}\"", "x".repeat(40)).unwrap();
    }
    let error = with(&lines).error();
    assert_eq!(error.code(), "package/too-large");
    assert!(error.to_string().contains("metadata"), "{error}");
}

#[test]
fn a_title_in_the_name_leaves_the_name_to_the_id() {
    let manifest = "[package]\nid = \"io.example.crud\"\nname = \"Ontology-Driven CRUD\"\nversion = \"1.0.0\"";
    let manifest = Directory::with(manifest).read().unwrap().manifest;
    assert_eq!((manifest.name.as_str(), manifest.title.as_deref()), ("io.example.crud", Some("Ontology-Driven CRUD")));
}

#[test]
fn the_readme_is_a_file_of_the_package_or_none() {
    let secret = tempfile::NamedTempFile::new().unwrap();
    for path in ["../README.md", "/etc/hostname", secret.path().to_str().unwrap()] {
        let package = with(&format!("readme = \"{path}\"")).read().unwrap();
        assert_eq!(package.readme, None);
        assert!(package.warnings.iter().any(|warning| warning.field == "readme"));
    }
    let directory = with("readme = \"./docs/start.md\"");
    directory.file("docs/start.md", "start");
    directory.file("README.md", "other");
    assert_eq!(directory.read().unwrap().readme.unwrap(), b"start");
    let directory = with("");
    directory.file("Readme.md", "any case");
    assert_eq!(directory.read().unwrap().readme.unwrap(), b"any case");
    directory.file("Readme.md", b"\xff\xfe");
    assert_eq!(directory.read().unwrap().readme, None);
    directory.file("Readme.md", "x".repeat(usize::try_from(limits::MAX_README_BYTES).unwrap() + 1));
    assert_eq!(directory.read().unwrap().readme, None);
}

#[test]
fn package_toml_counts_before_pack_toml_and_its_size_is_bounded() {
    let directory = Directory::sound();
    directory.file("pack.toml", "[pack]\nname = \"other\"\nversion = \"2.0.0\"\n");
    assert_eq!(directory.read().unwrap().manifest.name.as_str(), "sound");
    directory.file("package.toml", "#".repeat(2 * 1024 * 1024));
    assert_eq!(directory.error().code(), "package/too-large");
}

#[test]
fn a_manifest_that_was_read_passes_the_checks_of_a_record() {
    let package = read(&sample("rest-api-axum")).unwrap();
    let standing = Standing {
        publisher: PublisherId::from_bytes([1; 32]),
        signed_under: RecordId::from_bytes([1; 32]),
        index: 7,
        created: 1_700_000_000,
    };
    let artifact = Content { cid: ContentId::of_raw(&package.artifact), size: package.artifact.len() as u64 };
    let release = package.manifest.release(standing, artifact, None);
    assert_eq!(release.check(), Ok(()));
    assert_eq!((release.index, release.artifact), (7, artifact));
}
