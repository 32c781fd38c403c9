//! Where the source refuses for good, and in which words: read from the syntax of the source itself.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use syn::buffer::{Cursor, TokenBuffer};
use syn::visit::{self, Visit};
use syn::{Expr, ImplItemFn, ItemFn, ItemMod, LitStr, Pat};

use super::page::repository;

/// Kinds of errors after which the same call will not do before somebody acts.
const FINAL: [&str; 8] = [
    "AttachedElsewhere",
    "InUse",
    "Misconfigured",
    "Incompatible",
    "NotFound",
    "NoSpace",
    "OutOfRange",
    "Unsupported",
];

/// Stand-ins and what serves people rather than sidecars.
const ELSEWHERE: [&str; 5] = [
    "src/sim",
    "src/demo",
    "src/workload",
    "src/operator",
    "src/admin",
];

/// A function that makes such an error.
#[derive(Debug, Default)]
pub(crate) struct Site {
    /// `file: function`.
    pub(crate) place: String,
    /// All texts in it.
    pub(crate) texts: Vec<String>,
}

/// What one file says.
#[derive(Default)]
pub(crate) struct Words {
    pub(crate) sites: Vec<Site>,
    /// All texts of the file, those in attributes included.
    pub(crate) texts: Vec<String>,
    file: String,
    open: Vec<(Site, bool)>,
}

impl Words {
    fn text(&mut self, text: String) {
        for (site, _) in &mut self.open {
            site.texts.push(text.clone());
        }
        self.texts.push(text);
    }

    fn function(&mut self, name: &str, walk: impl FnOnce(&mut Self)) {
        let place = format!("{}: {name}", self.file);
        let site = Site {
            place,
            texts: Vec::new(),
        };
        self.open.push((site, false));
        walk(self);
        if let Some((site, true)) = self.open.pop() {
            self.sites.push(site);
        }
    }

    /// The literals of a macro, such as the message of `format!`.
    fn tokens(&mut self, mut at: Cursor<'_>) {
        while !at.eof() {
            if let Some((literal, next)) = at.literal() {
                if let Ok(text) = syn::parse_str::<LitStr>(&literal.to_string()) {
                    self.text(text.value());
                }
                at = next;
            } else if let Some((inside, _, _, next)) = at.any_group() {
                self.tokens(inside);
                at = next;
            } else if let Some((_, next)) = at.token_tree() {
                at = next;
            } else {
                return;
            }
        }
    }
}

impl<'ast> Visit<'ast> for Words {
    fn visit_item_fn(&mut self, one: &'ast ItemFn) {
        let name = one.sig.ident.to_string();
        self.function(&name, |words| visit::visit_item_fn(words, one));
    }

    fn visit_impl_item_fn(&mut self, one: &'ast ImplItemFn) {
        let name = one.sig.ident.to_string();
        self.function(&name, |words| visit::visit_impl_item_fn(words, one));
    }

    fn visit_item_mod(&mut self, one: &'ast ItemMod) {
        if one.ident != "tests" {
            visit::visit_item_mod(self, one);
        }
    }

    fn visit_expr(&mut self, one: &'ast Expr) {
        if let Expr::Path(path) = one {
            let names: Vec<_> = path
                .path
                .segments
                .iter()
                .map(|part| part.ident.to_string())
                .collect();
            let last = names.last().map(String::as_str).unwrap_or_default();
            let is_kind = names.iter().rev().nth(1).is_some_and(|name| name == "Kind");
            if is_kind
                && FINAL.contains(&last)
                && let Some((_, is_final)) = self.open.last_mut()
            {
                *is_final = true;
            }
        }
        visit::visit_expr(self, one);
    }

    // `Kind::NotFound` on the left of an arm is none that is made there.
    fn visit_pat(&mut self, _: &'ast Pat) {}

    // What an error is compared with is not made there, either.
    fn visit_expr_binary(&mut self, one: &'ast syn::ExprBinary) {
        if !matches!(one.op, syn::BinOp::Eq(_) | syn::BinOp::Ne(_)) {
            visit::visit_expr_binary(self, one);
        }
    }

    fn visit_lit_str(&mut self, one: &'ast LitStr) {
        self.text(one.value());
    }

    fn visit_macro(&mut self, one: &'ast syn::Macro) {
        self.tokens(TokenBuffer::new2(one.tokens.clone()).begin());
    }

    fn visit_meta_list(&mut self, one: &'ast syn::MetaList) {
        self.tokens(TokenBuffer::new2(one.tokens.clone()).begin());
    }
}

fn sources() -> Vec<String> {
    let mut found = Vec::new();
    let mut folders: Vec<PathBuf> = vec![repository("src")];
    let top = repository("");
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).expect("a folder of sources") {
            let path = entry.expect("an entry").path();
            let inside = path.strip_prefix(&top).expect("inside");
            let name = inside.to_string_lossy().into_owned();
            let stem = path.file_stem().unwrap_or_default();
            if ELSEWHERE.iter().any(|other| name.starts_with(other)) || stem == "tests" {
                continue;
            }
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                found.push(name);
            }
        }
    }
    found.sort();
    found
}

/// What all of the driver's source says.
pub(crate) fn words() -> Vec<Words> {
    let read = sources().into_iter().map(|file| {
        let text = super::page::read(&file);
        let ast = syn::parse_file(&text).unwrap_or_else(|error| panic!("{file}: {error}"));
        let mut words = Words {
            file,
            ..Words::default()
        };
        words.visit_file(&ast);
        words
    });
    read.collect()
}

#[test]
fn a_refusal_is_found_with_its_words_and_a_comparison_is_none() {
    let source = r#"
        fn refuses() -> Error { Error::new(Kind::InUse, format!("volume {id} is {}", why("held"))) }
        fn asks(kind: Kind) -> bool { kind == Kind::InUse || matches!(kind, Kind::NotFound) }
        fn maps(kind: Kind) -> u8 { match kind { Kind::InUse => 1, _ => Kind::Busy as u8 } }
        mod tests { fn refuses() -> Error { Error::new(Kind::InUse, "no") } }
        #[error("cannot {0}")] enum E {}
    "#;
    let mut words = Words::default();
    words.visit_file(&syn::parse_file(source).expect("it is Rust"));
    let sites: Vec<_> = words.sites.iter().map(|site| &site.texts).collect();
    assert_eq!(sites, [&["volume {id} is {}", "held"]]);
    let texts: BTreeSet<_> = words.texts.iter().map(String::as_str).collect();
    assert!(
        texts.contains("cannot {0}") && !texts.contains("no"),
        "{texts:?}"
    );
}
