//! The parser's position in a line, and the errors it makes.

use crate::sim::personality::Personality;
use crate::sim::texts::{ParseError, ParseErrorKind};

/// Deepest nesting of brackets and braces. The driver needs five; recursion must end somewhere.
const MAX_DEPTH: usize = 32;

/// Parses one line. The other files of this module add the grammar.
#[derive(Debug)]
pub(crate) struct Parser<'p> {
    chars: Vec<char>,
    at: usize,
    depth: usize,
    pub(super) personality: &'p Personality,
}

pub(super) type Parsed<T> = Result<T, ParseError>;

impl<'p> Parser<'p> {
    pub(super) fn new(line: &str, personality: &'p Personality) -> Self {
        Self {
            chars: line.chars().collect(),
            at: 0,
            depth: 0,
            personality,
        }
    }

    /// One-based column of the next character.
    pub(super) fn column(&self) -> usize {
        self.at + 1
    }

    pub(super) fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let next = self.peek()?;
        self.at += 1;
        Some(next)
    }

    pub(super) fn looking_at(&self, text: &str) -> bool {
        let rest = self.chars.get(self.at..).unwrap_or_default();
        text.chars()
            .enumerate()
            .all(|(index, c)| rest.get(index) == Some(&c))
    }

    pub(super) fn eat(&mut self, text: &str) -> bool {
        let found = self.looking_at(text);
        if found {
            self.at += text.chars().count();
        }
        found
    }

    pub(super) fn need(&mut self, text: &str) -> Parsed<()> {
        if self.eat(text) {
            Ok(())
        } else {
            self.syntax()
        }
    }

    /// Takes characters as long as they fit.
    pub(super) fn take_while(&mut self, fits: impl Fn(char) -> bool) -> String {
        let rest = self.chars.get(self.at..).unwrap_or_default();
        let word: String = rest.iter().copied().take_while(|c| fits(*c)).collect();
        self.at += word.chars().count();
        word
    }

    /// Looks at a word without taking it.
    pub(super) fn peek_while(&self, fits: impl Fn(char) -> bool) -> String {
        let rest = self.chars.get(self.at..).unwrap_or_default();
        rest.iter().copied().take_while(|c| fits(*c)).collect()
    }

    /// Skips blanks and tells whether there were any. A newline is no blank: RouterOS refuses
    /// multi-line commands over exec.
    pub(super) fn skip_blanks(&mut self) -> bool {
        !self.take_while(|c| c == ' ' || c == '\t').is_empty()
    }

    /// Whether the last character taken was a blank.
    pub(super) fn after_blank(&self) -> bool {
        let last = self.at.checked_sub(1).and_then(|at| self.chars.get(at));
        last.is_some_and(|c| matches!(c, ' ' | '\t'))
    }

    /// At the end of a statement: `;`, a closing bracket or the end of the line.
    pub(super) fn at_end(&self) -> bool {
        self.peek()
            .is_none_or(|c| matches!(c, ';' | ']' | '}' | ')'))
    }

    pub(super) fn error<T>(column: usize, kind: ParseErrorKind) -> Parsed<T> {
        Err(ParseError { kind, column })
    }

    pub(super) fn syntax<T>(&self) -> Parsed<T> {
        Self::error(self.column(), ParseErrorKind::Syntax)
    }

    pub(super) fn expected_end<T>(column: usize) -> Parsed<T> {
        Self::error(column, ParseErrorKind::ExpectedEnd)
    }

    /// Runs `inner` one level deeper.
    pub(super) fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Parsed<T>) -> Parsed<T> {
        if self.depth == MAX_DEPTH {
            return self.syntax();
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }
}
