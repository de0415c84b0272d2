use tempfile::TempDir;

use super::*;
use crate::market::ledger::{Ledger, Locked};

fn network() -> Network {
    Network::named("test").unwrap()
}

/// Places for a key, and for its next keys apart.
struct Places {
    home: TempDir,
    safe: TempDir,
}

impl Places {
    fn new() -> Self {
        Self { home: tempfile::tempdir().unwrap(), safe: tempfile::tempdir().unwrap() }
    }

    fn key(&self) -> PathBuf {
        self.home.path().join("market.key")
    }

    fn next(&self, number: usize) -> PathBuf {
        self.safe.path().join(format!("next-{number}"))
    }

    fn create(&self, passphrase: Option<Passphrase>) -> Result<PublisherKey, Error> {
        PublisherKey::create(
            &self.key(),
            &self.next(1),
            Handle::new("alice").unwrap(),
            network(),
            passphrase,
            Proving::LEAST,
        )
    }

    fn rotate(&self, key: &PublisherKey, next: &Path, number: usize) -> Result<PublisherKey, Error> {
        key.rotate(&self.key(), key.read_next(next, None)?, &self.next(number), [])
    }
}

fn passphrase(text: &str) -> Option<Passphrase> {
    Passphrase::new(text.into())
}

fn ledger_of(key: &PublisherKey, path: &Path) -> Ledger {
    Locked::of(&ledger::path_of(path)).unwrap().read(&key.key_log, &key.network).unwrap()
}

/// A release of the key's, in its ledger.
fn sign_something(key: &PublisherKey, path: &Path) -> RecordId {
    let mut ledger = ledger_of(key, path);
    let content = ggen_shared::content::build(b"content").content();
    let manifest = b"[package]\nname = \"my-thing\"\nversion = \"1.0.0\"\n";
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("package.toml"), manifest).unwrap();
    let package = crate::package::read(directory.path()).unwrap();
    let standing = crate::package::Standing {
        publisher: key.key_log.publisher(),
        signed_under: key.key_log.head(),
        index: ledger.next_index(),
        created: 1,
    };
    let release = sign(package.manifest.release(standing, content, None), &key.signing, &key.network).unwrap();
    let id = release.id();
    ledger.stage(record::Record::Release(Box::new(release))).unwrap();
    ledger.commit().unwrap();
    id
}

#[test]
fn a_key_that_has_signed_as_much_as_it_may_says_so_before_it_signs_more() {
    use crate::market::desk::Desk;
    use crate::market::outbox::{self, Outbox};
    use crate::market::publish;
    let places = Places::new();
    let (main, next) = (Network::main(), places.next(1));
    let made =
        PublisherKey::create(&places.key(), &next, Handle::new("alice").unwrap(), main.clone(), None, Proving::LEAST);
    let key = made.unwrap();
    assert_eq!(PublisherKey::load(&places.key()).unwrap().key_log.quota(), 1024);
    let last = |index| record::Status {
        publisher: key.key_log.publisher(),
        signed_under: key.key_log.head(),
        index,
        name: "my-thing".parse().unwrap(),
        version: "1.0.0".parse().unwrap(),
        seq: 1,
        state: record::State::Yanked,
        reason: String::new(),
        instead: None,
    };
    let at = |index| {
        let mut ledger = ledger_of(&key, &places.key());
        let status = sign(last(index), &key.signing, &main).unwrap();
        ledger.stage(record::Record::Status(Box::new(status))).unwrap();
        let outbox = Outbox::open(&outbox::path_of(&places.key())).unwrap();
        Desk::new(key.clone(), ledger, outbox, publish::Publishers::new()).unwrap()
    };
    use crate::market::desk::KEPT_FOR_STATUSES;
    assert_eq!(at(1022 - KEPT_FOR_STATUSES).next_index(KEPT_FOR_STATUSES).unwrap(), 1023 - KEPT_FOR_STATUSES);
    let desk = at(1023 - KEPT_FOR_STATUSES);
    assert!(matches!(desk.next_index(KEPT_FOR_STATUSES), Err(publish::Error::QuotaUsed(1024))));
    assert_eq!(desk.next_index(0).unwrap(), 1024 - KEPT_FOR_STATUSES, "what was published can still be withdrawn");
    // It holds the ledger.
    drop(desk);
    let used = at(1023).next_index(0).unwrap_err();
    assert!(used.to_string().contains("1024 records") && used.to_string().contains("key new"));
}

#[test]
fn a_key_that_is_there_is_kept_and_named() {
    let places = Places::new();
    let publisher = places.create(None).unwrap().key_log.publisher();
    std::fs::remove_file(places.next(1)).unwrap();
    let message = places.create(None).err().unwrap().to_string();
    let shown = places.key().display().to_string();
    assert!(message.starts_with(&format!("{shown} is a key already")), "{message}");
    assert!(message.contains(&format!("key show --key {shown}")) && message.contains("--key FILE"), "{message}");
    assert_eq!(PublisherKey::load(&places.key()).unwrap().key_log.publisher(), publisher);
    assert!(!places.next(1).exists());

    std::fs::rename(places.key(), places.next(1)).unwrap();
    assert!(matches!(places.create(None), Err(Error::NextExists(at)) if at == places.next(1)));
}

#[test]
fn the_next_key_goes_to_a_place_apart() {
    let places = Places::new();
    let beside = places.home.path().join("next");
    let again = places.home.path().join("../").join(places.home.path().file_name().unwrap()).join("next");
    for next in [&beside, &again] {
        let made =
            PublisherKey::create(&places.key(), next, Handle::new("a").unwrap(), network(), None, Proving::LEAST);
        assert!(matches!(made, Err(Error::NextBeside(_))), "{}", next.display());
    }
    assert!(!places.key().exists());
    let key = places.create(None).unwrap();
    let rotated = key.rotate(&places.key(), key.read_next(&places.next(1), None).unwrap(), &beside, []);
    assert!(matches!(rotated, Err(Error::NextBeside(_))));
    // A medium that is not there is not made up.
    let nowhere = places.safe.path().join("medium/next");
    let rotated = key.rotate(&places.key(), key.read_next(&places.next(1), None).unwrap(), &nowhere, []);
    assert!(matches!(rotated, Err(Error::Write(_))));
    assert_eq!(PublisherKey::load(&places.key()).unwrap().key_log, key.key_log, "the key is as it was");
}

#[test]
fn a_rotation_uses_the_next_key_up_and_signs_with_a_fresh_one() {
    let places = Places::new();
    let first = places.create(None).unwrap();
    let next = first.read_next(&places.next(1), None).unwrap().signing;
    let second = places.rotate(&first, &places.next(1), 2).unwrap();
    let rotation = second.key_log.rotations().next().unwrap();
    assert_eq!((rotation.revealed, rotation.key), (public(&next), public(&second.signing)));
    assert!(![first.signing.to_bytes(), next.to_bytes()].contains(&second.signing.to_bytes()));
    let loaded = PublisherKey::load(&places.key()).unwrap();
    assert_eq!((loaded.signing.to_bytes(), &loaded.key_log), (second.signing.to_bytes(), &second.key_log));
    // Neither the key that is used up nor the one in force is the next one.
    assert!(matches!(places.rotate(&loaded, &places.next(1), 3), Err(Error::NotNext { .. })));
    let forged = places.safe.path().join("forged");
    std::fs::write(&forged, file::next_file(&loaded, &loaded.signing).unwrap()).unwrap();
    assert!(matches!(places.rotate(&loaded, &forged, 3), Err(Error::NotNext { .. })));
    let third = places.rotate(&loaded, &places.next(2), 3).unwrap();
    assert_eq!(PublisherKey::load(&places.key()).unwrap().key_log, third.key_log);
}

#[test]
fn an_encrypted_key_is_shown_without_its_passphrase_and_opened_by_it_alone() {
    let places = Places::new();
    let key = places.create(passphrase("letmein")).unwrap();
    for path in [places.key(), places.next(1)] {
        let text = std::fs::read_to_string(path).unwrap();
        assert!(text.contains("BEGIN AGE ENCRYPTED FILE") && !text.contains("secret"), "{text}");
    }
    let stored = || StoredKey::read(&places.key()).unwrap();
    assert_eq!((stored().is_encrypted(), &stored().key_log), (true, &key.key_log));
    for wrong in [passphrase("letmeout"), None] {
        let source = seal::Error::WrongPassphrase;
        let error = stored().open(&places.key(), wrong).err().unwrap();
        assert!(matches!(&error, Error::Sealed { source: it, .. } if *it == source), "{error}");
    }
    let opened = stored().open(&places.key(), passphrase("letmein")).unwrap();
    assert_eq!(opened.signing.to_bytes(), key.signing.to_bytes());

    // What follows it is encrypted as it was.
    let second = places.rotate(&opened, &places.next(1), 2).unwrap();
    assert!(stored().is_encrypted());
    let opened = stored().open(&places.key(), passphrase("letmein")).unwrap();
    assert_eq!(opened.signing.to_bytes(), second.signing.to_bytes());
    let other = passphrase("letmeout");
    assert!(matches!(opened.read_next(&places.next(2), other.as_ref()), Err(Error::Sealed { .. })));
}

#[test]
fn a_passphrase_is_changed_put_on_and_taken_off() {
    let places = Places::new();
    let mut key = places.create(None).unwrap();
    key.reseal(&places.key(), passphrase("one")).unwrap();
    let stored = || StoredKey::read(&places.key()).unwrap();
    stored().open(&places.key(), passphrase("one")).unwrap().reseal(&places.key(), passphrase("two")).unwrap();
    assert!(stored().open(&places.key(), passphrase("one")).is_err());
    stored().open(&places.key(), passphrase("two")).unwrap().reseal(&places.key(), None).unwrap();
    assert_eq!(PublisherKey::load(&places.key()).unwrap().signing.to_bytes(), key.signing.to_bytes());
}

#[test]
fn a_damaged_key_and_a_newer_one_are_told_apart_and_left_as_they_are() {
    let places = Places::new();
    places.create(None).unwrap();
    let sound = std::fs::read_to_string(places.key()).unwrap();
    let read = |text: &str| {
        std::fs::write(places.key(), text).unwrap();
        let error = StoredKey::read(&places.key()).and_then(|key| key.open(&places.key(), None)).err().unwrap();
        assert_eq!(std::fs::read_to_string(places.key()).unwrap(), text);
        error
    };
    assert!(matches!(read(&format!("version = 3\nanything = 1\n{sound}")), Error::Newer(_)));
    for damaged in [
        sound[..sound.len() / 2].to_owned(),
        String::new(),
        sound.replace("secret = ", "encrypted = "),
        format!("encrypted = \"\"\n{sound}"),
        format!("anything = 1\n{sound}"),
        sound.replace("network = \"test\"", "network = \"other\""),
    ] {
        let error = read(&damaged);
        let sealed = matches!(error, Error::Sealed { .. });
        assert!(sealed || matches!(error, Error::Damaged { .. }), "{damaged}: {error}");
    }
}

#[test]
fn a_key_and_its_ledger_go_to_another_machine_in_one_encrypted_file() {
    let (here, there) = (Places::new(), Places::new());
    let key = here.create(passphrase("here")).unwrap();
    let signed = sign_something(&key, &here.key());
    let export = here.safe.path().join("alice.age");
    let word = passphrase("on the way").unwrap();
    key.export(&ledger_of(&key, &here.key()), &export, &word).unwrap();
    assert!(std::fs::read(&export).unwrap().starts_with(b"age-encryption.org/v1\n"));
    let again = key.export(&ledger_of(&key, &here.key()), &export, &word);
    assert!(matches!(again, Err(Error::Write(files::Error::AlreadyThere(_)))));

    let wrong = PublisherKey::import(&export, &there.key(), passphrase("here").unwrap(), true);
    assert!(matches!(wrong, Err(Error::Sealed { source: seal::Error::WrongPassphrase, .. })));
    assert!(!there.key().exists() && !ledger::path_of(&there.key()).exists());

    // As if an earlier import had ended after it wrote the ledger.
    std::fs::copy(ledger::path_of(&here.key()), ledger::path_of(&there.key())).unwrap();
    let imported = PublisherKey::import(&export, &there.key(), word.clone(), true).unwrap();
    assert_eq!(imported.signing.to_bytes(), key.signing.to_bytes());
    let ledger = ledger_of(&imported, &there.key());
    assert_eq!(ledger.next_index(), 1, "no index is used again");
    assert_eq!(ledger.signed_under(key.key_log.head(), &[]).collect::<Vec<_>>(), [signed]);
    assert!(StoredKey::read(&there.key()).unwrap().is_encrypted());
    assert!(matches!(PublisherKey::import(&export, &there.key(), word.clone(), true), Err(Error::Exists(_))));

    // Another ledger that lies there is somebody's.
    std::fs::remove_file(there.key()).unwrap();
    std::fs::write(ledger::path_of(&there.key()), "other\n").unwrap();
    let refused = PublisherKey::import(&export, &there.key(), word.clone(), false);
    assert!(matches!(refused, Err(Error::Write(files::Error::AlreadyThere(_)))));
    assert!(!there.key().exists());
    std::fs::remove_file(ledger::path_of(&there.key())).unwrap();
    PublisherKey::import(&export, &there.key(), word, false).unwrap();
    assert!(!StoredKey::read(&there.key()).unwrap().is_encrypted());
}

#[test]
fn a_damaged_export_writes_nothing() {
    let (here, there) = (Places::new(), Places::new());
    let key = here.create(None).unwrap();
    sign_something(&key, &here.key());
    let export = here.safe.path().join("alice.age");
    let word = passphrase("on the way").unwrap();
    key.export(&ledger_of(&key, &here.key()), &export, &word).unwrap();
    let sound = std::fs::read(&export).unwrap();
    let import = |bytes: &[u8]| {
        std::fs::write(&export, bytes).unwrap();
        let error = PublisherKey::import(&export, &there.key(), word.clone(), true).err().unwrap();
        assert!(!there.key().exists() && !ledger::path_of(&there.key()).exists());
        error
    };
    assert!(matches!(import(&sound[..sound.len() - 7]), Error::Sealed { source: seal::Error::Damaged(_), .. }));
    let ledger = std::fs::read_to_string(ledger::path_of(&here.key())).unwrap();
    let forged = ledger.replacen('A', "B", 3);
    let stored = StoredKey::read(&here.key()).unwrap().open(&here.key(), None).unwrap();
    let text = |version: u32, ledger: &str| {
        let key = file::key_file(&stored).unwrap();
        format!("version = {version}\nkey = '''{key}'''\nledger = '''{ledger}'''\n")
    };
    let sealed = |text: String| seal::seal(text.as_bytes(), &word).unwrap();
    assert!(matches!(import(&sealed(text(1, &forged))), Error::Ledger(_)));
    assert!(matches!(import(&sealed(text(3, &ledger))), Error::Newer(_)));
    assert!(matches!(import(&sealed("key = 1\n".into())), Error::Damaged { .. }));
}
