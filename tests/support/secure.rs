//! Clients that speak TLS, by rustls.

use std::io;
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;

use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, aws_lc_rs, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme, StreamOwned,
    SupportedProtocolVersion,
};

use super::authority::Issued;
use super::client::Client;
use super::message::Reader;
use super::wait::DEADLINE;

/// A connection with TLS.
pub type Tls = StreamOwned<ClientConnection, TcpStream>;

/// How a client introduces itself. Sessions are kept with it, and resumed.
#[derive(Clone)]
pub struct Hello(Arc<ClientConfig>);

impl Hello {
    /// In one of these versions, with these protocols, and `identity` if it has one; it believes anybody.
    pub fn new(
        versions: &[&'static SupportedProtocolVersion],
        alpn: &[&str],
        identity: Option<&Issued>,
    ) -> Self {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let anybody = Arc::new(Anybody(provider.clone()));
        let builder = ClientConfig::builder_with_provider(provider).with_protocol_versions(versions).unwrap();
        let builder = builder.dangerous().with_custom_certificate_verifier(anybody);
        let mut config = match identity {
            Some(identity) => {
                builder.with_client_auth_cert(identity.chain(), identity.private_key()).unwrap()
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = alpn.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
        Self(Arc::new(config))
    }

    /// With what is usual.
    pub fn plain() -> Self {
        Self::new(rustls::DEFAULT_VERSIONS, &[], None)
    }

    /// The same with HTTP/2.
    pub fn http2() -> Self {
        Self::new(rustls::DEFAULT_VERSIONS, &["h2"], None)
    }

    /// With a certificate of its own.
    pub fn of(identity: &Issued) -> Self {
        Self::new(rustls::DEFAULT_VERSIONS, &[], Some(identity))
    }

    /// A connection whose handshake is over.
    pub fn shake(&self, address: SocketAddr, name: &str) -> io::Result<Tls> {
        self.shake_over(TcpStream::connect(address).unwrap(), name)
    }

    /// The same on a connection on which something was said before.
    pub fn shake_over(&self, mut socket: TcpStream, name: &str) -> io::Result<Tls> {
        socket.set_read_timeout(Some(DEADLINE)).unwrap();
        socket.set_write_timeout(Some(DEADLINE)).unwrap();
        socket.set_nodelay(true).unwrap();
        let name = ServerName::try_from(name.to_owned()).unwrap();
        let mut connection = ClientConnection::new(self.0.clone(), name).unwrap();
        while connection.is_handshaking() {
            connection.complete_io(&mut socket)?;
        }
        Ok(StreamOwned::new(connection, socket))
    }

    /// The same for HTTP/1.
    #[track_caller]
    pub fn connect(&self, address: SocketAddr) -> Client<Tls> {
        Client { reader: Reader::new(self.shake(address, "homing.test").unwrap()) }
    }
}

/// Believes any certificate, but only from who has its key.
#[derive(Debug)]
struct Anybody(Arc<CryptoProvider>);

impl ServerCertVerifier for Anybody {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
