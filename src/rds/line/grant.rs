//! Lines that change who may use a volume: publish, revoke, re-open, re-make.
//!
//! Each step is conditional on the names it expects, so a line that arrives late or twice finds
//! nothing to change. All names are used once only; whatever a late line opens, nobody knows.

use crate::rds::command::{Assign, Local, Menu, Operand, Query, ReadForm, Section, Step, Term};
use crate::rds::error::LineError;
use crate::rds::line::Line;
use crate::rds::names::Names;
use crate::rds::property;
use crate::rds::value::Slot;

/// What a publish needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PublishLine {
    /// The volume's entry.
    pub slot: Slot,
    /// The names of the Free state last read.
    pub expected: Names,
    /// The fresh names of this attachment.
    pub pair: Names,
    /// How to read back.
    pub form: ReadForm,
}

/// What a revoke needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RevokeLine {
    /// The volume's entry.
    pub slot: Slot,
    /// The names to be taken back.
    pub pair: Names,
    /// Fresh names that nobody will use.
    pub free: Names,
    /// How to read back.
    pub form: ReadForm,
}

/// What a re-open needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReopenLine {
    /// The volume's entry.
    pub slot: Slot,
    /// The names it has and keeps.
    pub pair: Names,
    /// How to read back.
    pub form: ReadForm,
}

/// What a re-make needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RemakeLine {
    /// The volume's entry.
    pub slot: Slot,
    /// The names found on it.
    pub expected: Names,
    /// The names told to the node that still uses them.
    pub pair: Names,
    /// How to read back.
    pub form: ReadForm,
}

impl Line {
    /// Prepare (names from expected to pair, while not exported), cut, open, read back.
    ///
    /// Cut before open ends the sessions that an earlier half of a late line may have let in.
    ///
    /// # Errors
    /// [`LineError::MixedNames`] when expected and pair are of different fencing modes.
    pub fn publish(line: &PublishLine) -> Result<Self, LineError> {
        let PublishLine {
            slot,
            expected,
            pair,
            form,
        } = line;
        same_parts("publish", expected, pair)?;
        let mut steps = declare(slot, pair);
        steps.push(Step::SetDisk {
            when: condition(literals(expected), Some(false)),
            to: assign(variables(pair)),
        });
        steps.push(cut(pair));
        steps.push(open(pair));
        Ok(Self::new(
            "publish",
            vec![Section::Silent(steps), read_back(*form)],
        ))
    }

    /// Cut (export off where the names are the pair), free (names replaced while off), read back.
    ///
    /// # Errors
    /// [`LineError::MixedNames`] when pair and free are of different fencing modes.
    pub fn revoke(line: &RevokeLine) -> Result<Self, LineError> {
        let RevokeLine {
            slot,
            pair,
            free,
            form,
        } = line;
        same_parts("revoke", pair, free)?;
        let mut steps = declare(slot, pair);
        steps.push(cut(pair));
        steps.push(Step::SetDisk {
            when: condition(variables(pair), Some(false)),
            to: assign(literals(free)),
        });
        Ok(Self::new(
            "revoke",
            vec![Section::Silent(steps), read_back(*form)],
        ))
    }

    /// Cut and open with the same pair, read back: ends whatever session the entry had.
    pub fn reopen(line: &ReopenLine) -> Self {
        let ReopenLine { slot, pair, form } = line;
        let mut steps = declare(slot, pair);
        steps.push(cut(pair));
        steps.push(open(pair));
        Self::new("reopen", vec![Section::Silent(steps), read_back(*form)])
    }

    /// Writes a pair that a node was told back onto an entry that lost it: subsystem name first, then
    /// host name, each step conditional on the one before, then cut, open, read back.
    ///
    /// Two steps, because this is the only line that writes a told pair: one that is overtaken half
    /// way leaves a combination of names that nobody knows.
    ///
    /// # Errors
    /// [`LineError::MixedNames`] when expected and pair are of different fencing modes.
    pub fn remake(line: &RemakeLine) -> Result<Self, LineError> {
        let RemakeLine {
            slot,
            expected,
            pair,
            form,
        } = line;
        same_parts("remake", expected, pair)?;
        let mut steps = declare(slot, pair);
        let (old, new) = (literals(expected), variables(pair));
        if new.subsystem.is_some() {
            let to = assign(Operands {
                subsystem: new.subsystem.clone(),
                host: None,
            });
            steps.push(Step::SetDisk {
                when: condition(old.clone(), Some(false)),
                to,
            });
        }
        if new.host.is_some() {
            let half = Operands {
                subsystem: new.subsystem.clone(),
                host: old.host,
            };
            let to = assign(Operands {
                subsystem: None,
                host: new.host.clone(),
            });
            steps.push(Step::SetDisk {
                when: condition(half, Some(false)),
                to,
            });
        }
        steps.push(cut(pair));
        steps.push(open(pair));
        Ok(Self::new(
            "remake",
            vec![Section::Silent(steps), read_back(*form)],
        ))
    }
}

/// Fencing names as they stand in one command: literal, or through the line's variables.
#[derive(Clone)]
pub(super) struct Operands {
    subsystem: Option<Operand>,
    host: Option<Operand>,
}

pub(super) fn literals(names: &Names) -> Operands {
    Operands {
        subsystem: names.subsystem().map(|name| Operand::text(name.as_str())),
        host: names.host().map(|name| Operand::text(name.as_str())),
    }
}

fn variables(names: &Names) -> Operands {
    Operands {
        subsystem: names.subsystem().map(|_| Operand::Local(Local::Subsystem)),
        host: names.host().map(|_| Operand::Local(Local::Host)),
    }
}

/// The line's slot, the names, and the state of the export where it matters.
pub(super) fn condition(names: Operands, exported: Option<bool>) -> Vec<Term> {
    let mut terms = vec![the_slot()];
    terms.extend(
        names
            .subsystem
            .map(|operand| Term::equals(property::SUBSYSTEM, operand)),
    );
    terms.extend(
        names
            .host
            .map(|operand| Term::equals(property::HOST, operand)),
    );
    terms.extend(exported.map(|state| Term::equals(property::EXPORT, Operand::Bool(state))));
    terms
}

pub(super) fn assign(names: Operands) -> Vec<Assign> {
    let subsystem = names.subsystem.map(|operand| Assign {
        key: property::SUBSYSTEM,
        operand,
    });
    let host = names.host.map(|operand| Assign {
        key: property::HOST,
        operand,
    });
    subsystem.into_iter().chain(host).collect()
}

pub(super) fn declare_slot(slot: &Slot) -> Step {
    Step::Declare {
        local: Local::Slot,
        value: slot.as_str().to_owned(),
    }
}

pub(super) fn the_slot() -> Term {
    Term::equals(property::SLOT, Operand::Local(Local::Slot))
}

/// Reads the entry of the line's slot.
pub(super) fn read_back(form: ReadForm) -> Section {
    Section::Read(Query::List {
        menu: Menu::Disk,
        when: the_slot(),
        form,
    })
}

pub(super) fn same_parts(verb: &'static str, one: &Names, other: &Names) -> Result<(), LineError> {
    if one.same_parts(other) {
        Ok(())
    } else {
        Err(LineError::MixedNames { verb })
    }
}

fn declare(slot: &Slot, pair: &Names) -> Vec<Step> {
    let mut steps = vec![declare_slot(slot)];
    let named = [
        (Local::Subsystem, pair.subsystem()),
        (Local::Host, pair.host()),
    ];
    for (local, name) in named {
        steps.extend(name.map(|name| Step::Declare {
            local,
            value: name.as_str().to_owned(),
        }));
    }
    steps
}

fn cut(pair: &Names) -> Step {
    export(condition(variables(pair), None), false)
}

fn open(pair: &Names) -> Step {
    export(condition(variables(pair), Some(false)), true)
}

fn export(when: Vec<Term>, state: bool) -> Step {
    let to = vec![Assign {
        key: property::EXPORT,
        operand: Operand::Bool(state),
    }];
    Step::SetDisk { when, to }
}
