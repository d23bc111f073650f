//! What a run did, for people: rows reused, computed and failed for each step, and why.

use std::collections::BTreeSet;
use std::fmt;
use std::time::Duration;

use rowmark_metastore::{CodeRows, JobId};
use serde::Serialize;

use crate::step::StepPlan;

/// What was done with a step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub enum Decision {
    /// Its whole result was found; its function was not called.
    Skipped,
    /// Some rows were found; only the missing ones were computed.
    Continued,
    /// Rows that were computed over another input were found by their content; only new and changed ones were computed.
    ReusedRows,
    /// All rows were computed.
    Run,
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Skipped => "skipped",
            Self::Continued => "continued",
            Self::ReusedRows => "reused by row",
            Self::Run => "run",
        })
    }
}

/// What a run did with one step. All counts but `rows_out` are in rows of the step's input: the
/// source or stored step before it, before any filter between.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub struct StepReport {
    /// The step's name.
    pub step: String,
    /// Whether it was skipped, continued or run.
    pub decision: Decision,
    /// Why.
    pub reason: String,
    /// The job whose rows were used, where it is another than this one.
    pub reused_from: Option<JobId>,
    /// Rows of the input.
    pub rows_in: u64,
    /// Rows that were done before this run.
    pub rows_reused: u64,
    /// Rows that this run computed.
    pub rows_computed: u64,
    /// Rows that failed in this run.
    pub rows_failed: u64,
    /// Rows of the output, so far as it was stored when the run ended.
    pub rows_out: u64,
    /// Which code made how many of the finished rows: more than one after a body was edited and
    /// the step continued.
    pub codes: Vec<CodeRows>,
    /// Rows were used that another build of the program computed, by the same code as far as it is tracked: what the code
    /// uses and does not list may have changed since. It is told once for each build, not by every run of it.
    pub other_build: bool,
    /// How long it took.
    pub elapsed: Duration,
}

impl StepReport {
    /// What would be reported if a plan were all that is done.
    pub(crate) fn of_plan(plan: &StepPlan) -> Self {
        Self {
            step: plan.step.clone(),
            decision: plan.decision,
            reason: plan.reason.clone(),
            reused_from: plan.reused_from,
            rows_in: plan.rows_in.unwrap_or_default(),
            rows_reused: plan.rows_done,
            rows_computed: 0,
            rows_failed: 0,
            rows_out: 0,
            codes: Vec::new(),
            other_build: false,
            elapsed: Duration::ZERO,
        }
    }
}

/// What a run did, step by step. Prints as a small table.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Report {
    steps: Vec<StepReport>,
}

impl Report {
    pub(crate) fn push(&mut self, step: StepReport) {
        self.steps.push(step);
    }

    /// The steps, in the order in which they ran.
    pub fn steps(&self) -> &[StepReport] {
        &self.steps
    }

    /// The report of the last step of this name.
    pub fn step(&self, name: &str) -> Option<&StepReport> {
        self.steps.iter().rev().find(|step| step.step == name)
    }

    /// Rows that this run computed, over all steps.
    pub fn rows_computed(&self) -> u64 {
        self.steps.iter().map(|step| step.rows_computed).sum()
    }

    /// Rows that were done before this run, over all steps.
    pub fn rows_reused(&self) -> u64 {
        self.steps.iter().map(|step| step.rows_reused).sum()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let width = self.steps.iter().map(|step| step.step.chars().count()).chain([4]).max().unwrap_or(4);
        write!(
            f,
            "{:width$}  {:>11} {:>11} {:>11} {:>7} {:>11}  why",
            "step", "rows in", "reused", "computed", "failed", "rows out"
        )?;
        for step in &self.steps {
            write!(
                f,
                "\n{:width$}  {:>11} {:>11} {:>11} {:>7} {:>11}  {}: {}",
                step.step,
                grouped(step.rows_in),
                grouped(step.rows_reused),
                grouped(step.rows_computed),
                grouped(step.rows_failed),
                grouped(step.rows_out),
                step.decision,
                step.reason,
            )?;
            if step.codes.len() > 1 {
                let codes: Vec<String> = step
                    .codes
                    .iter()
                    .map(|made| format!("{} by {}", grouped(made.rows), made.code.short()))
                    .collect();
                write!(f, " ({})", codes.join(", "))?;
            }
        }
        let of_other_builds: BTreeSet<&str> =
            self.steps.iter().filter(|step| step.other_build).map(|step| step.step.as_str()).collect();
        if !of_other_builds.is_empty() {
            let steps = of_other_builds.into_iter().collect::<Vec<_>>().join(", ");
            write!(
                f,
                "\nthe program was built anew since rows that were used here were computed: {steps}\n  their code is \
                 the same, as far as it is tracked; helpers, constants, macros and dependencies that it uses and does \
                 not list in `uses(…)` may have changed"
            )?;
        }
        Ok(())
    }
}

/// A number with its thousands set apart.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(' ');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thousands_are_set_apart() {
        for (number, text) in [(0, "0"), (999, "999"), (1000, "1 000"), (1_234_567, "1 234 567")] {
            assert_eq!(grouped(number), text);
        }
    }
}
