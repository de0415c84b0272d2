//! The content identifiers that another implementation computed.

use ggen_shared::content;
use ggen_shared::limits::{CHUNK_BYTES, MAX_LINKS};
use serde::Deserialize;

use crate::{Checked, parse, same};

/// What another implementation has computed of texts that it was told how to fill.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Computed<T> {
    #[serde(rename = "computed_by")]
    _by: String,
    #[serde(rename = "fill")]
    _fill: String,
    #[serde(alias = "contents", alias = "sealed")]
    pub(crate) vectors: Vec<T>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Content {
    fill: String,
    size: usize,
    chunk_bytes: usize,
    max_links: usize,
    cid: String,
    blocks: usize,
}

pub(crate) fn check(json: &str) -> Checked {
    let contents = parse::<Computed<Content>>("content.json", json)?.vectors;
    // Other shapes than the protocol's are a matter of ggen-shared's own tests.
    let ours = contents.iter().filter(|it| it.chunk_bytes == CHUNK_BYTES && it.max_links == MAX_LINKS);
    ours.map(check_content).sum()
}

fn check_content(content: &Content) -> Checked {
    let vector = format!("content {} {}", content.fill, content.size);
    let dag = content::build(&fill(&content.fill, content.size).ok_or_else(|| format!("{vector}: unknown fill"))?);
    same(&vector, "the root", dag.root.to_string(), content.cid.clone())?;
    same(&vector, "the number of blocks", dag.blocks.len(), content.blocks)?;
    let whole = content::walk(dag.content(), |cid| {
        dag.blocks.iter().find(|block| block.cid == *cid).map(|block| block.data.clone())
    });
    match whole {
        Ok(content::Walk::Complete { blocks }) => {
            same(&vector, "the number of blocks read", blocks.len(), content.blocks)?
        }
        other => return Err(format!("{vector}: read back, it is {other:?}")),
    }
    Ok(1)
}

pub(crate) fn fill(fill: &str, size: usize) -> Option<Vec<u8>> {
    match fill {
        "zero" => Some(vec![0; size]),
        "lcg" => {
            let mut state = 1u32;
            let step = || {
                state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
                (state >> 24) as u8
            };
            Some(std::iter::repeat_with(step).take(size).collect())
        }
        _ => None,
    }
}
