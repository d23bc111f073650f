//! DataChain in its own virtual environment, when Python is there: `benches/datachain`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::side::{At, Done};
use crate::{Answer, build_folder};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/datachain");

fn environment() -> Answer<PathBuf> {
    Ok(build_folder()?.join("datachain-0.62.0"))
}

/// Makes the environment if it is not there. Answers why DataChain is left out, if it is.
pub(crate) fn set_up() -> Answer<Option<String>> {
    let environment = environment()?;
    if environment.join("ready").exists() {
        return Ok(None);
    }
    eprintln!("setting up DataChain in a virtual environment of its own");
    let script = Path::new(SCRIPTS).join("setup.sh");
    Ok(match Command::new("sh").arg(script).arg(&environment).stdout(Stdio::null()).status() {
        Ok(status) if status.success() => None,
        Ok(status) => Some(format!("its setup failed: {status}")),
        Err(error) => Some(format!("its setup could not be run: {error}")),
    })
}

/// Saves the rows of a case as a dataset.
pub(crate) fn prepare(at: &At) -> Answer {
    workload("prepare", &at.shared, at.rows).map(drop)
}

/// Gives a round a folder of its own.
pub(crate) fn ready(at: &At) -> Answer {
    let status =
        Command::new("cp").arg("-r").args([at.shared.join("root"), at.round.join("root")]).status()?;
    if status.success() { Ok(()) } else { Err(format!("cp: {status}").into()) }
}

/// As it comes.
pub(crate) fn default(at: &At) -> Answer<Done> {
    workload("default", &at.round, at.rows)
}

/// With the setting that suits it best here: `prefetch=0`.
pub(crate) fn best(at: &At) -> Answer<Done> {
    workload("prefetch=0", &at.round, at.rows)
}

fn workload(what: &str, folder: &Path, rows: u64) -> Answer<Done> {
    let log = folder.join("log");
    let output = Command::new(environment()?.join("bin/python"))
        .arg(Path::new(SCRIPTS).join("workload.py"))
        .arg(what)
        .args([folder.join("root"), rows.to_string().into()])
        .stderr(fs::File::create(&log)?)
        .output()?;
    if !output.status.success() {
        return Err(format!("DataChain ended with {}: {}", output.status, fs::read_to_string(log)?).into());
    }
    let said = String::from_utf8(output.stdout)?;
    Ok(serde_json::from_str(said.lines().last().ok_or("DataChain said nothing")?)?)
}
