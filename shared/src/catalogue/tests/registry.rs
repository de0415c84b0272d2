//! The `Registry` trait is one that a type can implement: here, a relay with nothing in between.

use std::collections::BTreeMap;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use crate::catalogue::answer;
use crate::catalogue::testing::{Publisher, Relay, other_artifact};
use crate::id::FullName;
use crate::protocol::query::Package;
use crate::record::Version;
use crate::registry::{
    DeleteError, Found, GetError, MaybeSend, PeerError, Publication, PublishError, Published, Registry, SearchError,
    SearchOptions, SearchResults, Source,
};

struct InMemory(Relay);

fn here() -> Source {
    Source("here".into())
}

impl Registry for InMemory {
    async fn search(&self, text: &str, options: SearchOptions) -> Result<SearchResults, SearchError> {
        let question = options.question(text);
        let answer = self.0.answer(&question).map_err(PeerError::Refused)?;
        let found = self.0.verify(&question, answer).map_err(PeerError::from)?;
        Ok(SearchResults::of(found, here()))
    }

    async fn look_up(&self, name: &FullName, version: Option<&Version>) -> Result<Found, PeerError> {
        let question = Package { name: name.clone(), version: version.cloned() };
        let answer = answer::package(&self.0.catalogue, &self.0.snapshots, &question).map_err(PeerError::Refused)?;
        Ok(Found::by(self.0.verify_package(&question, answer)?, here()))
    }

    async fn hand_over(&self, _: &Publication) -> Result<Published, PublishError> {
        Err(PeerError::Unreachable.into())
    }
}

/// The answer of a future that waits for nothing.
fn now<T>(future: impl Future<Output = T> + MaybeSend) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits"),
    }
}

fn registry() -> (InMemory, Publisher) {
    let one = Publisher::new(1);
    let releases = [
        one.release(0, "a", "1.0.0", |_| {}),
        one.release(1, "a", "2.0.0", |_| {}),
        one.release(2, "a", "3.0.0", |_| {}),
        one.release(3, "a", "3.0.0", |release| release.artifact = other_artifact("another")),
        one.release(4, "torn", "1.0.0", |_| {}),
        one.release(5, "torn", "1.0.0", |release| release.artifact = other_artifact("another")),
    ];
    (InMemory(Relay::new(&[&one], releases)), one)
}

#[test]
fn a_relay_can_be_a_registry() {
    let (registry, one) = registry();
    let name = one.full_name("a");
    let found = now(registry.search("a", SearchOptions::default())).unwrap();
    assert_eq!(found.hits.len(), 1);
    let view = now(registry.get_package(&name)).unwrap();
    assert_eq!(view.release.publisher.full_name(&one.package("a")), name);
    assert_eq!(view.release.release.version.to_string(), "2.0.0");
    assert_eq!(now(registry.metadata(&name)).unwrap(), view.release.release);
    let versions = now(registry.list_versions(&name)).unwrap();
    assert_eq!(
        versions.list.iter().map(|v| v.version.to_string()).collect::<Vec<_>>(),
        ["3.0.0", "3.0.0", "2.0.0", "1.0.0"]
    );
    let first = now(registry.get_package_version(&name, &"1.0.0".parse().unwrap())).unwrap();
    assert_eq!(first.release.release.version.to_string(), "1.0.0");
    assert_eq!(now(registry.exists(&name)), Ok(true));
    assert_eq!(now(registry.exists(&one.full_name("b"))), Ok(false));
}

#[test]
fn what_is_not_there_has_a_code() {
    let (registry, one) = registry();
    let code = |error: GetError| error.code();
    let version = |text: &str| text.parse::<Version>().unwrap();
    let (a, b) = (one.full_name("a"), one.full_name("b"));
    assert_eq!(now(registry.get_package(&b)).map_err(code).unwrap_err(), "package/not-found");
    assert_eq!(
        now(registry.get_package_version(&a, &version("9.0.0"))).map_err(code).unwrap_err(),
        "version/not-found"
    );
    assert_eq!(
        now(registry.get_package_version(&b, &version("1.0.0"))).map_err(code).unwrap_err(),
        "package/not-found"
    );
    assert_eq!(
        now(registry.get_package_version(&a, &version("3.0.0"))).map_err(code).unwrap_err(),
        "version/contested"
    );
    assert_eq!(now(registry.get_package(&one.full_name("torn"))).map_err(code).unwrap_err(), "version/contested");
    let long = "x".repeat(1000);
    assert_eq!(
        now(registry.search(&long, SearchOptions::default())).map_err(|e| e.code()).unwrap_err(),
        "query/too-long"
    );
    let nothing = Publication::of(one.key_log(), [], BTreeMap::new());
    assert_eq!(now(registry.delete(&nothing)), Err(DeleteError::NotARetraction));
}
