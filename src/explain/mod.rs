//! What a run would do, said before it does.

use std::fmt;

use serde::Serialize;

use crate::report::Decision;
use crate::step::StepPlan;

pub(crate) mod change;

/// What a run of a chain would do, step by step; made by [`Chain::explain`](crate::Chain::explain).
///
/// It prints as a tree, from the sources down to the end of the chain, the chains of a union side by side; and it
/// serialises.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Explanation {
    steps: Vec<StepPlan>,
    tree: Option<Place>,
    /// Places that no place behind them has taken yet.
    #[serde(skip)]
    open: Vec<Place>,
}

/// One place in a chain: a source, a step, or what rows are seen through between them.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[non_exhaustive]
pub struct Place {
    /// What it is: `source`, `filter`, `union`, `map`, ….
    pub kind: &'static str,
    /// Its name.
    pub name: String,
    /// What more can be said of it: of a source, which content it has.
    pub detail: Option<String>,
    /// For a step, its position among the [steps](Explanation::steps).
    pub step: Option<usize>,
    /// The places whose rows it sees: none of a source, two of a union.
    pub before: Vec<Self>,
}

impl Explanation {
    /// Adds a place without a plan that sees the rows of the last so many.
    pub(crate) fn place(&mut self, kind: &'static str, name: String, detail: Option<String>, before: usize) {
        let before = self.open.split_off(self.open.len().saturating_sub(before));
        self.open.push(Place { kind, name, detail, step: None, before });
    }

    /// Adds the plan of the next step. What comes behind a step that is not finished has an unknown number of rows.
    pub(crate) fn push(&mut self, plan: StepPlan) {
        let is_known = self.steps.iter().all(|before| before.decision == Decision::Skipped);
        let rows_in = plan.rows_in.filter(|_| is_known);
        let (kind, name, step) = (plan.kind, plan.step.clone(), self.steps.len());
        self.steps.push(StepPlan { rows_in, ..plan });
        self.place(kind, name, None, 1);
        self.open.iter_mut().next_back().expect("it was just placed").step = Some(step);
    }

    /// The end of the chain was reached.
    pub(crate) fn ended(mut self) -> Self {
        self.tree = self.open.pop();
        self
    }

    /// The steps, in the order in which they would be run.
    pub fn steps(&self) -> &[StepPlan] {
        &self.steps
    }

    /// The end of the chain, with what is before it.
    pub fn tree(&self) -> Option<&Place> {
        self.tree.as_ref()
    }

    /// Whether nothing is left to do.
    pub fn is_done(&self) -> bool {
        self.steps.iter().all(|step| step.decision == Decision::Skipped)
    }

    /// The lines of a place and of what is before it, which stands above.
    fn lines(&self, place: &Place) -> Vec<String> {
        let mut lines = match &place.before[..] {
            [] => Vec::new(),
            [before] => self.lines(before),
            _ => place
                .chains()
                .iter()
                .enumerate()
                .flat_map(|(number, chain)| self.branch(number, chain))
                .collect(),
        };
        let own = match (place.step, &place.detail) {
            (Some(step), _) => self.steps[step].to_string(),
            (None, Some(detail)) => format!("{} {}: {detail}", place.kind, place.name),
            (None, None) => format!("{} {}", place.kind, place.name).trim_end().to_owned(),
        };
        lines.push(if place.before.len() > 1 { format!("└ {own}") } else { own });
        lines
    }

    /// The lines of one of the chains of a union.
    fn branch(&self, number: usize, chain: &Place) -> Vec<String> {
        let first = if number == 0 { '┌' } else { '├' };
        let lines = self.lines(chain).into_iter().enumerate();
        lines.map(|(line, text)| format!("{} {text}", if line == 0 { first } else { '│' })).collect()
    }
}

impl Place {
    /// The chains of a union, those of the unions that it begins with among them.
    fn chains(&self) -> Vec<&Self> {
        let mut chains = Vec::new();
        let mut place = self;
        while let [first, others @ ..] = &place.before[..] {
            if place.kind != self.kind {
                break;
            }
            chains.extend(others.iter().rev());
            place = first;
        }
        chains.push(place);
        chains.reverse();
        chains
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lines = self.tree.iter().flat_map(|tree| self.lines(tree)).collect::<Vec<_>>();
        if self.steps.is_empty() {
            lines.push("no step is stored: rows are read from their source".to_owned());
        }
        f.write_str(&lines.join("\n"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_of_a_union_stand_side_by_side() {
        let mut told = Explanation::default();
        let source = |told: &mut Explanation, name: &str| {
            told.place("source", name.to_owned(), Some("content 3fa9…".to_owned()), 0);
        };
        source(&mut told, "a.csv");
        told.place("filter", "few".to_owned(), None, 1);
        source(&mut told, "b.csv");
        told.place("union", String::new(), None, 2);
        source(&mut told, "c.csv");
        source(&mut told, "d.csv");
        told.place("union", String::new(), None, 2);
        told.place("project", "both".to_owned(), None, 1);
        told.place("union", String::new(), None, 2);
        told.place("rows", "0..7".to_owned(), None, 1);
        let expected = "\
┌ source a.csv: content 3fa9…
│ filter few
├ source b.csv: content 3fa9…
├ ┌ source c.csv: content 3fa9…
│ ├ source d.csv: content 3fa9…
│ └ union
│ project both
└ union
rows 0..7
no step is stored: rows are read from their source";
        assert_eq!(told.ended().to_string(), expected);
    }
}
