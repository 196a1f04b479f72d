//! Certificates made for a test: an authority, and what it signs, as PEM files of the test's own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Signs certificates. Its files are removed when it is dropped.
pub struct Authority {
    issuer: Issuer<'static, KeyPair>,
    folder: PathBuf,
    issued: AtomicUsize,
}

/// A certificate and its key.
pub struct Issued {
    pub cert: PathBuf,
    pub key: PathBuf,
}

impl Authority {
    pub fn new(name: &str) -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let own = format!("authority-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(own);
        std::fs::create_dir_all(&folder).unwrap();
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let key = KeyPair::generate().unwrap();
        std::fs::write(folder.join("ca.pem"), params.self_signed(&key).unwrap().pem()).unwrap();
        Self { issuer: Issuer::new(params, key), folder, issued: AtomicUsize::new(0) }
    }

    /// The file with its own certificate.
    pub fn file(&self) -> PathBuf {
        self.folder.join("ca.pem")
    }

    /// The line of `[pool.tls]` that believes it.
    pub fn ca(&self) -> String {
        format!("ca = '{}'\n", self.file().display())
    }

    /// A certificate for `names`, which may be addresses.
    pub fn issue(&self, names: &[&str]) -> Issued {
        let number = self.issued.fetch_add(1, Ordering::Relaxed);
        let [cert, key] = ["pem", "key"].map(|kind| self.folder.join(format!("{number}.{kind}")));
        let issued = Issued { cert, key };
        self.issue_to(names, &issued);
        issued
    }

    /// The same into files that exist.
    pub fn issue_to(&self, names: &[&str], issued: &Issued) {
        let names: Vec<String> = names.iter().map(|&name| name.to_owned()).collect();
        let mut params = CertificateParams::new(names.clone()).unwrap();
        params.distinguished_name.push(DnType::CommonName, names.join(" "));
        let key = KeyPair::generate().unwrap();
        std::fs::write(&issued.cert, params.signed_by(&key, &self.issuer).unwrap().pem()).unwrap();
        std::fs::write(&issued.key, key.serialize_pem()).unwrap();
    }

    /// Those who believe it.
    pub fn roots(&self) -> Arc<RootCertStore> {
        let mut roots = RootCertStore::empty();
        roots.add(certificates(&self.file()).remove(0)).unwrap();
        Arc::new(roots)
    }
}

impl Drop for Authority {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

impl Issued {
    /// The lines of a table that shows it.
    pub fn shown(&self) -> String {
        format!("cert = '{}'\nkey = '{}'\n", self.cert.display(), self.key.display())
    }

    pub fn chain(&self) -> Vec<CertificateDer<'static>> {
        certificates(&self.cert)
    }

    pub fn private_key(&self) -> PrivateKeyDer<'static> {
        PrivateKeyDer::from_pem_file(&self.key).unwrap()
    }
}

fn certificates(file: &Path) -> Vec<CertificateDer<'static>> {
    CertificateDer::pem_file_iter(file).unwrap().map(Result::unwrap).collect()
}
