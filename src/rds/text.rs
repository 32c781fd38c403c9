//! Reads the `print detail` layout, which RouterOS wraps at 80 columns when no terminal is attached.
//!
//! A listing is a legend (printed even when nothing matched), then records: an index, flags, perhaps
//! a comment, then `key=value` words that flow over indented lines. Words that do not fit move to the
//! next line; words longer than a line are cut at its last column.
//!
//! The reader refuses what it does not understand rather than guess, so that text which an operator
//! put into a comment or a value can make a listing unreadable, but never misread.

mod layout;
mod legend;
mod token;

#[cfg(test)]
mod tests;

use crate::rds::error::{ReadError, excerpt};
use crate::rds::property;
use crate::rds::record::Record;
use crate::rds::text::layout::Block;
use crate::rds::text::legend::Legend;

/// Reads a listing; lines may end in CR LF or LF. No record is no error. Takes time linear in the
/// length of the text.
///
/// # Errors
/// [`ReadError::Text`] for a line that is neither legend nor record, and for a record whose
/// properties cannot be told apart.
pub fn read(text: &str) -> Result<Vec<Record>, ReadError> {
    let mut legend = Legend::default();
    let mut blocks: Vec<Block<'_>> = Vec::new();
    // Whether the current record has ended with a blank line.
    let mut closed = true;
    for line in text.split('\n') {
        let line = line.strip_suffix('\r').unwrap_or(line);
        if blocks.is_empty() && legend.take(line) {
            continue;
        }
        if is_separator(line) {
            closed = true;
        } else if let Some(block) = Block::start(line, blocks.last()) {
            blocks.push(block);
            closed = false;
        } else {
            match blocks.last_mut() {
                Some(block) if !closed && block.continues(line) => block.push(line),
                // The content of a text file is printed as it is, line breaks and all.
                Some(block) if block.has_contents() => {}
                _ => return Err(refuse("this line belongs to no record", line)),
            }
        }
    }
    blocks.iter().map(|block| record(block, &legend)).collect()
}

/// A blank line; RouterOS puts one space on some. A longer one is a piece of a value.
fn is_separator(line: &str) -> bool {
    line.len() <= 2 && line.trim_start().is_empty()
}

fn record(block: &Block<'_>, legend: &Legend) -> Result<Record, ReadError> {
    let (comment, body) = block.join();
    let mut record = Record::default();
    for field in token::fields(&body) {
        let (key, value) = field.map_err(|why| refuse(why, &body))?;
        if !record.insert(key, value) {
            return Err(refuse("a property comes twice", &body));
        }
    }
    if record.fields().next().is_none() {
        return Err(refuse("a record has no properties", block.first_line()));
    }
    // JSON lists the states that text shows as flags; where text has both, the property stands.
    for name in legend.names(block.flags()) {
        if record.get(name).is_none() {
            let _added = record.insert(name, "yes".to_owned());
        }
    }
    if let Some(comment) = comment
        && !record.insert(property::COMMENT, comment)
    {
        return Err(refuse("a record has two comments", block.first_line()));
    }
    Ok(record)
}

fn refuse(why: &'static str, line: &str) -> ReadError {
    ReadError::Text {
        why,
        line: excerpt(line.trim_start()),
    }
}
