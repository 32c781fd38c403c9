//! Tables and aims, printed for people or as Markdown.

use std::fmt::Write as _;

/// Everything that a run has to tell.
#[derive(Debug, Default)]
pub(crate) struct Report {
    tables: Vec<Table>,
    aims: Vec<Aim>,
    disturbance: f64,
}

/// One table.
#[derive(Debug)]
pub(crate) struct Table {
    title: String,
    rows: Vec<Vec<String>>,
}

/// Where a figure should lie.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Bound {
    AtMost(f64),
    AtLeast(f64),
}

#[derive(Debug)]
struct Aim {
    what: &'static str,
    unit: &'static str,
    bound: Bound,
    measured: f64,
}

// === impl Report ===

impl Report {
    pub(crate) fn add(&mut self, table: Table) {
        self.tables.push(table);
    }

    /// Sets a figure beside what was aimed at.
    pub(crate) fn aim(
        &mut self,
        what: &'static str,
        bound: Bound,
        measured: f64,
        unit: &'static str,
    ) {
        self.aims.push(Aim {
            what,
            unit,
            bound,
            measured,
        });
    }

    /// Notes how many processors were busy with something else while figures were taken.
    pub(crate) fn disturbed(&mut self, processors: f64) {
        self.disturbance = self.disturbance.max(processors);
    }

    /// The most that was noted.
    pub(crate) fn disturbance(&self) -> f64 {
        self.disturbance
    }

    /// For runs that are too short to be judged.
    pub(crate) fn drop_aims(&mut self) {
        self.aims.clear();
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.tables.is_empty()
    }

    pub(crate) fn render(&self, markdown: bool) -> String {
        let mut text = String::new();
        for table in &self.tables {
            table.render(markdown, &mut text);
        }
        if !self.aims.is_empty() {
            let mut table = Table::new("Aims", &["figure", "aim", "measured", "verdict"]);
            for aim in &self.aims {
                table.row(aim.cells());
            }
            table.render(markdown, &mut text);
        }
        text
    }
}

// === impl Table ===

impl Table {
    pub(crate) fn new(title: impl Into<String>, header: &[&str]) -> Self {
        let header = header.iter().map(|&cell| cell.to_owned()).collect();
        Self {
            title: title.into(),
            rows: vec![header],
        }
    }

    /// Adds a row with as many cells as the header has.
    pub(crate) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells);
    }

    fn render(&self, markdown: bool, text: &mut String) {
        let (open, between, close) = if markdown {
            ("| ", " | ", " |")
        } else {
            ("", "  ", "")
        };
        let heading = if markdown { "### " } else { "" };
        let mut put = |line: &str| writeln!(text, "{line}").expect("memory is all a String needs");
        put(&format!("{heading}{}\n", self.title));
        for (number, row) in self.rows.iter().enumerate() {
            let cells: Vec<String> = row
                .iter()
                .enumerate()
                .map(|(column, cell)| self.pad(column, cell))
                .collect();
            let line = format!("{open}{}{close}", cells.join(between));
            put(line.trim_end());
            if markdown && number == 0 {
                let rules: Vec<&str> = row.iter().enumerate().map(rule).collect();
                put(&format!("|{}|", rules.join("|")));
            }
        }
        put("");
    }

    /// Words to the left, figures to the right, as Markdown shows them.
    fn pad(&self, column: usize, cell: &str) -> String {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        let width = cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
        if column == 0 {
            format!("{cell:<width$}")
        } else {
            format!("{cell:>width$}")
        }
    }
}

/// How Markdown is told that figures go to the right.
fn rule((column, _): (usize, &String)) -> &'static str {
    if column == 0 { "---" } else { "---:" }
}

// === impl Aim ===

impl Aim {
    fn cells(&self) -> Vec<String> {
        let (aim, met) = match self.bound {
            Bound::AtMost(limit) => (format!("<= {limit}"), self.measured <= limit),
            Bound::AtLeast(limit) => (format!(">= {limit}"), self.measured >= limit),
        };
        vec![
            self.what.to_owned(),
            format!("{aim} {}", self.unit),
            format!("{:.2} {}", self.measured, self.unit),
            if met { "met" } else { "missed" }.to_owned(),
        ]
    }
}
