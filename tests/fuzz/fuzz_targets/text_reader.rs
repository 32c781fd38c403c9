//! The reader of printed listings takes any bytes, and what it reads it read from them.

#![no_main]

use libfuzzer_sys::fuzz_target;
use rds_csi::rds::entry::DiskEntry;
use rds_csi::rds::file::FileEntry;
use rds_csi::rds::text;

fuzz_target!(|bytes: &[u8]| {
    let listing = String::from_utf8_lossy(bytes);
    let Ok(records) = text::read(&listing) else { return };
    for record in &records {
        // The longest thing a record can hold is the listing; legend names are the only addition.
        let held: usize = record.fields().map(|(_, value)| value.len()).sum();
        assert!(held <= 3 * (listing.len() + 64), "{held} bytes from {}", listing.len());
        if let Ok(entry) = DiskEntry::try_from(record) {
            assert_eq!(record.get("slot"), Some(entry.slot.as_str()));
            assert!(entry.file_path.is_none_or(|path| path.starts_with('/')));
        }
        if let Ok(file) = FileEntry::try_from(record) {
            assert!(file.path.starts_with('/'));
        }
    }
    // SSH ends lines with CR LF; it must not matter.
    if !listing.contains('\r') {
        let over_ssh = text::read(&listing.replace('\n', "\r\n"));
        assert_eq!(over_ssh.ok(), Some(records));
    }
});
