//! Certificates, keys and authorities that the file names: read, and checked as far as that can be done without a peer.
//! What is served with them is [`crate::transport::tls`]'.

use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustls::RootCertStore;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::sign::CertifiedKey;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::{FromDer, X509Certificate};

use super::report::Complaint;
use super::value::{Outcome, octets_of};

/// Octets of a file with certificates or a key.
const LONGEST: u64 = 4 << 20;

/// A certificate chain with its key, and the files it came from.
#[derive(Clone)]
pub struct Identity {
    /// The file with the chain, in PEM, the certificate itself first.
    pub cert: PathBuf,
    /// The file with the key, in PEM.
    pub key: PathBuf,
    /// Both, found to belong together.
    pub certified: Arc<CertifiedKey>,
    /// The DNS names of the certificate, lower case; `*.example.com` stands for one label.
    pub names: Vec<String>,
    /// When the certificate expires: Unix time in seconds; none if it cannot be read.
    pub not_after: Option<i64>,
}

/// Authorities that others' certificates must lead to.
#[derive(Clone)]
pub struct Roots {
    /// The file they came from; `None`: those of the system.
    pub file: Option<PathBuf>,
    /// At least one, unless nothing is verified.
    pub store: Arc<RootCertStore>,
}

/// `tls` and `client_ca` of a listener.
#[derive(Debug, Clone, PartialEq)]
pub struct ServerTls {
    /// At least one; the first serves those who name no host, or one that none has.
    pub identities: Vec<Identity>,
    /// Who may have signed clients' certificates; `None`: clients need none.
    pub client_ca: Option<Roots>,
}

/// `pool.tls`: how backends are spoken to.
#[derive(Debug, Clone, PartialEq)]
pub struct ClientTls {
    /// Who may have signed the backends' certificates.
    pub roots: Roots,
    /// The name that they must be for; `None`: the host of each backend's address.
    pub server_name: Option<ServerName<'static>>,
    /// What the backends see of this proxy, if they ask.
    pub identity: Option<Identity>,
    /// Whether backends must show who they are.
    pub verify: Verify,
}

/// Whether a backend's certificate is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verify {
    /// It must be valid (the default).
    Peer,
    /// Anybody could be the backend.
    Nothing,
}

impl Identity {
    /// Reads a chain and its key.
    pub(super) fn read(cert: &Path, key: &Path) -> Result<Self, Wrong> {
        let chain = chain(cert).map_err(Wrong::Cert)?;
        let private = private_key(key).map_err(Wrong::Key)?;
        let names = chain.first().map(|first| names(first)).unwrap_or_default();
        let not_after = chain.first().and_then(|first| not_after(first));
        let certified = CertifiedKey::from_der(chain, private, &default_provider());
        let certified = certified.map_err(|error| match error {
            rustls::Error::InconsistentKeys(_) => {
                let what = format!("this key does not belong to the certificate in {:?}", shown(cert));
                Wrong::Key(Complaint::invalid(what))
            }
            other => Wrong::Key(Complaint::invalid(format!("this key cannot be used: {other}"))),
        })?;
        Ok(Self {
            cert: cert.to_owned(),
            key: key.to_owned(),
            certified: Arc::new(certified),
            names,
            not_after,
        })
    }

    /// Reads the same files again.
    ///
    /// # Errors
    /// What is wrong with them now.
    pub fn again(&self) -> Result<Self, String> {
        Self::read(&self.cert, &self.key).map_err(|wrong| match wrong {
            Wrong::Cert(complaint) => format!("{:?}: {}", shown(&self.cert), complaint.into_text()),
            Wrong::Key(complaint) => format!("{:?}: {}", shown(&self.key), complaint.into_text()),
        })
    }
}

/// Which of two files is wrong, and why.
pub(super) enum Wrong {
    Cert(Complaint),
    Key(Complaint),
}

impl Roots {
    /// The authorities in a file.
    pub(super) fn read(path: &Path) -> Outcome<Self> {
        let mut store = RootCertStore::empty();
        for certificate in chain(path)? {
            let added = store.add(certificate);
            added.map_err(|error| Complaint::invalid(format!("not a certificate authority: {error}")))?;
        }
        Ok(Self { file: Some(path.to_owned()), store: Arc::new(store) })
    }

    /// The authorities that the system believes.
    pub(super) fn of_system() -> Outcome<Self> {
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if store.is_empty() {
            let complaint = Complaint::invalid("this system has no certificate authorities");
            return Err(complaint.help("name the file of the backends' authority with `ca`"));
        }
        Ok(Self { file: None, store: Arc::new(store) })
    }

    /// Nobody, for those who believe anybody.
    pub(super) fn none() -> Self {
        Self { file: None, store: Arc::new(RootCertStore::empty()) }
    }

    /// Reads the same file again; those of the system stay.
    ///
    /// # Errors
    /// What is wrong with it now.
    pub fn again(&self) -> Result<Self, String> {
        let Some(file) = &self.file else { return Ok(self.clone()) };
        Self::read(file).map_err(|complaint| format!("{:?}: {}", shown(file), complaint.into_text()))
    }
}

impl ServerTls {
    /// The files that all of it came from.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let own = self.identities.iter().flat_map(Identity::files);
        own.chain(self.client_ca.iter().filter_map(|roots| roots.file.as_deref()))
    }

    /// Reads them again.
    ///
    /// # Errors
    /// What is wrong with the first that cannot be used.
    pub fn again(&self) -> Result<Self, String> {
        let identities = self.identities.iter().map(Identity::again).collect::<Result<_, _>>()?;
        let client_ca = self.client_ca.as_ref().map(Roots::again).transpose()?;
        Ok(Self { identities, client_ca })
    }
}

impl ClientTls {
    /// The files that all of it came from.
    pub fn files(&self) -> impl Iterator<Item = &Path> {
        let own = self.identity.iter().flat_map(Identity::files);
        own.chain(self.roots.file.as_deref())
    }

    /// Reads them again.
    ///
    /// # Errors
    /// What is wrong with the first that cannot be used.
    pub fn again(&self) -> Result<Self, String> {
        let identity = self.identity.as_ref().map(Identity::again).transpose()?;
        Ok(Self { roots: self.roots.again()?, identity, ..self.clone() })
    }
}

impl Identity {
    fn files(&self) -> [&Path; 2] {
        [&self.cert, &self.key]
    }
}

fn chain(path: &Path) -> Outcome<Vec<CertificateDer<'static>>> {
    let octets = whole(path)?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&octets).collect();
    let wrong = |what: String| Complaint::invalid(what).help("a PEM file has BEGIN CERTIFICATE in it");
    let chain = chain.map_err(|error| wrong(format!("{:?} is not PEM: {error}", shown(path))))?;
    if chain.is_empty() {
        return Err(wrong(format!("there is no certificate in {:?}", shown(path))));
    }
    Ok(chain)
}

fn private_key(path: &Path) -> Outcome<PrivateKeyDer<'static>> {
    let octets = whole(path)?;
    PrivateKeyDer::from_pem_slice(&octets).map_err(|_| {
        let complaint = Complaint::invalid(format!("there is no private key in {:?}", shown(path)));
        complaint.help("a PEM file has BEGIN PRIVATE KEY in it; a key with a password cannot be used")
    })
}

fn whole(path: &Path) -> Outcome<Vec<u8>> {
    let octets = octets_of(path, LONGEST)?;
    if octets.len() as u64 > LONGEST {
        return Err(Complaint::invalid(format!("{:?} is longer than {LONGEST} octets", shown(path))));
    }
    Ok(octets)
}

fn shown(path: &Path) -> std::borrow::Cow<'_, str> {
    path.to_string_lossy()
}

/// The DNS names among the alternative names of a certificate (RFC 6125 §6.4: those alone count).
fn names(certificate: &CertificateDer<'_>) -> Vec<String> {
    let Ok((_, certificate)) = X509Certificate::from_der(certificate) else { return Vec::new() };
    let Ok(Some(alternatives)) = certificate.subject_alternative_name() else { return Vec::new() };
    let dns = |name: &GeneralName<'_>| match name {
        GeneralName::DNSName(name) => Some(name.to_ascii_lowercase()),
        _ => None,
    };
    alternatives.value.general_names.iter().filter_map(dns).collect()
}

fn not_after(certificate: &CertificateDer<'_>) -> Option<i64> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    Some(certificate.validity().not_after.timestamp())
}

/// The same certificates are the same identity: a key belongs to one.
impl PartialEq for Identity {
    fn eq(&self, other: &Self) -> bool {
        self.certified.cert == other.certified.cert && self.cert == other.cert && self.key == other.key
    }
}

impl PartialEq for Roots {
    fn eq(&self, other: &Self) -> bool {
        self.file == other.file && self.store.roots == other.store.roots
    }
}

/// Keys show themselves to nobody.
impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Identity")
            .field("cert", &self.cert)
            .field("names", &self.names)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Roots {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Roots").field("file", &self.file).finish_non_exhaustive()
    }
}
