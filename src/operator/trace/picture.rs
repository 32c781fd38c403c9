//! A trace as a picture: an SVG that reads well on a light page and on a dark one, with nothing in it
//! but shapes and text. The same trace gives the same bytes.

#![allow(
    clippy::cast_precision_loss,
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "places on a picture: some thousand pixels, of which no fraction matters"
)]

use std::fmt::Write as _;

use super::scale::{marks, time};
use super::waterfall::{Row, Tone, Waterfall};
use crate::operator::words::moment;

/// As wide as a page of documentation shows it at most, so that its text is not made smaller.
const WIDTH: f64 = 960.0;
const MARGIN: f64 = 24.0;
/// Where the time axis begins and ends. Names and durations are left of it.
const AXIS: (f64, f64) = (424.0, WIDTH - MARGIN);
/// Where durations end.
const DURATIONS: f64 = AXIS.0 - 14.0;
/// By which each span is right of the one above it.
const INDENT: f64 = 18.0;
/// The heights of a row's name, of one line of its attributes, and of the space below.
const NAME: f64 = 21.0;
const DETAIL: f64 = 16.0;
const GAP: f64 = 7.0;
/// Where the first row begins.
const TOP: f64 = 136.0;
/// What is too short to be seen is drawn so wide.
const LEAST: f64 = 2.5;
/// A bound for the width of a character of an attribute, and of a name: fonts differ.
const DETAIL_CHARACTER: f64 = 6.8;
const NAME_CHARACTER: f64 = 8.0;

const MICROS: u64 = 1_000_000;

const STYLE: &str = "
text{font-family:ui-sans-serif,system-ui,-apple-system,'Segoe UI','Noto Sans',Helvetica,Arial,sans-serif}
.card{fill:#ffffff;stroke:#d1d9e0}.track{fill:#f1f4f7}.grid,.tree{stroke:#d1d9e0}
.title{font-size:18px;font-weight:600}.name{font-size:14px}.root{font-weight:600}
.title,.name,.value{fill:#1f2328}.dim,.key{fill:#59636e}.dim{font-size:13px}.detail{font-size:12px}
.done{fill:#2da44e}.otherwise{fill:#d4a72c}.failed{fill:#cf222e}.waited{fill:#afb8c1}.step{fill:#54aeff}
.said-done{fill:#1a7f37}.said-otherwise{fill:#9a6700}.said-failed{fill:#cf222e}
@media(prefers-color-scheme:dark){
.card{fill:#0d1117;stroke:#3d444d}.track{fill:#1b222b}.grid,.tree{stroke:#3d444d}
.title,.name,.value{fill:#f0f6fc}.dim,.key{fill:#9198a1}
.done{fill:#2ea043}.otherwise{fill:#bb8009}.failed{fill:#f85149}.waited{fill:#656c76}.step{fill:#1f6feb}
.said-done{fill:#3fb950}.said-otherwise{fill:#d29922}.said-failed{fill:#f85149}
}
";

/// Draws it.
pub fn svg(waterfall: &Waterfall<'_>) -> String {
    let mut picture = Picture::default();
    let mut y = TOP;
    let mut lines: Vec<f64> = Vec::new();
    for row in &waterfall.rows {
        picture.branch(row.depth, y, &mut lines);
        y = picture.row(row, waterfall.length, y);
        lines.push(y - GAP + 2.0);
    }
    if waterfall.hidden > 0 {
        let more = format!("and {} spans more", waterfall.hidden);
        picture.text("dim", MARGIN, y + 13.0, &more);
        y += NAME;
    }
    let height = y + 44.0;
    picture.axis(waterfall.length);
    picture.legend(waterfall, y + 22.0);
    let head = head(waterfall, height);
    format!("{head}{}</svg>\n", picture.0)
}

/// Everything above the rows.
fn head(waterfall: &Waterfall<'_>, height: f64) -> String {
    let root = waterfall.rows.first();
    let name = root.map_or("", |row| row.name);
    // The service of gRPC is the same for all calls.
    let call = name.rsplit('/').next().unwrap_or(name);
    let said = |key| root.and_then(|row| row.said(key));
    let mut about = vec![moment(waterfall.begin / MICROS), time(waterfall.length)];
    about.push(match waterfall.rows.len() + waterfall.hidden {
        1 => "1 span".to_owned(),
        count => format!("{count} spans"),
    });
    let title: Vec<_> = [Some(call), said("outcome")]
        .into_iter()
        .flatten()
        .collect();
    let about = format!("trace {}  ·  {}", waterfall.id, about.join("  ·  "));
    let subject = [
        ("volume", said("csi.volume_id").or(said("csi.volume_name"))),
        ("node", said("csi.node_id")),
    ];
    let subject = subject.into_iter();
    let subject = subject.filter_map(|(what, id)| Some(format!("{what} {}", id?)));
    let subject: Vec<_> = subject.collect();
    let characters = (WIDTH - 2.0 * MARGIN) / NAME_CHARACTER;
    let mut picture = Picture::default();
    let lines = [
        ("title", 38.0, title.join("  ·  ")),
        ("dim", 62.0, subject.join("  ·  ")),
        ("dim", 82.0, about.clone()),
    ];
    for (class, y, text) in lines {
        picture.text(class, MARGIN, y, &cut(&text, characters));
    }
    let described = escaped(&format!("{call}, {about}"));
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" \
         height=\"{height}\" role=\"img\" aria-label=\"{described}\">\n<style>{STYLE}</style>\n\
         <rect class=\"card\" x=\"0.5\" y=\"0.5\" width=\"{}\" height=\"{}\" rx=\"8\"/>\n{}",
        WIDTH - 1.0,
        height - 1.0,
        picture.0
    )
}

/// Elements, one a line.
#[derive(Default)]
struct Picture(String);

impl Picture {
    fn text(&mut self, class: &str, x: f64, y: f64, text: &str) {
        let text = escaped(text);
        self.element(format_args!(
            "<text class=\"{class}\" x=\"{x:.1}\" y=\"{y:.1}\" xml:space=\"preserve\">{text}</text>"
        ));
    }

    fn element(&mut self, element: std::fmt::Arguments<'_>) {
        writeln!(self.0, "{element}").expect("writing to a string cannot fail");
    }

    /// The line from a span down to one of its parts. `ends` has, for each depth, how far down the line
    /// to the next one has come.
    fn branch(&mut self, depth: usize, y: f64, ends: &mut Vec<f64>) {
        ends.truncate(depth);
        if let Some(end) = ends.last_mut() {
            let (x, to) = (indent(depth) - 11.0, y + 10.0);
            self.element(format_args!(
                "<path class=\"tree\" fill=\"none\" d=\"M{x:.1} {end:.1}V{to:.1}h7\"/>"
            ));
            *end = to;
        }
    }

    /// One span; where the next one begins.
    fn row(&mut self, row: &Row<'_>, length: u64, y: f64) -> f64 {
        let (class, x) = (class(row.tone), indent(row.depth));
        let name_class = if row.depth == 0 { "name root" } else { "name" };
        let taken = time(row.duration);
        let room = DURATIONS - x - NAME_CHARACTER * (taken.chars().count() as f64);
        self.text(
            name_class,
            x,
            y + 14.0,
            &cut(row.name, room / NAME_CHARACTER),
        );
        self.element(format_args!(
            "<text class=\"dim\" x=\"{DURATIONS:.1}\" y=\"{:.1}\" text-anchor=\"end\">{taken}</text>",
            y + 15.0
        ));
        self.element(format_args!(
            "<rect class=\"track\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"14\" rx=\"3\"/>",
            AXIS.0,
            y + 3.0,
            AXIS.1 - AXIS.0
        ));
        let begin = at(row.offset, length).min(AXIS.1 - LEAST);
        let width = (at(row.offset.saturating_add(row.duration), length) - begin).max(LEAST);
        self.element(format_args!(
            "<rect class=\"{class}\" x=\"{begin:.1}\" y=\"{:.1}\" width=\"{width:.1}\" height=\"14\" rx=\"{:.1}\"/>",
            y + 3.0,
            (width / 2.0).min(3.0)
        ));
        let mut y = y + NAME;
        for line in details(row, (AXIS.1 - x) / DETAIL_CHARACTER) {
            self.element(format_args!(
                "<text class=\"detail\" x=\"{x:.1}\" y=\"{:.1}\" xml:space=\"preserve\">{line}</text>",
                y + 10.0
            ));
            y += DETAIL;
        }
        y + GAP
    }

    fn axis(&mut self, length: u64) {
        for mark in marks(length) {
            let x = at(mark, length);
            // A label must not stand out over the edge of the card.
            let anchor = match x {
                x if x < AXIS.0 + 20.0 => "start",
                x if x > AXIS.1 - 20.0 => "end",
                _ => "middle",
            };
            self.element(format_args!(
                "<text class=\"dim\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
                TOP - 16.0,
                time(mark)
            ));
            self.element(format_args!(
                "<path class=\"grid\" d=\"M{x:.1} {:.1}v6\"/>",
                TOP - 9.0
            ));
        }
    }

    /// What the colours mean that are in use.
    fn legend(&mut self, waterfall: &Waterfall<'_>, y: f64) {
        let mut x = MARGIN;
        for tone in Tone::ALL {
            if !waterfall.rows.iter().any(|row| row.tone == tone) {
                continue;
            }
            let (class, words) = (class(tone), tone.words());
            self.element(format_args!(
                "<rect class=\"{class}\" x=\"{x:.1}\" y=\"{:.1}\" width=\"12\" height=\"12\" rx=\"3\"/>",
                y - 10.0
            ));
            self.text("dim", x + 18.0, y, words);
            x += 18.0 + 7.0 * (words.len() as f64) + 20.0;
        }
    }
}

/// The attributes of a span in lines of so many characters, as the insides of text elements.
fn details(row: &Row<'_>, room: f64) -> Vec<String> {
    let mut lines: Vec<(String, f64)> = Vec::new();
    for (key, value) in &row.details {
        let value = cut(value, room - key.len() as f64 - 1.0);
        let width = (key.len() + value.chars().count() + 1) as f64;
        let said = match (*key, row.tone) {
            ("outcome" | "error", Tone::Done) => "said-done",
            ("outcome" | "error", Tone::Otherwise) => "said-otherwise",
            ("outcome" | "error", Tone::Failed) => "said-failed",
            _ => "value",
        };
        let said = format!(
            "<tspan class=\"key\">{key}</tspan> <tspan class=\"{said}\">{}</tspan>",
            escaped(&value)
        );
        match lines.last_mut() {
            Some((line, taken)) if *taken + 3.0 + width <= room => {
                line.push_str("   ");
                line.push_str(&said);
                *taken += 3.0 + width;
            }
            _ => lines.push((said, width)),
        }
    }
    lines.into_iter().map(|(line, _)| line).collect()
}

fn indent(depth: usize) -> f64 {
    // Deeper than this nothing nests, and a name needs its room.
    MARGIN + INDENT * (depth.min(8) as f64)
}

/// Where a time is on the axis.
fn at(micros: u64, length: u64) -> f64 {
    let share = micros as f64 / length.max(1) as f64;
    AXIS.0 + (AXIS.1 - AXIS.0) * share.clamp(0.0, 1.0)
}

const fn class(tone: Tone) -> &'static str {
    match tone {
        Tone::Done => "done",
        Tone::Otherwise => "otherwise",
        Tone::Failed => "failed",
        Tone::Waited => "waited",
        Tone::Step => "step",
    }
}

/// As much of a text as there is room for.
fn cut(text: &str, room: f64) -> String {
    let room = room.max(1.0) as usize;
    if text.chars().count() <= room {
        return text.to_owned();
    }
    let begin: String = text.chars().take(room.saturating_sub(1)).collect();
    format!("{begin}…")
}

/// Text as XML has it. What cannot be said in XML at all becomes a question mark.
fn escaped(text: &str) -> String {
    let parts = text.chars().map(|c| match c {
        '&' => "&amp;".to_owned(),
        '<' => "&lt;".to_owned(),
        '>' => "&gt;".to_owned(),
        '"' => "&quot;".to_owned(),
        c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => "?".to_owned(),
        c => c.to_string(),
    });
    parts.collect()
}
