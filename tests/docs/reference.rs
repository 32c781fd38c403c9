//! `docs/configuration.md` is what the code says: flags from the command line's own description, parameters
//! from the type that reads them, values from the chart.
//!
//! After a change, `RDS_CSI_WRITE_DOCS=1 cargo test --test docs` writes it anew.

use std::fmt::Write as _;
use std::fs;

use clap::{Arg, ArgAction, Command, CommandFactory as _};
use rds_csi::cli::Cli;
use rds_csi::domain::parameters::Parameters;
use syn::{Fields, Item, Lit, Meta};

use super::page::{read, repository};
use super::values;

const PAGE: &str = "docs/configuration.md";
const WRITE: &str = "RDS_CSI_WRITE_DOCS";

const INTRODUCTION: &str = "\
# Configuration

Every flag, StorageClass parameter and value of the chart. This page is written by `RDS_CSI_WRITE_DOCS=1 cargo test --test
docs` from the code, the chart and their comments, and a test keeps it so: do not edit it.

* A flag goes before its variable. `rds-csi ROLE --help` shows the same.
* Durations are whole numbers with a unit: `500ms`, `10s`, `2m`, `1h`.
* The chart sets the flags of the controller from its values; for others there is `controller.extraArgs`.
";

/// A cell of a table: one line, and no bar that would end it.
fn cell(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.replace('|', "\\|")
}

fn code(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!("`{}`", cell(text))
    }
}

/// `--flag VALUE`, or what stands in its place where it has no name.
fn name(arg: &Arg) -> String {
    let values = arg.get_value_names().unwrap_or_default();
    let takes = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    let value = values.first().map(clap::builder::Str::as_str);
    match (arg.get_long(), value.filter(|_| takes)) {
        (Some(long), Some(value)) => format!("--{long} {value}"),
        (Some(long), None) => format!("--{long}"),
        (None, value) => value.unwrap_or_else(|| arg.get_id().as_str()).to_owned(),
    }
}

fn default(arg: &Arg) -> String {
    let values = arg.get_default_values().iter();
    let values = values.map(|value| value.to_string_lossy());
    let takes = matches!(arg.get_action(), ArgAction::Set | ArgAction::Append);
    match values.collect::<Vec<_>>().join(",") {
        some if takes => code(&some),
        _ => String::new(),
    }
}

fn flags(page: &mut String, args: &[&Arg]) {
    page.push_str("\n| flag | variable | default | meaning |\n|---|---|---|---|\n");
    for arg in args {
        let env = arg.get_env().map(|env| env.to_string_lossy().into_owned());
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let must = if arg.is_required_set() {
            "**Required.** "
        } else {
            ""
        };
        writeln!(
            page,
            "| {} | {} | {} | {must}{} |",
            code(&name(arg)),
            code(&env.unwrap_or_default()),
            default(arg),
            cell(&help),
        )
        .expect("a string takes all");
    }
}

/// The flags of a role, those without a heading first.
fn role(page: &mut String, command: &Command) {
    let own = |arg: &&Arg| {
        !arg.is_hide_set()
            && !arg.is_global_set()
            && !["help", "version"].contains(&arg.get_id().as_str())
    };
    let args: Vec<&Arg> = command.get_arguments().filter(own).collect();
    let about = command
        .get_about()
        .map(ToString::to_string)
        .unwrap_or_default();
    write!(page, "\n### rds-csi {}\n\n{about}.\n", command.get_name()).expect("a string takes all");
    let mut headings: Vec<Option<&str>> = args.iter().map(|arg| arg.get_help_heading()).collect();
    headings.sort();
    headings.dedup();
    for heading in headings {
        let below = args.iter().filter(|arg| arg.get_help_heading() == heading);
        if let Some(heading) = heading {
            write!(page, "\n{heading}:\n").expect("a string takes all");
        }
        flags(page, &below.copied().collect::<Vec<_>>());
    }
}

fn command_line(page: &mut String) {
    page.push_str("\n## Flags\n\n### Every role\n");
    let mut command = Cli::command();
    command.build();
    let global: Vec<&Arg> = command
        .get_arguments()
        .filter(|arg| arg.is_global_set())
        .collect();
    flags(page, &global);
    for one in command.get_subcommands() {
        if one.get_name() != "help" {
            role(page, one);
        }
    }
}

/// Name and meaning of each field of `Parameters`, from its documentation: "`name`: meaning".
fn documented() -> Vec<(String, String)> {
    let file = syn::parse_file(&read("src/domain/parameters.rs")).expect("it is Rust");
    let of = file.items.into_iter().find_map(|item| match item {
        Item::Struct(one) if one.ident == "Parameters" => Some(one),
        _ => None,
    });
    let Fields::Named(fields) = of.expect("the parameters").fields else {
        panic!("parameters have names");
    };
    let docs = fields.named.into_iter().map(|field| {
        let lines = field
            .attrs
            .into_iter()
            .filter_map(|attribute| match attribute.meta {
                Meta::NameValue(pair) => match pair.value {
                    syn::Expr::Lit(syn::ExprLit {
                        lit: Lit::Str(text),
                        ..
                    }) => Some(text.value()),
                    _ => None,
                },
                _ => None,
            });
        let text = lines.collect::<String>();
        let (name, meaning) = text.split_once(": ").expect("`name`: meaning");
        let name = name.trim().trim_matches('`');
        let (first, rest) = meaning.trim().split_at(1);
        (name.to_owned(), format!("{}{rest}", first.to_uppercase()))
    });
    docs.collect()
}

/// What a parameter is if a StorageClass does not name it.
fn unnamed(name: &str) -> String {
    let Parameters {
        rds_address: None,
        nvme_address: None,
        nvme_port,
        directory: None,
        ctrl_loss_tmo,
        reconnect_delay,
        keep_alive_tmo,
        migration_timeout,
    } = Parameters::from_request([]).expect("no parameter has to be given")
    else {
        panic!("a parameter has a default that this table does not know");
    };
    let number = match name {
        "nvmePort" => i64::from(nvme_port),
        "ctrlLossTmo" => ctrl_loss_tmo,
        "reconnectDelay" => reconnect_delay,
        "keepAliveTmo" => keep_alive_tmo,
        "migrationTimeoutSeconds" => migration_timeout,
        _ => return "the controller's".to_owned(),
    };
    code(&number.to_string())
}

fn parameters(page: &mut String) {
    page.push_str("\n## StorageClass parameters\n\nAn unknown or malformed one is refused. The chart writes them from `storageClasses`.\n");
    page.push_str("\n| parameter | default | meaning |\n|---|---|---|\n");
    page.push_str("| `csi.storage.k8s.io/fstype` | `ext4` | `ext4`, `ext3` or `xfs` |\n");
    for (name, meaning) in documented() {
        let line = format!(
            "| {} | {} | {} |\n",
            code(&name),
            unnamed(&name),
            cell(&meaning)
        );
        page.push_str(&line);
    }
}

fn chart(page: &mut String) {
    page.push_str("\n## Chart values\n\nA value that is not in this table is refused (`values.schema.json`).\n");
    page.push_str("\n| value | default | meaning |\n|---|---|---|\n");
    for value in values::read() {
        let default = match &value.default {
            values::Default::Scalar(text) => code(text),
            values::Default::List => "see [values.yaml](../helm/rds-csi/values.yaml)".to_owned(),
            values::Default::Map => String::new(),
        };
        writeln!(
            page,
            "| {} | {default} | {} |",
            code(&value.path),
            cell(&value.meaning)
        )
        .expect("a string takes all");
    }
}

#[test]
fn the_reference_is_what_the_code_says() {
    let mut page = INTRODUCTION.to_owned();
    command_line(&mut page);
    parameters(&mut page);
    chart(&mut page);
    if std::env::var_os(WRITE).is_some() {
        fs::write(repository(PAGE), &page).expect("the checkout can be written");
    }
    let written = read(PAGE);
    let mut lines = page.lines().zip(written.lines());
    let first = lines.find(|(said, written)| said != written);
    assert!(
        page == written,
        "{PAGE} differs from the code, first in {first:?}; {WRITE}=1 writes it"
    );
    assert!(page.lines().count() > 150, "{} lines", page.lines().count());
}

/// The names that an unknown parameter is answered with are those of the table, and each is understood.
#[test]
fn parameters_of_the_reference_are_those_that_are_read() {
    let error = Parameters::from_request([("x", "y")]).expect_err("no such parameter");
    let (_, known) = error.context().split_once("known are ").expect("the names");
    let mut known: Vec<&str> = known.split(", ").collect();
    let documented = documented();
    let mut names: Vec<&str> = documented.iter().map(|(name, _)| name.as_str()).collect();
    known.sort_unstable();
    names.sort_unstable();
    assert_eq!(names, known);
}
