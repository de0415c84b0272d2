//! What relays ask each other to find out what one of them lacks. See [`crate::sync`] for what they make of the answers.
//!
//! Nothing here is proven: every record is verified by itself, and a relay that hides one is found out by asking another.

use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::query::{Question, Request};
use crate::sync::Part;

/// What do these parts of the relay's records consist of, as it holds them now?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compare {
    /// Thirty-two random bytes that hashes are shortened with.
    pub salt: ByteBuf,
    /// Which parts.
    pub parts: Vec<Part>,
}

/// One [`Below`] for each part, in the order asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Compared {
    /// What each part consists of.
    pub parts: Vec<Below>,
}

/// What a part consists of: the sixteen parts that go on from where its keys part.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Below {
    /// What all its keys begin with, if that is more than was asked about; the whole key of a record that is alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub common: Option<Part>,
    /// How many records each of the sixteen has; only 1 for a record that is alone, nothing for no record.
    pub counts: Vec<u64>,
    /// The shortened hash of each of the sixteen that has any, one behind the other; nothing for a record that is alone.
    pub tags: ByteBuf,
}

impl Question for Compare {
    type Answer = Compared;

    fn into_request(self) -> Request {
        Request::Compare(self)
    }
}

/// The records of these parts, which stand in order and apart.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordsOf {
    /// Which parts.
    pub parts: Vec<Part>,
    /// The key behind which the records stand that are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<Part>,
}

/// The records that the relay holds in some parts.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordsOfAnswer {
    /// As signed, in the order of their keys.
    pub records: Vec<ByteBuf>,
    /// Whether there are more, for another question.
    pub rest: bool,
}

impl Question for RecordsOf {
    type Answer = RecordsOfAnswer;

    fn into_request(self) -> Request {
        Request::RecordsOf(self)
    }
}
