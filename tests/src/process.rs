//! Child processes that end with their owner, and waiting without guessing.

use anyhow::{Context, bail, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// How often a condition is looked at.
const LOOK: Duration = Duration::from_millis(20);

/// A child process that is killed when its owner goes.
#[derive(Debug)]
pub struct Running {
    child: Child,
    name: String,
}

impl Running {
    /// Starts a program.
    pub fn start(command: &mut Command) -> anyhow::Result<Self> {
        let name = command.get_program().to_string_lossy().into_owned();
        let child = command.spawn().with_context(|| format!("starting {name}"))?;
        Ok(Self { child, name })
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The child itself, e.g. for its pipes.
    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// An error if it has ended by itself.
    pub fn check(&mut self) -> anyhow::Result<()> {
        match self.child.try_wait()? {
            Some(status) => bail!("{} ended by itself: {status}", self.name),
            None => Ok(()),
        }
    }

    /// Kills it at once (SIGKILL) and waits until it is gone.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to stop (SIGTERM) and waits until it has.
    pub fn stop(mut self, patience: Duration) -> anyhow::Result<()> {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw).context("a process id")?;
        kill_process(pid, Signal::TERM)?;
        let ended = wait_until(patience, || Ok(self.child.try_wait()?.is_some()))?;
        ensure!(ended, "{} did not stop within {patience:?}", self.name);
        Ok(())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may be gone already; then there is nothing to kill.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// Looks at a condition until it holds (true) or the time is up (false).
pub fn wait_until(patience: Duration, mut holds: impl FnMut() -> anyhow::Result<bool>) -> anyhow::Result<bool> {
    let start = Instant::now();
    loop {
        if holds()? {
            return Ok(true);
        }
        if start.elapsed() > patience {
            return Ok(false);
        }
        std::thread::sleep(LOOK);
    }
}

/// A TCP port on the loopback address that nobody listens on.
pub fn free_port() -> anyhow::Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port())
}

/// Waits until somebody listens on a loopback port.
pub fn wait_for_port(port: u16, patience: Duration) -> anyhow::Result<()> {
    let open = wait_until(patience, || Ok(TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok()))?;
    ensure!(open, "nobody listens on port {port} after {patience:?}");
    Ok(())
}

/// Runs a program to its end and returns its standard output; an error carries its standard error.
pub fn output(command: &mut Command) -> anyhow::Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let done = command.stdin(Stdio::null()).output().with_context(|| format!("running {name}"))?;
    let complaint = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "{name}: {}\n{complaint}", done.status);
    Ok(String::from_utf8_lossy(&done.stdout).into_owned())
}

/// Whether the search path has a program of this name.
pub fn on_path(program: &str) -> bool {
    let folders = std::env::var_os("PATH").unwrap_or_default();
    // Debian keeps daemons such as mosquitto in sbin, which an ordinary user's search path may lack.
    let sbin = [Path::new("/usr/sbin").to_path_buf(), Path::new("/usr/local/sbin").to_path_buf()];
    std::env::split_paths(&folders).chain(sbin).any(|folder| folder.join(program).is_file())
}
