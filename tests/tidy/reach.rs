//! Which files the compiler sees: a file that no `mod` and no Cargo target names is dead, and a dead
//! test passes for ever.

use std::collections::BTreeSet;
use std::path::Path;

use super::source::{Manifest, Source};

/// The files Cargo compiles by itself: its usual places, and every `path = "….rs"` in a manifest.
pub(crate) fn roots(sources: &[Source], manifests: &[Manifest]) -> BTreeSet<String> {
    let named = manifests.iter().flat_map(|manifest| {
        manifest
            .text
            .lines()
            .filter_map(|line| line.split_once('='))
            .filter(|(key, _)| matches!(key.trim(), "path" | "build"))
            .map(|(_, value)| value.trim().trim_matches('"'))
            .filter(|path| {
                Path::new(path)
                    .extension()
                    .is_some_and(|found| found == "rs")
            })
            .map(|path| format!("{}{path}", manifest.folder))
    });
    let usual = sources
        .iter()
        .map(|source| source.path.clone())
        .filter(|path| {
            let package = manifests
                .iter()
                .map(|manifest| manifest.folder.as_str())
                .filter(|folder| path.starts_with(folder))
                .max_by_key(|folder| folder.len());
            let inside = path.strip_prefix(package.unwrap_or_default());
            let parts: Vec<&str> = inside.unwrap_or(path).split('/').collect();
            matches!(
                parts.as_slice(),
                ["src", "lib.rs" | "main.rs"]
                    | ["src", "bin", _]
                    | ["tests", _]
                    | ["tests", _, "main.rs"]
            )
        });
    usual.chain(named).collect()
}

/// The sources that cannot be reached from `roots`.
pub(crate) fn orphans(sources: &[Source], roots: &BTreeSet<String>) -> Vec<String> {
    let mut reached = BTreeSet::new();
    let mut next: Vec<String> = roots.iter().cloned().collect();
    while let Some(path) = next.pop() {
        let Some(source) = sources.iter().find(|source| source.path == path) else {
            continue;
        };
        if reached.insert(path.clone()) {
            let (folder, file) = path.rsplit_once('/').unwrap_or(("", &path));
            let stem = file.trim_end_matches(".rs");
            let is_root = roots.contains(&path) || stem == "mod";
            let children = if is_root {
                folder.to_owned()
            } else {
                format!("{folder}/{stem}")
            };
            follow(&source.ast.items, folder, &children, &mut next);
        }
    }
    let all = sources.iter().map(|source| source.path.clone());
    all.filter(|path| !reached.contains(path)).collect()
}

/// Adds what the `mod x;` items name. `beside` is what a `#[path]` is relative to, `children` where
/// a `mod` without one looks; inside an inline module both are the module's folder.
fn follow(items: &[syn::Item], beside: &str, children: &str, next: &mut Vec<String>) {
    for item in items {
        let syn::Item::Mod(module) = item else {
            continue;
        };
        let inline = format!("{children}/{}", module.ident);
        match (&module.content, path_attribute(module)) {
            (Some((_, items)), _) => follow(items, &inline, &inline, next),
            (None, Some(path)) => next.push(format!("{beside}/{path}")),
            (None, None) => next.extend([format!("{inline}.rs"), format!("{inline}/mod.rs")]),
        }
    }
}

fn path_attribute(module: &syn::ItemMod) -> Option<String> {
    module
        .attrs
        .iter()
        .find_map(|attribute| match &attribute.meta {
            syn::Meta::NameValue(pair) if pair.path.is_ident("path") => match &pair.value {
                syn::Expr::Lit(syn::ExprLit {
                    lit: syn::Lit::Str(path),
                    ..
                }) => Some(path.value()),
                _ => None,
            },
            _ => None,
        })
}

#[test]
fn a_file_nobody_names_is_found() {
    let sources = [
        ("src/lib.rs", "mod rds; mod sim { mod disk; }"),
        ("src/rds.rs", "#[cfg(test)] mod tests;"),
        ("src/rds/tests.rs", ""),
        ("src/rds/forgotten.rs", "mod below;"),
        ("src/rds/forgotten/below.rs", ""),
        ("src/sim/disk.rs", ""),
        ("src/main.rs", ""),
        ("proto/build.rs", "mod messages;"),
        ("proto/messages.rs", ""),
        (
            "tests/a.rs",
            "#[path = \"a/part.rs\"] mod part; #[path = \"support/x.rs\"] mod x;",
        ),
        ("tests/a/part.rs", ""),
        ("tests/support/x.rs", "mod inner;"),
        ("tests/support/x/inner.rs", ""),
        ("tests/support/y.rs", ""),
        ("tests/chaos/main.rs", ""),
        ("tests/fuzz/targets/parse.rs", ""),
        ("bed/src/lib.rs", "mod process;"),
        ("bed/src/process.rs", ""),
        ("bed/src/lost.rs", ""),
        ("bed/tests/process.rs", ""),
    ]
    .map(|(path, text)| Source::parse(path, text));
    let manifest = |folder: &str, text: &str| Manifest {
        folder: folder.into(),
        text: text.into(),
    };
    let manifests = [
        manifest("", "build = \"proto/build.rs\"\nrds = { path = \"rds\" }"),
        manifest("bed/", "[package]"),
        manifest("tests/fuzz/", "[[bin]]\npath = \"targets/parse.rs\""),
    ];
    assert_eq!(
        orphans(&sources, &roots(&sources, &manifests)),
        [
            "src/rds/forgotten.rs",
            "src/rds/forgotten/below.rs",
            "tests/support/y.rs",
            "bed/src/lost.rs"
        ]
    );
}
