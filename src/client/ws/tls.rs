//! TLS on the loop: rustls over a non-blocking socket.
//!
//! Reading and writing drive the handshake: data written before it is complete is sent after it.
//! Sessions are not resumed, because each client represents a different user, who would need a full
//! handshake.

use std::io::{self, ErrorKind, Read, Write};
use std::sync::Arc;

use mio::net::TcpStream;
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::CryptoProvider;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    AlertDescription, ClientConfig, ClientConnection, DigitallySignedStruct, Error, SignatureScheme,
};

use crate::http_client::Roots;
use crate::tls;

/// The settings that all TLS connections of a run share.
#[derive(Clone, Debug)]
pub(crate) struct TlsConnector {
    config: Arc<ClientConfig>,
    /// The name that the certificate must match.
    name: ServerName<'static>,
}

/// One TLS connection.
#[derive(Debug)]
pub(crate) struct Tls {
    socket: TcpStream,
    session: ClientConnection,
    /// Whether the peer has ended the stream.
    ended: bool,
}

impl TlsConnector {
    /// A connector to `host`, whose certificate must be issued by one of `roots`, unless
    /// `insecure`.
    ///
    /// # Errors
    /// When the host cannot be a certificate's name, or the roots are unusable.
    pub(crate) fn new(host: &str, roots: &Roots, insecure: bool) -> io::Result<Self> {
        let name = ServerName::try_from(host.to_owned());
        let name = name.map_err(|_| {
            let error = format!("'{host}' cannot be the name in a certificate");
            io::Error::new(ErrorKind::InvalidInput, error)
        })?;
        let config = roots.client_config().map_err(io::Error::other)?;
        let mut config = Arc::unwrap_or_clone(config);
        config.resumption = Resumption::disabled();
        if insecure {
            let provider = Arc::clone(config.crypto_provider());
            let verifier = Arc::new(AcceptAnyCertificate(provider));
            config.dangerous().set_certificate_verifier(verifier);
        }
        Ok(Self {
            config: Arc::new(config),
            name,
        })
    }

    /// TLS over a socket, which need not be connected yet.
    ///
    /// # Errors
    /// When rustls rejects the configuration.
    pub(crate) fn connect(&self, socket: TcpStream) -> io::Result<Tls> {
        Ok(Tls {
            socket,
            session: self.session()?,
            ended: false,
        })
    }

    /// TLS for a stream that blocks, such as a fiber's.
    ///
    /// # Errors
    /// When rustls rejects the configuration.
    pub(crate) fn session(&self) -> io::Result<ClientConnection> {
        let session = ClientConnection::new(Arc::clone(&self.config), self.name.clone());
        session.map_err(io::Error::other)
    }
}

impl Tls {
    pub(crate) fn socket(&mut self) -> &mut TcpStream {
        &mut self.socket
    }

    pub(crate) fn is_securing(&self) -> bool {
        self.session.is_handshaking()
    }

    pub(crate) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Reads from the socket until it is drained or `buffer` is full.
    pub(crate) fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = self.take(buffer)?;
        while filled < buffer.len() && !self.ended {
            let mut socket = Noting {
                socket: &mut self.socket,
                left_room: false,
            };
            match self.session.read_tls(&mut socket) {
                Ok(0) => self.ended = true,
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                Err(error) if error.kind() == ErrorKind::WouldBlock && filled > 0 => break,
                Err(error) => return Err(error),
            }
            let is_drained = socket.left_room;
            self.process()?;
            filled += self.take(&mut buffer[filled..])?;
            if is_drained {
                break;
            }
        }
        match filled {
            0 if !self.ended => Err(ErrorKind::WouldBlock.into()),
            filled => Ok(filled),
        }
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.session.writer().write(bytes)?;
        self.flush()?;
        match taken {
            // The buffer of rustls is full.
            0 if !bytes.is_empty() => Err(ErrorKind::WouldBlock.into()),
            taken => Ok(taken),
        }
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.socket) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Decrypts what has arrived, and sends TLS's own answers.
    fn process(&mut self) -> io::Result<()> {
        let processed = self.session.process_new_packets();
        // After a failure it sends an alert, which need not reach the server.
        let flushed = self.flush();
        let state = processed.map_err(io::Error::other)?;
        self.ended |= state.peer_has_closed();
        flushed
    }

    /// Takes decrypted text.
    fn take(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.session.reader().read(&mut buffer[filled..]) {
                // `ended` reports the end of the stream, with or without a notice from the peer.
                Ok(0) => break,
                Ok(length) => filled += length,
                Err(error) if is_nothing(&error) => break,
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

fn is_nothing(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::WouldBlock | ErrorKind::UnexpectedEof
    )
}

/// Notes whether a read left room in its buffer, which means that the socket is drained.
struct Noting<'a> {
    socket: &'a mut TcpStream,
    left_room: bool,
}

impl Read for Noting<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let length = self.socket.read(buffer)?;
        self.left_room = length < buffer.len();
        Ok(length)
    }
}

/// A TLS error as a sentence that says what it means.
pub(crate) fn sentence(error: &Error) -> String {
    match error {
        Error::InvalidCertificate(certificate) => {
            format!("the server's certificate {}", tls::fault(certificate))
        }
        Error::InvalidMessage(_) => {
            "the server does not speak TLS on this port (use ws://)".to_owned()
        }
        // A full server sends this alert before there are keys.
        Error::AlertReceived(AlertDescription::InternalError) => {
            "the server refused TLS: InternalError (it may be full)".to_owned()
        }
        Error::AlertReceived(alert) => format!("the server refused TLS: {alert:?}"),
        error => format!("TLS failed: {error}"),
    }
}

/// Accepts every certificate (`--insecure`).
#[derive(Debug)]
struct AcceptAnyCertificate(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAnyCertificate {
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
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &CertificateDer<'_>,
        _: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        Ok(HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_silent_refusal_is_explained() {
        let sentence = |alert| super::sentence(&Error::AlertReceived(alert));
        let full = sentence(AlertDescription::InternalError);
        assert_eq!(
            full,
            "the server refused TLS: InternalError (it may be full)"
        );
        let other = sentence(AlertDescription::HandshakeFailure);
        assert_eq!(other, "the server refused TLS: HandshakeFailure");
    }
}
