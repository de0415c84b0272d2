//! Queries: a question of a type, the answer of its type. Records travel as the bytes that were signed.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::id::{FullName, PublisherId, RecordId};
use crate::record::{ContentId, Version};

/// A question that a relay answers, and the type of its answer.
pub trait Question: Clone {
    /// What comes back.
    type Answer: Serialize + DeserializeOwned;

    /// The question as it is sent.
    fn into_request(self) -> Request;
}

/// Every question, as sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Request {
    /// See [`Search`].
    Search(Search),
    /// See [`Package`].
    Package(Package),
    /// See [`Records`].
    Records(Records),
    /// See [`KeyLogOf`].
    KeyLogOf(KeyLogOf),
    /// See [`Block`].
    Block(Block),
}

/// How a request goes over a stream: how much of the answer may be in flight, and the question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// Answer bytes that the asker has room for; it acknowledges what it took from the stream.
    pub window: u32,
    /// The question.
    pub request: Request,
}

/// An answer, or why there is none.
pub type Reply<A> = Result<A, Refusal>;

/// Characters of a refusal's code that are looked at.
const MAX_CODE_CHARS: usize = 64;
/// Characters of a refusal's message that are shown: a sentence or two.
const MAX_MESSAGE_CHARS: usize = 300;

/// Why a relay does not answer a question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(deny_unknown_fields)]
#[error("{message} ({code})")]
pub struct Refusal {
    /// A stable code such as `query/too-long`.
    pub code: String,
    /// A sentence for people. It comes from a peer: show it as text.
    pub message: String,
}

impl Refusal {
    /// A refusal with a code and a sentence.
    pub fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into() }
    }

    /// The refusal as it may be shown: short, and without what a terminal or a page could take for more than text.
    /// Quotation marks stay as they are: it is not escaped, for nobody reads it back.
    #[must_use]
    pub fn printable(self) -> Self {
        let shown = |c| if crate::record::is_unprintable(c) { char::REPLACEMENT_CHARACTER } else { c };
        let printable = |text: &str, limit| text.chars().take(limit).map(shown).collect();
        Self { code: printable(&self.code, MAX_CODE_CHARS), message: printable(&self.message, MAX_MESSAGE_CHARS) }
    }
}

/// What makes an answer provable: the relay's signed checkpoint and the proof under its root. Both are absent until relays
/// make checkpoints; an answer without them is one relay's word.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The checkpoint's bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<ByteBuf>,
    /// The range proof's bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<ByteBuf>,
}

/// Which packages match these words? Best first; of no words: newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// What the person typed; the last word may be the beginning of one.
    pub text: String,
    /// At most how many results.
    pub limit: u16,
    /// Where the page before this one ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<ByteBuf>,
}

/// The newest release of each matching package.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchAnswer {
    /// Releases as signed.
    pub releases: Vec<ByteBuf>,
    /// The key log of each publisher among them, in the order of their first release.
    pub key_logs: Vec<Vec<ByteBuf>>,
    /// How many packages match.
    pub total: u64,
    /// Whether `total` is exact, or only the least it can be.
    pub total_is_exact: bool,
    /// Where the next page begins; none at the end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<ByteBuf>,
    /// What proves it.
    pub evidence: Evidence,
}

impl Question for Search {
    type Answer = SearchAnswer;

    fn into_request(self) -> Request {
        Request::Search(self)
    }
}

/// What is there of this package?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Package {
    /// Which one.
    pub name: FullName,
    /// Only this version; none: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<Version>,
}

/// Releases of one package, highest version first. None of both: the package is unknown here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageAnswer {
    /// Releases as signed; two of one version are a conflict.
    pub releases: Vec<ByteBuf>,
    /// The publisher's key log.
    pub key_log: Vec<ByteBuf>,
    /// How many releases there are, those that did not fit included.
    pub total: u64,
    /// What proves it.
    pub evidence: Evidence,
}

impl Question for Package {
    type Answer = PackageAnswer;

    fn into_request(self) -> Request {
        Request::Package(self)
    }
}

/// The records with these ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Records {
    /// Which ones.
    pub ids: Vec<RecordId>,
}

/// Those that the relay holds, as signed, in the order asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RecordsAnswer {
    /// One for each id; none where the relay lacks it.
    pub records: Vec<Option<ByteBuf>>,
}

impl Question for Records {
    type Answer = RecordsAnswer;

    fn into_request(self) -> Request {
        Request::Records(self)
    }
}

/// The key log of this publisher.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyLogOf {
    /// Whose.
    pub publisher: PublisherId,
}

/// Key events as signed, in order; empty when the publisher is unknown here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeyLogAnswer {
    /// The events.
    pub events: Vec<ByteBuf>,
}

impl Question for KeyLogOf {
    type Answer = KeyLogAnswer;

    fn into_request(self) -> Request {
        Request::KeyLogOf(self)
    }
}

/// The block with this identifier.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// Which one.
    pub cid: ContentId,
}

/// The block's bytes, if the relay holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BlockAnswer {
    /// The bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<ByteBuf>,
}

impl Question for Block {
    type Answer = BlockAnswer;

    fn into_request(self) -> Request {
        Request::Block(self)
    }
}
