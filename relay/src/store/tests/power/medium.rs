//! The simulated disk as the store sees it: each change is one step.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use redb::{Builder, DatabaseError, StorageBackend};

use super::{Content, Database, Directory, Lie, Node, PowerDisk, Write};
use crate::store::medium::{DatabaseFile, Files, Medium, NewFile};

const DRAFT: &str = "draft";
const FINAL: &str = "final";

impl Medium for PowerDisk {
    fn open_database(&self, file: DatabaseFile, builder: &Builder) -> Result<redb::Database, DatabaseError> {
        let file = match file {
            DatabaseFile::Draft => {
                let mut state = self.growing_step()?;
                let file = state.databases.len();
                state.databases.push(Database::default());
                state.database_names.set(Path::new(DRAFT), Some(Node::File(file)));
                file
            }
            DatabaseFile::Final => {
                self.powered()?.database_names.file(FINAL).ok_or(io::Error::from(io::ErrorKind::NotFound))?
            }
        };
        builder.create_with_backend(PowerDatabase { disk: self.clone(), file })
    }

    fn has_database(&self) -> io::Result<bool> {
        Ok(self.powered()?.database_names.file(FINAL).is_some())
    }

    fn install_database(&self) -> io::Result<()> {
        let mut state = self.step()?;
        let file = state.database_names.file(DRAFT).ok_or(io::ErrorKind::NotFound)?;
        state.database_names.set(Path::new(FINAL), Some(Node::File(file)));
        state.database_names.set(Path::new(DRAFT), None);
        Ok(())
    }

    fn sync_database_name(&self) -> io::Result<()> {
        let mut state = self.step()?;
        if state.lie != Some(Lie::DatabaseName) {
            state.database_names.sync();
        }
        Ok(())
    }

    fn files(&self) -> Arc<dyn Files> {
        Arc::new(self.clone())
    }
}

#[derive(Debug)]
struct PowerDatabase {
    disk: PowerDisk,
    file: usize,
}

impl StorageBackend for PowerDatabase {
    fn len(&self) -> io::Result<u64> {
        Ok(self.disk.powered()?.databases[self.file].seen.len() as u64)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let state = self.disk.powered()?;
        let offset = usize::try_from(offset).unwrap();
        let found =
            state.databases[self.file].seen.get(offset..offset + out.len()).ok_or(io::ErrorKind::UnexpectedEof)?;
        out.copy_from_slice(found);
        Ok(())
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        let grows = self.len()? < length;
        let mut state = if grows { self.disk.growing_step()? } else { self.disk.step()? };
        state.databases[self.file].write(Write::Length(usize::try_from(length).unwrap()));
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.disk.step()?;
        state.database_syncs += 1;
        if state.lie != Some(Lie::Database) {
            let database = &mut state.databases[self.file];
            database.pending.clear();
            database.durable = database.seen.clone();
        }
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        // Copy-on-write file systems need room for every write.
        let mut state = self.disk.growing_step()?;
        state.databases[self.file].write(Write::Bytes(usize::try_from(offset).unwrap(), data.to_vec()));
        Ok(())
    }
}

impl Files for PowerDisk {
    fn read(&self, path: &Path) -> io::Result<Option<Vec<u8>>> {
        let state = self.powered()?;
        Ok(state.file(path).map(|content| state.contents[content].seen.clone()))
    }

    fn exists(&self, path: &Path) -> io::Result<bool> {
        Ok(self.powered()?.file(path).is_some())
    }

    fn list(&self, directory: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(self.powered()?.directory(directory)?.seen.keys().cloned().collect())
    }

    fn create_directory(&self, directory: &Path) -> io::Result<bool> {
        if self.powered()?.node(directory).is_some() {
            return Ok(false);
        }
        let mut state = self.growing_step()?;
        state.set(directory, Some(Node::Directory))?;
        state.directories.insert(directory.into(), Directory::default());
        Ok(true)
    }

    fn create(&self, path: &Path) -> io::Result<Box<dyn NewFile>> {
        let mut state = self.growing_step()?;
        if state.node(path).is_some() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        let content = state.contents.len();
        state.set(path, Some(Node::File(content)))?;
        state.contents.push(Content::default());
        Ok(Box::new(PowerFile { disk: self.clone(), content }))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.step()?;
        let content = state.file(from).ok_or(io::ErrorKind::NotFound)?;
        state.set(to, Some(Node::File(content)))?;
        state.set(from, None)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.step()?;
        state.file(path).ok_or(io::ErrorKind::NotFound)?;
        state.set(path, None)
    }

    fn sync_directory(&self, directory: &Path) -> io::Result<()> {
        let mut state = self.step()?;
        if state.directory_syncs_fail {
            return Err(io::Error::other("the directory cannot be synced"));
        }
        let lies = state.lie == Some(Lie::Directory);
        let directory = state.directory(directory)?;
        if !lies {
            directory.sync();
        }
        Ok(())
    }
}

struct PowerFile {
    disk: PowerDisk,
    content: usize,
}

impl NewFile for PowerFile {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let mut state = self.disk.growing_step()?;
        state.contents[self.content].seen.extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self) -> io::Result<()> {
        let mut state = self.disk.step()?;
        let lies = state.lie == Some(Lie::File);
        let content = &mut state.contents[self.content];
        if !lies {
            content.durable = content.seen.clone();
        }
        Ok(())
    }
}
