//! Lines about the volume itself: create, remove, grow, probe; and lines that only read.

use crate::rds::command::{
    Assign, Local, Menu, Operand, Query, Read, ReadForm, Section, Step, Term,
};
use crate::rds::error::LineError;
use crate::rds::line::grant::{
    assign, condition, declare_slot, literals, read_back, same_parts, the_slot,
};
use crate::rds::line::{Line, MAX_READS};
use crate::rds::names::Names;
use crate::rds::property;
use crate::rds::value::{BackingFile, DeviceName, MAX_NEW_SLOT, Slot};

/// Most files removed by one line: 4 paths of 200 bytes and 32 of command each leave half of a line
/// for the read-back.
pub const MAX_FILES: usize = 4;

/// What the creation of a volume needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CreateLine {
    /// The new entry's slot.
    pub slot: Slot,
    /// Its backing file; the directory must exist.
    pub file: BackingFile,
    /// Size in bytes.
    pub size: u64,
    /// TCP port of its export, once it is exported.
    pub port: u16,
    /// Subsystem NQN, where the device lets us name it. Without one the device uses the slot.
    pub subsystem: Option<DeviceName>,
    /// Allowed host NQN, where the device has the property. Without one any host is allowed.
    pub host: Option<DeviceName>,
    /// How to read back.
    pub form: ReadForm,
}

/// What the removal of an entry needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemoveEntryLine {
    /// The entry.
    pub slot: Slot,
    /// Its Free names: unique to this incarnation of the volume.
    pub names: Names,
    /// How to read back.
    pub form: ReadForm,
}

/// What the start-up probe of a device's abilities needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProbeLine {
    /// A throw-away slot.
    pub slot: Slot,
    /// Its throw-away backing file.
    pub file: BackingFile,
    /// Size in bytes, small.
    pub size: u64,
    /// Names given at first.
    pub before: Names,
    /// Names it is changed to while not exported.
    pub after: Names,
    /// How to read back.
    pub form: ReadForm,
}

impl Line {
    /// Adds the entry unless the slot exists, read back. The caller compares what it finds.
    ///
    /// # Errors
    /// [`LineError::SlotTooLong`], [`LineError::Size`].
    pub fn create(line: &CreateLine) -> Result<Self, LineError> {
        let CreateLine {
            slot,
            file,
            size,
            port,
            subsystem,
            host,
            form,
        } = line;
        let names = [(property::SUBSYSTEM, subsystem), (property::HOST, host)];
        let mut fields = new_disk(slot, file, *size)?;
        fields.push(Assign {
            key: property::PORT,
            operand: Operand::Number(u64::from(*port)),
        });
        for (key, name) in names {
            let operand = name.as_ref().map(|name| Operand::text(name.as_str()));
            fields.extend(operand.map(|operand| Assign { key, operand }));
        }
        let steps = vec![declare_slot(slot), Step::AddDisk(fields)];
        Ok(Self::new(
            "create",
            vec![Section::Silent(steps), read_back(*form)],
        ))
    }

    /// Removes the entry if it has exactly these names and is not exported; reads the entry and the
    /// files. RouterOS keeps the backing file.
    pub fn remove_entry(line: &RemoveEntryLine) -> Self {
        let RemoveEntryLine { slot, names, form } = line;
        let steps = vec![declare_slot(slot), remove_named(names)];
        let files = list(Menu::File, Term::backing_files(slot), *form);
        Self::new(
            "remove-entry",
            vec![Section::Silent(steps), read_back(*form), files],
        )
    }

    /// Removes files by their exact names, which carry the creation nonce; reads entry and files.
    /// The caller sees to it that the line does not grow too long: [`MAX_FILES`] at a time.
    pub fn remove_files(slot: &Slot, files: &[BackingFile], form: ReadForm) -> Self {
        let remove = files.iter().map(|file| Step::Remove {
            menu: Menu::File,
            when: vec![file_is(file)],
        });
        let steps = std::iter::once(declare_slot(slot)).chain(remove).collect();
        let files = list(Menu::File, Term::backing_files(slot), form);
        Self::new(
            "remove-files",
            vec![Section::Silent(steps), read_back(form), files],
        )
    }

    /// Sets the size if it is smaller now, read back. A late one never shrinks.
    ///
    /// # Errors
    /// [`LineError::Size`].
    pub fn grow(slot: &Slot, size: u64, form: ReadForm) -> Result<Self, LineError> {
        let size = disk_size(size)?;
        let step = Step::SetDisk {
            when: vec![the_slot(), Term::below(property::SIZE, size)],
            to: vec![Assign {
                key: property::FILE_SIZE,
                operand: Operand::Number(size),
            }],
        };
        let steps = vec![declare_slot(slot), step];
        Ok(Self::new(
            "grow",
            vec![Section::Silent(steps), read_back(form)],
        ))
    }

    /// Adds a throw-away entry, reads it, changes its names, reads it, removes entry and file, reads.
    ///
    /// The three reads tell whether names are printed while not exported, whether a condition can
    /// compare them (also with an empty name) and whether they can be changed. An error on the way
    /// skips the removal: the caller then sends [`Line::remove_entry`] and [`Line::remove_files`].
    ///
    /// # Errors
    /// [`LineError::MixedNames`], [`LineError::SlotTooLong`], [`LineError::Size`].
    pub fn probe(line: &ProbeLine) -> Result<Self, LineError> {
        let ProbeLine {
            slot,
            file,
            size,
            before,
            after,
            form,
        } = line;
        same_parts("probe", before, after)?;
        let mut fields = new_disk(slot, file, *size)?;
        fields.extend(assign(literals(before)));
        let add = vec![declare_slot(slot), Step::AddDisk(fields)];
        let rename = vec![Step::SetDisk {
            when: condition(literals(before), Some(false)),
            to: assign(literals(after)),
        }];
        // A rename that matched nothing leaves the first names.
        let remove = vec![
            remove_named(before),
            remove_named(after),
            Step::Remove {
                menu: Menu::File,
                when: vec![file_is(file)],
            },
        ];
        let sections = [add, rename, remove]
            .into_iter()
            .flat_map(|steps| [Section::Silent(steps), read_back(*form)])
            .collect();
        Ok(Self::new("probe", sections))
    }

    /// Asks any questions, in order.
    ///
    /// # Errors
    /// [`LineError::Reads`] for none or more than [`MAX_READS`].
    pub fn read(verb: &'static str, reads: &[Read], form: ReadForm) -> Result<Self, LineError> {
        if reads.is_empty() || reads.len() > MAX_READS {
            return Err(LineError::Reads {
                count: reads.len(),
                limit: MAX_READS,
            });
        }
        let sections = reads.iter().map(|read| query(read, form)).collect();
        Ok(Self::new(verb, sections))
    }

    /// Asks for version, uptime and identity, in this order: what tells one boot from another.
    pub fn system() -> Self {
        let reads = [Read::Version, Read::Uptime, Read::Identity];
        // None of these is a listing, so the form does not matter.
        Self::new(
            "system",
            reads
                .iter()
                .map(|read| query(read, ReadForm::Text))
                .collect(),
        )
    }
}

fn new_disk(slot: &Slot, file: &BackingFile, size: u64) -> Result<Vec<Assign>, LineError> {
    let length = slot.as_str().len();
    if length > MAX_NEW_SLOT {
        let slot = slot.as_str().to_owned();
        return Err(LineError::SlotTooLong {
            slot,
            length,
            limit: MAX_NEW_SLOT,
        });
    }
    let fields = [
        (property::TYPE, Operand::Word("file")),
        (property::SLOT, Operand::Local(Local::Slot)),
        (property::FILE_PATH, Operand::text(file.as_str())),
        (property::FILE_SIZE, Operand::Number(disk_size(size)?)),
        // The default is to mount the tenant's own filesystem on the storage server.
        (property::MOUNT_FILESYSTEM, Operand::Bool(false)),
        (property::EXPORT, Operand::Bool(false)),
    ];
    Ok(fields
        .into_iter()
        .map(|(key, operand)| Assign { key, operand })
        .collect())
}

fn disk_size(bytes: u64) -> Result<u64, LineError> {
    if bytes == 0 || i64::try_from(bytes).is_err() {
        return Err(LineError::Size { bytes });
    }
    Ok(bytes)
}

fn remove_named(names: &Names) -> Step {
    Step::Remove {
        menu: Menu::Disk,
        when: condition(literals(names), Some(false)),
    }
}

fn file_is(file: &BackingFile) -> Term {
    Term::equals(property::NAME, Operand::text(file.file_name()))
}

fn list(menu: Menu, when: Term, form: ReadForm) -> Section {
    Section::Read(Query::List { menu, when, form })
}

fn query(read: &Read, form: ReadForm) -> Section {
    let get = |menu, key| Section::Read(Query::Get { menu, key });
    match read {
        Read::Disk(slot) => list(
            Menu::Disk,
            Term::equals(property::SLOT, Operand::text(slot.as_str())),
            form,
        ),
        Read::Disks(prefix) => list(Menu::Disk, Term::begins(property::SLOT, prefix), form),
        Read::DiskCount(prefix) => Section::Read(Query::CountDisks {
            when: Term::begins(property::SLOT, prefix),
        }),
        Read::Pool(mount) => {
            let operand = Operand::text(mount.as_str());
            list(
                Menu::Disk,
                Term::equals(property::MOUNT_POINT, operand),
                form,
            )
        }
        Read::File(file) => list(Menu::File, file_is(file), form),
        Read::BackingFiles(slot) => list(Menu::File, Term::backing_files(slot), form),
        Read::Version => get("/system/resource", "version"),
        Read::Uptime => get("/system/resource", "uptime"),
        Read::Identity => get("/system/identity", "name"),
    }
}
