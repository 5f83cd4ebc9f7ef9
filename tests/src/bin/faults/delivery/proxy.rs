//! A wire between daemon and broker that can be cut, reset, or go deaf.

use anyhow::Context;
use rustix::net::sockopt::{set_socket_linger, socket_linger};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Which way bytes go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// From the daemon to the broker.
    Up,
    /// From the broker to the daemon.
    Down,
}

/// What the wire does with bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Carries them.
    Pass,
    /// Loses all of them, and says nothing.
    Drop,
    /// Carries them to the broker and loses its answers.
    HalfOpen,
}

/// How a connection ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Cut {
    /// In an orderly way.
    Close,
    /// By a reset.
    Reset,
}

/// Bytes that went over the wire, in the order in which they went.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    /// Which connection, from 0.
    pub(crate) connection: usize,
    pub(crate) way: Way,
    /// By the clock of whoever listens, before the bytes were passed on.
    pub(crate) at: u64,
    pub(crate) bytes: Vec<u8>,
}

/// Somebody who listens.
struct Ear {
    clock: Box<dyn Fn() -> u64 + Send + Sync>,
    heard: Vec<Piece>,
}

/// The wire.
#[derive(Debug)]
pub(crate) struct Proxy {
    port: u16,
    wire: Arc<Wire>,
}

struct Wire {
    broker: u16,
    mode: Mutex<Mode>,
    /// Where the next connection is cut: after so many bytes of a way.
    plan: Mutex<Option<(Way, usize)>>,
    open: Mutex<Vec<TcpStream>>,
    cuts: AtomicUsize,
    /// Bytes of the newest connection.
    up: AtomicUsize,
    down: AtomicUsize,
    connections: AtomicUsize,
    ear: Mutex<Option<Ear>>,
}

impl std::fmt::Debug for Wire {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Wire").field("broker", &self.broker).finish_non_exhaustive()
    }
}

impl Proxy {
    /// A wire to a broker on this machine. Its thread ends with the program.
    pub(crate) fn to(broker: u16) -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let port = listener.local_addr()?.port();
        let wire = Arc::new(Wire {
            broker,
            mode: Mutex::new(Mode::Pass),
            plan: Mutex::default(),
            open: Mutex::default(),
            cuts: AtomicUsize::new(0),
            up: AtomicUsize::new(0),
            down: AtomicUsize::new(0),
            connections: AtomicUsize::new(0),
            ear: Mutex::default(),
        });
        let carries = Arc::clone(&wire);
        let accept = move || {
            for stream in listener.incoming().map_while(Result::ok) {
                // A broker that is away: the daemon's connection ends at once, as if it had been refused.
                drop(carries.join(&stream));
            }
        };
        std::thread::Builder::new().name("proxy".to_owned()).spawn(accept)?;
        Ok(Self { port, wire })
    }

    /// Where the daemon finds it.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// From now on.
    pub(crate) fn mode(&self, mode: Mode) {
        *lock(&self.wire.mode) = mode;
    }

    /// Keeps all that goes over the wire from now on, beside the time by a clock.
    pub(crate) fn listen(&self, clock: impl Fn() -> u64 + Send + Sync + 'static) {
        *lock(&self.wire.ear) = Some(Ear { clock: Box::new(clock), heard: Vec::new() });
    }

    /// What went over the wire since somebody listens.
    pub(crate) fn heard(&self) -> Vec<Piece> {
        lock(&self.wire.ear).as_ref().map(|ear| ear.heard.clone()).unwrap_or_default()
    }

    /// Cuts every connection.
    pub(crate) fn cut(&self, cut: Cut) {
        self.wire.cut(cut);
    }

    /// Cuts the next connection after so many bytes of a way.
    pub(crate) fn cut_next_after(&self, way: Way, bytes: usize) {
        *lock(&self.wire.plan) = Some((way, bytes));
    }

    /// The next connection is not cut after all.
    pub(crate) fn spare_next(&self) {
        *lock(&self.wire.plan) = None;
    }

    /// How often a connection has been cut by plan.
    pub(crate) fn planned_cuts(&self) -> usize {
        self.wire.cuts.load(Ordering::Relaxed)
    }

    /// Bytes that the newest connection has carried up and down.
    pub(crate) fn carried(&self) -> (usize, usize) {
        (self.wire.up.load(Ordering::Relaxed), self.wire.down.load(Ordering::Relaxed))
    }
}

impl Wire {
    fn join(self: &Arc<Self>, daemon: &TcpStream) -> anyhow::Result<()> {
        let broker = TcpStream::connect((Ipv4Addr::LOCALHOST, self.broker)).context("the broker is away")?;
        for stream in [daemon, &broker] {
            stream.set_nodelay(true)?;
            lock(&self.open).push(stream.try_clone()?);
        }
        self.up.store(0, Ordering::Relaxed);
        self.down.store(0, Ordering::Relaxed);
        let plan = lock(&self.plan).take();
        let connection = self.connections.fetch_add(1, Ordering::Relaxed);
        for (way, from, to) in [(Way::Up, daemon, &broker), (Way::Down, &broker, daemon)] {
            let budget = plan.filter(|(planned, _)| *planned == way).map(|(_, bytes)| bytes);
            let (wire, from, to) = (Arc::clone(self), from.try_clone()?, to.try_clone()?);
            let carry = move || wire.carry((connection, way), from, to, budget);
            std::thread::Builder::new().name("carry".to_owned()).spawn(carry)?;
        }
        Ok(())
    }

    /// Carries bytes one way until an end is closed, or as many as planned have gone.
    fn carry(&self, (connection, way): (usize, Way), mut from: TcpStream, mut to: TcpStream, budget: Option<usize>) {
        let (mut left, mut buffer) = (budget.unwrap_or(usize::MAX), [0u8; 4096]);
        while left > 0 {
            let Ok(read) = from.read(&mut buffer) else { break };
            let carried = read.min(left);
            let bytes = buffer.get(..carried).unwrap_or_default();
            if let Some(ear) = lock(&self.ear).as_mut().filter(|_| read > 0) {
                ear.heard.push(Piece { connection, way, at: (ear.clock)(), bytes: bytes.to_vec() });
            }
            let mode = *lock(&self.mode);
            let lost = mode == Mode::Drop || (mode == Mode::HalfOpen && way == Way::Down);
            if read == 0 || (!lost && to.write_all(bytes).is_err()) {
                break;
            }
            left -= carried;
            let count = if way == Way::Up { &self.up } else { &self.down };
            count.fetch_add(carried, Ordering::Relaxed);
        }
        if left == 0 {
            self.cuts.fetch_add(1, Ordering::Relaxed);
        }
        // One that is being reset says no farewell.
        if !socket_linger(&from).is_ok_and(|linger| linger.is_some()) {
            for stream in [from, to] {
                drop(stream.shutdown(Shutdown::Both));
            }
        }
    }

    fn cut(&self, cut: Cut) {
        for stream in lock(&self.open).drain(..) {
            // It may be gone already; then there is nothing to cut.
            drop(match cut {
                Cut::Close => stream.shutdown(Shutdown::Both),
                // Only the reader wakes; when the last owner closes it, the other end gets a reset.
                Cut::Reset => set_socket_linger(&stream, Some(Duration::ZERO))
                    .map_err(std::io::Error::from)
                    .and_then(|()| stream.shutdown(Shutdown::Read)),
            });
        }
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
