use ggen_shared::record::ContentId;

use super::*;

fn package(publisher: u8, name: &str) -> (PackageId, FullName) {
    let publisher = PublisherId::from_bytes([publisher; 32]);
    let name: ggen_shared::id::PackageName = name.parse().unwrap();
    let handle = Some("alice".parse().unwrap());
    (PackageId { publisher, name: name.clone() }, FullName { handle, fingerprint: publisher.fingerprint(), name })
}

fn pick(package: &PackageId, version: &str) -> Pick {
    Pick { package: package.clone(), version: version.parse().unwrap() }
}

fn locked(full_name: &FullName, needs: &[(&Pick, &str)]) -> Locked {
    Locked {
        full_name: full_name.clone(),
        release: RecordId::from_bytes([7; 32]),
        record: (full_name.name.as_str() == "codec").then(|| b"record".to_vec()),
        content: Content { cid: ContentId::of_raw(b"archive"), size: 7 },
        needs: needs.iter().map(|(pick, requirement)| ((*pick).clone(), (*requirement).to_owned())).collect(),
    }
}

/// An application with two versions of a library, one of which needs the application in turn, and one more by its release.
pub(in super::super) fn lock() -> Lock {
    let (app, app_name) = package(1, "app");
    let (codec, codec_name) = package(2, "codec");
    let (other, other_name) = package(2, "app");
    let (app, other) = (pick(&app, "1.0.0"), pick(&other, "1.0.0"));
    let (old, new) = (pick(&codec, "0.9.0"), pick(&codec, "2.0.0-rc.1"));
    let wanted = |which| Wanted { which, with_optional: false };
    Lock {
        network: Network::named("test").unwrap(),
        wanted: [
            (app.clone(), Wanted { with_optional: true, ..wanted(Which::Matching("^1".parse().unwrap())) }),
            (other.clone(), wanted(Which::Release(RecordId::from_bytes([7; 32])))),
        ]
        .into(),
        packages: [
            (app.clone(), locked(&app_name, &[(&new, ">=1, <3"), (&old, "^0.9")])),
            (new, locked(&codec_name, &[(&app, "*")])),
            (old, locked(&codec_name, &[])),
            (other, locked(&other_name, &[])),
        ]
        .into(),
    }
}

fn written(text: &str) -> Result<Option<Lock>, Error> {
    let directory = tempfile::tempdir().unwrap();
    fs::write(directory.path().join(FILE_NAME), text).unwrap();
    Lock::read(directory.path())
}

#[test]
fn a_lock_file_is_read_as_it_was_written() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(Lock::read(directory.path()).unwrap(), None);
    lock().write(directory.path(), &directory.path().join("temporary")).unwrap();
    assert_eq!(Lock::read(directory.path()).unwrap(), Some(lock()));
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1);
}

#[test]
fn a_lock_file_is_sorted_and_read_by_people() {
    let [one, other] = [1, 2].map(|number| PublisherId::from_bytes([number; 32]));
    let (cid, release) = (ContentId::of_raw(b"archive"), RecordId::from_bytes([7; 32]));
    let [f1, f2] = [one, other].map(|publisher| publisher.fingerprint());
    let expected = format!(
        r#"# Made by ggen-market install; `ggen-market install --locked` installs just this.

version = 1
network = "test"

[[wanted]]
name = "alice~{f1}/app"
version = "1.0.0"
requirement = "^1"
with_optional = true

[[wanted]]
name = "alice~{f2}/app"
version = "1.0.0"
release = "{release}"

[[package]]
name = "alice~{f1}/app"
publisher = "{one}"
version = "1.0.0"
release = "{release}"
content = "{cid}"
size = 7
dependencies = [
    "alice~{f2}/codec@0.9.0 ^0.9",
    "alice~{f2}/codec@2.0.0-rc.1 >=1, <3",
]

[[package]]
name = "alice~{f2}/app"
publisher = "{other}"
version = "1.0.0"
release = "{release}"
content = "{cid}"
size = 7

[[package]]
name = "alice~{f2}/codec"
publisher = "{other}"
version = "0.9.0"
release = "{release}"
content = "{cid}"
size = 7
record = "cmVjb3Jk"

[[package]]
name = "alice~{f2}/codec"
publisher = "{other}"
version = "2.0.0-rc.1"
release = "{release}"
content = "{cid}"
size = 7
dependencies = ["alice~{f1}/app@1.0.0 *"]
record = "cmVjb3Jk"
"#
    );
    assert_eq!(lock().to_text(), expected);
}

#[test]
fn what_install_does_not_write_is_refused() {
    let text = lock().to_text();
    let [one, other] = [1, 2].map(|number| PublisherId::from_bytes([number; 32]).to_string());
    for (from, to, why) in [
        ("version = 1\n", "version = 2\n", "is of format 2"),
        ("size = 7\n", "size = 99999999999\n", "larger than a release may be"),
        ("/codec@0.9.0 ^0.9", "/gone@0.9.0 ^0.9", "has no such package"),
        ("/codec@0.9.0 ^0.9", "/codec@0.9.1 ^0.9", "has no such package"),
        ("/codec@0.9.0 ^0.9", "/codec ^0.9", "is no dependency"),
        ("/codec@0.9.0 ^0.9", "/codec@0.9.0 \\u001b[2J", "`\\u{1b}[2J` is no requirement"),
        ("/codec@0.9.0 ^0.9", "/codec@0.9.0 ^0.9, ", "is no requirement"),
        ("version = \"0.9.0\"", "version = \"2.1.0\"", "2.x twice"),
        (&*one, &*other, "is not of publisher"),
        ("version = \"1.0.0\"", "version = \"one\"", "`one`"),
        ("content = \"b", "content = \"c", "not a CIDv1"),
        ("network = \"test\"", "network = \"\"", "1 to 32 bytes"),
        ("requirement = \"^1\"", "requirement = \"^1\"\nrelease = \"x\"", "by a requirement and by a release"),
        ("requirement = \"^1\"", "requirement = \"^x\"", "`^x`"),
    ] {
        assert!(text.contains(from), "{from}");
        let refused = written(&text.replacen(from, to, 1)).unwrap_err().to_string();
        assert!(refused.contains(why), "{to}: {refused}");
    }
    let wanted = &text[text.find("[[wanted]]").unwrap()..text.find("[[package]]").unwrap()];
    let asked_twice = written(&text.replacen(wanted, &wanted.repeat(2), 1)).unwrap_err();
    assert!(asked_twice.to_string().contains("/app twice"), "{asked_twice}");
    let twice = written(&format!("{text}\n{}", &text[text.find("[[package]]").unwrap()..])).unwrap_err();
    assert!(twice.to_string().contains("twice"), "{twice}");
    for shape in ["surprise = 1\n", "version = 1\n", "[[package]]\n"] {
        assert!(matches!(written(&format!("{shape}{text}")), Err(Error::Shape { .. })), "{shape}");
    }
    assert!(matches!(written("network = "), Err(Error::Shape { .. })));
}

#[test]
fn no_two_packages_stand_in_one_directory() {
    let mut lock = lock();
    // One name and version of two publishers, and two of one publisher that read alike.
    for (name, version) in [("a", "1.0.0-b-2.0.0"), ("a-1.0.0-b", "2.0.0")] {
        let (id, full_name) = package(3, name);
        lock.packages.insert(pick(&id, version), locked(&full_name, &[]));
    }
    let directories = lock.directories();
    let mut names: Vec<_> = directories.values().map(|name| name.to_lowercase()).collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), lock.packages.len());
    let [f1, f3] = [1, 3].map(|number| PublisherId::from_bytes([number; 32]).fingerprint());
    assert_eq!(directories[&pick(&package(2, "codec").0, "2.0.0-rc.1")], "codec-2.0.0-rc.1");
    assert_eq!(directories[&pick(&package(2, "codec").0, "0.9.0")], "codec-0.9.0");
    assert_eq!(directories[&pick(&package(1, "app").0, "1.0.0")], format!("app@1.0.0~{f1}"));
    assert_eq!(directories[&pick(&package(3, "a").0, "1.0.0-b-2.0.0")], format!("a@1.0.0-b-2.0.0~{f3}"));
}
