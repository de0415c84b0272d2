//! Makes the vectors of maps: shapes of every kind, and what can be shown of them.

use std::collections::BTreeMap;
use std::sync::Arc;

use ggen_shared::merkle::proof::{Piece, Prefix, Range, verify_levels, verify_run};
use ggen_shared::merkle::{Hash, MAX_KEY_BYTES, Map};
use serde_json::{Value, json};

use crate::make::{ABOUT, hex};

type Entries = BTreeMap<Vec<u8>, Vec<u8>>;

fn build(entries: &Entries) -> Map<Arc<[u8]>> {
    let mut map = Map::new();
    for (key, value) in entries {
        map.insert(key, value.as_slice().into()).unwrap();
    }
    map
}

fn of<'a>(entries: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Entries {
    entries.into_iter().map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
}

/// Keys as they are in a catalogue: a range each, with places that are spread as hashes are.
fn ranges() -> Entries {
    let place = |range: &str, number: u8| [range.as_bytes(), &[0], &spread(number)].concat();
    let range = |range: &'static str, count: u8| (0..count).map(move |number| (place(range, number), vec![number; 4]));
    range("t/serde", 40).chain(range("t/serde_json", 3)).chain(range("t/tokio", 1)).chain(range("x/s", 43)).collect()
}

/// Eight bytes that look random: a generator that any language has.
fn spread(number: u8) -> [u8; 8] {
    let state = (u64::from(number) + 1).wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    state.wrapping_mul(6_364_136_223_846_793_005).to_be_bytes()
}

fn maps() -> Vec<(&'static str, Entries)> {
    let long = [0xab; MAX_KEY_BYTES];
    let bits = (0..17).map(|bit| {
        // Each key leaves the one before it a bit later.
        let key = (0xffff_0000_u32 >> bit << 8).to_be_bytes();
        (key.to_vec(), vec![u8::try_from(bit).unwrap()])
    });
    vec![
        ("nothing", Entries::new()),
        ("the empty key", of([(&b""[..], &b""[..])])),
        ("one", of([(&b"key"[..], &b"value"[..])])),
        (
            "keys inside keys",
            of([(&b""[..], &b"0"[..]), (b"a", b"1"), (b"a\0", b"2"), (b"ab", b"3"), (b"abc", b""), (b"b", b"5")]),
        ),
        (
            "first and last bits",
            of([(&b"\0"[..], &b"0"[..]), (b"\x01", b"1"), (b"\x7f", b"2"), (b"\x80", b"3"), (b"\xff", b"4")]),
        ),
        ("every bit", bits.collect()),
        ("the longest key and a long value", of([(&long[..], &[7; 1000][..]), (&long[..191], b"shorter")])),
        ("ranges", ranges()),
    ]
}

pub(crate) fn merkle() -> Value {
    let pairs =
        |entries: &Entries| entries.iter().map(|(key, value)| json!([hex(key), hex(value)])).collect::<Vec<_>>();
    let roots = maps().into_iter().map(|(name, entries)| {
        json!({ "map": name, "entries": pairs(&entries), "root": build(&entries).root().to_string() })
    });
    json!({
        "about": ABOUT,
        "maps": roots.collect::<Vec<_>>(),
        "proofs": proofs(),
        "levels": levels(),
        "refused": refused(),
        "prefixes": prefixes(),
    })
}

fn map(name: &str) -> Map<Arc<[u8]>> {
    build(&maps().into_iter().find(|(known, _)| *known == name).unwrap().1)
}

fn proofs() -> Vec<Value> {
    let place = |number: u8| [b"t/serde\0", &spread(number)[..]].concat();
    let middle = map("ranges").iter(b"t/serde\0").nth(20).unwrap().0.to_vec();
    vec![
        proof("nothing in nothing", "nothing", b"a", None, None),
        proof("the empty key", "the empty key", b"", None, None),
        proof("nothing begins with what is no key's beginning", "one", b"kez", None, None),
        proof("one entry, and its range", "one", b"ke", None, None),
        proof("all", "keys inside keys", b"", None, None),
        proof("no entry, only the count", "keys inside keys", b"", None, Some(0)),
        proof("some", "keys inside keys", b"a", None, Some(2)),
        proof("behind a key that is there", "keys inside keys", b"a", Some(b"a"), Some(1)),
        proof("behind a key that is not there", "keys inside keys", b"", Some(b"aa"), Some(1)),
        proof("behind all", "keys inside keys", b"a", Some(b"b"), None),
        proof("along every bit", "every bit", b"\xff", None, Some(3)),
        proof("the longest key", "the longest key and a long value", &[0xab; MAX_KEY_BYTES], None, None),
        proof("the first of a range", "ranges", b"t/serde\0", None, Some(5)),
        proof("the next of a range", "ranges", b"t/serde\0", Some(&middle), Some(5)),
        proof("the last of a range", "ranges", b"t/serde\0", Some(&middle), None),
        proof("behind a place that is taken", "ranges", b"t/serde\0", Some(&place(3)), Some(1)),
        proof("a range of one", "ranges", b"t/tokio\0", None, None),
        proof("no such range", "ranges", b"t/serd\0", None, None),
        proof("the count of a range", "ranges", b"x/s\0", None, Some(0)),
    ]
}

fn range(prefix: &[u8], after: Option<&[u8]>) -> Range {
    Range { after: after.map(<[u8]>::to_vec), ..Range::of(prefix) }
}

fn proof(name: &str, of: &str, prefix: &[u8], after: Option<&[u8]>, limit: Option<usize>) -> Value {
    let (map, range) = (map(of), range(prefix, after));
    let proof = map.prove(&range, limit.unwrap_or(usize::MAX));
    let run = verify_run(&map.root(), &range, &proof).unwrap();
    json!({
        "name": name,
        "map": of,
        "prefix": hex(prefix),
        "after": after.map(hex),
        "limit": limit,
        "proof": hex(&proof),
        "entries": run.entries.iter().map(|(key, value)| json!([hex(key), hex(value)])).collect::<Vec<_>>(),
        "skipped": run.skipped,
        "rest": run.rest,
        "hash": run.hash.map(|hash| hash.to_string()),
    })
}

fn part(bits: u16, bytes: &[u8]) -> Value {
    json!({ "bits": bits, "bytes": hex(bytes), "valid": Prefix::from_parts(bits, bytes.to_vec()).is_some() })
}

fn levels() -> Vec<Value> {
    vec![
        levels_of("the topmost joins", "ranges", &Prefix::of(b""), 2),
        levels_of("below a range", "ranges", &Prefix::of(b"t/serde\0"), 3),
        levels_of(
            "below a prefix that ends within a byte",
            "ranges",
            &Prefix::from_parts(75, b"t/serde\0\x40".to_vec()).unwrap(),
            1,
        ),
        levels_of("entries that stand alone", "keys inside keys", &Prefix::of(b""), 1),
    ]
}

fn levels_of(name: &str, of: &str, prefix: &Prefix, levels: u8) -> Value {
    let map = map(of);
    let proof = map.prove_levels(prefix, levels);
    let (pieces, hash) = verify_levels(&map.root(), prefix, levels, &proof).unwrap();
    let pieces = pieces.iter().map(|piece| match piece {
        Piece::Entry { key, value } => json!({ "key": hex(key), "value": hex(value) }),
        Piece::Hidden { prefix, count, hash } => {
            json!({ "bits": prefix.parts().0, "bytes": hex(prefix.parts().1), "count": count, "hash": hash.to_string() })
        }
    });
    json!({
        "name": name,
        "map": of,
        "prefix": part(prefix.parts().0, prefix.parts().1),
        "levels": levels,
        "proof": hex(&proof),
        "pieces": pieces.collect::<Vec<_>>(),
        "hash": hash.map(|hash| hash.to_string()),
    })
}

/// Each way to lie once, with the reason that it is refused for.
fn refused() -> Vec<Value> {
    let of = "keys inside keys";
    let plain = map(of);
    let honest = |prefix: &[u8], limit| plain.prove(&Range::of(prefix), limit);
    let some = honest(b"a", 2);
    let mut value = some.clone();
    let at = value.windows(4).position(|window| window == b"\0\0\x01\x31").unwrap();
    value[at + 3] = b'9';
    let leaf = |key: &[u8], value: &[u8]| Hash::leaf(key, value).as_bytes().to_vec();
    // Of the range of all keys, whose bytes are none.
    let entry = |key: &[u8], value: &[u8]| {
        let text = |bytes: &[u8]| [&[u8::try_from(bytes.len()).unwrap()], bytes].concat();
        [vec![0], text(key), text(value)].concat()
    };
    let hidden = |count: &[u8], hash: Vec<u8>| [&[2], count, &hash].concat();
    let join = |bit: u16| [&[3], &bit.to_be_bytes()[..]].concat();
    let whole = hidden(&[6], plain.root().as_bytes().to_vec());
    let mut at_the_end = some.clone();
    at_the_end.push(0);
    let mut long_number = some.clone();
    // The count of the first subtree that is hidden, with a zero behind it that says nothing.
    let length = long_number.iter().position(|byte| *byte == 2).unwrap() + 1;
    long_number[length] |= 0x80;
    long_number.insert(length + 1, 0);

    let mut all = Vec::new();
    let mut add = |name: &str, map: &str, prefix: &[u8], after: Option<&[u8]>, proof: &[u8]| {
        let root = self::map(map).root();
        let error = verify_run(&root, &range(prefix, after), proof).expect_err(name);
        all.push(json!({
            "name": format!("refused: {name}"),
            "map": map,
            "prefix": hex(prefix),
            "after": after.map(hex),
            "levels_of": null,
            "proof": hex(proof),
            "error": format!("{error:?}"),
        }));
    };
    add("no proof", of, b"a", None, b"");
    add("an unknown operation", of, b"a", None, b"\x06");
    add("cut off", of, b"a", None, &some[..some.len() - 1]);
    add("more at the end", of, b"a", None, &at_the_end);
    add("a number in a longer form", of, b"a", None, &long_number);
    add("a join of nothing", of, b"a", None, &join(0));
    add("two subtrees left", "one", b"", None, &[entry(b"a", b""), entry(b"b", b"")].concat());
    add("another value", of, b"a", None, &value);
    add("another map", "ranges", b"a", None, &some);
    add("another range", of, b"b", None, &some);
    add("a wider range", of, b"", None, &honest(b"a", 9));
    add("a wider range by its end", of, b"", Some(b"a"), &plain.prove(&range(b"a", Some(b"a")), 9));
    add("a later beginning", of, b"", None, &plain.prove(&range(b"", Some(b"ab")), 9));
    add("the whole map hidden", of, b"a", None, &whole);
    add("the whole map hidden, of everything", of, b"", None, &whole);
    add("hidden what only keys could tell to be outside", of, b"ab", None, &honest(b"z", 0));
    add("no entries hidden", of, b"a", None, &hidden(&[0], leaf(b"a", b"")));
    add("another bit", "first and last bits", b"", None, &[entry(b"\0", b"0"), entry(b"\x01", b"1"), join(7)].concat());
    add(
        "sides changed",
        "first and last bits",
        b"",
        None,
        &[entry(b"\x01", b"1"), entry(b"\0", b"0"), join(8)].concat(),
    );
    let long_form = [&[1][..], &entry(b"key", b"value")[1..]].concat();
    add("a key of the range in the form of another", "one", b"k", None, &long_form);
    add("a key that is too long", "one", b"k", None, &[&[1, 0xc1, 1][..], &[b'a'; MAX_KEY_BYTES + 1], &[0]].concat());
    let two = [hidden(&[1], leaf(b"a", b"")), hidden(&[1], leaf(b"b", b""))].concat();
    add("no prefix where nothing is shown", of, b"c", None, &[&two[..], &join(8)].concat());
    add("a prefix with bits behind it", of, b"c", None, &[&two[..], &[4, 0, 8, b'a']].concat());
    add("counts that overflow", of, b"", None, &{
        let most = [&[0xff; 9][..], &[1]].concat();
        [hidden(&most, leaf(b"a", b"")), hidden(&[1], leaf(b"b", b"")), vec![4, 0, 8, b'`']].concat()
    });

    let descent = |name: &str, prefix: Prefix, proof: &[u8]| {
        let error = verify_levels(&plain.root(), &prefix, 0, proof).expect_err(name);
        json!({
            "name": format!("refused: {name}"),
            "map": of,
            "prefix": null,
            "after": null,
            "levels_of": part(prefix.parts().0, prefix.parts().1),
            "proof": hex(proof),
            "error": format!("{error:?}"),
        })
    };
    all.push(descent("an entry hidden that stands alone", Prefix::of(b""), &honest(b"z", 0)));
    all.push(descent("the whole map hidden in a descent", Prefix::of(b""), &whole));
    all
}

fn prefixes() -> Vec<Value> {
    let long = vec![0; MAX_KEY_BYTES + 1];
    vec![
        part(0, b""),
        part(9, b"a"),
        part(18, b"ab"),
        part(10, b"a"),
        part(10, b"a\0"),
        part(10, b"a\x80"),
        part(11, b"a\x80"),
        part(11, b"a\xc0"),
        part(17, b"a\xfe"),
        part(17, b"a\xff"),
        part(9, b"ab"),
        part(9, b""),
        part(1, b""),
        part(1, b"\0"),
        part(u16::MAX, b""),
        part(u16::try_from(MAX_KEY_BYTES * 9).unwrap(), &long[1..]),
        part(u16::try_from(long.len() * 9).unwrap(), &long),
    ]
}
