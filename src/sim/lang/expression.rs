//! Expressions: conditions of `where`, and what stands in round brackets.

use crate::sim::lang::ast::{Expr, Operator};
use crate::sim::lang::cursor::{Parsed, Parser};
use crate::sim::lang::grammar::Menu;
use crate::sim::value::{ItemId, Value};

/// How bare words are read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Mode {
    /// The menu `[find …]` and relative paths inside brackets belong to.
    pub(super) base: Menu,
    /// Bare words on the left of a comparison are properties of the base menu's rows.
    pub(super) properties: bool,
    /// Inside round brackets, where `.`, `+` and `-` are operators.
    pub(super) grouped: bool,
}

/// An operand that may still turn out to be a property name.
enum Operand {
    Done(Expr),
    Word { text: String, column: usize },
}

const COMPARISONS: [(&str, Operator); 7] = [
    ("!=", Operator::Unequal),
    ("<=", Operator::AtMost),
    (">=", Operator::AtLeast),
    ("=", Operator::Equal),
    ("<", Operator::Less),
    (">", Operator::Greater),
    ("~", Operator::Matches),
];

impl Parser<'_> {
    /// Parses a whole condition.
    pub(super) fn expression(&mut self, mode: Mode) -> Parsed<Expr> {
        let mut left = self.conjunction(mode)?;
        loop {
            self.skip_blanks();
            if !(self.eat("||") || self.eat_word("or")) {
                return Ok(left);
            }
            let right = self.conjunction(mode)?;
            left = Expr::Binary(Operator::Or, Box::new(left), Box::new(right));
        }
    }

    fn conjunction(&mut self, mode: Mode) -> Parsed<Expr> {
        let mut left = self.comparison(mode)?;
        loop {
            self.skip_blanks();
            let blank = self.after_blank();
            let joined = self.eat("&&") || self.eat_word("and");
            // `where a=1 b=2` means both.
            let follows = self
                .peek()
                .is_some_and(|c| c.is_ascii_alphabetic() || c == '!');
            let beside = blank && mode.properties && follows && !self.at_word("or");
            if !(joined || beside) {
                return Ok(left);
            }
            let right = self.comparison(mode)?;
            left = Expr::Binary(Operator::And, Box::new(left), Box::new(right));
        }
    }

    fn comparison(&mut self, mode: Mode) -> Parsed<Expr> {
        let left = self.sum(mode)?;
        self.skip_blanks();
        let found = COMPARISONS.iter().find(|(text, _)| self.looking_at(text));
        let left = self.settle(left, mode, true)?;
        let Some((text, operator)) = found else {
            return Ok(left);
        };
        self.eat(text);
        let right = self.sum(mode)?;
        let right = self.settle(right, mode, false)?;
        Ok(Expr::Binary(*operator, Box::new(left), Box::new(right)))
    }

    fn sum(&mut self, mode: Mode) -> Parsed<Operand> {
        let mut left = self.unary(mode)?;
        if !mode.grouped {
            return Ok(left);
        }
        loop {
            self.skip_blanks();
            let operator = match self.peek() {
                Some('.') => Operator::Concat,
                Some('+') => Operator::Plus,
                Some('-') => Operator::Minus,
                _ => return Ok(left),
            };
            self.next();
            let right = self.unary(mode)?;
            let (left_done, right) = (
                self.settle(left, mode, false)?,
                self.settle(right, mode, false)?,
            );
            left = Operand::Done(Expr::Binary(operator, Box::new(left_done), Box::new(right)));
        }
    }

    fn unary(&mut self, mode: Mode) -> Parsed<Operand> {
        self.skip_blanks();
        let negated = (self.peek() == Some('!') && !self.looking_at("!=")) && self.eat("!");
        if negated || self.eat_word("not") {
            let inner = self.nested(|parser| parser.unary(mode))?;
            let inner = self.settle(inner, mode, true)?;
            return Ok(Operand::Done(Expr::Not(Box::new(inner))));
        }
        let first = self.primary(mode)?;
        if !self.looking_at("->") {
            return Ok(first);
        }
        let mut value = self.settle(first, mode, true)?;
        while self.eat("->") {
            let key = self.primary(mode)?;
            let key = self.settle(key, mode, false)?;
            value = Expr::Binary(Operator::Index, Box::new(value), Box::new(key));
        }
        Ok(Operand::Done(value))
    }

    fn primary(&mut self, mode: Mode) -> Parsed<Operand> {
        let column = self.column();
        let done = match self.peek() {
            Some('(') => self.group(mode)?,
            Some('"') => self.quoted()?,
            Some('[') => self.bracket(mode.base)?,
            Some('$') => {
                self.next();
                let name = self.variable_name(column)?;
                // Inside `where`, a variable named like a property is the property: the known
                // trap of `[find where name=$name]`, which finds everything.
                if mode.properties && mode.base.has_property(&name, self.personality) {
                    Expr::Property(name)
                } else {
                    Expr::Variable(name)
                }
            }
            Some('*') => {
                self.next();
                let hex = self.take_while(|c| c.is_ascii_hexdigit());
                match ItemId::parse(&format!("*{hex}")) {
                    Some(id) => Expr::Literal(Value::Id(id)),
                    None => return Self::expected_end(column),
                }
            }
            _ => {
                let dashes = mode.properties || !mode.grouped;
                let fits = |c: char| {
                    c.is_ascii_alphanumeric() || c == '_' || (dashes && (c == '-' || c == '.'))
                };
                let text = self.take_while(fits);
                if text.is_empty() {
                    return Self::expected_end(column);
                }
                return Ok(Operand::Word { text, column });
            }
        };
        Ok(Operand::Done(done))
    }

    /// Parses `( … )`.
    pub(super) fn group(&mut self, mode: Mode) -> Parsed<Expr> {
        self.need("(")?;
        let inner = self.nested(|parser| {
            parser.expression(Mode {
                grouped: true,
                ..mode
            })
        })?;
        self.skip_blanks();
        self.need(")")?;
        Ok(inner)
    }

    /// Parses `[ … ]`; relative commands inside belong to `base`.
    pub(super) fn bracket(&mut self, base: Menu) -> Parsed<Expr> {
        self.need("[")?;
        let block = self.nested(|parser| parser.block(base, Some(']')))?;
        Ok(Expr::Bracket(block))
    }

    /// Decides what a bare word is.
    fn settle(&self, operand: Operand, mode: Mode, names_property: bool) -> Parsed<Expr> {
        match operand {
            Operand::Done(expr) => Ok(expr),
            Operand::Word { text, column } if names_property && mode.properties => {
                if mode.base.has_property(&text, self.personality) {
                    Ok(Expr::Property(text))
                } else {
                    Self::expected_end(column)
                }
            }
            Operand::Word { text, .. } => Ok(Expr::Literal(literal(&text))),
        }
    }

    fn at_word(&self, word: &str) -> bool {
        self.peek_while(|c| c.is_ascii_alphanumeric() || c == '-') == word
    }

    fn eat_word(&mut self, word: &str) -> bool {
        self.at_word(word) && self.eat(word)
    }
}

/// The value of an unquoted word.
pub(super) fn literal(word: &str) -> Value {
    if let Some(id) = ItemId::parse(word) {
        return Value::Id(id);
    }
    match word {
        "true" => Value::Bool(true),
        "false" => Value::Bool(false),
        _ => word
            .parse()
            .map_or_else(|_| Value::Text(word.to_owned()), Value::Num),
    }
}
