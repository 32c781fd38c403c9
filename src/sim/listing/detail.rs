//! `print detail`: records wrapped at the terminal width, with CR LF.

use crate::sim::listing::Record;
use crate::sim::personality::Personality;

/// A menu's listing form.
#[derive(Debug)]
pub(crate) struct Layout {
    /// Flag letters by column.
    pub(crate) columns: &'static [&'static str],
    /// Lines above the records.
    pub(crate) legend: &'static [&'static str],
    /// Columns a record's properties begin at.
    pub(crate) indent: usize,
}

/// `/disk`: eleven flag columns make the fifteen-column prefix that was recorded. Letters that
/// share a column are separated by `,` in the legend, columns by `;`.
pub(crate) const DISK: Layout = Layout {
    columns: &[
        "X", "AEB", "MFS", "fr", "cLOo", "gp", "t", "i", "s", "n", "m",
    ],
    legend: &[
        "Flags: X - DISABLED; A - ACQUIRED, E - EMPTY, B - BLOCK-DEVICE;",
        "M - MOUNTED, F - FORMATTING, S - SWAP-ENABLED;",
        "f - RAID-MEMBER-FAILED, r - RAID-MEMBER; c - ENCRYPTED, L - LOCKED,",
        "O - OPAL, o - OPAL-LOCKED; g - GUID-PARTITION-TABLE, p - PARTITION;",
        "t - NVME-TCP-EXPORT; i - ISCSI-EXPORT; s - SMB-SHARING;",
        "n - NFS-SHARING; m - MEDIA-SHARING",
    ],
    indent: 15,
};

/// `/file`, as recorded: no legend, five columns.
pub(crate) const FILE: Layout = Layout {
    columns: &[],
    legend: &[],
    indent: 5,
};

/// `/file` on a release that has the flag `S`.
pub(crate) const FILE_FLAGGED: Layout = Layout {
    columns: &["S"],
    legend: &["Flags: S - SHARED"],
    indent: 5,
};

/// Menus without flags.
pub(crate) const PLAIN: Layout = Layout {
    columns: &[],
    legend: &[],
    indent: 4,
};

/// The wrapping limits of one listing.
struct Wrapped<'o> {
    out: &'o mut String,
    column: usize,
    indent: usize,
    width: usize,
    margin: usize,
}

/// Renders records. The legend comes even when there are none.
pub(crate) fn render(
    records: &[Record],
    layout: &Layout,
    personality: &Personality,
    only: Option<&[&str]>,
) -> String {
    let mut out = String::new();
    for line in layout.legend {
        out.push_str(line);
        out.push_str("\r\n");
    }
    for (index, record) in records.iter().enumerate() {
        if index > 0 {
            out.push_str(" \r\n");
        }
        render_record(index, record, layout, personality, only, &mut out);
    }
    out.push_str("\r\n");
    out
}

fn render_record(
    index: usize,
    record: &Record,
    layout: &Layout,
    personality: &Personality,
    only: Option<&[&str]>,
    out: &mut String,
) {
    let mut prefix = format!("{index:>2} ");
    for column in layout.columns {
        prefix.push(
            record
                .flags
                .iter()
                .copied()
                .find(|flag| column.contains(*flag))
                .unwrap_or(' '),
        );
    }
    let indent = layout.indent;
    let padding = indent.saturating_sub(prefix.chars().count());
    out.extend([prefix.as_str(), &" ".repeat(padding)]);
    if !record.comment.is_empty() {
        // A comment has the rest of its line to itself and is not wrapped.
        out.extend([";;; ", &record.comment, "\r\n", &" ".repeat(indent)]);
    }
    let (width, margin) = (personality.width, personality.margin);
    let mut wrapped = Wrapped {
        out,
        column: indent,
        indent,
        width,
        margin,
    };
    for (name, shown) in &record.fields {
        if only.is_some_and(|only| !only.contains(name)) {
            continue;
        }
        let token = format!("{name}={}", shown.text());
        match shown {
            super::Shown::Grouped(_) if personality.breaks_digit_groups => {
                token.split(' ').for_each(|group| wrapped.token(group));
            }
            _ => wrapped.token(&token),
        }
    }
    out.push_str("\r\n");
}

impl Wrapped<'_> {
    /// Adds one token: beside the last one if it fits, else on a line of its own; cut at the right
    /// edge if no line can hold it.
    fn token(&mut self, token: &str) {
        let (length, room) = (
            token.chars().count(),
            self.width.saturating_sub(self.indent).max(1),
        );
        let begun = self.column > self.indent;
        if begun && self.column + 1 + length + self.margin <= self.width {
            self.out.push(' ');
            self.column += 1;
        } else if begun {
            self.new_line();
        }
        let mut rest = token;
        while let Some((cut, _)) = rest.char_indices().nth(room) {
            let (piece, remainder) = rest.split_at(cut);
            self.out.push_str(piece);
            self.new_line();
            rest = remainder;
        }
        self.out.push_str(rest);
        self.column += rest.chars().count();
    }

    fn new_line(&mut self) {
        self.out.push_str("\r\n");
        self.out.extend(std::iter::repeat_n(' ', self.indent));
        self.column = self.indent;
    }
}
