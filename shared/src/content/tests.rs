use std::collections::BTreeMap;

use proptest::prelude::*;

use super::assemble::{Assembler, Repeat};
use super::dag::{Dag, build, build_as};
use super::shape::Shape;
use super::unixfs::{self, Link};
use super::walk::{Walk, walk, walk_with};
use super::{Error, block_count};
use crate::limits;
use crate::record::{Content, ContentId};

const CHUNK: usize = limits::CHUNK_BYTES;
/// Small enough that a few hundred bytes reach several levels.
const TINY: Shape = Shape { chunk_bytes: 16, max_links: 3, max_depth: 6 };

#[derive(serde::Deserialize)]
struct Vectors {
    contents: Vec<Vector>,
}

#[derive(serde::Deserialize)]
struct Vector {
    fill: String,
    size: usize,
    chunk_bytes: u64,
    max_links: u64,
    cid: String,
    blocks: usize,
}

/// As tests/vectors/content.json describes its fills.
fn filled(fill: &str, size: usize) -> Vec<u8> {
    let mut state = 1u32;
    let step = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    if fill == "zero" { vec![0; size] } else { (0..size).map(step).collect() }
}

fn tiny(size: usize) -> (Dag, Vec<u8>) {
    let bytes = filled("lcg", size);
    (build_as(TINY, &bytes), bytes)
}

fn block<'a>(dag: &'a Dag, cid: &ContentId) -> &'a [u8] {
    &dag.blocks.iter().find(|block| block.cid == *cid).unwrap().data
}

fn feed_all(assembler: &mut Assembler, dag: &Dag) -> Result<(), Error> {
    while let Some(cid) = assembler.wants().pop() {
        assembler.feed(&cid, block(dag, &cid))?;
    }
    Ok(())
}

/// A node over these links, and the store that has it and what the links lead to.
fn node(links: &[Link]) -> (ContentId, Vec<u8>) {
    let data = unixfs::encode(links);
    (ContentId::of_dag_pb(&data), data)
}

fn leaf(bytes: &[u8]) -> Link {
    Link { cid: ContentId::of_raw(bytes), content_bytes: bytes.len() as u64, total_bytes: bytes.len() as u64 }
}

#[test]
fn computes_the_cids_that_other_ipfs_tools_compute() {
    let vectors: Vectors = serde_json::from_str(include_str!("../../../tests/vectors/content.json")).unwrap();
    assert!(vectors.contents.len() > 20);
    for vector in vectors.contents {
        let bytes = filled(&vector.fill, vector.size);
        let shape = Shape { chunk_bytes: vector.chunk_bytes, max_links: vector.max_links, max_depth: 6 };
        let dag = build_as(shape, &bytes);
        assert_eq!(dag.root.to_string(), vector.cid, "{} {}", vector.fill, vector.size);
        assert_eq!(dag.blocks.len(), vector.blocks, "{} {}", vector.fill, vector.size);
        // One more leaf than a node has links: of the large ones, it has every level.
        let is_deepest = vector.size == CHUNK * limits::MAX_LINKS + 1;
        if shape.chunk_bytes == Shape::PROTOCOL.chunk_bytes && (vector.size <= 4 * CHUNK || is_deepest) {
            assert_eq!(build(&bytes), dag);
            let mut assembler = Assembler::new(dag.content()).unwrap();
            feed_all(&mut assembler, &dag).unwrap();
            assert!(assembler.into_bytes().unwrap() == bytes, "{} {}", vector.fill, vector.size);
        }
    }
}

#[test]
fn the_size_alone_says_how_many_blocks_there_are() {
    for (size, blocks) in [(0, 1), (1, 1), (CHUNK, 1), (CHUNK + 1, 3), (174 * CHUNK, 175), (174 * CHUNK + 1, 178)] {
        assert_eq!(block_count(size as u64), blocks);
    }
    let largest = block_count(limits::MAX_ARTIFACT_BYTES) + block_count(limits::MAX_README_BYTES);
    assert!(largest <= limits::MAX_BLOCKS_PER_RELEASE as u64);
    assert!(Shape::PROTOCOL.depth(limits::MAX_ARTIFACT_BYTES) <= limits::MAX_DAG_DEPTH);
}

#[test]
fn every_block_fits_the_bound_of_a_block() {
    let links = vec![Link { total_bytes: u64::MAX >> 12, ..leaf(&[]) }; limits::MAX_LINKS];
    assert!(unixfs::encode(&links).len() <= limits::MAX_BLOCK_BYTES);
}

#[test]
fn refuses_a_block_with_another_hash_and_takes_the_right_one_afterwards() {
    let (dag, bytes) = tiny(100);
    let mut assembler = Assembler::as_shape(TINY, dag.content(), true).unwrap();
    assert_eq!(assembler.content(), dag.content());
    assert!(assembler.is_wanted(&dag.root) && !assembler.is_wanted(&dag.blocks[0].cid));
    let mut wrong = block(&dag, &dag.root).to_vec();
    wrong[10] ^= 1;
    assert_eq!(assembler.feed(&dag.root, &wrong), Err(Error::WrongHash(dag.root)));
    feed_all(&mut assembler, &dag).unwrap();
    assert_eq!(assembler.into_bytes().unwrap(), bytes);
}

#[test]
fn refuses_surplus_and_repeated_blocks() {
    let (dag, _) = tiny(100);
    let mut assembler = Assembler::as_shape(TINY, dag.content(), true).unwrap();
    let other = ContentId::of_raw(b"other");
    assert_eq!(assembler.feed(&other, b"other"), Err(Error::Surplus(other)));
    // A block below is no answer before the node above it came.
    let below = dag.blocks[0].cid;
    assert_eq!(assembler.feed(&below, &dag.blocks[0].data), Err(Error::Surplus(below)));
    assembler.feed(&dag.root, block(&dag, &dag.root)).unwrap();
    assert_eq!(assembler.feed(&dag.root, block(&dag, &dag.root)), Err(Error::Surplus(dag.root)));
}

#[test]
fn does_not_hash_a_block_over_the_bound() {
    let large = vec![0; limits::MAX_BLOCK_BYTES + 1];
    let cid = ContentId::of_raw(&large);
    let mut assembler = Assembler::new(Content { cid, size: 10 }).unwrap();
    assert_eq!(assembler.feed(&cid, &large), Err(Error::BlockTooLarge { cid, size: large.len() }));
}

#[test]
fn refuses_a_promise_over_the_bound_before_any_block() {
    let (cid, _) = node(&[leaf(b"a")]);
    for size in [limits::MAX_ARTIFACT_BYTES + 1, u64::MAX] {
        let error = Assembler::new(Content { cid, size }).unwrap_err();
        assert_eq!(error, Error::TooLarge { size, limit: limits::MAX_ARTIFACT_BYTES });
    }
    assert!(Assembler::new(Content { cid, size: limits::MAX_ARTIFACT_BYTES }).is_ok());
    let shallow = Shape { max_depth: 1, ..TINY };
    assert!(Assembler::as_shape(shallow, Content { cid, size: 48 }, true).is_ok());
    let error = Assembler::as_shape(shallow, Content { cid, size: 49 }, true).unwrap_err();
    assert_eq!(error.code(), "content/too-large");
}

#[test]
fn refuses_content_of_another_size_than_promised() {
    let (dag, _) = tiny(100);
    for size in [99, 101] {
        let mut assembler = Assembler::as_shape(TINY, Content { cid: dag.root, size }, true).unwrap();
        let error = assembler.feed(&dag.root, block(&dag, &dag.root)).unwrap_err();
        assert_eq!(error, Error::WrongSize { cid: dag.root, expected: size, actual: 100 });
    }
    let short = ContentId::of_raw(b"four");
    let mut assembler = Assembler::new(Content { cid: short, size: 5 }).unwrap();
    assert_eq!(assembler.feed(&short, b"four"), Err(Error::WrongSize { cid: short, expected: 5, actual: 4 }));
}

#[test]
fn refuses_a_root_of_the_wrong_kind_for_its_size() {
    let raw = ContentId::of_raw(b"");
    let error = Assembler::new(Content { cid: raw, size: CHUNK as u64 + 1 }).unwrap_err();
    assert_eq!(error.code(), "content/wrong-shape");
    let error = Assembler::new(Content { cid: ContentId::of_dag_pb(b""), size: CHUNK as u64 }).unwrap_err();
    assert_eq!(error.code(), "content/wrong-shape");
}

#[test]
fn refuses_a_leaf_shorter_than_its_link_says_and_stays_refused() {
    // The links promise 16 and 4 bytes; the first leaf has three.
    let first = Link { content_bytes: 16, total_bytes: 16, ..leaf(b"abc") };
    let (root, data) = node(&[first, leaf(b"1234")]);
    let mut assembler = Assembler::as_shape(TINY, Content { cid: root, size: 20 }, true).unwrap();
    assembler.feed(&root, &data).unwrap();
    let refused = Error::WrongSize { cid: first.cid, expected: 16, actual: 3 };
    assert_eq!(assembler.feed(&first.cid, b"abc"), Err(refused.clone()));
    // Bad content is not mended by what else comes.
    assert_eq!(assembler.feed(&ContentId::of_raw(b"1234"), b"1234"), Err(refused.clone()));
    assert!(!assembler.is_complete());
    assert_eq!(assembler.into_bytes(), Err(refused));
}

#[test]
fn refuses_one_leaf_in_places_of_different_size() {
    // 17 bytes: a full chunk and one byte, both linked to the one-byte leaf.
    let first = Link { content_bytes: 16, total_bytes: 16, ..leaf(b"a") };
    let (root, data) = node(&[first, leaf(b"a")]);
    let mut assembler = Assembler::as_shape(TINY, Content { cid: root, size: 17 }, true).unwrap();
    assembler.feed(&root, &data).unwrap();
    assert_eq!(assembler.feed(&first.cid, b"a").unwrap_err().code(), "content/wrong-size");
    assert!(!assembler.is_complete());
}

#[test]
fn refuses_a_known_leaf_in_a_later_place_of_another_size() {
    // 52 bytes: an inner node of 48 and one of 4. The second claims that a leaf of 16, known by then, has 4.
    let chunk = [7; 16];
    let (left, left_data) = node(&[leaf(&chunk); 3]);
    let (right, right_data) = node(&[Link { content_bytes: 4, total_bytes: 4, ..leaf(&chunk) }]);
    let total = |data: &[u8], below: u64| data.len() as u64 + below;
    let (root, data) = node(&[
        Link { cid: left, content_bytes: 48, total_bytes: total(&left_data, 48) },
        Link { cid: right, content_bytes: 4, total_bytes: total(&right_data, 4) },
    ]);
    let mut assembler = Assembler::as_shape(TINY, Content { cid: root, size: 52 }, true).unwrap();
    assembler.feed(&root, &data).unwrap();
    assembler.feed(&left, &left_data).unwrap();
    assembler.feed(&ContentId::of_raw(&chunk), &chunk).unwrap();
    assert_eq!(assembler.feed(&right, &right_data).unwrap_err().code(), "content/wrong-size");
    assert!(!assembler.is_complete());
    assert_eq!(assembler.leaves().unwrap_err().code(), "content/wrong-size");
}

#[test]
fn refuses_content_that_is_cut_elsewhere() {
    let (root, data) = node(&[leaf(&[1; 10]), leaf(&[2; 10])]);
    let mut assembler = Assembler::as_shape(TINY, Content { cid: root, size: 20 }, true).unwrap();
    assert_eq!(assembler.feed(&root, &data).unwrap_err().code(), "content/wrong-shape");
}

#[test]
fn refuses_more_levels_than_the_size_needs() {
    // A chain of single links: by hash it can't be a cycle, by size it can't be deep.
    let (inner, data) = node(&[leaf(&[1; 16]), leaf(&[2; 4])]);
    let below = Link { cid: inner, content_bytes: 20, total_bytes: data.len() as u64 + 20 };
    let (root, chain) = node(&[below]);
    let mut assembler = Assembler::as_shape(TINY, Content { cid: root, size: 20 }, true).unwrap();
    assert_eq!(assembler.feed(&root, &chain).unwrap_err().code(), "content/wrong-shape");
    // Inner node where the size puts a leaf.
    let (root, data) = node(&[Link { content_bytes: 16, ..below }, leaf(b"four")]);
    let mut assembler = Assembler::as_shape(TINY, Content { cid: root, size: 20 }, true).unwrap();
    assert_eq!(assembler.feed(&root, &data).unwrap_err().code(), "content/wrong-shape");
}

#[test]
fn a_dag_that_says_to_be_a_cycle_ends_at_the_first_block_that_closes_it() {
    // Nobody can name a node in itself. Who says that this one is the one above it is found out by the hash.
    let name = |of: &[u8]| ContentId::of_dag_pb(of);
    let itself = name(b"a name that is made up");
    let (_, data) = node(&[Link { cid: itself, content_bytes: 20, total_bytes: 20 }]);
    let mut assembler = Assembler::as_shape(TINY, Content { cid: itself, size: 20 }, true).unwrap();
    assert_eq!(assembler.feed(&itself, &data), Err(Error::WrongHash(itself)));
    assert_eq!(assembler.wants(), [itself], "nothing of it is kept");
    // Nor are two of a ring what they are called, and so it is walked no further than the first.
    let mut asked = 0;
    let walked = walk_with(Assembler::as_shape(TINY, Content { cid: itself, size: 20 }, false).unwrap(), |_| {
        asked += 1;
        Some(data.clone())
    });
    assert_eq!((walked, asked), (Err(Error::WrongHash(itself)), 1));
}

#[test]
fn refuses_a_link_that_miscounts_the_bytes_below_it() {
    let first = leaf(&[1; 16]);
    let (root, data) = node(&[Link { total_bytes: 17, ..first }, leaf(b"1234")]);
    let mut assembler = Assembler::as_shape(TINY, Content { cid: root, size: 20 }, true).unwrap();
    assembler.feed(&root, &data).unwrap();
    assert_eq!(assembler.feed(&first.cid, &[1; 16]).unwrap_err().code(), "content/wrong-shape");

    // And one to an inner node, off by a byte either way; the right count is taken.
    let (left, left_data) = node(&[leaf(&[1; 16]); 3]);
    let (right, right_data) = node(&[leaf(b"1234")]);
    let counted = left_data.len() as u64 + 48;
    for (claimed, taken) in [(counted, true), (counted + 1, false), (counted - 1, false)] {
        let (root, data) = node(&[
            Link { cid: left, content_bytes: 48, total_bytes: claimed },
            Link { cid: right, content_bytes: 4, total_bytes: right_data.len() as u64 + 4 },
        ]);
        let mut assembler = Assembler::as_shape(TINY, Content { cid: root, size: 52 }, true).unwrap();
        assembler.feed(&root, &data).unwrap();
        assert_eq!(assembler.feed(&left, &left_data).is_ok(), taken);
    }
}

#[test]
fn refuses_links_whose_counts_overflow() {
    let huge = Link { total_bytes: u64::MAX, ..leaf(&[1; 16]) };
    let (left, left_data) = node(&[huge, huge, leaf(&[1; 16])]);
    let (root, data) = node(&[
        Link { cid: left, content_bytes: 48, total_bytes: 7 },
        Link { cid: left, content_bytes: 4, total_bytes: 7 },
    ]);
    let mut assembler = Assembler::as_shape(TINY, Content { cid: root, size: 52 }, true).unwrap();
    assembler.feed(&root, &data).unwrap();
    assert!(assembler.feed(&left, &left_data).is_err());
    assert!(!assembler.is_complete());
}

#[test]
fn asks_for_blocks_in_the_order_of_the_content_and_counts_what_arrived() {
    let (dag, bytes) = tiny(100);
    let mut assembler = Assembler::as_shape(TINY, dag.content(), false).unwrap();
    let mut seen = Vec::new();
    while let Some(cid) = assembler.wants().first().copied() {
        assembler.feed(&cid, block(&dag, &cid)).unwrap();
        if cid.is_raw() {
            seen.extend_from_slice(block(&dag, &cid));
            assert_eq!(assembler.arrived_bytes(), seen.len() as u64);
        }
    }
    assert_eq!(seen, bytes);
    let leaves = assembler.leaves().unwrap();
    assert_eq!(leaves.iter().flat_map(|leaf| block(&dag, leaf).to_vec()).collect::<Vec<_>>(), bytes);
    assert_eq!(assembler.into_bytes().unwrap_err().code(), "content/incomplete");
}

#[test]
fn whoever_puts_leaves_where_they_stand_and_repeats_what_stands_elsewhere_too_has_the_content() {
    // Chunks that stand once, some times below one node, and below several.
    let chunks = [0, 1, 0, 2, 2, 2, 3, 0, 4, 1, 5, 5, 0];
    let bytes: Vec<u8> = chunks.iter().flat_map(|fill| [*fill; 16]).chain([9; 5]).collect();
    let dag = build_as(TINY, &bytes);
    for from_the_end in [false, true] {
        let mut assembler = Assembler::as_shape(TINY, dag.content(), false).unwrap();
        let mut put = vec![0xff; bytes.len()];
        loop {
            let wants = assembler.wants();
            let Some(cid) = (if from_the_end { wants.last() } else { wants.first() }).copied() else { break };
            if let Some(place) = assembler.range_of(&cid) {
                put[place.start as usize..place.end as usize].copy_from_slice(block(&dag, &cid));
            }
            assembler.feed(&cid, block(&dag, &cid)).unwrap();
            for Repeat { from, to, length } in assembler.take_repeats() {
                put.copy_within(from as usize..(from + length) as usize, to as usize);
            }
        }
        assert!(assembler.is_complete());
        assert_eq!(put, bytes);
    }
}

#[test]
fn asks_for_a_repeated_block_once() {
    let dag = build(&vec![0; 200 * CHUNK]);
    let mut assembler = Assembler::checking_only(dag.content()).unwrap();
    let mut asked = 0;
    while let Some(cid) = assembler.wants().first().copied() {
        asked += 1;
        assembler.feed(&cid, block(&dag, &cid)).unwrap();
    }
    assert_eq!((asked, dag.blocks.len()), (4, 4));
    assert_eq!(assembler.arrived_bytes(), dag.size);
    assert_eq!(assembler.leaves().unwrap().len(), 200);
}

#[test]
fn incomplete_content_gives_no_bytes() {
    let (dag, _) = tiny(100);
    let mut assembler = Assembler::as_shape(TINY, dag.content(), true).unwrap();
    assembler.feed(&dag.root, block(&dag, &dag.root)).unwrap();
    assert_eq!(assembler.wants().len(), 3);
    assert_eq!(assembler.into_bytes(), Err(Error::Incomplete(3)));
}

#[test]
fn content_whose_leaves_are_all_named_and_not_all_there_is_incomplete() {
    let (dag, bytes) = tiny(40);
    let mut assembler = Assembler::as_shape(TINY, dag.content(), true).unwrap();
    assert_eq!(assembler.leaves(), Err(Error::Incomplete(1)));
    assembler.feed(&dag.root, block(&dag, &dag.root)).unwrap();
    for missing in (1..=3).rev() {
        assert_eq!(assembler.leaves(), Err(Error::Incomplete(missing)));
        let next = assembler.wants()[0];
        assembler.feed(&next, block(&dag, &next)).unwrap();
    }
    assert_eq!(assembler.leaves().map(|leaves| leaves.len()), Ok(3));
    assert_eq!(assembler.into_bytes(), Ok(bytes));
}

#[test]
fn an_assembler_that_only_checks_gives_leaves_and_no_bytes() {
    let (dag, _) = tiny(40);
    let mut assembler = Assembler::as_shape(TINY, dag.content(), false).unwrap();
    feed_all(&mut assembler, &dag).unwrap();
    assert_eq!(assembler.leaves().map(|leaves| leaves.len()), Ok(3));
    assert_eq!(assembler.into_bytes(), Err(Error::Incomplete(3)));
    let (nothing, _) = tiny(0);
    let mut assembler = Assembler::as_shape(TINY, nothing.content(), false).unwrap();
    feed_all(&mut assembler, &nothing).unwrap();
    assert_eq!(assembler.into_bytes(), Ok(vec![]));
}

#[test]
fn a_walk_finds_every_block_or_names_what_is_missing() {
    let (dag, _) = tiny(433);
    let mut store: BTreeMap<_, _> = dag.blocks.iter().map(|block| (block.cid, block.data.clone())).collect();
    let start = || Assembler::as_shape(TINY, dag.content(), false).unwrap();
    let Walk::Complete { mut blocks } = walk_with(start(), |cid| store.get(cid).cloned()).unwrap() else { panic!() };
    blocks.sort_unstable();
    assert_eq!(blocks, store.keys().copied().collect::<Vec<_>>());

    let gone = [dag.blocks[3].cid, dag.blocks[9].cid];
    for cid in gone {
        store.remove(&cid);
    }
    assert_eq!(walk_with(start(), |cid| store.get(cid).cloned()), Ok(Walk::Missing { blocks: gone.to_vec() }));
    assert_eq!(walk_with(start(), |_| None), Ok(Walk::Missing { blocks: vec![dag.root] }));

    let cid = dag.blocks[5].cid;
    store.insert(cid, b"rotten".to_vec());
    assert_eq!(walk_with(start(), |cid| store.get(cid).cloned()), Err(Error::WrongHash(cid)));
}

#[test]
fn a_walk_refuses_blocks_that_hold_more_than_was_promised() {
    let dag = build(b"some content");
    let promise = Content { size: 4, ..dag.content() };
    assert_eq!(walk(promise, |cid| Some(block(&dag, cid).to_vec())).unwrap_err().code(), "content/wrong-size");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn whatever_the_order_of_arrival_the_bytes_come_back(bytes in prop::collection::vec(0u8..3, 0..600), seed: u64) {
        let dag = build_as(TINY, &bytes);
        prop_assert!(dag.blocks.len() as u64 <= TINY.blocks(dag.size));
        let mut assembler = Assembler::as_shape(TINY, dag.content(), true).unwrap();
        let mut turn = seed as usize;
        while !assembler.is_complete() {
            let wants = assembler.wants();
            turn = turn.wrapping_mul(31).wrapping_add(7);
            let cid = wants[turn % wants.len()];
            assembler.feed(&cid, block(&dag, &cid)).unwrap();
        }
        prop_assert_eq!(assembler.arrived_bytes(), dag.size);
        prop_assert_eq!(assembler.into_bytes().unwrap(), bytes);
    }
}
