//! The terminal session that README.md shows, run as it stands there against real relays.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Duration;

use ggen_shared::id::Network;
use ggen_tests::{TestRelay, program, until, within};
use tokio::process::Command;

/// Not the minute of real relays, which nobody wants to wait for, and long enough that both commit to what was published in time.
const EPOCH: Duration = Duration::from_secs(4);

/// Where README.md's reader lives.
const HOME: &str = "/home/alice";

/// A command of the session, and what it says.
struct Step {
    command: String,
    output: Vec<String>,
}

/// The text of each fenced block of a language.
fn blocks<'a>(readme: &'a str, language: &str) -> Vec<&'a str> {
    let fence = format!("```{language}\n");
    readme.split(&fence).skip(1).map(|rest| rest.split("```").next().unwrap()).collect()
}

fn steps(block: &str) -> Vec<Step> {
    let mut steps: Vec<Step> = Vec::new();
    for line in block.lines() {
        match (line.strip_prefix("$ "), steps.last_mut()) {
            (Some(command), _) => steps.push(Step { command: command.into(), output: Vec::new() }),
            (None, Some(step)) => step.output.push(line.into()),
            (None, None) => panic!("output before a command: {line}"),
        }
    }
    steps
}

/// The words of a line, with what stands between them.
fn words(line: &str) -> Vec<&str> {
    line.split_inclusive(|c: char| !c.is_ascii_alphanumeric() && c != '-')
        .flat_map(|part| {
            part.split_at_checked(part.trim_end_matches(|c: char| !c.is_ascii_alphanumeric() && c != '-').len())
        })
        .flat_map(|(word, rest)| [word, rest])
        .filter(|part| !part.is_empty())
        .collect()
}

/// What another run has otherwise: fingerprints, ids of publishers and records, and days.
fn is_variable(word: &str) -> bool {
    let is_base32 = word.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'2'..=b'7'));
    let is_day = word.len() == 10
        && word.bytes().enumerate().all(
            |(at, byte)| {
                if matches!(at, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() }
            },
        );
    is_base32 && matches!(word.len(), 16 | 52) || is_day
}

/// Who runs the session: a home, what was exported so far, and what this run has for what README.md shows.
struct Reader {
    home: tempfile::TempDir,
    exports: Vec<String>,
    /// By what README.md shows.
    seen: BTreeMap<String, String>,
}

impl Reader {
    /// Runs a line of a shell at a terminal of its own: what stands there then, without what was wiped.
    async fn run(&self, line: &str, relays: &[TestRelay]) -> Vec<String> {
        let addresses: Vec<_> = relays.iter().map(|relay| relay.address("/tcp/", false).to_string()).collect();
        let mut command = Command::new("script");
        let path = format!("{}:{}", program("ggen-market").parent().unwrap().display(), std::env::var("PATH").unwrap());
        let script = self.exports.iter().map(String::as_str).chain([line]).collect::<Vec<_>>().join("\n");
        command.args(["--quiet", "--command", &script, "/dev/null"]).current_dir(self.home.path()).env_clear();
        command.env("HOME", self.home.path()).env("PATH", path).env("SHELL", "/bin/sh").env("TERM", "dumb");
        command.env("GGEN_RELAY", addresses.join(",")).env("GGEN_EPOCH_SECONDS", EPOCH.as_secs().to_string());
        let output = within(line, command.stdin(std::process::Stdio::null()).kill_on_drop(true).output()).await;
        let output = String::from_utf8(output.expect("`script` of util-linux gives a terminal").stdout).unwrap();
        output.lines().map(shown).filter(|line| !line.is_empty() || !output.contains('\x1b')).collect()
    }

    /// README.md's line with what this run has in it.
    fn own(&self, line: &str) -> String {
        let home = self.home.path().display().to_string();
        let line = line.replace(HOME, &home);
        self.seen.iter().fold(line, |line, (theirs, ours)| line.replace(theirs, ours))
    }

    /// Demands that a line is what README.md has in this place.
    fn compare(&mut self, theirs: &str, ours: &str) {
        let home = self.home.path().display().to_string();
        let ours = ours.replace(&home, HOME);
        let (their_words, our_words) = (words(theirs), words(&ours));
        assert_eq!(their_words.len(), our_words.len(), "README.md has: {theirs}\nthis run says: {ours}");
        for (their, our) in their_words.into_iter().zip(our_words) {
            let expected = if is_variable(their) && is_variable(our) && their.len() == our.len() {
                self.seen.entry(their.into()).or_insert_with(|| our.into())
            } else {
                their
            };
            assert_eq!(expected, our, "README.md has: {theirs}\nthis run says: {ours}");
        }
    }

    /// The name of the package in README.md, as this run's publisher has it.
    fn full_name(&self, package: &str) -> Option<String> {
        let fingerprint = self.seen.values().find(|it| it.len() == 16)?;
        Some(format!("alice~{fingerprint}/{package}"))
    }
}

/// A line as it stands at a terminal: what came after the last return of the carriage, without what moves the cursor and wipes.
fn shown(line: &str) -> String {
    let line = line.trim_end_matches('\r').rsplit('\r').next().unwrap();
    let mut parts = line.split("\x1b[");
    let mut shown = parts.next().unwrap().to_owned();
    parts.for_each(|part| shown.extend(part.chars().skip_while(|c| !c.is_ascii_alphabetic()).skip(1)));
    shown
}

#[tokio::test]
async fn the_session_that_the_readme_shows_says_what_it_shows() {
    let readme = fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../README.md")).unwrap();
    let configure = |config: &mut ggen_relay::Config| {
        config.epoch = EPOCH;
        config.network = Network::named("ggen").unwrap();
    };
    let first = TestRelay::configured(configure).await;
    let bootstrap = first.address("/tcp/", false);
    let second = TestRelay::configured(|config| {
        configure(config);
        config.bootstrap = vec![bootstrap];
    });
    let relays = [first, second.await];

    let mut reader = Reader { home: tempfile::tempdir().unwrap(), exports: Vec::new(), seen: BTreeMap::new() };
    let manifest = blocks(&readme, "toml").into_iter().find(|block| block.starts_with("[package]")).unwrap();
    fs::create_dir(reader.home.path().join("my-package")).unwrap();
    fs::write(reader.home.path().join("my-package/package.toml"), manifest).unwrap();

    let sessions = blocks(&readme, "console");
    assert!(!sessions.is_empty());
    let mut all_said = String::new();
    let mut faults = Vec::new();
    for session in sessions {
        // What README.md says between them: checkpoints of both relays have it.
        if let Some(name) = reader.full_name("my-package") {
            until("checkpoints that have it", async || {
                let info = reader.run(&format!("ggen-market info {name} --json"), &relays).await.join("\n");
                let info: serde_json::Value = serde_json::from_str(&info).ok()?;
                (info["confirmed_by"].as_array()?.len() == relays.len()).then_some(())
            })
            .await;
        }
        for Step { command, output } in steps(session) {
            if command.starts_with("export ") {
                // Where this run's relays are is not where README.md's are.
                reader.exports.extend((!command.starts_with("export GGEN_RELAY=")).then_some(command));
                continue;
            }
            let said = reader.run(&reader.own(&command), &relays).await;
            all_said += &format!("$ {command}\n{}\n", said.join("\n"));
            if said.len() == output.len() {
                output.iter().zip(&said).for_each(|(theirs, ours)| reader.compare(theirs, ours));
            } else {
                faults.push(command);
            }
        }
    }
    assert!(faults.is_empty(), "{faults:?} say other than README.md has:\n{all_said}");
}
