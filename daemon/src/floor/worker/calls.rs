//! The system calls that a worker does without (seccomp).
//!
//! A list of what is forbidden, not of what is allowed: allocators, thread pools and drivers call what their next version
//! pleases, and a call that is missing from a list of allowed ones would fail at the bedside first. Where files may be is
//! the matter of [`super::walls`].

use libc::c_long;
use seccompiler::{
    BpfProgram, Error, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    apply_filter, sock_filter,
};
use std::collections::BTreeMap;
use std::io;

/// What a worker is there for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Duty {
    /// Reads foreign files: no network, no other processes.
    Scan,
    /// Serves those who have called: takes calls at the door that is open, opens no other, no other processes.
    Receive,
    /// Runs the model: no network, no other program. A driver may fork itself and talk to its services over local
    /// sockets, as those of a Jetson do.
    Infer,
}

/// Nobody: other programs and their memory, the kernel, its modules, names, mounts, keys and clocks, rights. `io_uring`
/// would be a way round every rule here.
const NOBODY: &[c_long] = &[
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    libc::SYS_pidfd_getfd,
    libc::SYS_io_uring_setup,
    libc::SYS_io_uring_enter,
    libc::SYS_io_uring_register,
    libc::SYS_bpf,
    libc::SYS_perf_event_open,
    libc::SYS_userfaultfd,
    libc::SYS_keyctl,
    libc::SYS_add_key,
    libc::SYS_request_key,
    libc::SYS_unshare,
    libc::SYS_setns,
    libc::SYS_mount,
    libc::SYS_umount2,
    libc::SYS_pivot_root,
    libc::SYS_chroot,
    libc::SYS_move_mount,
    libc::SYS_open_tree,
    libc::SYS_fsopen,
    libc::SYS_fsconfig,
    libc::SYS_fsmount,
    libc::SYS_fspick,
    libc::SYS_mount_setattr,
    libc::SYS_open_by_handle_at,
    libc::SYS_fanotify_init,
    libc::SYS_quotactl,
    libc::SYS_swapon,
    libc::SYS_swapoff,
    libc::SYS_acct,
    libc::SYS_syslog,
    libc::SYS_reboot,
    libc::SYS_kexec_load,
    libc::SYS_init_module,
    libc::SYS_finit_module,
    libc::SYS_delete_module,
    libc::SYS_personality,
    libc::SYS_sethostname,
    libc::SYS_setdomainname,
    libc::SYS_settimeofday,
    libc::SYS_clock_settime,
    libc::SYS_clock_adjtime,
    libc::SYS_adjtimex,
    libc::SYS_setuid,
    libc::SYS_setgid,
    libc::SYS_setreuid,
    libc::SYS_setregid,
    libc::SYS_setresuid,
    libc::SYS_setresgid,
    libc::SYS_setfsuid,
    libc::SYS_setfsgid,
    libc::SYS_setgroups,
    libc::SYS_capset,
];

/// Whoever reads what strangers wrote: new sockets, signals to others, and what Landlock leaves open of a file that it
/// hides (its owner, mode, times and attributes).
const STRANGERS: &[c_long] = &[
    libc::SYS_socket,
    libc::SYS_socketpair,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_listen,
    libc::SYS_kill,
    libc::SYS_tkill,
    libc::SYS_rt_sigqueueinfo,
    libc::SYS_rt_tgsigqueueinfo,
    libc::SYS_pidfd_send_signal,
    libc::SYS_fchmod,
    libc::SYS_fchmodat,
    libc::SYS_fchown,
    libc::SYS_fchownat,
    libc::SYS_utimensat,
    libc::SYS_setxattr,
    libc::SYS_lsetxattr,
    libc::SYS_fsetxattr,
    libc::SYS_removexattr,
    libc::SYS_lremovexattr,
    libc::SYS_fremovexattr,
];

/// Calls of the two lists above that only this processor knows: gates to its hardware, and older forms.
#[cfg(target_arch = "x86_64")]
const OLD: (&[c_long], &[c_long]) = (
    &[libc::SYS_iopl, libc::SYS_ioperm, libc::SYS_modify_ldt, libc::SYS_kexec_file_load],
    &[
        libc::SYS_fork,
        libc::SYS_vfork,
        libc::SYS_chmod,
        libc::SYS_chown,
        libc::SYS_lchown,
        libc::SYS_utime,
        libc::SYS_utimes,
        libc::SYS_futimesat,
    ],
);
#[cfg(not(target_arch = "x86_64"))]
const OLD: (&[c_long], &[c_long]) = (&[libc::SYS_kexec_file_load], &[]);

/// Forbids the calling thread, and all threads that it starts, what its duty does without. A forbidden call comes back
/// with EPERM, so that a library which only tries goes on; a call of another architecture ends the process.
///
/// Returns why the kernel cannot, where it cannot.
///
/// # Errors
/// The rules are wrong.
pub(super) fn forbid(duty: Duty) -> io::Result<Option<String>> {
    for program in programs(duty).map_err(io::Error::other)? {
        match apply_filter(&program) {
            Ok(()) => {}
            Err(Error::Prctl(error) | Error::Seccomp(error)) => {
                return Ok(Some(format!("seccomp is not available on this kernel: {error}")));
            }
            Err(error) => return Err(io::Error::other(error)),
        }
    }
    Ok(None)
}

fn programs(duty: Duty) -> Result<Vec<BpfProgram>, Error> {
    let mut programs = vec![foreign(), compiled(rules(duty)?, libc::EPERM)?];
    if duty != Duty::Infer {
        // The flags of clone3 lie in memory, where no rule can look. Without it threads are started with clone.
        programs.push(compiled(BTreeMap::from([(libc::SYS_clone3, Vec::new())]), libc::ENOSYS)?);
    }
    Ok(programs)
}

type Rules = BTreeMap<c_long, Vec<SeccompRule>>;

fn compiled(rules: Rules, errno: i32) -> Result<BpfProgram, Error> {
    let architecture = std::env::consts::ARCH.try_into().map_err(Error::Backend)?;
    let refusal = SeccompAction::Errno(errno.unsigned_abs());
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, refusal, architecture);
    filter.and_then(TryInto::try_into).map_err(Error::Backend)
}

fn rules(duty: Duty) -> Result<Rules, Error> {
    let (nobody, strangers) = OLD;
    let mut rules: Rules = [NOBODY, nobody].concat().into_iter().map(|call| (call, Vec::new())).collect();
    // What is typed into a terminal from inside would be obeyed outside.
    rules.insert(libc::SYS_ioctl, vec![only_if(1, SeccompCmpOp::Eq, libc::TIOCSTI)?]);
    match duty {
        Duty::Scan | Duty::Receive => {
            rules.extend([STRANGERS, strangers].concat().into_iter().map(|call| (call, Vec::new())));
            // A process is what is no thread.
            let thread = u64::from(libc::CLONE_THREAD.unsigned_abs());
            rules.insert(libc::SYS_clone, vec![only_if(0, SeccompCmpOp::MaskedEq(thread), 0)?]);
        }
        Duty::Infer => {
            let local = u64::from(libc::AF_UNIX.unsigned_abs());
            rules.insert(libc::SYS_socket, vec![only_if(0, SeccompCmpOp::Ne, local)?]);
        }
    }
    if duty == Duty::Scan {
        rules.extend([libc::SYS_accept, libc::SYS_accept4].map(|call| (call, Vec::new())));
    }
    Ok(rules)
}

/// A rule that holds where an argument is so. The kernel takes 32 bits of each argument that is looked at here.
fn only_if(argument: u8, is: SeccompCmpOp, value: u64) -> Result<SeccompRule, Error> {
    let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, is, value);
    condition.and_then(|condition| SeccompRule::new(vec![condition])).map_err(Error::Backend)
}

/// Refuses the second table of calls that some x86-64 kernels offer (x32): its numbers would be on no list.
fn foreign() -> BpfProgram {
    const X32: u32 = 0x4000_0000;
    const LOAD: u16 = 0x20;
    const JUMP_IF_AT_LEAST: u16 = 0x35;
    const RETURN: u16 = 0x06;
    const REFUSE: u32 = 0x0005_0000;
    const ALLOW: u32 = 0x7fff_0000;
    let step = |code, jf, k| sock_filter { code, jt: 0, jf, k };
    let refusal = REFUSE | libc::EPERM.unsigned_abs();
    // The number is the first field of what a filter sees (seccomp(2), struct seccomp_data).
    vec![step(LOAD, 0, 0), step(JUMP_IF_AT_LEAST, 1, X32), step(RETURN, 0, refusal), step(RETURN, 0, ALLOW)]
}
