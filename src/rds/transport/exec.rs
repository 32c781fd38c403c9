//! Running one line in a session and reading its reply to the very end.

use std::time::Duration;

use bytes::Bytes;
use russh::client::Msg;
use russh::{Channel, ChannelMsg, Error as SshError};
use tokio::time::{Instant, timeout, timeout_at};

use crate::rds::transport::connection::{Connection, SessionId};
use crate::rds::transport::error::{ExecError, Lost, NotSent};

/// Longest time the device may take to open a channel. It is one round trip that does no work; a
/// device that needs five seconds for it is not going to run the line either.
const CHANNEL_TIMEOUT: Duration = Duration::from_secs(5);

/// How long the device may take to close a channel it has ended its output on. Nothing that matters
/// comes after the output, so the reply is complete; only the connection is not used again.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(1);

/// Longest line that is sent. RouterOS announces packets of at most 0x4000 = 16384 bytes, and an
/// exec request is one packet: the line and about 40 bytes around it.
const MAX_LINE_BYTES: usize = 16_000;

/// The stream number of standard error in an SSH channel (RFC 4254, section 5.2).
const STDERR: u32 = 1;

/// What a caller asks for besides the line itself.
#[derive(Debug, Clone)]
pub struct ExecOptions {
    /// What the line is for, in a word or two; appears in errors and traces instead of the line.
    pub label: &'static str,
    /// Longest time to wait for a free connection.
    pub wait: Duration,
    /// Longest time the device may take, from the channel to the end of the reply.
    pub run: Duration,
    /// Most bytes of output and error output together.
    pub reply_bytes: usize,
}

/// Everything the device said to one line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// Its output. RouterOS puts the text of failures here, too.
    pub stdout: Vec<u8>,
    /// Its error output, which RouterOS is not known to use.
    pub stderr: Vec<u8>,
    /// The exit status, when there was one. RouterOS reports 0 even for lines that failed.
    pub exit: Option<u32>,
    /// The session the line ran in.
    pub session: SessionId,
}

/// What has come of a reply.
#[derive(Default)]
struct Partial {
    stdout: Vec<u8>,
    stderr: Vec<u8>,
    exit: Option<u32>,
    eof: bool,
}

/// How reading a reply ended.
enum End {
    /// The device closed the channel.
    Closed,
    /// The device refused to run the line.
    Refused,
    /// The reply is longer than allowed.
    TooLarge,
    /// The connection died.
    Died,
    /// Time ran out.
    Late,
}

// === impl Connection ===

impl Connection {
    /// Runs `line` and reads until the device closes the channel. One line at a time: RouterOS has
    /// been seen to stall when several channels are opened on one connection.
    ///
    /// # Cancellation
    /// A dropped call leaves the connection unusable, and the line may have run.
    ///
    /// # Errors
    /// See [`ExecError`]. After any error but a malformed line, every further line is `NotSent`.
    pub async fn exec(&mut self, line: &str, options: &ExecOptions) -> Result<Reply, ExecError> {
        let deadline = Instant::now() + options.run;
        let mut channel = match self.send(line, options.run).await {
            Ok(channel) => channel,
            Err(reason) => return Err(self.not_sent(options, reason)),
        };
        let mut partial = Partial::default();
        let end = partial
            .collect(&mut channel, deadline, options.reply_bytes)
            .await;
        self.conclude(&end, partial, options)
    }

    /// Hands the line to the library. Fails only when not a byte of it left.
    async fn send(&mut self, line: &str, run: Duration) -> Result<Channel<Msg>, NotSent> {
        check(line)?;
        if !std::mem::replace(&mut self.usable, false) {
            return Err(self.closed());
        }
        let channel = self.open_channel(run).await?;
        // The library takes the request whole or not at all.
        match timeout(run, channel.exec(true, line)).await {
            Ok(Ok(())) => Ok(channel),
            Ok(Err(_)) => Err(self.closed()),
            Err(_) => Err(NotSent::ChannelTimeout { after: run }),
        }
    }

    fn conclude(
        &mut self,
        end: &End,
        partial: Partial,
        options: &ExecOptions,
    ) -> Result<Reply, ExecError> {
        let bytes = partial.len();
        let after = options.run;
        let limit = options.reply_bytes;
        let reason = match end {
            End::Closed => {
                self.usable = true;
                return Ok(partial.into_reply(self.session));
            }
            End::Late | End::Died if partial.eof => return Ok(partial.into_reply(self.session)),
            End::Refused => {
                let what = "the command";
                let reason = "no reason given".to_owned();
                return Err(self.not_sent(options, NotSent::Refused { what, reason }));
            }
            End::Late => Lost::Timeout { after, bytes },
            End::Died => {
                let reason = self.ended.reason();
                Lost::Closed { bytes, reason }
            }
            End::TooLarge => Lost::TooLarge { limit },
        };
        Err(ExecError::Unknown {
            label: options.label,
            endpoint: self.endpoint.clone(),
            reason,
        })
    }

    fn not_sent(&self, options: &ExecOptions, reason: NotSent) -> ExecError {
        ExecError::NotSent {
            label: options.label,
            endpoint: self.endpoint.clone(),
            reason,
        }
    }

    async fn open_channel(&self, run: Duration) -> Result<Channel<Msg>, NotSent> {
        let after = run.min(CHANNEL_TIMEOUT);
        match timeout(after, self.handle.channel_open_session()).await {
            Ok(Ok(channel)) => Ok(channel),
            Ok(Err(SshError::ChannelOpenFailure(reason))) => Err(NotSent::Refused {
                what: "a channel",
                reason: format!("{reason:?}"),
            }),
            Ok(Err(_)) => Err(self.closed()),
            Err(_) => Err(NotSent::ChannelTimeout { after }),
        }
    }

    fn closed(&self) -> NotSent {
        NotSent::Closed {
            reason: self.ended.reason(),
        }
    }
}

/// RouterOS takes one line of text and no more: with a line break in it the rest would be lost.
pub(super) fn check(line: &str) -> Result<(), NotSent> {
    let why = if line.len() > MAX_LINE_BYTES {
        "too long"
    } else if line.trim().is_empty() {
        "empty"
    } else if line.contains(['\r', '\n', '\0']) {
        "has a line break"
    } else {
        return Ok(());
    };
    Err(NotSent::Malformed { why })
}

// === impl Partial ===

impl Partial {
    /// Reads until the channel is closed. An exit status is not the end: output may follow it.
    async fn collect(
        &mut self,
        channel: &mut Channel<Msg>,
        mut deadline: Instant,
        limit: usize,
    ) -> End {
        loop {
            let Ok(message) = timeout_at(deadline, channel.wait()).await else {
                return End::Late;
            };
            match message {
                Some(ChannelMsg::Data { data }) => {
                    if !self.has_room(&data, limit) {
                        return End::TooLarge;
                    }
                    self.stdout.extend_from_slice(&data);
                }
                Some(ChannelMsg::ExtendedData { data, ext: STDERR }) => {
                    if !self.has_room(&data, limit) {
                        return End::TooLarge;
                    }
                    self.stderr.extend_from_slice(&data);
                }
                Some(ChannelMsg::ExitStatus { exit_status }) => self.exit = Some(exit_status),
                Some(ChannelMsg::Failure) if self.len() == 0 => return End::Refused,
                Some(ChannelMsg::Eof) => {
                    self.eof = true;
                    deadline = deadline.min(Instant::now() + CLOSE_TIMEOUT);
                }
                Some(ChannelMsg::Close) => return End::Closed,
                Some(_) => {}
                None => return End::Died,
            }
        }
    }

    fn has_room(&self, data: &Bytes, limit: usize) -> bool {
        self.len().saturating_add(data.len()) <= limit
    }

    fn len(&self) -> usize {
        self.stdout.len() + self.stderr.len()
    }

    fn into_reply(self, session: SessionId) -> Reply {
        Reply {
            stdout: self.stdout,
            stderr: self.stderr,
            exit: self.exit,
            session,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_single_lines_that_fit_a_packet_are_sent() {
        for (line, fine) in [
            ("/disk print", true),
            ("", false),
            ("   ", false),
            ("/disk print\n/system reboot", false),
            ("/disk print\r", false),
            ("/disk\0print", false),
        ] {
            assert_eq!(check(line).is_ok(), fine, "{line:?}");
        }
        assert!(check(&"x".repeat(MAX_LINE_BYTES)).is_ok());
        assert!(check(&"x".repeat(MAX_LINE_BYTES + 1)).is_err());
    }
}
