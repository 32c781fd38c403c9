//! A line of RouterOS commands, a kilobyte long, in a few words.

/// What the line does, command by command: `prepare > cut > open > read back`.
pub(super) fn summary(line: &str) -> String {
    let commands = commands(line);
    let changes = commands
        .iter()
        .any(|command| word(command).is_some_and(|(_, changes)| changes));
    let mut words: Vec<&str> = Vec::new();
    for command in &commands {
        let Some((word, _)) = word(command) else {
            continue;
        };
        // A read behind a change is there to prove it.
        let word = if changes && word == "read disk" {
            "read back"
        } else {
            word
        };
        if words.last() != Some(&word) {
            words.push(word);
        }
    }
    words.join(" > ")
}

/// The word for one command, and whether it changes the device. Variables and sentinels have none.
fn word(command: &str) -> Option<(&'static str, bool)> {
    if command.starts_with(":local ") {
        return None;
    }
    // The body of `:if … do={…}` counts, not its condition.
    let command = command.split_once("do={").map_or(command, |(_, body)| body);
    let path = format!("{command} ").replace('/', " ");
    let runs = |words: &str| path.contains(words);
    Some(if runs(" disk add ") {
        ("add unless it exists", true)
    } else if runs(" disk remove ") {
        ("remove entry", true)
    } else if runs(" file remove ") {
        ("remove file", true)
    } else if runs(" disk set ") {
        (set_word(command), true)
    } else if runs(" disk print ") {
        ("read disk", false)
    } else if runs(" file print ") {
        ("read files", false)
    } else if runs(" disk find ") {
        ("count", false)
    } else if runs(" system ") {
        ("read system", false)
    } else {
        return None;
    })
}

/// What a `set` is for follows from the property behind its condition.
fn set_word(command: &str) -> &'static str {
    let given = command.rsplit_once(']').map_or(command, |(_, given)| given);
    if given.contains("nvme-tcp-export=no") {
        "cut"
    } else if given.contains("nvme-tcp-export=yes") {
        "open"
    } else if given.contains("size=") {
        "grow"
    } else if given.contains(":free:") {
        "free"
    } else {
        "prepare"
    }
}

/// The commands of a line: what stands between semicolons that are not inside quotes.
fn commands(line: &str) -> Vec<&str> {
    let (mut quoted, mut escaped) = (false, false);
    line.split(|letter: char| {
        if escaped {
            escaped = false;
            return false;
        }
        match letter {
            '\\' => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        letter == ';' && !quoted
    })
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rds::command::ReadForm;
    use crate::rds::line::{CreateLine, Line, PublishLine, RemoveEntryLine, RevokeLine};
    use crate::rds::names::Names;
    use crate::rds::value::{BackingFile, DeviceName, Nonce, Slot};

    fn slot() -> Slot {
        Slot::new("csi-0123456789abcdef0123456789ab").unwrap()
    }

    fn name(text: &str) -> DeviceName {
        DeviceName::new(text).unwrap()
    }

    fn names(tail: &str) -> Names {
        Names::Pair {
            subsystem: name(&format!("nqn.a:csi-1:{tail}")),
            host: name(&format!("nqn.b:c:{tail}")),
        }
    }

    fn create(form: ReadForm) -> Line {
        Line::create(&CreateLine {
            slot: slot(),
            file: BackingFile::new("/storage-pool/metal-csi/a.img").unwrap(),
            size: 1 << 30,
            port: 4420,
            subsystem: Some(name("nqn.a:csi-1:free:1-2-3")),
            host: Some(name("nqn.b:c:free:1-2-3")),
            form,
        })
        .unwrap()
    }

    fn check(line: &Line, expected: &str) {
        let text = line.render(&Nonce::new(7)).unwrap();
        assert_eq!(summary(&text), expected, "{text}");
    }

    #[test]
    fn each_line_of_the_driver_is_told_step_by_step() {
        for form in [ReadForm::Json, ReadForm::Text] {
            let (slot, free, pair) = (slot(), names("free:1-2-3"), names("n:1-2-4"));
            let publish = Line::publish(&PublishLine {
                slot: slot.clone(),
                expected: free.clone(),
                pair: pair.clone(),
                form,
            });
            check(&publish.unwrap(), "prepare > cut > open > read back");
            let revoke = Line::revoke(&RevokeLine {
                slot: slot.clone(),
                pair,
                free: free.clone(),
                form,
            });
            check(&revoke.unwrap(), "cut > free > read back");
            check(&create(form), "add unless it exists > read back");
            let grow = Line::grow(&slot, 2 << 30, form).unwrap();
            check(&grow, "grow > read back");
            let remove = Line::remove_entry(&RemoveEntryLine {
                slot,
                names: free,
                form,
            });
            check(&remove, "remove entry > read back > read files");
        }
    }

    #[test]
    fn lines_that_only_read_and_lines_nobody_knows_are_told_too() {
        let rows = [
            (
                "/disk print detail where slot=\"a\";:put \"N-0\"",
                "read disk",
            ),
            (":put [:len [/disk find where slot~\"^csi-\"]]", "count"),
            (
                ":put [/system/resource/get version];:put \"N-0\";:put [/system/identity/get name]",
                "read system",
            ),
            (
                ":local s \"a;/disk remove b\\\";\";/file print",
                "read files",
            ),
            (":put 1", ""),
        ];
        for (line, expected) in rows {
            assert_eq!(summary(line), expected, "{line}");
        }
    }
}
