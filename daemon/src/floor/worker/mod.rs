//! Worker processes: what a hostile file or a hung driver can kill.
//!
//! A worker is this same binary with `worker <role>`. Its standard input is a socket that carries one JSON message a
//! packet, and with it at most one file descriptor. It reads no configuration and no command line but its limits. When
//! the supervisor dies its workers die with it. Its jail is closed in two steps: limits as soon as it begins, walls when it
//! knows what it has to reach.

pub(crate) mod calls;
pub(crate) mod jail;
pub(crate) mod memory;
pub(crate) mod scan;
pub(crate) mod shared;
pub(crate) mod walls;

#[cfg(test)]
mod tests;

use super::limits::{REAPING, WORKER_MESSAGE_BYTES};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, SocketFlags, SocketType, recvmsg, sendmsg, socketpair,
};
use rustix::process::{Pid, WaitOptions, waitpid};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::io::{self, IoSlice, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

/// What a worker may use. `None` leaves a resource to the unit's limits.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Jail {
    /// Address space in bytes.
    pub(crate) memory_bytes: Option<u64>,
    /// Processor time in seconds.
    pub(crate) cpu_s: Option<u64>,
    /// Memory that it may hold, in bytes: the supervisor looks while it waits for an answer. For workers whose drivers
    /// reserve address space beyond all measure.
    pub(crate) resident_bytes: Option<u64>,
}

/// A running worker, seen from the supervisor. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Worker {
    child: Child,
    resident_bytes: Option<u64>,
    socket: OwnedFd,
    last_words: Receiver<String>,
    end: Option<Killed>,
}

/// What became of a worker that was killed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Killed {
    /// It is gone.
    Gone,
    /// It hangs in the kernel, where no signal reaches it. It was left there, with what it holds.
    Left,
}

/// Why no answer came. The worker is dead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Lost {
    /// It died.
    #[error("the worker died")]
    Crashed,
    /// It asked for more memory than its limit.
    #[error("the worker ran out of memory")]
    Memory,
    /// It used up its processor time.
    #[error("the worker used up its processor time")]
    Cpu,
    /// It did not answer in time.
    #[error("the worker did not answer in time")]
    Time,
}

/// An answer and the descriptor that came with it.
pub(crate) type Answer<T> = (T, Option<OwnedFd>);

impl Worker {
    /// Starts this binary as a worker.
    ///
    /// # Errors
    /// The operating system starts no process.
    pub(crate) fn start(role: &str, jail: Jail, environment: &[(&str, String)]) -> io::Result<Self> {
        let (ours, theirs) = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        let mut command = Command::new(std::env::current_exe()?);
        command.args(["worker", role]);
        let limits = [("--memory-bytes", jail.memory_bytes), ("--cpu-s", jail.cpu_s)];
        for (name, limit) in limits {
            command.args(limit.map(|limit| format!("{name}={limit}")));
        }
        command.stdin(Stdio::from(theirs)).stdout(Stdio::null()).stderr(Stdio::piped());
        command.envs(environment.iter().map(|(name, value)| (*name, value.as_str())));
        // Whoever stops the daemon from a terminal means the daemon, which lets a worker finish what it is at.
        command.process_group(0);
        let mut child = command.spawn()?;
        let (sender, last_words) = sync_channel(1);
        let stderr = child.stderr.take();
        // Ends with the worker. Its words are only searched for the cause of death: they may quote a file.
        let listen = move || drop(sender.send(stderr.map(tail).unwrap_or_default()));
        std::thread::Builder::new().name("last words".to_owned()).spawn(listen)?;
        Ok(Self { child, resident_bytes: jail.resident_bytes, socket: ours, last_words, end: None })
    }

    /// Sends a request and waits for its answer.
    ///
    /// # Errors
    /// The worker died or did not answer within `within`; it is killed then.
    pub(crate) fn ask<Q: Serialize, A: DeserializeOwned>(
        &mut self,
        request: &Q,
        descriptor: Option<BorrowedFd<'_>>,
        within: Duration,
    ) -> Result<Answer<A>, Lost> {
        self.tell(request, descriptor)?;
        let answer = self.hear(within)?;
        answer.ok_or_else(|| {
            self.kill();
            Lost::Time
        })
    }

    /// Sends a request.
    ///
    /// # Errors
    /// The worker died.
    pub(crate) fn tell<Q: Serialize>(&mut self, request: &Q, descriptor: Option<BorrowedFd<'_>>) -> Result<(), Lost> {
        // What cannot be sent to a worker is no fault of whoever waits for it: it is gone, or was taken over.
        send(self.socket.as_fd(), request, descriptor).map_err(|_gone| self.bury())
    }

    /// Waits for an answer. `None` when the time is up; the worker is left alone then.
    ///
    /// # Errors
    /// The worker died.
    pub(crate) fn hear<A: DeserializeOwned>(&mut self, within: Duration) -> Result<Option<Answer<A>>, Lost> {
        match self.await_answer(within).and_then(|()| receive(self.socket.as_fd())) {
            Ok(Some(answer)) => Ok(Some(answer)),
            Err(error) if error.kind() == io::ErrorKind::TimedOut => Ok(None),
            Err(error) if error.kind() == io::ErrorKind::OutOfMemory => {
                self.kill();
                Err(Lost::Memory)
            }
            // What is no answer in our words comes from a worker that somebody else has taken over.
            Ok(None) | Err(_) => Err(self.bury()),
        }
    }

    /// Waits for an answer, and looks at the worker's memory where that is bounded.
    fn await_answer(&self, within: Duration) -> io::Result<()> {
        /// Memory is taken a page at a time: in this time a hundred MiB or so.
        const LOOK: Duration = Duration::from_millis(20);
        let Some(most) = self.resident_bytes else { return wait(self.socket.as_fd(), within) };
        let deadline = Instant::now() + within;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let waited = wait(self.socket.as_fd(), LOOK.min(left));
            // After the answer, too: a short run may have held too much between two looks.
            if memory::peak_bytes(self.id()).is_some_and(|held| held > most) {
                return Err(io::ErrorKind::OutOfMemory.into());
            }
            match waited {
                Err(error) if error.kind() == io::ErrorKind::TimedOut && left > LOOK => {}
                ended => return ended,
            }
        }
    }

    /// Whether it has not died by itself.
    pub(crate) fn is_alive(&mut self) -> bool {
        self.end.is_none() && matches!(self.child.try_wait(), Ok(None))
    }

    /// Process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Kills it and waits until it is gone, though not for ever.
    pub(crate) fn kill(&mut self) -> Killed {
        if let Some(end) = self.end {
            return end;
        }
        drop(self.child.kill());
        let deadline = Instant::now() + REAPING;
        let mut end = Killed::Left;
        while end == Killed::Left && Instant::now() < deadline {
            match self.child.try_wait() {
                Ok(None) => std::thread::sleep(Duration::from_millis(5)),
                Ok(Some(_)) | Err(_) => end = Killed::Gone,
            }
        }
        if end == Killed::Left {
            self.leave();
        }
        self.end = Some(end);
        end
    }

    /// Has a thread wait for it, so that no dead process stays behind should it ever die.
    fn leave(&self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let wait = move || waitpid(pid, WaitOptions::empty()).map(drop);
        drop(std::thread::Builder::new().name("left worker".to_owned()).spawn(wait));
    }

    /// Finds out what a dead worker died of.
    fn bury(&mut self) -> Lost {
        use std::os::unix::process::ExitStatusExt;
        /// A worker whose socket is closed is gone at once.
        const DYING: Duration = Duration::from_secs(2);
        let deadline = Instant::now() + DYING;
        while matches!(self.child.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(5));
        }
        self.kill();
        let signal = self.child.try_wait().ok().flatten().and_then(|status| status.signal());
        let words = self.last_words.recv_timeout(DYING).unwrap_or_default();
        if signal == Some(rustix::process::Signal::XCPU.as_raw()) {
            Lost::Cpu
        } else if words.contains("memory allocation of") || words.contains("Cannot allocate memory") {
            Lost::Memory
        } else {
            Lost::Crashed
        }
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Reads to the end and keeps the last few kB.
fn tail(mut from: impl Read) -> String {
    const KEPT: usize = 4096;
    let (mut kept, mut buffer) = (Vec::new(), [0u8; 1024]);
    while let Ok(read @ 1..) = from.read(&mut buffer) {
        kept.extend_from_slice(buffer.get(..read).unwrap_or_default());
        let surplus = kept.len().saturating_sub(KEPT);
        kept.drain(..surplus);
    }
    String::from_utf8_lossy(&kept).into_owned()
}

/// The worker's side of the socket.
#[derive(Debug)]
pub(crate) struct Desk(OwnedFd);

impl Desk {
    /// Takes up the work that came as standard input.
    pub(crate) fn open() -> io::Result<Self> {
        Ok(Self(io::stdin().as_fd().try_clone_to_owned()?))
    }

    /// The next request; `None` when the supervisor has gone.
    pub(crate) fn next<T: DeserializeOwned>(&self) -> io::Result<Option<Answer<T>>> {
        receive(self.0.as_fd())
    }

    /// Answers it.
    pub(crate) fn answer<T: Serialize>(&self, answer: &T, descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
        send(self.0.as_fd(), answer, descriptor)
    }
}

fn send<T: Serialize>(socket: BorrowedFd<'_>, message: &T, descriptor: Option<BorrowedFd<'_>>) -> io::Result<()> {
    let bytes = serde_json::to_vec(message)?;
    if bytes.len() > WORKER_MESSAGE_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a message larger than its limit"));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = SendAncillaryBuffer::new(&mut space);
    let descriptors = descriptor.as_slice();
    if !descriptors.is_empty() {
        ancillary.push(SendAncillaryMessage::ScmRights(descriptors));
    }
    sendmsg(socket, &[IoSlice::new(&bytes)], &mut ancillary, SendFlags::NOSIGNAL)?;
    Ok(())
}

fn receive<T: DeserializeOwned>(socket: BorrowedFd<'_>) -> io::Result<Option<Answer<T>>> {
    let mut bytes = vec![0u8; WORKER_MESSAGE_BYTES];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut ancillary = RecvAncillaryBuffer::new(&mut space);
    let received = loop {
        let flags = RecvFlags::CMSG_CLOEXEC;
        match recvmsg(socket, &mut [IoSliceMut::new(&mut bytes)], &mut ancillary, flags) {
            Err(rustix::io::Errno::INTR) => {}
            other => break other?,
        }
    };
    let descriptor = ancillary.drain().find_map(|message| {
        if let RecvAncillaryMessage::ScmRights(mut descriptors) = message { descriptors.next() } else { None }
    });
    match bytes.get(..received.bytes) {
        None | Some([]) => Ok(None),
        Some(message) => Ok(Some((serde_json::from_slice(message)?, descriptor))),
    }
}

fn wait(socket: BorrowedFd<'_>, within: Duration) -> io::Result<()> {
    let deadline = Instant::now() + within;
    loop {
        let left = Timespec::try_from(deadline.saturating_duration_since(Instant::now()));
        let left = left.map_err(|_too_long| io::Error::from(io::ErrorKind::InvalidInput))?;
        match poll(&mut [PollFd::new(&socket, PollFlags::IN)], Some(&left)) {
            Ok(0) => return Err(io::ErrorKind::TimedOut.into()),
            Ok(_) => return Ok(()),
            Err(rustix::io::Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}
