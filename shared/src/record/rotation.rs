//! How a key log goes on: the key that was committed to is revealed, puts a fresh key in force, and says what stays of what the key before
//! it signed.
//!
//! The revealed key signs the rotation and its pages, and nothing after them. It isn't the key in force from then on: that one is used
//! every day, and whoever stole it could sign a second rotation after the event that had committed to it, which forks the log and freezes
//! it for good. So a key that can rotate is of use once, and never lies where keys are used. It has to stay secret once it is used up, for
//! the same reason.

use serde::{Deserialize, Serialize};

use super::{Error, Kind, Payload, Verified};
use crate::id::{KeyCommitment, PublicKey, PublisherId, RecordId};
use crate::limits::{MAX_KEPT_PER_PAGE, MAX_PAGES_PER_ROTATION};

/// Puts a fresh key in force. What the key before it signed is void, but for what the pages list. It is signed by the revealed key alone:
/// whoever has stolen a key that is in force, or was, can't rotate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// Whose key log it continues.
    pub publisher: PublisherId,
    /// The key event that it follows.
    pub prev: RecordId,
    /// The key that `prev` committed to: it signs this and its pages, and nothing after.
    pub revealed: PublicKey,
    /// The key in force from now on.
    pub key: PublicKey,
    /// The commitment to the key that the rotation after this one reveals.
    pub next: KeyCommitment,
    /// The keep pages, smallest id first. The rotation is nothing without all of them.
    pub pages: Vec<RecordId>,
}

/// A list of records that stay valid when the key that signed them is rotated out.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeepPage {
    /// Whose records.
    pub publisher: PublisherId,
    /// The key event that they are signed under, and that the rotation follows.
    pub prev: RecordId,
    /// The key that `prev` committed to: it signs its pages before the rotation that names them.
    pub revealed: PublicKey,
    /// Their ids, smallest first.
    pub keep: Vec<RecordId>,
}

/// What both say of themselves: which event they follow, and the key that it committed to, which signs them.
pub(super) trait Follower {
    fn publisher(&self) -> PublisherId;
    fn prev(&self) -> &RecordId;
    fn revealed(&self) -> &PublicKey;
}

macro_rules! follower {
    ($($kind:ty),*) => {$(
        impl Follower for $kind {
            fn publisher(&self) -> PublisherId {
                self.publisher
            }

            fn prev(&self) -> &RecordId {
                &self.prev
            }

            fn revealed(&self) -> &PublicKey {
                &self.revealed
            }
        }
    )*};
}

follower!(Rotation, KeepPage);

impl Rotation {
    /// Whether it keeps what a page lists: names it, and follows the same event.
    pub fn names(&self, page: &Verified<KeepPage>) -> bool {
        self.prev == page.prev && self.pages.binary_search(&page.id()).is_ok()
    }
}

impl Payload for Rotation {
    const KIND: Kind = Kind::Rotation;

    fn check(&self) -> Result<(), Error> {
        if self.key == self.revealed {
            return Err(Error::field("key", "is the revealed key: a thief of it could fork the key log"));
        }
        if self.next == KeyCommitment::to_key(&self.key) {
            return Err(Error::field("next", "commits to the present key: a thief of it could rotate"));
        }
        if self.next == KeyCommitment::to_key(&self.revealed) {
            return Err(Error::field("next", "commits to the revealed key, which is used up"));
        }
        check_ids("pages", &self.pages, MAX_PAGES_PER_ROTATION)
    }
}

impl Payload for KeepPage {
    const KIND: Kind = Kind::KeepPage;

    fn check(&self) -> Result<(), Error> {
        if self.keep.is_empty() {
            return Err(Error::field("keep", "is empty"));
        }
        check_ids("keep", &self.keep, MAX_KEPT_PER_PAGE)
    }
}

/// A set of ids has one spelling: in order, each once.
fn check_ids(field: &'static str, ids: &[RecordId], max: usize) -> Result<(), Error> {
    if ids.len() > max {
        return Err(Error::field(field, format!("has {} entries, at most {max} are allowed", ids.len())));
    }
    if !ids.is_sorted_by(|one, next| one < next) {
        return Err(Error::field(field, "is not in the order of ids, each once"));
    }
    Ok(())
}
