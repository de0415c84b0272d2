//! Why no versions go together, in sentences: PubGrub's own derivation, with what it calls the root in words, and with the reasons why versions
//! are passed over.

use std::sync::Arc;

use pubgrub::{
    DefaultStringReporter, DerivationTree, Derived, External, Map, ReportFormatter, Reporter, Term, VersionSet,
};

use super::known::{Known, Versions};
use super::node::{Node, What};
use super::range::VersionRange;

/// Versions that were passed over and are named in one sentence.
const MAX_NAMED: usize = 4;

/// Says it.
struct Words<'a> {
    known: &'a Known,
}

/// A derivation in sentences.
pub(super) fn explain(mut tree: Tree, known: &Known) -> String {
    let words = Words { known };
    words.leave_out_trivia(&mut tree);
    DefaultStringReporter::report_with_formatter(&tree, &words)
}

type Tree = DerivationTree<Node, VersionRange, String>;
type Cause = External<Node, VersionRange, String>;
type Terms = Map<Node, Term<VersionRange>>;
type Step = Derived<Node, VersionRange, String>;

impl Words<'_> {
    /// Leaves out what goes without saying: that there are no versions between those that there are, for what holds for these holds for all of
    /// them then, unless versions were passed over, or not looked at; and that a package of a series is one that is of some series.
    fn leave_out_trivia(&self, tree: &mut Tree) {
        let DerivationTree::Derived(derived) = tree else { return };
        for cause in [&mut derived.cause1, &mut derived.cause2] {
            self.leave_out_trivia(Arc::make_mut(cause));
        }
        let without = match (&*derived.cause1, &*derived.cause2) {
            (DerivationTree::External(External::NoVersions(node, gap)), other)
            | (other, DerivationTree::External(External::NoVersions(node, gap)))
                if self.is_gap(node, gap) =>
            {
                match node.what {
                    What::Either(..) => Some(other.clone()),
                    _ => with_gap(other, node, gap),
                }
            }
            (DerivationTree::External(External::FromDependencyOf(either, ..)), other)
            | (other, DerivationTree::External(External::FromDependencyOf(either, ..)))
                if matches!(either.what, What::Either(..)) =>
            {
                Some(other.clone())
            }
            _ => None,
        };
        if let Some(without) = without {
            *tree = without;
        }
    }

    /// Whether nothing is to be said of these versions but that they are not there, and others are.
    fn is_gap(&self, node: &Node, range: &VersionRange) -> bool {
        self.versions(node).is_some_and(|versions| {
            let has = |range: &VersionRange| versions.candidates.iter().any(|it| node.has(it, range));
            versions.is_whole && has(&VersionRange::any()) && !has(range)
        })
    }

    fn versions(&self, node: &Node) -> Option<&Versions> {
        self.known.versions(node.package()?)
    }

    /// Versions that something is said of, as a sentence has them. Those of one series of several by its name, if they are all that it has.
    fn shown(&self, node: &Node, range: &VersionRange) -> String {
        match &node.what {
            What::Package(_, series) if self.is_one_of_many_whole(node, range) => format!("{node} {series}"),
            _ => self.shown_as_asked(node, range),
        }
    }

    /// Versions that something needs: as it has said.
    fn shown_as_asked(&self, node: &Node, range: &VersionRange) -> String {
        match &node.what {
            What::Either(_, own) if !is_any(own) => format!("{node} {own}"),
            What::Package(..) if !is_any(range) => format!("{node} {range}"),
            _ => node.to_string(),
        }
    }

    /// Whether all versions of a series are meant, and the package has others.
    fn is_one_of_many_whole(&self, node: &Node, range: &VersionRange) -> bool {
        let candidates = || self.versions(node).into_iter().flat_map(|versions| &versions.candidates);
        let mut of_series = candidates().filter(|it| node.has(it, &VersionRange::any()));
        of_series.all(|it| node.has(it, range)) && candidates().any(|it| !node.has(it, &VersionRange::any()))
    }

    fn no_versions(&self, node: &Node, range: &VersionRange) -> String {
        match (&node.what, node.package()) {
            (What::Unsaid(name), _) => return format!("nobody publishes {name}"),
            (_, None) => return "nothing is asked for".into(),
            (_, Some(package)) if self.known.versions(package).is_none() => {
                return format!("no relay knows {node} of publisher {}", package.publisher);
            }
            _ => {}
        }
        let Some(versions) = self.versions(node) else { return format!("nobody has {node}") };
        let is_rest = matches!(node.what, What::Either(..)) && *range != VersionRange::any();
        let shown = if let What::Either(_, own) = &node.what { own } else { range };
        let mut said = match () {
            () if is_rest => format!("{} has no other version", self.shown(node, shown)),
            () if *shown == VersionRange::empty() => format!("{node} has no such release"),
            () if is_any(shown) => {
                format!("{} has no version that can be chosen", self.shown(node, shown))
            }
            () => format!("{node} has no version {shown}"),
        };
        let passed_over = versions.candidates.iter().filter(|it| node.has(it, range));
        let mut passed_over: Vec<_> = passed_over.filter_map(|it| Some((&it.version, it.passed_over?))).collect();
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
        let on = self.shown_as_asked(on, range);
        match by.what {
            What::Asked => format!("you ask for {on}"),
            What::Package(..) if is_any(of) && !self.is_one_of_many_whole(by, of) => {
                format!("every version of {} needs {on}", self.shown(by, of))
            }
            _ => format!("{} needs {on}", self.shown(by, of)),
        }
    }
}

fn is_any(range: &VersionRange) -> bool {
    *range == VersionRange::any() || *range == VersionRange::releases()
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
            External::Custom(node, range, reason) => format!("{} {reason}", self.shown(node, range)),
            External::FromDependencyOf(by, of, on, range) => self.depends(by, of, on, range),
        }
    }

    fn format_terms(&self, terms: &Terms) -> String {
        let terms: Vec<_> = terms.iter().collect();
        match terms[..] {
            [] => "it can't be installed".into(),
            [(Node { what: What::Asked, .. }, Term::Positive(_))] => "it can't be installed".into(),
            [(node, Term::Positive(range))] => format!("{} can't be installed", self.shown(node, range)),
            [(node, Term::Negative(range))] => format!("{} is needed", self.shown(node, range)),
            [(by, Term::Positive(of)), (on, Term::Negative(range))]
            | [(on, Term::Negative(range)), (by, Term::Positive(of))] => self.depends(by, of, on, range),
            _ => {
                let shown =
                    terms.iter().filter(|(node, _)| !matches!(node.what, What::Asked)).map(|(node, term)| match term {
                        Term::Positive(range) => self.shown(node, range),
                        Term::Negative(range) => format!("nothing of {}", self.shown(node, range)),
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
