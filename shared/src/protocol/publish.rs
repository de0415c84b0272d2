//! A publish session, on one stream: offer, what is wanted, the blocks, the receipt.
//!
//! Records come first, so that a relay takes no byte of content that no valid release names.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::query::Refusal;
use crate::id::RecordId;
use crate::record::ContentId;

/// The records to publish and the blocks that their content consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Offer {
    /// Records as signed: the key log, then releases.
    pub records: Vec<ByteBuf>,
    /// Every block of the content that the releases name.
    pub blocks: Vec<ContentId>,
}

/// What the relay needs to admit the offer: blocks follow as length-prefixed bytes, in this order.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Wanted {
    /// Blocks that it lacks.
    pub blocks: Vec<ContentId>,
}

/// The end of a session: what is now durable at this relay. Sent after the records and their content are on disk.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// Ids of the records offered, all of them kept.
    pub kept: Vec<RecordId>,
    /// Those among them that were new to the relay.
    pub new: Vec<RecordId>,
}

/// The answer to an offer.
pub type WantedReply = Result<Wanted, Refusal>;
/// The answer to the blocks.
pub type ReceiptReply = Result<Receipt, Refusal>;
