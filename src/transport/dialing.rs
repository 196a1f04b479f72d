//! How the backends of a pool are dialed: the header that says whom a connection is for, TLS, and what is spoken then.
//! Connections are kept elsewhere.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use http::uri::Scheme;
use rustls::ClientConfig;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::ServerName;
use rustls::sign::SingleCertAndKey;
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use super::dial::tcp;
use super::unverified::Unverified;
use super::{DialError, Introduction, Wire};
use crate::config::{self, Address, ClientTls, Protocol, ProxyProtocol, Verify};

/// What the connections to the backends of one pool have in common.
#[derive(Debug)]
pub struct Dialing {
    /// Unique in the process: other settings are another dialing, and their connections are not used for this one.
    pub id: u64,
    settings: Settings,
    tls: Option<Tls>,
}

/// What the file says of it.
#[derive(Debug, Clone, PartialEq)]
struct Settings {
    tls: Option<ClientTls>,
    protocol: Protocol,
    proxy_protocol: ProxyProtocol,
}

/// The same handshake, for either protocol.
#[derive(Debug)]
struct Tls {
    http1: Arc<ClientConfig>,
    http2: Arc<ClientConfig>,
}

/// The way to one backend.
#[derive(Debug, Clone)]
pub struct Way {
    /// What it has in common with those to others of its pool.
    pub dialing: Arc<Dialing>,
    /// Where the backend is now.
    pub address: SocketAddr,
    /// The same as the file has it: whom the certificate is for, unless the pool has another name.
    pub host: Address,
    /// Whom connections are for.
    pub introduction: Introduction,
}

static NEXT: AtomicU64 = AtomicU64::new(1);

const HTTP1: &[u8] = b"http/1.1";
const HTTP2: &[u8] = b"h2";

impl Dialing {
    /// The dialing of a pool; the `former` one if nothing has changed, so that its connections serve on.
    pub fn of(pool: &config::Pool, former: Option<&Arc<Self>>) -> Arc<Self> {
        let config::Pool { tls, protocol, proxy_protocol, .. } = pool;
        let settings = Settings { tls: tls.clone(), protocol: *protocol, proxy_protocol: *proxy_protocol };
        if let Some(former) = former.filter(|former| former.settings == settings) {
            return former.clone();
        }
        let tls = settings.tls.as_ref().map(Tls::new);
        Arc::new(Self { id: NEXT.fetch_add(1, Ordering::Relaxed), settings, tls })
    }

    /// What is spoken.
    pub fn protocol(&self) -> Protocol {
        self.settings.protocol
    }

    /// Whether a connection belongs to one client, since it begins with that client's addresses.
    pub fn is_private(&self) -> bool {
        self.settings.proxy_protocol != ProxyProtocol::None
    }

    /// The scheme of what is asked for (RFC 9113 §8.3.1).
    pub(super) fn scheme(&self) -> Scheme {
        if self.tls.is_some() { Scheme::HTTPS } else { Scheme::HTTP }
    }
}

impl Tls {
    fn new(settings: &ClientTls) -> Self {
        let mut http1 = client_config(settings);
        let mut http2 = http1.clone();
        http1.alpn_protocols = vec![HTTP1.to_vec()];
        http2.alpn_protocols = vec![HTTP2.to_vec()];
        Self { http1: Arc::new(http1), http2: Arc::new(http2) }
    }

    fn speaking(&self, protocol: Protocol) -> Arc<ClientConfig> {
        match protocol {
            Protocol::Http1 => self.http1.clone(),
            Protocol::Http2 => self.http2.clone(),
        }
    }
}

fn client_config(settings: &ClientTls) -> ClientConfig {
    let provider = Arc::new(default_provider());
    let builder = ClientConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .expect("the provider knows TLS 1.2 and 1.3");
    let builder = match settings.verify {
        Verify::Peer => builder.with_root_certificates(settings.roots.store.clone()),
        Verify::Nothing => {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(Unverified(provider)))
        }
    };
    match &settings.identity {
        Some(identity) => {
            let own = SingleCertAndKey::from(identity.certified.clone());
            builder.with_client_cert_resolver(Arc::new(own))
        }
        None => builder.with_no_client_auth(),
    }
}

impl Way {
    /// Connects within `limit`, introduces the client, and shakes hands, so that `protocol` can be spoken.
    ///
    /// # Errors
    /// No connection in time, or what went wrong with it.
    pub(super) async fn open(&self, protocol: Protocol, limit: Duration) -> Result<Wire, DialError> {
        timeout(limit, self.wire(protocol)).await.map_err(|_| DialError::TimedOut(limit))?
    }

    pub(super) async fn wire(&self, protocol: Protocol) -> Result<Wire, DialError> {
        let Dialing { settings, tls, .. } = &*self.dialing;
        let mut stream = tcp(self.address).await?;
        let header = self.introduction.octets(settings.proxy_protocol);
        if !header.is_empty() {
            stream.write_all(&header).await?;
        }
        match tls {
            None => Ok(Wire::Plain(stream)),
            Some(tls) => self.encrypt(stream, tls.speaking(protocol), protocol).await,
        }
    }

    async fn encrypt(
        &self,
        stream: TcpStream,
        config: Arc<ClientConfig>,
        protocol: Protocol,
    ) -> Result<Wire, DialError> {
        let name = self.server_name()?;
        let stream = TlsConnector::from(config).connect(name, stream).await.map_err(DialError::Tls)?;
        if protocol == Protocol::Http2 && stream.get_ref().1.alpn_protocol() != Some(HTTP2) {
            return Err(DialError::OffersNoHttp2);
        }
        Ok(Wire::Dialed(Box::new(stream)))
    }

    /// Whom the certificate must be for.
    fn server_name(&self) -> Result<ServerName<'static>, DialError> {
        let settings = self.dialing.settings.tls.as_ref();
        if let Some(name) = settings.and_then(|settings| settings.server_name.clone()) {
            return Ok(name);
        }
        match &self.host {
            Address::Ip(address) => Ok(ServerName::from(address.ip())),
            Address::Name { host, .. } => {
                ServerName::try_from(host.clone()).map_err(|_| DialError::Name(host.clone()))
            }
        }
    }
}
