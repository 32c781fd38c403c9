//! One exec'd line of RouterOS commands: its sections, and the one function that writes it out.
//!
//! Every section ends with `:put "<nonce>-<index>"`. RouterOS reports a failed command on stdout with
//! exit status 0 and skips the rest of the line, so the last sentinel is the proof that all of it ran.

mod grant;
mod volume;

#[cfg(test)]
mod tests;

use std::fmt::Write as _;

use crate::rds::command::{
    Assign, Local, Menu, Operand, Query, ReadForm, Section, Step, Term, Test,
};
use crate::rds::error::LineError;
use crate::rds::value::Nonce;

pub use crate::rds::line::grant::{PublishLine, RemakeLine, ReopenLine, RevokeLine};
pub use crate::rds::line::volume::{CreateLine, MAX_FILES, ProbeLine, RemoveEntryLine};

/// Longest line sent. RouterOS has a command buffer of unpublished size. The longest line is a
/// re-make: three NQNs of at most 223 bytes, a slot of at most 64 and about 1080 bytes of commands,
/// 1.8 kB; a publish with 32-byte slots and 20-byte node names is about 1.1 kB.
pub const MAX_LINE: usize = 2048;

/// Most reads in one line. Sentinel indexes stay single digits, so that a sentinel cut short by a
/// broken connection is never mistaken for another one.
pub const MAX_READS: usize = 8;

/// A line of typed commands, ready to be rendered any number of times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    verb: &'static str,
    sections: Vec<Section>,
}

impl Line {
    fn new(verb: &'static str, sections: Vec<Section>) -> Self {
        Self { verb, sections }
    }

    /// What the line does, one constant word for traces and metrics.
    pub fn verb(&self) -> &'static str {
        self.verb
    }

    /// Whether the line can change the device, so that a lost reply leaves an unknown outcome.
    pub fn mutates(&self) -> bool {
        self.sections
            .iter()
            .any(|section| matches!(section, Section::Silent(_)))
    }

    pub(super) fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// Writes the line as RouterOS text: the only place where a command becomes text, and the only
    /// quoting. The text has neither newlines nor NUL, as RouterOS refuses multi-line exec commands.
    ///
    /// # Errors
    /// [`LineError::TooLong`] beyond [`MAX_LINE`].
    pub fn render(&self, nonce: &Nonce) -> Result<String, LineError> {
        let mut out = Writer(String::with_capacity(MAX_LINE));
        for (index, section) in self.sections.iter().enumerate() {
            match section {
                Section::Silent(steps) => steps.iter().for_each(|step| out.step(step)),
                Section::Read(query) => out.query(query),
            }
            out.word(":put ");
            out.quoted(&nonce.sentinel(index));
            out.word(";");
        }
        // The separator after the last command is not needed.
        out.0.pop();
        let length = out.0.len();
        if length > MAX_LINE {
            return Err(LineError::TooLong {
                verb: self.verb,
                length,
                limit: MAX_LINE,
            });
        }
        Ok(out.0)
    }
}

struct Writer(String);

impl Writer {
    fn word(&mut self, word: &str) {
        self.0.push_str(word);
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Declare { local, value } => {
                self.word(":local ");
                self.word(local.name());
                self.word(" ");
                self.quoted(value);
            }
            Step::SetDisk { when, to } => {
                self.word("/disk set [find where ");
                self.condition(when);
                self.word("]");
                self.assignments(to);
            }
            Step::Remove { menu, when } => {
                self.word(menu.path());
                self.word(" remove [find where ");
                self.condition(when);
                self.word("]");
            }
            Step::AddDisk(fields) => {
                self.word(":if ([:len [/disk find where slot=$s]] = 0) do={/disk add");
                self.assignments(fields);
                self.word("}");
            }
        }
        self.word(";");
    }

    fn query(&mut self, query: &Query) {
        match query {
            Query::List {
                menu,
                when,
                form: ReadForm::Json,
            } => {
                // A bare `print as-value` prints nothing; its value must be put.
                self.word(":put [:serialize to=json value=[");
                self.word(menu.path());
                self.word(" print detail as-value where ");
                self.term(when);
                self.word("]]");
            }
            Query::List {
                menu,
                when,
                form: ReadForm::Text,
            } => {
                self.word(menu.path());
                self.word(" print detail where ");
                self.term(when);
            }
            Query::CountDisks { when } => {
                self.word(":put [:len [/disk find where ");
                self.term(when);
                self.word("]]");
            }
            Query::Get { menu, key } => {
                self.word(":put [");
                self.word(menu);
                self.word("/get ");
                self.word(key);
                self.word("]");
            }
        }
        self.word(";");
    }

    fn condition(&mut self, terms: &[Term]) {
        for (index, term) in terms.iter().enumerate() {
            if index > 0 {
                self.word(" && ");
            }
            self.term(term);
        }
    }

    fn term(&mut self, term: &Term) {
        self.word(term.key);
        self.word(match term.test {
            Test::Equals => "=",
            Test::Below => "<",
            Test::Matches => "~",
        });
        self.operand(&term.operand);
    }

    fn assignments(&mut self, fields: &[Assign]) {
        for field in fields {
            self.word(" ");
            self.word(field.key);
            self.word("=");
            self.operand(&field.operand);
        }
    }

    fn operand(&mut self, operand: &Operand) {
        match operand {
            Operand::Text(text) => self.quoted(text),
            Operand::Local(local) => {
                self.word("$");
                self.word(local.name());
            }
            Operand::Number(number) => self.word(&number.to_string()),
            Operand::Bool(true) => self.word("yes"),
            Operand::Bool(false) => self.word("no"),
            Operand::Word(word) => self.word(word),
        }
    }

    /// Backslash, quote and dollar are the only characters that mean something inside RouterOS
    /// quotes; any escape RouterOS does not know would be a syntax error. Values hold printable ASCII
    /// only, by their types; whatever else should ever come here is written as hexadecimal.
    fn quoted(&mut self, text: &str) {
        self.0.push('"');
        for byte in text.bytes() {
            match byte {
                b'\\' | b'"' | b'$' => {
                    self.0.push('\\');
                    self.0.push(char::from(byte));
                }
                b' '..=b'~' => self.0.push(char::from(byte)),
                other => {
                    write!(self.0, "\\{other:02X}").expect("writing to a String cannot fail");
                }
            }
        }
        self.0.push('"');
    }
}

impl Local {
    fn name(self) -> &'static str {
        // None of these is a property name, which would shadow the variable inside `where`.
        match self {
            Self::Slot => "s",
            Self::Subsystem => "n",
            Self::Host => "h",
        }
    }
}

impl Menu {
    fn path(self) -> &'static str {
        match self {
            Self::Disk => "/disk",
            Self::File => "/file",
        }
    }
}
