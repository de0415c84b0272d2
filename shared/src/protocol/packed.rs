//! Records, packed: what a page of results needs is most of its bytes, and records say much that others say too.
//!
//! # Form
//!
//! In a record, three kinds of bytes can't be compressed. They are *cut out*, each behind the two bytes that announce it:
//!
//! | bytes before it | what | length |
//! | --- | --- | --- |
//! | `58 20` | an id | 32 |
//! | `58 40` | a signature | 64 |
//! | `12 20` | a digest of content | 32 |
//!
//! A packed record is a byte 1, the raw DEFLATE stream (RFC 1951) of what is left, with [`DICTIONARY`] as what came before it, then a reference
//! for each id, in order, then signatures and digests, in order. A reference is an unsigned LEB128: twice `n` means the publisher whose key log is
//! the `n`-th of the answer, one more means the `n`-th of the answer's table of ids. A record that does not get shorter, or
//! that would not come out as it went in, is a byte 0 and its bytes.
//!
//! Records that are found together say much alike. *Joined*, what is left of them is one DEFLATE stream for the whole answer, behind
//! its length before it was deflated: key logs first, each record behind its own length, as LEB128. And each of those records is a byte 2, its references, its signatures and digests.
//!
//! What comes out is what was signed, byte for byte, and is verified as such: packing is no part of what anybody has to trust.

use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, Hasher};
use std::sync::OnceLock;

use miniz_oxide::deflate::core::{CompressorOxide, TDEFLFlush, compress, create_comp_flags_from_zip_params};
use miniz_oxide::inflate::TINFLStatus;
use miniz_oxide::inflate::core::{DecompressorOxide, decompress, inflate_flags};
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;

use crate::id::PublisherId;
use crate::limits::{MAX_ANSWER_BYTES, MAX_JOINED_BYTES, MAX_RECORD_BYTES};
use crate::record::{Inception, Unverified};
use crate::varint;

/// What records often say: pieces of descriptions of packages, and a release that has every field.
pub const DICTIONARY: &[u8] = include_bytes!("packed.dict");

const AS_IS: u8 = 0;
const PACKED: u8 = 1;
const JOINED: u8 = 2;
/// Raw DEFLATE with the whole window.
const RAW_WINDOW: i32 = -15;
/// How hard the packer looks for what was said before: to look harder takes a third longer and saves nothing that can be told.
const EFFORT: i32 = 6;

type Id = [u8; 32];

/// Ids that a page has, each once. They are hashes and keys, so that any eight bytes tell most of them apart; and a page has at most
/// some hundreds, whoever chose them.
pub(crate) type Ids = HashSet<Id, BuildHasherDefault<EightBytes>>;

/// A hash of an id: eight bytes of it.
#[derive(Debug, Default)]
pub(crate) struct EightBytes(u64);

impl Hasher for EightBytes {
    fn write(&mut self, bytes: &[u8]) {
        self.0 = bytes.first_chunk().map_or(0, |first| u64::from_le_bytes(*first));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

/// Bytes that are not the packed form of records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is cut off, does not inflate, or has bytes behind its end.
    #[error("a packed record is malformed")]
    Malformed,
    /// It refers to an id that is not there.
    #[error("a packed record refers to an id that the answer does not have")]
    NoSuchId,
    /// Records would be longer than they may be.
    #[error("packed records are longer than they may be")]
    TooLong,
}

/// A record, packed but for its references: what is the same in every answer. Made once and kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Packed {
    /// The first byte and the deflated text, or the record as it is.
    text: Box<[u8]>,
    ids: Box<[Id]>,
    /// Signatures and digests.
    raw: Box<[u8]>,
}

impl Packed {
    /// Packs a record; any bytes can be packed.
    pub fn of(bytes: &[u8]) -> Self {
        let as_is = || Self { text: [&[AS_IS], bytes].concat().into(), ids: Box::default(), raw: Box::default() };
        if bytes.len() > MAX_RECORD_BYTES {
            return as_is();
        }
        let (text, ids, raw) = cut_out(bytes);
        let put_back = Source { ids: ids.iter(), raw: &raw }.put_back(&text);
        let deflated = deflate(&text).filter(|_| put_back.as_deref() == Ok(bytes));
        let deflated = deflated.map(|text| [&[PACKED], &text[..]].concat());
        let packed = deflated.map(|text| Self { text: text.into(), ids: ids.into(), raw: raw.into() });
        packed.into_iter().chain([as_is()]).min_by_key(|it| it.cost(|_| false)).unwrap_or_else(as_is)
    }

    /// How many bytes it adds to an answer, if all of its ids but those that are known are new: rather too many than too few. Each id is asked about
    /// once.
    pub fn cost(&self, mut is_known: impl FnMut(&Id) -> bool) -> usize {
        let new = self.ids.iter().filter(|id| !is_known(id)).count();
        self.text.len() + self.raw.len() + 2 * self.ids.len() + new * size_of::<Id>()
    }
}

/// Records of an answer, with the key logs of their publishers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PackedRecords {
    /// Ids that records refer to, each once, in the order of their first reference; but for publishers of the key logs.
    ids: ByteBuf,
    key_logs: Vec<Vec<ByteBuf>>,
    records: Vec<ByteBuf>,
    /// The text of joined records; empty when there is none.
    #[serde(default, skip_serializing_if = "nothing")]
    text: ByteBuf,
}

fn nothing(text: &ByteBuf) -> bool {
    text.is_empty()
}

/// Records with the key logs of their publishers, as they were signed.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unpacked {
    /// Key logs.
    pub key_logs: Vec<Vec<ByteBuf>>,
    /// Records.
    pub records: Vec<ByteBuf>,
}

impl PackedRecords {
    /// Packs records of an answer. Each key log comes with its publisher, if it names one.
    pub fn of<'a>(
        key_logs: impl IntoIterator<Item = (Option<PublisherId>, Vec<&'a Packed>)>,
        records: impl IntoIterator<Item = &'a Packed>,
    ) -> Self {
        let mut table = Table::default();
        let (publishers, key_logs): (Vec<_>, Vec<_>) = key_logs.into_iter().unzip();
        let key_logs =
            key_logs.into_iter().map(|events| events.into_iter().map(|event| table.put(event)).collect()).collect();
        // Publishers are known from their key logs, so key logs are read before any record that refers to them.
        for (number, publisher) in publishers.into_iter().enumerate() {
            if let Some(publisher) = publisher {
                table.known.entry(*publisher.as_bytes()).or_insert(2 * number);
            }
        }
        let records = records.into_iter().map(|record| table.put(record)).collect();
        Self { ids: ByteBuf::from(table.ids), key_logs, records, text: ByteBuf::new() }
    }

    /// Joins the records, which takes longer than all else about an answer and makes it an eighth shorter.
    pub fn join(&mut self) {
        let Some((joined, text)) = self.joined() else { return };
        self.text = ByteBuf::from(text);
        self.all_mut().zip(joined).for_each(|(record, joined)| *record = joined);
    }

    fn all_mut(&mut self) -> impl Iterator<Item = &mut ByteBuf> {
        self.key_logs.iter_mut().flatten().chain(&mut self.records)
    }

    /// The records, joined, and their text; None when it would be no shorter, or is much longer than that of a page.
    fn joined(&self) -> Option<(Vec<ByteBuf>, Vec<u8>)> {
        let mut unpacker = Unpacker::new(&[]);
        let (mut text, mut alone) = (Vec::new(), 0);
        let mut joined = Vec::new();
        for record in self.key_logs.iter().flatten().chain(&self.records) {
            let Some((&PACKED, packed)) = record.split_first() else {
                joined.push(record.clone());
                continue;
            };
            let (length, rest) = unpacker.inflate(packed, MAX_RECORD_BYTES).ok()?;
            varint::put(&mut text, length as u64);
            text.extend_from_slice(&unpacker.room[DICTIONARY.len()..][..length]);
            alone += packed.len() - rest.len();
            joined.push(ByteBuf::from([&[JOINED], rest].concat()));
        }
        if text.len() > MAX_JOINED_BYTES {
            return None;
        }
        let mut whole = Vec::new();
        varint::put(&mut whole, text.len() as u64);
        whole.extend(deflate(&text)?);
        (whole.len() < alone).then_some((joined, whole))
    }

    /// How many records there are besides key logs.
    pub const fn count(&self) -> usize {
        self.records.len()
    }

    /// The records as they were signed: of at most [`MAX_ANSWER_BYTES`] together, and [`MAX_RECORD_BYTES`] each that was deflated.
    ///
    /// # Errors
    /// [`Error`].
    pub fn unpack(&self) -> Result<Unpacked, Error> {
        let (ids, []) = self.ids.as_chunks() else { return Err(Error::Malformed) };
        let mut unpacker = Unpacker::new(ids);
        let text = unpacker.unpack_text(&self.text)?;
        let mut text = &text[..];
        let mut key_logs = Vec::with_capacity(self.key_logs.len());
        for events in &self.key_logs {
            let events = events.iter().map(|event| unpacker.unpack(event, &mut text)).collect::<Result<Vec<_>, _>>()?;
            key_logs.push(events);
        }
        unpacker.publishers = key_logs.iter().map(|events| publisher_of(events)).collect();
        let records =
            self.records.iter().map(|record| unpacker.unpack(record, &mut text)).collect::<Result<Vec<_>, _>>()?;
        if text.is_empty() { Ok(Unpacked { key_logs, records }) } else { Err(Error::Malformed) }
    }
}

impl From<&Unpacked> for PackedRecords {
    fn from(unpacked: &Unpacked) -> Self {
        let pack = |bytes: &ByteBuf| Packed::of(bytes);
        let key_logs: Vec<(_, Vec<Packed>)> =
            unpacked.key_logs.iter().map(|events| (publisher_of(events), events.iter().map(pack).collect())).collect();
        let records: Vec<Packed> = unpacked.records.iter().map(pack).collect();
        Self::of(key_logs.iter().map(|(publisher, events)| (*publisher, events.iter().collect())), &records)
    }
}

/// Whose key log it says it is.
fn publisher_of(events: &[ByteBuf]) -> Option<PublisherId> {
    Some(PublisherId::from_inception(Unverified::<Inception>::decode(events.first()?).ok()?.id()))
}

#[derive(Default)]
struct Table {
    known: HashMap<Id, usize, BuildHasherDefault<EightBytes>>,
    ids: Vec<u8>,
}

impl Table {
    fn put(&mut self, packed: &Packed) -> ByteBuf {
        let mut bytes = Vec::with_capacity(packed.text.len() + 2 * packed.ids.len() + packed.raw.len());
        bytes.extend_from_slice(&packed.text);
        for id in &packed.ids {
            let next = 2 * (self.ids.len() / size_of::<Id>()) + 1;
            let reference = *self.known.entry(*id).or_insert(next);
            if reference == next {
                self.ids.extend_from_slice(id);
            }
            varint::put(&mut bytes, reference as u64);
        }
        bytes.extend_from_slice(&packed.raw);
        ByteBuf::from(bytes)
    }
}

/// What is cut out behind two bytes.
enum Cut {
    Id,
    Raw(usize),
}

impl Cut {
    const fn behind(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0x58, 0x20, ..] => Some(Self::Id),
            [0x58, 0x40, ..] => Some(Self::Raw(64)),
            [0x12, 0x20, ..] => Some(Self::Raw(32)),
            _ => None,
        }
    }

    /// The first place in a text where something was cut out, behind the bytes that announce it.
    fn first(text: &[u8]) -> Option<(usize, Self)> {
        text.windows(2).enumerate().find_map(|(at, bytes)| Some((at + 2, Self::behind(bytes)?)))
    }
}

fn cut_out(mut bytes: &[u8]) -> (Vec<u8>, Vec<Id>, Vec<u8>) {
    let (mut text, mut ids, mut raw) = (Vec::with_capacity(bytes.len()), Vec::new(), Vec::new());
    while let Some((first, rest)) = bytes.split_first() {
        let behind = &bytes[bytes.len().min(2)..];
        match (Cut::behind(bytes), behind.split_first_chunk()) {
            (Some(Cut::Id), Some((id, rest))) => {
                text.extend_from_slice(&bytes[..2]);
                ids.push(*id);
                bytes = rest;
            }
            (Some(Cut::Raw(length)), _) if behind.len() >= length => {
                text.extend_from_slice(&bytes[..2]);
                raw.extend_from_slice(&behind[..length]);
                bytes = &behind[length..];
            }
            _ => {
                text.push(*first);
                bytes = rest;
            }
        }
    }
    (text, ids, raw)
}

/// Where what was cut out is taken from again.
struct Source<'a, I> {
    ids: I,
    raw: &'a [u8],
}

impl<'a, I: Iterator<Item = &'a Id>> Source<'a, I> {
    /// The record with this text: all that was cut out is used up.
    fn put_back(mut self, mut text: &[u8]) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::with_capacity(text.len() + self.raw.len() + 3 * size_of::<Id>());
        while let Some((at, cut)) = Cut::first(text) {
            let (before, behind) = text.split_at(at);
            bytes.extend_from_slice(before);
            text = behind;
            match cut {
                Cut::Id => bytes.extend_from_slice(self.ids.next().ok_or(Error::Malformed)?),
                Cut::Raw(length) => {
                    let (raw, rest) = self.raw.split_at_checked(length).ok_or(Error::Malformed)?;
                    bytes.extend_from_slice(raw);
                    self.raw = rest;
                }
            }
            if bytes.len() > MAX_RECORD_BYTES {
                return Err(Error::TooLong);
            }
        }
        bytes.extend_from_slice(text);
        if bytes.len() > MAX_RECORD_BYTES {
            return Err(Error::TooLong);
        }
        if self.raw.is_empty() && self.ids.next().is_none() { Ok(bytes) } else { Err(Error::Malformed) }
    }
}

/// None when it gets longer.
fn deflate(text: &[u8]) -> Option<Vec<u8>> {
    let mut compressor = Box::new(primed()?.clone());
    // The shortest need some bytes more than they have.
    let mut room = vec![0; text.len() + 16];
    let (_, read, written) = compress(&mut compressor, text, &mut room, TDEFLFlush::Finish);
    room.truncate(written);
    (read == text.len()).then_some(room)
}

/// A compressor that has read the dictionary. To do so takes ten times as long as to go on behind it, so it is done once.
fn primed() -> Option<&'static CompressorOxide> {
    static PRIMED: OnceLock<Option<Box<CompressorOxide>>> = OnceLock::new();
    let prime = || {
        let flags = create_comp_flags_from_zip_params(EFFORT, RAW_WINDOW, 0);
        let mut compressor = Box::new(CompressorOxide::new(flags));
        // What the dictionary deflates to is thrown away; behind it, the stream goes on at a whole byte.
        let mut room = vec![0; MAX_RECORD_BYTES];
        let (_, read, _) = compress(&mut compressor, DICTIONARY, &mut room, TDEFLFlush::Sync);
        (read == DICTIONARY.len()).then_some(compressor)
    };
    PRIMED.get_or_init(prime).as_deref()
}

struct Unpacker<'a> {
    ids: &'a [Id],
    /// Of the key logs, in order.
    publishers: Vec<Option<PublisherId>>,
    inflater: Box<DecompressorOxide>,
    /// The dictionary, and room for a text behind it.
    room: Vec<u8>,
    /// Bytes that may still come out.
    left: usize,
}

impl<'a> Unpacker<'a> {
    fn new(ids: &'a [Id]) -> Self {
        let mut room = DICTIONARY.to_vec();
        room.resize(DICTIONARY.len() + MAX_RECORD_BYTES, 0);
        Self { ids, publishers: Vec::new(), inflater: Box::default(), room, left: MAX_ANSWER_BYTES }
    }

    /// `joined`: the text of those that are joined, from this one on.
    fn unpack(&mut self, packed: &[u8], joined: &mut &[u8]) -> Result<ByteBuf, Error> {
        let bytes = match packed.split_first() {
            Some((&AS_IS, bytes)) => bytes.to_vec(),
            Some((&PACKED, packed)) => {
                let (written, rest) = self.inflate(packed, MAX_RECORD_BYTES)?;
                self.put_back(&self.room[DICTIONARY.len()..][..written], rest)?
            }
            Some((&JOINED, rest)) => {
                let length = number(joined)?;
                let (text, behind) = joined.split_at_checked(length).ok_or(Error::Malformed)?;
                *joined = behind;
                self.put_back(text, rest)?
            }
            _ => return Err(Error::Malformed),
        };
        self.left = self.left.checked_sub(bytes.len()).ok_or(Error::TooLong)?;
        Ok(ByteBuf::from(bytes))
    }

    /// The text of all joined records.
    fn unpack_text(&mut self, mut packed: &[u8]) -> Result<Vec<u8>, Error> {
        if packed.is_empty() {
            return Ok(Vec::new());
        }
        let length = number(&mut packed)?;
        if length > MAX_JOINED_BYTES {
            return Err(Error::TooLong);
        }
        let (written, rest) = self.inflate(packed, length)?;
        let is_whole = rest.is_empty() && written == length;
        if is_whole { Ok(self.room[DICTIONARY.len()..][..written].to_vec()) } else { Err(Error::Malformed) }
    }

    /// Inflates a text of at most so many bytes into the room behind the dictionary: how long it is, and what stands behind it.
    fn inflate<'p>(&mut self, packed: &'p [u8], most: usize) -> Result<(usize, &'p [u8]), Error> {
        let start = DICTIONARY.len();
        self.room.resize(start + most, 0);
        self.inflater.init();
        let flags = inflate_flags::TINFL_FLAG_USING_NON_WRAPPING_OUTPUT_BUF;
        let (status, read, written) = decompress(&mut self.inflater, packed, &mut self.room, start, flags);
        match status {
            TINFLStatus::Done => Ok((written, packed.get(read..).ok_or(Error::Malformed)?)),
            TINFLStatus::HasMoreOutput => Err(Error::TooLong),
            _ => Err(Error::Malformed),
        }
    }

    /// The record of this text; the rest has references, then what was cut out.
    fn put_back(&self, text: &[u8], mut rest: &[u8]) -> Result<Vec<u8>, Error> {
        let mut ids = Vec::new();
        let mut left = text;
        while let Some((at, cut)) = Cut::first(left) {
            left = &left[at..];
            if let Cut::Id = cut {
                ids.push(self.id(number(&mut rest)?)?);
            }
        }
        Source { ids: ids.into_iter(), raw: rest }.put_back(text)
    }

    fn id(&self, reference: usize) -> Result<&Id, Error> {
        let id = match reference % 2 {
            0 => self.publishers.get(reference / 2).and_then(Option::as_ref).map(PublisherId::as_bytes),
            _ => self.ids.get(reference / 2),
        };
        id.ok_or(Error::NoSuchId)
    }
}

fn number(rest: &mut &[u8]) -> Result<usize, Error> {
    let number = varint::take(rest).map_err(|_| Error::Malformed)?;
    usize::try_from(number).map_err(|_| Error::NoSuchId)
}

#[cfg(test)]
#[path = "packed_tests.rs"]
mod tests;
