//! The client of `ctedge status`: one request to the daemon of this device.

use http_body_util::{BodyExt, Empty, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1;
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;
use tokio::net::TcpStream;
use tokio::time::timeout;

/// Longest time for the whole answer.
const PATIENCE: Duration = Duration::from_secs(8);
/// Bytes of the longest answer; a status is a few kB.
const LONGEST: usize = 1 << 20;

/// The daemon could not be asked.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FetchError {
    /// Nobody listens there.
    #[error("nobody answers at {address}: {source}")]
    Connect {
        /// Where.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Who listens there does not speak as the daemon does.
    #[error("what answers at {address} is no ctedge: {reason}")]
    Answer {
        /// Where.
        address: SocketAddr,
        /// Why.
        reason: String,
    },
    /// No answer in time.
    #[error("no answer from {address} within {} seconds", PATIENCE.as_secs())]
    Time {
        /// Where.
        address: SocketAddr,
    },
}

/// The body behind a path.
pub(crate) async fn fetch(listen: SocketAddr, path: &str) -> Result<Vec<u8>, FetchError> {
    let address = reachable(listen);
    timeout(PATIENCE, request(address, path)).await.unwrap_or(Err(FetchError::Time { address }))
}

async fn request(address: SocketAddr, path: &str) -> Result<Vec<u8>, FetchError> {
    let answer = |reason: String| FetchError::Answer { address, reason };
    let stream = TcpStream::connect(address).await.map_err(|source| FetchError::Connect { address, source })?;
    let shaken = http1::handshake(TokioIo::new(stream)).await;
    let (mut sender, connection) = shaken.map_err(|error| answer(error.to_string()))?;
    tokio::spawn(connection);
    let request = Request::get(path).header(HOST, address.to_string()).body(Empty::<Bytes>::new());
    let request = request.map_err(|error| answer(error.to_string()))?;
    let response = sender.send_request(request).await.map_err(|error| answer(error.to_string()))?;
    if response.status() != StatusCode::OK {
        return Err(answer(response.status().to_string()));
    }
    let body = Limited::new(response.into_body(), LONGEST).collect().await;
    Ok(body.map_err(|error| answer(error.to_string()))?.to_bytes().to_vec())
}

/// Who listens on every address is asked on the loopback one.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        named if !named.is_unspecified() => named,
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::LOCALHOST),
    };
    SocketAddr::new(ip, listen.port())
}
