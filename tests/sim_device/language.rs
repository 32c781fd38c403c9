//! The command language: what parses, what it evaluates to, and what an error leaves undone.

use rds_csi::sim::observer::{Outcome, What};
use rds_csi::sim::personality::{ExitStyle, Personality};

use super::fixture::{add, device, device_of, out, quiet};

#[tokio::test]
async fn a_parse_error_executes_nothing_of_the_line() {
    let rows = [
        (
            "/disk/frobnicate",
            "bad command name frobnicate (line 1 column 7)",
        ),
        ("/dusk/print", "bad command name dusk (line 1 column 2)"),
        (
            ":frobnicate",
            "bad command name frobnicate (line 1 column 2)",
        ),
        ("/disk", ""),
        ("/", "expected command name (line 1 column 2)"),
        (
            "/disk/add wheels=4",
            "expected end of command (line 1 column 11)",
        ),
        (
            "/disk/set [find] wheels=4",
            "expected end of command (line 1 column 18)",
        ),
        (
            "/disk/print where wheels=4",
            "expected end of command (line 1 column 19)",
        ),
        (
            "/disk/print where slot=a/b",
            "expected end of command (line 1 column 25)",
        ),
        (
            "/disk/print where slot=a:b",
            "expected end of command (line 1 column 25)",
        ),
        (r#":put "a\.b""#, "syntax error (line 1 column 8)"),
        (r#":put "a\-b""#, "syntax error (line 1 column 8)"),
        (r#":put "price 5$""#, "syntax error (line 1 column 14)"),
        (r#":put "never closed"#, "syntax error (line 1 column 19)"),
        (":put [/disk find", "syntax error (line 1 column 17)"),
        (":put (1", "syntax error (line 1 column 8)"),
        (":put 1]", "syntax error (line 1 column 7)"),
        (":if (1 = 1) do={:put 1", "syntax error (line 1 column 23)"),
        (":put 1\n:put 2", "syntax error (line 1 column 7)"),
        (":put \"a\nb\"", "syntax error (line 1 column 8)"),
        (":put 'a b'", "expected end of command (line 1 column 9)"),
        (
            "/disk/remove a b",
            "expected end of command (line 1 column 16)",
        ),
    ];
    for (line, error) in rows {
        let world = device();
        // The mutation comes first: had anything run, it would be there.
        let text = out(
            &world,
            &format!("/file/add name=storage-pool/x type=directory;{line}"),
        )
        .await;
        let shift = "/file/add name=storage-pool/x type=directory;".len();
        assert_eq!(unshift(&text, shift), error, "{line}");
        let ran = world.files().contains(&"storage-pool/x".to_owned());
        assert_eq!(ran, error.is_empty(), "{line}");
    }
}

/// The message with its column counted from behind the first statement.
fn unshift(text: &str, shift: usize) -> String {
    let text = text.trim_end();
    let Some((head, column)) = text.rsplit_once("column ") else {
        return text.to_owned();
    };
    let column: usize = column.trim_end_matches(')').parse().unwrap_or_default();
    format!("{head}column {})", column - shift)
}

#[tokio::test]
async fn expressions_evaluate_as_routeros_does() {
    let world = device();
    add(&world, "csi-a").await;
    let rows = [
        (":put 1", "1"),
        (":put \"a b\"", "a b"),
        (":put", ""),
        (r#":put "\\ \" \$ \_| \41\5A""#, "\\ \" $  | AZ"),
        (":local s \"x\";:put \"<$s> <$t>\"", "<x> <>"),
        (":local s 5;:put $s", "5"),
        (":put (\"#n=\" . [:len [/disk find]])", "#n=2"),
        (":put (1 + 2)", "3"),
        (":put (5 - 2)", "3"),
        (":put (1 = 1 && 2 > 3)", "false"),
        (":put (1 = 2 || 2 <= 3)", "true"),
        (":put (!(1 = 2) and not (2 >= 3))", "true"),
        (":put (\"abc\" ~ \"b\")", "true"),
        (":put (\"a.c\" ~ \"^a\\\\.c\\$\")", "true"),
        (":put (\"abc\" ~ \"^a\\\\.c\\$\")", "false"),
        (":put [:len \"four\"]", "4"),
        (":if (1 = 1) do={:put yes} else={:put no}", "yes"),
        (":if (1 = 2) do={:put yes} else={:put no}", "no"),
        (":do {:error \"boom\"} on-error={:put caught}", "caught"),
        (
            ":foreach i in=[/disk find where slot~\"^csi-\"] do={:put $i}",
            "*5",
        ),
        (":local n 1;:if (1 = 1) do={:set n 2};:put $n", "2"),
        (
            ":put [/disk get [find where slot=csi-a] size]",
            "1073741824",
        ),
        (":put [/disk get csi-a nvme-tcp-export]", "false"),
        ("/disk;:put [find where slot=csi-a]", "*5"),
        (
            ":put ([/disk print as-value where slot=csi-a]->0->\"slot\")",
            "csi-a",
        ),
        (":put [/disk print count-only where slot=csi-a]", "1\r\n1"),
        (":put [/system identity get name]", "rds-sim"),
        (":put [/system/resource/get version]", "7.24.5 (stable)"),
    ];
    for (line, expected) in rows {
        assert_eq!(out(&world, line).await, format!("{expected}\r\n"), "{line}");
    }
}

#[tokio::test]
async fn conditions_select_rows() {
    let world = device();
    for slot in ["csi-a", "csi-ab", "pvc-b"] {
        add(&world, slot).await;
    }
    quiet(
        &world,
        "/disk/set [find where slot=pvc-b] nvme-tcp-export=yes",
    )
    .await;
    let rows = [
        ("slot=csi-a", "csi-a"),
        ("slot=\"csi-a\"", "csi-a"),
        ("slot~\"csi\"", "csi-a csi-ab"),
        ("slot~\"^csi-a\\$\"", "csi-a"),
        ("slot~\"^CSI\"", ""),
        ("slot~\"-a|-b\"", "csi-a csi-ab pvc-b"),
        ("slot!=csi-a && type=file", "csi-ab pvc-b"),
        ("slot=csi-a type=file", "csi-a"),
        ("slot=csi-a || slot=pvc-b", "csi-a pvc-b"),
        (
            "(slot=csi-a or slot=pvc-b) and !(nvme-tcp-export=yes)",
            "csi-a",
        ),
        ("not nvme-tcp-export type=file", "csi-a csi-ab"),
        ("nvme-tcp-export=yes", "pvc-b"),
        ("nvme-tcp-server-nqn=\"sub-csi-a\"", "csi-a"),
        ("type=file && size<1073741825 && slot=csi-a", "csi-a"),
        ("slot=csi-a && size<1073741824", ""),
        ("slot=csi-a && size=1G", "csi-a"),
        ("mount-point=\"storage-pool\"", "storage-pool"),
        ("mounted", "storage-pool"),
        ("slot=missing", ""),
    ];
    for (condition, expected) in rows {
        let line =
            format!(":foreach i in=[/disk find where {condition}] do={{:put [/disk get $i slot]}}");
        let found = out(&world, &line).await;
        assert_eq!(
            found.split_whitespace().collect::<Vec<_>>().join(" "),
            expected,
            "{condition}"
        );
    }
}

#[tokio::test]
async fn a_variable_named_like_a_property_is_the_property() {
    let world = device();
    add(&world, "csi-a").await;
    add(&world, "csi-b").await;
    let line =
        |name| format!(":local {name} \"csi-a\";:put [:len [/disk find where slot=${name}]]");
    assert_eq!(out(&world, &line("slot")).await, "3\r\n");
    assert_eq!(out(&world, &line("s")).await, "1\r\n");
}

#[tokio::test]
async fn a_runtime_error_skips_the_rest_and_keeps_what_was_done() {
    let world = device();
    add(&world, "csi-a").await;
    let line = ":put before;/disk/set csi-a comment=x;/disk/remove missing;:put \"nonce\"";
    let output = world.exec("csi", line).await;
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        "before\r\nno such item\r\n"
    );
    assert_eq!((output.stderr.len(), output.exit), (0, Some(0)));
    assert_eq!(world.disk("csi-a").unwrap().comment, "x");
    let outcomes: Vec<Outcome> = world
        .log(0)
        .into_iter()
        .filter_map(|entry| match entry.what {
            What::Command(command) => Some(command.outcome),
            _ => None,
        })
        .collect();
    assert_eq!(
        outcomes,
        [Outcome::Done, Outcome::Failed("no such item".to_owned())]
    );
}

#[tokio::test]
async fn exit_status_follows_the_personality() {
    let rows = [
        (ExitStyle::AlwaysZero, "no such item\r\n", "", Some(0)),
        (ExitStyle::Strict, "", "no such item\r\n", Some(1)),
        (ExitStyle::Absent, "no such item\r\n", "", None),
    ];
    for (exit, stdout, stderr, status) in rows {
        let world = device_of(Personality {
            exit,
            ..Personality::default()
        });
        let output = world.exec("csi", "/disk/remove missing").await;
        assert_eq!(String::from_utf8_lossy(&output.stdout), stdout);
        assert_eq!(String::from_utf8_lossy(&output.stderr), stderr);
        assert_eq!(output.exit, status);
    }
}

#[tokio::test]
async fn nesting_without_end_is_refused_not_followed() {
    let world = device();
    let line = format!(":put {}1{}", "(".repeat(5_000), ")".repeat(5_000));
    assert!(
        out(&world, &line)
            .await
            .starts_with("syntax error (line 1 column ")
    );
}
