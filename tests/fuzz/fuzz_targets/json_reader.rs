//! The reader of serialized listings and the judge of replies take any bytes.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rds_csi::rds::command::{Read, ReadForm};
use rds_csi::rds::entry::DiskEntry;
use rds_csi::rds::json;
use rds_csi::rds::line::Line;
use rds_csi::rds::reply::{Outcome, Raw, read};
use rds_csi::rds::value::{Nonce, Slot};

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    if let Ok(records) = json::read(&text) {
        for record in &records {
            if let Ok(entry) = DiskEntry::try_from(record) {
                assert_eq!(record.get("slot"), Some(entry.slot.as_str()));
            }
        }
    }

    let slot = Slot::new("csi-a").expect("a plain slot");
    let reads = [Read::Disk(slot), Read::Version];
    let line = Line::read("fuzz", &reads, ReadForm::Json).expect("two reads");
    let nonce = Nonce::new(0x1234_5678_9abc_def0);
    let raw = |stdout| Raw { stdout, stderr: &[], exit_status: Some(0) };
    if let Outcome::Complete(answer) = read(&line, &nonce, &raw(bytes)) {
        // Only both sentinels prove completeness, and only this line's nonce makes one.
        assert!(text.contains("123456789abcdef0-0") && text.contains("123456789abcdef0-1"));
        drop(answer.disk(0));
        drop(answer.version(1));
    }

    // The same bytes in the place of the first section's data.
    if !text.contains("123456789abcdef0") && !text.ends_with('\r') {
        let whole = format!("{text}\n123456789abcdef0-0\n7.16\n123456789abcdef0-1\n");
        let Outcome::Complete(answer) = read(&line, &nonce, &raw(whole.as_bytes())) else {
            panic!("data was taken for an error or a sentinel")
        };
        assert_eq!(answer.version(1).expect("a version").to_string(), "7.16");
        drop(answer.disk(0));
    }
});
