//! One SSH connection as RouterOS keeps it: login, a few channels, `exec` and nothing else.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use russh::keys::PublicKey;
use russh::server::{
    Auth, ChannelOpenHandle, Handler, Msg, PublicKeyOffer, Session as SshSession, VerifiedPublicKey,
};
use russh::{Channel, ChannelId, ChannelOpenFailure, Pty};

use super::Shared;
use super::accounts::name_of;
use super::reply::{self, Job};
use super::wire::Line;
use crate::sim::transport::Overflow;

/// The handler of one connection.
#[derive(Debug)]
pub(super) struct Session {
    shared: Arc<Shared>,
    line: Arc<Line>,
    channels: Channels,
    user: String,
}

/// The channels of one connection, open and waiting.
#[derive(Clone, Default)]
pub(super) struct Channels(Arc<Mutex<Table>>);

#[derive(Default)]
struct Table {
    open: HashSet<ChannelId>,
    waiting: VecDeque<(ChannelId, ChannelOpenHandle)>,
}

impl std::fmt::Debug for Channels {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        write!(
            out,
            "{} open, {} waiting",
            table.open.len(),
            table.waiting.len()
        )
    }
}

impl Channels {
    /// Whether there is room for the channel, which then counts as open. Otherwise gives the
    /// request back.
    fn admit(
        &self,
        id: ChannelId,
        request: ChannelOpenHandle,
        limit: usize,
    ) -> Result<(usize, ChannelOpenHandle), ChannelOpenHandle> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if limit != 0 && table.open.len() >= limit {
            return Err(request);
        }
        table.open.insert(id);
        Ok((table.open.len(), request))
    }

    fn wait(&self, id: ChannelId, request: ChannelOpenHandle) {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.waiting.push_back((id, request));
    }

    /// Ends a channel, and confirms the one that has waited longest for its place.
    pub(super) async fn close(&self, id: ChannelId) {
        let next = {
            let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if !table.open.remove(&id) {
                return;
            }
            let next = table.waiting.pop_front();
            if let Some((waiting, _)) = &next {
                table.open.insert(*waiting);
            }
            next
        };
        if let Some((_, request)) = next {
            request.accept().await;
        }
    }
}

impl Session {
    pub(super) fn new(shared: Arc<Shared>, line: Arc<Line>) -> Self {
        Self {
            shared,
            line,
            channels: Channels::default(),
            user: String::new(),
        }
    }

    fn login(&mut self, user: &str, admitted: bool) -> Auth {
        self.line.note_handled();
        if admitted {
            name_of(user).clone_into(&mut self.user);
            return Auth::Accept;
        }
        self.shared.gauges.change(|seen| seen.logins_refused += 1);
        Auth::reject()
    }
}

impl Handler for Session {
    type Error = russh::Error;

    async fn auth_none(&mut self, user: &str) -> Result<Auth, Self::Error> {
        self.line.note_handled();
        if self.shared.accounts.admits_anybody() {
            return Ok(self.login(user, true));
        }
        // Callers ask for "none" to learn the methods: that is no refused login.
        Ok(Auth::reject())
    }

    async fn auth_password(&mut self, user: &str, password: &str) -> Result<Auth, Self::Error> {
        let admitted = self.shared.accounts.admits_password(user, password);
        Ok(self.login(user, admitted))
    }

    async fn auth_publickey_offered(
        &mut self,
        user: &str,
        offer: PublicKeyOffer<'_>,
    ) -> Result<Auth, Self::Error> {
        self.line.note_handled();
        Ok(self.judge_key(user, offer.public_key))
    }

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        let admitted = self.shared.accounts.admits_key(user, key.public_key);
        Ok(self.login(user, admitted))
    }

    async fn auth_succeeded(&mut self, _: &mut SshSession) -> Result<(), Self::Error> {
        self.line.note_handled();
        self.line.note_login();
        Ok(())
    }

    async fn channel_open_session(
        &mut self,
        channel: Channel<Msg>,
        request: ChannelOpenHandle,
        _: &mut SshSession,
    ) -> Result<(), Self::Error> {
        self.line.note_handled();
        let transport = self.shared.faults.transport();
        match self
            .channels
            .admit(channel.id(), request, transport.max_channels)
        {
            Ok((open, request)) => {
                self.shared
                    .gauges
                    .change(|seen| seen.channels_high = seen.channels_high.max(open));
                request.accept().await;
            }
            Err(request) => {
                self.shared
                    .gauges
                    .change(|seen| seen.channels_over_limit += 1);
                match transport.overflow {
                    Overflow::Stall => self.channels.wait(channel.id(), request),
                    Overflow::Refuse => request.reject(ChannelOpenFailure::ResourceShortage).await,
                }
            }
        }
        Ok(())
    }

    async fn channel_close(
        &mut self,
        channel: ChannelId,
        _: &mut SshSession,
    ) -> Result<(), Self::Error> {
        self.line.note_handled();
        self.channels.close(channel).await;
        Ok(())
    }

    async fn window_adjusted(
        &mut self,
        _: ChannelId,
        _: u32,
        _: &mut SshSession,
    ) -> Result<(), Self::Error> {
        self.line.note_handled();
        Ok(())
    }

    async fn data(
        &mut self,
        _: ChannelId,
        _: &[u8],
        _: &mut SshSession,
    ) -> Result<(), Self::Error> {
        self.line.note_handled();
        Ok(())
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        line: &[u8],
        session: &mut SshSession,
    ) -> Result<(), Self::Error> {
        self.line.note_handled();
        self.shared.gauges.change(|seen| seen.commands += 1);
        let job = Job {
            user: self.user.clone(),
            line: String::from_utf8_lossy(line).into_owned(),
            channel,
            channels: self.channels.clone(),
            session: session.handle(),
            wire: Arc::clone(&self.line),
            written: self.line.written(),
        };
        session.channel_success(channel)?;
        // A task of its own: a line that has reached the appliance runs to its end, even when the
        // caller is gone.
        reply::start(&self.shared, job);
        Ok(())
    }

    async fn shell_request(
        &mut self,
        channel: ChannelId,
        session: &mut SshSession,
    ) -> Result<(), Self::Error> {
        self.line.note_handled();
        session.channel_failure(channel)
    }

    async fn pty_request(
        &mut self,
        channel: ChannelId,
        _: &str,
        _: u32,
        _: u32,
        _: u32,
        _: u32,
        _: &[(Pty, u32)],
        session: &mut SshSession,
    ) -> Result<(), Self::Error> {
        self.line.note_handled();
        session.channel_failure(channel)
    }

    async fn subsystem_request(
        &mut self,
        channel: ChannelId,
        _: &str,
        session: &mut SshSession,
    ) -> Result<(), Self::Error> {
        self.line.note_handled();
        session.channel_failure(channel)
    }

    async fn env_request(
        &mut self,
        channel: ChannelId,
        _: &str,
        _: &str,
        session: &mut SshSession,
    ) -> Result<(), Self::Error> {
        self.line.note_handled();
        session.channel_failure(channel)
    }
}

impl Session {
    /// A key that is merely offered: the signature comes later.
    fn judge_key(&self, user: &str, key: &PublicKey) -> Auth {
        if self.shared.accounts.admits_key(user, key) {
            Auth::Accept
        } else {
            self.shared.gauges.change(|seen| seen.logins_refused += 1);
            Auth::reject()
        }
    }
}
