//! Expressions with everything looked up: a row is all they still need.

use regex::Regex;

use crate::sim::lang::ast::Operator;
use crate::sim::texts::Failure;
use crate::sim::value::Value;

/// An expression without variables and brackets.
#[derive(Debug)]
pub(crate) enum Pure {
    Value(Value),
    Property(String),
    Not(Box<Self>),
    Binary(Operator, Box<Self>, Box<Self>),
    /// `~` with its pattern compiled.
    Matches(Box<Self>, Regex),
}

/// Rows a condition can hold for, as far as an index can tell.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Scope {
    All,
    /// Only rows whose key property equals this.
    Key(String),
    /// Only rows whose key property begins with this.
    Prefix(String),
}

impl Pure {
    /// Binds two operands. `empty_matches`: the device finds properties that equal `""`.
    pub(crate) fn binary(
        operator: Operator,
        left: Self,
        right: Self,
        empty_matches: bool,
    ) -> Result<Self, Failure> {
        let empty = |side: &Self| matches!(side, Self::Value(Value::Text(text)) if text.is_empty());
        let property = |side: &Self| matches!(side, Self::Property(_));
        if operator == Operator::Equal && !empty_matches && property(&left) && empty(&right) {
            return Ok(Self::Value(Value::Bool(false)));
        }
        if operator != Operator::Matches {
            return Ok(Self::Binary(operator, Box::new(left), Box::new(right)));
        }
        let Self::Value(pattern) = right else {
            return Err(Failure::BadPattern);
        };
        let regex = Regex::new(&pattern.to_string()).map_err(|_| Failure::BadPattern)?;
        Ok(Self::Matches(Box::new(left), regex))
    }

    /// Evaluates against a row; `property` gives its values.
    pub(crate) fn eval(&self, property: &dyn Fn(&str) -> Value) -> Result<Value, Failure> {
        Ok(match self {
            Self::Value(value) => value.clone(),
            Self::Property(name) => property(name),
            Self::Not(inner) => Value::Bool(!inner.holds(property)?),
            Self::Matches(left, regex) => {
                Value::Bool(regex.is_match(&left.eval(property)?.to_string()))
            }
            Self::Binary(Operator::And, left, right) => {
                Value::Bool(left.holds(property)? && right.holds(property)?)
            }
            Self::Binary(Operator::Or, left, right) => {
                Value::Bool(left.holds(property)? || right.holds(property)?)
            }
            Self::Binary(operator, left, right) => {
                combine(*operator, &left.eval(property)?, &right.eval(property)?)?
            }
        })
    }

    /// Evaluates as a condition.
    pub(crate) fn holds(&self, property: &dyn Fn(&str) -> Value) -> Result<bool, Failure> {
        self.eval(property)?.truth().ok_or(Failure::BadOperand)
    }

    /// What an index over the property `key` can contribute to this condition.
    pub(crate) fn scope(&self, key: &str) -> Scope {
        let is_key = |side: &Self| matches!(side, Self::Property(name) if name == key);
        match self {
            Self::Binary(Operator::Equal, left, right) if is_key(left) => match &**right {
                Self::Value(Value::Text(text)) => Scope::Key(text.clone()),
                _ => Scope::All,
            },
            Self::Matches(left, regex) if is_key(left) => anchored_prefix(regex.as_str()),
            Self::Binary(Operator::And, left, right) => match left.scope(key) {
                Scope::All => right.scope(key),
                found => found,
            },
            _ => Scope::All,
        }
    }
}

fn combine(operator: Operator, left: &Value, right: &Value) -> Result<Value, Failure> {
    let order = || left.order(right).ok_or(Failure::BadOperand);
    let sum = |sign: i64| {
        let right = right.number()?.checked_mul(sign)?;
        Some(Value::Num(left.number()?.checked_add(right)?))
    };
    Ok(match operator {
        Operator::Equal => Value::Bool(left.same(right)),
        Operator::Unequal => Value::Bool(!left.same(right)),
        Operator::Less => Value::Bool(order()?.is_lt()),
        Operator::Greater => Value::Bool(order()?.is_gt()),
        Operator::AtMost => Value::Bool(order()?.is_le()),
        Operator::AtLeast => Value::Bool(order()?.is_ge()),
        Operator::Concat => Value::Text(format!("{left}{right}")),
        Operator::Plus => sum(1).ok_or(Failure::BadOperand)?,
        Operator::Minus => sum(-1).ok_or(Failure::BadOperand)?,
        Operator::Index => index(left, right),
        // Both need the row or a compiled pattern and are handled where those are.
        Operator::And | Operator::Or | Operator::Matches => return Err(Failure::BadOperand),
    })
}

/// `->`: an element by number or a value by key; nothing where there is none.
fn index(value: &Value, key: &Value) -> Value {
    match (value, key) {
        (Value::List(values), Value::Num(at)) => usize::try_from(*at)
            .ok()
            .and_then(|at| values.get(at))
            .cloned(),
        (Value::Map(pairs), Value::Text(name)) => pairs
            .iter()
            .find(|(key, _)| key == name)
            .map(|(_, value)| value.clone()),
        _ => None,
    }
    .unwrap_or(Value::Nil)
}

/// The literal text an anchored pattern begins with.
fn anchored_prefix(pattern: &str) -> Scope {
    let Some(rest) = pattern.strip_prefix('^') else {
        return Scope::All;
    };
    if rest.contains('|') {
        return Scope::All;
    }
    let (mut prefix, mut chars) = (String::new(), rest.chars().peekable());
    while let Some(c) = chars.next() {
        let literal = match c {
            '\\' => match chars.next() {
                Some(escaped) if escaped.is_ascii_punctuation() => escaped,
                _ => break,
            },
            c if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '/' | ':' | '=' | ' ') => c,
            _ => break,
        };
        if chars
            .peek()
            .is_some_and(|next| matches!(next, '*' | '?' | '{' | '+'))
        {
            break;
        }
        prefix.push(literal);
    }
    Scope::Prefix(prefix)
}

#[cfg(test)]
mod tests {
    use super::{Scope, anchored_prefix};

    #[test]
    fn an_index_is_only_asked_for_what_the_pattern_must_begin_with() {
        let prefix = |text: &str| Scope::Prefix(text.to_owned());
        let rows = [
            ("^csi-", prefix("csi-")),
            (
                r"^storage-pool/csi-ab\.x\.img$",
                prefix("storage-pool/csi-ab.x.img"),
            ),
            ("^csi-a*", prefix("csi-")),
            ("^csi-a?b", prefix("csi-")),
            ("^csi-[ab]", prefix("csi-")),
            (r"^a\db", prefix("a")),
            ("^a|b", Scope::All),
            ("csi-", Scope::All),
            ("^", prefix("")),
        ];
        for (pattern, scope) in rows {
            assert_eq!(anchored_prefix(pattern), scope, "{pattern}");
        }
    }
}
