//! Words that do not occur: stubs, tests that do not run, types named after nothing.

use syn::buffer::TokenBuffer;
use syn::visit::{self, Visit};

use super::names::words;
use super::source::Source;

/// Endings that could be put on any type and so say nothing about this one.
const BANNED_ENDINGS: [&str; 7] = ["Manager", "Helper", "Util", "Info", "Data", "Impl", "Base"];

const BANNED_MACROS: [&str; 2] = ["todo", "unimplemented"];

/// A test is run, and says what it expects of the value it got.
const BANNED_ATTRIBUTES: [&str; 2] = ["ignore", "should_panic"];

pub(crate) fn check(source: &Source) -> Vec<String> {
    let mut finder = Finder {
        findings: Vec::new(),
    };
    finder.visit_file(&source.ast);
    finder.findings
}

struct Finder {
    findings: Vec<String>,
}

impl Finder {
    fn declared(&mut self, ident: &syn::Ident) {
        let name = ident.to_string();
        if let Some(ending) = BANNED_ENDINGS
            .iter()
            .find(|ending| name.ends_with(**ending))
        {
            self.findings
                .push(format!("type `{name}`: `{ending}` says nothing"));
        }
    }

    /// Macro calls and attributes may also stand inside the arguments of a macro call, where the
    /// parser sees tokens only.
    fn inside(&mut self, words: &[String]) {
        for window in words.windows(3) {
            match window {
                [name, bang, open] if bang == "!" && open == "(" => self.called(name),
                [hash, open, name] if hash == "#" && open == "(" => self.marked(name),
                _ => {}
            }
        }
    }

    fn called(&mut self, name: &str) {
        if BANNED_MACROS.contains(&name) {
            self.findings.push(format!("`{name}!` leaves work undone"));
        }
    }

    fn marked(&mut self, name: &str) {
        if BANNED_ATTRIBUTES.contains(&name) {
            self.findings.push(format!("`#[{name}]` on a test"));
        }
    }
}

impl<'ast> Visit<'ast> for Finder {
    fn visit_macro(&mut self, call: &'ast syn::Macro) {
        if let Some(last) = call.path.segments.last() {
            self.called(&last.ident.to_string());
        }
        self.inside(&words(&TokenBuffer::new2(call.tokens.clone())));
    }

    fn visit_attribute(&mut self, attribute: &'ast syn::Attribute) {
        if let Some(name) = attribute.path().get_ident() {
            self.marked(&name.to_string());
        }
        if let syn::Meta::List(list) = &attribute.meta
            && list.path.is_ident("cfg_attr")
        {
            for word in words(&TokenBuffer::new2(list.tokens.clone())) {
                self.marked(&word);
            }
        }
    }

    fn visit_item_struct(&mut self, item: &'ast syn::ItemStruct) {
        self.declared(&item.ident);
        visit::visit_item_struct(self, item);
    }

    fn visit_item_enum(&mut self, item: &'ast syn::ItemEnum) {
        self.declared(&item.ident);
        visit::visit_item_enum(self, item);
    }

    fn visit_item_trait(&mut self, item: &'ast syn::ItemTrait) {
        self.declared(&item.ident);
        visit::visit_item_trait(self, item);
    }

    fn visit_item_type(&mut self, item: &'ast syn::ItemType) {
        self.declared(&item.ident);
        visit::visit_item_type(self, item);
    }
}

#[test]
fn a_banned_word_is_found() {
    let rows = [
        ("struct Attachment; enum Metadata {} trait Database {}", 0),
        ("struct VolumeManager;", 1),
        ("fn f() { enum NodeInfo {} }", 1),
        ("mod a { trait Base {} type PoolImpl = u8; }", 2),
        ("fn f() { todo!() }", 1),
        ("fn f() { std::unimplemented!(\"later\") }", 1),
        ("fn f() { select! { _ = g() => todo!() } }", 1),
        ("fn f() { panic!(\"todo!()\") }", 0),
        ("#[test] fn f() {}", 0),
        ("#[test] #[ignore = \"slow\"] fn f() {}", 1),
        ("#[test] #[should_panic] fn f() {}", 1),
        ("#[cfg_attr(miri, ignore)] #[test] fn f() {}", 1),
        ("proptest! { #[test] #[ignore] fn f(a in 0..9) {} }", 1),
        ("impl A { fn ignore(&self) {} }", 0),
    ];
    for (text, expected) in rows {
        let findings = check(&Source::parse("src/a.rs", text));
        assert_eq!(findings.len(), expected, "{text}: {findings:?}");
    }
}
