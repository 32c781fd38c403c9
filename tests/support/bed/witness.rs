//! Listens to all that the driver logs within a test's own process, and remembers secrets.

use std::io;
use std::sync::{Mutex, Once, PoisonError};

use rds_csi::workload::secrets::{Leak, leaks_in};
use tracing_subscriber::EnvFilter;

/// What was heard, by whichever test of this process.
static HEARD: Mutex<Vec<Leak>> = Mutex::new(Vec::new());
static LISTENING: Once = Once::new();

/// Takes one line at a time.
struct Ear;

/// Alive while a test runs; its end is the verdict.
#[derive(Debug)]
pub(crate) struct Witness(());

// === impl Witness ===

impl Witness {
    /// Listens from now on to what passes this filter. The first one of a process decides.
    pub(crate) fn to(filter: &str) -> Self {
        LISTENING.call_once(|| {
            let lines = tracing_subscriber::fmt()
                .with_env_filter(EnvFilter::new(filter))
                .with_ansi(false)
                .with_writer(|| Ear);
            // A target that sets up logs of its own is listened to elsewhere.
            drop(lines.try_init());
        });
        Self(())
    }
}

impl Drop for Witness {
    fn drop(&mut self) {
        let heard = HEARD.lock().unwrap_or_else(PoisonError::into_inner);
        assert!(
            heard.is_empty() || std::thread::panicking(),
            "secrets were told: {heard:#?}"
        );
    }
}

impl io::Write for Ear {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        let leaks = leaks_in("a log line".as_ref(), &String::from_utf8_lossy(line));
        let mut heard = HEARD.lock().unwrap_or_else(PoisonError::into_inner);
        heard.extend(leaks);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
