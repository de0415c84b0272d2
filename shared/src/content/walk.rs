//! Whether someone holds all of some content.

use std::collections::BTreeSet;

use super::{Assembler, Error};
use crate::record::{Content, ContentId};

/// What a walk over a DAG found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Walk {
    /// Every block is there, and they hold exactly the promised bytes.
    Complete {
        /// The blocks, each once.
        blocks: Vec<ContentId>,
    },
    /// Blocks are missing.
    Missing {
        /// Those that are known to be missing, in the order of the content; what hangs below them is not known yet.
        blocks: Vec<ContentId>,
    },
}

/// Walks a DAG through the blocks that `get` returns, checking each as if it came from a peer: a disk can lie, too.
///
/// # Errors
/// As [`Assembler::new`] and [`Assembler::feed`].
pub fn walk(root: Content, get: impl FnMut(&ContentId) -> Option<Vec<u8>>) -> Result<Walk, Error> {
    walk_with(Assembler::checking_only(root)?, get)
}

pub(super) fn walk_with(
    mut assembler: Assembler,
    mut get: impl FnMut(&ContentId) -> Option<Vec<u8>>,
) -> Result<Walk, Error> {
    let mut found = Vec::new();
    let mut missing = BTreeSet::new();
    loop {
        let wants: Vec<_> = assembler.wants().into_iter().filter(|cid| !missing.contains(cid)).collect();
        if wants.is_empty() {
            break;
        }
        // Each round goes a level deeper, so rounds are as many as the DAG has levels.
        for cid in wants {
            match get(&cid) {
                Some(block) => {
                    assembler.feed(&cid, &block)?;
                    found.push(cid);
                }
                None => {
                    missing.insert(cid);
                }
            }
        }
    }
    Ok(match assembler.is_complete() {
        true => Walk::Complete { blocks: found },
        false => Walk::Missing { blocks: assembler.wants() },
    })
}
