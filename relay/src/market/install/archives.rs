//! Archives that were fetched, by their CIDs. What is read is checked like what comes from a relay: nobody has to trust a disk either.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::PathBuf;

use ggen_shared::content;
use ggen_shared::limits::MAX_ARTIFACT_BYTES;
use ggen_shared::record::{Content, ContentId};

/// A directory of archives.
#[derive(Debug, Clone)]
pub struct Archives {
    directory: PathBuf,
}

impl Archives {
    /// Those in a directory, which need not be there yet.
    pub const fn in_directory(directory: PathBuf) -> Self {
        Self { directory }
    }

    /// Those of the user.
    pub fn of_user() -> Self {
        Self::in_directory(super::home::cache().join("content"))
    }

    /// Where an archive is, if it is here.
    pub fn path(&self, content: &Content) -> PathBuf {
        self.directory.join(content.cid.to_string())
    }

    /// Where all that are here lie. Whether they are what their names say is not looked at.
    ///
    /// # Errors
    /// What the system says.
    pub fn paths(&self) -> io::Result<Vec<PathBuf>> {
        let entries = match fs::read_dir(&self.directory) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry?.path();
            // What is being written has a name that is no CID.
            if path.file_name().and_then(|name| name.to_str()).is_some_and(|name| name.parse::<ContentId>().is_ok()) {
                paths.push(path);
            }
        }
        paths.sort();
        Ok(paths)
    }

    /// An archive, if it is here. One that is not the content that it should be is removed.
    ///
    /// # Errors
    /// What the system says.
    pub fn get(&self, content: &Content) -> io::Result<Option<Vec<u8>>> {
        let path = self.path(content);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error),
        };
        let mut bytes = Vec::new();
        file.take(MAX_ARTIFACT_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 == content.size && content::build(&bytes).content() == *content {
            return Ok(Some(bytes));
        }
        tracing::warn!(path = %path.display(), "is not what it was when it was fetched: it is fetched again");
        fs::remove_file(&path)?;
        Ok(None)
    }

    /// Keeps an archive, in one step.
    ///
    /// # Errors
    /// What the system says.
    pub fn put(&self, content: &Content, bytes: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.directory)?;
        let mut file = tempfile::Builder::new().prefix(".tmp").tempfile_in(&self.directory)?;
        file.write_all(bytes)?;
        // Whoever runs at the same time puts the same there.
        file.persist(self.path(content)).map_err(|error| error.error)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_archive_is_there_only_as_long_as_it_is_what_its_cid_names() {
        let directory = tempfile::tempdir().unwrap();
        let archives = Archives::in_directory(directory.path().join("deep"));
        let bytes = vec![7; 300_000];
        let content = content::build(&bytes).content();
        assert_eq!(archives.get(&content).unwrap(), None);
        archives.put(&content, &bytes).unwrap();
        archives.put(&content, &bytes).unwrap();
        assert_eq!(archives.get(&content).unwrap().as_ref(), Some(&bytes));
        assert_eq!(archives.get(&Content { size: 7, ..content }).unwrap(), None, "its size is checked too");

        for changed in [[&bytes[1..], &[8]].concat(), bytes[1..].to_vec(), Vec::new()] {
            archives.put(&content, &changed).unwrap();
            assert_eq!(archives.get(&content).unwrap(), None);
            assert!(!archives.path(&content).exists(), "nobody looks at it twice");
        }
        assert_eq!(fs::read_dir(directory.path().join("deep")).unwrap().count(), 0);
    }
}
