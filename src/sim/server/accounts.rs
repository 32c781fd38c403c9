//! Who may log in; as on RouterOS, a user with a key has no password login.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use russh::keys::PublicKey;
use secrecy::{ExposeSecret, SecretString};

/// The users of the appliance.
#[derive(Debug, Clone, Default)]
pub struct Accounts {
    users: BTreeMap<String, Account>,
    open: bool,
}

#[derive(Debug, Clone, Default)]
struct Account {
    keys: Vec<PublicKey>,
    password: Option<SecretString>,
}

impl Accounts {
    /// Anybody under any name, by SSH's `none` method: what RouterOS allows for users without a
    /// password.
    pub fn open() -> Self {
        Self {
            users: BTreeMap::new(),
            open: true,
        }
    }

    /// Adds a key to a user, who is created when unknown.
    #[must_use]
    pub fn with_key(mut self, user: &str, key: PublicKey) -> Self {
        self.users.entry(user.into()).or_default().keys.push(key);
        self
    }

    /// Sets a user's password. The user is created when unknown.
    #[must_use]
    pub fn with_password(mut self, user: &str, password: SecretString) -> Self {
        self.users.entry(user.into()).or_default().password = Some(password);
        self
    }

    /// Adds every key of a file in the `authorized_keys` form of OpenSSH, without options in front.
    ///
    /// # Errors
    /// The file cannot be read, holds no key, or holds a line that is not a key.
    pub fn with_authorized_keys(mut self, user: &str, file: &Path) -> io::Result<Self> {
        let text = std::fs::read_to_string(file)?;
        let lines = text.lines().map(str::trim);
        for line in lines.filter(|line| !line.is_empty() && !line.starts_with('#')) {
            let key = PublicKey::from_openssh(line)
                .map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            self = self.with_key(user, key);
        }
        if !self.users.contains_key(user) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "no key in the authorized keys file",
            ));
        }
        Ok(self)
    }

    /// Whether `none` is a login.
    pub(super) fn admits_anybody(&self) -> bool {
        self.open
    }

    /// Whether the key is one of the user's. The comment of a key says nothing.
    pub(super) fn admits_key(&self, login: &str, key: &PublicKey) -> bool {
        self.users.get(name_of(login)).is_some_and(|account| {
            account
                .keys
                .iter()
                .any(|known| known.key_data() == key.key_data())
        })
    }

    /// Whether the password is the user's, and the user has no key
    /// (`password-authentication=yes-if-no-key`).
    pub(super) fn admits_password(&self, login: &str, password: &str) -> bool {
        self.users.get(name_of(login)).is_some_and(|account| {
            account.keys.is_empty()
                && account
                    .password
                    .as_ref()
                    .is_some_and(|known| known.expose_secret() == password)
        })
    }
}

/// The user in a login name: RouterOS takes console options after a plus sign, as in
/// `csi+cet1024w`.
pub(super) fn name_of(login: &str) -> &str {
    login.split_once('+').map_or(login, |(name, _)| name)
}

#[cfg(test)]
mod tests {
    use russh::keys::{Algorithm, PrivateKey};

    use super::*;

    fn key() -> PublicKey {
        PrivateKey::random(&mut rand::rng(), Algorithm::Ed25519)
            .unwrap()
            .public_key()
            .clone()
    }

    #[test]
    fn a_user_with_a_key_has_no_password_login() {
        let (mine, other) = (key(), key());
        let accounts = Accounts::default()
            .with_key("keyed", mine.clone())
            .with_password("keyed", "secret".into())
            .with_password("plain", "secret".into());
        assert!(accounts.admits_key("keyed", &mine));
        assert!(accounts.admits_key("keyed+cet1024w", &mine));
        assert!(!accounts.admits_key("keyed", &other));
        assert!(!accounts.admits_key("plain", &mine));
        for (user, password, expected) in [
            ("keyed", "secret", false),
            ("plain", "secret", true),
            ("plain", "wrong", false),
            ("nobody", "secret", false),
        ] {
            assert_eq!(accounts.admits_password(user, password), expected, "{user}");
        }
        assert!(!accounts.admits_anybody());
        assert!(!format!("{accounts:?}").contains("secret"));
    }

    #[test]
    fn an_authorized_keys_file_gives_the_keys_of_its_lines() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("keys");
        let (first, second) = (key(), key());
        let text = format!(
            "# who\n\n{} one\n{}\n",
            first.to_openssh().unwrap(),
            second.to_openssh().unwrap()
        );
        std::fs::write(&file, text).unwrap();
        let accounts = Accounts::default()
            .with_authorized_keys("csi", &file)
            .unwrap();
        assert!(accounts.admits_key("csi", &first) && accounts.admits_key("csi", &second));

        for bad in ["", "# none\n", "ssh-ed25519 rubbish\n"] {
            std::fs::write(&file, bad).unwrap();
            let refused = Accounts::default().with_authorized_keys("csi", &file);
            assert!(refused.is_err(), "{bad:?}");
        }
    }
}
