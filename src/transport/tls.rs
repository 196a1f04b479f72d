//! TLS with clients: which certificate is shown to whom, and what a client's own says.

use std::collections::HashMap;
use std::sync::Arc;

use http::HeaderValue;
use rustls::crypto::aws_lc_rs::{Ticketer, default_provider};
use rustls::server::{ClientHello, ProducesTickets, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{ServerConfig, pki_types::CertificateDer};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::config::{Identity, ServerTls};

/// HTTP/2 as ALPN names it (RFC 9113 §3.3).
const H2: &[u8] = b"h2";
/// HTTP/1.1 as ALPN names it (RFC 7301 §6).
const HTTP_11: &[u8] = b"http/1.1";
/// Sessions that clients may resume by an id (TLS 1.2); those of TLS 1.3 are in tickets that clients keep.
const SESSIONS: usize = 4096;

/// What it takes to answer TLS handshakes of one listener.
#[derive(Debug, Clone)]
pub struct Acceptor {
    settings: ServerTls,
    http2: bool,
    config: Arc<ServerConfig>,
}

impl Acceptor {
    /// What `settings` say. If `previous` came of the same, it goes on, and with it the sessions that clients resume.
    pub fn new(settings: &ServerTls, http2: bool, previous: Option<&Self>) -> Self {
        if let Some(previous) = previous.filter(|known| known.settings == *settings && known.http2 == http2) {
            return previous.clone();
        }
        let config = Arc::new(server_config(settings, http2));
        Self { settings: settings.clone(), http2, config }
    }

    /// What is shown to clients; at least one.
    pub fn identities(&self) -> &[Identity] {
        &self.settings.identities
    }

    /// For the handshake.
    pub fn config(&self) -> Arc<ServerConfig> {
        self.config.clone()
    }
}

fn server_config(settings: &ServerTls, http2: bool) -> ServerConfig {
    let provider = Arc::new(default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("the provider knows the versions that rustls does by default");
    let verifier = settings.client_ca.as_ref().map(|roots| {
        WebPkiClientVerifier::builder_with_provider(roots.store.clone(), provider)
            .build()
            .expect("a file of authorities has at least one, and there are no revocation lists")
    });
    let builder = match verifier {
        Some(verifier) => builder.with_client_cert_verifier(verifier),
        None => builder.with_no_client_auth(),
    };
    let mut config = builder.with_cert_resolver(Arc::new(Certificates::new(&settings.identities)));
    config.alpn_protocols = if http2 { vec![H2.to_vec(), HTTP_11.to_vec()] } else { vec![HTTP_11.to_vec()] };
    config.session_storage = rustls::server::ServerSessionMemoryCache::new(SESSIONS);
    if let Some(ticketer) = ticketer() {
        config.ticketer = ticketer;
    }
    config
}

/// Keys for tickets, made anew every six hours. Without them, which takes a system that has no random numbers, clients
/// make full handshakes.
fn ticketer() -> Option<Arc<dyn ProducesTickets>> {
    Ticketer::new().inspect_err(|error| tracing::warn!(%error, "TLS sessions cannot be resumed")).ok()
}

/// Whether a client has agreed to HTTP/2.
pub fn is_http2(alpn: Option<&[u8]>) -> bool {
    alpn == Some(H2)
}

/// The subject of a client's certificate as a field value (RFC 4514 §2, attributes in the order of the certificate).
/// `None` where it has a character that no field may have.
pub fn subject(certificate: &CertificateDer<'_>) -> Option<HeaderValue> {
    let (_, certificate) = X509Certificate::from_der(certificate).ok()?;
    HeaderValue::from_str(&certificate.subject().to_string()).ok()
}

/// Certificates by the host that a client names (RFC 6066 §3).
#[derive(Debug)]
struct Certificates {
    first: Option<Arc<CertifiedKey>>,
    exact: HashMap<String, Arc<CertifiedKey>>,
    /// By what follows the one label that `*` stands for.
    wildcards: HashMap<String, Arc<CertifiedKey>>,
}

impl Certificates {
    /// Of several for one name the first counts.
    fn new(identities: &[Identity]) -> Self {
        let (mut exact, mut wildcards) = (HashMap::new(), HashMap::new());
        for identity in identities {
            for name in &identity.names {
                let (names, name) = match name.strip_prefix("*.") {
                    Some(parent) => (&mut wildcards, parent),
                    None => (&mut exact, name.as_str()),
                };
                names.entry(name.to_owned()).or_insert_with(|| identity.certified.clone());
            }
        }
        Self { first: identities.first().map(|first| first.certified.clone()), exact, wildcards }
    }

    /// The one for `name`, which is lower case: exact before wildcard before the first of all.
    fn find(&self, name: Option<&str>) -> Option<Arc<CertifiedKey>> {
        let exact = name.and_then(|name| self.exact.get(name));
        let parent = name.and_then(|name| name.split_once('.')).map(|(_, parent)| parent);
        let found = exact.or_else(|| self.wildcards.get(parent?)).or(self.first.as_ref());
        found.cloned()
    }
}

impl ResolvesServerCert for Certificates {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        // rustls has checked it to be a DNS name, and made it lower case.
        self.find(hello.server_name())
    }
}
