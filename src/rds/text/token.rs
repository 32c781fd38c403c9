//! The `key=value` words of one record.

use crate::rds::property;

/// Whether the text begins with `key=`.
pub(super) fn starts_with_key(text: &str) -> bool {
    split_key(text).is_some()
}

/// The properties of a logical line in order, or what is wrong with one.
pub(super) fn fields(body: &str) -> impl Iterator<Item = Result<(&str, String), &'static str>> {
    let mut rest = body;
    std::iter::from_fn(move || {
        rest = rest.trim_start_matches(' ');
        if rest.is_empty() {
            return None;
        }
        let Some((key, text)) = split_key(rest) else {
            rest = "";
            return Some(Err("a word is no property"));
        };
        let value = if key == property::CONTENTS {
            // The text of a file: whatever looks like a property in it is none.
            rest = "";
            Ok(text.to_owned())
        } else if let Some(quoted) = text.strip_prefix('"') {
            let split = split_quoted(quoted);
            rest = split.as_ref().map_or("", |(_, after)| after);
            split.map(|(value, _)| value)
        } else {
            let length = unquoted_length(text);
            let (value, after) = text.split_at_checked(length).unwrap_or((text, ""));
            rest = after;
            Ok(value.trim_end_matches(' ').to_owned())
        };
        Some(value.map(|value| (key, value)))
    })
}

fn split_key(text: &str) -> Option<(&str, &str)> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_');
    let after = text.trim_start_matches(plain);
    let key = text.get(..text.len() - after.len())?;
    let begins = key.starts_with(|c: char| c.is_ascii_lowercase() || c == '.');
    after
        .strip_prefix('=')
        .filter(|_| begins)
        .map(|value| (key, value))
}

/// An unquoted value ends before the next `key=`: `.img file` and grouped digits have spaces.
fn unquoted_length(text: &str) -> usize {
    let mut length = 0;
    for word in text.split_inclusive(' ') {
        if length > 0 && starts_with_key(word) {
            break;
        }
        length += word.len();
    }
    length
}

/// Reads up to the closing quote, after which a word must end.
fn split_quoted(text: &str) -> Result<(String, &str), &'static str> {
    let mut value: Vec<u8> = Vec::new();
    let mut rest = text;
    loop {
        let stop = rest.find(['"', '\\']).ok_or("a quote is not closed")?;
        let (plain, marked) = rest.split_at_checked(stop).ok_or("a quote is not closed")?;
        value.extend_from_slice(plain.as_bytes());
        if let Some(after) = marked.strip_prefix('"') {
            if !(after.is_empty() || after.starts_with(' ')) {
                return Err("text follows a closing quote");
            }
            return Ok((String::from_utf8_lossy(&value).into_owned(), after));
        }
        let escape = marked.strip_prefix('\\').ok_or("a quote is not closed")?;
        let (byte, after) = unescape(escape).ok_or("an escape is unknown")?;
        value.push(byte);
        rest = after;
    }
}

/// The escapes RouterOS knows, old `\?` included.
fn unescape(text: &str) -> Option<(u8, &str)> {
    let mut chars = text.chars();
    let byte = match chars.next()? {
        same @ ('\\' | '"' | '$' | '?') => u8::try_from(same).ok()?,
        'n' => b'\n',
        'r' => b'\r',
        't' => b'\t',
        '_' => b' ',
        'a' => 0x07,
        'b' => 0x08,
        'f' => 0x0c,
        'v' => 0x0b,
        _ => {
            let (digits, after) = text.split_at_checked(2)?;
            let hex = digits.bytes().all(|digit| digit.is_ascii_hexdigit());
            let byte = u8::from_str_radix(digits, 16).ok().filter(|_| hex)?;
            return Some((byte, after));
        }
    };
    Some((byte, chars.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(body: &str, expected: &[(&str, &str)]) {
        let read: Result<Vec<_>, _> = fields(body).collect();
        let expected: Vec<_> = expected
            .iter()
            .map(|(k, v)| (*k, (*v).to_owned()))
            .collect();
        assert_eq!(read, Ok(expected), "{body}");
    }

    #[test]
    fn values_end_where_the_next_property_begins() {
        check(
            "type=.img file size=10.0GiB",
            &[("type", ".img file"), ("size", "10.0GiB")],
        );
        check(
            "size=53 687 091 200 use=8%",
            &[("size", "53 687 091 200"), ("use", "8%")],
        );
        check(
            "fs=- parent=\"\"  a=",
            &[("fs", "-"), ("parent", ""), ("a", "")],
        );
        check(
            "state=\"clean, resync = 1\" x=y=z",
            &[("state", "clean, resync = 1"), ("x", "y=z")],
        );
        check(
            "size=1 contents=hello slot=\"x",
            &[("size", "1"), ("contents", "hello slot=\"x")],
        );
        check(
            "slot=a slot-default=b .id=*2",
            &[("slot", "a"), ("slot-default", "b"), (".id", "*2")],
        );
    }

    #[test]
    fn escapes_are_undone() {
        check(r#"a="\"\\\$\?\_\n\t\41\c3\A4""#, &[("a", "\"\\$? \n\tAä")]);
        check(
            r#"a=";;; slot=\"b\" " b=c"#,
            &[("a", ";;; slot=\"b\" "), ("b", "c")],
        );
    }

    #[test]
    fn damaged_words_are_refused() {
        let bad = [
            "x",
            "a=\"b",
            "a=\"b\\",
            "a=\"b\"c",
            "a=\"\\q\"",
            "=b",
            "A=b",
            "a=\"\\4\"",
            "a=\"\\+1\"",
        ];
        for body in bad {
            let read: Result<Vec<_>, _> = fields(body).collect();
            assert!(read.is_err(), "{body:?}: {read:?}");
        }
    }
}
