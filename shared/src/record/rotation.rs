//! How a key log goes on: the next key is revealed, and says what stays of what the key before it signed.

use serde::{Deserialize, Serialize};

use super::{Error, Kind, Payload, Verified};
use crate::id::{KeyCommitment, PublicKey, PublisherId, RecordId};
use crate::limits::{MAX_KEPT_PER_PAGE, MAX_PAGES_PER_ROTATION};

/// Puts the next key in force. What the key before it signed is void, but for what the pages list. It is signed by the revealed key alone:
/// whoever has stolen the key in force can't rotate.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rotation {
    /// Whose key log it continues.
    pub publisher: PublisherId,
    /// The key event that it follows.
    pub prev: RecordId,
    /// The key that `prev` committed to, in force from now on.
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
    pub key: PublicKey,
    /// Their ids, smallest first.
    pub keep: Vec<RecordId>,
}

/// What both say of themselves: which event they follow, and the key that it committed to.
pub(super) trait Follower {
    fn publisher(&self) -> PublisherId;
    fn prev(&self) -> &RecordId;
    fn key(&self) -> &PublicKey;
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

            fn key(&self) -> &PublicKey {
                &self.key
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
        if self.next == KeyCommitment::to_key(&self.key) {
            return Err(Error::field("next", "commits to the present key: a thief of it could rotate"));
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
