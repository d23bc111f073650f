//! Tells the crate by what, and for what, it is built: a run records it as evidence (`src/executable.rs`).

use std::env;
use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-env=ROWMARK_COMPILER={}", compiler().unwrap_or_else(|| "unknown".to_owned()));
    println!(
        "cargo::rustc-env=ROWMARK_TARGET={}",
        env::var("TARGET").unwrap_or_else(|_| "unknown".to_owned())
    );
}

/// What the compiler says of itself, such as `rustc 1.95.0 (59807616e 2026-04-14)`.
fn compiler() -> Option<String> {
    let output = Command::new(env::var_os("RUSTC")?).arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.lines().next().map(str::to_owned).filter(|line| !line.is_empty())
}
