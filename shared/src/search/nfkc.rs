//! Unicode normalisation form KC, with tables that are a part of the rules and small enough for a browser to download.
//!
//! `nfkc.bin` says what [UAX #15](https://www.unicode.org/reports/tr15/) needs of Unicode's character database, as numbers
//! (LEB128; differences zigzag): how many characters decompose, then for each
//! 1. how far it lies behind the one before,
//! 2. twice the number of characters it decomposes to, and one more if these two compose to it again,
//! 3. the first of them, as a difference to the first before,
//! 4. the others, each as a difference to the one at its place before;
//!
//! each of the four in a row of its own, because that compresses best. Then the runs of characters of one combining class,
//! as (gap, length, class), and the runs of combining marks, as (gap, length), each after how many there are. What a
//! character decomposes to may decompose further. Hangul syllables are computed.

use std::sync::LazyLock;

/// Made by a test from the tables of the crate `unicode-normalization`, and compared with them.
static PACKED: &[u8] = include_bytes!("nfkc.bin");

static TABLES: LazyLock<Tables> = LazyLock::new(|| Tables::unpack(PACKED));

/// No character below it decomposes, is a mark, or composes with the character before it.
const FIRST_OF_NOTE: char = '\u{a0}';

/// Normalises: compatibility decomposition, canonical order, canonical composition. Time is linear but for the order
/// of combining marks in a row.
pub(super) fn nfkc(text: &mut dyn Iterator<Item = char>) -> Vec<char> {
    let tables = &*TABLES;
    let mut chars = Vec::with_capacity(text.size_hint().0);
    for c in text {
        tables.decompose(c, &mut chars);
    }
    for marks in chars.chunk_by_mut(|_, (class, _)| *class != 0) {
        // The first is the character that they belong to, except at the beginning of a text.
        let from = usize::from(marks.first().is_some_and(|(class, _)| *class == 0));
        if marks.len() > from + 1 {
            marks[from..].sort_by_key(|(class, _)| *class);
        }
    }
    tables.compose_all(chars)
}

/// Whether a character combines with the one before it (general category M).
pub(super) fn is_combining_mark(c: char) -> bool {
    c >= FIRST_OF_NOTE && run_of(&TABLES.marks, c).is_some()
}

/// Characters in a row, and what they have in common.
struct Run<T> {
    first: u32,
    count: u32,
    shared: T,
}

/// The tables, to be searched by halving.
struct Tables {
    /// Character, and where in `decomposed` its decomposition stands.
    decompositions: Vec<(u32, std::ops::Range<usize>)>,
    decomposed: Vec<char>,
    /// Two characters, and what they compose to.
    compositions: Vec<((char, char), char)>,
    classes: Vec<Run<u8>>,
    marks: Vec<Run<()>>,
}

impl Tables {
    fn unpack(packed: &[u8]) -> Self {
        let mut numbers = Numbers(packed.iter());
        let count = numbers.next();
        let gaps: Vec<u32> = (0..count).map(|_| numbers.next()).collect();
        let shapes: Vec<u32> = (0..count).map(|_| numbers.next()).collect();
        let firsts: Vec<u32> = (0..count).map(|_| numbers.next()).collect();

        let mut mappings: Vec<(u32, Vec<char>)> = Vec::with_capacity(gaps.len());
        let mut compositions = Vec::new();
        let (mut at, mut before) = (0, Vec::<u32>::new());
        for ((gap, shape), first) in gaps.iter().zip(shapes).zip(firsts) {
            at += gap;
            let mut mapping = Vec::with_capacity(shape as usize / 2);
            for place in 0..shape as usize / 2 {
                let difference = if place == 0 { first } else { numbers.next() };
                if before.len() == place {
                    before.push(0);
                }
                before[place] = before[place].wrapping_add((difference >> 1) ^ (difference & 1).wrapping_neg());
                mapping.extend(char::from_u32(before[place]));
            }
            if let (1, [first, second], Some(c)) = (shape & 1, &mapping[..], char::from_u32(at)) {
                compositions.push(((*first, *second), c));
            }
            mappings.push((at, mapping));
        }
        compositions.sort_unstable();

        let mut decomposed = Vec::new();
        let mut decompositions = Vec::with_capacity(mappings.len());
        for (c, mapping) in &mappings {
            let from = decomposed.len();
            expand(&mappings, mapping, &mut decomposed);
            decompositions.push((*c, from..decomposed.len()));
        }
        let classes = numbers.runs(|numbers| u8::try_from(numbers.next()).unwrap_or_default());
        let marks = numbers.runs(|_| ());
        Self { decompositions, decomposed, compositions, classes, marks }
    }

    /// Appends what a character decomposes to, each with its combining class.
    fn decompose(&self, c: char, to: &mut Vec<(u8, char)>) {
        if c < FIRST_OF_NOTE {
            to.push((0, c));
        } else if let Some(parts) = hangul::decompose(c) {
            to.extend(parts.into_iter().flatten().map(|part| (0, part)));
        } else if let Ok(at) = self.decompositions.binary_search_by_key(&u32::from(c), |(c, _)| *c) {
            let parts = &self.decomposed[self.decompositions[at].1.clone()];
            to.extend(parts.iter().map(|part| (self.class(*part), *part)));
        } else {
            to.push((self.class(c), c));
        }
    }

    fn class(&self, c: char) -> u8 {
        if c < FIRST_OF_NOTE { 0 } else { run_of(&self.classes, c).copied().unwrap_or_default() }
    }

    fn compose(&self, first: char, second: char) -> Option<char> {
        if second < FIRST_OF_NOTE {
            return None;
        }
        let known = || self.compositions.binary_search_by_key(&(first, second), |(pair, _)| *pair).ok();
        hangul::compose(first, second).or_else(|| known().map(|at| self.compositions[at].1))
    }

    fn compose_all(&self, chars: Vec<(u8, char)>) -> Vec<char> {
        let mut composed: Vec<char> = Vec::with_capacity(chars.len());
        // Where the last character of class 0 stands, and the class of the last mark that stayed behind it.
        let (mut starter, mut last) = (None, None);
        for (class, c) in chars {
            let blocked = last.is_some_and(|last| last >= class);
            if let Some(at) = starter.filter(|_| !blocked)
                && let Some(both) = self.compose(composed[at], c)
            {
                composed[at] = both;
                continue;
            }
            if class == 0 {
                (starter, last) = (Some(composed.len()), None);
            } else {
                last = Some(class);
            }
            composed.push(c);
        }
        composed
    }
}

/// Appends a mapping with all that decomposes in it decomposed.
fn expand(mappings: &[(u32, Vec<char>)], mapping: &[char], to: &mut Vec<char>) {
    for c in mapping {
        match mappings.binary_search_by_key(&u32::from(*c), |(c, _)| *c) {
            Ok(at) => expand(mappings, &mappings[at].1, to),
            Err(_) => to.push(*c),
        }
    }
}

fn run_of<T>(runs: &[Run<T>], c: char) -> Option<&T> {
    let c = u32::from(c);
    let run = runs.get(runs.partition_point(|run| run.first <= c).checked_sub(1)?)?;
    (c - run.first < run.count).then_some(&run.shared)
}

/// The numbers of `nfkc.bin`; zeros after its end.
struct Numbers<'a>(std::slice::Iter<'a, u8>);

impl Numbers<'_> {
    fn next(&mut self) -> u32 {
        let (mut number, mut shift) = (0, 0);
        for byte in self.0.by_ref() {
            number |= u32::from(byte & 0x7f).wrapping_shl(shift);
            shift += 7;
            if *byte < 0x80 {
                break;
            }
        }
        number
    }

    fn runs<T>(&mut self, shared: fn(&mut Self) -> T) -> Vec<Run<T>> {
        let (runs, mut end) = (self.next(), 0);
        let mut run = || {
            let (first, count) = (end + self.next(), self.next());
            end = first + count;
            Run { first, count, shared: shared(self) }
        };
        (0..runs).map(|_| run()).collect()
    }
}

/// Korean syllables, by the arithmetic of the Unicode Standard, section 3.12.
mod hangul {
    const SYLLABLES: u32 = 0xac00;
    const LEADS: u32 = 0x1100;
    const VOWELS: u32 = 0x1161;
    /// One before the first: a syllable may have no trailing consonant.
    const TRAILS: u32 = 0x11a7;
    const LEAD_COUNT: u32 = 19;
    const VOWEL_COUNT: u32 = 21;
    const TRAIL_COUNT: u32 = 28;

    /// The place of `c` among `count` characters from `first` on.
    fn place(c: char, first: u32, count: u32) -> Option<u32> {
        u32::from(c).checked_sub(first).filter(|place| *place < count)
    }

    pub(super) fn decompose(c: char) -> Option<[Option<char>; 3]> {
        let place = place(c, SYLLABLES, LEAD_COUNT * VOWEL_COUNT * TRAIL_COUNT)?;
        let trail = place % TRAIL_COUNT;
        Some([
            char::from_u32(LEADS + place / (VOWEL_COUNT * TRAIL_COUNT)),
            char::from_u32(VOWELS + place / TRAIL_COUNT % VOWEL_COUNT),
            char::from_u32(TRAILS + trail).filter(|_| trail > 0),
        ])
    }

    pub(super) fn compose(first: char, second: char) -> Option<char> {
        if let Some(lead) = place(first, LEADS, LEAD_COUNT) {
            let vowel = place(second, VOWELS, VOWEL_COUNT)?;
            return char::from_u32(SYLLABLES + (lead * VOWEL_COUNT + vowel) * TRAIL_COUNT);
        }
        let syllable = place(first, SYLLABLES, LEAD_COUNT * VOWEL_COUNT * TRAIL_COUNT)?;
        let trail = place(second, TRAILS, TRAIL_COUNT).filter(|trail| *trail > 0)?;
        char::from_u32(SYLLABLES + syllable + trail).filter(|_| syllable.is_multiple_of(TRAIL_COUNT))
    }
}

#[cfg(test)]
#[path = "nfkc_tests.rs"]
mod tests;
