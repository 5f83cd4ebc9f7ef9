//! Restarts of the machine, as far as the daemon can tell: it is killed, and started again with another boot id, which is
//! mounted over the kernel's for it alone.

use crate::scene::Scene;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;

/// From its next start on the daemon finds itself in this run of the machine.
pub(crate) fn boot(scene: &Scene, number: usize) -> anyhow::Result<()> {
    let (id, program) = (scene.trace("boot-id"), scene.trace("boot.sh"));
    fs::write(&id, format!("00000000-0000-4000-8000-{number:012}\n"))?;
    let script = format!("#!/bin/sh\nmount --bind '{}' /proc/sys/kernel/random/boot_id && exec \"$@\"\n", id.display());
    fs::write(&program, script)?;
    fs::set_permissions(&program, Permissions::from_mode(0o755))?;
    scene.traced(&format!("unshare -m {}", program.display()))
}
