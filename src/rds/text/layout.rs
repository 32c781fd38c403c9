//! The physical lines of one record, and how they are put back together.

use crate::rds::text::token;

/// Columns of a line when no terminal is attached.
const WIDTH: usize = 80;

/// Most letters in one flag column: RouterOS has 19 disk flags.
const MAX_FLAGS: usize = 19;

/// What marks a comment.
const COMMENT: &str = ";;;";

/// The lines of one record.
#[derive(Debug)]
pub(super) struct Block<'a> {
    first: &'a str,
    index: Option<u64>,
    /// Column where the index ends: all of a listing end in the same, unless one is wider.
    index_end: usize,
    flags: &'a str,
    /// What follows index and flags on the first line.
    start: &'a str,
    rest: Vec<&'a str>,
    /// The comment has begun and no property followed yet.
    in_comment: bool,
    /// The record may show the content of a file.
    contents: bool,
}

impl<'a> Block<'a> {
    /// Starts a record if the line looks like the first of one.
    ///
    /// That is an index, ending in the column where the previous record's ends and greater than it,
    /// then flags, then a property or a comment. A continuation line may well begin with a number, but
    /// far to the right. Only the very first record may come without an index.
    pub(super) fn start(line: &'a str, previous: Option<&Self>) -> Option<Self> {
        if previous.is_none() && token::starts_with_key(line) {
            return Some(Self::new(line, None, 0, ("", line)));
        }
        let number = line.trim_start_matches(' ');
        let after = number.trim_start_matches(|c: char| c.is_ascii_digit());
        let index = number.get(..number.len() - after.len())?.parse().ok()?;
        let index_end = line.len() - after.len();
        let flags = split_flags(after.strip_prefix(' ')?)?;
        if let Some(previous) = previous {
            let aligned = index_end == previous.index_end
                || (index_end > previous.index_end && number.len() == line.len());
            if !aligned || previous.index.is_some_and(|before| index <= before) {
                return None;
            }
        }
        Some(Self::new(line, Some(index), index_end, flags))
    }

    fn new(
        first: &'a str,
        index: Option<u64>,
        index_end: usize,
        (flags, start): (&'a str, &'a str),
    ) -> Self {
        let in_comment = start.starts_with(COMMENT);
        let contents = !in_comment && shows_contents(start);
        Self {
            first,
            index,
            index_end,
            flags,
            start,
            rest: Vec::new(),
            in_comment,
            contents,
        }
    }

    /// Whether a line that starts no record can belong to this one: it is indented beyond the index,
    /// unless it is the next line of a comment or of a file's content, which are printed as they are.
    pub(super) fn continues(&self, line: &str) -> bool {
        let indented = leading_blanks(line) > self.index_end;
        indented || self.in_comment || self.contents
    }

    pub(super) fn push(&mut self, line: &'a str) {
        let text = line.trim_start_matches(' ');
        self.in_comment &= !token::starts_with_key(text);
        self.contents |= !self.in_comment && shows_contents(text);
        self.rest.push(line);
    }

    pub(super) fn has_contents(&self) -> bool {
        self.contents
    }

    pub(super) fn flags(&self) -> &'a str {
        self.flags
    }

    pub(super) fn first_line(&self) -> &'a str {
        self.first
    }

    /// The comment, if any, and the properties as one logical line.
    pub(super) fn join(&self) -> (Option<String>, String) {
        let Some(comment) = self.start.strip_prefix(COMMENT) else {
            return (None, self.join_body(Some(self.start), &self.rest));
        };
        let is_property = |line: &&str| token::starts_with_key(line.trim_start_matches(' '));
        let split = self
            .rest
            .iter()
            .position(is_property)
            .unwrap_or(self.rest.len());
        let (more, body) = self.rest.split_at(split);
        (
            Some(join_comment(self.first, comment, more)),
            self.join_body(None, body),
        )
    }

    /// Joins by width: a piece after a line filled to its last column continues the same word, any
    /// other begins a new one. A word that just fills its line looks like a cut one; there the next
    /// piece decides, since it begins with `key=` and no value is open. The width is 80 unless an
    /// operator gave the login another.
    fn join_body(&self, start: Option<&'a str>, rest: &[&'a str]) -> String {
        let indent = rest
            .iter()
            .map(|line| leading_blanks(line))
            .min()
            .unwrap_or(0);
        let first = start.map(|start| (self.first, start));
        let more = rest
            .iter()
            .map(|line| (*line, line.get(indent..).unwrap_or("")));
        let pieces: Vec<(&str, &str)> = first.into_iter().chain(more).collect();
        // No line is longer than a cut one, so the longest tells the width, if any was cut at all.
        let widest = pieces.iter().map(|(line, _)| line.chars().count()).max();
        let width = widest.unwrap_or(0);

        let mut body = String::new();
        let mut value = Quote::default();
        let mut cut = false;
        for (line, piece) in pieces {
            let same_word = cut && (value.open || !token::starts_with_key(piece));
            if !(same_word || body.is_empty() || body.ends_with(' ')) {
                body.push(' ');
                value.before = ' ';
            }
            value.follow(piece);
            body.push_str(piece);
            cut = is_filled(line, width);
        }
        body
    }
}

/// Follows whether the text is inside a quoted value.
#[derive(Default)]
struct Quote {
    open: bool,
    escaped: bool,
    before: char,
}

impl Quote {
    fn follow(&mut self, text: &str) {
        for c in text.chars() {
            if self.escaped {
                self.escaped = false;
            } else if self.open {
                self.escaped = c == '\\';
                self.open = c != '"';
            } else {
                self.open = c == '"' && self.before == '=';
            }
            self.before = c;
        }
    }
}

fn join_comment(first: &str, comment: &str, more: &[&str]) -> String {
    let mut joined = comment.trim().to_owned();
    let mut cut = is_filled(first, WIDTH);
    for line in more {
        if !cut {
            joined.push(' ');
        }
        joined.push_str(line.trim());
        cut = is_filled(line, WIDTH);
    }
    joined
}

/// Whether the line reaches the last column. Whether RouterOS counts bytes or characters shows only
/// where there are others than ASCII, so either will do.
fn is_filled(line: &str, width: usize) -> bool {
    line.len() == width || line.chars().count() == width
}

/// Splits `BM  type=…` into flag letters and the rest; `None` if anything else stands before it.
fn split_flags(text: &str) -> Option<(&str, &str)> {
    let mut rest = text.trim_start_matches(' ');
    while !(rest.is_empty() || rest.starts_with(COMMENT) || token::starts_with_key(rest)) {
        let word = rest.split(' ').next()?;
        if word.len() > MAX_FLAGS || !word.chars().all(|c| c.is_ascii_alphabetic()) {
            return None;
        }
        rest = rest.get(word.len()..)?.trim_start_matches(' ');
    }
    Some((text.get(..text.len() - rest.len())?, rest))
}

fn shows_contents(text: &str) -> bool {
    text.contains("contents=")
}

fn leading_blanks(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}
