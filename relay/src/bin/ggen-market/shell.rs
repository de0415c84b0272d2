//! `ggen-market completions` and `man`: what a shell and a manual know of the commands.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, Result};
use clap_complete::Shell;

use crate::output;

#[derive(clap::Args)]
pub(crate) struct Completions {
    /// Which shell.
    shell: Shell,
}

#[derive(clap::Args)]
pub(crate) struct Man {
    /// The directory to write the pages to, one for each command.
    #[arg(long, value_name = "DIR")]
    to: PathBuf,
}

pub(crate) fn completions(Completions { shell }: Completions, mut command: clap::Command) -> ExitCode {
    let name = command.get_name().to_owned();
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, name, &mut script);
    output::text(&String::from_utf8_lossy(&script));
    ExitCode::SUCCESS
}

pub(crate) fn man(Man { to }: Man, command: clap::Command) -> Result<ExitCode> {
    let cannot = || format!("cannot write to {}", to.display());
    std::fs::create_dir_all(&to).with_context(cannot)?;
    clap_mangen::generate_to(command, &to).with_context(cannot)?;
    Ok(ExitCode::SUCCESS)
}
