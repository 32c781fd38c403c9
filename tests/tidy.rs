//! The layout rules of this repository, kept by a test: which module may use which, how long a file
//! may be, what a type may not be called. Each rule is a function from sources to findings and has a
//! table beside it that shows it can fail.

#![allow(
    clippy::panic,
    reason = "a test that cannot read its input fails by panicking"
)]

#[path = "tidy/codes.rs"]
mod codes;
#[path = "tidy/files.rs"]
mod files;
#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/messages.rs"]
mod messages;
#[path = "tidy/names.rs"]
mod names;
#[path = "tidy/reach.rs"]
mod reach;
#[path = "tidy/source.rs"]
mod source;
#[path = "tidy/words.rs"]
mod words;

use source::Source;

/// Runs one rule over every source of the repository.
fn hold(rule: fn(&Source) -> Vec<String>) {
    let findings: Vec<String> = source::all()
        .iter()
        .flat_map(|source| {
            rule(source)
                .into_iter()
                .map(|what| format!("{}: {what}", source.path))
        })
        .collect();
    assert!(findings.is_empty(), "\n{}\n", findings.join("\n"));
}

#[test]
fn files_are_short_named_well_and_say_their_purpose() {
    hold(files::check);
}

#[test]
fn modules_use_only_what_lies_below_them() {
    hold(layers::check);
}

#[test]
fn only_csi_status_chooses_grpc_codes() {
    hold(codes::check);
}

#[test]
fn no_stubs_no_skipped_tests_and_no_empty_type_names() {
    hold(words::check);
}

#[test]
fn log_lines_are_constant_text_with_fields() {
    hold(messages::check);
}

#[test]
fn every_source_is_compiled_by_somebody() {
    let sources = source::all();
    let roots = reach::roots(&sources, &source::manifests());
    let orphans = reach::orphans(&sources, &roots);
    assert!(
        orphans.is_empty(),
        "no `mod` and no Cargo target names {orphans:#?}"
    );
}
