//! A case and its sides: what is timed, each time in a process of its own.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::Answer;

/// Where a side works.
pub(crate) struct At {
    /// What was prepared once; no round changes it.
    pub(crate) shared: PathBuf,
    /// What one round makes; it is removed afterwards.
    pub(crate) round: PathBuf,
    pub(crate) rows: u64,
}

impl At {
    /// Where what a round makes is what all rounds share.
    pub(crate) fn preparing(&self) -> Self {
        Self { shared: self.shared.clone(), round: self.shared.clone(), rows: self.rows }
    }
}

/// What a side did.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub(crate) struct Done {
    /// The rows that it stored.
    pub(crate) rows: u64,
    /// How often a UDF was called, where that is the question.
    pub(crate) calls: Option<u64>,
    /// What it measured itself, where it is another program.
    pub(crate) seconds: Option<f64>,
    pub(crate) peak_bytes: Option<u64>,
}

impl Done {
    pub(crate) fn rows(rows: u64) -> Self {
        Self { rows, ..Self::default() }
    }

    pub(crate) fn calls(self, calls: u64) -> Self {
        Self { calls: Some(calls), ..self }
    }
}

/// What is on the clock.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Clock {
    /// The work, without what a process costs.
    Work,
    /// The process from its start to its exit.
    Process,
}

/// One way to do the work of a case.
pub(crate) struct Side {
    pub(crate) name: &'static str,
    pub(crate) rows: u64,
    pub(crate) clock: Clock,
    /// It is given fewer rows than the case has, and ratios are of the time for a row.
    pub(crate) is_per_row: bool,
    /// Makes what all rounds read.
    pub(crate) prepare: fn(&At) -> Answer,
    /// Makes what one round needs; off the clock.
    pub(crate) ready: fn(&At) -> Answer,
    /// Getting ready ends in a crash.
    pub(crate) crashes: bool,
    pub(crate) run: fn(&At) -> Answer<Done>,
}

impl Side {
    pub(crate) fn new(name: &'static str, rows: u64, run: fn(&At) -> Answer<Done>) -> Self {
        let nothing: fn(&At) -> Answer = |_| Ok(());
        Self {
            name,
            rows,
            clock: Clock::Work,
            is_per_row: false,
            prepare: nothing,
            ready: nothing,
            crashes: false,
            run,
        }
    }

    pub(crate) fn prepared(self, prepare: fn(&At) -> Answer) -> Self {
        Self { prepare, ..self }
    }

    pub(crate) fn ready(self, ready: fn(&At) -> Answer) -> Self {
        Self { ready, ..self }
    }

    pub(crate) fn crashed(self, ready: fn(&At) -> Answer) -> Self {
        Self { ready, crashes: true, ..self }
    }

    pub(crate) fn per_row(self) -> Self {
        Self { is_per_row: true, ..self }
    }

    pub(crate) fn whole_process(self) -> Self {
        Self { clock: Clock::Process, ..self }
    }
}

/// What a case must reach.
#[derive(Clone, Copy)]
pub(crate) enum Target {
    /// Time, as a multiple of a rival's.
    AtMost(f64, &'static str),
    /// So many times as fast as a rival.
    Faster(f64, &'static str),
    /// Time, as a multiple of what the waiting alone takes, in seconds.
    Ideal(f64, f64),
    Seconds(f64),
    RowsPerSecond(f64),
    PeakBytes(u64),
    /// How often the UDF is called.
    Calls(u64),
    /// Memory, as a multiple of a rival's.
    Peak(f64, &'static str),
}

/// Something that is measured.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) about: &'static str,
    /// Ours, then its rivals.
    pub(crate) sides: Vec<Side>,
    pub(crate) targets: Vec<Target>,
}

impl Case {
    pub(crate) fn new(name: &'static str, about: &'static str, sides: impl Into<Vec<Side>>) -> Self {
        Self { name, about, sides: sides.into(), targets: Vec::new() }
    }

    pub(crate) fn beside(mut self, rival: Side) -> Self {
        self.sides.push(rival);
        self
    }

    pub(crate) fn reaching(mut self, targets: impl IntoIterator<Item = Target>) -> Self {
        self.targets.extend(targets);
        self
    }
}
