//! `.crate` files: what is read of them, and what they must not hold.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;
use tar::{Builder, EntryType, Header};

use crate::package::{Error, Fault, MAX_ENTRIES, MAX_UNPACKED_BYTES, Package, read_crate};

const MANIFEST: &str = "[package]\nname = \"Some\"\nversion = \"1.0.0\"\ndescription = \"Some crate.\"\n";

/// An archive as an attacker writes it: nothing of what is put in is looked at.
struct Archive(Builder<GzEncoder<Vec<u8>>>);

impl Archive {
    fn new() -> Self {
        Self(Builder::new(GzEncoder::new(Vec::new(), Compression::fast())))
    }

    fn with(manifest: &str) -> Self {
        let mut archive = Self::new();
        archive.file(b"Some-1.0.0/Cargo.toml", manifest.as_bytes());
        archive
    }

    fn entry(&mut self, path: &[u8], kind: EntryType, target: &[u8], content: &[u8]) -> &mut Self {
        let mut header = Header::new_gnu();
        let fields = header.as_gnu_mut().unwrap();
        fields.name[..path.len()].copy_from_slice(path);
        fields.linkname[..target.len()].copy_from_slice(target);
        header.set_entry_type(kind);
        header.set_mode(0o644);
        header.set_size(content.len() as u64);
        header.set_cksum();
        self.0.append(&header, content).unwrap();
        self
    }

    fn file(&mut self, path: &[u8], content: &[u8]) -> &mut Self {
        self.entry(path, EntryType::Regular, b"", content)
    }

    fn bytes(self) -> Vec<u8> {
        self.0.into_inner().unwrap().finish().unwrap()
    }

    fn read(self) -> Result<Package, Error> {
        read_crate("some.crate", self.bytes())
    }

    fn fault(self) -> Fault {
        match self.read() {
            Err(Error::Entry { fault, .. }) => fault,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn the_bytes_of_a_crate_are_the_artifact() {
    let mut archive = Archive::with(MANIFEST);
    archive.file(b"Some-1.0.0/README.md", b"# Some");
    let bytes = archive.bytes();
    let package = read_crate("some.crate", bytes.clone()).unwrap();
    assert!(package.artifact == bytes);
    assert_eq!(package.readme.unwrap(), b"# Some");
}

#[test]
fn names_are_folded_and_the_title_keeps_their_spelling() {
    let manifest = Archive::with(MANIFEST).read().unwrap().manifest;
    assert_eq!((manifest.name.as_str(), manifest.title.as_deref()), ("some", Some("Some")));
}

#[test]
fn merges_dependency_tables_resolves_renames_and_leaves_out_what_only_tests_need() {
    let tables = r#"
        [dependencies.Serde]
        version = "1.0.1"
        optional = true
        [dependencies.renamed]
        version = "0.8"
        package = "rand"
        [dev-dependencies.criterion]
        version = "0.5"
        [build-dependencies]
        cc = "1"
        [target."cfg(unix)".dependencies]
        libc = "0.2"
        serde = "1.0.2"
        cc = "1.1"
        [target."cfg(windows)".build-dependencies.winres]
        version = "0.1"
        [target."cfg(unix)".dev-dependencies]
        nix = "1"
    "#;
    let manifest = Archive::with(&format!("{MANIFEST}{tables}")).read().unwrap().manifest;
    let needs: Vec<_> = manifest
        .dependencies
        .iter()
        .map(|need| format!("{} {} {}", need.name, need.requirement, if need.optional { "?" } else { "!" }))
        .collect();
    // The first requirement stands; what only some targets need is optional.
    assert_eq!(needs, ["cc 1 !", "libc 0.2 ?", "rand 0.8 !", "serde 1.0.1 ?", "winres 0.1 ?"]);
}

#[test]
fn metadata_that_does_not_fit_is_left_out_with_a_warning() {
    let authors: Vec<_> = (0..20).map(|number| format!("\"Author {number}\"")).collect();
    let lines = format!(
        "authors = [{}]\nlicense = \"{}\"\nrepository = \"git://x\"\n",
        authors.join(","),
        ["MIT"; 40].join(" OR ")
    );
    let package = Archive::with(&format!("{MANIFEST}{lines}")).read().unwrap();
    assert_eq!(package.manifest.authors.len(), 16);
    assert_eq!(package.manifest.license.as_deref(), Some("SEE LICENSE IN Cargo.toml"));
    let fields: Vec<_> = package.warnings.iter().map(|warning| warning.field.as_str()).collect();
    assert_eq!(fields, ["license", "authors", "repository"]);
    assert!(package.warnings[0].to_string().starts_with("some.crate: Cargo.toml: field `license`: "));
}

#[test]
fn a_license_file_is_named_where_no_license_is() {
    let package = Archive::with(&format!("{MANIFEST}license-file = \"LICENSE.txt\"\n")).read().unwrap();
    assert_eq!(package.manifest.license.as_deref(), Some("SEE LICENSE IN LICENSE.txt"));
}

#[test]
fn finds_the_readme_wherever_the_manifest_says() {
    for (key, expected) in [
        ("", Some("top")),
        ("readme = \"README.md\"", Some("top")),
        ("readme = \"docs/GUIDE.md\"", Some("guide")),
        ("readme = false", None),
        ("readme = \"gone.md\"", None),
        ("readme = \"../Cargo.toml\"", None),
    ] {
        let mut archive = Archive::with(&format!("{MANIFEST}{key}\n"));
        archive.file(b"Some-1.0.0/README.md", b"top").file(b"Some-1.0.0/docs/GUIDE.md", b"guide");
        assert_eq!(archive.read().unwrap().readme.as_deref(), expected.map(str::as_bytes), "{key}");
    }
}

#[test]
fn refuses_path_traversal() {
    for path in [
        "Some-1.0.0/../../etc/passwd",
        "../Some-1.0.0/x",
        "/etc/passwd",
        "Some-1.0.0//x",
        "Some-1.0.0/./x",
        "Some-1.0.0/..",
        "..",
    ] {
        let mut archive = Archive::with(MANIFEST);
        archive.file(path.as_bytes(), b"x");
        assert_eq!(archive.fault(), Fault::Traversal, "{path}");
    }
}

#[test]
fn refuses_entries_beside_the_packages_directory() {
    for path in ["other/x", "x", "Some-1.0.0", "Some-1.0.00/x"] {
        let mut archive = Archive::with(MANIFEST);
        archive.file(path.as_bytes(), b"x");
        assert_eq!(archive.fault(), Fault::OutsideRoot("Some-1.0.0".into()), "{path}");
    }
    let mut archive = Archive::new();
    archive.file(b"evil-1.0.0/Cargo.toml", MANIFEST.as_bytes());
    let message = archive.read().unwrap_err().to_string();
    assert!(message.contains("the archive's directory is \"evil-1.0.0\", not \"Some-1.0.0\""), "{message}");
}

#[test]
fn refuses_links_and_special_files() {
    for (kind, target, expected) in [
        (EntryType::Symlink, "/etc/passwd", Fault::LinkOutside("/etc/passwd".into())),
        (EntryType::Symlink, "../../x", Fault::LinkOutside("../../x".into())),
        (EntryType::Symlink, "lib.rs", Fault::Link("lib.rs".into())),
        (EntryType::Link, "Some-1.0.0/Cargo.toml", Fault::Link("Some-1.0.0/Cargo.toml".into())),
        (EntryType::Fifo, "", Fault::Special),
        (EntryType::Char, "", Fault::Special),
        (EntryType::Block, "", Fault::Special),
    ] {
        let mut archive = Archive::with(MANIFEST);
        archive.entry(b"Some-1.0.0/x", kind, target.as_bytes(), b"");
        assert_eq!(archive.fault(), expected);
    }
}

#[test]
fn refuses_names_that_are_not_utf8_or_not_portable() {
    for (path, expected) in [
        (&b"Some-1.0.0/caf\xe9"[..], Fault::NotUtf8),
        (b"Some-1.0.0/..\\..\\x", Fault::NotPortable),
        (b"Some-1.0.0/a\x1bb", Fault::NotPortable),
    ] {
        let mut archive = Archive::with(MANIFEST);
        archive.file(path, b"x");
        assert_eq!(archive.fault(), expected);
    }
}

#[test]
fn refuses_a_second_entry_of_one_name() {
    let mut archive = Archive::with(MANIFEST);
    archive.file(b"Some-1.0.0/Cargo.toml", b"[package]\nname = \"other\"\nversion = \"9.9.9\"\n");
    assert_eq!(archive.fault(), Fault::Twice);
}

#[test]
fn refuses_a_decompression_bomb_without_holding_it() {
    let mut archive = Archive::with(MANIFEST);
    let mut header = Header::new_gnu();
    header.set_path("Some-1.0.0/bomb").unwrap();
    header.set_size(MAX_UNPACKED_BYTES + 1);
    header.set_cksum();
    archive.0.append(&header, std::io::Read::take(std::io::repeat(0), MAX_UNPACKED_BYTES + 1)).unwrap();
    let bytes = archive.bytes();
    assert!(bytes.len() < 4 * 1024 * 1024);
    let error = read_crate("some.crate", bytes).unwrap_err();
    assert!(matches!(error, Error::TooLarge { limit: MAX_UNPACKED_BYTES, .. }), "{error}");
}

#[test]
fn refuses_more_entries_than_a_package_may_have() {
    let mut archive = Archive::with(MANIFEST);
    for number in 0..MAX_ENTRIES {
        archive.file(format!("Some-1.0.0/{number}").as_bytes(), b"");
    }
    assert_eq!(archive.read().unwrap_err().code(), "package/too-large");
}

#[test]
fn refuses_archives_that_are_cut_off_changed_or_go_on() {
    let mut archive = Archive::with(MANIFEST);
    archive.file(b"Some-1.0.0/src/lib.rs", &[b'x'; 3000]);
    let bytes = archive.bytes();
    let code = |bytes: Vec<u8>| read_crate("some.crate", bytes).unwrap_err().code();
    for length in [0, 5, 20, bytes.len() / 2, bytes.len() - 1] {
        assert_eq!(code(bytes[..length].to_vec()), "package/archive", "{length}");
    }
    let mut changed = bytes.clone();
    let checksum = changed.len() - 8;
    changed[checksum] ^= 1;
    assert_eq!(code(changed), "package/archive");
    assert_eq!(code([&bytes[..], b"more"].concat()), "package/archive");
    let mut other = GzEncoder::new(Vec::new(), Compression::fast());
    other.write_all(b"not a tar file").unwrap();
    assert_eq!(code([&bytes[..], &other.finish().unwrap()].concat()), "package/archive");
}

#[test]
fn refuses_what_has_no_manifest_or_an_unsound_one() {
    let mut archive = Archive::new();
    archive.file(b"Some-1.0.0/src/lib.rs", b"");
    assert_eq!(archive.read().unwrap_err().code(), "package/not-a-package");
    let message = |manifest: &str| Archive::with(manifest).read().unwrap_err().to_string();
    assert!(message("[package]\nname = ").starts_with("some.crate: Cargo.toml: line 2, column "));
    assert_eq!(message("[dependencies]\n"), "some.crate: Cargo.toml: field `[package]`: is missing");
    assert_eq!(
        message("[package]\nname = \"Some\"\nversion = \"1.0.0+wasi-0.2\"\n"),
        "some.crate: Cargo.toml: field `version`: \"1.0.0+wasi-0.2\": build metadata (`+…`) is not allowed in a version"
    );
    assert_eq!(Archive::with(&"#".repeat(2 * 1024 * 1024)).read().unwrap_err().code(), "package/too-large");
}
