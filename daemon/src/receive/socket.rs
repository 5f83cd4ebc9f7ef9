//! A connection that ends in time, encrypted or not.

use super::Tls;
use crate::floor::clock::Stopwatch;
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// A connection on which everything has to be done by a deadline: a peer that sends a byte now and then does not
/// prolong it.
#[derive(Debug)]
pub(super) enum Socket {
    /// As the bytes are.
    Plain(Timed),
    /// Encrypted.
    Tls(Box<StreamOwned<ServerConnection, Timed>>),
}

/// The bare connection.
#[derive(Debug)]
pub(super) struct Timed {
    stream: TcpStream,
    since: Stopwatch,
    patience: Duration,
}

impl Socket {
    /// Takes up a connection. The handshake of TLS comes with the first byte that is read.
    pub(super) fn new(stream: TcpStream, tls: Option<&Arc<ServerConfig>>) -> io::Result<Self> {
        // An answer is one small packet that the sender waits for.
        stream.set_nodelay(true)?;
        let timed = Timed { stream, since: Stopwatch::start(), patience: Duration::ZERO };
        let Some(tls) = tls else { return Ok(Self::Plain(timed)) };
        let connection = ServerConnection::new(Arc::clone(tls)).map_err(io::Error::other)?;
        Ok(Self::Tls(Box::new(StreamOwned::new(connection, timed))))
    }

    fn timed(&mut self) -> &mut Timed {
        match self {
            Self::Plain(timed) => timed,
            Self::Tls(stream) => &mut stream.sock,
        }
    }

    /// Gives what comes next this long, all of it together.
    pub(super) fn within(&mut self, patience: Duration) {
        let timed = self.timed();
        timed.since = Stopwatch::start();
        timed.patience = patience;
    }

    /// Waits for the peer to hang up, which is its part (PS3.8, 9.2): hanging up first may take our last message away.
    pub(super) fn leave(&mut self) {
        const PATIENCE: Duration = Duration::from_secs(5);
        self.within(PATIENCE);
        let mut unread = [0u8; 1024];
        while matches!(self.timed().read(&mut unread), Ok(1..)) {}
    }
}

impl Timed {
    fn left(&self) -> io::Result<Duration> {
        let left = self.patience.saturating_sub(self.since.elapsed());
        if left.is_zero() { Err(io::ErrorKind::TimedOut.into()) } else { Ok(left) }
    }
}

impl Read for Timed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.stream.set_read_timeout(Some(self.left()?))?;
        self.stream.read(buffer)
    }
}

impl Write for Timed {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        self.stream.set_write_timeout(Some(self.left()?))?;
        self.stream.write(buffer)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl Read for Socket {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(timed) => timed.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Socket {
    fn write(&mut self, buffer: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(timed) => timed.write(buffer),
            Self::Tls(stream) => stream.write(buffer),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(timed) => timed.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}

/// Reads certificates and key.
///
/// # Errors
/// What is wrong with which file.
pub(super) fn secured(tls: &Tls) -> Result<Arc<ServerConfig>, String> {
    let of = |key: &str, path: &Path, what: String| format!("receive.tls.{key}: {}: {what}", path.display());
    let unread = |key: &'static str, path: &Path, error: pem::Error| of(key, path, error.to_string());
    let certificates =
        certificates(&tls.certificate).map_err(|error| unread("certificate", &tls.certificate, error))?;
    let key = PrivateKeyDer::from_pem_file(&tls.key).map_err(|error| unread("key", &tls.key, error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider));
    let builder = builder.with_safe_default_protocol_versions().map_err(|error| error.to_string())?;
    let builder = match &tls.client_ca {
        None => builder.with_no_client_auth(),
        Some(path) => {
            let mut roots = RootCertStore::empty();
            for authority in self::certificates(path).map_err(|error| unread("client_ca", path, error))? {
                roots.add(authority).map_err(|error| of("client_ca", path, error.to_string()))?;
            }
            let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.map_err(|error| of("client_ca", path, error.to_string()))?)
        }
    };
    let config = builder.with_single_cert(certificates, key);
    config.map(Arc::new).map_err(|error| of("certificate", &tls.certificate, error.to_string()))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, pem::Error> {
    CertificateDer::pem_file_iter(path)?.collect()
}
