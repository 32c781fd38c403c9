//! Quoted strings: the only quoting RouterOS has, with a short list of legal escapes.

use crate::sim::lang::ast::{Expr, Piece};
use crate::sim::lang::cursor::{Parsed, Parser};
use crate::sim::texts::ParseErrorKind;
use crate::sim::value::Value;

impl Parser<'_> {
    /// Parses `"…"`, the opening quote being next.
    pub(super) fn quoted(&mut self) -> Parsed<Expr> {
        self.need("\"")?;
        let (mut pieces, mut bytes) = (Vec::new(), Vec::new());
        loop {
            let column = self.column();
            match self.next() {
                // A string that never ends, or one that a newline cuts.
                None | Some('\n' | '\r') => {
                    return Self::error(column, ParseErrorKind::Syntax);
                }
                Some('"') => break,
                Some('\\') => bytes.push(self.escape(column)?),
                Some('$') => {
                    flush(&mut bytes, &mut pieces);
                    pieces.push(Piece::Variable(self.variable_name(column)?));
                }
                Some(other) => bytes.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        flush(&mut bytes, &mut pieces);
        Ok(match (pieces.pop(), pieces.is_empty()) {
            (None, _) => Expr::Literal(Value::Text(String::new())),
            (Some(Piece::Text(text)), true) => Expr::Literal(Value::Text(text)),
            (Some(last), _) => {
                pieces.push(last);
                Expr::Text(pieces)
            }
        })
    }

    /// The byte an escape stands for; anything not listed is a syntax error at the backslash.
    fn escape(&mut self, column: usize) -> Parsed<u8> {
        let two = self.peek_while(|c| c.is_ascii_digit() || ('A'..='F').contains(&c));
        if let Some(byte) = two
            .get(..2)
            .and_then(|hex| u8::from_str_radix(hex, 16).ok())
        {
            self.next();
            self.next();
            return Ok(byte);
        }
        Ok(match self.next() {
            Some('\\') => b'\\',
            Some('"') => b'"',
            Some('$') => b'$',
            Some('?') => b'?',
            Some('_') => b' ',
            Some('n') => b'\n',
            Some('r') => b'\r',
            Some('t') => b'\t',
            Some('a') => 0x07,
            Some('b') => 0x08,
            Some('f') => 0x0c,
            Some('v') => 0x0b,
            _ => return Self::error(column, ParseErrorKind::Syntax),
        })
    }

    /// The name after a `$`: a letter, then letters and digits.
    pub(super) fn variable_name(&mut self, column: usize) -> Parsed<String> {
        if !self.peek().is_some_and(|c| c.is_ascii_alphabetic()) {
            return Self::error(column, ParseErrorKind::Syntax);
        }
        Ok(self.take_while(|c| c.is_ascii_alphanumeric()))
    }
}

fn flush(bytes: &mut Vec<u8>, pieces: &mut Vec<Piece>) {
    if !bytes.is_empty() {
        pieces.push(Piece::Text(String::from_utf8_lossy(bytes).into_owned()));
        bytes.clear();
    }
}
