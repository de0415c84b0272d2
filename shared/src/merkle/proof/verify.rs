//! What somebody who has the root makes of a proof. Nothing of it is trusted before it is read to its end.

use std::cmp::Ordering;

use super::super::bits::{self, Known};
use super::super::{Hash, MAX_KEY_BYTES};
use super::{
    ENTRY, ENTRY_IN_RANGE, Error, HIDDEN, JOIN, JOIN_WITH_PREFIX, NAMED, Names, Piece, Place, Prefix, Range, Run,
};
use crate::varint;

/// Verifies a proof of the first entries of a range.
///
/// # Errors
/// [`Error`].
pub fn verify_run<'a>(root: &Hash, range: &Range, proof: &'a [u8]) -> Result<Run<'a>, Error> {
    verify_run_with_names(root, range, proof, &|_, _| None)
}

/// Verifies a proof of the first entries of a range, some of which are told by names only.
///
/// # Errors
/// [`Error`].
pub fn verify_run_with_names<'a>(
    root: &Hash,
    range: &Range,
    proof: &'a [u8],
    names: &Names<'_, 'a>,
) -> Result<Run<'a>, Error> {
    let Read { pieces, hash, .. } = Reader::read(root, range, proof, names)?;
    let mut run = Run { entries: Vec::new(), skipped: 0, rest: 0, hash };
    for (place, piece) in pieces {
        match (place, piece) {
            (Place::Before | Place::Behind, _) => {}
            (Place::Skipped, piece) => run.skipped += piece.count(),
            (Place::In, Piece::Hidden { count, .. }) => run.rest += count,
            // Entries behind a part that is hidden would be no leading run.
            (Place::In, Piece::Entry { .. }) if run.rest > 0 => return Err(Error::Incomplete),
            (Place::In, Piece::Entry { key, value }) => run.entries.push((key, value)),
        }
    }
    Ok(run)
}

/// Verifies what stands under a prefix, as many levels down as were asked for: the pieces in order, and the hash of all of them.
///
/// # Errors
/// [`Error`]; [`Error::Incomplete`] for fewer levels: whoever asks on would get no further.
pub fn verify_levels<'a>(
    root: &Hash,
    prefix: &Prefix,
    levels: u8,
    proof: &'a [u8],
) -> Result<(Vec<Piece<'a>>, Option<Hash>), Error> {
    let range = Range { prefix: prefix.clone(), after: None };
    let Read { pieces, hash, levels: shown } = Reader::read(root, &range, proof, &|_, _| None)?;
    if shown < levels {
        return Err(Error::Incomplete);
    }
    let inside = pieces.into_iter().filter(|(place, _)| *place == Place::In).map(|(_, piece)| piece);
    let pieces: Vec<_> = inside.collect();
    // An entry that stands alone is shown. So what is hidden has bits to ask by, and asking on comes to an end.
    let is_alone = |piece: &Piece<'_>| match piece {
        Piece::Entry { .. } => false,
        Piece::Hidden { prefix, count, .. } => *count == 1 || !bits::is_prefix(&prefix.bytes, prefix.bits),
    };
    if pieces.iter().any(is_alone) { Err(Error::Incomplete) } else { Ok((pieces, hash)) }
}

/// Subtrees that wait to be joined, at most: on the way down to an entry, each join has another bit of its key.
const MAX_DEPTH: usize = 9 * MAX_KEY_BYTES + 1;

/// Bytes of a key that are kept once.
#[derive(Clone, Copy)]
enum Text<'a> {
    /// The key of a piece.
    KeyOf(usize),
    /// A prefix in the proof.
    Prefix(&'a [u8]),
}

/// A subtree on the stack.
struct Item<'a> {
    hash: Hash,
    count: u64,
    /// What its keys have in common, if it is shown: a key, or a prefix, and how many of its bits.
    known: Option<(Text<'a>, u16)>,
    /// Its piece, if it is hidden.
    hidden: Option<usize>,
    /// Joins inside the prefix that stand above each hidden subtree in it, at least.
    levels: u8,
}

/// A proof, as it is read.
struct Bytes<'a> {
    proof: &'a [u8],
    at: usize,
}

impl<'a> Bytes<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], Error> {
        let end = self.at.checked_add(count).ok_or(Error::Malformed(self.at))?;
        let bytes = self.proof.get(self.at..end).ok_or(Error::Malformed(self.at))?;
        self.at = end;
        Ok(bytes)
    }

    fn text(&mut self) -> Result<&'a [u8], Error> {
        let start = self.at;
        let length = usize::try_from(self.number()?).map_err(|_| Error::Malformed(start))?;
        self.take(length)
    }

    fn number(&mut self) -> Result<u64, Error> {
        let mut rest = self.proof.get(self.at..).unwrap_or_default();
        let number = varint::take(&mut rest).map_err(|_| Error::Malformed(self.at))?;
        self.at = self.proof.len() - rest.len();
        Ok(number)
    }

    fn bit(&mut self) -> Result<u16, Error> {
        let start = self.at;
        Ok(u16::from_be_bytes(self.take(2)?.try_into().map_err(|_| Error::Malformed(start))?))
    }
}

struct Reader<'a, 'r> {
    range: &'r Range,
    names: &'r Names<'r, 'a>,
    /// The least number that the next name may have.
    next_name: u64,
    bytes: Bytes<'a>,
    stack: Vec<Item<'a>>,
    /// In order of their keys; the place is None as long as no join has told it.
    pieces: Vec<(Option<Place>, Piece<'a>)>,
    /// The hash of the topmost subtree inside the prefix.
    hash: Option<Hash>,
    /// Its levels.
    levels: u8,
}

/// What a proof shows.
struct Read<'a> {
    /// In order of their keys.
    pieces: Vec<(Place, Piece<'a>)>,
    /// The hash of all that has the prefix; None of nothing.
    hash: Option<Hash>,
    /// Levels of it that are shown; all of them, if nothing is hidden.
    levels: u8,
}

impl<'a, 'r> Reader<'a, 'r> {
    fn read(root: &Hash, range: &'r Range, proof: &'a [u8], names: &'r Names<'r, 'a>) -> Result<Read<'a>, Error> {
        let bytes = Bytes { proof, at: 0 };
        let mut reader = Self {
            range,
            names,
            next_name: 0,
            bytes,
            stack: Vec::new(),
            pieces: Vec::new(),
            hash: None,
            levels: u8::MAX,
        };
        while reader.bytes.at < proof.len() {
            reader.operation()?;
        }
        let found = match reader.stack.pop() {
            None => Hash::empty(),
            Some(whole) => {
                // Of the root, no bit is clear from above.
                reader.settle(&whole);
                whole.hash
            }
        };
        if !reader.stack.is_empty() {
            return Err(Error::Malformed(proof.len()));
        }
        if found != *root {
            return Err(Error::WrongRoot);
        }
        let placed = reader.pieces.into_iter().map(|(place, piece)| Some((place?, piece)));
        let pieces = placed.collect::<Option<Vec<_>>>().ok_or(Error::Incomplete)?;
        Ok(Read { pieces, hash: reader.hash, levels: reader.levels })
    }

    fn operation(&mut self) -> Result<(), Error> {
        let start = self.bytes.at;
        match self.bytes.take(1)?[0] {
            ENTRY_IN_RANGE => {
                let key = [&self.range.prefix.bytes, self.bytes.text()?].concat();
                let value = self.bytes.text()?;
                self.entry(key, value, true, start)?;
            }
            ENTRY => {
                let (key, value) = (self.bytes.text()?.to_vec(), self.bytes.text()?);
                self.entry(key, value, false, start)?;
            }
            NAMED => {
                let (number, more) = (self.bytes.number()?, self.bytes.take(1)?[0]);
                // In order, so that each is derived once at most.
                if number < self.next_name {
                    return Err(Error::Malformed(start));
                }
                self.next_name = number.saturating_add(1);
                let (key, value) = (self.names)(number, more).ok_or(Error::Malformed(start))?;
                self.entry(key, value, true, start)?;
            }
            HIDDEN => {
                let count = self.bytes.number()?;
                if count == 0 {
                    return Err(Error::Contradiction(start));
                }
                let hash = self.bytes.take(Hash::BYTES)?.try_into().map_err(|_| Error::Malformed(start))?;
                let hash = Hash::from_bytes(hash);
                self.push(Item { hash, count, known: None, hidden: Some(self.pieces.len()), levels: 0 })?;
                // Where it stands is told by the join above it.
                let prefix = Prefix { bytes: Vec::new(), bits: 0 };
                self.pieces.push((None, Piece::Hidden { prefix, count, hash }));
            }
            operation @ (JOIN | JOIN_WITH_PREFIX) => {
                let bit = self.bytes.bit()?;
                let prefix = if operation == JOIN_WITH_PREFIX {
                    let prefix = self.bytes.take(bits::prefix_length(bit))?;
                    if !bits::is_prefix(prefix, bit) {
                        return Err(Error::Malformed(start));
                    }
                    Some(prefix)
                } else {
                    None
                };
                self.join(bit, prefix, start)?;
            }
            _ => return Err(Error::Malformed(start)),
        }
        Ok(())
    }

    /// Pushes an entry, whose key has one form: whether it begins with the range's bytes is said.
    fn entry(&mut self, key: Vec<u8>, value: &'a [u8], is_in_range: bool, start: usize) -> Result<(), Error> {
        if key.len() > MAX_KEY_BYTES || self.range.prefix.rest_of(&key).is_some() != is_in_range {
            return Err(Error::Malformed(start));
        }
        let whole = Known::whole(&key);
        let place = self.range.place(whole);
        let known = Some((Text::KeyOf(self.pieces.len()), whole.bits));
        self.push(Item { hash: Hash::leaf(&key, value), count: 1, known, hidden: None, levels: u8::MAX })?;
        self.pieces.push((place, Piece::Entry { key, value }));
        Ok(())
    }

    fn push(&mut self, item: Item<'a>) -> Result<(), Error> {
        if self.stack.len() >= MAX_DEPTH {
            return Err(Error::Contradiction(self.bytes.at));
        }
        self.stack.push(item);
        Ok(())
    }

    fn text_of(&self, text: Text<'a>) -> &[u8] {
        match text {
            Text::KeyOf(at) => match self.pieces.get(at) {
                Some((_, Piece::Entry { key, .. })) => key,
                _ => &[],
            },
            Text::Prefix(prefix) => prefix,
        }
    }

    fn join(&mut self, bit: u16, prefix: Option<&'a [u8]>, start: usize) -> Result<(), Error> {
        let (Some(right), Some(left)) = (self.stack.pop(), self.stack.pop()) else {
            return Err(Error::Malformed(start));
        };
        let consistent = |item: &Item<'a>, goes_right: bool| match item.known {
            Some((key, bits)) => bits > bit && bits::bit(self.text_of(key), bit) == goes_right,
            None => true,
        };
        let text = match (left.known, right.known, prefix) {
            (Some((left, _)), Some((right, _)), None)
                if bits::critical(self.text_of(left), self.text_of(right)) == Some(bit) =>
            {
                left
            }
            (Some((key, _)), None, None) | (None, Some((key, _)), None) => key,
            (None, None, Some(prefix)) => Text::Prefix(prefix),
            _ => return Err(Error::Contradiction(start)),
        };
        let count = left.count.checked_add(right.count);
        let (true, true, Some(count)) = (consistent(&left, false), consistent(&right, true), count) else {
            return Err(Error::Contradiction(start));
        };
        let key = self.text_of(text);
        let is_inside = |known: Known<'_>| self.range.prefix.relation(known) == Some(Ordering::Equal);
        let joined_is_inside = is_inside(Known::of(key, bit));
        let mut topmost = (self.hash, self.levels);
        for (item, goes_right) in [(&left, false), (&right, true)] {
            let known = match item.known {
                Some((key, bits)) => Known::of(self.text_of(key), bits),
                None => Known { key, bits: bit, then: Some(goes_right) },
            };
            if !joined_is_inside && is_inside(known) {
                topmost = (Some(item.hash), item.levels);
            }
        }
        let hash = Hash::inner(bit, key, (left.count, &left.hash), (right.count, &right.hash));
        (self.hash, self.levels) = topmost;
        let levels = left.levels.min(right.levels).saturating_add(u8::from(joined_is_inside));
        self.place_hidden(&left, text, bit, false);
        self.place_hidden(&right, text, bit, true);
        self.push(Item { hash, count, known: Some((text, bit)), hidden: None, levels })
    }

    /// What is clear about the topmost subtree, which no join stands above. If it is hidden, where it stands stays open: nothing has its count.
    fn settle(&mut self, whole: &Item<'a>) {
        let known = whole.known.map_or(Known::of(&[], 0), |(key, bits)| Known::of(self.text_of(key), bits));
        if self.range.prefix.relation(known) == Some(Ordering::Equal) {
            (self.hash, self.levels) = (Some(whole.hash), whole.levels);
        }
    }

    /// Says where a hidden subtree stands, now that the join above it is known.
    fn place_hidden(&mut self, item: &Item<'a>, key: Text<'a>, bit: u16, goes_right: bool) {
        let Some(at) = item.hidden else { return };
        let key = self.text_of(key);
        let here = self.range.place(Known { key, bits: bit, then: Some(goes_right) });
        let common = Prefix::child(key, bit, goes_right);
        if let Some((place, Piece::Hidden { prefix, .. })) = self.pieces.get_mut(at) {
            (*place, *prefix) = (here, common);
        }
    }
}
