//! Why no versions go together, in sentences: PubGrub's own derivation, with what it calls the root in words, and with the reasons why versions
//! are passed over.

use std::sync::Arc;

use pubgrub::{
    DefaultStringReporter, DerivationTree, Derived, External, Map, ReportFormatter, Reporter, Term, VersionSet,
};

use super::known::{Candidate, Known};
use super::range::VersionRange;
use super::resolve::{Node, What};

/// Versions that were passed over and are named in one sentence.
const MAX_NAMED: usize = 4;

/// Says it.
struct Words<'a> {
    known: &'a Known,
}

/// A derivation in sentences.
pub(super) fn explain(mut tree: Tree, known: &Known) -> String {
    let words = Words { known };
    words.leave_out_gaps(&mut tree);
    DefaultStringReporter::report_with_formatter(&tree, &words)
}

type Tree = DerivationTree<Node, VersionRange, String>;
type Cause = External<Node, VersionRange, String>;
type Terms = Map<Node, Term<VersionRange>>;
type Step = Derived<Node, VersionRange, String>;

impl Words<'_> {
    /// Leaves out that there are no versions between those that there are: what holds for these holds for all of them then. It stays
    /// where versions were passed over, or not looked at.
    fn leave_out_gaps(&self, tree: &mut Tree) {
        let DerivationTree::Derived(derived) = tree else { return };
        for cause in [&mut derived.cause1, &mut derived.cause2] {
            self.leave_out_gaps(Arc::make_mut(cause));
        }
        let without = match (&*derived.cause1, &*derived.cause2) {
            (DerivationTree::External(External::NoVersions(node, gap)), other)
            | (other, DerivationTree::External(External::NoVersions(node, gap)))
                if self.is_gap(node, gap) =>
            {
                with_gap(other, node, gap)
            }
            _ => None,
        };
        if let Some(without) = without {
            *tree = without;
        }
    }

    /// Whether nothing is to be said of these versions but that they are not there, and others are.
    fn is_gap(&self, node: &Node, range: &VersionRange) -> bool {
        let What::Package(package) = &node.what else { return false };
        self.known.versions(package).is_some_and(|versions| {
            let is_in = |it: &Candidate| range.contains(it.version.semver());
            versions.is_whole && !versions.candidates.is_empty() && !versions.candidates.iter().any(is_in)
        })
    }

    fn no_versions(&self, node: &Node, range: &VersionRange) -> String {
        let versions = match &node.what {
            What::Unsaid(name) => return format!("nobody publishes {name}"),
            What::Package(package) => match self.known.versions(package) {
                Some(versions) => versions,
                None => return format!("no relay knows {node} of publisher {}", package.publisher),
            },
            What::Asked => return "nothing is asked for".into(),
        };
        let mut said = match *range == VersionRange::any() || *range == VersionRange::releases() {
            true => format!("{node} has no version that can be chosen"),
            false => format!("{node} has no version {range}"),
        };
        let passed_over = versions.candidates.iter().filter_map(|it| Some((&it.version, it.passed_over?)));
        let mut passed_over: Vec<_> = passed_over.filter(|(version, _)| range.contains(version.semver())).collect();
        passed_over.dedup();
        let named: Vec<_> =
            passed_over.iter().take(MAX_NAMED).map(|(version, why)| format!("{version} is {why}")).collect();
        if !named.is_empty() {
            let more = if passed_over.len() > MAX_NAMED { ", …" } else { "" };
            said.push_str(&format!(" ({}{more})", named.join(", ")));
        }
        if !versions.is_whole {
            said.push_str(" among its newest, the only ones that were looked at");
        }
        said
    }

    fn depends(&self, by: &Node, of: &VersionRange, on: &Node, range: &VersionRange) -> String {
        let any = |range: &VersionRange| *range == VersionRange::any() || *range == VersionRange::releases();
        let on = if any(range) { on.to_string() } else { format!("{on} {range}") };
        match by.what {
            What::Asked => format!("you ask for {on}"),
            _ if any(of) => format!("every version of {by} needs {on}"),
            _ => format!("{by} {of} needs {on}"),
        }
    }
}

/// What is said against versions beside a gap, said of the gap too. None where nothing is said against them: that there are no others is the point
/// then.
fn with_gap(tree: &Tree, node: &Node, gap: &VersionRange) -> Option<Tree> {
    match tree {
        DerivationTree::Derived(derived) => {
            matches!(derived.terms.get(node), Some(Term::Positive(_))).then(|| tree.clone())
        }
        DerivationTree::External(External::FromDependencyOf(by, of, on, range)) if by == node => {
            let (by, on) = (by.clone(), on.clone());
            Some(DerivationTree::External(External::FromDependencyOf(by, of.union(gap), on, range.clone())))
        }
        DerivationTree::External(_) => None,
    }
}

impl ReportFormatter<Node, VersionRange, String> for Words<'_> {
    type Output = String;

    fn format_external(&self, cause: &Cause) -> String {
        match cause {
            External::NotRoot(..) => "you ask for it".into(),
            External::NoVersions(node, range) => self.no_versions(node, range),
            External::Custom(node, range, reason) => format!("{node} {range} {reason}"),
            External::FromDependencyOf(by, of, on, range) => self.depends(by, of, on, range),
        }
    }

    fn format_terms(&self, terms: &Terms) -> String {
        let terms: Vec<_> = terms.iter().collect();
        match terms[..] {
            [] => "it can't be installed".into(),
            [(Node { what: What::Asked, .. }, Term::Positive(_))] => "it can't be installed".into(),
            [(node, Term::Positive(range))] if *range == VersionRange::any() => format!("{node} can't be installed"),
            [(node, Term::Positive(range))] => format!("{node} {range} can't be installed"),
            [(node, Term::Negative(range))] => format!("{node} {range} is needed"),
            [(by, Term::Positive(of)), (on, Term::Negative(range))]
            | [(on, Term::Negative(range)), (by, Term::Positive(of))] => self.depends(by, of, on, range),
            _ => {
                let shown =
                    terms.iter().filter(|(node, _)| !matches!(node.what, What::Asked)).map(|(node, term)| match term {
                        Term::Positive(range) => format!("{node} {range}"),
                        Term::Negative(range) => format!("nothing of {node} {range}"),
                    });
                format!("{} don't go together", shown.collect::<Vec<_>>().join(" and "))
            }
        }
    }

    fn explain_both_external(&self, one: &Cause, other: &Cause, so: &Terms) -> String {
        format!("Because {} and {}, {}.", self.format_external(one), self.format_external(other), self.format_terms(so))
    }

    fn explain_both_ref(&self, one: usize, first: &Step, other: usize, second: &Step, so: &Terms) -> String {
        let (first, second) = (self.format_terms(&first.terms), self.format_terms(&second.terms));
        format!("Because {first} ({one}) and {second} ({other}), {}.", self.format_terms(so))
    }

    fn explain_ref_and_external(&self, number: usize, step: &Step, cause: &Cause, so: &Terms) -> String {
        let (step, cause) = (self.format_terms(&step.terms), self.format_external(cause));
        format!("Because {step} ({number}) and {cause}, {}.", self.format_terms(so))
    }

    fn and_explain_external(&self, cause: &Cause, so: &Terms) -> String {
        format!("And because {}, {}.", self.format_external(cause), self.format_terms(so))
    }

    fn and_explain_ref(&self, number: usize, step: &Step, so: &Terms) -> String {
        format!("And because {} ({number}), {}.", self.format_terms(&step.terms), self.format_terms(so))
    }

    fn and_explain_prior_and_external(&self, prior: &Cause, cause: &Cause, so: &Terms) -> String {
        let (prior, cause) = (self.format_external(prior), self.format_external(cause));
        format!("And because {prior} and {cause}, {}.", self.format_terms(so))
    }
}
