//! Secrets that give themselves away: whatever simulations and tests log in with has a mark, and
//! wherever a mark is found that is not the place of a secret, somebody has told one.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// What no process may ever say, one on a line: the mark itself, the mark as a list of bytes, and how
/// every private key begins, as PEM, in base64 and decoded. `tests/run.sh` reads the same file.
const MARKS: &str = include_str!("secrets/marks.txt");

/// Files in which processes leave what they say.
const KINDS: [&str; 2] = ["log", "out"];

/// A line with a secret in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Leak {
    /// Where it was said: a file, or words for what has no name.
    pub place: PathBuf,
    /// The number of the line there, from 1.
    pub line: usize,
    /// All of it.
    pub text: String,
}

// === impl Leak ===

impl fmt::Display for Leak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.place.display(), self.line, self.text)
    }
}

/// The mark: the first of what must not be said.
fn mark() -> &'static str {
    MARKS.lines().next().unwrap_or_default()
}

/// A password that nobody else has.
pub fn password() -> String {
    format!("{}-{:032x}", mark(), rand::random::<u128>())
}

/// A password that is the same each time, such as one that an in-process server compares with.
pub fn known_password() -> &'static str {
    mark()
}

/// What a sidecar sends with a call where a StorageClass names a Secret.
pub fn of_a_call<M: FromIterator<(String, String)>>() -> M {
    std::iter::once(("password".to_owned(), password())).collect()
}

/// Every line of a text that has a secret in it.
pub fn leaks_in(place: &Path, text: &str) -> Vec<Leak> {
    if !MARKS.lines().any(|mark| text.contains(mark)) {
        return Vec::new();
    }
    let lines = text.lines().zip(1..);
    let told = lines.filter(|(line, _)| MARKS.lines().any(|mark| line.contains(mark)));
    told.map(|(text, line)| Leak {
        place: place.to_owned(),
        line,
        text: text.to_owned(),
    })
    .collect()
}

/// Every line that has a secret in it in the logs in this folder and those below it.
///
/// # Errors
/// A folder or a log cannot be read.
pub fn leaks_below(folder: &Path) -> io::Result<Vec<Leak>> {
    let mut leaks = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let kind = path.extension().and_then(|kind| kind.to_str());
        if path.is_dir() {
            leaks.extend(leaks_below(&path)?);
        } else if kind.is_some_and(|kind| KINDS.contains(&kind)) {
            let text = fs::read(&path)?;
            leaks.extend(leaks_in(&path, &String::from_utf8_lossy(&text)));
        }
    }
    Ok(leaks)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn a_secret_is_found_however_it_is_told() {
        let password = password();
        let bytes = format!("{:?}", password.as_bytes());
        let calls: BTreeMap<String, String> = of_a_call();
        let rows = [
            password.as_str(),
            known_password(),
            &bytes,
            &format!("{calls:?}"),
            "-----BEGIN OPENSSH PRIVATE KEY-----",
            "b3BlbnNzaC1rZXktdjEAAAAABG5vbmU",
        ];
        for told in rows {
            let text = format!("all is well\nkey={told} more\nall is well");
            let [leak] = leaks_in(Path::new("a.log"), &text).try_into().unwrap();
            assert_eq!(leak.to_string(), format!("a.log:2: key={told} more"));
        }
        assert_eq!(leaks_in(Path::new("a.log"), "password <redacted>"), []);
    }

    #[test]
    fn logs_are_searched_in_every_folder_and_files_that_hold_secrets_are_not() {
        let folder = tempfile::tempdir().unwrap();
        let inner = folder.path().join("pod");
        fs::create_dir(&inner).unwrap();
        for name in ["1.log", "1.out", "password", "kubeconfig"] {
            fs::write(inner.join(name), format!("a line\n{}\n", password())).unwrap();
        }
        let mut found = leaks_below(folder.path()).unwrap();
        found.sort_by(|one, other| one.place.cmp(&other.place));
        let places: Vec<_> = found.iter().map(|leak| (&leak.place, leak.line)).collect();
        assert_eq!(
            places,
            [(&inner.join("1.log"), 2), (&inner.join("1.out"), 2)]
        );
    }
}
