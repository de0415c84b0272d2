//! Where a user's pins, fetched archives and experiences with peers are: below `GGEN_HOME` if that is set, else where the XDG base directories say.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// Where what a user decided is kept.
pub fn data() -> PathBuf {
    of(&|name| std::env::var_os(name), "XDG_DATA_HOME", ".local/share", "")
}

/// Where what was learned is kept, that is no loss.
pub fn state() -> PathBuf {
    of(&|name| std::env::var_os(name), "XDG_STATE_HOME", ".local/state", "")
}

/// Where what can be fetched again is kept.
pub fn cache() -> PathBuf {
    of(&|name| std::env::var_os(name), "XDG_CACHE_HOME", ".cache", "cache")
}

fn of(variable: &dyn Fn(&str) -> Option<OsString>, xdg: &str, below_home: &str, below_own: &str) -> PathBuf {
    let path = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(own) = path("GGEN_HOME") {
        return own.join(below_own);
    }
    // A relative path is to be ignored, says the specification.
    let base = path(xdg).filter(|path| path.is_absolute());
    base.unwrap_or_else(|| path("HOME").unwrap_or_default().join(Path::new(below_home))).join("ggen")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_user_set_comes_first() {
        let with = |set: &[(&str, &str)]| {
            let variable =
                |name: &str| set.iter().find(|(other, _)| *other == name).map(|(_, value)| OsString::from(value));
            of(&variable, "XDG_CACHE_HOME", ".cache", "cache")
        };
        assert_eq!(with(&[("HOME", "/home/a")]), Path::new("/home/a/.cache/ggen"));
        assert_eq!(with(&[("HOME", "/home/a"), ("XDG_CACHE_HOME", "/c")]), Path::new("/c/ggen"));
        assert_eq!(with(&[("HOME", "/home/a"), ("XDG_CACHE_HOME", "c")]), Path::new("/home/a/.cache/ggen"));
        assert_eq!(with(&[("HOME", "/home/a"), ("GGEN_HOME", "/g"), ("XDG_CACHE_HOME", "/c")]), Path::new("/g/cache"));
        assert_eq!(with(&[("HOME", "/home/a"), ("GGEN_HOME", "")]), Path::new("/home/a/.cache/ggen"));
    }
}
