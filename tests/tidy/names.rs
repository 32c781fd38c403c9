//! Every path a source writes down (`use` trees, paths in code, paths inside macro calls), resolved
//! as far as text allows: `crate`, `self` and `super` become a path from the crate's root.

use syn::buffer::{Cursor, TokenBuffer};
use syn::visit::{self, Visit};

use super::source::Source;

/// One path: `["crate", "rds", "ssh"]`, or `["tonic", "Code"]` when it starts outside.
pub(crate) type Name = Vec<String>;

pub(crate) struct Names {
    pub(crate) all: Vec<Name>,
    /// A `use crate::{…}` or `use crate::*`, which hides from a reader what is used.
    pub(crate) opaque: usize,
}

pub(crate) fn names(source: &Source) -> Names {
    let mut collector = Collector {
        here: module_of(&source.path),
        names: Names {
            all: Vec::new(),
            opaque: 0,
        },
    };
    collector.visit_file(&source.ast);
    collector.names
}

/// `src/rds/ssh.rs` is `["rds", "ssh"]`; crate roots are empty.
pub(crate) fn module_of(path: &str) -> Name {
    let inside = path
        .strip_prefix("src/")
        .unwrap_or_default()
        .trim_end_matches(".rs");
    if matches!(inside, "" | "lib" | "main") {
        return Vec::new();
    }
    inside.split('/').map(str::to_owned).collect()
}

struct Collector {
    /// The module being visited, from the crate's root.
    here: Name,
    names: Names,
}

impl Collector {
    fn push(&mut self, name: Name) {
        let mut from = match name.first().map(String::as_str) {
            Some("crate") => Vec::new(),
            Some("self" | "super") => self.here.clone(),
            _ => return self.names.all.push(name),
        };
        for part in &name {
            match part.as_str() {
                "crate" | "self" => {}
                "super" => drop(from.pop()),
                other => from.push(other.to_owned()),
            }
        }
        self.names
            .all
            .push([vec!["crate".to_owned()], from].concat());
    }

    fn tokens(&mut self, tokens: &TokenBuffer) {
        for name in chains(&words(tokens)) {
            self.push(name);
        }
    }

    fn walk_use(&mut self, tree: &syn::UseTree, prefix: &Name) {
        let with = |part: String| [prefix.clone(), vec![part]].concat();
        match tree {
            syn::UseTree::Path(path) => self.walk_use(&path.tree, &with(path.ident.to_string())),
            syn::UseTree::Name(name) => self.push(with(name.ident.to_string())),
            syn::UseTree::Rename(rename) => self.push(with(rename.ident.to_string())),
            syn::UseTree::Glob(_) => {
                self.names.opaque += usize::from(prefix.as_slice() == ["crate"]);
                self.push(with("*".to_owned()));
            }
            syn::UseTree::Group(group) => {
                self.names.opaque += usize::from(prefix.as_slice() == ["crate"]);
                for tree in &group.items {
                    self.walk_use(tree, prefix);
                }
            }
        }
    }
}

impl<'ast> Visit<'ast> for Collector {
    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        self.walk_use(&item.tree, &Vec::new());
    }

    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        self.here.push(item.ident.to_string());
        visit::visit_item_mod(self, item);
        self.here.pop();
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        self.push(
            path.segments
                .iter()
                .map(|segment| segment.ident.to_string())
                .collect(),
        );
        visit::visit_path(self, path);
    }

    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        visit::visit_macro(self, call);
        self.tokens(&TokenBuffer::new2(call.tokens.clone()));
    }

    fn visit_meta_list(&mut self, list: &'ast syn::MetaList) {
        visit::visit_meta_list(self, list);
        self.tokens(&TokenBuffer::new2(list.tokens.clone()));
    }
}

/// The tokens of a macro call in a row: identifiers and punctuation as they are, groups opened and
/// closed, literals as `""`, so that text inside a string is never taken for code.
pub(crate) fn words(tokens: &TokenBuffer) -> Vec<String> {
    let mut words = Vec::new();
    flatten(tokens.begin(), &mut words);
    words
}

fn flatten(mut at: Cursor<'_>, words: &mut Vec<String>) {
    while !at.eof() {
        if let Some((ident, next)) = at.ident() {
            words.push(ident.to_string());
            at = next;
        } else if let Some((punct, next)) = at.punct() {
            words.push(punct.as_char().to_string());
            at = next;
        } else if let Some((inside, _, _, next)) = at.any_group() {
            words.push("(".to_owned());
            flatten(inside, words);
            words.push(")".to_owned());
            at = next;
        } else {
            words.push("\"\"".to_owned());
            at = at.token_tree().map_or_else(Cursor::empty, |(_, next)| next);
        }
    }
}

/// Runs of `a :: b :: c` among the words.
fn chains(words: &[String]) -> Vec<Name> {
    let is_ident = |word: &String| word.starts_with(|c: char| c.is_alphabetic() || c == '_');
    let mut chains = Vec::new();
    let mut rest = words;
    while let Some((first, mut tail)) = rest.split_first() {
        rest = tail;
        if !is_ident(first) {
            continue;
        }
        let mut chain = vec![first.clone()];
        while let [a, b, next, after @ ..] = tail {
            if a != ":" || b != ":" || !is_ident(next) {
                break;
            }
            chain.push(next.clone());
            tail = after;
        }
        rest = tail;
        chains.push(chain);
    }
    chains
}

#[test]
fn a_path_is_found_wherever_it_is_written() {
    let rows = [
        ("use crate::rds::ssh;", "crate::rds::ssh"),
        (
            "use crate::rds::{pool::Pool, ssh};",
            "crate::rds::pool::Pool",
        ),
        ("use super::super::rds as x;", "crate::rds"),
        (
            "mod tests { use super::super::super::rds::ssh; }",
            "crate::rds::ssh",
        ),
        ("mod tests { use super::x; }", "crate::service::publish::x"),
        ("use self::inner::x;", "crate::service::publish::inner::x"),
        ("fn f() -> crate::rds::Error { g() }", "crate::rds::Error"),
        ("fn f() { crate::rds::send::<u8>(1) }", "crate::rds::send"),
        ("fn f<T: crate::rds::Send>() {}", "crate::rds::Send"),
        (
            "fn f() { println!(\"{}\", crate::rds::name()) }",
            "crate::rds::name",
        ),
        (
            "fn f() { select! { x = wait() => { crate::rds::name() } } }",
            "crate::rds::name",
        ),
        ("#[derive(tonic::Code)] struct A;", "tonic::Code"),
        ("fn f() { matches!(c, tonic::Code::Ok) }", "tonic::Code::Ok"),
    ];
    for (text, expected) in rows {
        let found = names(&Source::parse("src/service/publish.rs", text)).all;
        let expected: Name = expected.split("::").map(str::to_owned).collect();
        assert!(found.contains(&expected), "{text}: {found:?}");
    }
    let quoted = names(&Source::parse(
        "src/a.rs",
        "fn f() { panic!(\"crate::rds::x\") }",
    ))
    .all;
    assert!(
        quoted
            .iter()
            .all(|name| name.last().is_some_and(|last| last != "x")),
        "{quoted:?}"
    );
}
