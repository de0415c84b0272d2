//! Queries: a question of a type, the answer of its type. Records travel as the bytes that were signed.

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use super::sync::{Compare, RecordsOf};
use crate::catalogue::keys::ShortId;
use crate::codec;
use crate::id::{FullName, PublisherId, RecordId};
use crate::merkle::MAX_KEY_BYTES;
use crate::merkle::proof::{Prefix, Range};
use crate::protocol::packed::{self, PackedRecords, Unpacked};
use crate::record::Version;
use crate::rules::Rules;
use crate::search::query::{self, Filters, Order, Query};

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
    /// See [`RangeOf`].
    Range(RangeOf),
    /// See [`Compare`].
    Compare(Compare),
    /// See [`RecordsOf`].
    RecordsOf(RecordsOf),
    /// See [`Records`].
    Records(Records),
    /// See [`KeyLogOf`].
    KeyLogOf(KeyLogOf),
    /// See [`Named`].
    Named(Named),
}

/// How a request goes over a stream: how much of the answer may be in flight, and the question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ask {
    /// Answer bytes that the asker has room for; it acknowledges what it took from the stream.
    pub window: u32,
    /// The number of the [`Rules`] by which to answer, where the answer stands on a map. Left out: the first.
    #[serde(default = "first", skip_serializing_if = "is_first")]
    pub rules: u32,
    /// The question.
    pub request: Request,
}

const fn first() -> u32 {
    Rules::FIRST.number
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
const fn is_first(rules: &u32) -> bool {
    *rules == first()
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

/// What an answer stands on: the relay's signed checkpoint and the proof under its root.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// The checkpoint's bytes.
    pub checkpoint: ByteBuf,
    /// The range proof's bytes.
    pub proof: ByteBuf,
}

/// Where a page begins: which checkpoint and query it is a page of, and behind what it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cursor {
    /// The checkpoint's epoch.
    pub epoch: u64,
    /// Which of the query's ranges.
    pub walk: u8,
    /// What query it belongs to: [`Search::tag`].
    pub query: [u8; Self::TAG_BYTES],
    /// Of a range that is in the order asked for, the rest of the key behind which the page begins. Of one that is walked whole, the place of the match.
    pub after: Vec<u8>,
}

impl Cursor {
    const TAG_BYTES: usize = 8;

    /// The cursor as bytes.
    pub fn to_bytes(&self) -> ByteBuf {
        ByteBuf::from([&self.epoch.to_be_bytes()[..], &[self.walk], &self.query, &self.after].concat())
    }

    /// The cursor with these bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (epoch, rest) = bytes.split_first_chunk()?;
        let (walk, rest) = rest.split_first()?;
        let (query, after) = rest.split_first_chunk()?;
        let is_key = !after.is_empty() && after.len() <= MAX_KEY_BYTES;
        is_key.then(|| Self { epoch: u64::from_be_bytes(*epoch), walk: *walk, query: *query, after: after.to_vec() })
    }
}

/// Which packages match these words, and what is asked for besides?
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Search {
    /// What the person typed; the last word may be the beginning of one.
    pub text: String,
    /// At most how many results.
    pub limit: u16,
    /// Where the page before this one ended: a [`Cursor`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cursor: Option<ByteBuf>,
    /// What they have to be besides.
    #[serde(default, skip_serializing_if = "Filters::is_none")]
    pub filters: Filters,
    /// What comes first.
    #[serde(default, skip_serializing_if = "Order::is_best")]
    pub order: Order,
}

impl Search {
    /// What is asked for, and where the page begins.
    ///
    /// # Errors
    /// [`query::Error`]: of a text or a filter that is none, and of a cursor that belongs to another query.
    pub fn read(&self) -> Result<(Query, Option<Cursor>), query::Error> {
        let query = Query::new(&self.text, &self.filters, self.order)?;
        let Some(cursor) = &self.cursor else { return Ok((query, None)) };
        let cursor = Cursor::from_bytes(cursor).filter(|it| it.walk < query.walks() && it.query == self.tag());
        cursor.map(|cursor| (query, Some(cursor))).ok_or(query::Error::BadCursor)
    }

    /// What a cursor knows its query by. It keeps nobody from anything: a cursor is its holder's own.
    pub fn tag(&self) -> [u8; Cursor::TAG_BYTES] {
        let asked = Self { limit: 0, cursor: None, ..self.clone() };
        let hash = blake3::derive_key("ggen marketplace 2026 query of a cursor", &codec::encode(&asked));
        std::array::from_fn(|at| hash[at])
    }
}

/// A run of one of the query's ranges, proven, with the record of every package in it that its filter does not rule out.
/// It travels packed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "PackedSearchAnswer", try_from = "PackedSearchAnswer")]
pub struct SearchAnswer {
    /// Which of the query's ranges.
    pub walk: u8,
    /// Releases as signed, in the order of the run.
    pub releases: Vec<ByteBuf>,
    /// Releases of matching packages that changed since the checkpoint, as signed.
    pub recent: Vec<ByteBuf>,
    /// What publishers say of the versions of any of these that match, as signed: one of each at most. What was withdrawn since the checkpoint
    /// is in it still.
    pub statuses: Vec<ByteBuf>,
    /// The key log of each publisher among them, in the order of their first release, with the pages that keep any of these.
    pub key_logs: Vec<Vec<ByteBuf>>,
    /// What proves it; none when nothing can match.
    pub evidence: Option<Evidence>,
    /// The text with words in it that are spelled a little otherwise: what the relay takes for what was meant. Nothing proves it.
    pub suggestions: Vec<String>,
}

/// A [`SearchAnswer`] as it travels.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackedSearchAnswer {
    /// Which of the query's ranges.
    pub walk: u8,
    /// The releases, then those that are recent, then the statuses, with the key logs.
    pub records: PackedRecords,
    /// How many of the records are recent.
    pub recent: u16,
    /// How many of them are statuses.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub statuses: u16,
    /// What proves it; none when nothing can match.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
    /// What may have been meant, [`MAX_SUGGESTIONS`](crate::limits::MAX_SUGGESTIONS) at most; where little is found only.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub suggestions: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
const fn is_zero(count: &u16) -> bool {
    *count == 0
}

impl From<SearchAnswer> for PackedSearchAnswer {
    fn from(answer: SearchAnswer) -> Self {
        let SearchAnswer { walk, releases, recent, statuses, key_logs, evidence, suggestions } = answer;
        // More than a page holds are refused, however many more.
        let [recently, said] = [&recent, &statuses].map(|records| u16::try_from(records.len()).unwrap_or(u16::MAX));
        let records = releases.into_iter().chain(recent).chain(statuses).collect();
        let records = PackedRecords::from(&Unpacked { key_logs, records });
        Self { walk, records, recent: recently, statuses: said, evidence, suggestions }
    }
}

impl TryFrom<PackedSearchAnswer> for SearchAnswer {
    type Error = packed::Error;

    fn try_from(answer: PackedSearchAnswer) -> Result<Self, packed::Error> {
        let PackedSearchAnswer { walk, records, recent, statuses, evidence, suggestions } = answer;
        let Unpacked { key_logs, records: mut releases } = records.unpack()?;
        let mut last = |count: u16| {
            let at = releases.len().checked_sub(count.into()).ok_or(packed::Error::Malformed)?;
            Ok(releases.split_off(at))
        };
        let statuses = last(statuses)?;
        let recent = last(recent)?;
        Ok(Self { walk, releases, recent, statuses, key_logs, evidence, suggestions })
    }
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

/// Releases of one package, highest version first. No key log: the package is unknown here.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackageAnswer {
    /// Releases as signed, in the order of their entries; two of one version are a conflict.
    pub releases: Vec<ByteBuf>,
    /// Releases that came or changed their standing since the checkpoint, as signed.
    pub recent: Vec<ByteBuf>,
    /// The statuses that decide about the versions among them, now and at the checkpoint, as signed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub statuses: Vec<ByteBuf>,
    /// The publisher's key log, with the pages that keep any of these.
    pub key_log: Vec<ByteBuf>,
    /// What proves it; none when the package is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evidence: Option<Evidence>,
}

impl Question for Package {
    type Answer = PackageAnswer;

    fn into_request(self) -> Request {
        Request::Package(self)
    }
}

/// What does the relay's map have in this range?
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RangeOf {
    /// What the keys of the range begin with.
    pub range: ByteBuf,
    /// How many bits of that count, if not all: a range that a descent asks about may end within a byte.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bits: Option<u16>,
    /// The key behind which the entries stand that are asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<ByteBuf>,
    /// What is shown of them.
    pub show: Show,
}

/// What is shown of a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Show {
    /// At most so many entries, the first ones; of none, their count and hash are known.
    First(u16),
    /// So many levels of the tree: hashes of subtrees, and entries that stand alone.
    Levels(u8),
}

impl RangeOf {
    /// The first entries whose keys begin with these bytes.
    pub fn first(range: &[u8], limit: u16) -> Self {
        Self { range: ByteBuf::from(range.to_vec()), bits: None, after: None, show: Show::First(limit) }
    }

    /// What a step of a descent asks.
    pub fn of(range: &Range, show: Show) -> Self {
        let (bits, bytes) = range.prefix.parts();
        let after = range.after.as_ref().map(|after| ByteBuf::from(after.clone()));
        Self { range: ByteBuf::from(bytes.to_vec()), bits: Some(bits), after, show }
    }

    /// The range that is meant; None when it is none.
    pub fn meant(&self) -> Option<Range> {
        let prefix = match self.bits {
            Some(bits) => Prefix::from_parts(bits, self.range.to_vec())?,
            None if self.range.len() <= MAX_KEY_BYTES => Prefix::of(&self.range),
            None => return None,
        };
        let after = self.after.as_ref().map(|after| after.to_vec());
        after.as_ref().is_none_or(|after| after.len() <= MAX_KEY_BYTES).then_some(Range { prefix, after })
    }
}

impl Question for RangeOf {
    type Answer = Evidence;

    fn into_request(self) -> Request {
        Request::Range(self)
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

/// Key events as signed, in order, then keep pages, as many as fit; empty when the publisher is unknown here.
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

/// The releases that entries of the map name by these short ids: what a client derives disputed entries from itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// Which ones.
    pub ids: Vec<ShortId>,
}

/// Those that the relay holds, in the order asked for, with what they are verified by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedAnswer {
    /// One for each id, as signed; none where the relay lacks it.
    pub releases: Vec<Option<ByteBuf>>,
    /// The key log of each publisher among them, in the order of their first release.
    pub key_logs: Vec<Vec<ByteBuf>>,
}

impl Question for Named {
    type Answer = NamedAnswer;

    fn into_request(self) -> Request {
        Request::Named(self)
    }
}
