//! The conditional steps of each line, read out of the text that the driver's own code renders, and
//! what each ablation takes away from them.

use rds_csi::domain::grant::FencingMode;
use rds_csi::rds::command::ReadForm;
use rds_csi::rds::line::{Line, PublishLine, RemakeLine, ReopenLine, RevokeLine};
use rds_csi::rds::names::Names;
use rds_csi::rds::value::{DeviceName, Nonce, Slot};

/// Which of a line's two writings a name is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Role {
    /// The names that the line was told to expect.
    Old,
    /// The names that the line brings (for a re-open: the pair it keeps).
    New,
}

/// `set [find where ...] ...`: conditions, and values. `None` is "not mentioned".
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Step {
    pub(crate) when: Fields,
    pub(crate) to: Fields,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Fields {
    pub(crate) subsystem: Option<Role>,
    pub(crate) host: Option<Role>,
    pub(crate) exported: Option<bool>,
}

/// What a line is for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Verb {
    Read,
    Publish,
    Revoke,
    Reopen,
    Remake,
}

/// The steps of each line.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    pub(crate) publish: Vec<Step>,
    pub(crate) revoke: Vec<Step>,
    pub(crate) reopen: Vec<Step>,
    pub(crate) remake: Vec<Step>,
}

const CUT: Option<bool> = Some(false);

impl Programs {
    /// As the driver sends them in `mode`.
    pub(crate) fn of(mode: FencingMode) -> Self {
        let slot = Slot::new("csi-a").unwrap();
        let form = ReadForm::Json;
        let (old, new) = (names(mode, "old"), names(mode, "new"));
        Self {
            publish: steps(
                &Line::publish(&PublishLine {
                    slot: slot.clone(),
                    expected: old.clone(),
                    pair: new.clone(),
                    form,
                })
                .unwrap(),
            ),
            revoke: steps(
                &Line::revoke(&RevokeLine {
                    slot: slot.clone(),
                    pair: old.clone(),
                    free: new.clone(),
                    form,
                })
                .unwrap(),
            ),
            reopen: steps(&Line::reopen(&ReopenLine {
                slot: slot.clone(),
                pair: new.clone(),
                form,
            })),
            remake: steps(
                &Line::remake(&RemakeLine {
                    slot,
                    expected: old,
                    pair: new,
                    form,
                })
                .unwrap(),
            ),
        }
    }

    pub(crate) fn steps(&self, verb: Verb) -> &[Step] {
        match verb {
            Verb::Read => &[],
            Verb::Publish => &self.publish,
            Verb::Revoke => &self.revoke,
            Verb::Reopen => &self.reopen,
            Verb::Remake => &self.remake,
        }
    }

    /// Ablation: every step applies, whatever stands in the register.
    pub(crate) fn without_conditions(mut self) -> Self {
        for step in self.all().into_iter().flatten() {
            step.when = Fields::default();
        }
        self
    }

    /// Ablation: publish and re-make open without having cut.
    pub(crate) fn without_cut_before_open(mut self) -> Self {
        self.publish.retain(|step| step.to.exported != CUT);
        self.remake.retain(|step| step.to.exported != CUT);
        self
    }

    /// Ablation: a re-make writes both names in one step, as a publish does.
    pub(crate) fn with_remake_in_one_step(mut self) -> Self {
        self.remake.clone_from(&self.publish);
        self
    }

    /// Ablation: a revoke only takes the names back, exported or not.
    pub(crate) fn without_cut_in_revoke(mut self) -> Self {
        self.revoke.retain(|step| step.to.exported != CUT);
        for step in &mut self.revoke {
            step.when.exported = None;
        }
        self
    }

    /// Ablation: nothing turns the export off; only names change, exported or not.
    pub(crate) fn without_any_cut(mut self) -> Self {
        for program in self.all() {
            program.retain(|step| step.to.exported != CUT);
            for step in program.iter_mut() {
                step.when.exported = None;
            }
        }
        self
    }

    fn all(&mut self) -> [&mut Vec<Step>; 4] {
        let Self {
            publish,
            revoke,
            reopen,
            remake,
        } = self;
        [publish, revoke, reopen, remake]
    }
}

fn names(mode: FencingMode, role: &str) -> Names {
    let name = |of: &str| DeviceName::new(&format!("{role}-{of}")).unwrap();
    match mode {
        FencingMode::Pair => Names::Pair {
            subsystem: name("subsystem"),
            host: name("host"),
        },
        FencingMode::HostNqn => Names::Host(name("host")),
        FencingMode::SubsystemNqn => Names::Subsystem(name("subsystem")),
        FencingMode::Controller => panic!("nothing is fenced by names in this mode"),
    }
}

/// Takes the text of a line apart. Whatever this does not know is a step that the model would not
/// have, so it fails.
fn steps(line: &Line) -> Vec<Step> {
    let text = line.render(&Nonce::new(7)).unwrap();
    let mut variables = Vec::new();
    let mut steps = Vec::new();
    let mut sections = 0;
    for command in text.split(';') {
        if let Some(declared) = command.strip_prefix(":local ") {
            let (name, value) = declared.split_once(' ').unwrap();
            variables.push((format!("${name}"), value.to_owned()));
        } else if let Some(set) = command.strip_prefix("/disk set [find where ") {
            assert_eq!(sections, 0, "a change after the first sentinel: {text}");
            let (when, to) = set.split_once("] ").unwrap();
            let when = when.strip_prefix("slot=$s && ").expect("one entry only");
            steps.push(Step {
                when: fields(when, " && ", &variables),
                to: fields(to, " ", &variables),
            });
        } else {
            assert!(command.starts_with(":put "), "unknown command: {command}");
            sections += 1;
        }
    }
    assert_eq!(sections, 3, "sentinel, read-back, sentinel: {text}");
    steps
}

fn fields(terms: &str, separator: &str, variables: &[(String, String)]) -> Fields {
    let mut fields = Fields::default();
    for term in terms.split(separator) {
        let (key, value) = term.split_once('=').unwrap();
        let value = variables
            .iter()
            .find(|(name, _)| name == value)
            .map_or(value, |(_, value)| value);
        match (key, value) {
            ("nvme-tcp-server-nqn", "\"old-subsystem\"") => fields.subsystem = Some(Role::Old),
            ("nvme-tcp-server-nqn", "\"new-subsystem\"") => fields.subsystem = Some(Role::New),
            ("nvme-tcp-server-allow-host-name", "\"old-host\"") => fields.host = Some(Role::Old),
            ("nvme-tcp-server-allow-host-name", "\"new-host\"") => fields.host = Some(Role::New),
            ("nvme-tcp-export", "yes") => fields.exported = Some(true),
            ("nvme-tcp-export", "no") => fields.exported = Some(false),
            _ => panic!("a term that the model does not know: {term}"),
        }
    }
    fields
}
