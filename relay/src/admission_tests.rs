//! Key events and what they change: in batches of any order, in several messages, and over a restart.

use std::path::Path;

use ed25519_dalek::SigningKey;
use ggen_shared::id::{KeyCommitment, PublicKey};
use ggen_shared::record::{Artifact, Inception, RecordBytes, Release, State, Status, Work, sign};

use super::*;

fn network() -> Network {
    Network::named("test").unwrap()
}

fn open(directory: &Path) -> Shelf {
    let (shelf, left_out) = Shelf::open(Store::open(directory).unwrap(), network(), Rules::FIRST).unwrap();
    assert_eq!(left_out, 0);
    shelf
}

fn key(number: u8) -> SigningKey {
    SigningKey::from_bytes(&[number; 32])
}

fn public(number: u8) -> PublicKey {
    PublicKey::from_bytes(key(number).verifying_key().to_bytes())
}

/// The number of the key that the rotation puts in force which reveals the key of a number.
fn put_in_force_by(revealed: u8) -> u8 {
    100 + revealed
}

/// A publisher whose first key is of the number 1; its rotations reveal those of the numbers 2, 3 and so on.
fn inception() -> Verified<Inception> {
    let next = KeyCommitment::to_key(&public(2));
    let inception = Inception { handle: "one".parse().unwrap(), key: public(1), next, work: Work::NONE };
    sign(inception, &key(1), &network()).unwrap()
}

fn publisher() -> PublisherId {
    PublisherId::from_inception(inception().id())
}

fn release(number: u8, signed_under: RecordId, index: u32) -> Verified<Release> {
    let release = Release {
        publisher: publisher(),
        signed_under,
        index,
        name: "a".parse().unwrap(),
        version: format!("1.{index}.0").parse().unwrap(),
        artifact: Artifact { cid: ContentId::of_raw(b""), size: 0 },
        title: None,
        description: String::new(),
        readme: None,
        categories: Vec::new(),
        tags: Vec::new(),
        license: None,
        authors: Vec::new(),
        homepage: None,
        repository: None,
        documentation: None,
        dependencies: Vec::new(),
        created: 0,
    };
    sign(release, &key(number), &network()).unwrap()
}

fn page(number: u8, prev: RecordId, keep: &[RecordId]) -> Verified<KeepPage> {
    let mut keep = keep.to_vec();
    keep.sort();
    let page = KeepPage { publisher: publisher(), prev, revealed: public(number), keep };
    sign(page, &key(number), &network()).unwrap()
}

fn rotation(number: u8, prev: RecordId, pages: &[&Verified<KeepPage>]) -> Verified<Rotation> {
    let mut pages: Vec<RecordId> = pages.iter().map(|page| page.id()).collect();
    pages.sort();
    let next = KeyCommitment::to_key(&public(number + 1));
    let (signer, revealed, key) = (key(number), public(number), public(put_in_force_by(number)));
    let rotation = Rotation { publisher: publisher(), prev, revealed, key, next, pages };
    sign(rotation, &signer, &network()).unwrap()
}

/// Two rotations with a page each, and releases before, between and behind them; one of the first is not kept.
struct Scene {
    events: Vec<RecordBytes>,
    kept: Vec<RecordBytes>,
    lost: RecordBytes,
}

fn scene() -> Scene {
    let start = inception().id();
    let (old, lost) = (release(1, start, 0), release(1, start, 1));
    let first_page = page(2, start, &[old.id()]);
    let first = rotation(2, start, &[&first_page]);
    let middle = release(put_in_force_by(2), first.id(), 2);
    let second_page = page(3, first.id(), &[middle.id()]);
    let second = rotation(3, first.id(), &[&second_page]);
    let young = release(put_in_force_by(3), second.id(), 3);
    let status = Status {
        publisher: publisher(),
        signed_under: second.id(),
        index: 4,
        name: "a".parse().unwrap(),
        version: "1.3.0".parse().unwrap(),
        seq: 1,
        state: State::Yanked,
        reason: String::new(),
        instead: None,
    };
    let status = sign(status, &key(put_in_force_by(3)), &network()).unwrap();
    Scene {
        events: vec![
            inception().bytes().clone(),
            first_page.bytes().clone(),
            first.bytes().clone(),
            second_page.bytes().clone(),
            second.bytes().clone(),
        ],
        kept: vec![old.bytes().clone(), middle.bytes().clone(), young.bytes().clone(), status.bytes().clone()],
        lost: lost.bytes().clone(),
    }
}

async fn offer(shelf: &Shelf, records: &[&RecordBytes]) -> Result<Receipt, &'static str> {
    let known = |error: AdmitError| match error.refusal().code.as_str() {
        "publish/missing-pages" => "publish/missing-pages",
        "publish/conflict" => "publish/conflict",
        "record/void" => "record/void",
        "record/unknown-key-event" => "record/unknown-key-event",
        "record/not-committed" => "record/not-committed",
        "publish/unknown-publisher" => "publish/unknown-publisher",
        other => panic!("{other}"),
    };
    let records = shelf.verify_all(records.iter().map(|record| &record[..])).map_err(known)?;
    shelf.admit(records, Vec::new()).await.map_err(known)
}

fn stored(shelf: &Shelf) -> Vec<RecordId> {
    let mut ids: Vec<_> = shelf.store().load().map(|loaded| loaded.unwrap().0.id).collect();
    ids.sort();
    ids
}

fn members(shelf: &Shelf) -> Vec<RecordId> {
    shelf.catalogue().records().map(Record::id).collect()
}

#[tokio::test]
async fn a_batch_is_admitted_in_any_order_and_loaded_again() {
    let directory = tempfile::tempdir().unwrap();
    let shelf = open(directory.path());
    let scene = scene();
    let all: Vec<&RecordBytes> = scene.kept.iter().chain(scene.events.iter().rev()).collect();
    let receipt = offer(&shelf, &all).await.unwrap();
    assert_eq!((receipt.new.len(), receipt.kept.len()), (9, 9));
    assert_eq!(offer(&shelf, &[&scene.lost]).await, Err("record/void"));
    assert_eq!((members(&shelf).len(), stored(&shelf)), (9, members(&shelf)));
    let root = shelf.catalogue().root();
    drop(shelf);
    let shelf = open(directory.path());
    assert_eq!(
        (shelf.catalogue().root(), shelf.catalogue().key_log(&publisher()).unwrap().events().count()),
        (root, 5)
    );
}

#[tokio::test]
async fn pages_may_come_before_their_rotation_and_what_is_void_is_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let shelf = open(directory.path());
    let scene = scene();
    let [inception, first_page, first, second_page, second] = &scene.events[..] else { panic!("five events") };
    assert_eq!(offer(&shelf, &[first]).await, Err("publish/unknown-publisher"));
    offer(&shelf, &[inception, &scene.kept[0], &scene.lost]).await.unwrap();
    assert_eq!(stored(&shelf).len(), 3);
    assert_eq!(offer(&shelf, &[first]).await, Err("publish/missing-pages"));
    assert_eq!(offer(&shelf, &[second_page]).await, Err("record/unknown-key-event"));
    let waits = offer(&shelf, &[first_page]).await.unwrap();
    assert_eq!(
        (waits.new.len(), waits.kept.len(), stored(&shelf).len()),
        (0, 0, 3),
        "it is not kept before its rotation"
    );
    let receipt = offer(&shelf, &[first]).await.unwrap();
    assert_eq!(receipt.new.len(), 2, "the page that waited, then the rotation");
    assert_eq!((stored(&shelf).len(), stored(&shelf)), (4, members(&shelf)));
    offer(&shelf, &[second_page, second, &scene.kept[1]]).await.unwrap();
    assert_eq!(offer(&shelf, &[&scene.lost]).await, Err("record/void"));
    offer(&shelf, &[&scene.kept[2], &scene.kept[3]]).await.unwrap();
    assert_eq!((stored(&shelf).len(), stored(&shelf)), (9, members(&shelf)));
}

#[tokio::test]
async fn a_page_that_comes_alone_takes_nothing_from_who_stores_it_with_its_rotation() {
    let directory = tempfile::tempdir().unwrap();
    let shelf = open(directory.path());
    let scene = scene();
    let [inception, page, rotation, ..] = &scene.events[..] else { panic!("five events") };
    offer(&shelf, &[inception, &scene.kept[0]]).await.unwrap();
    // One after the other on the way to the disk, and at the same time in everything else.
    let both = [page, rotation];
    let (alone, receipt) = tokio::join!(offer(&shelf, &both[..1]), offer(&shelf, &both));
    assert_eq!((alone.unwrap().new.len(), receipt.unwrap().new.len()), (0, 2));
    assert_eq!((stored(&shelf).len(), stored(&shelf)), (4, members(&shelf)));
    // Nor does a rotation that is not kept take away the page of one that is.
    let rival = self::rotation(2, self::inception().id(), &[]);
    let rival = [rival.bytes()];
    let (again, rival) = tokio::join!(offer(&shelf, &both[..1]), offer(&shelf, &rival));
    assert!(again.is_ok() && rival.is_ok());
    assert_eq!(stored(&shelf), members(&shelf));
    let root = shelf.catalogue().root();
    drop(shelf);
    assert_eq!(open(directory.path()).catalogue().root(), root);
}

#[tokio::test]
async fn a_fork_is_admitted_and_takes_away_what_came_after_it() {
    let directory = tempfile::tempdir().unwrap();
    let shelf = open(directory.path());
    let scene = scene();
    offer(&shelf, &scene.events.iter().chain(&scene.kept).collect::<Vec<_>>()).await.unwrap();
    let rival = Rotation { next: KeyCommitment::to_key(&public(9)), ..(*rotation(2, inception().id(), &[])).clone() };
    let rival = sign(rival, &key(2), &network()).unwrap();
    offer(&shelf, &[rival.bytes()]).await.unwrap();
    assert!(shelf.catalogue().key_log(&publisher()).unwrap().is_frozen());
    // An inception, two rotations, a page, and the release that the first of them kept.
    assert_eq!((stored(&shelf).len(), stored(&shelf)), (5, members(&shelf)));
    let root = shelf.catalogue().root();
    drop(shelf);
    assert_eq!(open(directory.path()).catalogue().root(), root);
}

/// Releases at one index, the smallest id first.
fn of_one_index(number: u8, signed_under: RecordId) -> Vec<Verified<Release>> {
    let text = |text: u8| {
        let release = Release { description: text.to_string(), ..(*release(number, signed_under, 0)).clone() };
        sign(release, &key(number), &network()).unwrap()
    };
    let mut releases: Vec<_> = (0..20).map(text).collect();
    releases.sort_by_key(Verified::id);
    releases
}

#[tokio::test]
async fn what_a_rotation_makes_room_for_is_admitted_with_it_and_nothing_else() {
    let directories = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let [makes_room, makes_none] = directories.each_ref().map(|directory| open(directory.path()));
    let start = inception().id();
    let [one, two, .., last] = &of_one_index(1, start)[..] else { panic!("many") };
    for shelf in [&makes_room, &makes_none] {
        offer(shelf, &[inception().bytes(), one.bytes(), two.bytes()]).await.unwrap();
        assert_eq!(offer(shelf, &[last.bytes()]).await, Err("publish/conflict"));
    }
    let page_of_last = page(2, start, &[last.id()]);
    let rotation_to_last = rotation(2, start, &[&page_of_last]);
    let all = [page_of_last.bytes(), rotation_to_last.bytes(), last.bytes()];
    assert!(offer(&makes_room, &all).await.unwrap().kept.contains(&last.id()));
    assert_eq!((stored(&makes_room).len(), stored(&makes_room)), (4, members(&makes_room)));

    let page_of_two = page(2, start, &[one.id(), two.id()]);
    let rotation_to_two = rotation(2, start, &[&page_of_two]);
    let young = of_one_index(put_in_force_by(2), rotation_to_two.id());
    let young = young.last().unwrap();
    assert!(young.id() > two.id());
    let all = [page_of_two.bytes(), rotation_to_two.bytes(), young.bytes()];
    assert_eq!(offer(&makes_none, &all).await, Err("publish/conflict"));
    assert_eq!((stored(&makes_none).len(), stored(&makes_none)), (5, members(&makes_none)));
}

#[tokio::test]
async fn rejects_a_rotation_by_a_key_that_nobody_committed_to() {
    let directory = tempfile::tempdir().unwrap();
    let shelf = open(directory.path());
    let thief = rotation(7, inception().id(), &[]);
    assert_eq!(offer(&shelf, &[inception().bytes(), thief.bytes()]).await, Err("record/not-committed"));
    assert_eq!(stored(&shelf), []);
}

#[tokio::test]
async fn all_that_it_holds_is_packed_some_at_a_time() {
    let directory = tempfile::tempdir().unwrap();
    let shelf = open(directory.path());
    assert_eq!(shelf.pack_after(None), None);
    let count = 2 * policy::PACKED_AT_ONCE as u32;
    let releases = (1..count).map(|index| Record::Release(Box::new(release(1, inception().id(), index))));
    let records: Vec<Record> = std::iter::once(Record::Inception(inception())).chain(releases).collect();
    for some in records.chunks(100) {
        shelf.admit(some.to_vec(), Vec::new()).await.unwrap();
    }
    let ids: Vec<RecordId> = shelf.catalogue().records().map(Record::id).collect();
    assert_eq!(ids.len(), records.len());
    let first = shelf.pack_after(None);
    assert_eq!(first, Some(ids[policy::PACKED_AT_ONCE - 1]));
    let second = shelf.pack_after(first.as_ref());
    assert_eq!(second, ids.last().copied());
    assert_eq!(shelf.pack_after(second.as_ref()), None);
}

#[tokio::test]
async fn what_is_admitted_is_listed_by_all_rules_that_are_served() {
    let directory = tempfile::tempdir().unwrap();
    let shelf = open(directory.path());
    let Scene { events, kept, lost } = scene();
    offer(&shelf, &[&events[0], &kept[0], &lost]).await.unwrap();
    let other = Rules { number: 2, ..Rules::FIRST };
    shelf.serve_beside(Some(other));
    let beside = shelf.by(2).unwrap();
    assert!(*beside.catalogue() == *shelf.catalogue());
    for record in events[1..].iter().chain(&kept[1..]) {
        offer(&shelf, &[record]).await.unwrap();
    }
    assert!(*beside.catalogue() == *shelf.catalogue() && shelf.catalogue().record_count() > 2);
    // To be asked for the same again changes nothing.
    shelf.serve_beside(Some(other));
    assert!(Arc::ptr_eq(&beside, &shelf.by(2).unwrap()));
    shelf.serve_beside(None);
    assert_eq!(shelf.by(2).err().unwrap().code, "relay/other-rules");
}
