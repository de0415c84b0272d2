//! What is shown of packages as JSON: by the command line and over HTTP.

use ggen_shared::record::{Release, Verified};
use ggen_shared::registry::{PackageView, ReleaseView, SearchResults, VersionView};
use serde_json::{Value, json};

/// `handle~fingerprint/name`.
pub fn full_name(view: &ReleaseView) -> String {
    view.publisher.full_name(&view.release.package()).to_string()
}

/// A release.
pub fn release(view: &ReleaseView) -> Value {
    let release: &Verified<Release> = &view.release;
    json!({
        "full_name": full_name(view),
        "publisher": release.publisher.to_string(),
        "handle": view.publisher.handle.to_string(),
        "name": release.name.to_string(),
        "version": release.version.to_string(),
        "record": release.id().to_string(),
        "content": release.artifact.cid.to_string(),
        "size": release.artifact.size,
        "title": release.title,
        "description": release.description,
        "readme": release.readme.map(|readme| readme.cid.to_string()),
        "categories": release.categories,
        "tags": release.tags,
        "license": release.license,
        "authors": release.authors,
        "homepage": release.homepage,
        "repository": release.repository,
        "documentation": release.documentation,
        "dependencies": release.dependencies.iter().map(|it| json!({
            "name": it.name.to_string(),
            "requirement": it.requirement.to_string(),
            "optional": it.optional,
            "publisher": it.publisher.map(|publisher| publisher.to_string()),
        })).collect::<Vec<_>>(),
        "created": release.created,
        "in_checkpoint": view.in_checkpoint,
    })
}

/// The versions of a package, highest first.
pub fn versions(view: &PackageView) -> Value {
    let version = |it: &VersionView| {
        json!({
            "version": it.version.to_string(),
            "state": it.state.as_str(),
            "created": it.created,
            "record": it.id.to_string(),
        })
    };
    view.versions.list.iter().map(version).collect()
}

/// A release with what its publisher says of it since.
fn with_state(view: &ReleaseView) -> Value {
    let mut shown = release(view);
    shown["state"] = view.state.unwrap_or_default().as_str().into();
    shown["reason"] = view.status.as_ref().map(|status| status.reason.clone()).into();
    shown
}

/// A release with what its publisher says of it since, and its versions.
pub fn package(view: &PackageView) -> Value {
    let mut shown = with_state(&view.release);
    shown["versions"] = versions(view);
    shown["missing_versions"] = view.versions.missing.into();
    shown
}

/// A page of results; what was refused is counted.
pub fn search(text: &str, results: &SearchResults) -> Value {
    json!({
        "query": text,
        "total": results.total,
        "total_is_exact": results.total_is_exact,
        "hits": results.hits.iter().flatten().map(with_state).collect::<Vec<_>>(),
        "relay": results.source.0,
        "suggestions": results.suggestions,
    })
}
