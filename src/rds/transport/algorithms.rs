//! Which cryptography is offered to the device.

use std::borrow::Cow;

use russh::client::GexParams;
use russh::keys::{Algorithm, EcdsaCurve, HashAlg};
use russh::{Error, Preferred, cipher, compression, kex, mac};

/// How old the cryptography may be that we agree to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Algorithms {
    /// Nothing that rests on SHA-1 or on CBC. What a device with `/ip/ssh strong-crypto=yes` speaks.
    #[default]
    Modern,
    /// Also `hmac-sha1`, AES in CBC mode, `diffie-hellman-group14-sha1` and RSA signatures over
    /// SHA-1, each behind everything better. For devices that cannot do otherwise.
    Legacy,
}

/// Smallest and preferred size in bits of a negotiated Diffie-Hellman group. 3072 bits match the
/// 128-bit strength of the ciphers; the library would prefer 8192, which costs a device without
/// fast arithmetic seconds for every connection.
const GROUP_BITS: (usize, usize) = (3072, 4096);
/// The same for [`Algorithms::Legacy`]: 2048 bits is what `group14` has.
const LEGACY_GROUP_BITS: (usize, usize) = (2048, 3072);
/// Largest group accepted, the most that RFC 4419 speaks of.
const MAX_GROUP_BITS: usize = 8192;

/// Cipher block chaining, strongest first.
const CBC: [cipher::Name; 3] = [
    cipher::AES_256_CBC,
    cipher::AES_192_CBC,
    cipher::AES_128_CBC,
];

impl Algorithms {
    /// The offer to a device whose host key must be of one of the kinds `host_keys`.
    pub(super) fn offer(self, host_keys: Vec<Algorithm>) -> Preferred {
        let mut offer = Preferred {
            key: Cow::Owned(host_keys),
            // Replies are short, and compressing them would only add a decoder to the trusted code.
            compression: Cow::Borrowed(&[compression::NONE]),
            ..Preferred::DEFAULT
        };
        if self == Self::Legacy {
            offer.mac.to_mut().push(mac::HMAC_SHA1);
            offer.cipher.to_mut().extend(CBC);
            // Before the names at the end of the list that are no algorithms but announce extensions.
            let kex = offer.kex.to_mut();
            let place = kex
                .iter()
                .position(|name| *name == kex::EXTENSION_SUPPORT_AS_CLIENT)
                .unwrap_or(kex.len());
            kex.insert(place, kex::DH_G14_SHA1);
        }
        offer
    }

    /// The sizes asked for when the device picks the Diffie-Hellman group.
    pub(super) fn groups(self) -> Result<GexParams, Error> {
        let (smallest, preferred) = match self {
            Self::Modern => GROUP_BITS,
            Self::Legacy => LEGACY_GROUP_BITS,
        };
        GexParams::new(smallest, preferred, MAX_GROUP_BITS)
    }

    /// The signatures an RSA key may make, best first.
    pub(super) fn rsa_hashes(self) -> &'static [Option<HashAlg>] {
        match self {
            Self::Modern => &[Some(HashAlg::Sha512), Some(HashAlg::Sha256)],
            Self::Legacy => &[Some(HashAlg::Sha512), Some(HashAlg::Sha256), None],
        }
    }

    /// Every kind of host key, for when nothing is known of the pinned one.
    pub(super) fn any_host_key(self) -> Vec<Algorithm> {
        let curves = [
            EcdsaCurve::NistP256,
            EcdsaCurve::NistP384,
            EcdsaCurve::NistP521,
        ];
        std::iter::once(Algorithm::Ed25519)
            .chain(curves.map(|curve| Algorithm::Ecdsa { curve }))
            .chain(self.rsa_host_key())
            .collect()
    }

    /// The kinds of signature that prove possession of a host key of the kind `key`.
    pub(super) fn host_key(self, key: &Algorithm) -> Vec<Algorithm> {
        match key {
            Algorithm::Rsa { .. } => self.rsa_host_key(),
            other => vec![other.clone()],
        }
    }

    fn rsa_host_key(self) -> Vec<Algorithm> {
        self.rsa_hashes()
            .iter()
            .map(|hash| Algorithm::Rsa { hash: *hash })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(offer: &Preferred) -> Vec<String> {
        let keys = offer.key.iter().map(|name| name.as_str().to_owned());
        let macs = offer.mac.iter().map(|name| name.as_ref().to_owned());
        let ciphers = offer.cipher.iter().map(|name| name.as_ref().to_owned());
        let kex = offer.kex.iter().map(|name| name.as_ref().to_owned());
        keys.chain(macs).chain(ciphers).chain(kex).collect()
    }

    #[test]
    fn sha1_and_cbc_are_offered_only_when_asked_for() {
        let old = [
            "ssh-rsa",
            "hmac-sha1",
            "aes128-cbc",
            "aes256-cbc",
            "diffie-hellman-group14-sha1",
        ];
        for (choice, expected) in [(Algorithms::Modern, false), (Algorithms::Legacy, true)] {
            let offered = names(&choice.offer(choice.any_host_key()));
            for name in old {
                assert_eq!(
                    offered.iter().any(|each| each == name),
                    expected,
                    "{choice:?} {name}"
                );
            }
            assert!(!offered.iter().any(|name| name == "none"), "{offered:?}");
            choice.groups().expect("the library takes the group sizes");
        }
    }
}
