//! The worker process: listens, gives each caller a thread, and tells the supervisor how it goes.

use super::keep::{Answer, Request, Taking, Tally};
use super::socket::{self, Socket};
use super::store::StoreError;
use super::{Order, association, store};
use crate::floor::worker::Desk;
use crate::floor::worker::calls::Duty;
use crate::floor::worker::walls::{self, Reach};
use rustls::ServerConfig;
use std::io;
use std::net::{IpAddr, Shutdown, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::Builder;
use std::time::Duration;

/// Callers without a seat: they have not said yet what they want, or are leaving. One more, and the one that came first is
/// sent away: a caller that means it speaks at once, and whoever is silent must not stand in its way.
const STANDING: usize = 32;
/// Stack of a caller's thread.
const STACK: usize = 512 << 10;

/// Works until the supervisor goes.
pub(crate) fn work() -> io::Result<()> {
    let desk = Desk::open()?;
    let (tally, is_full) = (Arc::default(), Arc::default());
    while let Some((request, _)) = desk.next::<Request>()? {
        let answer = match request {
            Request::Open(order) => match open(*order, &tally, &is_full) {
                Ok(()) => Answer::Open,
                Err(reason) => Answer::Failed { reason },
            },
            Request::Tell(taking) => {
                is_full.store(taking == Taking::Nothing, Ordering::Relaxed);
                Answer::Told(std::mem::take(&mut *lock(&tally)))
            }
        };
        desk.answer(&answer, None)?;
    }
    Ok(())
}

fn open(order: Order, tally: &Arc<Mutex<Tally>>, is_full: &Arc<AtomicBool>) -> Result<(), String> {
    let listen = order.settings.listen.ok_or_else(|| "receive.listen is not set".to_owned())?;
    let tls = order.settings.tls.as_ref().map(socket::secured).transpose()?;
    store::sweep(&order.incoming).map_err(|error| format!("the drop folder: {}", error.kind()))?;
    let listener = TcpListener::bind(listen).map_err(|error| format!("{listen}: {}", error.kind()))?;
    // From here on nothing but the drop folder is reached, and no other door is opened.
    let folder = vec![order.incoming.clone()];
    let reach = Reach { read: folder.clone(), write: folder, ..Reach::default() };
    walls::close(Duty::Receive, &reach).map_err(|error| format!("the worker's walls: {error}"))?;
    let (tally, is_full) = (Arc::clone(tally), Arc::clone(is_full));
    let hall = Hall { order, tls, tally, is_full, callers: Mutex::default() };
    let hall = Arc::new(hall);
    let started = Builder::new().name("door".to_owned()).spawn(move || hall.open(&listener));
    started.map(drop).map_err(|error| error.to_string())
}

/// What all callers share.
#[derive(Debug)]
pub(super) struct Hall {
    pub(super) order: Order,
    tls: Option<Arc<ServerConfig>>,
    tally: Arc<Mutex<Tally>>,
    /// Whether the supervisor says that the disk is too full.
    is_full: Arc<AtomicBool>,
    callers: Mutex<Callers>,
}

#[derive(Debug, Default)]
struct Callers {
    /// Number of the newest one.
    newest: u64,
    /// In the order in which they came.
    present: Vec<Caller>,
}

#[derive(Debug)]
struct Caller {
    number: u64,
    stream: TcpStream,
    is_seated: bool,
}

impl Hall {
    fn open(self: &Arc<Self>, listener: &TcpListener) {
        /// Pause when the system gives no connection, thread or descriptor: others will end.
        const BREATH: Duration = Duration::from_millis(50);
        loop {
            if listener.accept().and_then(|(stream, from)| self.greet(stream, from.ip())).is_err() {
                std::thread::sleep(BREATH);
            }
        }
    }

    /// Gives a caller a thread of its own.
    fn greet(self: &Arc<Self>, stream: TcpStream, from: IpAddr) -> io::Result<()> {
        let number = self.enter(stream.try_clone()?);
        let hall = Arc::clone(self);
        let serve = move || {
            let place = Place { hall: &hall, number };
            let socket = Socket::new(stream, hall.tls.as_ref()).map_err(association::Broken::Connection);
            if let Err(broken) = socket.and_then(|socket| association::serve(&hall, socket, from, &place)) {
                let mut tally = hall.tally();
                tally.broken += 1;
                tally.breach = Some(broken.to_string());
            }
        };
        let started = Builder::new().name("caller".to_owned()).stack_size(STACK).spawn(serve);
        if started.is_err() {
            drop(Place { hall: self, number });
        }
        started.map(drop)
    }

    fn enter(&self, stream: TcpStream) -> u64 {
        let mut callers = lock(&self.callers);
        callers.newest += 1;
        let number = callers.newest;
        callers.present.push(Caller { number, stream, is_seated: false });
        let standing = callers.present.iter().filter(|caller| !caller.is_seated).count();
        if standing > STANDING
            && let Some(first) = callers.present.iter().find(|caller| !caller.is_seated)
        {
            // Its thread finds the connection ended, and goes.
            drop(first.stream.shutdown(Shutdown::Both));
            let first = first.number;
            callers.present.retain(|caller| caller.number != first);
        }
        number
    }

    /// Whether data sets can be taken.
    pub(super) fn has_room(&self) -> Result<(), StoreError> {
        if self.is_full.load(Ordering::Relaxed) { Err(StoreError::NoRoom) } else { Ok(()) }
    }

    pub(super) fn tally(&self) -> MutexGuard<'_, Tally> {
        lock(&self.tally)
    }
}

/// A caller's place in the hall, until its thread ends.
#[derive(Debug)]
pub(super) struct Place<'a> {
    hall: &'a Hall,
    number: u64,
}

impl Place<'_> {
    /// Takes a seat, if one is free: from now on nobody sends it away.
    pub(super) fn sit(&self) -> bool {
        let mut callers = lock(&self.hall.callers);
        let seated = callers.present.iter().filter(|caller| caller.is_seated).count();
        let own = callers.present.iter_mut().find(|caller| caller.number == self.number);
        own.filter(|_| seated < self.hall.order.settings.associations).map(|own| own.is_seated = true).is_some()
    }

    /// Leaves its seat to others.
    pub(super) fn rise(&self) {
        let mut callers = lock(&self.hall.callers);
        callers.present.iter_mut().filter(|caller| caller.number == self.number).for_each(|own| own.is_seated = false);
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        lock(&self.hall.callers).present.retain(|caller| caller.number != self.number);
    }
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
