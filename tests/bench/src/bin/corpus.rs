//! Makes a corpus: `corpus debian FILE`.

use std::path::PathBuf;

use anyhow::{Context, Result, bail};

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    let (Some(which), Some(file)) = (arguments.next(), arguments.next()) else { bail!("usage: corpus debian FILE") };
    if which != "debian" {
        bail!("there is no corpus `{which}`; there is: debian");
    }
    let file = PathBuf::from(file);
    let packages = ggen_bench::debian()?;
    let long = packages.iter().filter(|package| !package.description.is_empty()).count();
    let (_, records) = ggen_bench::records(&packages);
    ggen_bench::write(&file, &records).with_context(|| format!("cannot write {}", file.display()))?;
    println!(
        "{} packages, {long} with a long description, {} records in {}",
        packages.len(),
        records.len(),
        file.display()
    );
    Ok(())
}
