//! The server's host key: read from a file, made when there is none, replaced while running.

use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, HashAlg, PrivateKey};

/// A fresh ed25519 key.
pub(super) fn generate() -> PrivateKey {
    PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519)
        .expect("an ed25519 key is any 32 random bytes")
}

/// Reads a key in OpenSSH form, of any type; creates an ed25519 key when the file does not exist.
pub(super) fn load_or_create(file: &Path) -> io::Result<PrivateKey> {
    match std::fs::read_to_string(file) {
        Ok(text) => PrivateKey::from_openssh(text).map_err(invalid),
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(file),
        Err(error) => Err(error),
    }
}

/// Never replaces a file that appeared meanwhile, and the key is at no time readable by others.
fn create(file: &Path) -> io::Result<PrivateKey> {
    let key = generate();
    let text = key.to_openssh(LineEnding::LF).map_err(invalid)?;
    std::fs::OpenOptions::new()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(file)?
        .write_all(text.as_bytes())?;
    Ok(key)
}

/// `ssh-ed25519 AAAA…`, without a comment.
pub(super) fn public_line(key: &PrivateKey) -> String {
    let mut public = key.public_key().clone();
    public.set_comment("");
    public
        .to_openssh()
        .expect("a public key that was parsed or generated can be written")
}

/// `SHA256:…`, as `ssh-keygen -l` prints it.
pub(super) fn fingerprint(key: &PrivateKey) -> String {
    key.public_key().fingerprint(HashAlg::Sha256).to_string()
}

fn invalid(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn a_created_key_is_private_and_found_again() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("host_key");
        let made = load_or_create(&file).unwrap();
        let permissions = std::fs::metadata(&file).unwrap().permissions();
        assert_eq!(permissions.mode() & 0o777, 0o600);
        let again = load_or_create(&file).unwrap();
        assert_eq!(fingerprint(&made), fingerprint(&again));
        assert!(fingerprint(&made).starts_with("SHA256:"));
        assert_eq!(public_line(&made).split(' ').count(), 2);
    }

    #[test]
    fn a_file_that_is_no_key_is_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("host_key");
        std::fs::write(&file, "not a key").unwrap();
        assert!(load_or_create(&file).is_err());
        assert_eq!(std::fs::read_to_string(&file).unwrap(), "not a key");
    }
}
