//! A bundle from a server of files, by HTTPS. The only file that knows ureq.
//!
//! A thread of its own reads, so that whoever fetches can stop at once; it ends by itself, at the latest when the server
//! has been silent for too long.

use super::pace::Pace;
use super::part::PartFile;
use super::{FetchError, NO_ROOM, Settings, Terms, Wanted};
use crate::floor::clock::{self, Stopwatch};
use crate::floor::disk::MayLackRoom;
use std::fs;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::Duration;
use tracing::{info, warn};
use ureq::Agent;
use ureq::http::{HeaderMap, Response, StatusCode, header};
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

/// Time for a connection, TLS included.
const CONNECT: Duration = Duration::from_secs(15);
/// Time for the server to say anything.
const SILENCE: Duration = Duration::from_secs(30);
/// Addresses that a server may send us to, one after the other; each must be HTTPS.
const REDIRECTS: u32 = 3;
/// Pause before the server is asked again; after each time that nothing came twice as long.
const PAUSE: [Duration; 2] = [Duration::from_secs(1), Duration::from_mins(5)];
/// Times that a bundle is fetched anew because its parts do not belong together.
const TORN: u32 = 2;
/// Bytes that are read at a time, and how many such blocks wait to be written.
const BLOCK: (usize, usize) = (64 << 10, 4);
/// How often it is looked whether to stop.
const LOOK: Duration = Duration::from_millis(100);

/// Fetches a bundle from a server into `partial`; what is there already is not fetched again where the server can go on
/// from there. On return the file is whole, has the digest, and is synced.
///
/// # Errors
/// See [`FetchError`]. What has come is kept, unless it is something else.
pub(crate) fn https(url: &str, wanted: &Wanted<'_>, partial: &Path, terms: &Terms<'_>) -> Result<(), FetchError> {
    let part = PartFile::open(partial, wanted)?;
    let mut visit = Visit {
        url,
        wanted: *wanted,
        agent: agent(terms.settings)?,
        part: &part,
        terms,
        until_ms: terms.until_ms(),
        pace: Pace::new(terms.settings.kib_s),
        up: Stopwatch::start(),
        version: None,
        is_of_one_piece: part.len()? == 0,
        torn: 0,
    };
    let ended = visit.run();
    if matches!(ended, Err(FetchError::Length | FetchError::Digest)) {
        part.delete()?;
    }
    ended
}

/// What is in the way.
#[derive(Debug)]
enum Trouble {
    /// It may pass.
    Passing(&'static str),
    /// The server cannot go on from what is there.
    Stale,
    /// It will not.
    Lasting(FetchError),
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        if error.lacks_room() { Self::Passing(NO_ROOM) } else { Self::Lasting(error.into()) }
    }
}

/// What the thread that reads tells.
enum Told {
    /// The body begins, at this byte, of this version of the file.
    Begins(u64, Option<String>),
    /// A block of it.
    Block(Vec<u8>),
    /// It is over.
    Ended(Result<(), Trouble>),
}

/// A server is asked for a bundle, as often as it takes.
struct Visit<'a> {
    url: &'a str,
    wanted: Wanted<'a>,
    agent: Agent,
    part: &'a PartFile<'a>,
    terms: &'a Terms<'a>,
    until_ms: i64,
    pace: Pace,
    up: Stopwatch,
    /// What the server calls the version of which we have a part.
    version: Option<String>,
    /// Whether all that is there came in one answer.
    is_of_one_piece: bool,
    /// How often parts did not belong together.
    torn: u32,
}

impl Visit<'_> {
    fn run(&mut self) -> Result<(), FetchError> {
        let (mut pause, mut trouble) = (PAUSE[0], "");
        loop {
            self.terms.go_on(self.until_ms, trouble)?;
            let there = self.part.len()?;
            if there == self.wanted.bytes {
                if self.part.is_whole(&self.wanted, self.terms)? {
                    return Ok(());
                }
                if self.is_of_one_piece || self.torn >= TORN {
                    return Err(FetchError::Digest);
                }
                self.torn += 1;
                warn!("parts of a bundle do not belong together; it is fetched anew");
                self.part.clear()?;
                continue;
            }
            self.terms.wait_for_room(self.until_ms, self.wanted.bytes.saturating_sub(there))?;
            trouble = match self.attempt(there) {
                Ok(()) => "the server sent less than it said",
                Err(Trouble::Passing(trouble)) => trouble,
                Err(Trouble::Stale) => {
                    self.part.clear()?;
                    "the server cannot go on from what is there"
                }
                Err(Trouble::Lasting(error)) => return Err(error),
            };
            let now_there = self.part.len()?;
            if now_there == self.wanted.bytes {
                continue;
            }
            pause = if now_there > there { PAUSE[0] } else { pause };
            info!(trouble, bytes = now_there, "a bundle has not come whole; the server is asked again");
            clock::wait(pause, self.terms.stop);
            pause = pause.saturating_mul(2).min(PAUSE[1]);
        }
    }

    /// Asks once, from this byte on.
    fn attempt(&mut self, from: u64) -> Result<(), Trouble> {
        let (sender, told) = sync_channel(BLOCK.1);
        let reader = Reader {
            agent: self.agent.clone(),
            url: self.url.to_owned(),
            from,
            bytes: self.wanted.bytes,
            version: self.version.clone(),
            told: sender,
        };
        std::thread::Builder::new().name("fetch".to_owned()).spawn(move || reader.run())?;
        self.heed(&told)
    }

    fn heed(&mut self, told: &Receiver<Told>) -> Result<(), Trouble> {
        let mut offset = 0;
        loop {
            self.terms.go_on(self.until_ms, "the server is slow").map_err(Trouble::Lasting)?;
            match clock::idle(|| told.recv_timeout(LOOK)) {
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(Trouble::Passing("the connection broke")),
                Ok(Told::Ended(ended)) => return ended,
                Ok(Told::Begins(from, version)) => {
                    if from == 0 {
                        self.part.clear()?;
                    }
                    self.is_of_one_piece = from == 0;
                    (offset, self.version) = (from, version);
                }
                Ok(Told::Block(block)) => {
                    self.take(offset, &block)?;
                    offset = self.part.len()?;
                }
            }
        }
    }

    fn take(&mut self, offset: u64, block: &[u8]) -> Result<(), Trouble> {
        let bytes = u64::try_from(block.len()).unwrap_or(u64::MAX);
        if offset.saturating_add(bytes) > self.wanted.bytes {
            return Err(Trouble::Lasting(FetchError::Length));
        }
        self.part.write(offset, block)?;
        (self.terms.progress)(offset.saturating_add(bytes));
        self.pace.take(self.up.elapsed(), bytes);
        clock::wait(self.pace.wait(self.up.elapsed()), self.terms.stop);
        Ok(())
    }
}

/// Asks and reads, in a thread of its own.
struct Reader {
    agent: Agent,
    url: String,
    from: u64,
    bytes: u64,
    version: Option<String>,
    told: SyncSender<Told>,
}

impl Reader {
    fn run(self) {
        let ended = self.read();
        // Whoever listened may have gone.
        self.told.send(Told::Ended(ended)).ok();
    }

    fn read(&self) -> Result<(), Trouble> {
        let mut request = self.agent.get(&self.url);
        if self.from > 0 {
            request = request.header(header::RANGE, format!("bytes={}-", self.from));
            if let Some(version) = &self.version {
                request = request.header(header::IF_RANGE, version);
            }
        }
        let response = request.call().map_err(|error| trouble(&error))?;
        let (from, version) = (self.begin(&response)?, strong(response.headers()));
        if self.told.send(Told::Begins(from, version)).is_err() {
            return Ok(());
        }
        let mut body = response.into_body().into_reader();
        let mut block = vec![0; BLOCK.0];
        loop {
            match body.read(&mut block) {
                Ok(0) => return Ok(()),
                Ok(read) => {
                    let block = block.get(..read).unwrap_or_default().to_vec();
                    if self.told.send(Told::Block(block)).is_err() {
                        return Ok(());
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_broken) => return Err(Trouble::Passing("the connection broke")),
            }
        }
    }

    /// At which byte the body begins.
    fn begin<T>(&self, response: &Response<T>) -> Result<u64, Trouble> {
        let status = response.status();
        let text = |name| response.headers().get(name).and_then(|value| value.to_str().ok());
        match status {
            StatusCode::OK => {
                let length = text(header::CONTENT_LENGTH).and_then(|length| length.parse::<u64>().ok());
                let is_right = length.is_none_or(|length| length == self.bytes);
                if is_right { Ok(0) } else { Err(Trouble::Lasting(FetchError::Length)) }
            }
            StatusCode::PARTIAL_CONTENT => match text(header::CONTENT_RANGE).and_then(range) {
                Some((_, Some(total))) if total != self.bytes => Err(Trouble::Lasting(FetchError::Length)),
                Some((from, _)) if from == self.from => Ok(from),
                Some(_) | None => Err(refused("the server sends another part of the file than it was asked for")),
            },
            StatusCode::RANGE_NOT_SATISFIABLE if self.from > 0 => Err(Trouble::Stale),
            StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_MANY_REQUESTS => {
                Err(Trouble::Passing("the server has no time"))
            }
            _ if status.is_server_error() => Err(Trouble::Passing("the server has an error")),
            _ => Err(refused(&format!("the server answers {}", status.as_u16()))),
        }
    }
}

fn refused(reason: &str) -> Trouble {
    Trouble::Lasting(FetchError::Refused { reason: reason.to_owned() })
}

/// The first byte and the length of the whole, of `bytes FIRST-LAST/TOTAL`.
fn range(text: &str) -> Option<(u64, Option<u64>)> {
    let (span, total) = text.strip_prefix("bytes ")?.split_once('/')?;
    Some((span.split_once('-')?.0.parse().ok()?, total.parse().ok()))
}

/// What the server calls this version of the file, if by that name parts can be put together (RFC 9110, 13.1.5).
fn strong(headers: &HeaderMap) -> Option<String> {
    let name = headers.get(header::ETAG)?.to_str().ok()?;
    name.starts_with('"').then(|| name.to_owned())
}

/// What an error of ureq is to us; its own words may hold the address, and an address may hold a secret.
fn trouble(error: &ureq::Error) -> Trouble {
    use ureq::Error;
    #[expect(
        clippy::wildcard_enum_match_arm,
        reason = "the library's errors are open, and whatever it may add can pass"
    )]
    match error {
        Error::BadUri(_) | Error::Http(_) => refused("the address of the server is none"),
        Error::RequireHttpsOnly(_) => refused("the server sends us to an address without TLS"),
        Error::TooManyRedirects | Error::RedirectFailed => refused("the server sends us from address to address"),
        Error::Rustls(error) => untrusted(error),
        Error::Io(error) => match error.get_ref().and_then(|inner| inner.downcast_ref()) {
            Some(error) => untrusted(error),
            None => Trouble::Passing("the connection broke"),
        },
        Error::Timeout(_) => Trouble::Passing("the server does not answer"),
        Error::HostNotFound => Trouble::Passing("the server's name is not known"),
        Error::ConnectionFailed => Trouble::Passing("there is no way to the server"),
        _ => Trouble::Passing("the server cannot be understood"),
    }
}

fn untrusted(error: &rustls::Error) -> Trouble {
    if matches!(error, rustls::Error::InvalidCertificate(_)) {
        refused(&format!("the server's certificate: {error}"))
    } else {
        Trouble::Passing("the connection broke")
    }
}

/// Whom to trust, and how long to wait.
pub(super) fn agent(settings: &Settings) -> Result<Agent, FetchError> {
    let tls = TlsConfig::builder()
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .root_certs(RootCerts::Specific(Arc::new(authorities(settings)?)))
        .build();
    let config = Agent::config_builder()
        .https_only(true)
        .tls_config(tls)
        .max_redirects(REDIRECTS)
        .max_redirects_will_error(true)
        .http_status_as_error(false)
        .user_agent(concat!("ctedge/", env!("CARGO_PKG_VERSION")))
        .max_idle_connections(0)
        .timeout_resolve(Some(CONNECT))
        .timeout_connect(Some(CONNECT))
        .timeout_recv_response(Some(SILENCE))
        .timeout_per_read(Some(SILENCE));
    Ok(config.build().into())
}

/// How many authorities a server of bundles may be vouched for by.
///
/// # Errors
/// Those of the site cannot be read.
pub(crate) fn trusted(settings: &Settings) -> Result<usize, FetchError> {
    authorities(settings).map(|all| all.len())
}

/// The authorities that the system knows, and the site's.
fn authorities(settings: &Settings) -> Result<Vec<Certificate<'static>>, FetchError> {
    let known = rustls_native_certs::load_native_certs().certs;
    let mut all: Vec<Certificate<'static>> =
        known.iter().map(|known| Certificate::from_der(known).to_owned()).collect();
    if let Some(path) = &settings.ca {
        let unread = |reason: String| FetchError::Certificates { reason };
        let pem = fs::read(path).map_err(|error| unread(error.to_string()))?;
        let before = all.len();
        for item in parse_pem(&pem) {
            let item = item.map_err(|_damaged| unread("no PEM".to_owned()))?;
            all.extend(if let PemItem::Certificate(own) = item { Some(own) } else { None });
        }
        if all.len() == before {
            return Err(unread("holds no certificate".to_owned()));
        }
    }
    Ok(all)
}
