//! What a page of the manual tells people to type, so that a test can type it.

/// How a block begins that is meant to be pasted. Others show what is seen, or offer a choice.
const FENCE: &str = "```sh";
const END: &str = "```";

/// The text of each block of a page that is fenced as `sh`, in the order of the page.
pub fn commands(markdown: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = markdown.lines();
    while lines.by_ref().any(|line| line.trim_end() == FENCE) {
        let block = lines.by_ref().take_while(|line| line.trim_end() != END);
        blocks.push(block.flat_map(|line| [line, "\n"]).collect());
    }
    blocks
}

/// The variables of a block that only sets some, each with its value: `NAME=value  # what it is`.
/// Empty if the block does anything else.
pub fn settings(block: &str) -> Vec<(String, String)> {
    let read = block.lines().map(|line| {
        let (name, rest) = line.split_once('=')?;
        let is_name = |c: char| c.is_ascii_uppercase() || c == '_';
        let value = rest.split_whitespace().next()?;
        let known = !name.is_empty() && name.chars().all(is_name);
        let comment = rest.trim_start_matches(value).trim();
        (known && (comment.is_empty() || comment.starts_with('#')))
            .then(|| (name.to_owned(), value.to_owned()))
    });
    read.collect::<Option<_>>().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_to_paste_come_in_order_and_others_not_at_all() {
        let page = "# Page\n```sh\na \\\n  b\n```\ntext\n```text\nno\n```\n\n```sh\nc <<EOF\n\nEOF\n```\n```shell\nno\n```\n";
        assert_eq!(commands(page), ["a \\\n  b\n", "c <<EOF\n\nEOF\n"]);
        assert!(commands("no block").is_empty());
        assert_eq!(commands("```sh\nnever closed"), ["never closed\n"]);
    }

    #[test]
    fn settings_are_a_block_that_does_nothing_else() {
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let expected = vec![pair("A_B", "1"), pair("C", "x:1")];
        assert_eq!(settings("A_B=1   # one\nC=x:1\n"), expected);
        for other in ["A=1 make\n", "A=1\nmake\n", "a=1\n", "=1\n", "A=\n"] {
            assert_eq!(settings(other), [], "{other}");
        }
    }
}
