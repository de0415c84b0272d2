//! The npm package and the page.

use anyhow::Result;

use crate::cargo::{program, run};
use crate::stamp::{Freshness, Inputs};
use crate::{paths, say, tools};

/// Builds the npm package and the page into `www/dist`; the client's wasm module must be there.
pub(crate) fn build() -> Result<()> {
    tools::npm_packages()?;
    let mut inputs = Inputs::of("npm run build");
    for input in ["package.json", "package-lock.json", "client-wasm/js", "www"] {
        inputs.add(&paths::at(input))?;
    }
    let made = || {
        say::line("building the page");
        run(&mut program("npm", ["run", "build", "--silent"]), "the page does not build; the message above says why")
    };
    match inputs.fresh("page") {
        Freshness::Fresh if paths::page().join("index.html").exists() => Ok(()),
        Freshness::Fresh => made(),
        Freshness::Stale(ticket) => {
            made()?;
            ticket.redeem()
        }
    }
}
