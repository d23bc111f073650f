//! Runs the sides of a case in turn, each time in a process of its own, and takes medians.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::side::{At, Case, Clock, Done, Side};
use crate::{Answer, build_folder, machine};

/// How a process of this program knows that it is to work for another.
pub(crate) const WORKER_ARGUMENT: &str = "--worker";

/// How often and how much.
pub(crate) struct Extent {
    pub(crate) rounds: usize,
    /// Cases have their rows divided by it.
    pub(crate) divisor: u64,
}

/// The medians of one side.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Figures {
    /// The rows that it was given.
    pub(crate) rows: u64,
    /// The rows that it stored.
    pub(crate) stored: u64,
    pub(crate) calls: Option<u64>,
    pub(crate) seconds: f64,
    pub(crate) peak_bytes: u64,
}

impl Figures {
    pub(crate) fn rows_per_second(&self) -> f64 {
        self.rows as f64 / self.seconds
    }
}

/// What a worker says of one run.
#[derive(Serialize, Deserialize)]
struct Said {
    done: Done,
    seconds: f64,
    peak_bytes: u64,
}

/// Measures the sides of a case that are not left out: the figures of each, in their order.
pub(crate) fn measure(
    case: &Case,
    extent: &Extent,
    left_out: impl Fn(&Side) -> bool,
) -> Answer<Vec<(&'static str, Figures)>> {
    // Beside the build and not in the system's folder for temporary files, which may be memory.
    let folder = tempfile::tempdir_in(build_folder()?)?;
    let sides: Vec<&Side> = case.sides.iter().filter(|side| !left_out(side)).collect();
    let worker = |phase: &str, side: &Side, round: &Path| -> Answer<Output> {
        let mut command = Command::new(std::env::current_exe()?);
        command.args([WORKER_ARGUMENT, phase, case.name, side.name]).arg(extent.divisor.to_string());
        let output = command.arg(folder.path().join(side.name)).arg(round).stderr(Stdio::piped()).output()?;
        if output.status.success() || (side.crashes && phase == "ready") {
            return Ok(output);
        }
        let error = String::from_utf8_lossy(&output.stderr);
        Err(format!("{} of {}, {phase}: {error}", side.name, case.name).into())
    };
    for side in &sides {
        std::fs::create_dir(folder.path().join(side.name))?;
        worker("prepare", side, folder.path())?;
    }
    let mut runs: Vec<Vec<Figures>> = vec![Vec::new(); sides.len()];
    for _ in 0..extent.rounds {
        for (side, runs) in sides.iter().zip(&mut runs) {
            let round = tempfile::tempdir_in(folder.path())?;
            worker("ready", side, round.path())?;
            // What others left to be written is not to be waited for by this one.
            Command::new("sync").status()?;
            let begun = Instant::now();
            let output = worker("run", side, round.path())?;
            let process = begun.elapsed().as_secs_f64();
            let said = String::from_utf8(output.stdout)?;
            let Said { done, seconds, peak_bytes } =
                serde_json::from_str(said.lines().last().ok_or("the worker said nothing")?)?;
            let seconds = if side.clock == Clock::Process { process } else { seconds };
            runs.push(Figures { rows: side.rows, stored: done.rows, calls: done.calls, seconds, peak_bytes });
        }
    }
    let figures: Vec<_> = sides.iter().zip(runs).map(|(side, runs)| (side.name, medians(runs))).collect();
    let (_, ours) = figures[0];
    let does_less = |rival: &Figures| rival.rows == ours.rows && rival.stored != ours.stored;
    match figures.iter().find(|(_, rival)| does_less(rival)) {
        Some((name, _)) => Err(format!("{name} stores other rows than rowmark in {}", case.name).into()),
        None => Ok(figures),
    }
}

fn medians(runs: Vec<Figures>) -> Figures {
    let middle = runs.len() / 2;
    let mut seconds: Vec<f64> = runs.iter().map(|run| run.seconds).collect();
    let mut peaks: Vec<u64> = runs.iter().map(|run| run.peak_bytes).collect();
    seconds.sort_unstable_by(f64::total_cmp);
    peaks.sort_unstable();
    let calls = runs.iter().map(|run| run.calls).max().flatten();
    Figures { seconds: seconds[middle], peak_bytes: peaks[middle], calls, ..runs[0] }
}

/// Works for another process of this program: a phase of a side of a case.
pub(crate) fn work(arguments: &[String]) -> Answer {
    let [phase, case, side, divisor, shared, round] = arguments else {
        return Err("a worker is started by this program itself".into());
    };
    let cases = crate::cases::all(divisor.parse()?);
    let case = cases.iter().find(|known| known.name == case).ok_or("no such case")?;
    let side = case.sides.iter().find(|known| known.name == side).ok_or("no such side")?;
    let at = At { shared: PathBuf::from(shared), round: PathBuf::from(round), rows: side.rows };
    match phase.as_str() {
        "prepare" => return (side.prepare)(&at),
        "ready" => return (side.ready)(&at),
        _ => {}
    }
    let begun = Instant::now();
    let done = (side.run)(&at)?;
    let seconds = done.seconds.unwrap_or_else(|| begun.elapsed().as_secs_f64());
    let peak_bytes = done.peak_bytes.unwrap_or_else(machine::peak_bytes);
    println!("{}", serde_json::to_string(&Said { done, seconds, peak_bytes })?);
    Ok(())
}
