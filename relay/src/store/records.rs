//! Records in redb: one table, and beside it the number of the schema that it is written under.

use std::io;
use std::ops::Bound;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ggen_shared::rules::Rules;
use redb::{Builder, Database, ReadableDatabase, ReadableTable, TableDefinition};

use super::key::{KEY_BYTES, RecordKey};
use super::medium::{DatabaseFile, Medium};
use super::{Batch, LoadError, OpenError};

const RECORDS: TableDefinition<'_, &[u8; KEY_BYTES], &[u8]> = TableDefinition::new("records");
/// The relay's last checkpoint by each of the rules, under their number.
const CHECKPOINTS: TableDefinition<'_, u32, &[u8]> = TableDefinition::new("checkpoints");
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
const SCHEMA: &str = "schema";
/// Counts the probes, so that each of them writes something.
const PROBES: &str = "probes";
/// What this version writes and the newest that it reads. A change of the tables raises it.
pub(super) const SCHEMA_VERSION: u64 = 2;
/// Under schema 1 a relay had one checkpoint, by the first rules, under the only key.
const CHECKPOINT_OF_SCHEMA_1: TableDefinition<'_, (), &[u8]> = TableDefinition::new("checkpoint");
/// Memory for pages: the catalogue holds all records anyway, so the database needs no more than its inner nodes.
const CACHE_BYTES: usize = 32 * 1024 * 1024;
/// Records that are read at a time at start-up.
const PAGE_RECORDS: usize = 256;

/// The database of records.
#[derive(Debug)]
pub(super) struct Records {
    /// None once the store is closed.
    state: Mutex<Option<State>>,
}

#[derive(Debug)]
struct State {
    medium: Box<dyn Medium>,
    /// None after a failure: redb refuses everything from then on, until it is opened again.
    database: Option<Arc<Database>>,
}

impl Records {
    /// Opens the database, checks it, and creates its tables if it is new.
    pub(super) fn open(medium: Box<dyn Medium>, directory: &std::path::Path) -> Result<Self, OpenError> {
        let damaged = |source| OpenError::Damaged { directory: directory.into(), source: Arc::new(source) };
        let opened = open_database(&*medium).and_then(|database| {
            if schema(&database)? == 1 {
                leave_schema_1(&database)?;
            }
            Ok((schema(&database)?, database))
        });
        match opened {
            Ok((SCHEMA_VERSION, database)) => {
                Ok(Self { state: Mutex::new(Some(State { medium, database: Some(Arc::new(database)) })) })
            }
            Ok((0, _)) => Err(damaged(redb::Error::Corrupted("it holds no schema version".into()))),
            Ok((found, _)) => Err(OpenError::NewerSchema { directory: directory.into(), found, known: SCHEMA_VERSION }),
            Err(redb::Error::Io(source)) if !is_damage(&source) => {
                Err(OpenError::Io { directory: directory.into(), source: Arc::new(source) })
            }
            Err(redb::Error::DatabaseAlreadyOpen) => Err(OpenError::InUse(directory.into())),
            Err(source) => Err(damaged(source)),
        }
    }

    /// Writes batches in one transaction, which is durable on return. Whether anything had to be written.
    pub(super) fn commit(&self, batches: &[&Batch]) -> Result<bool, redb::Error> {
        self.with_database(|database| {
            let mut transaction = database.begin_write()?;
            // Publishers choose what is written: a half-written transaction must not be able to pass for a whole one.
            transaction.set_two_phase_commit(true);
            let mut changed = false;
            {
                let mut table = transaction.open_table(RECORDS)?;
                for batch in batches {
                    for key in &batch.removed {
                        changed |= table.remove(&key.to_bytes())?.is_some();
                    }
                    for (key, bytes) in &batch.records {
                        let key = key.to_bytes();
                        let same = table.get(&key)?.is_some_and(|found| *found.value() == **bytes);
                        if !same {
                            table.insert(&key, &**bytes)?;
                            changed = true;
                        }
                    }
                }
            }
            for (rules, checkpoint) in batches.iter().filter_map(|batch| batch.checkpoint.as_ref()) {
                transaction.open_table(CHECKPOINTS)?.insert(rules, &**checkpoint)?;
                changed = true;
            }
            // All that is in the database got there by a durable transaction: nothing to write is nothing to sync.
            if changed {
                transaction.commit()?
            } else {
                transaction.abort()?
            }
            Ok(changed)
        })
    }

    /// Writes and syncs a number: whether the disk takes records.
    pub(super) fn probe(&self) -> Result<(), redb::Error> {
        self.with_database(|database| {
            let transaction = database.begin_write()?;
            {
                let mut meta = transaction.open_table(META)?;
                let probes = meta.get(PROBES)?.map_or(0, |found| found.value());
                meta.insert(PROBES, probes.wrapping_add(1))?;
            }
            Ok(transaction.commit()?)
        })
    }

    /// The records after a key, in the order of keys: some of them, none at the end.
    pub(super) fn page(&self, after: Option<RecordKey>) -> Result<Vec<(RecordKey, Vec<u8>)>, LoadError> {
        let database = {
            let mut state = self.lock();
            state.as_mut().ok_or(LoadError::Closed)?.database().map_err(LoadError::records)?
        };
        read_page(&database, after).map_err(LoadError::records)
    }

    /// The last checkpoint by each of the rules.
    pub(super) fn checkpoints(&self) -> Result<Vec<Vec<u8>>, LoadError> {
        let database = {
            let mut state = self.lock();
            state.as_mut().ok_or(LoadError::Closed)?.database().map_err(LoadError::records)?
        };
        read_checkpoints(&database).map_err(LoadError::records)
    }

    /// Drops the database and with it the data directory's lock.
    pub(super) fn close(&self) {
        *self.lock() = None;
    }

    fn with_database<T>(&self, work: impl FnOnce(&Database) -> Result<T, redb::Error>) -> Result<T, redb::Error> {
        let database = self.lock().as_mut().ok_or(redb::Error::DatabaseClosed)?.database()?;
        let result = work(&database);
        if result.is_err()
            && let Some(state) = self.lock().as_mut()
        {
            state.database = None;
        }
        result
    }

    fn lock(&self) -> MutexGuard<'_, Option<State>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn database(&mut self) -> Result<Arc<Database>, redb::Error> {
        if let Some(database) = &self.database {
            return Ok(Arc::clone(database));
        }
        let database = Arc::new(open_database(&*self.medium)?);
        self.database = Some(Arc::clone(&database));
        Ok(database)
    }
}

fn open_database(medium: &dyn Medium) -> Result<Database, redb::Error> {
    let mut builder = Builder::new();
    // Without the check, damage makes redb panic when it comes upon it. All records are read at start-up anyway.
    builder.set_cache_size(CACHE_BYTES).set_check_integrity_on_open(true);
    if !medium.has_database()? {
        // A crash while redb writes its first pages leaves a file that it refuses for ever: they are written under another name.
        create_tables(&medium.open_database(DatabaseFile::Draft, &builder)?)?;
        medium.install_database()?;
    }
    // Even if the name was there: a process that was killed may have left it unsynced.
    medium.sync_database_name()?;
    Ok(medium.open_database(DatabaseFile::Final, &builder)?)
}

fn create_tables(database: &Database) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_two_phase_commit(true);
    transaction.open_table(META)?.insert(SCHEMA, SCHEMA_VERSION)?;
    transaction.open_table(RECORDS)?;
    Ok(transaction.commit()?)
}

/// Takes over what schema 1 keeps elsewhere: a relay that forgot its last checkpoint would sign another one for the same epoch.
fn leave_schema_1(database: &Database) -> Result<(), redb::Error> {
    let mut transaction = database.begin_write()?;
    transaction.set_two_phase_commit(true);
    let checkpoint = transaction.open_table(CHECKPOINT_OF_SCHEMA_1)?.get(())?.map(|found| found.value().to_vec());
    if let Some(checkpoint) = checkpoint {
        transaction.open_table(CHECKPOINTS)?.insert(Rules::FIRST.number, &checkpoint[..])?;
    }
    transaction.delete_table(CHECKPOINT_OF_SCHEMA_1)?;
    transaction.open_table(META)?.insert(SCHEMA, SCHEMA_VERSION)?;
    Ok(transaction.commit()?)
}

/// The schema that a database is written under; 0 for one that is none of ours.
fn schema(database: &Database) -> Result<u64, redb::Error> {
    match database.begin_read()?.open_table(META) {
        Ok(meta) => Ok(meta.get(SCHEMA)?.map_or(0, |found| found.value())),
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(0),
        Err(error) => Err(error.into()),
    }
}

fn read_page(database: &Database, after: Option<RecordKey>) -> Result<Vec<(RecordKey, Vec<u8>)>, redb::Error> {
    let after = after.map(RecordKey::to_bytes);
    let start = after.as_ref().map_or(Bound::Unbounded, Bound::Excluded);
    let table = database.begin_read()?.open_table(RECORDS)?;
    table
        .range::<&[u8; KEY_BYTES]>((start, Bound::Unbounded))?
        .take(PAGE_RECORDS)
        .map(|entry| {
            let (key, value) = entry?;
            Ok((RecordKey::from_bytes(key.value()), value.value().to_vec()))
        })
        .collect()
}

fn read_checkpoints(database: &Database) -> Result<Vec<Vec<u8>>, redb::Error> {
    match database.begin_read()?.open_table(CHECKPOINTS) {
        Ok(table) => table.iter()?.map(|entry| Ok(entry?.1.value().to_vec())).collect(),
        // A relay that has made none yet.
        Err(redb::TableError::TableDoesNotExist(_)) => Ok(Vec::new()),
        Err(error) => Err(error.into()),
    }
}

/// How redb says that a file is not one of its own, or is cut short.
fn is_damage(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
}
