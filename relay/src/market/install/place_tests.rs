use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;

/// The archive of a package with a program and a text.
fn archive(text: &str) -> Vec<u8> {
    let directory = tempfile::tempdir().unwrap();
    let write = |path: &str, content: &str, mode: u32| {
        let path = directory.path().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    };
    write("package.toml", "[package]\nname = \"thing\"\nversion = \"1.0.0\"\ndescription = \"A thing.\"\n", 0o644);
    write("bin/run", "#!/bin/sh\n", 0o755);
    write("deep/text", text, 0o644);
    package::read(directory.path()).unwrap().artifact
}

fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn differences(archive: &[u8], directory: &Path) -> Vec<String> {
    let found = compare("thing", archive, directory).unwrap();
    found.iter().map(|it| format!("{} {}", it.how.as_str(), it.path)).collect()
}

#[test]
fn a_package_is_put_in_place_once_and_what_was_changed_is_neither_overwritten_nor_removed() {
    let directory = tempfile::tempdir().unwrap();
    let place = Place::open(directory.path()).unwrap();
    let archive = archive("text");
    assert!(place.put("thing-1.0.0", &archive).unwrap());
    assert!(!place.put("thing-1.0.0", &archive).unwrap(), "it is there");
    let text = directory.path().join("thing-1.0.0/deep/text");
    fs::write(&text, "texT").unwrap();
    let refused = place.put("thing-1.0.0", &archive).unwrap_err().to_string();
    assert!(refused.contains("is not as it was installed (changed deep/text)"), "{refused}");
    assert!(!place.remove("thing-1.0.0", &archive).unwrap());
    assert_eq!(fs::read_to_string(&text).unwrap(), "texT");
    fs::write(&text, "text").unwrap();
    assert!(place.remove("thing-1.0.0", &archive).unwrap() && place.remove("thing-1.0.0", &archive).unwrap());
    drop(place);
    assert_eq!(names(directory.path()), [""; 0]);
}

#[test]
fn what_a_killed_run_left_is_removed_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let half = directory.path().join(UNFINISHED).join(".tmpAbCdEf");
    fs::create_dir_all(&half).unwrap();
    fs::write(half.join("package.toml"), "[pack").unwrap();
    fs::create_dir(directory.path().join(".tmpmine")).unwrap();
    let place = Place::open(directory.path()).unwrap();
    assert_eq!(names(directory.path()), [".tmpmine"]);
    drop(place);
}

#[test]
fn every_file_that_differs_is_named_with_how() {
    let directory = tempfile::tempdir().unwrap();
    let (archive, thing) = (archive("text"), directory.path().join("thing"));
    let all = ["missing bin/run", "missing deep/text", "missing package.toml"];
    assert_eq!(differences(&archive, &thing), all);
    unpack("thing", &archive, &thing).unwrap();
    assert_eq!(differences(&archive, &thing), [""; 0]);

    // Neither its length nor its time tell.
    let text = thing.join("deep/text");
    let before = fs::metadata(&text).unwrap().modified().unwrap();
    fs::write(&text, "tExt").unwrap();
    File::options().write(true).open(&text).unwrap().set_modified(before).unwrap();
    fs::remove_file(thing.join("package.toml")).unwrap();
    fs::write(thing.join("deep/more"), "").unwrap();
    fs::set_permissions(thing.join("bin/run"), fs::Permissions::from_mode(0o644)).unwrap();
    let found = ["changed bin/run", "surplus deep/more", "changed deep/text", "missing package.toml"];
    assert_eq!(differences(&archive, &thing), found);
}

#[test]
fn a_link_is_no_file_though_it_leads_to_the_same_bytes() {
    let directory = tempfile::tempdir().unwrap();
    let (archive, thing) = (archive("text"), directory.path().join("thing"));
    unpack("thing", &archive, &thing).unwrap();
    let (text, elsewhere) = (thing.join("deep/text"), directory.path().join("elsewhere"));
    fs::rename(&text, &elsewhere).unwrap();
    symlink(&elsewhere, &text).unwrap();
    assert_eq!(differences(&archive, &thing), ["changed deep/text"]);
    fs::remove_file(&text).unwrap();
    fs::rename(&elsewhere, &text).unwrap();
    for (longer, is) in [("text and more", "changed deep/text"), ("te", "changed deep/text")] {
        fs::write(&text, longer).unwrap();
        assert_eq!(differences(&archive, &thing), [is]);
    }
    fs::rename(&thing, &elsewhere).unwrap();
    symlink(&elsewhere, &thing).unwrap();
    let found = differences(&archive, &thing);
    assert!(found.contains(&"surplus ".into()) && found.contains(&"missing package.toml".into()), "{found:?}");
}

#[test]
fn a_lock_file_is_there_whole_or_not_at_all() {
    let directory = tempfile::tempdir().unwrap();
    let place = Place::open(directory.path()).unwrap();
    let network = ggen_shared::id::Network::main();
    let lock = Lock { network, wanted: BTreeMap::new(), packages: BTreeMap::new() };
    place.write(&lock).unwrap();
    drop(place);
    assert_eq!(names(directory.path()), [lock::FILE_NAME]);
    assert_eq!(Lock::read(directory.path()).unwrap(), Some(lock));
}
