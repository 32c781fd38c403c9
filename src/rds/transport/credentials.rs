//! What proves to the device who we are: a private key, a password, or nothing.

use std::path::PathBuf;
use std::sync::Arc;

use russh::keys::{Error as KeyError, PrivateKey, decode_secret_key};
use secrecy::SecretString;
use thiserror::Error;

use crate::rds::transport::watched::{FileError, Privacy, Stamp, Watched};

/// Where key and password are found. Both files are read again when they change.
#[derive(Debug)]
pub struct Credentials {
    key: Option<Watched<PrivateKey>>,
    password: Option<Watched<SecretString>>,
}

/// Why the configured files give no credentials.
#[derive(Debug, Error)]
pub enum CredentialsError {
    /// A file is missing or no text.
    #[error(transparent)]
    File(#[from] FileError),
    /// The key is protected by a passphrase, which nobody is there to type.
    #[error("{path} needs a passphrase, which is not supported; `ssh-keygen -p` takes it off", path = .path.display())]
    Encrypted {
        /// The key file.
        path: PathBuf,
    },
    /// The key file holds no private key we understand.
    #[error("{path} holds no private key (OpenSSH, PKCS#8 or PKCS#1 in PEM; Ed25519, ECDSA or RSA)", path = .path.display())]
    Unreadable {
        /// The key file.
        path: PathBuf,
    },
}

impl Credentials {
    /// With a key, the password is what is tried when the device refuses the key. Without either,
    /// the user is expected to need no proof (SSH's `none` method).
    pub fn new(key_file: Option<PathBuf>, password_file: Option<PathBuf>) -> Self {
        Self {
            key: key_file.map(|path| Watched::new(path, Privacy::Secret)),
            password: password_file.map(|path| Watched::new(path, Privacy::Secret)),
        }
    }

    pub(super) fn stamp(&self) -> (Option<Stamp>, Option<Stamp>) {
        (
            self.key.as_ref().and_then(Watched::stamp),
            self.password.as_ref().and_then(Watched::stamp),
        )
    }

    /// The credentials as the files have them now. Blocks on the file system.
    pub(super) fn load(&self) -> Result<Loaded, CredentialsError> {
        let key = self.key.as_ref().map(load_key).transpose()?;
        let password = self
            .password
            .as_ref()
            .map(|file| {
                file.load(|text| {
                    // Editors end a file with a line break, which is no part of the password.
                    let line = text.trim_end_matches(['\r', '\n']);
                    Ok::<_, CredentialsError>(SecretString::from(line))
                })
            })
            .transpose()?;
        Ok(Loaded { key, password })
    }
}

fn load_key(file: &Watched<PrivateKey>) -> Result<Arc<PrivateKey>, CredentialsError> {
    file.load(|text| {
        let path = file.path().to_owned();
        match decode_secret_key(text.trim(), None) {
            Ok(key) if key.is_encrypted() => Err(CredentialsError::Encrypted { path }),
            Ok(key) => Ok(key),
            Err(KeyError::KeyIsEncrypted) => Err(CredentialsError::Encrypted { path }),
            // The library's reason is left out: parsers like to quote what they could not parse.
            Err(_) => Err(CredentialsError::Unreadable { path }),
        }
    })
}

/// Credentials ready for use.
pub(super) struct Loaded {
    pub(super) key: Option<Arc<PrivateKey>>,
    pub(super) password: Option<Arc<SecretString>>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unusable_key_files_say_why_and_show_no_secret() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("key");
        let credentials = Credentials::new(Some(path.clone()), None);
        let check = |content: Option<&str>, expected: &str| {
            if let Some(content) = content {
                std::fs::write(&path, content).unwrap();
            }
            let message = credentials.load().err().unwrap().to_string();
            assert!(message.contains(expected), "{message}");
            assert!(!message.contains("hunter2"), "{message}");
        };
        check(None, "cannot read");
        check(Some("hunter2"), "no private key");
        check(
            Some("-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----"),
            "no private",
        );
        let random = PrivateKey::random(&mut rand::rng(), russh::keys::Algorithm::Ed25519).unwrap();
        let locked = random.encrypt(&mut rand::rng(), "hunter2").unwrap();
        let pem = locked
            .to_openssh(russh::keys::ssh_key::LineEnding::LF)
            .unwrap();
        check(Some(&pem), "passphrase");
    }

    #[test]
    fn debug_output_shows_paths_but_no_password() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("password");
        std::fs::write(&path, "hunter2\n").unwrap();
        let credentials = Credentials::new(None, Some(path));
        let loaded = credentials.load().unwrap();
        assert_eq!(
            secrecy::ExposeSecret::expose_secret(&**loaded.password.as_ref().unwrap()),
            "hunter2"
        );
        let debug = format!("{credentials:?}");
        assert!(
            debug.contains("password") && !debug.contains("hunter2"),
            "{debug}"
        );
    }
}
