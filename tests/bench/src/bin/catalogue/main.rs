//! What the catalogue does with all packages of Debian: `catalogue [JSON FILE]`. Prints a table; every row is a median, or what its name says.

mod answers;
mod derive;

use std::path::Path;

use anyhow::Result;
use ggen_bench::{debian, records, report};

fn main() -> Result<()> {
    let packages = debian()?;
    let (mut publishers, all) = records(&packages);
    let mut rows = Vec::new();
    println!("{} packages, {} records", packages.len(), all.len());
    println!("before: {}", report::load()?);
    let mut catalogue = derive::measure(&mut publishers, &all, &mut rows)?;
    answers::measure(&mut catalogue, &mut rows)?;
    println!("after: {}", report::load()?);
    report::publish(&rows, std::env::args().nth(1).as_deref().map(Path::new))
}
