//! Statements: the built-in commands that begin with `:`, and the commands of menus.

use crate::sim::lang::ast::{Block, Expr, MenuCommand, Statement};
use crate::sim::lang::cursor::{Parsed, Parser};
use crate::sim::lang::expression::{Mode, literal};
use crate::sim::lang::grammar::{Arguments, Command, Filter, Menu};
use crate::sim::texts::ParseErrorKind;
use crate::sim::value::Value;

/// What a path led to.
enum Reached {
    Menu(Menu),
    Command(&'static Command),
}

fn in_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '-' || c == '.' || c == '_'
}

/// Characters of an unquoted argument; in a `where` far fewer are safe.
fn in_argument(c: char) -> bool {
    !c.is_whitespace()
        && !matches!(
            c,
            ';' | '"' | '$' | '=' | '[' | ']' | '(' | ')' | '{' | '}' | '\\'
        )
}

impl Parser<'_> {
    /// Parses statements up to `close`, which is taken, or the end of the line.
    pub(super) fn block(&mut self, base: Menu, close: Option<char>) -> Parsed<Block> {
        let (mut statements, mut base) = (Vec::new(), base);
        loop {
            self.skip_blanks();
            match self.peek() {
                Some(';') => {
                    self.next();
                    continue;
                }
                None if close.is_none() => return Ok(Block(statements)),
                Some(c) if close == Some(c) => {
                    self.next();
                    return Ok(Block(statements));
                }
                None | Some('\r' | '\n' | ']' | '}' | ')') => return self.syntax(),
                Some(_) => match self.statement(base)? {
                    Ok(statement) => statements.push(statement),
                    // A path alone moves the rest of the block into that menu.
                    Err(menu) => base = menu,
                },
            }
            self.skip_blanks();
            match self.peek() {
                Some('\r' | '\n') => return self.syntax(),
                _ if self.at_end() => {}
                _ => return Self::expected_end(self.column()),
            }
        }
    }

    fn statement(&mut self, base: Menu) -> Parsed<Result<Statement, Menu>> {
        if self.eat(":") {
            return self.builtin(base).map(Ok);
        }
        Ok(match self.path(base)? {
            Reached::Menu(menu) => Err(menu),
            Reached::Command(command) => Ok(Statement::Menu(self.arguments(command)?)),
        })
    }

    /// Follows menu names, separated by `/` or blanks, to a verb.
    fn path(&mut self, base: Menu) -> Parsed<Reached> {
        let mut menu = if self.eat("/") { Menu::Root } else { base };
        loop {
            self.skip_blanks();
            let column = self.column();
            let word = self.take_while(in_name);
            if word.is_empty() {
                return Self::error(column, ParseErrorKind::ExpectedCommand);
            }
            if let Some(child) = menu.child(&word, self.personality) {
                menu = child;
                self.skip_blanks();
                self.eat("/");
                if self.at_end() {
                    return Ok(Reached::Menu(menu));
                }
            } else if let Some(command) = menu.command(&word) {
                return Ok(Reached::Command(command));
            } else {
                return Self::error(column, ParseErrorKind::BadCommand(word));
            }
        }
    }

    fn arguments(&mut self, command: &'static Command) -> Parsed<MenuCommand> {
        let allowed = command.arguments(self.personality);
        let (positional, named, flags) = (Vec::new(), Vec::new(), Vec::new());
        let mut parsed = MenuCommand {
            command,
            positional,
            named,
            flags,
            filter: None,
        };
        loop {
            let (blank, column) = (self.skip_blanks(), self.column());
            if self.at_end() {
                return Ok(parsed);
            }
            if !blank {
                return Self::expected_end(column);
            }
            if self.begins_filter(&allowed) {
                let mode = Mode {
                    base: command.menu,
                    properties: true,
                    grouped: false,
                };
                self.skip_blanks();
                if !self.at_end() {
                    parsed.filter = Some(self.expression(mode)?);
                }
                self.skip_blanks();
                return if self.at_end() {
                    Ok(parsed)
                } else {
                    Self::expected_end(self.column())
                };
            }
            self.argument(&allowed, &mut parsed)?;
        }
    }

    /// Takes `where`; for `find` the condition may stand without it.
    fn begins_filter(&mut self, allowed: &Arguments) -> bool {
        let named = self.peek_while(in_name) == "where";
        match allowed.filter {
            Filter::None => false,
            Filter::Where => named && self.eat("where"),
            Filter::Always => !named || self.eat("where"),
        }
    }

    fn argument(&mut self, allowed: &Arguments, parsed: &mut MenuCommand) -> Parsed<()> {
        let (column, base) = (self.column(), parsed.command.menu);
        let word = self.peek_while(in_name);
        let after = self.peek_while(|c| in_name(c) || c == '=');
        if !word.is_empty()
            && after
                .get(word.len()..)
                .is_some_and(|rest| rest.starts_with('='))
        {
            if !allowed.named.contains(&word.as_str()) {
                return Self::expected_end(column);
            }
            self.eat(&word);
            self.next();
            let value = self.value(base)?;
            parsed.named.push((word, value));
            return Ok(());
        }
        if allowed.flags.contains(&word.as_str()) {
            self.eat(&word);
            parsed.flags.push(word);
            return Ok(());
        }
        if parsed.positional.len() == allowed.positional {
            return Self::expected_end(column);
        }
        let value = self.value(base)?;
        parsed.positional.push(value);
        Ok(())
    }

    /// One argument value: quoted, a variable, bracketed, or a bare word.
    fn value(&mut self, base: Menu) -> Parsed<Expr> {
        let column = self.column();
        let value = match self.peek() {
            Some('"') => self.quoted()?,
            Some('[') => self.bracket(base)?,
            Some('(') => self.group(Mode {
                base,
                properties: false,
                grouped: true,
            })?,
            Some('$') => {
                self.next();
                Expr::Variable(self.variable_name(column)?)
            }
            _ => Expr::Literal(match self.take_while(in_argument) {
                word if word.is_empty() => Value::Text(word),
                word => literal(&word),
            }),
        };
        let bounded = self.at_end() || self.peek().is_some_and(char::is_whitespace);
        if bounded {
            Ok(value)
        } else {
            Self::expected_end(self.column())
        }
    }
}

// === Built-in commands ===

impl Parser<'_> {
    fn builtin(&mut self, base: Menu) -> Parsed<Statement> {
        let column = self.column();
        let word = self.take_while(|c| c.is_ascii_lowercase() || c == '-');
        self.skip_blanks();
        Ok(match word.as_str() {
            "put" if self.at_end() => Statement::Put(None),
            "put" => Statement::Put(Some(self.value(base)?)),
            "local" | "global" => self.assignment(base, true)?,
            "set" => self.assignment(base, false)?,
            "if" => self.condition(base)?,
            "do" => self.guarded(base)?,
            "foreach" => self.foreach(base)?,
            "delay" => Statement::Delay(self.value(base)?),
            "len" => Statement::Len(self.value(base)?),
            "error" => Statement::Error(self.value(base)?),
            "serialize" if self.personality.has_serialize() => self.serialize(base)?,
            _ => return Self::error(column, ParseErrorKind::BadCommand(word)),
        })
    }

    fn assignment(&mut self, base: Menu, declares: bool) -> Parsed<Statement> {
        let name = self.variable_name(self.column())?;
        self.skip_blanks();
        let value = if self.at_end() {
            None
        } else {
            Some(self.value(base)?)
        };
        Ok(Statement::Assign {
            name,
            value,
            declares,
        })
    }

    fn condition(&mut self, base: Menu) -> Parsed<Statement> {
        let condition = self.value(base)?;
        let then = self.named_block("do=", base)?;
        self.skip_blanks();
        let otherwise = if self.looking_at("else=") {
            self.named_block("else=", base)?
        } else {
            Block::default()
        };
        Ok(Statement::If {
            condition,
            then,
            otherwise,
        })
    }

    fn guarded(&mut self, base: Menu) -> Parsed<Statement> {
        let body = self.braces(base)?;
        self.skip_blanks();
        let on_error = if self.looking_at("on-error=") {
            Some(self.named_block("on-error=", base)?)
        } else {
            None
        };
        Ok(Statement::Do { body, on_error })
    }

    fn foreach(&mut self, base: Menu) -> Parsed<Statement> {
        let name = self.variable_name(self.column())?;
        self.skip_blanks();
        self.need("in=")?;
        let list = self.value(base)?;
        let body = self.named_block("do=", base)?;
        Ok(Statement::Foreach { name, list, body })
    }

    fn serialize(&mut self, base: Menu) -> Parsed<Statement> {
        let (mut value, mut options) = (None, None);
        while !self.at_end() {
            let column = self.column();
            if self.eat("to=") {
                if !self.eat("json") {
                    return Self::expected_end(self.column());
                }
            } else if self.eat("value=") {
                value = Some(self.value(base)?);
            } else if self.eat("options=") {
                options = Some(self.value(base)?);
            } else {
                return Self::expected_end(column);
            }
            self.skip_blanks();
        }
        match value {
            Some(value) => Ok(Statement::Serialize { value, options }),
            None => self.syntax(),
        }
    }

    fn named_block(&mut self, name: &str, base: Menu) -> Parsed<Block> {
        self.skip_blanks();
        self.need(name)?;
        self.braces(base)
    }

    fn braces(&mut self, base: Menu) -> Parsed<Block> {
        self.need("{")?;
        self.nested(|parser| parser.block(base, Some('}')))
    }
}
