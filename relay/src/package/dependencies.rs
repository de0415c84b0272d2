//! Dependencies of a manifest as a release holds them.

use std::collections::BTreeMap;

use ggen_shared::id::{PackageName, PublisherId};
use ggen_shared::limits;
use ggen_shared::record::Dependency;
use toml::{Table, Value};

use super::fields::{Fields, kind};
use super::{Error, text};

/// Dependencies as they are collected: each package once.
#[derive(Debug, Default)]
pub(super) struct Dependencies {
    list: Vec<Dependency>,
    /// Where each package stands in the list.
    known: BTreeMap<(PackageName, Option<PublisherId>), usize>,
    /// Whether what is added now is optional, whatever it says of itself.
    only_optional: bool,
}

impl Dependencies {
    /// Those that were collected, sorted, so that one manifest gives one list however its tables are held.
    ///
    /// # Errors
    /// [`Error::Field`] for more than a release can hold: to leave some out would be to say something else.
    pub(super) fn finish(mut self, fields: &Fields<'_>) -> Result<Vec<Dependency>, Error> {
        if self.list.len() > limits::MAX_DEPENDENCIES {
            let reason = format!("has {} entries, at most {} are allowed", self.list.len(), limits::MAX_DEPENDENCIES);
            return Err(fields.error("dependencies", reason));
        }
        self.list.sort_by(|a, b| (&a.name, a.publisher).cmp(&(&b.name, b.publisher)));
        Ok(self.list)
    }

    /// Adds a table of what is needed only here and there, and is optional therefore.
    ///
    /// # Errors
    /// As [`Dependencies::add_table`].
    pub(super) fn add_optional_table(
        &mut self,
        fields: &mut Fields<'_>,
        table: &Table,
        folded: bool,
    ) -> Result<(), Error> {
        self.only_optional = true;
        let added = self.add_table(fields, table, folded);
        self.only_optional = false;
        added
    }

    /// Adds a table of dependencies: `name = "1.2"` or `name = { version, optional, package, publisher }`.
    ///
    /// `package` is the real name of what this package calls otherwise. `publisher` is a publisher id, by which a
    /// dependency can be resolved.
    ///
    /// # Errors
    /// [`Error::Field`] for names and requirements that are none.
    pub(super) fn add_table(&mut self, fields: &mut Fields<'_>, table: &Table, folded: bool) -> Result<(), Error> {
        for (key, value) in sorted(table) {
            let field = format!("dependencies.{}", text::shortened(key, 80));
            match value {
                Value::String(requirement) => self.add(fields, &field, key, requirement, false, None, folded)?,
                Value::Table(entry) => self.add_entry(fields, &field, key, entry, folded)?,
                // Some packages list names under the degree of need.
                Value::Array(names) if key == "required" || key == "optional" => {
                    self.add_names(fields, &field, names, key == "optional")?;
                }
                // And in some, other lists have slipped into the table.
                other => fields.warn(&field, format!("is {}, not a dependency; left out", kind(other))),
            }
        }
        Ok(())
    }

    /// Adds a list of names, with or without a requirement: `"core"`, `"core@^1.2"`, `"core ^1.2"`.
    ///
    /// # Errors
    /// As [`Dependencies::add_table`].
    pub(super) fn add_names(
        &mut self,
        fields: &mut Fields<'_>,
        field: &str,
        names: &[Value],
        optional: bool,
    ) -> Result<(), Error> {
        for name in names {
            let Some(text) = name.as_str() else {
                fields.warn(field, format!("holds {}, not the name of a package; left out", kind(name)));
                continue;
            };
            let text = text.trim();
            let (name, requirement) = text.split_once(['@', ' ']).unwrap_or((text, "*"));
            self.add(fields, field, name, requirement, optional, None, false)?;
        }
        Ok(())
    }

    fn add_entry(
        &mut self,
        fields: &mut Fields<'_>,
        field: &str,
        key: &str,
        entry: &Table,
        folded: bool,
    ) -> Result<(), Error> {
        let text = |name: &str| match entry.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.as_str())),
            Some(other) => Err(fields.error(&format!("{field}.{name}"), format!("is {}, not text", kind(other)))),
        };
        let (version, package, publisher) = (text("version")?, text("package")?, text("publisher")?);
        let optional = match entry.get("optional") {
            None => false,
            Some(Value::Boolean(optional)) => *optional,
            Some(other) => {
                let reason = format!("is {}, not true or false", kind(other));
                return Err(fields.error(&format!("{field}.optional"), reason));
            }
        };
        let publisher = publisher.map(str::parse).transpose().map_err(|error: ggen_shared::id::ParseError| {
            fields.error(&format!("{field}.publisher"), error.to_string())
        })?;
        self.add(fields, field, package.unwrap_or(key), version.unwrap_or("*"), optional, publisher, folded)
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one dependency, as they are found in different shapes")]
    fn add(
        &mut self,
        fields: &mut Fields<'_>,
        field: &str,
        name: &str,
        requirement: &str,
        optional: bool,
        publisher: Option<PublisherId>,
        folded: bool,
    ) -> Result<(), Error> {
        let name = if folded { name.to_lowercase() } else { name.into() };
        let name = fields.package_name(field, &name)?;
        let requirement = match requirement.trim() {
            "" => "*",
            requirement => requirement,
        };
        let sound =
            requirement.len() <= limits::MAX_REQUIREMENT_BYTES && semver::VersionReq::parse(requirement).is_ok();
        if !sound {
            let shown = text::shortened(requirement, 80);
            return Err(
                fields.error(field, format!("{shown:?} is not a requirement such as \"^1.2\" or \">=1.2, <2\""))
            );
        }
        let optional = optional || self.only_optional;
        match self.known.get(&(name.clone(), publisher)) {
            // Needed in one place is needed; the first requirement stands.
            Some(&at) => self.list[at].optional &= optional,
            None => {
                self.known.insert((name.clone(), publisher), self.list.len());
                self.list.push(Dependency { publisher, name, requirement: requirement.into(), optional });
            }
        }
        Ok(())
    }
}

/// A table in the order of its keys: the order of the file is there or not as some crate far away chose.
pub(super) fn sorted(table: &Table) -> impl Iterator<Item = (&String, &Value)> {
    let mut entries: Vec<_> = table.iter().collect();
    entries.sort_unstable_by_key(|(key, _)| *key);
    entries.into_iter()
}
