use proptest::prelude::*;

use super::*;

fn link(content: &[u8]) -> Link {
    Link { cid: ContentId::of_raw(content), content_bytes: 5, total_bytes: 300 }
}

/// The parts of a sound node of one link, to be put together wrongly.
fn link_bytes() -> Vec<u8> {
    let mut bytes = Vec::new();
    put_bytes(&mut bytes, LINK_HASH, &link(b"a").cid.cid().to_bytes());
    put_bytes(&mut bytes, LINK_NAME, &[]);
    bytes.extend([LINK_TSIZE, 0xac, 0x02]);
    bytes
}

const DATA: [u8; 6] = [FILE_TYPE, 2, FILE_SIZE, 5, BLOCK_SIZE, 5];

fn assembled(link: &[u8], data: &[u8]) -> Vec<u8> {
    let mut node = Vec::new();
    put_bytes(&mut node, NODE_LINK, link);
    put_bytes(&mut node, NODE_DATA, data);
    node
}

fn replaced(bytes: &[u8], at: usize, with: &[u8]) -> Vec<u8> {
    [&bytes[..at], with, &bytes[at + 1..]].concat()
}

#[test]
fn reads_what_it_writes() {
    let links = vec![link(b"a"), Link { content_bytes: 0, total_bytes: u64::MAX, ..link(b"b") }];
    assert_eq!(decode(&encode(&links)), Ok(links));
    assert_eq!(assembled(&link_bytes(), &DATA), encode(&[link(b"a")]));
}

#[test]
fn refuses_data_before_links() {
    let mut node = Vec::new();
    put_bytes(&mut node, NODE_DATA, &DATA);
    put_bytes(&mut node, NODE_LINK, &link_bytes());
    assert_eq!(decode(&node), Err("bytes after the data"));
}

#[test]
fn refuses_a_node_that_is_cut_off_or_goes_on() {
    let node = encode(&[link(b"a"), link(b"b")]);
    for length in 0..node.len() {
        assert!(decode(&node[..length]).is_err(), "{length}");
    }
    assert!(decode(&[&node[..], &[0]].concat()).is_err());
    assert!(decode(&[&node[..], &node[..]].concat()).is_err());
}

#[test]
fn refuses_unknown_fields() {
    let link = link_bytes();
    assert!(decode(&assembled(&[&link[..], &[0x20, 1]].concat(), &DATA)).is_err());
    // A UnixFS mode and a fan-out, which other tools may write, make another node of the same file.
    assert!(decode(&assembled(&link, &[&DATA[..], &[0x38, 0x24]].concat())).is_err());
    assert!(decode(&assembled(&link, &[&DATA[..4], &[0x28, 1], &DATA[4..]].concat())).is_err());
    assert!(decode(&[&[0x1a, 0], &assembled(&link, &DATA)[..]].concat()).is_err());
}

#[test]
fn refuses_inner_nodes_with_data_of_their_own() {
    let data = [&DATA[..2], &[0x12, 1, 7], &DATA[2..]].concat();
    assert_eq!(decode(&assembled(&link_bytes(), &data)), Err("no file size, or data in an inner node"));
}

#[test]
fn refuses_other_kinds_than_files() {
    for kind in [0, 1, 3, 4, 5] {
        assert_eq!(decode(&assembled(&link_bytes(), &replaced(&DATA, 1, &[kind]))), Err("not a UnixFS file"));
    }
}

#[test]
fn refuses_sizes_that_do_not_add_up() {
    assert!(decode(&assembled(&link_bytes(), &replaced(&DATA, 3, &[6]))).is_err());
    assert_eq!(decode(&assembled(&link_bytes(), &DATA[..4])), Err("fewer sizes than links"));
    let more = [&DATA[..], &[BLOCK_SIZE, 0]].concat();
    assert_eq!(decode(&assembled(&link_bytes(), &more)), Err("more sizes than links, or unknown fields"));
    let huge = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    let data = [&[FILE_TYPE, 2, FILE_SIZE], &huge[..], &[BLOCK_SIZE], &huge[..], &[BLOCK_SIZE], &huge[..]].concat();
    let mut node = Vec::new();
    put_bytes(&mut node, NODE_LINK, &link_bytes());
    node.extend(assembled(&link_bytes(), &data));
    assert_eq!(decode(&node), Err("the sizes of the links overflow"));
}

#[test]
fn refuses_numbers_not_in_their_shortest_form_or_too_long() {
    let long = replaced(&DATA, 3, &[0x85, 0]);
    assert_eq!(decode(&assembled(&link_bytes(), &long)), Err("a number is not in its shortest form"));
    let eleven = replaced(&DATA, 3, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]);
    assert_eq!(decode(&assembled(&link_bytes(), &eleven)), Err("a number has more than 64 bits"));
    let overflow = replaced(&DATA, 3, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]);
    assert_eq!(decode(&assembled(&link_bytes(), &overflow)), Err("a number has more than 64 bits"));
    assert_eq!(decode(&assembled(&link_bytes(), &[FILE_TYPE, 0x80])), Err("a number is cut off"));
}

#[test]
fn refuses_lengths_beyond_the_end() {
    let huge = [NODE_LINK, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1];
    assert_eq!(decode(&huge), Err("a length beyond the end"));
    assert!(decode(&[NODE_DATA, 7, FILE_TYPE, 2]).is_err());
}

#[test]
fn refuses_links_without_hash_name_field_or_total_size_and_links_with_a_name() {
    let cid = link(b"a").cid.cid().to_bytes();
    let made = |hash: &[u8], name: Option<&[u8]>, total: &[u8]| {
        let mut link = Vec::new();
        put_bytes(&mut link, LINK_HASH, hash);
        if let Some(name) = name {
            put_bytes(&mut link, LINK_NAME, name);
        }
        link.extend_from_slice(total);
        decode(&assembled(&link, &DATA))
    };
    let total = [LINK_TSIZE, 1];
    assert!(made(&cid, Some(b""), &total).is_ok());
    assert!(made(&cid, None, &total).is_err());
    assert_eq!(made(&cid, Some(b"x"), &total), Err("a link of a file has a name"));
    assert_eq!(made(&cid, Some(b""), b""), Err("a link has no total size"));
    assert!(made(b"", Some(b""), &total).is_err());
    assert!(made(&[&cid[..], &[0]].concat(), Some(b""), &total).is_err());
    assert!(decode(&assembled(&link_bytes()[38..], &DATA)).is_err());
}

#[test]
fn refuses_cids_of_other_versions_codecs_and_hashes() {
    let cid = link(b"a").cid.cid().to_bytes();
    assert_eq!(cid[..4], [1, 0x55, 0x12, 32]);
    let with = |cid: &[u8]| {
        let mut link = Vec::new();
        put_bytes(&mut link, LINK_HASH, cid);
        put_bytes(&mut link, LINK_NAME, b"");
        link.extend([LINK_TSIZE, 1]);
        decode(&assembled(&link, &DATA))
    };
    assert!(with(&cid).is_ok());
    assert!(with(&replaced(&cid, 1, &[0x70])).is_ok());
    assert!(with(&cid[2..]).is_err(), "version 0");
    assert!(with(&replaced(&cid, 1, &[0x71])).is_err(), "dag-cbor");
    assert!(with(&replaced(&cid, 2, &[0x1e])).is_err(), "BLAKE3");
    assert!(with(&replaced(&cid[..35], 3, &[31])).is_err(), "a truncated hash");
}

proptest! {
    #[test]
    fn arbitrary_bytes_neither_panic_nor_read_as_anything_but_their_own_encoding(bytes: Vec<u8>) {
        if let Ok(links) = decode(&bytes) {
            prop_assert_eq!(encode(&links), bytes);
        }
    }

    #[test]
    fn a_changed_byte_never_reads_as_the_same_node(at in 0usize..114, flip in 1u8..) {
        let links = [link(b"a"), link(b"b")];
        let mut node = encode(&links);
        let at = at % node.len();
        node[at] ^= flip;
        if let Ok(read) = decode(&node) {
            prop_assert!(read != links);
            prop_assert_eq!(encode(&read), node);
        }
    }
}
