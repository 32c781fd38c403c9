//! Keys and certificates of a control plane that lives for one test run: an authority of its own, a
//! certificate to serve with, one per user, and the key that signs ServiceAccount tokens.

use std::fmt;
use std::net::Ipv4Addr;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};

use crate::error::Error;

/// The names under which the API server is reached: by us on loopback, and those of the `kubernetes`
/// service, which clients inside pods use.
const SERVED_NAMES: [&str; 6] = [
    "localhost",
    "127.0.0.1",
    "kubernetes",
    "kubernetes.default",
    "kubernetes.default.svc",
    "kubernetes.default.svc.cluster.local",
];

/// A certificate and its key, both as PEM.
#[derive(Clone)]
pub struct KeyedCertificate {
    /// May be shown to anyone.
    pub certificate: String,
    /// May not.
    pub key: String,
}

impl fmt::Debug for KeyedCertificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("KeyedCertificate(<redacted>)")
    }
}

/// A certificate authority that nobody outside this run trusts.
pub struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

impl fmt::Debug for Authority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authority(<redacted>)")
    }
}

impl Authority {
    /// A new authority with a new P-256 key.
    pub fn new() -> Result<Self, Error> {
        let subject = "rds-csi test bed";
        let mut params = params(subject, &[])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let issuer = CertifiedIssuer::self_signed(params, key(subject)?);
        let issuer = issuer.map_err(failed(subject))?;
        Ok(Self { issuer })
    }

    /// The certificate of the authority, as PEM.
    pub fn certificate(&self) -> String {
        self.issuer.pem()
    }

    /// A certificate to serve the API with, on loopback and as the service at this address.
    pub fn serving(&self, service: Ipv4Addr) -> Result<KeyedCertificate, Error> {
        let service = service.to_string();
        let names: Vec<&str> = SERVED_NAMES.into_iter().chain([&*service]).collect();
        let mut params = params("kube-apiserver", &names)?;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.issue("kube-apiserver", &params)
    }

    /// A certificate that Kubernetes takes for this user of this group: its common name and its
    /// organization.
    pub fn client(&self, user: &str, group: &str) -> Result<KeyedCertificate, Error> {
        let mut params = params(user, &[])?;
        let name = &mut params.distinguished_name;
        name.push(DnType::OrganizationName, group);
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.issue(user, &params)
    }

    fn issue(&self, subject: &str, params: &CertificateParams) -> Result<KeyedCertificate, Error> {
        let key = key(subject)?;
        let signed = params.signed_by(&key, &self.issuer);
        Ok(KeyedCertificate {
            certificate: signed.map_err(failed(subject))?.pem(),
            key: key.serialize_pem(),
        })
    }
}

/// The key that signs ServiceAccount tokens, and the one that proves them, both as PEM.
#[derive(Clone)]
pub struct TokenKeys {
    /// Proves that a token was signed with the other one.
    pub public: String,
    /// Makes tokens: whoever has it can be any ServiceAccount.
    pub private: String,
}

impl fmt::Debug for TokenKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("TokenKeys(<redacted>)")
    }
}

impl TokenKeys {
    /// A new pair.
    pub fn new() -> Result<Self, Error> {
        let key = key("ServiceAccount tokens")?;
        Ok(Self {
            public: key.public_key_pem(),
            private: key.serialize_pem(),
        })
    }
}

fn key(subject: &str) -> Result<KeyPair, Error> {
    KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).map_err(failed(subject))
}

fn params(subject: &str, names: &[&str]) -> Result<CertificateParams, Error> {
    let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
    let mut params = CertificateParams::new(names).map_err(failed(subject))?;
    params.distinguished_name = rcgen::DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, subject);
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    Ok(params)
}

fn failed(subject: &str) -> impl FnOnce(rcgen::Error) -> Error {
    let subject = subject.to_owned();
    move |source| Error::Certificate { subject, source }
}
