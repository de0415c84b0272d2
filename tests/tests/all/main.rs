//! Every test that crosses crates, in one program: thirty of them, each with all of libp2p in it, took longer to link than to run.

#![allow(clippy::unwrap_used, reason = "tests")]

mod commands;
mod compare;
mod confirm;
mod conformance;
mod content;
mod converge;
mod crash;
mod drills;
mod exclusions;
mod garbage;
mod gateway;
mod gossip;
mod hostile;
mod http;
mod install;
mod keys;
mod kills;
mod market;
mod offline;
mod publish_all;
mod publish_kill;
mod readme;
mod refusals;
mod reputation;
mod rolling;
mod rotations;
mod scenarios;
mod serve;
mod statuses;
mod sync;
mod theft;
mod theft_install;
mod typed;
mod upgrade;

/// A file that no line above names would be compiled by nobody.
#[test]
fn every_file_here_is_one_of_the_modules() {
    let named = include_str!("main.rs").lines().filter_map(|line| line.strip_prefix("mod ")?.strip_suffix(';'));
    let directory = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/all");
    let files = directory.read_dir().unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut files: Vec<_> = files.filter_map(|name| name.strip_suffix(".rs").map(str::to_owned)).collect();
    files.retain(|name| name != "main");
    files.sort();
    assert_eq!(named.collect::<Vec<_>>(), files);
}
