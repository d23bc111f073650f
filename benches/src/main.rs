#![doc = include_str!("../README.md")]

use std::error::Error;
use std::iter::successors;
use std::path::PathBuf;
use std::process::ExitCode;

mod by_hand;
mod cases;
mod datachain;
mod flights;
mod limit;
mod machine;
mod many_jobs;
mod measure;
mod ours;
mod report;
mod rows;
mod side;

use machine::Machine;
use measure::{Extent, WORKER_ARGUMENT, measure};
use report::{HEAD, Line};
use side::{Case, Target};

type Answer<T = ()> = Result<T, Box<dyn Error + Send + Sync>>;

const USAGE: &str = "\
rowmark-bench all | list | CASE... [options]

  --out FILE           also write the figures as JSON
  --rounds N           how often each side of a case runs (5)
  --quick              a hundredth of the rows, once, without DataChain: to see that all of it works
  --without-datachain  do not set DataChain up, nor run it";

/// A round of each case, and how much smaller its rows are, under `--quick`.
const QUICK: Extent = Extent { rounds: 1, divisor: 100 };
const FULL: Extent = Extent { rounds: 5, divisor: 1 };

/// What is asked for.
struct Request {
    cases: Vec<String>,
    out: Option<PathBuf>,
    extent: Extent,
    with_datachain: bool,
}

impl Request {
    fn read(mut arguments: impl Iterator<Item = String>) -> Answer<Self> {
        let mut request = Self { cases: Vec::new(), out: None, extent: FULL, with_datachain: true };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value"));
            match argument.as_str() {
                "--out" => request.out = Some(value()?.into()),
                "--rounds" => request.extent.rounds = value()?.parse()?,
                "--quick" => (request.extent, request.with_datachain) = (QUICK, false),
                "--without-datachain" => request.with_datachain = false,
                option if option.starts_with('-') => {
                    return Err(format!("{option} is no option\n\n{USAGE}").into());
                }
                case => request.cases.push(case.to_owned()),
            }
        }
        if request.cases.is_empty() || request.extent.rounds == 0 {
            return Err(USAGE.into());
        }
        Ok(request)
    }
}

/// The folder that this program was built in: what it makes is made there.
fn build_folder() -> Answer<PathBuf> {
    Ok(std::env::current_exe()?.parent().ok_or("the program lies in no folder")?.to_owned())
}

fn chosen(names: &[String], divisor: u64) -> Answer<Vec<Case>> {
    let mut cases = cases::all(divisor);
    if divisor != 1 {
        // What must be reached with all rows says nothing of fewer.
        cases.iter_mut().for_each(|case| case.targets.retain(|target| matches!(target, Target::Calls(_))));
    }
    if names != ["all"] {
        if let Some(unknown) = names.iter().find(|name| cases.iter().all(|case| case.name != **name)) {
            return Err(format!("there is no case {unknown}; `list` names them").into());
        }
        cases.retain(|case| names.iter().any(|name| name == case.name));
    }
    Ok(cases)
}

fn run(arguments: Vec<String>) -> Answer {
    match arguments.first().map(String::as_str) {
        Some(WORKER_ARGUMENT) => return measure::work(&arguments[1..]),
        Some("list") => {
            cases::all(1).iter().for_each(|case| println!("{:16} {}", case.name, case.about));
            return Ok(());
        }
        _ => {}
    }
    let Request { cases, out, extent, with_datachain } = Request::read(arguments.into_iter())?;
    let cases = chosen(&cases, extent.divisor)?;
    let is_rival = |case: &Case| case.sides.iter().any(|side| side.is_per_row);
    let why_without = match with_datachain && cases.iter().any(is_rival) {
        true => datachain::set_up()?,
        false => Some("not asked for".to_owned()),
    };
    println!("{}", Machine::this());
    println!("medians of {}; DataChain: {}\n", extent.rounds, why_without.as_deref().unwrap_or("0.62.0"));
    println!("{HEAD}");
    let mut lines = Vec::new();
    let load_before = machine::load();
    for case in &cases {
        let line = Line::new(case, &measure(case, &extent, |side| side.is_per_row && why_without.is_some())?);
        println!("{line}");
        lines.push(line);
    }
    if let (Some(before), Some(after)) = (load_before, machine::load()) {
        println!("\nload of the machine: {before:.1} before, {after:.1} after");
    }
    if let Some(out) = out {
        std::fs::write(out, serde_json::to_string_pretty(&lines)? + "\n")?;
    }
    Ok(())
}

fn main() -> ExitCode {
    match run(std::env::args().skip(1).collect()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let causes = successors(error.source(), |&cause| cause.source());
            eprintln!("{error}{}", causes.map(|cause| format!(": {cause}")).collect::<String>());
            ExitCode::FAILURE
        }
    }
}
