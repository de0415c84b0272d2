//! The tree of what needs what, in lines, from the lock file alone.

use std::collections::BTreeSet;

use super::lock::Lock;
use super::series::Pick;

/// The lines of the tree: what was asked for at the left, below each package what it needs. What stands above already is not opened again, and
/// is marked with `(*)`.
pub fn lines(lock: &Lock) -> Vec<String> {
    let mut tree = Tree { lock, opened: BTreeSet::new(), lines: Vec::new() };
    for package in sorted(lock, lock.wanted.keys()) {
        tree.open(package, "", "", "");
    }
    tree.lines
}

struct Tree<'a> {
    lock: &'a Lock,
    opened: BTreeSet<&'a Pick>,
    lines: Vec<String>,
}

impl<'a> Tree<'a> {
    /// `first`: what stands before the package; `rest`: before all below it; `asked`: what is asked of it.
    fn open(&mut self, package: &'a Pick, first: &str, rest: &str, asked: &str) {
        let Some(locked) = self.lock.packages.get(package) else { return };
        let is_new = self.opened.insert(package);
        let mark = if is_new || locked.needs.is_empty() { "" } else { " (*)" };
        self.lines.push(format!("{first}{} {}{asked}{mark}", locked.full_name, package.version));
        if !is_new {
            return;
        }
        let needs = sorted(self.lock, locked.needs.keys());
        let last = needs.len().saturating_sub(1);
        for (at, needed) in needs.into_iter().enumerate() {
            let (branch, line) = if at == last { ("└── ", "    ") } else { ("├── ", "│   ") };
            let asked = format!(" ({})", locked.needs[needed]);
            self.open(needed, &format!("{rest}{branch}"), &format!("{rest}{line}"), &asked);
        }
    }
}

/// As people read names.
fn sorted<'a>(lock: &Lock, packages: impl Iterator<Item = &'a Pick>) -> Vec<&'a Pick> {
    let mut packages: Vec<_> = packages.collect();
    // Versions of one package stay as they are: the lowest first.
    packages.sort_by_key(|package| lock.packages.get(*package).map(|locked| locked.full_name.to_string()));
    packages
}

#[cfg(test)]
mod tests {
    use super::super::lock::tests::lock;
    use super::*;

    #[test]
    fn a_tree_ends_though_packages_need_each_other() {
        let lock = lock();
        let [f1, f2] = [1, 2].map(|number| ggen_shared::id::PublisherId::from_bytes([number; 32]).fingerprint());
        let expected = [
            format!("alice~{f1}/app 1.0.0"),
            format!("├── alice~{f2}/codec 0.9.0 (^0.9)"),
            format!("└── alice~{f2}/codec 2.0.0-rc.1 (>=1, <3)"),
            // What it asks of it is any version.
            format!("    └── alice~{f1}/app 1.0.0 (*) (*)"),
            format!("alice~{f2}/app 1.0.0"),
        ];
        assert_eq!(lines(&lock), expected);
    }
}
