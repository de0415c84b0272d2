//! What the store promises, on a real disk and on a simulated one.

mod crash;
mod power;

use std::fs;
use std::path::{Path, PathBuf};

use futures::future::join_all;
use ggen_shared::id::{PublisherId, RecordId};
use ggen_shared::limits::MAX_BLOCK_BYTES;
use ggen_shared::record::{ContentId, Envelope, RecordBytes};

use super::blocks::path_of;
use super::records::SCHEMA_VERSION;
use super::{Batch, BlockError, CommitError, OpenError, RecordKey, Store};
use power::{PowerDisk, Survivors};

/// A record of some length. The store never looks inside, so it need not verify.
fn record(number: u8, length: usize) -> (RecordKey, RecordBytes) {
    // Space for the envelope's own bytes, within the bound of records.
    let payload = vec![number; length];
    let bytes = Envelope { kind: 4, payload, signature: [number; 64] }.encode().unwrap();
    (key(number), bytes)
}

fn key(number: u8) -> RecordKey {
    let publisher = PublisherId::from_inception(RecordId::from_bytes([number % 3; 32]));
    RecordKey { publisher, kind: 4, id: RecordId::from_bytes([number; 32]) }
}

fn block(number: u8, length: usize) -> (ContentId, Vec<u8>) {
    let bytes = vec![number; length];
    (ContentId::of_raw(&bytes), bytes)
}

/// A block that stands in the same directory as another.
fn neighbour(of: ContentId) -> (ContentId, Vec<u8>) {
    (1..).map(|length| block(200, length)).find(|(id, _)| path_of(id).parent() == path_of(&of).parent()).unwrap()
}

fn put(
    records: impl IntoIterator<Item = (RecordKey, RecordBytes)>,
    blocks: impl IntoIterator<Item = (ContentId, Vec<u8>)>,
) -> Batch {
    Batch { records: records.into_iter().collect(), blocks: blocks.into_iter().collect(), ..Batch::default() }
}

fn remove(number: u8) -> Batch {
    Batch { removed: vec![key(number)], ..Batch::default() }
}

fn simulated(disk: &PowerDisk) -> Store {
    Store::open_on(Box::new(disk.clone()), Path::new("simulated")).unwrap()
}

fn loaded(store: &Store) -> Vec<(RecordKey, Vec<u8>)> {
    store.load().map(|entry| entry.unwrap()).collect()
}

fn block_file(directory: &Path, id: &ContentId) -> PathBuf {
    directory.join("blocks").join(path_of(id))
}

#[tokio::test]
async fn what_was_committed_is_there_after_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let (one, two) = (record(1, 10), record(2, 16_000));
    let (id, bytes) = block(1, MAX_BLOCK_BYTES);
    let store = Store::open(directory.path()).unwrap();
    store.commit(put([one.clone(), two.clone()], [(id, bytes.clone())])).await.unwrap();
    store.commit(remove(1)).await.unwrap();
    drop(store);

    let store = Store::open(directory.path()).unwrap();
    assert_eq!(loaded(&store), [(two.0, two.1.to_vec())]);
    assert_eq!(store.block(&id).await.unwrap(), Some(bytes));
    assert!(store.has_block(&id).await.unwrap());
    let absent = block(9, 9).0;
    assert_eq!(store.block(&absent).await.unwrap(), None);
    assert_eq!(store.missing(vec![id, absent]).await.unwrap(), [absent]);
    store.ready().await.unwrap();
}

#[tokio::test]
async fn records_load_publisher_by_publisher_over_many_pages() {
    let disk = PowerDisk::new();
    let store = simulated(&disk);
    let publisher = |number| PublisherId::from_inception(RecordId::from_bytes([number; 32]));
    let mut records = Vec::new();
    for number in 0..600_u16 {
        let mut id = [0; 32];
        id[..2].copy_from_slice(&number.to_be_bytes());
        let kind = if number < 3 { 1 } else { 4 };
        let key = RecordKey { publisher: publisher((number % 3) as u8), kind, id: RecordId::from_bytes(id) };
        records.push((key, record(1, usize::from(number)).1));
    }
    store.commit(put(records.iter().rev().cloned(), [])).await.unwrap();
    records.sort_by_key(|(key, _)| *key);
    let expected: Vec<_> = records.into_iter().map(|(key, bytes)| (key, bytes.to_vec())).collect();
    assert_eq!(loaded(&store), expected);
    assert_eq!(expected[0].0.kind, 1, "a key log comes before what is signed under it");
}

#[tokio::test]
async fn two_relays_cannot_share_a_data_directory() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    match Store::open(directory.path()) {
        Err(error @ OpenError::InUse(_)) => {
            assert!(error.to_string().starts_with("another relay is using "), "{error}");
        }
        other => panic!("{other:?}"),
    }
    store.close().await;
    Store::open(directory.path()).unwrap();
    assert!(matches!(store.commit(put([record(1, 1)], [])).await, Err(CommitError::Closed)));
    assert!(matches!(store.ready().await, Err(CommitError::Closed)));
}

#[tokio::test]
async fn a_store_of_a_newer_schema_is_refused_and_left_alone() {
    let directory = tempfile::tempdir().unwrap();
    drop(Store::open(directory.path()).unwrap());
    let path = directory.path().join("records.redb");
    let database = redb::Database::open(&path).unwrap();
    let transaction = database.begin_write().unwrap();
    let meta = redb::TableDefinition::<&str, u64>::new("meta");
    transaction.open_table(meta).unwrap().insert("schema", SCHEMA_VERSION + 1).unwrap();
    transaction.commit().unwrap();
    drop(database);
    for _ in 0..2 {
        match Store::open(directory.path()) {
            Err(OpenError::NewerSchema { found, known, .. }) => {
                assert_eq!((found, known), (SCHEMA_VERSION + 1, SCHEMA_VERSION))
            }
            other => panic!("{other:?}"),
        }
    }
}

#[tokio::test]
async fn a_store_of_schema_1_keeps_its_checkpoint() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    store.commit(put([record(1, 1)], [])).await.unwrap();
    store.close().await;
    let database = redb::Database::open(directory.path().join("records.redb")).unwrap();
    let transaction = database.begin_write().unwrap();
    let table = redb::TableDefinition::<(), &[u8]>::new("checkpoint");
    transaction.open_table(table).unwrap().insert((), &b"signed"[..]).unwrap();
    let meta = redb::TableDefinition::<&str, u64>::new("meta");
    transaction.open_table(meta).unwrap().insert("schema", 1).unwrap();
    transaction.commit().unwrap();
    drop(database);
    for _ in 0..2 {
        let store = Store::open(directory.path()).unwrap();
        assert_eq!(store.checkpoints().unwrap(), [b"signed"]);
        assert_eq!(loaded(&store).len(), 1);
        store.close().await;
    }
}

#[tokio::test]
async fn damaged_records_are_a_clear_error_and_not_a_panic() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    store.commit(put((0..200).map(|number| record(number, 500)), [])).await.unwrap();
    drop(store);
    let path = directory.path().join("records.redb");
    let mut bytes = fs::read(&path).unwrap();
    let at = bytes.windows(500).position(|window| window == [7; 500]).unwrap();
    bytes[at] ^= 1;
    fs::write(&path, &bytes).unwrap();
    assert!(matches!(Store::open(directory.path()), Err(OpenError::Damaged { .. })));
    fs::write(&path, b"not a database at all").unwrap();
    assert!(matches!(Store::open(directory.path()), Err(OpenError::Damaged { .. })));
}

#[tokio::test]
async fn a_damaged_block_is_reported_then_missing_then_mended() {
    let directory = tempfile::tempdir().unwrap();
    let store = Store::open(directory.path()).unwrap();
    let (id, bytes) = block(1, 1000);
    let path = block_file(directory.path(), &id);
    store.commit(put([], [(id, bytes.clone())])).await.unwrap();
    for damage in [vec![2; 1000], vec![1; 999], vec![], vec![1; MAX_BLOCK_BYTES * 2]] {
        fs::write(&path, &damage).unwrap();
        assert!(matches!(store.block(&id).await, Err(BlockError::Damaged(damaged)) if damaged == id));
        assert!(!store.has_block(&id).await.unwrap());
        assert_eq!(store.block(&id).await.unwrap(), None);
        store.commit(put([], [(id, bytes.clone())])).await.unwrap();
        assert_eq!(store.block(&id).await.unwrap(), Some(bytes.clone()));
    }
    // A commit also mends damage that nobody has read yet.
    fs::write(&path, b"decayed").unwrap();
    store.commit(put([], [(id, bytes.clone())])).await.unwrap();
    assert_eq!(store.block(&id).await.unwrap(), Some(bytes));
}

#[tokio::test]
async fn nothing_of_a_batch_with_a_wrong_block_is_stored() {
    let disk = PowerDisk::new();
    let store = simulated(&disk);
    let before = disk.steps();
    let (id, _) = block(1, 10);
    let wrong = put([record(1, 10)], [block(2, 10), (id, vec![9; 10])]);
    assert!(matches!(store.commit(wrong).await, Err(CommitError::WrongBlock(refused)) if refused == id));
    let long = put([record(1, 10)], [block(3, MAX_BLOCK_BYTES + 1)]);
    assert!(matches!(store.commit(long).await, Err(CommitError::LongBlock(_))));
    assert_eq!(disk.steps(), before);
    store.ready().await.unwrap();
}

#[tokio::test]
async fn committing_again_what_is_there_writes_nothing() {
    let disk = PowerDisk::new();
    let store = simulated(&disk);
    let batch = put([record(1, 10), record(2, 2000)], [block(1, 5000)]);
    store.commit(batch.clone()).await.unwrap();
    let before = disk.steps();
    store.commit(batch).await.unwrap();
    store.commit(remove(3)).await.unwrap();
    store.commit(Batch::default()).await.unwrap();
    assert_eq!(disk.steps(), before);
}

#[tokio::test]
async fn a_start_removes_what_a_crash_left_unfinished() {
    let directory = tempfile::tempdir().unwrap();
    drop(Store::open(directory.path()).unwrap());
    let incoming = directory.path().join("blocks/incoming");
    for name in ["0", "17"] {
        fs::write(incoming.join(name), b"half a blo").unwrap();
    }
    let store = Store::open(directory.path()).unwrap();
    store.commit(put([], [block(1, 10)])).await.unwrap();
    assert_eq!(fs::read_dir(incoming).unwrap().count(), 0);
}

#[tokio::test]
async fn commits_that_wait_share_a_sync() {
    let disk = PowerDisk::new();
    let store = simulated(&disk);
    let commit = |number| {
        let store = store.clone();
        tokio::spawn(async move { store.commit(put([record(number, 10)], [])).await.unwrap() })
    };
    commit(0).await.unwrap();
    let before = disk.database_syncs();
    commit(1).await.unwrap();
    let syncs_of_one = disk.database_syncs() - before;

    // The writer is stopped in the middle of one commit; 31 others queue up.
    disk.hold();
    let mut commits = vec![commit(2)];
    let held = disk.clone();
    tokio::task::spawn_blocking(move || held.wait_until_held()).await.unwrap();
    commits.extend((3..34).map(commit));
    while store.0.queue.as_ref().unwrap().capacity() > super::QUEUE_COMMANDS - 31 {
        tokio::task::yield_now().await;
    }
    let before = disk.database_syncs();
    disk.release();
    for commit in commits {
        commit.await.unwrap();
    }
    let syncs = disk.database_syncs() - before;
    assert!(syncs <= 2 * syncs_of_one, "{syncs} syncs for 1 and 31 commits, {syncs_of_one} for one");
    assert_eq!(loaded(&store).len(), 34);
}

#[tokio::test]
async fn a_full_disk_fails_every_waiter_and_the_store_goes_on_once_there_is_room() {
    let disk = PowerDisk::new();
    let store = simulated(&disk);
    store.commit(put([record(1, 10)], [block(1, 10)])).await.unwrap();
    disk.set_full(true);
    // Without blocks it is the database that fails, for all who share the transaction.
    let results = join_all((2..10).map(|number| store.commit(put([record(number, 10)], [])))).await;
    assert!(results.iter().all(|result| matches!(result, Err(CommitError::DiskFull(_)))), "{results:?}");
    let blocks = store.commit(put([record(20, 10)], [block(2, 10)])).await;
    assert!(matches!(blocks, Err(CommitError::DiskFull(_))), "{blocks:?}");
    assert!(matches!(store.ready().await, Err(CommitError::DiskFull(_))));
    assert_eq!(store.block(&block(1, 10).0).await.unwrap(), Some(vec![1; 10]));

    disk.set_full(false);
    store.ready().await.unwrap();
    store.commit(put([record(2, 10)], [block(2, 10)])).await.unwrap();
    assert!(store.has_block(&block(2, 10).0).await.unwrap());
    let kept: Vec<_> = loaded(&store).into_iter().map(|(key, _)| key).collect();
    assert!(kept.contains(&key(1)) && kept.contains(&key(2)) && !kept.contains(&key(20)), "{kept:?}");
}

#[tokio::test]
async fn a_block_that_decays_on_the_simulated_disk_is_found() {
    let disk = PowerDisk::new();
    let store = simulated(&disk);
    let (id, bytes) = block(1, 100);
    store.commit(put([], [(id, bytes)])).await.unwrap();
    disk.rot(&path_of(&id));
    assert!(matches!(store.block(&id).await, Err(BlockError::Damaged(_))));
    assert_eq!(store.missing(vec![id]).await.unwrap(), [id]);
}

#[tokio::test]
async fn a_block_whose_name_could_not_be_synced_is_not_taken_for_stored() {
    let disk = PowerDisk::new();
    let store = simulated(&disk);
    let batch = put([record(1, 10)], [block(1, 100)]);
    let id = batch.blocks[0].0;
    disk.fail_directory_syncs(true);
    assert!(matches!(store.commit(batch.clone()).await, Err(CommitError::Blocks(_))));
    disk.fail_directory_syncs(false);
    assert_eq!(store.missing(vec![id]).await.unwrap(), [id]);
    assert_eq!(loaded(&store), []);

    store.commit(batch).await.unwrap();
    let store = simulated(&disk.after_power_cut(Survivors::None));
    assert!(store.block(&id).await.unwrap().is_some());
    assert_eq!(loaded(&store).len(), 1);
}
