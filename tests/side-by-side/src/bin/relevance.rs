//! Whether people find what they look for: `relevance QUERIES DIRECTORY TANTIVY MINISEARCH [JSON FILE] [--half tune]`.
//!
//! Every query is answered by our catalogue as a client sees it, by MiniSearch (a script for Node) and by tantivy (a program), from the same
//! documents. Prints what was missed in the half that may be looked at, and the scores of both.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result, bail};
use ggen_bench::report::{Row, publish};
use ggen_bench::{committed, debian, network, records};
use ggen_shared::catalogue::Catalogue;
use ggen_shared::catalogue::answer;
use ggen_shared::catalogue::build::Builder;
use ggen_shared::protocol::query::Search;
use ggen_shared::record::Record;
use ggen_shared::rules::Rules;
use ggen_shared::search::verified::{Asked, verify_search};
use ggen_side_by_side::relevance::{Half, Query, Score, read};
use ggen_side_by_side::{crates, documents};

/// The goal for the half that was held out.
const GOAL: f64 = 0.9;
/// Results of an answer.
const RESULTS: u16 = 20;

struct Arguments {
    queries: PathBuf,
    directory: PathBuf,
    tantivy: PathBuf,
    minisearch: PathBuf,
    json: Option<PathBuf>,
    only: Option<Half>,
}

fn main() -> Result<()> {
    let arguments = arguments()?;
    fs::create_dir_all(&arguments.directory)?;
    let queries = read(&arguments.queries)?;
    let wanted = |query: &&Query| arguments.only.is_none_or(|half| query.half == half);
    let (mut rows, mut held) = (Vec::new(), [Score::default(); 3]);
    for (corpus, records) in [("crates", crates::records()?), ("debian", records(&debian()?).1)] {
        let queries: Vec<_> = queries.iter().filter(|query| query.corpus == corpus).filter(wanted).cloned().collect();
        measure(corpus, records, &queries, &arguments, &mut rows, &mut held)?;
    }
    let [ours, minisearch, tantivy] = held;
    if ours.queries() > 0 {
        let row = |goal| Row::new("both, held: success@5", "share", ours.success(), goal, ours.queries());
        rows.push(row(Some(GOAL)));
        rows.extend(
            [("MiniSearch", minisearch), ("tantivy", tantivy)]
                .map(|(peer, score)| row(None).beside(peer, score.success())),
        );
    }
    publish(&rows, arguments.json.as_deref())
}

fn arguments() -> Result<Arguments> {
    let mut all: Vec<String> = std::env::args().skip(1).collect();
    let only = all.iter().position(|argument| argument == "--half").map(|at| {
        let half = all.drain(at..).nth(1);
        match half.as_deref() {
            Some("tune") => Ok(Half::Tune),
            Some("held") => Ok(Half::Held),
            _ => bail!("--half tune or --half held"),
        }
    });
    let [queries, directory, tantivy, minisearch, json @ ..] = &all[..] else {
        bail!("usage: relevance QUERIES DIRECTORY TANTIVY MINISEARCH [JSON FILE] [--half tune|held]");
    };
    Ok(Arguments {
        queries: queries.into(),
        directory: directory.into(),
        tantivy: tantivy.into(),
        minisearch: minisearch.into(),
        json: json.first().map(PathBuf::from),
        only: only.transpose()?,
    })
}

fn measure(
    corpus: &str,
    records: Vec<Record>,
    all: &[Query],
    arguments: &Arguments,
    rows: &mut Vec<Row>,
    held: &mut [Score; 3],
) -> Result<()> {
    let mut builder = Builder::new();
    for record in records {
        builder.insert(record)?;
    }
    let mut catalogue = builder.finish();
    let documents = documents(&catalogue);
    let names: BTreeSet<_> = documents.iter().map(|document| document.name.clone()).collect();
    let (queries, left_out): (Vec<_>, Vec<_>) = all.iter().cloned().partition(|query| query.can_be_met(&names));
    println!("{corpus}: {} packages, {} queries", names.len(), queries.len());
    for query in left_out.iter().filter(|query| query.half == Half::Tune) {
        println!("  left out, none of the packages is there: {} ({})", query.text, query.expected.join(", "));
    }

    let at = |name: &str| arguments.directory.join(format!("{corpus}.{name}.json"));
    serde_json::to_writer(File::create(at("documents"))?, &documents)?;
    let texts: Vec<&str> = queries.iter().map(|query| &*query.text).collect();
    serde_json::to_writer(File::create(at("queries"))?, &texts)?;
    let asked = |mut program: Command, name: &str| -> Result<Vec<Vec<String>>> {
        program.args([at("documents"), at("queries"), at(name)]);
        anyhow::ensure!(program.status().with_context(|| format!("cannot start {program:?}"))?.success(), "{name}");
        Ok(serde_json::from_reader(File::open(at(name))?)?)
    };
    let mut node = Command::new("node");
    node.arg(&arguments.minisearch);
    let answers = [
        ("ours", ours(&mut catalogue, &texts)?),
        ("MiniSearch", asked(node, "minisearch")?),
        ("tantivy", asked(Command::new(&arguments.tantivy), "tantivy")?),
    ];

    for half in [Half::Tune, Half::Held] {
        let scores = answers.each_ref().map(|(_, answers)| score(&queries, answers, half));
        if half == Half::Held {
            held.iter_mut().zip(scores).for_each(|(sum, score)| sum.add(score));
        }
        let [ours, peers @ ..] = scores;
        if ours.queries() == 0 {
            continue;
        }
        let (name, goal) = match half {
            Half::Tune => ("tune", None),
            Half::Held => ("held", Some(GOAL)),
        };
        rows.push(Row::new(format!("{corpus}, {name}: success@5"), "share", ours.success(), goal, ours.queries()));
        let reciprocal = ours.mean_reciprocal_rank();
        rows.push(Row::new(format!("{corpus}, {name}: MRR"), "share", reciprocal, None, ours.queries()));
        for ((peer, _), score) in answers[1..].iter().zip(peers) {
            for (measure, ours, theirs) in
                [("success@5", ours.success(), score.success()), ("MRR", reciprocal, score.mean_reciprocal_rank())]
            {
                let row = Row::new(format!("{corpus}, {name}: {measure}"), "share", ours, None, score.queries());
                rows.push(row.beside(peer, theirs));
            }
        }
    }
    show_missed(&queries, &answers);
    Ok(())
}

/// What a client shows for each query: the verified answer of a relay.
fn ours(catalogue: &mut Catalogue, texts: &[&str]) -> Result<Vec<Vec<String>>> {
    let (snapshots, relay) = committed(catalogue);
    let network = network();
    let asked = Asked { network: &network, relay: &relay, epoch: 1, rules: Rules::FIRST };
    let answer = |text: &&str| {
        let question = Search { text: (*text).into(), limit: RESULTS, ..Search::default() };
        let answer =
            answer::search(catalogue, &snapshots, &question).map_err(|refusal| anyhow::anyhow!("{refusal}"))?;
        let hits = verify_search(&question, answer.try_into()?, &asked)?.hits;
        let names = hits.into_iter().map(|hit| anyhow::Ok(hit?.release.name.as_str().to_owned()));
        names.collect::<Result<Vec<_>>>()
    };
    texts.iter().map(answer).collect()
}

fn score(queries: &[Query], answers: &[Vec<String>], half: Half) -> Score {
    let mut score = Score::default();
    for (query, answer) in queries.iter().zip(answers).filter(|(query, _)| query.half == half) {
        score.count(query.place(answer));
    }
    score
}

/// Only of the half that may be looked at.
fn show_missed(queries: &[Query], answers: &[(&str, Vec<Vec<String>>); 3]) {
    for (at, query) in queries.iter().enumerate().filter(|(_, query)| query.half == Half::Tune) {
        let places = answers.each_ref().map(|(_, answers)| query.place(&answers[at]));
        if places[0].is_none_or(|place| place > 3) {
            let first: Vec<_> = answers[0].1[at].iter().take(6).map(String::as_str).collect();
            println!(
                "  {:<24} places {places:?} first {}; expected {}",
                query.text,
                first.join(" "),
                query.expected.join(" ")
            );
        }
    }
}
