//! The RouterOS command language: a whole line is parsed before anything of it runs.

pub(crate) mod ast;
mod cursor;
mod expression;
pub(crate) mod grammar;
mod statement;
mod string;

use crate::sim::lang::ast::Block;
use crate::sim::lang::cursor::Parser;
use crate::sim::lang::grammar::Menu;
use crate::sim::personality::Personality;
use crate::sim::texts::ParseError;

/// Parses one line as this device understands it.
pub(crate) fn parse(line: &str, personality: &Personality) -> Result<Block, ParseError> {
    Parser::new(line, personality).block(Menu::Root, None)
}
