//! Programs of this machine that are run to their end.

use std::ffi::OsStr;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use tokio::time::timeout;

use crate::error::Error;

/// Runs a program that only talks to the kernel, and so ends at once; gives its stdout.
pub(super) fn now<S: AsRef<OsStr>>(program: &str, arguments: &[S]) -> Result<String, Error> {
    let mut command = Command::new(program);
    let ran = command.args(arguments).stdin(Stdio::null()).output();
    judge(program, arguments, ran)
}

/// Runs a program that may take its time; gives its stdout.
pub(super) async fn within<S: AsRef<OsStr>>(
    limit: Duration,
    program: &OsStr,
    arguments: &[S],
) -> Result<String, Error> {
    let mut command = tokio::process::Command::new(program);
    command.args(arguments).stdin(Stdio::null());
    command.kill_on_drop(true);
    let name = program.to_string_lossy();
    let Ok(ran) = timeout(limit, command.output()).await else {
        return Err(Error::Late {
            what: format!("the end of {}", line(&name, arguments)),
            limit,
            last: "it was killed".to_owned(),
        });
    };
    judge(&name, arguments, ran)
}

fn judge<S: AsRef<OsStr>>(
    program: &str,
    arguments: &[S],
    ran: std::io::Result<Output>,
) -> Result<String, Error> {
    let line = || line(program, arguments);
    let output = ran.map_err(|source| Error::Process {
        attempt: "run",
        name: line(),
        source,
    })?;
    if !output.status.success() {
        return Err(Error::Ended {
            name: line(),
            status: output.status.to_string(),
            log: String::from_utf8_lossy(&output.stderr)
                .trim_end()
                .to_owned(),
        });
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

fn line<S: AsRef<OsStr>>(program: &str, arguments: &[S]) -> String {
    let arguments = arguments.iter().map(|one| one.as_ref().to_string_lossy());
    [program.into()]
        .into_iter()
        .chain(arguments)
        .collect::<Vec<_>>()
        .join(" ")
}
