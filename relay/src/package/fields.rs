//! The fields of a manifest's table, each read by the rule of its kind.

use ggen_shared::id::PackageName;
use ggen_shared::limits;
use ggen_shared::record::Version;
use toml::{Table, Value};

use super::{Error, ReadmeKey, Warning, text};

/// Whether whoever publishes can mend what is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// A directory: its author is asked to.
    Directory,
    /// A `.crate` file, whose bytes are fixed: what does not fit is left out.
    Crate,
}

/// A table of a manifest while it is read.
#[derive(Debug)]
pub(super) struct Fields<'a> {
    pub(super) file: &'a str,
    pub(super) origin: Origin,
    pub(super) table: &'a Table,
    pub(super) warnings: Vec<Warning>,
}

/// How many entries of how many bytes a list may have.
#[derive(Debug, Clone, Copy)]
pub(super) struct ListRule {
    pub(super) entries: usize,
    pub(super) bytes: usize,
    /// Whether "Enterprise" and "enterprise" are one.
    pub(super) folded: bool,
}

impl<'a> Fields<'a> {
    pub(super) fn error(&self, field: &str, reason: impl Into<String>) -> Error {
        Error::Field { file: self.file.into(), field: field.into(), reason: reason.into() }
    }

    pub(super) fn warn(&mut self, field: &str, reason: impl Into<String>) {
        self.warnings.push(Warning { file: self.file.into(), field: field.into(), reason: reason.into() });
    }

    /// A text that has to be text if it is there at all.
    pub(super) fn text(&self, field: &str) -> Result<Option<&'a str>, Error> {
        match self.table.get(field) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(self.error(field, format!("is {}, not text", kind(other)))),
        }
    }

    /// A text that is left out with a warning if it is something else.
    pub(super) fn optional_text(&mut self, field: &str) -> Option<&'a str> {
        self.text(field).unwrap_or_else(|_| {
            let kind = self.table.get(field).map_or("missing", kind);
            self.warn(field, format!("is {kind}, not text; left out"));
            None
        })
    }

    /// An optional line, cut to what fits.
    pub(super) fn line(&mut self, field: &str, max_bytes: usize) -> Option<String> {
        let text = self.optional_text(field)?;
        let line = self.clean(field, text);
        if line.len() > max_bytes {
            self.warn(field, format!("has {} bytes, cut to {max_bytes}", line.len()));
        }
        Some(text::shortened(&line, max_bytes)).filter(|line| !line.is_empty())
    }

    /// The license. One that does not fit is pointed at: a beginning of it may say the opposite of the whole.
    pub(super) fn license(&mut self) -> Option<String> {
        let field = "license";
        let text = self.optional_text(field)?;
        let line = self.clean(field, text);
        if line.len() <= limits::MAX_LICENSE_BYTES {
            return Some(line).filter(|line| !line.is_empty());
        }
        let file = self.file.rsplit(' ').next().unwrap_or(self.file);
        self.warn(
            field,
            format!(
                "has {} bytes, at most {} are held; {file} is named instead",
                line.len(),
                limits::MAX_LICENSE_BYTES
            ),
        );
        Some(format!("SEE LICENSE IN {file}"))
    }

    /// An optional URL; anything else than http and https is left out.
    pub(super) fn url(&mut self, field: &str) -> Option<String> {
        let url = self.optional_text(field)?.trim();
        if url.is_empty() {
            return None;
        }
        if url.len() > limits::MAX_URL_BYTES || !text::is_url(url) {
            let shown = text::shortened(&text::line(url).0, 80);
            let max = limits::MAX_URL_BYTES;
            self.warn(field, format!("{shown:?} is not an http or https URL of at most {max} bytes; left out"));
            return None;
        }
        Some(url.into())
    }

    /// Entries of several lists as one, each entry once. A single text counts as a list of one.
    ///
    /// # Errors
    /// [`Error::Field`] for too many or too long entries in a directory's manifest.
    pub(super) fn list(&mut self, fields: &[&str], rule: ListRule) -> Result<Vec<String>, Error> {
        let mut list = Vec::new();
        for field in fields {
            for entry in self.entries(field) {
                let entry = self.clean(field, entry);
                let entry = if rule.folded { entry.to_lowercase() } else { entry };
                if entry.is_empty() || list.contains(&entry) {
                    continue;
                }
                if entry.len() > rule.bytes {
                    let shown = text::shortened(&entry, 40);
                    let reason = format!("{shown:?} has {} bytes, at most {} are allowed", entry.len(), rule.bytes);
                    self.refuse_or_warn(field, reason)?;
                } else if list.len() == rule.entries {
                    self.refuse_or_warn(field, format!("more than {} entries", rule.entries))?;
                    return Ok(list);
                } else {
                    list.push(entry);
                }
            }
        }
        Ok(list)
    }

    /// The texts of a list. Some packages repeat the key, `[package.tags] tags = […]`, and mean the list.
    fn entries(&mut self, field: &str) -> Vec<&'a str> {
        let table = self.table;
        let value = match table.get(field) {
            Some(Value::Table(inner)) => inner.get(field).or(table.get(field)),
            other => other,
        };
        match value {
            None => Vec::new(),
            Some(Value::String(text)) => vec![text],
            Some(Value::Array(values)) => {
                let texts: Vec<_> = values.iter().filter_map(Value::as_str).collect();
                if texts.len() < values.len() {
                    self.warn(field, "has entries that are not text; left out");
                }
                texts
            }
            Some(other) => {
                self.warn(field, format!("is {}, not a list of texts; left out", kind(other)));
                Vec::new()
            }
        }
    }

    /// The version.
    ///
    /// # Errors
    /// [`Error::Field`] if it is missing or none.
    pub(super) fn version(&self) -> Result<Version, Error> {
        let text = self.text("version")?.ok_or_else(|| self.error("version", "is missing"))?;
        text.parse::<Version>().map_err(|error| {
            // Some of the reasons quote the version, some don't.
            let reason = error.to_string();
            let shown = text::shortened(text, 80);
            self.error("version", if reason.starts_with('"') { reason } else { format!("{shown:?}: {reason}") })
        })
    }

    /// The description as one line that fits, and the whole text if it does not.
    ///
    /// # Errors
    /// [`Error::Field`] if it is no text.
    pub(super) fn description(&mut self) -> Result<(String, Option<String>), Error> {
        let field = "description";
        let Some(whole) = self.text(field)? else {
            self.warn(field, "is missing; people find packages by it");
            return Ok((String::new(), None));
        };
        let line = self.clean(field, whole);
        let short = text::shortened(&line, limits::MAX_DESCRIPTION_BYTES);
        if short == line {
            return Ok((short, None));
        }
        let reason = format!(
            "has {} bytes; the release holds its beginning, the README the whole unless there is another",
            line.len()
        );
        self.warn(field, reason);
        Ok((short, Some(whole.trim().into())))
    }

    /// Where the README is.
    pub(super) fn readme(&mut self) -> ReadmeKey {
        match self.table.get("readme") {
            Some(Value::Boolean(false)) => ReadmeKey::None,
            Some(Value::String(path)) => ReadmeKey::At(path.trim_start_matches("./").into()),
            _ => ReadmeKey::Default,
        }
    }

    /// A package's name as it is written.
    ///
    /// # Errors
    /// [`Error::Field`] with the rule.
    pub(super) fn package_name(&self, field: &str, name: &str) -> Result<PackageName, Error> {
        PackageName::new(name).map_err(|_| {
            let shown = text::shortened(name, 80);
            let max = limits::MAX_NAME_BYTES;
            // The whole rule: whoever mends one fault should not meet the next.
            let rule = format!(
                "a package name has 1 to {max} characters, each a lower-case letter, a digit, '.', '_' or '-'; it begins with \
                 a letter or a digit, and has no two dots in a row"
            );
            self.error(field, format!("{shown:?}: {rule}"))
        })
    }

    fn clean(&mut self, field: &str, text: &str) -> String {
        let (line, dropped) = text::line(text);
        if dropped {
            self.warn(field, "has control or direction characters; left out");
        }
        line
    }

    fn refuse_or_warn(&mut self, field: &str, reason: String) -> Result<(), Error> {
        match self.origin {
            Origin::Directory => Err(self.error(field, reason)),
            Origin::Crate => {
                self.warn(field, format!("{reason}; left out"));
                Ok(())
            }
        }
    }
}

/// What a value is, for people.
pub(super) const fn kind(value: &Value) -> &'static str {
    match value {
        Value::String(_) => "text",
        Value::Integer(_) | Value::Float(_) => "a number",
        Value::Boolean(_) => "true or false",
        Value::Datetime(_) => "a date",
        Value::Array(_) => "a list",
        Value::Table(_) => "a table",
    }
}

/// Parses a manifest.
///
/// # Errors
/// [`Error::InvalidToml`] with the place of the fault.
pub(super) fn parse(file: &str, bytes: &[u8]) -> Result<Table, Error> {
    let invalid = |text: &str, at: usize, message: String| {
        let before = &text[..text.floor_char_boundary(at)];
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        Error::InvalidToml {
            file: file.into(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message,
        }
    };
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let sound = std::str::from_utf8(&bytes[..error.valid_up_to()]).unwrap_or_default();
        invalid(sound, sound.len(), "not UTF-8".into())
    })?;
    text.parse().map_err(|error: toml::de::Error| {
        let at = error.span().map_or(0, |span| span.start);
        invalid(text, at, error.message().lines().collect::<Vec<_>>().join(", "))
    })
}
