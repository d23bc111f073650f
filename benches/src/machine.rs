//! What machine the figures come from: nothing by which it could be found.

use std::fmt;
use std::fs::read_to_string;
use std::process::Command;

/// A machine, as far as figures depend on it.
pub(crate) struct Machine {
    cores: usize,
    cpu: String,
    kernel: String,
    rustc: String,
}

impl Machine {
    /// Asks this machine; what it does not tell is `unknown`.
    pub(crate) fn this() -> Self {
        let unknown = || "unknown".to_owned();
        let cpus = read_to_string("/proc/cpuinfo").unwrap_or_default();
        let model = cpus.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
        let kernel = read_to_string("/proc/sys/kernel/osrelease").ok();
        let rustc = Command::new("rustc").arg("--version").output().ok();
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            cpu: model.map_or_else(unknown, |(_, model)| model.trim().to_owned()),
            kernel: kernel.map_or_else(unknown, |kernel| kernel.trim().to_owned()),
            rustc: rustc.map_or_else(unknown, |said| String::from_utf8_lossy(&said.stdout).trim().to_owned()),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { cores, cpu, kernel, rustc } = self;
        write!(f, "{cores} cores, {cpu}, {} {kernel}, {rustc}", std::env::consts::OS)
    }
}

/// How many programs wanted a core in the last minute, on average; more than the cores is a busy machine.
pub(crate) fn load() -> Option<f64> {
    read_to_string("/proc/loadavg").ok()?.split_whitespace().next()?.parse().ok()
}

/// The most memory that this process has held so far; 0 where the system does not tell.
pub(crate) fn peak_bytes() -> u64 {
    let status = read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).map_or(0, |kib| kib << 10)
}
