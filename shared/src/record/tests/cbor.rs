//! Enough of CBOR to write the same value otherwise than dag-cbor allows.

/// The first byte and the length of an item, in the shortest form.
pub(super) fn head(major: u8, number: u64) -> Vec<u8> {
    let bytes = number.to_be_bytes();
    let first = |low: u8| major << 5 | low;
    match number {
        0..24 => vec![first(bytes[7])],
        24..0x100 => vec![first(24), bytes[7]],
        0x100..0x1_0000 => [&[first(25)], &bytes[6..]].concat(),
        0x1_0000..0x1_0000_0000 => [&[first(26)], &bytes[4..]].concat(),
        _ => [&[first(27)], &bytes[..]].concat(),
    }
}

pub(super) fn text(text: &str) -> Vec<u8> {
    [head(3, text.len() as u64), text.as_bytes().to_vec()].concat()
}

/// A text item of bytes that may be none.
pub(super) fn text_of(bytes: &[u8]) -> Vec<u8> {
    [&head(3, bytes.len() as u64)[..], bytes].concat()
}

pub(super) fn list(items: &[Vec<u8>]) -> Vec<u8> {
    [head(4, items.len() as u64), items.concat()].concat()
}

/// A key and its value, both encoded.
pub(super) type Entry = (Vec<u8>, Vec<u8>);

/// The entries of an encoded map.
pub(super) fn entries(map: &[u8]) -> Vec<Entry> {
    let (major, count, mut at) = read_head(map);
    assert_eq!(major, 5);
    let mut item = || {
        let length = item_length(&map[at..]);
        at += length;
        map[at - length..at].to_vec()
    };
    (0..count).map(|_| (item(), item())).collect()
}

pub(super) fn map(entries: &[Entry]) -> Vec<u8> {
    [head(5, entries.len() as u64), body(entries)].concat()
}

pub(super) fn body(entries: &[Entry]) -> Vec<u8> {
    entries.iter().flat_map(|(key, value)| [&key[..], value].concat()).collect()
}

/// The map with another value under a key, or with the key where dag-cbor puts it.
pub(super) fn with(encoded: &[u8], key: &str, value: Vec<u8>) -> Vec<u8> {
    let mut all = entries(encoded);
    all.retain(|(known, _)| *known != text(key));
    all.push((text(key), value));
    // Shorter keys first, then by bytes: the encoded length does both.
    all.sort();
    map(&all)
}

pub(super) fn read_head(item: &[u8]) -> (u8, u64, usize) {
    let (major, low) = (item[0] >> 5, item[0] & 31);
    let number = |length: usize| item[1..=length].iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    match low {
        0..24 => (major, u64::from(low), 1),
        24..28 => (major, number(1 << (low - 24)), 1 + (1 << (low - 24))),
        _ => panic!("no length: {low}"),
    }
}

fn item_length(item: &[u8]) -> usize {
    let (major, number, head) = read_head(item);
    let items = |count: u64| (0..count).fold(head, |at, _| at + item_length(&item[at..]));
    match major {
        2 | 3 => head + usize::try_from(number).unwrap(),
        4 => items(number),
        5 => items(2 * number),
        6 => items(1),
        _ => head,
    }
}
