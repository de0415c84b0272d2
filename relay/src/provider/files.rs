//! Files that are served, block by block, from where they lie.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ggen_shared::content;
use ggen_shared::limits::{CHUNK_BYTES, MAX_ARTIFACT_BYTES};
use ggen_shared::record::{Content, ContentId};

/// The blocks of some files. Leaves are read when they are wanted; the nodes above them, a thousandth of it all, are in memory.
#[derive(Debug, Default)]
pub struct Files {
    blocks: HashMap<ContentId, Block>,
    contents: Vec<Content>,
}

#[derive(Debug)]
enum Block {
    Leaf { file: Arc<Path>, offset: u64, length: usize },
    Node(Vec<u8>),
}

impl Files {
    /// Takes a file up, as the content that it is now.
    ///
    /// # Errors
    /// What the system says; `InvalidInput` for a file that is larger than an artifact may be.
    pub fn add(&mut self, path: PathBuf) -> io::Result<Content> {
        let mut bytes = Vec::new();
        File::open(&path)?.take(MAX_ARTIFACT_BYTES + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > MAX_ARTIFACT_BYTES {
            let reason = format!("it is larger than {MAX_ARTIFACT_BYTES} bytes");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, reason));
        }
        let dag = content::build(&bytes);
        let content = dag.content();
        let file: Arc<Path> = path.into();
        let mut offset = 0;
        let leaves = bytes.chunks(CHUNK_BYTES).chain(bytes.is_empty().then_some(&bytes[..]));
        for leaf in leaves {
            let block = Block::Leaf { file: file.clone(), offset, length: leaf.len() };
            self.blocks.insert(ContentId::of_raw(leaf), block);
            offset += leaf.len() as u64;
        }
        for node in dag.blocks.into_iter().filter(|block| ContentId::of_raw(&block.data) != block.cid) {
            self.blocks.insert(node.cid, Block::Node(node.data));
        }
        if !self.contents.contains(&content) {
            self.contents.push(content);
        }
        Ok(content)
    }

    /// What was taken up, each once.
    pub fn contents(&self) -> &[Content] {
        &self.contents
    }

    /// Whether a block was here when its file was taken up.
    pub fn has(&self, cid: &ContentId) -> bool {
        self.blocks.contains_key(cid)
    }

    /// The bytes of a block; None for one that is not here, or not any more: the file may have been changed since.
    ///
    /// # Errors
    /// What the system says.
    pub fn block(&self, cid: &ContentId) -> io::Result<Option<Vec<u8>>> {
        match self.blocks.get(cid) {
            None => Ok(None),
            Some(Block::Node(data)) => Ok(Some(data.clone())),
            Some(Block::Leaf { file, offset, length }) => {
                let mut open = File::open(file)?;
                open.seek(SeekFrom::Start(*offset))?;
                let mut bytes = Vec::with_capacity(*length);
                open.take(*length as u64).read_to_end(&mut bytes)?;
                Ok(Some(bytes).filter(|bytes| ContentId::of_raw(bytes) == *cid))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_block_of_a_file_is_read_from_where_it_lies() {
        let directory = tempfile::tempdir().unwrap();
        let mut files = Files::default();
        for length in [0, 1, CHUNK_BYTES, 3 * CHUNK_BYTES + 17] {
            let bytes: Vec<u8> = (0..length).map(|at| (at / 977) as u8).collect();
            let path = directory.path().join(length.to_string());
            std::fs::write(&path, &bytes).unwrap();
            let dag = content::build(&bytes);
            assert_eq!(files.add(path).unwrap(), dag.content());
            for block in &dag.blocks {
                assert!(files.has(&block.cid));
                assert_eq!(files.block(&block.cid).unwrap().as_deref(), Some(&block.data[..]), "{length}");
            }
        }
        assert_eq!(files.contents().len(), 4);
        assert_eq!(files.block(&ContentId::of_raw(b"elsewhere")).unwrap(), None);
    }

    #[test]
    fn a_file_that_was_changed_serves_nothing_else_under_the_old_name() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("file");
        std::fs::write(&path, b"before").unwrap();
        let mut files = Files::default();
        let cid = files.add(path.clone()).unwrap().cid;
        std::fs::write(&path, b"behind").unwrap();
        assert_eq!(files.block(&cid).unwrap(), None);
        std::fs::remove_file(&path).unwrap();
        assert!(files.block(&cid).is_err());
    }

    #[test]
    fn what_is_too_large_or_not_there_is_refused() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("large");
        File::create(&path).unwrap().set_len(MAX_ARTIFACT_BYTES + 1).unwrap();
        let mut files = Files::default();
        assert_eq!(files.add(path).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        assert_eq!(files.add(directory.path().join("gone")).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert!(files.contents().is_empty());
    }
}
