//! What the walls forbid is tried from inside, by a copy of this test binary, and from outside, where the same works.

use super::calls::Duty;
use super::walls::{self, Reach};
use super::{Jail, jail, shared};
use std::env;
use std::fs::{self, File, Permissions};
use std::io;
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// How an attempt ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum End {
    Done,
    Failed(i32),
}

impl End {
    fn is_refusal(self) -> bool {
        [libc::EPERM, libc::EACCES].map(Self::Failed).contains(&self)
    }
}

/// What an attempt finds: `inside/read`, `inside/write`, `outside/file`, a listener of each kind.
struct Ground {
    folder: tempfile::TempDir,
    tcp: TcpListener,
    _unix: UnixListener,
}

impl Ground {
    fn new() -> Self {
        let folder = tempfile::Builder::new().prefix("walls").tempdir_in("/var/tmp").unwrap();
        let at = |name: &str| folder.path().join(name);
        for name in ["read", "write", "outside"] {
            fs::create_dir(at(name)).unwrap();
            fs::write(at(name).join("file"), b"bytes").unwrap();
        }
        let unix = UnixListener::bind(at("read").join("socket")).unwrap();
        Self { tcp: TcpListener::bind("127.0.0.1:0").unwrap(), _unix: unix, folder }
    }

    /// Has a copy of this binary try something, walled in for a duty or not at all.
    fn end(&self, duty: Option<Duty>, attempt: &str) -> End {
        let mut command = Command::new(env::current_exe().unwrap());
        command.args(["--exact", "floor::worker::tests::attempt", "--ignored", "--nocapture", "--test-threads=1"]);
        command.env("ATTEMPT", attempt).env("GROUND", self.folder.path());
        command.env("DUTY", duty.map(|duty| format!("{duty:?}")).unwrap_or_default());
        command.env("PORT", self.tcp.local_addr().unwrap().port().to_string());
        let output = command.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let said = text.split("<end ").nth(1).and_then(|rest| rest.split('>').next());
        match said.map(|number| number.parse().unwrap()) {
            Some(0) => End::Done,
            Some(number) => End::Failed(number),
            // It has become the program that it ran.
            None if attempt == "exec" && output.status.success() => End::Done,
            None => panic!("{attempt} as {duty:?} came to no end: {text}{}", String::from_utf8_lossy(&output.stderr)),
        }
    }

    /// Each is refused inside and works outside.
    fn refused(&self, duty: Duty, attempts: &[&str]) {
        for attempt in attempts {
            assert_eq!(self.end(None, attempt), End::Done, "{attempt}, outside");
            let end = self.end(Some(duty), attempt);
            assert!(end.is_refusal(), "{attempt} as {duty:?}: {end:?}");
        }
    }

    /// Each is refused inside; outside the kernel looks at its empty arguments, and says something else.
    fn calls_refused(&self, duty: Duty) {
        for attempt in CALLS.map(|(name, _, _)| name) {
            let end = self.end(None, attempt);
            assert!(!end.is_refusal(), "{attempt}, outside: {end:?}");
            assert_eq!(self.end(Some(duty), attempt), End::Failed(libc::EPERM), "{attempt} as {duty:?}");
        }
    }

    /// Each works inside.
    fn allowed(&self, duty: Duty, attempts: &[&str]) {
        for attempt in attempts {
            assert_eq!(self.end(Some(duty), attempt), End::Done, "{attempt} as {duty:?}");
        }
    }
}

/// `PTRACE_ATTACH`, to nobody. To be traced by its parent would leave a thread behind that the parent must fetch.
const ATTACH: i64 = 16;

/// Calls that do no harm with one argument at most, even to a machine whose walls have a hole.
const CALLS: [(&str, i64, i64); 9] = [
    ("ptrace", libc::SYS_ptrace, ATTACH),
    ("process_vm_readv", libc::SYS_process_vm_readv, 0),
    ("pidfd_getfd", libc::SYS_pidfd_getfd, 0),
    ("mount", libc::SYS_mount, 0),
    ("unshare", libc::SYS_unshare, 0),
    ("setns", libc::SYS_setns, 0),
    ("keyctl", libc::SYS_keyctl, 0),
    ("execveat", libc::SYS_execveat, 0),
    // On x86-64 a call of the second table.
    ("beyond the table", 0x4000_0000 | libc::SYS_getpid, 0),
];

fn call(number: i64, first: i64) -> io::Result<()> {
    #[expect(unsafe_code, reason = "a system call by its number")]
    // SAFETY: its arguments are numbers and null pointers, which the kernel checks.
    let end = unsafe { libc::syscall(number, first, 0i64, 0i64, 0i64, 0i64, 0i64) };
    if end < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn fork() -> io::Result<()> {
    #[expect(unsafe_code, reason = "a process by fork")]
    // SAFETY: the child does nothing but end.
    let child = unsafe {
        let child = libc::fork();
        if child == 0 {
            libc::_exit(0);
        }
        child
    };
    if child < 0 { Err(io::Error::last_os_error()) } else { Ok(()) }
}

fn attempted(attempt: &str, ground: &Path) -> io::Result<()> {
    let port = env::var("PORT").unwrap().parse().unwrap();
    let at = |name: &str| ground.join(name);
    match attempt {
        "read inside" => fs::read(at("read/file")).map(drop),
        "list inside" => fs::read_dir(at("read")).map(drop),
        "read outside" => fs::read(at("outside/file")).map(drop),
        "list outside" => fs::read_dir(at("outside")).map(drop),
        "read by a link" => {
            symlink(at("outside/file"), at("read/link")).or(Ok(())).and_then(|()| fs::read(at("read/link")).map(drop))
        }
        "read an account" => fs::read("/etc/passwd").map(drop),
        "write outside" => fs::write(at("outside/new"), b"x"),
        "append outside" => File::options().append(true).open(at("outside/file")).map(drop),
        "truncate outside" => fs::write(at("outside/file"), b""),
        "remove outside" => fs::write(at("outside/old"), b"")
            .or(Ok(()))
            .and_then(|()| fs::remove_file(at("outside/file")).and_then(|()| fs::write(at("outside/file"), b"bytes"))),
        "change a mode outside" => fs::set_permissions(at("outside/file"), Permissions::from_mode(0o600)),
        "write where only reading" => fs::write(at("read/new"), b"x"),
        "make a link" => symlink("/etc/passwd", at("write").join(std::process::id().to_string())),
        "write inside" => fs::write(at("write/new"), b"x"),
        "move and remove inside" => {
            fs::write(at("write/one"), b"x")?;
            super::super::durable::rename(&at("write/one"), &at("write/two"))?;
            fs::remove_file(at("write/two"))
        }
        "folder in a cache" => fs::create_dir(at("write").join(std::process::id().to_string())),
        "connect" => TcpStream::connect(("127.0.0.1", port)).map(drop),
        "listen" => TcpListener::bind("127.0.0.1:0").map(drop),
        "datagram" => UdpSocket::bind("127.0.0.1:0").map(drop),
        "local socket" => UnixStream::connect(at("read/socket")).map(drop),
        "pair" => UnixStream::pair().map(drop),
        "run" => Command::new("/bin/true").status().map(drop),
        "exec" => Err(Command::new("/bin/true").exec()),
        "fork" => fork(),
        "signal" => call(libc::SYS_kill, i64::from(std::os::unix::process::parent_id())),
        "threads" => {
            let start = |number: u64| std::thread::Builder::new().spawn(move || number * number);
            let started = (1..=4).map(start).collect::<io::Result<Vec<_>>>()?;
            assert_eq!(started.into_iter().map(|thread| thread.join().unwrap()).sum::<u64>(), 30);
            Ok(())
        }
        "memory" => {
            let mut filling = shared::Filling::new(64 << 20)?;
            filling.as_mut::<i16>()[7] = 7;
            let sealed = shared::Sealed::open(filling.seal()?)?;
            assert_eq!(sealed.as_slice::<i16>()[7], 7);
            Ok(())
        }
        "device" => File::options().write(true).open("/dev/null").map(drop),
        name => {
            let (_, number, first) = CALLS.into_iter().find(|(call, _, _)| *call == name).unwrap();
            call(number, first)
        }
    }
}

#[test]
#[ignore = "the other tests run it, in a process of its own"]
fn attempt() {
    let ground = PathBuf::from(env::var_os("GROUND").unwrap());
    let duty = match env::var("DUTY").unwrap().as_str() {
        "Scan" => Some(Duty::Scan),
        "Receive" => Some(Duty::Receive),
        "Infer" => Some(Duty::Infer),
        _outside => None,
    };
    if let Some(duty) = duty {
        let read = if duty == Duty::Infer { PathBuf::from("/") } else { ground.join("read") };
        let devices = if duty == Duty::Infer { vec!["/dev".into()] } else { Vec::new() };
        jail::enter(Jail::default()).unwrap();
        let reach = Reach { read: vec![read], write: vec![ground.join("write")], devices };
        assert_eq!(walls::close(duty, &reach).unwrap().lacking, Vec::<String>::new());
    }
    let number =
        attempted(&env::var("ATTEMPT").unwrap(), &ground).map_or_else(|error| error.raw_os_error(), |()| Some(0));
    #[expect(clippy::print_stdout, reason = "read by the test that runs this one")]
    {
        println!("<end {}>", number.unwrap());
    }
}

const FILES: [&str; 4] = ["write outside", "append outside", "truncate outside", "remove outside"];
const READING: [&str; 4] = ["read outside", "list outside", "read by a link", "read an account"];
const NETWORK: [&str; 3] = ["connect", "listen", "datagram"];
const STRANGERS: [&str; 7] =
    ["fork", "signal", "pair", "local socket", "make a link", "change a mode outside", "write where only reading"];
const WORK: [&str; 5] = ["read inside", "list inside", "write inside", "threads", "memory"];

#[test]
fn who_reads_foreign_files_reaches_nothing_else() {
    let ground = Ground::new();
    ground.allowed(Duty::Scan, &WORK);
    ground.refused(Duty::Scan, &[&FILES[..], &READING, &NETWORK, &STRANGERS, &["run", "exec", "device"]].concat());
    ground.calls_refused(Duty::Scan);
}

#[test]
fn who_serves_callers_reaches_its_folder_only() {
    let ground = Ground::new();
    ground.allowed(Duty::Receive, &[&WORK[..], &["move and remove inside"]].concat());
    ground.refused(Duty::Receive, &[&FILES[..], &READING, &NETWORK, &STRANGERS, &["run", "exec", "device"]].concat());
    ground.calls_refused(Duty::Receive);
}

#[test]
fn who_runs_the_model_has_no_network_runs_nothing_and_writes_caches_only() {
    let ground = Ground::new();
    let drivers = ["read outside", "local socket", "pair", "folder in a cache", "device", "fork"];
    ground.allowed(Duty::Infer, &[&WORK[..], &drivers, &["move and remove inside"]].concat());
    ground.refused(Duty::Infer, &[&FILES[..], &NETWORK, &["run", "exec", "write where only reading"]].concat());
    ground.calls_refused(Duty::Infer);
}

#[test]
fn no_memory_is_dumped_and_nobody_of_the_same_user_looks_in() {
    use rustix::process::{DumpableBehavior, Resource, dumpable_behavior, getrlimit};
    jail::no_dumps().unwrap();
    assert_eq!(dumpable_behavior().unwrap(), DumpableBehavior::NotDumpable);
    assert_eq!(getrlimit(Resource::Core).maximum, Some(0));
}
