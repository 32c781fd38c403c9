//! The shape of a parsed line.

use crate::sim::lang::grammar::Command;
use crate::sim::value::Value;

/// Statements separated by `;`.
#[derive(Debug, Default)]
pub(crate) struct Block(pub(crate) Vec<Statement>);

/// One statement.
#[derive(Debug)]
pub(crate) enum Statement {
    /// A command of a menu.
    Menu(MenuCommand),
    /// `:put`
    Put(Option<Expr>),
    /// `:local`, `:global`, `:set`.
    Assign {
        name: String,
        value: Option<Expr>,
        declares: bool,
    },
    /// `:if`
    If {
        condition: Expr,
        then: Block,
        otherwise: Block,
    },
    /// `:do`
    Do {
        body: Block,
        on_error: Option<Block>,
    },
    /// `:foreach`
    Foreach {
        name: String,
        list: Expr,
        body: Block,
    },
    /// `:delay`
    Delay(Expr),
    /// `:len`
    Len(Expr),
    /// `:serialize to=json`
    Serialize { value: Expr, options: Option<Expr> },
    /// `:error`
    Error(Expr),
}

/// A verb with its arguments.
#[derive(Debug)]
pub(crate) struct MenuCommand {
    pub(crate) command: &'static Command,
    pub(crate) positional: Vec<Expr>,
    pub(crate) named: Vec<(String, Expr)>,
    pub(crate) flags: Vec<String>,
    pub(crate) filter: Option<Expr>,
}

/// An expression.
#[derive(Debug)]
pub(crate) enum Expr {
    Literal(Value),
    /// A quoted string that mentions variables.
    Text(Vec<Piece>),
    Variable(String),
    /// A property of the row a `where` looks at.
    Property(String),
    Bracket(Block),
    Not(Box<Self>),
    Binary(Operator, Box<Self>, Box<Self>),
}

/// Part of a quoted string.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Piece {
    Text(String),
    Variable(String),
}

/// Operators with two operands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operator {
    Or,
    And,
    Equal,
    Unequal,
    Less,
    Greater,
    AtMost,
    AtLeast,
    Matches,
    Concat,
    Plus,
    Minus,
    /// `->`
    Index,
}
