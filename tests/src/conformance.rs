//! What every implementation of the registry does: `tests/conformance.json` says it, and this runs it against one of them.

use std::collections::BTreeMap;
use std::time::Duration;

use ggen_relay::Local;
use ggen_shared::content;
use ggen_shared::id::{FullName, Network};
use ggen_shared::limits::MAX_RECORDS_PER_OFFER;
use ggen_shared::record::{Record, State, Version};
use ggen_shared::registry::{
    DeleteError, GetError, PackageView, Publication, PublishError, Registry, SearchError, SearchOptions, SearchResults,
    Versions,
};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::{Publisher, until};

/// How long an epoch is of relays that hold the world.
pub const EPOCH: Duration = Duration::from_secs(3);

/// When a release of the world was made, if nothing else is said.
const CREATED: u64 = 1_750_000_000;

/// The file.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Conformance {
    #[serde(rename = "about")]
    _about: String,
    world: Vec<Event>,
    prepared: BTreeMap<String, Event>,
    /// What is claimed, and the steps that show it.
    pub claims: BTreeMap<String, Vec<Step>>,
}

/// What a publisher does.
#[derive(Debug, Clone, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Event {
    /// Releases a version. Each content is another artifact.
    Release {
        release: String,
        version: String,
        #[serde(default)]
        content: String,
        created: Option<u64>,
    },
    /// Releases so many versions.
    Releases { release: String, versions: u64 },
    /// Says what a version is good for.
    Say { say: State, of: String, version: String },
    /// The very release that is in the world.
    Again { again: String, version: String },
}

/// One call, and what is expected of it: what is not mentioned may be anything.
#[derive(Debug, Clone, Deserialize)]
#[expect(missing_docs, reason = "the fields are the arguments of what each is")]
#[serde(tag = "call", rename_all = "snake_case", deny_unknown_fields)]
pub enum Step {
    /// Nobody can be asked from here on.
    CutOff,
    /// `Registry::search`.
    Search { text: String, expect: Map<String, Value> },
    /// `Registry::get_package`.
    GetPackage { package: String, expect: Map<String, Value> },
    /// `Registry::get_package_version`.
    GetPackageVersion { package: String, version: Version, expect: Map<String, Value> },
    /// `Registry::list_versions`.
    ListVersions { package: String, expect: Map<String, Value> },
    /// `Registry::exists`.
    Exists { package: String, expect: Map<String, Value> },
    /// `Registry::metadata`.
    Metadata { package: String, expect: Map<String, Value> },
    /// `Registry::publish`.
    Publish { publication: String, expect: Map<String, Value> },
    /// `Registry::delete`.
    Delete { publication: String, expect: Map<String, Value> },
}

/// The publications that the claims are about, signed.
pub struct World {
    publisher: Publisher,
    /// In the order in which they are published.
    pub published: Vec<Publication>,
    /// Those that claims publish, by name.
    pub prepared: BTreeMap<String, Publication>,
}

impl Conformance {
    /// The claims as they are written.
    ///
    /// # Panics
    /// When the file is not as [`Self`] says.
    pub fn read() -> Self {
        serde_json::from_str(include_str!("../conformance.json")).expect("the file of claims")
    }

    /// Signs what the claims are about.
    ///
    /// # Panics
    /// When an event is none.
    pub fn world(&self, network: Network) -> World {
        let publisher = Publisher::of_network(21, network);
        let mut world = World { publisher, published: Vec::new(), prepared: BTreeMap::new() };
        for event in &self.world {
            let published = world.sign(event);
            world.published.extend(published);
        }
        for (name, event) in &self.prepared {
            let [publication] = <[Publication; 1]>::try_from(world.sign(event)).expect("one publication for a name");
            world.prepared.insert(name.clone(), publication);
        }
        world
    }
}

impl World {
    fn sign(&mut self, event: &Event) -> Vec<Publication> {
        match event {
            Event::Release { release, version, content, created } => {
                vec![self.release(release, version, content, created.unwrap_or(CREATED))]
            }
            Event::Releases { release, versions } => {
                let all: Vec<Publication> =
                    (0..*versions).map(|number| self.release(release, &format!("0.0.{number}"), "", CREATED)).collect();
                // Some at a time, as many as an offer takes: they share their content.
                all.chunks(MAX_RECORDS_PER_OFFER - 1).map(|some| self.together(some)).collect()
            }
            Event::Say { say, of, version } => {
                let status = self.publisher.signed_status(of, version, 1, *say);
                vec![Publication::of(
                    self.publisher.key_log.clone(),
                    [Record::Status(Box::new(status))],
                    BTreeMap::new(),
                )]
            }
            Event::Again { again, version } => {
                let is_it = |publication: &&Publication| {
                    publication.releases().any(|it| it.name.as_str() == again && it.version.to_string() == *version)
                };
                vec![self.published.iter().find(is_it).expect("a release of the world").clone()]
            }
        }
    }

    fn together(&self, publications: &[Publication]) -> Publication {
        let releases = publications.iter().flat_map(Publication::releases).cloned();
        let blocks = publications.first().map(|first| first.blocks().clone()).unwrap_or_default();
        let releases = releases.map(|release| Record::Release(Box::new(release)));
        Publication::of(self.publisher.key_log.clone(), releases, blocks)
    }

    fn release(&mut self, name: &str, version: &str, content: &str, created: u64) -> Publication {
        let content = format!("{name} {content}");
        let package = self.publisher.release_with(name, version, content.as_bytes(), |it| it.created = created);
        let blocks =
            content::build(content.as_bytes()).blocks.into_iter().map(|block| (block.cid, block.data)).collect();
        Publication::of(self.publisher.key_log.clone(), [Record::Release(Box::new(package.release))], blocks)
    }

    /// Puts it into a relay, and waits until that has committed to all of it.
    ///
    /// # Panics
    /// When the relay does not take it.
    pub async fn publish_at(&self, relay: &Local) {
        for publication in &self.published {
            // Not `publish`, which would refuse what contests something.
            relay.hand_over(publication).await.expect("the relay takes it");
        }
        until("a checkpoint with all of it", || async {
            let last = relay.get_package(&self.name("tea")).await.ok()?;
            last.release.in_checkpoint.then_some(())
        })
        .await;
    }

    /// The full name of a package in it.
    ///
    /// # Panics
    /// When it is no name.
    pub fn name(&self, package: &str) -> FullName {
        FullName {
            handle: Some(self.publisher.key_log.handle().clone()),
            fingerprint: self.publisher.key_log.publisher().fingerprint(),
            name: package.parse().expect("a package name"),
        }
    }

    /// Takes a step, and demands what is expected. [`Step::CutOff`] is the caller's.
    ///
    /// # Panics
    /// When it is not so.
    pub async fn take<R: Registry>(&self, registry: &R, step: &Step) {
        let (outcome, expect) = match step {
            Step::CutOff => return,
            Step::Search { text, expect } => {
                (shown(registry.search(text, SearchOptions::default()).await, search, SearchError::code), expect)
            }
            Step::GetPackage { package, expect } => {
                (shown(registry.get_package(&self.name(package)).await, view, GetError::code), expect)
            }
            Step::GetPackageVersion { package, version, expect } => {
                (shown(registry.get_package_version(&self.name(package), version).await, view, GetError::code), expect)
            }
            Step::ListVersions { package, expect } => {
                (shown(registry.list_versions(&self.name(package)).await, versions, GetError::code), expect)
            }
            Step::Exists { package, expect } => {
                let exists = |exists| json!({ "exists": exists });
                (shown(registry.exists(&self.name(package)).await, exists, GetError::code), expect)
            }
            Step::Metadata { package, expect } => {
                let metadata = registry.metadata(&self.name(package)).await;
                (shown(metadata, |release| json!({ "version": release.version.to_string() }), GetError::code), expect)
            }
            Step::Publish { publication, expect } => {
                let published = registry.publish(&self.prepared[publication]).await;
                (shown(published, |it| json!({ "taken": !it.durable_at.is_empty() }), PublishError::code), expect)
            }
            Step::Delete { publication, expect } => {
                let deleted = registry.delete(&self.prepared[publication]).await;
                (shown(deleted, |it| json!({ "taken": !it.durable_at.is_empty() }), DeleteError::code), expect)
            }
        };
        for (key, expected) in expect {
            assert_eq!(outcome.get(key), Some(expected), "`{key}` of {outcome} after {step:?}");
        }
    }
}

fn shown<T, E>(outcome: Result<T, E>, show: impl FnOnce(T) -> Value, code: impl FnOnce(&E) -> &'static str) -> Value {
    outcome.map_or_else(|error| json!({ "error": code(&error) }), show)
}

fn view(view: PackageView) -> Value {
    let state = view.release.state.unwrap_or_default().as_str();
    json!({ "version": view.release.release.version.to_string(), "state": state, "offline": view.versions.offline })
}

fn versions(versions: Versions) -> Value {
    let list = versions.list.iter().map(|it| format!("{} {}", it.version, it.state.as_str()));
    let list: Vec<String> = list.collect();
    json!({ "length": list.len(), "list": list, "missing": versions.missing, "offline": versions.offline })
}

fn search(results: SearchResults) -> Value {
    let hits = results.hits.iter().flatten().map(|hit| format!("{} {}", hit.release.name, hit.release.version));
    let hits: Vec<String> = hits.collect();
    json!({ "total": results.total, "exact": results.total_is_exact, "hits": hits, "offline": results.offline })
}
