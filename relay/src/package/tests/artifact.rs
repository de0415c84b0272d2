//! The artifact of a directory, and what a directory must not hold.

use std::fs;
use std::fs::File;
use std::time::{Duration, SystemTime};

use ggen_shared::content;
use ggen_shared::limits;

use super::{Directory, sample};
use crate::package::{Error, Fault, MAX_ENTRIES, MAX_UNPACKED_BYTES, read};

/// Paths, modes and bytes of an artifact.
fn unpacked(artifact: &[u8]) -> Vec<(String, u32, Vec<u8>)> {
    let mut archive = tar::Archive::new(flate2::read::GzDecoder::new(artifact));
    let entries = archive.entries().unwrap().map(|entry| {
        let mut entry = entry.unwrap();
        let (path, mode) = (entry.path().unwrap().to_str().unwrap().to_string(), entry.header().mode().unwrap());
        let mut bytes = Vec::new();
        std::io::copy(&mut entry, &mut bytes).unwrap();
        (path, mode, bytes)
    });
    entries.collect()
}

fn fault(error: Error) -> (String, Fault) {
    match error {
        Error::Entry { entry, fault, .. } => (entry, fault),
        other => panic!("{other}"),
    }
}

/// If one of these changes, published packages can't be made again from their sources: the compressor or the archive
/// format is another one. Change them only when a sample package changes.
#[test]
fn the_same_directory_gives_the_same_bytes_on_every_machine() {
    for (name, cid) in [
        ("event-sourcing-pack", "bafkreicv3fpr4rvydhm34wm7fxr4nl4plrfdylqh4wsru6n7re6er4pcii"),
        ("invoice-ontology", "bafkreid3lmxc7e4ddeok7ol5cmj6qgktpzrnhdpfddaewigae5tg3ojwla"),
        ("rest-api-axum", "bafkreidvei67ei7g25rv7vyafur6lxcneqaf5rcbhumehg26o3pqcqdedq"),
    ] {
        let package = read(&sample(name)).unwrap();
        assert_eq!(content::build(&package.artifact).root.to_string(), cid, "{name}");
    }
}

#[test]
fn neither_times_nor_the_order_of_creation_nor_group_modes_change_the_artifact() {
    let files = ["a.txt", "b/c.txt", "b.txt", "b/a/z.txt"];
    let made = |order: &[usize], age: u64| {
        let directory = Directory::sound();
        for &at in order {
            let path = directory.file(files[at], format!("file {at}"));
            let time = SystemTime::UNIX_EPOCH + Duration::from_secs(age * (at as u64 + 1));
            File::options().write(true).open(&path).unwrap().set_modified(time).unwrap();
            #[cfg(unix)]
            {
                use std::os::unix::fs::PermissionsExt;
                let mode = if age > 1_000_000 { 0o600 } else { 0o664 };
                fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
            }
        }
        directory.read().unwrap().artifact
    };
    assert!(made(&[0, 1, 2, 3], 1000) == made(&[3, 1, 0, 2], 9_000_000));
}

#[test]
fn the_artifact_holds_sorted_files_in_one_directory_with_fixed_modes() {
    let directory = Directory::sound();
    let script = directory.file("bin/run.sh", "#!/bin/sh\n");
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        fs::set_permissions(&script, fs::Permissions::from_mode(0o700)).unwrap();
    }
    directory.file(&format!("{}/deep.txt", "d".repeat(110)), "long paths survive");
    fs::create_dir(directory.path().join("empty")).unwrap();
    let entries = unpacked(&directory.read().unwrap().artifact);
    let paths: Vec<_> = entries.iter().map(|(path, mode, _)| (path.as_str(), *mode)).collect();
    let deep = format!("sound-1.0.0/{}/deep.txt", "d".repeat(110));
    let script_mode = if cfg!(unix) { 0o755 } else { 0o644 };
    let expected = [
        ("sound-1.0.0/README.md", 0o644),
        ("sound-1.0.0/bin/run.sh", script_mode),
        (deep.as_str(), 0o644),
        ("sound-1.0.0/package.toml", 0o644),
        ("sound-1.0.0/templates/main.rs.tmpl", 0o644),
    ];
    assert_eq!(paths, expected);
    assert_eq!(entries[2].2, b"long paths survive");
}

#[test]
fn leaves_out_what_tools_leave_behind_and_nothing_else() {
    let directory = Directory::sound();
    let before = directory.read().unwrap().artifact;
    for path in [".git/config", "target/debug/x", "sub/node_modules/x.js", ".DS_Store", "main.rs~", "a/.b.swp"] {
        directory.file(path, "left behind");
    }
    assert!(directory.read().unwrap().artifact == before);
    for path in [".gitignore", ".hidden/x", "templates/target/x"] {
        directory.file(path, "meant");
    }
    assert_eq!(unpacked(&directory.read().unwrap().artifact).len(), unpacked(&before).len() + 3);
}

#[cfg(unix)]
#[test]
fn refuses_links_out_of_the_directory_and_names_them() {
    use std::os::unix::fs::symlink;
    let outside = tempfile::tempdir().unwrap();
    fs::write(outside.path().join("secret"), "secret").unwrap();
    let secret = outside.path().join("secret");
    for target in [secret.to_str().unwrap(), outside.path().to_str().unwrap(), "../../gone", "/gone"] {
        let directory = Directory::sound();
        fs::create_dir(directory.path().join("docs")).unwrap();
        symlink(target, directory.path().join("docs/link")).unwrap();
        let error = directory.error();
        assert_eq!(error.code(), "package/link-outside");
        assert!(error.to_string().contains(target), "{error}");
        assert_eq!(fault(error), ("docs/link".into(), Fault::LinkOutside(target.into())));
    }
}

#[cfg(unix)]
#[test]
fn refuses_links_inside_the_directory_too() {
    use std::os::unix::fs::symlink;
    for target in ["README.md", "templates", ".", "gone"] {
        let directory = Directory::sound();
        symlink(target, directory.path().join("link")).unwrap();
        assert_eq!(fault(directory.error()), ("link".into(), Fault::Link(target.into())));
    }
}

#[cfg(unix)]
#[test]
fn refuses_a_manifest_that_is_a_link() {
    let directory = Directory::sound();
    fs::rename(directory.path().join("package.toml"), directory.path().join("other.toml")).unwrap();
    std::os::unix::fs::symlink("other.toml", directory.path().join("package.toml")).unwrap();
    assert_eq!(directory.error().code(), "package/link");
}

#[cfg(unix)]
#[test]
fn refuses_sockets_and_does_not_wait_for_them() {
    let directory = Directory::sound();
    let _socket = std::os::unix::net::UnixListener::bind(directory.path().join("socket")).unwrap();
    assert_eq!(fault(directory.error()), ("socket".into(), Fault::Special));
}

#[cfg(target_os = "linux")]
#[test]
fn refuses_names_that_are_not_utf8() {
    use std::os::unix::ffi::OsStrExt;
    let directory = Directory::sound();
    fs::write(directory.path().join(std::ffi::OsStr::from_bytes(b"caf\xe9")), "x").unwrap();
    assert_eq!(fault(directory.error()), ("caf\u{fffd}".into(), Fault::NotUtf8));
}

#[cfg(unix)]
#[test]
fn refuses_names_that_other_systems_read_otherwise() {
    for name in ["..\\up", "two\nlines", "cod\u{202e}txt.exe"] {
        let directory = Directory::sound();
        directory.file(name, "x");
        assert_eq!(fault(directory.error()).1, Fault::NotPortable);
    }
    let directory = Directory::sound();
    directory.file(&format!("{0}/{0}/x", "p".repeat(150)), "x");
    assert_eq!(fault(directory.error()).1, Fault::PathTooLong);
}

#[test]
fn refuses_more_files_and_bytes_than_a_package_may_have() {
    let directory = Directory::sound();
    let many = directory.path().join("many");
    fs::create_dir(&many).unwrap();
    for number in 0..MAX_ENTRIES {
        File::create(many.join(number.to_string())).unwrap();
    }
    assert!(matches!(directory.error(), Error::TooLarge { limit, .. } if limit == MAX_ENTRIES as u64));

    // Files without bytes on disk: the bound must hold before anything is read.
    let directory = Directory::sound();
    directory.file("huge", "");
    let huge = File::options().write(true).open(directory.path().join("huge")).unwrap();
    huge.set_len(MAX_UNPACKED_BYTES * 1000).unwrap();
    assert!(matches!(directory.error(), Error::TooLarge { limit, .. } if limit == MAX_UNPACKED_BYTES));
}

#[test]
fn refuses_an_artifact_over_the_bound() {
    let directory = Directory::sound();
    let mut state = 1u64;
    let noise: Vec<u8> = (0..=limits::MAX_ARTIFACT_BYTES / 8)
        .flat_map(|_| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()
        })
        .collect();
    directory.file("noise", noise);
    assert!(matches!(directory.error(), Error::TooLarge { limit, .. } if limit == limits::MAX_ARTIFACT_BYTES));
}

#[test]
fn what_is_no_package_is_refused_before_anything_in_it_is_read() {
    let directory = tempfile::tempdir().unwrap();
    assert_eq!(read(directory.path()).unwrap_err().code(), "package/not-a-package");
    assert_eq!(read(&directory.path().join("gone")).unwrap_err().code(), "package/io");
    let file = directory.path().join("a.zip");
    fs::write(&file, "x").unwrap();
    assert_eq!(read(&file).unwrap_err().code(), "package/not-a-package");
}
