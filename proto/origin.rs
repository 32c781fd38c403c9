//! Which commit and which compiler the binary comes from, for `src/version.rs` and who else says it.

use std::env;
use std::path::Path;
use std::process::Command;

/// Sets `RDS_CSI_COMMIT` and `RDS_CSI_RUSTC` for the crate.
pub(crate) fn tell() {
    println!("cargo::rerun-if-changed=build");
    println!("cargo::rerun-if-env-changed=RDS_CSI_COMMIT");
    let commit = given().or_else(asked);
    let commit = commit.as_deref().unwrap_or("unknown");
    println!("cargo::rustc-env=RDS_CSI_COMMIT={commit}");
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let rustc = said(Command::new(rustc).arg("--version"));
    let rustc = rustc.as_deref().unwrap_or("unknown");
    println!("cargo::rustc-env=RDS_CSI_RUSTC={rustc}");
}

/// An image is built from sources without their history: who builds it says the commit.
fn given() -> Option<String> {
    let commit = env::var("RDS_CSI_COMMIT").ok()?;
    (!commit.is_empty()).then_some(commit)
}

/// The commit that is checked out, with `-dirty` behind it if files differ. Optimised builds only: the
/// others would be compiled anew after every commit, for a line that nobody reads in them.
fn asked() -> Option<String> {
    // Sources that were unpacked inside somebody else's repository are not of its commit.
    if env::var("PROFILE").ok()? != "release" || !Path::new(".git").exists() {
        return None;
    }
    let log = said(Command::new("git").args(["rev-parse", "--git-path", "logs/HEAD"]))?;
    for changing in [log.as_str(), "src", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={changing}");
    }
    let describe = [
        "describe",
        "--always",
        "--dirty",
        "--abbrev=40",
        "--exclude=*",
    ];
    said(Command::new("git").args(describe))
}

/// What a command printed, if it went well.
fn said(command: &mut Command) -> Option<String> {
    let output = command.output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| text.trim().to_owned())
}
