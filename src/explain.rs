//! What a run would do, said before it does.

use std::fmt;

use serde::Serialize;

use crate::report::Decision;
use crate::step::StepPlan;

/// What a run of a chain would do, step by step; made by [`Chain::explain`](crate::Chain::explain).
///
/// It prints as a line for each step, and serialises.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Explanation {
    steps: Vec<StepPlan>,
}

impl Explanation {
    /// Adds the plan of the next step. What comes behind a step that is not finished has an unknown number of rows.
    pub(crate) fn push(&mut self, plan: StepPlan) {
        let is_known = self.steps.iter().all(|before| before.decision == Decision::Skipped);
        let rows_in = plan.rows_in.filter(|_| is_known);
        self.steps.push(StepPlan { rows_in, ..plan });
    }

    /// The steps, in the order in which they would be run.
    pub fn steps(&self) -> &[StepPlan] {
        &self.steps
    }

    /// Whether nothing is left to do.
    pub fn is_done(&self) -> bool {
        self.steps.iter().all(|step| step.decision == Decision::Skipped)
    }
}

impl fmt::Display for Explanation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.steps.is_empty() {
            return f.write_str("no step is stored: rows are read from their source");
        }
        for (index, step) in self.steps.iter().enumerate() {
            if index > 0 {
                writeln!(f)?;
            }
            write!(f, "{step}")?;
        }
        Ok(())
    }
}
