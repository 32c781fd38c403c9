//! Any entry, printed by a second implementation of the layout, reads the same as its JSON.

use proptest::prelude::*;
use serde_json::{Value, json};

use crate::rds::entry::DiskEntry;
use crate::rds::{json, text};

const INDENT: usize = 15;

/// One disk as a device might hold it.
#[derive(Clone, Debug)]
struct Disk {
    comment: String,
    slot: String,
    model: String,
    size: u64,
    free: Option<u64>,
    exported: bool,
    mounted: bool,
    disabled: bool,
    names: Option<(String, String)>,
    path: String,
    mount_point: String,
    two_words: String,
}

/// How the device happens to print it.
#[derive(Clone, Copy, Debug)]
struct Style {
    /// Digit groups may part at the end of a line.
    split_digits: bool,
    /// A word too long for a line is cut where it stands, rather than first moved to its own line;
    /// never within its key.
    cut_in_place: bool,
    crlf: bool,
    /// Columns of a line.
    width: usize,
    json: JsonStyle,
}

#[derive(Clone, Copy, Debug)]
enum JsonStyle {
    Plain,
    Decimal,
    Strings,
}

fn quoted(text: &str) -> String {
    let escaped = text
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('$', "\\$");
    format!("\"{escaped}\"")
}

fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let first = digits.len() % 3;
    let mut groups: Vec<&str> = Vec::new();
    if first > 0 {
        groups.push(&digits[..first]);
    }
    groups.extend(
        (first..digits.len())
            .step_by(3)
            .map(|at| &digits[at..at + 3]),
    );
    groups.join(" ")
}

fn yes(state: bool) -> &'static str {
    if state { "yes" } else { "no" }
}

/// The words of a record: each stands on one line unless it is longer than a line.
fn words(disk: &Disk, style: Style) -> Vec<String> {
    let mut words = vec![
        format!("type={}", disk.two_words),
        format!("slot={}", quoted(&disk.slot)),
    ];
    words.push("slot-default=\"\" parent=\"\"".replace(" parent", "\u{0}parent"));
    words.push(format!("model={}", quoted(&disk.model)));
    words.push(format!("size={}", grouped(disk.size)));
    words.extend(disk.free.map(|free| format!("free={}", grouped(free))));
    words.push(format!("mount-point={}", quoted(&disk.mount_point)));
    words.push(format!("nvme-tcp-export={}", yes(disk.exported)));
    if let Some((subsystem, host)) = &disk.names {
        words.push("nvme-tcp-server-port=4420".to_owned());
        words.push(format!("nvme-tcp-server-nqn={}", quoted(subsystem)));
        words.push(format!("nvme-tcp-server-allow-host-name={}", quoted(host)));
    }
    words.push(format!("file-path={}", disk.path));
    words.push("file-size=1024.0MiB".to_owned());
    let digits = |word: &String| style.split_digits && word.contains("e=") && !word.contains('"');
    words
        .iter()
        .flat_map(|word| {
            let parts: Vec<&str> = if digits(word) {
                word.split(' ').collect()
            } else {
                word.split('\u{0}').collect()
            };
            parts.into_iter().map(str::to_owned).collect::<Vec<_>>()
        })
        .collect()
}

fn print(disks: &[Disk], style: Style) -> String {
    let mut lines = vec![
        "Flags: X - DISABLED; A - ACQUIRED, E - EMPTY, B - BLOCK-DEVICE;".to_owned(),
        "M - MOUNTED, F - FORMATTING, S - SWAP-ENABLED;".to_owned(),
        "       t - NVME-TCP-EXPORT".to_owned(),
    ];
    for (index, disk) in disks.iter().enumerate() {
        let mounted = if disk.mounted { 'M' } else { ' ' };
        let exported = if disk.exported { 't' } else { ' ' };
        let disabled = if disk.disabled { 'X' } else { ' ' };
        let prefix = format!("{index:>2} {disabled}B{mounted} {exported}");
        let mut line = format!("{prefix:<INDENT$}");
        if !disk.comment.trim().is_empty() {
            line.push_str(";;; ");
            line.push_str(&disk.comment);
            lines.push(std::mem::replace(&mut line, " ".repeat(INDENT)));
        }
        for word in words(disk, style) {
            let fresh = line.len() <= INDENT;
            let long = word.len() > style.width - INDENT;
            if !fresh {
                let fits = line.len() + 1 + word.len() <= style.width;
                let key = word.find('=').unwrap_or(0) + 1;
                let room = long && style.cut_in_place && line.len() + 1 + key <= style.width;
                if fits || room {
                    line.push(' ');
                } else {
                    lines.push(std::mem::replace(&mut line, " ".repeat(INDENT)));
                }
            }
            for c in word.chars() {
                if line.len() == style.width {
                    lines.push(std::mem::replace(&mut line, " ".repeat(INDENT)));
                }
                line.push(c);
            }
        }
        lines.push(line);
        lines.push(if index % 2 == 0 {
            String::new()
        } else {
            " ".to_owned()
        });
    }
    lines.join(if style.crlf { "\r\n" } else { "\n" })
}

fn serialize(disks: &[Disk], style: Style) -> String {
    let number = |number: u64| match style.json {
        JsonStyle::Decimal => format!("{number}.000000"),
        JsonStyle::Strings => format!("\"{number}\""),
        JsonStyle::Plain => number.to_string(),
    };
    let boolean = |state: bool| match style.json {
        JsonStyle::Strings => json!(yes(state)).to_string(),
        JsonStyle::Plain | JsonStyle::Decimal => state.to_string(),
    };
    let string = |text: &str| Value::from(text).to_string();
    let records = disks.iter().map(|disk| {
        let mut fields = vec![
            (".id", string("*2")),
            ("comment", string(&disk.comment)),
            ("file-path", string(&disk.path)),
            ("mount-point", string(&disk.mount_point)),
            ("mounted", boolean(disk.mounted)),
            ("disabled", boolean(disk.disabled)),
            ("nvme-tcp-export", boolean(disk.exported)),
            ("model", string(&disk.model)),
            ("size", number(disk.size)),
            ("slot", string(&disk.slot)),
            ("type", string(&disk.two_words)),
        ];
        fields.extend(disk.free.map(|free| ("free", number(free))));
        if let Some((subsystem, host)) = &disk.names {
            fields.push(("nvme-tcp-server-port", number(4420)));
            fields.push(("nvme-tcp-server-nqn", string(subsystem)));
            fields.push(("nvme-tcp-server-allow-host-name", string(host)));
        }
        let fields: Vec<_> = fields
            .iter()
            .map(|(key, value)| format!("\"{key}\":{value}"))
            .collect();
        format!("{{{}}}", fields.join(","))
    });
    format!("[{}]", records.collect::<Vec<_>>().join(",\n"))
}

/// Printable text, among it what imitates the layout, of lengths about the cuts.
fn any_text() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "[ -~]{0,223}",
        2 => "[a-z0-9.:-]{40,140}",
        1 => "[\"\\\\$;= ]{0,150}",
        1 => " {60,140}",
        1 => "([a-z-]{1,9}=){0,30}",
        1 => Just(";;; slot=\"x\" failure: no space".to_owned()),
        1 => Just(" 1  B  type=file slot=\"x\"".to_owned()),
    ]
}

prop_compose! {
    fn any_disk()(
        comment in prop_oneof![2 => Just(String::new()), 1 => "[ -~]{0,120}"],
        slot in "[A-Za-z0-9._-]{1,40}",
        model in any_text(),
        size in any::<u64>(),
        free in proptest::option::of(any::<u64>()),
        (exported, mounted, disabled) in any::<(bool, bool, bool)>(),
        names in proptest::option::of((any_text(), any_text())),
        path in "/[A-Za-z0-9._/-]{1,199}",
        mount_point in "[a-z-]{0,20}",
        two_words in prop_oneof![Just("file"), Just("raid"), Just(".img file")],
    ) -> Disk {
        let two_words = two_words.to_owned();
        Disk { comment, slot, model, size, free, exported, mounted, disabled, names, path, mount_point, two_words }
    }
}

prop_compose! {
    fn any_style()(
        (split_digits, cut_in_place, crlf) in any::<(bool, bool, bool)>(),
        width in prop_oneof![3 => Just(80_usize), 1 => 60_usize..240],
        json in prop_oneof![
            Just(JsonStyle::Plain), Just(JsonStyle::Decimal), Just(JsonStyle::Strings)
        ],
    ) -> Style {
        Style { split_digits, cut_in_place, crlf, width, json }
    }
}

fn entries(records: &[crate::rds::record::Record]) -> Vec<DiskEntry> {
    records
        .iter()
        .map(|record| DiskEntry::try_from(record).unwrap())
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1024, ..ProptestConfig::default() })]

    #[test]
    fn text_and_json_of_one_state_read_the_same(
        disks in proptest::collection::vec(any_disk(), 0..4),
        style in any_style(),
    ) {
        let (printed, serialized) = (print(&disks, style), serialize(&disks, style));
        let from_text = text::read(&printed).map_err(|error| {
            TestCaseError::fail(format!("{error}\n{printed}"))
        })?;
        let from_json = entries(&json::read(&serialized).unwrap());
        prop_assert_eq!(entries(&from_text), from_json.clone(), "{}", printed);
        let sizes: Vec<_> = from_json.iter().map(|entry| entry.size).collect();
        prop_assert_eq!(sizes, disks.iter().map(|disk| disk.size).collect::<Vec<_>>());
        for (disk, record) in disks.iter().zip(&from_text) {
            prop_assert_eq!(record.get("model"), Some(disk.model.as_str()), "{}", printed);
        }
    }

    #[test]
    fn a_listing_cut_short_never_gains_an_entry(
        disks in proptest::collection::vec(any_disk(), 0..3),
        style in any_style(),
        keep in 0.0..1.0,
    ) {
        let printed = print(&disks, style);
        let whole = text::read(&printed).unwrap().len();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss,
            reason = "a position within a short text")]
        let cut = (printed.len() as f64 * keep) as usize;
        if let Ok(records) = text::read(&printed[..cut]) {
            prop_assert!(records.len() <= whole);
        }
    }

    #[test]
    fn readers_survive_any_text(text in "(?s).{0,300}|[ -~\\n]{0,300}|( 0  B  |type=|slot=|\"|\\\\|\\n|;;; | |x){0,60}") {
        for records in [text::read(&text), json::read(&text)].into_iter().flatten() {
            for record in records {
                let entry = DiskEntry::try_from(&record);
                prop_assert!(entry.is_err() || record.get("slot").is_some());
            }
        }
    }
}
