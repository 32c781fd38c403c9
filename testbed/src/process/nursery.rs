//! Starts children such that none outlives us, however we end.
//!
//! The kernel can do that: a process asks to be sent SIGKILL when its parent dies
//! (`PR_SET_PDEATHSIG`). It needs care in two points. What counts as the parent is the *thread* that
//! started the process, and threads of tests are short-lived: hence one thread here that starts all
//! of them and ends with our process. And a parent that dies before the child has asked is not
//! noticed: hence the child looks, after it has asked, whether its parent is still the same.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::OnceLock;
use std::sync::mpsc::{self, Sender};
use std::thread;

/// Run by `sh` as `SCRIPT PARENT PROGRAM ARGUMENT...`.
const BECOME: &str = r#"[ "$PPID" = "$0" ] && exec "$@""#;

/// A command that is started, and where to say how that went.
struct Order {
    command: Command,
    answer: Sender<io::Result<Child>>,
}

/// A command that becomes `program`, under the same process id, and ends with us.
pub(super) fn guarded(program: &Path, arguments: &[OsString]) -> Command {
    let mut command = Command::new("setpriv");
    command
        .args(["--pdeathsig", "KILL", "--", "sh", "-c", BECOME])
        .arg(std::process::id().to_string())
        .arg(program)
        .args(arguments)
        .process_group(0);
    command
}

/// Starts a command on the thread that lives as long as we do.
///
/// # Errors
///
/// What the system says, or that `setpriv` is missing.
pub(super) fn spawn(command: Command) -> io::Result<Child> {
    let (answer, started) = mpsc::channel();
    let gone = || io::Error::other("the thread that starts processes is gone");
    let order = Order { command, answer };
    orders()?.send(order).map_err(|_| gone())?;
    started.recv().map_err(|_| gone())?
}

/// The only program that can be missing here is the one in front of all others.
fn named(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::NotFound {
        return io::Error::other("there is no `setpriv`, which is part of util-linux");
    }
    error
}

fn orders() -> io::Result<&'static Sender<Order>> {
    static ORDERS: OnceLock<Sender<Order>> = OnceLock::new();
    if let Some(orders) = ORDERS.get() {
        return Ok(orders);
    }
    let (orders, taken) = mpsc::channel::<Order>();
    let thread = thread::Builder::new().name("nursery".to_owned());
    thread.spawn(move || {
        for Order {
            mut command,
            answer,
        } in taken
        {
            let started = command.spawn().map_err(named);
            // Whoever ordered it may have gone; the child then goes unseen, but ends with us.
            drop(answer.send(started));
        }
    })?;
    // Of two threads that come here at once one is given the other's, and its own ends.
    Ok(ORDERS.get_or_init(|| orders))
}
