//! Links within the repository lead somewhere.

use std::collections::BTreeSet;
use std::path::Path;

use super::page::{Page, pages, read, repository};

/// Targets of `[text](target)`, outside of code.
fn targets(page: &Page) -> Vec<&str> {
    let outside = page.text.split("\n```").step_by(2);
    let after = outside.flat_map(|part| part.split("](").skip(1));
    after.filter_map(|rest| rest.split(')').next()).collect()
}

/// Anchors of headings, as code hosts make them.
fn anchors(text: &str) -> BTreeSet<String> {
    let outside = text.split("\n```").step_by(2);
    let lines = outside.flat_map(str::lines);
    let headings = lines.filter(|line| line.starts_with('#'));
    let kept = |c: &char| c.is_alphanumeric() || *c == ' ' || *c == '-' || *c == '_';
    let anchors = headings.map(|line| {
        let words = line.trim_start_matches('#').trim().to_lowercase();
        words.chars().filter(kept).collect::<String>()
    });
    anchors.map(|words| words.replace(' ', "-")).collect()
}

#[test]
fn every_link_leads_to_a_file_and_to_a_heading_in_it() {
    let mut seen = 0;
    for page in pages() {
        let folder = Path::new(&page.path).parent().expect("a folder");
        for target in targets(&page) {
            if target.starts_with("http") {
                continue;
            }
            let (file, anchor) = target.split_once('#').unwrap_or((target, ""));
            let path = match file {
                "" => page.path.clone(),
                file => folder.join(file).to_string_lossy().into_owned(),
            };
            let from = &page.path;
            assert!(repository(&path).exists(), "{from}: there is no {path}");
            if !anchor.is_empty() {
                let known = anchors(&read(&path));
                assert!(
                    known.contains(anchor),
                    "{from}: {target} has no such heading"
                );
            }
            seen += 1;
        }
    }
    assert!(seen > 30, "{seen} links");
}

#[test]
fn every_page_can_be_reached_from_the_readme() {
    let readme = read("README.md");
    for page in pages() {
        let is_linked = readme.contains(&format!("({}", page.path));
        assert!(is_linked || page.path == "README.md", "{}", page.path);
    }
}
