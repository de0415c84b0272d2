//! `ggen-market search`, `info` and `versions`.

use std::process::ExitCode;

use anyhow::Result;
use ggen_net::light::LightPeer;
use ggen_net::{Comparison, ConfirmError, Excluded, P2PRegistry};
use ggen_relay::market::peer::Tokio;
use ggen_relay::market::status::split_version;
use ggen_relay::{causes, json};
use ggen_shared::id::{FullName, Network};
use ggen_shared::record::{Dependency, State, Version};
use ggen_shared::registry::{
    GetError, PackageView, Registry, ReleaseView, SearchOptions, SearchResults, Source, VersionView,
};
use serde_json::{Value, json};
use time::OffsetDateTime;

use crate::relays::Relays;

// No doc comment, as for [`Relays`].
#[derive(clap::Args)]
pub(crate) struct Ask {
    #[command(flatten)]
    relays: Relays,
    /// The network to look in.
    #[arg(long, default_value = "ggen")]
    network: String,
    /// Write JSON.
    #[arg(long)]
    json: bool,
}

#[derive(clap::Args)]
pub(crate) struct Search {
    /// What to look for; the last word may be the beginning of one. Nothing lists the newest.
    words: Vec<String>,
    /// How many to show.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=50))]
    limit: u16,
    #[command(flatten)]
    ask: Ask,
}

#[derive(clap::Args)]
pub(crate) struct Info {
    /// The package, as handle~fingerprint/name, or with @VERSION behind it.
    #[arg(value_name = "PACKAGE[@VERSION]", value_parser = named)]
    package: (FullName, Option<Version>),
    #[command(flatten)]
    ask: Ask,
}

#[derive(clap::Args)]
pub(crate) struct Versions {
    /// The package, as handle~fingerprint/name.
    package: FullName,
    #[command(flatten)]
    ask: Ask,
}

impl Ask {
    /// Whether programs read it.
    pub(crate) const fn is_json(&self) -> bool {
        self.json
    }

    pub(crate) fn network(&self) -> Result<Network> {
        Ok(Network::named(self.network.clone())?)
    }

    /// A light peer that knows the relays, whether they can be reached or not.
    pub(crate) async fn peer(self) -> Result<LightPeer<Tokio>> {
        let network = self.network()?;
        Ok(self.relays.try_to_connect(network).await?.0)
    }

    pub(crate) async fn registry(self) -> Result<P2PRegistry<Tokio>> {
        Ok(P2PRegistry::new(self.relays.connect(Network::named(self.network)?).await?))
    }
}

/// Exit code 0: something is found; 1: nothing is; 2: nobody could be asked.
pub(crate) async fn search(Search { words, limit, ask }: Search) -> Result<ExitCode> {
    let is_json = ask.json;
    let registry = ask.registry().await?;
    let (text, options) = (words.join(" "), SearchOptions { limit, ..SearchOptions::default() });
    let mut results = registry.search(&text, options.clone()).await?;
    let comparison = registry.compare(&text, &options, &results).await;
    // What no checkpoint has yet comes on top of what was asked for.
    let mut shown = 0;
    results.hits.retain(|hit| {
        shown += u16::from(hit.is_ok());
        hit.is_err() || shown <= limit
    });
    let found: Vec<&ReleaseView> = results.hits.iter().flatten().collect();
    let others: Vec<&ReleaseView> = comparison.differ.iter().flat_map(|difference| &difference.more).collect();
    if is_json {
        println!("{:#}", search_json(&text, &results, &comparison));
    } else {
        print_table(found.iter().chain(&others).map(|view| row(view)));
        for refused in results.hits.iter().filter_map(|hit| hit.as_ref().err()) {
            eprintln!("refused: {}, from relay {}", refused.refused.error, refused.source.0);
        }
        for it in excluded(&comparison) {
            let reason = if it.reason.is_empty() { "no reason is given" } else { &it.reason };
            let (name, version) = (json::full_name(&it.release), &it.release.release.version);
            eprintln!("left out by the operator of relay {}: {name} {version} ({reason})", it.source.0);
        }
        eprintln!("{}. {}", count(found.len(), &results), standing(&comparison));
        if let [suggestion, ..] = &results.suggestions[..] {
            eprintln!("Did you mean `{suggestion}`? That is the relay's guess.");
        }
    }
    Ok(if found.is_empty() && others.is_empty() { ExitCode::from(1) } else { ExitCode::SUCCESS })
}

/// Exit code 0: it is there; 1: it is not, or not to be had; 2: nobody could be asked.
pub(crate) async fn info(Info { package: (name, version), ask }: Info) -> Result<ExitCode> {
    let is_json = ask.json;
    let registry = ask.registry().await?;
    Ok(match get(&registry, &name, version.as_ref()).await? {
        Ok(got) => {
            if is_json {
                println!("{:#}", info_json(&got))
            } else {
                print_info(&got)
            }
            ExitCode::SUCCESS
        }
        Err(code) => code,
    })
}

/// As [`info`].
pub(crate) async fn versions(Versions { package, ask }: Versions) -> Result<ExitCode> {
    let is_json = ask.json;
    let view = match get(&ask.registry().await?, &package, None).await? {
        Ok(Got { view, .. }) => view,
        Err(code) => return Ok(code),
    };
    if is_json {
        println!("{:#}", json::versions(&view));
    } else {
        let row =
            |it: &VersionView| [it.version.to_string(), it.state.as_str().into(), date(it.created), it.id.to_string()];
        print_table(view.versions.list.iter().map(row));
    }
    Ok(ExitCode::SUCCESS)
}

/// A package as all relays that were asked know it together.
pub(crate) struct Got {
    pub(crate) view: PackageView,
    /// The relays in whose checkpoints just this release stands.
    pub(crate) committed_by: Vec<String>,
    /// The relays that said what they know of the package.
    pub(crate) asked: Vec<String>,
}

impl Got {
    /// How far it is more than one relay's word.
    pub(crate) fn confirmation(&self) -> String {
        let (by, asked) = (self.committed_by.len(), self.asked.len());
        let word = if asked < 2 { ", one relay's word" } else { "" };
        format!("{by} of {asked} relay{}{word}", if asked == 1 { "" } else { "s" })
    }
}

/// A package, or the exit code when it is not to be had, which was said then. What relays say of themselves is an error.
pub(crate) async fn get(
    registry: &P2PRegistry<Tokio>,
    name: &FullName,
    version: Option<&Version>,
) -> Result<Result<Got, ExitCode>> {
    let confirmed = registry.confirm(name, version).await;
    let found = confirmed.and_then(|confirmed| Ok((confirmed.view(version)?, confirmed)));
    match found {
        Ok((view, confirmed)) => {
            for refused in &view.versions.refused {
                eprintln!("refused: {}, from relay {}", refused.refused.error, refused.source.0);
            }
            for (relay, error) in confirmed.silent() {
                eprintln!("warning: relay {} does not say: {}", relay.0, causes::of(error));
            }
            let ids = |relays: &mut dyn Iterator<Item = &Source>| relays.map(|relay| relay.0.clone()).collect();
            let committed_by = ids(&mut confirmed.committed_by(&view.release.release));
            Ok(Ok(Got { committed_by, asked: ids(&mut confirmed.asked()), view }))
        }
        Err(ConfirmError::Get(GetError::Peer(error))) => Err(error.into()),
        Err(error) => {
            eprintln!("error: {}", causes::of(&error));
            Ok(Err(ExitCode::from(1)))
        }
    }
}

pub(crate) fn named(text: &str) -> Result<(FullName, Option<Version>), String> {
    let (name, version) = split_version(text)?;
    let name = name.parse().map_err(|error: ggen_shared::id::ParseError| error.to_string())?;
    Ok((name, version))
}

/// What a list has of a release.
fn row(view: &ReleaseView) -> [String; 3] {
    let description = view.release.title.as_deref().unwrap_or(&view.release.description);
    let description = description.lines().next().unwrap_or_default();
    let description = said(view).map_or_else(|| description.into(), |said| format!("[{said}] {description}"));
    [json::full_name(view), view.release.version.to_string(), description]
}

/// What the publisher says of the version; None where it is as it was released.
fn said(view: &ReleaseView) -> Option<String> {
    let state = view.state.filter(|state| *state != State::Active)?.as_str();
    let reason = view.status.as_ref().map(|status| &status.reason[..]).filter(|reason| !reason.is_empty());
    Some(reason.map_or_else(|| state.into(), |reason| format!("{state}: {reason}")))
}

/// Prints columns, each but the last as wide as its widest cell.
pub(crate) fn print_table<const COLUMNS: usize>(rows: impl Iterator<Item = [String; COLUMNS]>) {
    let rows: Vec<_> = rows.collect();
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: [usize; COLUMNS] = std::array::from_fn(width);
    for row in &rows {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:<width$}"));
        println!("{}", cells.collect::<Vec<_>>().join("  ").trim_end());
    }
}

fn count(shown: usize, results: &SearchResults) -> String {
    let at_least = if results.total_is_exact { "" } else { "at least " };
    match (shown, results.total) {
        (0, 0) => "Nothing is found".into(),
        (shown, total) => format!("{shown} of {at_least}{total} packages"),
    }
}

/// What is known of the answer, in words: never more than what was compared.
fn standing(comparison: &Comparison) -> String {
    if comparison.is_complete() {
        return match comparison.agree.len() {
            1 => "Complete: another relay agrees".into(),
            agree => format!("Complete: {agree} other relays agree"),
        };
    }
    let disputes = comparison.differ.iter().filter(|difference| !difference.is_explained());
    let relays: Vec<_> = disputes.map(|difference| &difference.source.0[..]).collect();
    if !relays.is_empty() {
        return format!("Disputed: what other relays have besides is listed too ({})", relays.join(", "));
    }
    "One relay's word: name others with --relay to compare it".into()
}

/// What operators exclude, each once.
fn excluded(comparison: &Comparison) -> Vec<&Excluded> {
    let mut all: Vec<&Excluded> = Vec::new();
    for one in comparison.differ.iter().flat_map(|difference| &difference.excluded) {
        if !all.contains(&one) {
            all.push(one);
        }
    }
    all
}

fn search_json(text: &str, results: &SearchResults, comparison: &Comparison) -> Value {
    let refused = results.hits.iter().filter_map(|hit| hit.as_ref().err());
    let difference = |it: &ggen_net::Difference| {
        json!({
            "relay": it.source.0,
            "more": it.more.iter().map(json::release).collect::<Vec<_>>(),
            "lacks": it.lacks.iter().map(ToString::to_string).collect::<Vec<_>>(),
            "explained": it.is_explained(),
            "excluded": it.excluded.iter().map(|it| json!({
                "relay": it.source.0,
                "release": json::release(&it.release),
                "reason": it.reason,
            })).collect::<Vec<_>>(),
            "faults": it.faults.iter().map(|fault| json!({
                "relay": fault.source.0,
                "code": fault.evidence.misdeed().code(),
            })).collect::<Vec<_>>(),
        })
    };
    let mut shown = json::search(text, results);
    shown["refused"] = refused
        .map(|it| {
            json!({
                "relay": it.source.0,
                "code": it.refused.error.code(),
                "reason": it.refused.error.to_string(),
            })
        })
        .collect();
    shown["complete"] = comparison.is_complete().into();
    shown["agree"] = comparison.agree.iter().map(|source| &source.0[..]).collect();
    shown["differ"] = comparison.differ.iter().map(difference).collect();
    shown["silent"] = comparison
        .silent
        .iter()
        .map(|(source, error)| {
            json!({
                "relay": source.0,
                "reason": error.to_string(),
            })
        })
        .collect();
    shown
}

pub(crate) fn info_json(got: &Got) -> Value {
    let Got { view, committed_by, asked } = got;
    let mut shown = json::package(view);
    shown["confirmed_by"] = json!(committed_by);
    shown["asked"] = json!(asked);
    shown
}

fn print_info(got: &Got) {
    let view = &got.view;
    let ReleaseView { release, status, in_checkpoint, .. } = &view.release;
    println!("{} {}", json::full_name(&view.release), release.version);
    if let Some(title) = &release.title {
        println!("{title}");
    }
    if !release.description.is_empty() {
        println!("{}", release.description);
    }
    println!();
    if let Some(said) = said(&view.release) {
        print_field("state", Some(said));
        let instead = status.as_ref().and_then(|status| status.instead.as_ref());
        print_field("use instead", instead.map(|it| format!("{} of publisher {}", it.name, it.publisher)));
    }
    print_field("license", release.license.clone());
    print_field("authors", list(&release.authors));
    print_field("categories", list(&release.categories));
    print_field("tags", list(&release.tags));
    print_field("homepage", release.homepage.clone());
    print_field("repository", release.repository.clone());
    print_field("docs", release.documentation.clone());
    print_field("needs", list(&release.dependencies.iter().map(dependency).collect::<Vec<_>>()));
    print_field("created", Some(date(release.created)));
    print_field("size", Some(format!("{} bytes", release.artifact.size)));
    print_field("content", Some(release.artifact.cid.to_string()));
    print_field("record", Some(release.id().to_string()));
    print_field("publisher", Some(release.publisher.to_string()));
    let others = view.versions.list.iter().filter(|it| it.version != release.version).map(|it| it.version.to_string());
    print_field("other versions", list(&others.collect::<Vec<_>>()));
    print_field("confirmed by", Some(got.confirmation()));
    if !in_checkpoint {
        println!("It came just now: no checkpoint has it yet.");
    }
}

fn print_field(name: &str, value: Option<String>) {
    if let Some(value) = value {
        println!("{name:<14}  {value}");
    }
}

fn list(items: &[String]) -> Option<String> {
    (!items.is_empty()).then(|| items.join(", "))
}

fn dependency(it: &Dependency) -> String {
    let optional = if it.optional { " (optional)" } else { "" };
    format!("{} {}{optional}", it.name, it.requirement)
}

/// The day, as the publisher says it: seconds since 1970.
fn date(seconds: u64) -> String {
    let time = i64::try_from(seconds).ok().and_then(|seconds| OffsetDateTime::from_unix_timestamp(seconds).ok());
    time.map_or_else(|| "a day beyond all calendars".into(), |time| time.date().to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_package_is_named_with_a_version_or_without() {
        let (name, version) = named("alice~aaaaaaaaaaaaaaaa/my-package@1.2.3").unwrap();
        assert_eq!((name.name.as_str(), version.unwrap().to_string()), ("my-package", "1.2.3".into()));
        assert_eq!(named("alice~aaaaaaaaaaaaaaaa/my-package").unwrap().1, None);
        assert!(named("my-package").unwrap_err().contains("handle~fingerprint/name"));
        assert!(named("alice~aaaaaaaaaaaaaaaa/my-package@one").unwrap_err().contains("`one` is no version"));
    }

    #[test]
    fn a_date_is_a_day_whatever_a_publisher_says() {
        assert_eq!(date(0), "1970-01-01");
        assert_eq!(date(1_790_000_000), "2026-09-21");
        assert_eq!(date(u64::MAX), "a day beyond all calendars");
    }

    #[test]
    fn a_standing_says_no_more_than_was_compared() {
        assert!(standing(&Comparison::default()).starts_with("One relay's word"));
    }
}
