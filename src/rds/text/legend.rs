//! The legend of a listing: what its flag letters mean.

/// Flag letters and their names in lower case, such as `M` and `mounted`.
#[derive(Debug, Default)]
pub(super) struct Legend {
    flags: Vec<(char, String)>,
    begun: bool,
}

impl Legend {
    /// Takes a line if it is part of the legend.
    ///
    /// The legend starts with `Flags:`; without a terminal RouterOS prints all flags of the menu over
    /// several lines, with or without indentation.
    pub(super) fn take(&mut self, line: &str) -> bool {
        let line = line.trim();
        let entries = match line.strip_prefix("Flags:") {
            Some(rest) if !self.begun => rest,
            None if self.begun => line,
            _ => return false,
        };
        // Semicolons part flag columns, commas the letters that share one.
        let entries = entries
            .split([';', ','])
            .map(str::trim)
            .filter(|entry| !entry.is_empty());
        let flags: Option<Vec<_>> = entries.map(flag).collect();
        match flags {
            Some(flags) if !(self.begun && flags.is_empty()) => {
                self.flags.extend(flags);
                self.begun = true;
                true
            }
            _ => false,
        }
    }

    /// The names of the given letters.
    pub(super) fn names(&self, letters: &str) -> impl Iterator<Item = &str> {
        let set = self
            .flags
            .iter()
            .filter(move |(letter, _)| letters.contains(*letter));
        set.map(|(_, name)| name.as_str())
    }
}

/// Reads `M - MOUNTED`.
fn flag(entry: &str) -> Option<(char, String)> {
    let (letter, name) = entry.split_once(" - ")?;
    let mut letters = letter.chars();
    let (Some(letter), None) = (letters.next(), letters.next()) else {
        return None;
    };
    let plain = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-';
    let named = letter.is_ascii_alphabetic() && !name.is_empty() && name.chars().all(plain);
    named.then(|| (letter, name.to_ascii_lowercase()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(lines: &[&str], letters: &str, names: &[&str]) {
        let mut legend = Legend::default();
        for line in lines {
            assert!(legend.take(line), "{line:?}");
        }
        assert_eq!(
            legend.names(letters).collect::<Vec<_>>(),
            names,
            "{lines:?}"
        );
    }

    #[test]
    fn legend_of_any_layout_names_its_letters() {
        check(
            &["Flags: B - BLOCK-DEVICE; t - NVME-TCP-EXPORT"],
            "Bt",
            &["block-device", "nvme-tcp-export"],
        );
        let full = [
            "Flags: X - DISABLED; A - ACQUIRED, E - EMPTY, B - BLOCK-DEVICE;",
            "M - MOUNTED, F - FORMATTING, S - SWAP-ENABLED;",
            "       g - GUID-PARTITION-TABLE, p - PARTITION",
        ];
        check(&full, "Mg", &["mounted", "guid-partition-table"]);
        check(&["Flags: S - SHARED"], "", &[]);
    }

    #[test]
    fn records_are_not_legend() {
        let mut legend = Legend::default();
        for line in [
            "",
            "M - MOUNTED",
            " 0  B  type=file",
            "type=file slot=\"a\"",
        ] {
            assert!(!legend.take(line), "{line:?}");
        }
        assert!(legend.take("Flags: B - BLOCK-DEVICE"));
        for line in [
            "",
            " ",
            " 0  B  type=file",
            "Flags: M - MOUNTED",
            "Columns: SLOT, SIZE",
        ] {
            assert!(!legend.take(line), "{line:?}");
        }
    }
}
