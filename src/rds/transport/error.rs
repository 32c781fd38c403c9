//! What can go wrong between us and the device, sorted by whether the device may have acted.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use thiserror::Error;

use crate::rds::transport::credentials::CredentialsError;
use crate::rds::transport::endpoint::Endpoint;
use crate::rds::transport::hostkey::PinError;

/// Why there is no session with the device.
#[derive(Debug, Error)]
pub enum ConnectError {
    /// The host name has no address.
    #[error("cannot look up {endpoint}: {source}; check the name and the cluster's DNS")]
    Lookup {
        /// The device.
        endpoint: Endpoint,
        /// What the resolver said.
        source: io::Error,
    },
    /// Something at the address refused the TCP connection.
    #[error(
        "{endpoint} refused the connection; it may be starting, or `/ip/service` has ssh disabled \
         or on another port"
    )]
    Refused {
        /// The device.
        endpoint: Endpoint,
    },
    /// No TCP connection, for any other reason than a refusal.
    #[error("cannot reach {endpoint}: {source}; check power, cable, routes and firewalls")]
    Unreachable {
        /// The device.
        endpoint: Endpoint,
        /// What the operating system said.
        source: io::Error,
    },
    /// A step of connecting took too long.
    #[error("{endpoint} did not finish {step} within {after:?}; it is down, cut off or overloaded")]
    Timeout {
        /// The device.
        endpoint: Endpoint,
        /// Which step.
        step: &'static str,
        /// The time all steps together were given.
        after: Duration,
    },
    /// The host key is not the pinned one.
    #[error(
        "host key of {endpoint} is not the pinned one: expected {expected}, but it presented \
         {presented}; nothing was sent. If the device was re-installed or its key regenerated, \
         compare the fingerprint on its console and change the pin, else somebody is in between"
    )]
    HostKeyMismatch {
        /// The device.
        endpoint: Endpoint,
        /// Fingerprints of what is pinned.
        expected: String,
        /// Fingerprint of what was presented.
        presented: String,
    },
    /// There is no pinned key to compare with.
    #[error("cannot verify {endpoint}: {0}", endpoint = .1)]
    Pin(#[source] PinError, Endpoint),
    /// The key or password file cannot be used.
    #[error("cannot log in to {endpoint}: {0}", endpoint = .1)]
    Credentials(#[source] CredentialsError, Endpoint),
    /// The device does not let us in.
    #[error(
        "{endpoint} refused user {user} (tried {tried}; the device still accepts: {accepts}); check \
         the user, its address= restriction and `/user/ssh-keys`"
    )]
    AuthRejected {
        /// The device.
        endpoint: Endpoint,
        /// The user name.
        user: String,
        /// What was tried, in order.
        tried: String,
        /// The methods the device named with its refusal.
        accepts: String,
    },
    /// No algorithm in common.
    #[error(
        "{endpoint} and we have no {kind} algorithm in common (ours: {ours}; its: {theirs}); set \
         `/ip/ssh strong-crypto=yes` on it, or allow legacy algorithms"
    )]
    Algorithms {
        /// The device.
        endpoint: Endpoint,
        /// What kind of algorithm.
        kind: String,
        /// What we offered.
        ours: String,
        /// What it offered.
        theirs: String,
    },
    /// The connection ended before or after it was of use.
    #[error("{endpoint} closed the connection while {during}: {reason}")]
    Closed {
        /// The device.
        endpoint: Endpoint,
        /// What was going on.
        during: &'static str,
        /// What is known of the reason.
        reason: String,
    },
    /// The other side does not speak SSH the way we understand it.
    #[error("SSH protocol error with {endpoint} while {during}: {source}")]
    Protocol {
        /// The device.
        endpoint: Endpoint,
        /// What was going on.
        during: &'static str,
        /// What the SSH library said.
        source: russh::Error,
    },
    /// The check that every new session has to pass refused it.
    #[error("the new session with {endpoint} failed its check: {reason}")]
    Check {
        /// The device.
        endpoint: Endpoint,
        /// What the check said.
        reason: String,
    },
    /// A bug in this program or in its SSH library; the connection is made anew.
    #[error("the task of a connection to {endpoint} panicked; please report the log above")]
    Panicked {
        /// The device.
        endpoint: Endpoint,
    },
}

impl ConnectError {
    /// Whether trying again will not help before somebody changes a setting, a key or the device.
    pub fn needs_operator(&self) -> bool {
        match self {
            Self::HostKeyMismatch { .. }
            | Self::Pin(..)
            | Self::Credentials(..)
            | Self::AuthRejected { .. }
            | Self::Algorithms { .. } => true,
            Self::Lookup { .. }
            | Self::Refused { .. }
            | Self::Unreachable { .. }
            | Self::Timeout { .. }
            | Self::Closed { .. }
            | Self::Protocol { .. }
            | Self::Check { .. }
            | Self::Panicked { .. } => false,
        }
    }
}

/// Why a line has no reply. The message names the line by its label only.
#[derive(Debug, Error)]
pub enum ExecError {
    /// The device never got the line: nothing happened, and sending it again is harmless.
    #[error("{label} was not sent to {endpoint}: {reason}")]
    NotSent {
        /// What the line was for.
        label: &'static str,
        /// The device.
        endpoint: Endpoint,
        /// What kept it back.
        reason: NotSent,
    },
    /// The device got the line or may have, and did not answer it in full. Read back what it did.
    #[error("{label} was sent to {endpoint}, but its outcome is unknown: {reason}")]
    Unknown {
        /// What the line was for.
        label: &'static str,
        /// The device.
        endpoint: Endpoint,
        /// How the reply was lost.
        reason: Lost,
    },
}

/// What kept a line from being sent.
#[derive(Debug, Error)]
pub enum NotSent {
    /// There is no session with the device.
    #[error("{0}")]
    Down(Arc<ConnectError>),
    /// Every connection was busy, or still being made, for as long as the caller wanted to wait.
    #[error("no connection became free within {waited:?} ({busy} busy, {up} up); try again later")]
    Busy {
        /// How long the caller waited.
        waited: Duration,
        /// Connections at work when the wait ended.
        busy: usize,
        /// Connections with a session when the wait ended.
        up: usize,
    },
    /// Too many callers wait already.
    #[error("{limit} lines are waiting for a connection already; try again later")]
    QueueFull {
        /// The most that may wait.
        limit: usize,
    },
    /// The device opened no channel for the line, or refused to run it.
    #[error("the device refused {what}: {reason}")]
    Refused {
        /// A channel or a command.
        what: &'static str,
        /// What it said.
        reason: String,
    },
    /// The connection ended before the line was handed to it.
    #[error("the connection ended first: {reason}")]
    Closed {
        /// What is known of the reason.
        reason: String,
    },
    /// The device did not answer the request for a channel.
    #[error("the device opened no channel within {after:?}")]
    ChannelTimeout {
        /// How long it had.
        after: Duration,
    },
    /// The text is not one line, or longer than the device takes.
    #[error("it is not a line the device can take: {why} (a bug)")]
    Malformed {
        /// What is wrong with it.
        why: &'static str,
    },
}

/// How a reply was lost.
#[derive(Debug, Error)]
pub enum Lost {
    /// The reply was not complete in time.
    #[error("no complete reply within {after:?} ({bytes} bytes came)")]
    Timeout {
        /// The time the line was given.
        after: Duration,
        /// What had arrived.
        bytes: usize,
    },
    /// The connection ended in the middle.
    #[error("the connection ended after {bytes} bytes of the reply: {reason}")]
    Closed {
        /// What had arrived.
        bytes: usize,
        /// What is known of the reason.
        reason: String,
    },
    /// The reply is longer than the caller allows.
    #[error("the reply is longer than {limit} bytes; ask for less at a time")]
    TooLarge {
        /// The most the caller wanted.
        limit: usize,
    },
    /// A bug in this program or in its SSH library.
    #[error("the task of the connection panicked")]
    Panicked,
}

/// The text of a chain of errors, outermost first.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        // Some errors print their cause themselves.
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        next = cause.source();
    }
    text
}
