//! The pinned host key: what the device must prove to be. Nothing is ever trusted on first use.

use std::io;
use std::path::PathBuf;

use russh::keys::ssh_key::Fingerprint;
use russh::keys::{Algorithm, HashAlg, PublicKey, parse_public_key_base64};
use thiserror::Error;

use crate::rds::transport::algorithms::Algorithms;
use crate::rds::transport::endpoint::Endpoint;
use crate::rds::transport::known_hosts;
use crate::rds::transport::watched::{FileError, Privacy, Stamp, Watched};

/// What the device's host key has to be.
#[derive(Debug)]
pub struct HostKeyPin(Source);

#[derive(Debug)]
enum Source {
    Inline(Vec<Pin>),
    File(Watched<Vec<Pin>>),
    Insecure,
}

/// Why no pinned key could be found.
#[derive(Debug, Error)]
pub enum PinError {
    /// The file is missing or no text.
    #[error(transparent)]
    File(#[from] FileError),
    /// The text holds no key and no fingerprint.
    #[error(
        "no host key found in the configured pin: expected `SHA256:…`, a public key \
         (`ssh-ed25519 AAAA…`) or a known_hosts line"
    )]
    Unreadable,
    /// There are `known_hosts` lines, but none for this device.
    #[error(
        "the pinned known_hosts lines have none for {endpoint}; add what \
         `ssh-keyscan -p {port} {host}` prints after comparing it with the device's console, or pin \
         the bare public key", port = .endpoint.port(), host = .endpoint.host()
    )]
    OtherHosts {
        /// The device.
        endpoint: Endpoint,
    },
    /// A hashed host name could not be computed.
    #[error("cannot compare a hashed host name in known_hosts: {0}; write the name in plain text")]
    Hashed(#[source] io::Error),
}

/// One line of a pin.
#[derive(Debug, Clone)]
enum Pin {
    Fingerprint(Fingerprint),
    Key(PublicKey),
    KnownHost {
        hosts: String,
        key: PublicKey,
        revoked: bool,
    },
}

impl HostKeyPin {
    /// A pin given as text: one or more lines, each a `SHA256:` fingerprint, a public key as in
    /// `authorized_keys`, or a `known_hosts` line. Fails when a line is none of these.
    pub fn parse(text: &str) -> Result<Self, PinError> {
        let pins = lines(text).map(Pin::parse).collect::<Option<Vec<_>>>();
        match pins {
            Some(pins) if !pins.is_empty() => Ok(Self(Source::Inline(pins))),
            Some(_) | None => Err(PinError::Unreadable),
        }
    }

    /// A pin in a file of such lines, read again when it changes. Lines that cannot be read are
    /// skipped with a warning: a `known_hosts` file may speak of other hosts in other ways.
    pub fn file(path: PathBuf) -> Self {
        Self(Source::File(Watched::new(path, Privacy::Public)))
    }

    /// Accepts whatever key is presented. Whoever answers at the address can then read and change
    /// every command; for laboratories only.
    pub fn insecure() -> Self {
        Self(Source::Insecure)
    }

    pub(super) fn stamp(&self) -> Option<Stamp> {
        match &self.0 {
            Source::File(file) => file.stamp(),
            Source::Inline(_) | Source::Insecure => None,
        }
    }

    /// What `endpoint` must present now. Blocks on the file system.
    pub(super) fn resolve(&self, endpoint: &Endpoint) -> Result<Pinned, PinError> {
        match &self.0 {
            Source::Insecure => Ok(Pinned::Anything),
            Source::Inline(pins) => Pinned::select(pins, endpoint),
            Source::File(file) => {
                let path = file.path();
                let pins = file.load(|text| Ok::<_, PinError>(readable(text, path)))?;
                Pinned::select(&pins, endpoint)
            }
        }
    }
}

/// The lines that are neither empty nor comments.
fn lines(text: &str) -> impl Iterator<Item = &str> {
    text.lines()
        .map(str::trim)
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
}

fn readable(text: &str, path: &std::path::Path) -> Vec<Pin> {
    lines(text)
        .filter_map(|line| {
            let pin = Pin::parse(line);
            if pin.is_none() {
                let start = line.split_whitespace().next().unwrap_or_default();
                tracing::warn!(path = %path.display(), start, "skipped unreadable host key line");
            }
            pin
        })
        .collect()
}

impl Pin {
    fn parse(line: &str) -> Option<Self> {
        let mut words = line.split_whitespace();
        let first = words.next()?;
        if first.starts_with("SHA256:") {
            return first.parse().ok().map(Self::Fingerprint);
        }
        if first.starts_with("AAAA") {
            return parse_public_key_base64(first).ok().map(Self::Key);
        }
        if is_key_type(first) {
            return parse_public_key_base64(words.next()?).ok().map(Self::Key);
        }
        let revoked = first == "@revoked";
        let hosts = if revoked { words.next()? } else { first };
        // The other marker names an authority, whose certificates we do not understand.
        if hosts.starts_with('@') || !is_key_type(words.next()?) {
            return None;
        }
        let key = parse_public_key_base64(words.next()?).ok()?;
        Some(Self::KnownHost {
            hosts: hosts.to_owned(),
            key,
            revoked,
        })
    }
}

fn is_key_type(word: &str) -> bool {
    // Spelled out: a host may well be called `ssh-gateway`.
    matches!(
        word,
        "ssh-ed25519"
            | "ssh-rsa"
            | "ecdsa-sha2-nistp256"
            | "ecdsa-sha2-nistp384"
            | "ecdsa-sha2-nistp521"
    )
}

/// The keys of which a device must present one.
#[derive(Debug, Clone)]
pub(super) enum Pinned {
    Anything,
    Only {
        keys: Vec<PublicKey>,
        fingerprints: Vec<Fingerprint>,
        revoked: Vec<PublicKey>,
    },
}

// === impl Pinned ===

impl Pinned {
    fn select(pins: &[Pin], endpoint: &Endpoint) -> Result<Self, PinError> {
        let (mut keys, mut fingerprints, mut revoked) = (Vec::new(), Vec::new(), Vec::new());
        for pin in pins {
            match pin {
                Pin::Fingerprint(fingerprint) => fingerprints.push(*fingerprint),
                Pin::Key(key) => keys.push(key.clone()),
                Pin::KnownHost {
                    hosts,
                    key,
                    revoked: withdrawn,
                } => {
                    if known_hosts::matches(hosts, endpoint).map_err(PinError::Hashed)? {
                        if *withdrawn { &mut revoked } else { &mut keys }.push(key.clone());
                    }
                }
            }
        }
        if !keys.is_empty() || !fingerprints.is_empty() {
            Ok(Self::Only {
                keys,
                fingerprints,
                revoked,
            })
        } else if pins.is_empty() {
            Err(PinError::Unreadable)
        } else {
            Err(PinError::OtherHosts {
                endpoint: endpoint.clone(),
            })
        }
    }

    /// Whether `presented` is pinned. Comments do not count.
    pub(super) fn accepts(&self, presented: &PublicKey) -> bool {
        let same = |key: &PublicKey| key.key_data() == presented.key_data();
        match self {
            Self::Anything => true,
            Self::Only {
                keys,
                fingerprints,
                revoked,
            } => {
                let pinned = keys.iter().any(same)
                    || fingerprints
                        .iter()
                        .any(|pin| *pin == presented.fingerprint(pin.algorithm()));
                pinned && !revoked.iter().any(same)
            }
        }
    }

    /// The kinds of host key to offer. Restricted to the pinned ones when those are known, so that a
    /// device with several keys presents the one we can check.
    pub(super) fn offer(&self, algorithms: Algorithms) -> Vec<Algorithm> {
        match self {
            Self::Only {
                keys, fingerprints, ..
            } if fingerprints.is_empty() => {
                let mut offer = Vec::new();
                for kind in keys
                    .iter()
                    .flat_map(|key| algorithms.host_key(&key.algorithm()))
                {
                    if !offer.contains(&kind) {
                        offer.push(kind);
                    }
                }
                offer
            }
            Self::Only { .. } | Self::Anything => algorithms.any_host_key(),
        }
    }

    /// The pinned keys as fingerprints, for people.
    pub(super) fn expected(&self) -> String {
        match self {
            Self::Anything => "anything".to_owned(),
            Self::Only {
                keys, fingerprints, ..
            } => {
                let keys = keys.iter().map(describe);
                let bare = fingerprints.iter().map(Fingerprint::to_string);
                keys.chain(bare).collect::<Vec<_>>().join(" or ")
            }
        }
    }
}

/// A key the way people compare it: its kind and its SHA-256 fingerprint.
pub(super) fn describe(key: &PublicKey) -> String {
    format!(
        "{} {}",
        key.algorithm().as_str(),
        key.fingerprint(HashAlg::Sha256)
    )
}

#[cfg(test)]
mod tests;
