//! Logging in: the key, then the password, or nothing at all.

use std::sync::Arc;

use russh::client::{AuthResult, Handle};
use russh::keys::{HashAlg, PrivateKey, PrivateKeyWithHashAlg};
use secrecy::ExposeSecret as _;

use crate::rds::transport::algorithms::Algorithms;
use crate::rds::transport::connection::Client;
use crate::rds::transport::credentials::Loaded;

/// How the attempt to log in ended, when the connection lived.
pub(super) enum Verdict {
    Accepted,
    Refused { tried: String, accepts: String },
}

/// Logs `user` in on a session that has none yet. The caller sets the deadline.
pub(super) async fn log_in(
    handle: &mut Handle<Client>,
    user: &str,
    credentials: &Loaded,
    algorithms: Algorithms,
) -> Result<Verdict, russh::Error> {
    let mut tried = Vec::new();
    let mut last = None;
    if let Some(key) = &credentials.key {
        for hash in signatures(handle, key, algorithms).await? {
            let signing = PrivateKeyWithHashAlg::new(Arc::clone(key), hash);
            tried.push(format!("a key for {}", signing.algorithm().as_str()));
            match handle.authenticate_publickey(user, signing).await? {
                AuthResult::Success => return Ok(Verdict::Accepted),
                refused @ AuthResult::Failure { .. } => last = Some(refused),
            }
        }
    }
    if let Some(password) = &credentials.password {
        tried.push("a password".to_owned());
        match handle
            .authenticate_password(user, password.expose_secret())
            .await?
        {
            AuthResult::Success => return Ok(Verdict::Accepted),
            refused @ AuthResult::Failure { .. } => last = Some(refused),
        }
    }
    if tried.is_empty() {
        tried.push("no key and no password, as configured".to_owned());
        match handle.authenticate_none(user).await? {
            AuthResult::Success => return Ok(Verdict::Accepted),
            refused @ AuthResult::Failure { .. } => last = Some(refused),
        }
    }
    Ok(Verdict::Refused {
        tried: tried.join(", "),
        accepts: accepted_methods(last.as_ref()),
    })
}

fn accepted_methods(refusal: Option<&AuthResult>) -> String {
    match refusal {
        Some(AuthResult::Failure {
            remaining_methods, ..
        }) if !remaining_methods.is_empty() => remaining_methods
            .iter()
            .map(<&str>::from)
            .collect::<Vec<_>>()
            .join(", "),
        _ => "nothing else".to_owned(),
    }
}

/// The signatures to try with `key`, best first. Only RSA keys have a choice; a device that says what
/// it takes (RFC 8308) is asked for that only, any other is offered everything in turn.
async fn signatures(
    handle: &Handle<Client>,
    key: &PrivateKey,
    algorithms: Algorithms,
) -> Result<Vec<Option<HashAlg>>, russh::Error> {
    if !key.algorithm().is_rsa() {
        return Ok(vec![None]);
    }
    let ours = algorithms.rsa_hashes();
    // Waits up to a second for a device that does not say.
    Ok(match handle.best_supported_rsa_hash().await? {
        Some(theirs) if ours.contains(&theirs) => vec![theirs],
        Some(_) | None => ours.to_vec(),
    })
}
