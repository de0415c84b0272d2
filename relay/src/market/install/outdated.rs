//! Which of what is installed is not the newest, and how far it could be newer.

use ggen_shared::id::FullName;
use ggen_shared::record::Version;
use semver::VersionReq;

use super::known::{Known, Versions};
use super::lock::Lock;
use super::resolve::Which;
use super::series::Pick;

/// A package that is not installed in its newest version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outdated {
    /// The package.
    pub full_name: FullName,
    /// What is installed.
    pub installed: Version,
    /// The newest that all who need it allow, if there is one.
    pub allowed: Option<Version>,
    /// The newest of all.
    pub newest: Version,
}

/// The packages of a lock file that are not the newest, by name.
pub fn outdated(lock: &Lock, known: &Known) -> Vec<Outdated> {
    let of = |(pick, locked): (&Pick, &super::lock::Locked)| {
        let versions = known.versions(&pick.package)?;
        let allowed = allowed(lock, pick, versions);
        // The order of candidates is that of versions, so the first release is the newest.
        let chosen = || versions.candidates.iter().filter(|it| it.passed_over.is_none()).map(|it| &it.version);
        let newest = chosen().find(|version| !version.is_pre_release()).or_else(|| chosen().next())?;
        let is_behind = pick.version < *newest || allowed.as_ref().is_some_and(|it| pick.version < *it);
        is_behind.then(|| Outdated {
            full_name: locked.full_name.clone(),
            installed: pick.version.clone(),
            allowed,
            newest: newest.clone(),
        })
    };
    let mut found: Vec<_> = lock.packages.iter().filter_map(of).collect();
    found.sort_by_key(|it| (it.full_name.to_string(), it.installed.clone()));
    found
}

/// The highest version that everything in the lock file allows.
fn allowed(lock: &Lock, pick: &Pick, versions: &Versions) -> Option<Version> {
    let mut requirements: Vec<VersionReq> = Vec::new();
    let mut release = None;
    match lock.wanted.get(pick).map(|wanted| &wanted.which) {
        Some(Which::Matching(requirement)) => requirements.push(requirement.clone()),
        Some(Which::Release(id)) => release = Some(*id),
        Some(Which::Any) | None => {}
    }
    let needs = lock.packages.values().filter_map(|locked| locked.needs.get(pick));
    requirements.extend(needs.filter_map(|requirement| VersionReq::parse(requirement).ok()));
    let is_allowed = |version: &Version| match requirements.is_empty() {
        true => !version.is_pre_release(),
        false => requirements.iter().all(|requirement| requirement.matches(version.semver())),
    };
    let mut candidates = versions.candidates.iter().filter(|it| match release {
        Some(release) => it.release == release,
        None => it.passed_over.is_none() && is_allowed(&it.version),
    });
    candidates.next().map(|it| it.version.clone())
}

#[cfg(test)]
mod tests {
    use ggen_shared::record::{Content, ContentId};

    use super::super::known::{Candidate, PassedOver};
    use super::super::lock::tests::lock;
    use super::*;

    fn versions(full_name: &FullName, versions: &[(&str, Option<PassedOver>)]) -> Option<Versions> {
        let candidate = |(version, passed_over): &(&str, Option<PassedOver>)| Candidate {
            version: version.parse().unwrap(),
            release: ggen_shared::id::RecordId::from_bytes([9; 32]),
            record: Vec::new(),
            content: Content { cid: ContentId::of_raw(version.as_bytes()), size: 1 },
            dependencies: Vec::new(),
            passed_over: *passed_over,
            deprecated: None,
        };
        let candidates = versions.iter().map(candidate).collect();
        Some(Versions { full_name: full_name.clone(), candidates, is_whole: true })
    }

    #[test]
    fn what_could_be_newer_is_told_from_what_is_newer() {
        let lock = lock();
        let mut known = Known::default();
        for (Pick { package, .. }, locked) in &lock.packages {
            let list: &[_] = match (package.name.as_str(), package.publisher.as_bytes()[0]) {
                // It is asked for as ^1.
                ("app", 1) => &[("2.0.0", None), ("1.9.0", Some(PassedOver::Yanked)), ("1.2.0", None), ("1.0.0", None)],
                // It is asked for as >=1, <3 and as ^0.9.
                ("codec", _) => &[("3.0.0-rc.1", None), ("2.0.0", None), ("2.0.0-rc.1", None), ("0.9.1", None)],
                _ => &[("1.0.0", None)],
            };
            known.packages.insert(package.clone(), versions(&locked.full_name, list));
        }
        let found = outdated(&lock, &known);
        let shown: Vec<_> = found
            .iter()
            .map(|it| {
                let allowed = it.allowed.as_ref().map(ToString::to_string).unwrap_or_default();
                format!("{} {} {allowed} {}", it.full_name.name, it.installed, it.newest)
            })
            .collect();
        assert_eq!(shown, ["app 1.0.0 1.2.0 2.0.0", "codec 0.9.0 0.9.1 2.0.0", "codec 2.0.0-rc.1 2.0.0 2.0.0"]);
    }
}
