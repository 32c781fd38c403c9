//! What each process of the driver was, by its own log: whether it led, and what it was asked before;
//! and by that, which containers had a reason to end.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::Deployment;
use crate::pod::exits::{Cause, Exit};
use crate::trouble::{Attempt, Trouble};

/// What the driver says when the Lease has become its own.
const ELECTED: &str = "\"elected; ";
/// Every CSI call but those of Identity, as the driver's log names them.
const CALLS: &str = "csi.v1.Controller/";
/// A container as its files are named: the pod, and itself.
type Place<'a> = (&'a str, &'a str);

/// One process of the driver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Life {
    /// Its pod.
    pub pod: String,
    /// The how manieth of its container, from 1.
    pub number: usize,
    /// Whether it was ever elected.
    pub led: bool,
    /// What it logged of calls other than those of Identity before that.
    pub asked_before: Vec<String>,
}

// === impl Life ===

impl Life {
    /// Reads every log of the container `driver` in a folder.
    ///
    /// # Errors
    /// The folder or a file of it cannot be read.
    fn all(logs: &Path, driver: &str) -> Result<Vec<Self>, Trouble> {
        let what = || format!("read the logs in {}", logs.display());
        let mut lives = Vec::new();
        for file in fs::read_dir(logs).attempt(what)? {
            let path = file.attempt(what)?.path();
            let name = path.file_name().and_then(|name| name.to_str());
            // POD.CONTAINER.LIFE.log; what runs inside a container has one word more.
            let parts: Vec<&str> = name.unwrap_or_default().split('.').collect();
            if let [pod, container, number, "log"] = parts.as_slice()
                && *container == driver
                && let Ok(number) = number.parse()
            {
                let log = fs::read(&path).attempt(what)?;
                lives.push(Self::read(pod, number, &String::from_utf8_lossy(&log)));
            }
        }
        lives.sort_by(|a, b| (&a.pod, a.number).cmp(&(&b.pod, b.number)));
        Ok(lives)
    }

    fn read(pod: &str, number: usize, log: &str) -> Self {
        let before = log.lines().take_while(|line| !line.contains(ELECTED));
        let asked = before.filter(|line| line.contains(CALLS));
        Self {
            pod: pod.to_owned(),
            number,
            led: log.contains(ELECTED),
            asked_before: asked.map(ToOwned::to_owned).collect(),
        }
    }
}

/// What is wrong with how a deployment lived. A driver that never led is asked nothing but Identity
/// and does not end by itself; a sidecar ends by itself only beside a driver that ended, once for each
/// time.
fn wrongs(lives: &[Life], exits: &[Exit], driver: &str) -> Vec<String> {
    let mut wrongs = Vec::new();
    for life in lives.iter().filter(|life| !life.asked_before.is_empty()) {
        let (pod, number, asked) = (&life.pod, life.number, life.asked_before.join("\n"));
        wrongs.push(format!(
            "process {number} of {driver} in {pod} was asked before it led:\n{asked}"
        ));
    }
    let mut ends: BTreeMap<Place<'_>, usize> = BTreeMap::new();
    let mut by_themselves: BTreeMap<Place<'_>, Vec<&Exit>> = BTreeMap::new();
    for exit in exits {
        let place = (exit.pod.as_str(), exit.container.as_str());
        let number = ends.entry(place).or_default();
        *number += 1;
        if exit.cause != Cause::Itself {
            continue;
        }
        let mut of_pod = lives.iter().filter(|life| life.pod == exit.pod);
        if exit.container != driver {
            by_themselves.entry(place).or_default().push(exit);
        } else if !of_pod.any(|life| life.number == *number && life.led) {
            wrongs.push(format!("it never led, but ended: {}", described(exit)));
        }
    }
    for ((pod, _), exits) in by_themselves {
        let beside = ends.get(&(pod, driver)).copied().unwrap_or_default();
        for exit in exits.get(beside..).unwrap_or_default() {
            wrongs.push(format!(
                "more exits than the {beside} of the driver beside it: {}",
                described(exit)
            ));
        }
    }
    wrongs
}

fn described(exit: &Exit) -> String {
    let (container, pod, code, said) = (&exit.container, &exit.pod, exit.code(), &exit.said);
    format!("{container} of {pod} with {code}, which said:\n{said}")
}

// === impl Deployment ===

impl Deployment {
    /// The name of the driver's container.
    ///
    /// # Errors
    /// There is none.
    pub fn driver(&self) -> Result<&str, Trouble> {
        let spec = &self.plan.spec;
        let mut containers = spec
            .init_containers
            .iter()
            .flatten()
            .chain(&spec.containers);
        let driver = containers.find(|one| {
            let mut arguments = one.args.iter().flatten();
            arguments.any(|argument| argument.starts_with("--endpoint="))
        });
        let driver = driver.ok_or_else(|| Trouble::found("no container is the driver"))?;
        Ok(&driver.name)
    }

    /// Every process of the driver so far, by what it logged.
    ///
    /// # Errors
    /// The logs cannot be read.
    pub fn lives(&self) -> Result<Vec<Life>, Trouble> {
        Life::all(&self.plan.logs, self.driver()?)
    }

    /// Whether everybody who ended had a reason to, and nobody was asked who does not lead.
    ///
    /// # Errors
    /// Says who did, and who was.
    pub fn check_lives(&self) -> Result<(), Trouble> {
        let wrongs = wrongs(&self.lives()?, &self.exits().all(), self.driver()?);
        if wrongs.is_empty() {
            return Ok(());
        }
        Err(Trouble::found(wrongs.join("\n")))
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;
    use std::time::Instant;

    use super::*;

    const LED: &str = r#"{"message":"following"}
{"message":"elected; the RDS is to be read"}
{"span":{"rpc.method":"csi.v1.Controller/CreateVolume"},"message":"rpc done"}
"#;

    /// Pod, container, and who wanted it.
    type Ended<'a> = (&'a str, &'a str, Cause);

    fn exit(pod: &str, container: &str, cause: Cause) -> Exit {
        Exit {
            at: Instant::now(),
            pod: pod.to_owned(),
            container: container.to_owned(),
            status: ExitStatus::from_raw(256),
            cause,
            said: String::new(),
        }
    }

    #[test]
    fn a_process_is_what_its_log_says() {
        let led = Life::read("c-1", 1, LED);
        assert!(led.led && led.asked_before.is_empty(), "{led:?}");
        let asked = LED.lines().last().unwrap();
        let followed = Life::read("c-1", 1, asked);
        assert!(!followed.led, "{followed:?}");
        assert_eq!(followed.asked_before, [asked]);
    }

    #[test]
    fn only_leaders_and_who_is_beside_them_may_end() {
        let lives = [
            Life::read("c-1", 1, LED),
            Life::read("c-1", 2, ""),
            Life::read("c-2", 1, ""),
        ];
        let (by_itself, struck) = (Cause::Itself, Cause::Blow);
        let rows: [(&[Ended<'_>], usize); 8] = [
            (&[], 0),
            (&[("c-1", "d", by_itself), ("c-1", "s", by_itself)], 0),
            (&[("c-1", "d", struck), ("c-1", "s", by_itself)], 0),
            // The second process of the pod never led.
            (&[("c-1", "d", struck), ("c-1", "d", by_itself)], 1),
            (&[("c-2", "d", by_itself)], 1),
            (&[("c-2", "s", by_itself)], 1),
            (&[("c-2", "s", struck)], 0),
            (
                &[
                    ("c-1", "s", by_itself),
                    ("c-1", "d", by_itself),
                    ("c-1", "s", by_itself),
                ],
                1,
            ),
        ];
        for (exits, expected) in rows {
            let exits = exits
                .iter()
                .map(|(pod, name, cause)| exit(pod, name, *cause));
            let exits: Vec<Exit> = exits.collect();
            let wrongs = wrongs(&lives, &exits, "d");
            assert_eq!(wrongs.len(), expected, "{wrongs:?}");
        }
        let asked = [Life::read("c-2", 1, CALLS)];
        assert_eq!(wrongs(&asked, &[], "d").len(), 1);
    }
}
