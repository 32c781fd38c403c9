//! One moment as one run of bytes, written out by hand: the search spends most of its time here.

use std::hash::{Hash, Hasher};

use super::names::{Name, Register};
use super::state::{Bounds, Claim, Job, State};

impl Hash for State {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let mut bytes = Vec::with_capacity(96);
        pack(self.register, &mut bytes);
        bytes.push(bits(self.lines.len()));
        for line in &self.lines {
            let (by, verb, done, found) = line.order();
            bytes.extend([by << 4 | verb, done << 1 | u8::from(found)]);
            bytes.extend([line.old.0.byte(), line.old.1.byte(), line.new.byte()]);
            pack_option(line.back, &mut bytes);
        }
        for machine in &self.machines {
            let counts = bits(machine.known.len() << 4 | machine.queues.len());
            bytes.extend([u8::from(machine.session), counts]);
            bytes.extend(machine.known.iter().map(|name| name.byte()));
            for queue in &machine.queues {
                bytes.extend([queue.subsystem.byte(), u8::from(queue.overtaken)]);
            }
        }
        for claim in self.claims {
            match claim {
                Claim::Absent => bytes.push(0),
                Claim::Asked => bytes.push(1),
                Claim::Deleting => bytes.push(2),
                Claim::Attached { pair, remade } => {
                    bytes.extend([3 + u8::from(remade), pair.byte()]);
                }
            }
        }
        for leader in &self.leaders {
            let (kind, node) = match leader.job {
                Job::Idle => (0, 0),
                Job::Publish(node) => (1, node),
                Job::Unpublish(node) => (2, node),
                Job::Repair(node) => (3, node),
            };
            let told = leader.told.map_or(u8::MAX, Name::byte);
            bytes.extend([kind << 1 | bits(node), told]);
            pack_option(leader.seen, &mut bytes);
        }
        let Bounds {
            calls,
            terms,
            losses,
            restores,
            remakes,
            copies,
        } = self.left;
        let breach = self.breach.map_or(0, |breach| breach as u8 + 1);
        bytes.extend([calls, terms, losses, restores, remakes, copies]);
        bytes.extend([breach, bits(self.latest)]);
        hasher.write(&bytes);
    }
}

fn pack(register: Register, bytes: &mut Vec<u8>) {
    let exported = u8::from(register.exported);
    bytes.extend([register.subsystem.byte(), register.host.byte(), exported]);
}

fn pack_option(register: Option<Register>, bytes: &mut Vec<u8>) {
    match register {
        None => bytes.push(0),
        Some(register) => {
            bytes.push(1);
            pack(register, bytes);
        }
    }
}

fn bits(small: usize) -> u8 {
    u8::try_from(small).expect("small by construction")
}
