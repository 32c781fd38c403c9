//! Pages of the manual, and what is in them.

use std::fs;
use std::path::{Path, PathBuf};

/// A file for people, by its path in the repository.
pub(crate) struct Page {
    pub(crate) path: String,
    pub(crate) text: String,
}

/// A file of the repository.
pub(crate) fn repository(inside: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(inside)
}

/// A text file of the repository.
pub(crate) fn read(inside: &str) -> String {
    let path = repository(inside);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Every page: those in `docs/`, and those at the top that lead there.
pub(crate) fn pages() -> Vec<Page> {
    let folder = fs::read_dir(repository("docs")).expect("docs");
    let paths = folder.map(|entry| entry.expect("an entry").path());
    let texts = paths.filter(|path| path.extension().is_some_and(|kind| kind == "md"));
    let names = texts.filter_map(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    let mut paths: Vec<String> = names.map(|name| format!("docs/{name}")).collect();
    paths.extend(["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md"].map(str::to_owned));
    paths.sort();
    let pages = paths.into_iter().map(|path| Page {
        text: read(&path),
        path,
    });
    pages.collect()
}

/// The text below a heading, up to the next one of its rank or a higher one.
pub(crate) fn section<'a>(text: &'a str, heading: &str) -> &'a str {
    let start = text
        .find(&format!("{heading}\n"))
        .unwrap_or_else(|| panic!("there is no {heading:?}"));
    let body = text.get(start + heading.len()..).unwrap_or_default();
    let rank = heading.split(' ').next().unwrap_or_default();
    let ends = (1..=rank.len()).filter_map(|rank| body.find(&format!("\n{} ", "#".repeat(rank))));
    body.get(..ends.min().unwrap_or(body.len()))
        .unwrap_or_default()
}

/// The first column of every row of the tables in a text.
pub(crate) fn first_column(text: &str) -> Vec<&str> {
    let lines: Vec<&str> = text.lines().collect();
    let rows = lines.iter().enumerate().filter(|(at, line)| {
        let next = lines.get(at + 1).copied().unwrap_or_default();
        line.starts_with('|') && !line.starts_with("|---") && !next.starts_with("|---")
    });
    let cells = rows.filter_map(|(_, line)| line.split('|').nth(1));
    cells.map(str::trim).collect()
}

/// What stands between backticks outside of fenced blocks.
pub(crate) fn code_spans(text: &str) -> Vec<&str> {
    let outside = text.split("\n```").step_by(2);
    let spans = outside.flat_map(|part| part.split('`').skip(1).step_by(2));
    spans.collect()
}

/// The lines of all fenced blocks, whatever they are fenced as.
pub(crate) fn fenced(text: &str) -> Vec<&str> {
    let inside = text.split("\n```").skip(1).step_by(2);
    inside.flat_map(|block| block.lines().skip(1)).collect()
}

#[test]
fn a_section_ends_where_its_rank_ends() {
    let text = "# A\n\n## B\none\n### C\ntwo\n## D\nthree\n";
    assert_eq!(section(text, "## B"), "\none\n### C\ntwo");
    assert_eq!(section(text, "### C"), "\ntwo");
    assert_eq!(section(text, "## D"), "\nthree\n");
}

#[test]
fn headers_of_tables_are_no_rows() {
    let text = "| a | b |\n|---|---|\n| `c` | d |\n\ntext | no\n";
    assert_eq!(first_column(text), ["`c`"]);
}

#[test]
fn code_is_told_from_prose() {
    let text = "use `--a`.\n\n```sh\nb `c`\n```\nand `d e`\n";
    assert_eq!(code_spans(text), ["--a", "d e"]);
    assert_eq!(fenced(text), ["b `c`"]);
}
