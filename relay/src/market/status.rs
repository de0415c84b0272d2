//! What a publisher says of a version after it was released: signed once, written down, handed to relays.

use std::fmt;
use std::str::FromStr;

use ggen_net::P2PRegistry;
use ggen_net::light::Platform;
use ggen_shared::id::{PackageId, PackageName};
use ggen_shared::record::{Record, State, Status, Verified, Version, sign};
use ggen_shared::registry::{GetError, Registry};

use super::outbox::Blocks;
use super::publish::{Delivery, Error, Publishing};

/// A version of one of the publisher's own packages: `NAME@VERSION`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The package.
    pub name: PackageName,
    /// Which version of it.
    pub version: Version,
}

impl FromStr for Subject {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (name, version) = split_version(text)?;
        Ok(Self {
            name: name.parse().map_err(|error: ggen_shared::id::ParseError| error.to_string())?,
            version: version.ok_or("is written NAME@VERSION, such as my-package@0.1.0")?,
        })
    }
}

/// What stands before an `@`, and the version behind it if there is one.
///
/// # Errors
/// What is no version.
pub fn split_version(text: &str) -> Result<(&str, Option<Version>), String> {
    let Some((name, version)) = text.split_once('@') else { return Ok((text, None)) };
    let version = version.parse().map_err(|_| format!("`{version}` is no version such as 1.2.3"))?;
    Ok((name, Some(version)))
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.version)
    }
}

/// What is said of a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saying {
    /// What it is good for from now on.
    pub state: State,
    /// Why, in a line; may be empty.
    pub reason: String,
    /// The package to use instead of a deprecated one.
    pub instead: Option<PackageId>,
}

/// What became of it.
pub struct Said {
    /// The signed status.
    pub status: Verified<Status>,
    /// Where it is now.
    pub delivery: Delivery,
}

impl<P: Platform> Publishing<P> {
    /// Says something of a version. To say the same again changes nothing and succeeds.
    ///
    /// # Errors
    /// [`Error`]: [`Error::NoSuchVersion`] for one that neither this machine has signed nor a relay knows.
    pub async fn say(&self, subject: &Subject, saying: &Saying) -> Result<Said, Error> {
        let known = self.known(subject, saying).await?;
        let (status, waits) = self.signed_status(subject, saying, known.as_ref())?;
        let record = Record::Status(Box::new(status.clone()));
        let delivery = self.deliver(record, &Blocks::new(), waits).await?;
        Ok(Said { status, delivery })
    }

    /// What relays know to decide about the version: it may have been signed on another machine.
    async fn known(&self, subject: &Subject, saying: &Saying) -> Result<Option<Verified<Status>>, Error> {
        let name = self.full_name(&subject.name);
        match P2PRegistry::new(self.peer().clone()).get_package_version(&name, &subject.version).await {
            Ok(package) => Ok(package.release.status),
            // To say it again is no fault.
            Err(GetError::Retracted { .. }) if saying.state != State::Retracted => {
                Err(Error::Retracted(subject.clone()))
            }
            Err(error) => match self.desk().ledger.release(&subject.name, &subject.version) {
                Some(_) => Ok(None),
                None => Err(Error::NoSuchVersion(Box::new((subject.clone(), error)))),
            },
        }
    }

    /// The signed status: the one signed before if it says the same and nothing else was said since, a new one otherwise, which waits.
    fn signed_status(
        &self,
        subject: &Subject,
        saying: &Saying,
        known: Option<&Verified<Status>>,
    ) -> Result<(Verified<Status>, bool), Error> {
        let mut desk = self.desk();
        let before = desk.ledger.status(&subject.name, &subject.version);
        let weight = |status: &Verified<Status>| status.weight(status.id());
        if let Some(before) = before
            && known.is_none_or(|known| weight(known) <= weight(before))
            && (before.state, &before.reason, &before.instead) == (saying.state, &saying.reason, &saying.instead)
        {
            return Ok((before.clone(), false));
        }
        if before.is_some_and(|before| before.state == State::Retracted) {
            return Err(Error::Retracted(subject.clone()));
        }
        let last = [before, known].into_iter().flatten().map(|status| status.seq).max();
        let seq =
            last.map_or(Some(1), |last| last.checked_add(1)).ok_or_else(|| Error::NoMoreNumbers(subject.clone()))?;
        let status = Status {
            publisher: desk.key.key_log.publisher(),
            signed_under: desk.key.key_log.head(),
            index: desk.next_index(0)?,
            name: subject.name.clone(),
            version: subject.version.clone(),
            seq,
            state: saying.state,
            reason: saying.reason.clone(),
            instead: saying.instead.clone(),
        };
        let status = sign(status, &desk.key.signing, &desk.key.network)?;
        desk.write_down(Record::Status(Box::new(status.clone())))?;
        Ok((status, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subject_is_a_name_and_a_version() {
        let subject: Subject = "my-package@1.2.0-rc.1".parse().unwrap();
        assert_eq!(subject.to_string(), "my-package 1.2.0-rc.1");
        for (text, reason) in [
            ("my-package", "is written NAME@VERSION, such as my-package@0.1.0"),
            ("my-package@1.2", "`1.2` is no version such as 1.2.3"),
            ("my-package@", "`` is no version such as 1.2.3"),
        ] {
            assert_eq!(text.parse::<Subject>(), Err(reason.into()));
        }
        assert!("My Package@1.0.0".parse::<Subject>().is_err());
    }
}
