//! The arithmetic of the benchmarks (in `tests/bench`, which have no test harness): wrong figures look
//! just like right ones.

#![cfg(target_os = "linux")]

#[path = "bench/proc.rs"]
mod proc;
#[path = "bench/report.rs"]
mod report;
#[path = "bench/samples.rs"]
mod samples;

use std::time::Duration;

use proc::{Memory, cpu, machine, memory, parse_machine, parse_stat, parse_status};
use report::{Bound, Report, Table};
use samples::{Samples, Summary};

fn check(count: u64, expected: [u64; 5]) {
    let mut samples = Samples::default();
    // In two halves and backwards: neither order nor origin matters.
    let mut other = Samples::default();
    for ms in (1..=count).rev() {
        let half = if ms % 2 == 0 {
            &mut samples
        } else {
            &mut other
        };
        half.push(Duration::from_millis(ms));
    }
    samples.append(other);
    let [min, p50, p90, p99, max] = expected.map(Duration::from_millis);
    let expected = Summary {
        min,
        p50,
        p90,
        p99,
        max,
    };
    assert_eq!(samples.summary(), expected, "{count} samples");
}

#[test]
fn a_percentile_is_a_sample_that_so_many_are_not_above() {
    check(0, [0, 0, 0, 0, 0]);
    check(1, [1, 1, 1, 1, 1]);
    check(2, [1, 1, 2, 2, 2]);
    check(10, [1, 5, 9, 10, 10]);
    check(100, [1, 50, 90, 99, 100]);
    check(1000, [1, 500, 900, 990, 1000]);
    check(1001, [1, 501, 901, 991, 1001]);
}

#[test]
fn processor_time_is_found_behind_any_name() {
    let fields = "S 1 7 7 0 -1 4194560 900 0 3 0 250 17 30 3 20 0 4 0 99 1 2";
    for name in ["rds-csi", "a b", "a) S 1 (b"] {
        let text = format!("42 ({name}) {fields}");
        assert_eq!(parse_stat(&text), Some(Duration::from_secs(3)), "{name}");
    }
    assert_eq!(parse_stat("42 (rds-csi) S 1"), None);
}

#[test]
fn processor_time_of_the_machine_is_that_of_its_processes() {
    let text = "cpu  100 20 3 999 999 999 999 999 0 0\ncpu0 1 1 1 1\n";
    assert_eq!(parse_machine(text), Some(Duration::from_millis(1230)));
    for bad in ["", "cpu0 1 1 1", "cpu  1 1", "cpu  1 1 x"] {
        assert_eq!(parse_machine(bad), None, "{bad:?}");
    }
}

#[test]
fn memory_is_read_by_name() {
    let text = "Name:\tx\nVmHWM:\t   30 kB\nVmRSS:\t   20 kB\nRssAnon:\t  10 kB\n";
    let expected = Memory {
        resident: 20,
        peak: 30,
        anonymous: 10,
    };
    assert_eq!(parse_status(text), Some(expected));
    assert_eq!(parse_status("VmRSS:\t 20 kB\n"), None);
}

#[test]
fn this_process_has_used_something() {
    let own = std::process::id();
    let memory = memory(own).unwrap();
    assert!(
        memory.peak >= memory.resident && memory.resident > 0,
        "{memory:?}"
    );
    assert!(cpu(own).unwrap() <= machine().unwrap());
}

fn report() -> Report {
    let mut report = Report::default();
    assert!(report.is_empty());
    let mut table = Table::new("Calls", &["call", "p50"]);
    table.row(vec!["Publish".into(), "1.25".into()]);
    report.add(table);
    report.aim("p50", Bound::AtMost(3.0), 3.0, "ms");
    report.aim("rate", Bound::AtLeast(1000.0), 999.9, "/s");
    report
}

#[test]
fn both_forms_show_the_same_and_figures_line_up() {
    let aims = ["p50", "<= 3 ms", "3.00 ms", "met"];
    assert_eq!(
        report().render(false),
        "Calls\n\ncall      p50\nPublish  1.25\n\nAims\n\n\
         figure         aim   measured  verdict\n\
         p50        <= 3 ms    3.00 ms      met\n\
         rate    >= 1000 /s  999.90 /s   missed\n\n"
    );
    let markdown = report().render(true);
    for line in [
        "### Calls",
        "| call    |  p50 |",
        "|---|---:|",
        "| Publish | 1.25 |",
    ] {
        assert!(
            markdown.lines().any(|found| found == line),
            "{line}\n{markdown}"
        );
    }
    assert!(
        aims.iter().all(|cell| markdown.contains(cell)),
        "{markdown}"
    );
    assert!(!report().is_empty());
}

#[test]
fn a_short_run_is_not_judged_and_the_worst_disturbance_is_told() {
    let mut report = report();
    report.drop_aims();
    assert!(!report.render(false).contains("Aims"));
    for processors in [0.1, 0.9, 0.5] {
        report.disturbed(processors);
    }
    assert!((report.disturbance() - 0.9).abs() < f64::EPSILON);
}
