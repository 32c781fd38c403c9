//! Compiles `proto/csi.proto` into gRPC code, with `Debug` implementations that hide what the CSI
//! specification calls secret or sensitive. Pure Rust: no `protoc` is needed.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt::Write as _;
use std::path::Path;
use std::{env, fs};

use protox::prost_reflect::{
    DescriptorPool, ExtensionDescriptor, FieldDescriptor, MessageDescriptor,
};

const PACKAGE: &str = "csi.v1";

/// Printed in place of a hidden value: the text stock CSI sidecars print too, so one log filter fits all.
const STRIPPED: &str = "***stripped***";

/// Sensitive by the text of the specification (`VolumeCapability`), but marked by no option.
const SENSITIVE: [&str; 1] = ["csi.v1.VolumeCapability.MountVolume.mount_flags"];

/// Writes the code into cargo's output folder, where `src/proto.rs` includes it.
pub(crate) fn compile() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto/csi.proto");

    let mut compiler = protox::Compiler::new(["proto"])?;
    compiler.include_source_info(true).include_imports(true);
    compiler.open_file("csi.proto")?;

    let redacted = messages_to_redact(&compiler.descriptor_pool())?;
    let out = env::var("OUT_DIR")?;
    fs::write(
        Path::new(&out).join("csi.v1.redact.rs"),
        debug_impls(&redacted)?,
    )?;

    tonic_prost_build::configure()
        .emit_rerun_if_changed(false)
        .skip_debug(redacted.keys().map(|name| format!(".{name}")))
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}

/// A message whose derived `Debug` would print something hidden.
struct Redacted {
    /// Where prost puts the type, relative to the package.
    path: String,
    fields: Vec<Field>,
}

struct Field {
    name: String,
    hidden: bool,
}

/// Every message of the package that itself holds a hidden field, by full protobuf name. A message
/// that only contains such messages keeps its derived `Debug`, which calls the ones made here.
fn messages_to_redact(pool: &DescriptorPool) -> Result<BTreeMap<String, Redacted>, Box<dyn Error>> {
    let secret = pool
        .get_extension_by_name(&format!("{PACKAGE}.csi_secret"))
        .ok_or("csi.proto no longer declares the csi_secret option")?;
    for name in SENSITIVE {
        let known = pool
            .all_messages()
            .any(|message| message.fields().any(|field| field.full_name() == name));
        if !known {
            return Err(format!("{name} is listed as sensitive but not in csi.proto").into());
        }
    }

    let mut redacted = BTreeMap::new();
    for message in pool
        .all_messages()
        .filter(|message| message.package_name() == PACKAGE)
    {
        if !message.fields().any(|field| is_hidden(&field, &secret)) {
            continue;
        }
        let entry = Redacted {
            path: rust_path(&message)?,
            fields: fields(&message, &secret)?,
        };
        redacted.insert(message.full_name().to_owned(), entry);
    }
    Ok(redacted)
}

fn is_hidden(field: &FieldDescriptor, secret: &ExtensionDescriptor) -> bool {
    field.options().get_extension(secret).as_bool() == Some(true)
        || SENSITIVE.contains(&field.full_name())
}

/// The Rust fields of a message. A `oneof` becomes one Rust field with another name; no message with
/// secrets has one, so it is refused here instead of being guessed at.
fn fields(
    message: &MessageDescriptor,
    secret: &ExtensionDescriptor,
) -> Result<Vec<Field>, Box<dyn Error>> {
    if message.oneofs().next().is_some() {
        return Err(format!(
            "{}: no redaction for messages with a oneof",
            message.full_name()
        )
        .into());
    }
    Ok(message
        .fields()
        .map(|field| Field {
            name: field.name().to_owned(),
            hidden: is_hidden(&field, secret),
        })
        .collect())
}

/// prost puts a nested message into a module named after its parent in snake case.
fn rust_path(message: &MessageDescriptor) -> Result<String, Box<dyn Error>> {
    let name = message
        .full_name()
        .strip_prefix(&format!("{PACKAGE}."))
        .ok_or_else(|| format!("{} is not in {PACKAGE}", message.full_name()))?;
    let (modules, ty) = match name.rsplit_once('.') {
        Some((parents, ty)) => (parents.split('.').map(snake_case).collect(), ty),
        None => (Vec::new(), name),
    };
    Ok(modules
        .into_iter()
        .chain([ty.to_owned()])
        .collect::<Vec<_>>()
        .join("::"))
}

fn snake_case(name: &str) -> String {
    let mut snake = String::new();
    for (at, letter) in name.char_indices() {
        if letter.is_ascii_uppercase() && at > 0 {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

fn debug_impls(redacted: &BTreeMap<String, Redacted>) -> Result<String, std::fmt::Error> {
    let mut source = String::new();
    for Redacted { path, fields } in redacted.values() {
        let name = path.rsplit("::").next().unwrap_or(path);
        writeln!(source, "impl ::core::fmt::Debug for {path} {{")?;
        writeln!(
            source,
            "    fn fmt(&self, f: &mut ::core::fmt::Formatter<'_>) -> ::core::fmt::Result {{"
        )?;
        writeln!(source, "        f.debug_struct({name:?})")?;
        for Field { name, hidden } in fields {
            let value = if *hidden {
                format!("::core::format_args!({STRIPPED:?})")
            } else {
                format!("self.{name}")
            };
            writeln!(source, "            .field({name:?}, &{value})")?;
        }
        writeln!(source, "            .finish()\n    }}\n}}")?;
    }
    Ok(source)
}
