//! The service as an operator installs it, under a systemd that has booted: whether its unit keeps what it promises.
//!
//! In a container of systemd-nspawn, or with `--machine` in a virtual machine, with a Debian of its own and no network but loopback: the
//! package is installed, the guest (`tests/service/guest.sh`) drops a series, kills, hangs and misconfigures the daemon, attempts what the unit forbids, once inside
//! it and once beside it, puts in a newer package, and purges it.

mod machine;

use anyhow::{Context, ensure};
use clap::Parser;
use ctedge_tests::progress::{Elapsed, say};
use ctedge_tests::{appliance, package, phantom, place, process, runtime, stage};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

/// What the guest's Debian has besides the least.
const PACKAGES: &str = "systemd,systemd-sysv,dbus,mosquitto,mosquitto-clients,python3,acl";
/// What a machine has besides that.
const OF_A_MACHINE: &str = "linux-image-cloud-amd64,udev,kmod";
/// Seconds after which the guest is lost; a machine that is emulated is slow.
const PATIENCE: &str = "420";
const PATIENCE_WITH_A_MACHINE: &str = "1800";
/// Most exposure that `systemd-analyze security` may find, times ten: of the unit, and with the drop-in for a graphics processor.
const EXPOSURE: [(&str, &[&str], &str); 2] =
    [("alone", &[], "15"), ("with jetson-gpu.conf", &["ctedge.service.d/jetson-gpu.conf"], "20")];

/// Runs the installed service under systemd.
#[derive(Debug, Parser)]
struct Arguments {
    /// The package, in place of one that `cross/build.sh` makes of a program without optimisation
    #[arg(long)]
    package: Option<PathBuf>,
    /// Boot a virtual machine with a kernel of its own, in place of a container
    #[arg(long)]
    machine: bool,
}

fn main() -> ExitCode {
    stage::ended("service", service(&Arguments::parse()))
}

fn service(arguments: &Arguments) -> anyhow::Result<bool> {
    let clock = Elapsed::new();
    ensure!(rustix::process::geteuid().is_root(), "a container needs root: run this with sudo");
    let package = match &arguments.package {
        Some(package) => package.clone(),
        None => package::debian("amd64", Some(&appliance::binary()?))?,
    };
    let folder = place::target().join("service");
    let exposed = analyzed(&folder.join("analyzed"))?;
    let root = if arguments.machine {
        debian(&folder.join("machine"), &format!("{PACKAGES},{OF_A_MACHINE}"), &clock)?
    } else {
        debian(&folder, PACKAGES, &clock)?
    };
    furnish(&root)?;
    install(&root, &package)?;
    let mut verify = Command::new("systemd-analyze");
    verify.args(["verify", "--man=no", "--recursive-errors=yes", "--root"]).arg(&root).arg("ctedge.service");
    process::output(&mut verify)?;
    clock.say("booting");
    if arguments.machine {
        let out = machine::boot(&root, &folder.join("machine"), PATIENCE_WITH_A_MACHINE)?;
        clock.say("switched off");
        return Ok(exposed & checked(&out)? & probed(&out)?);
    }
    let mut boot = Command::new("timeout");
    boot.args([PATIENCE, "systemd-nspawn", "--register=no", "--keep-unit", "--boot", "--link-journal=no"]);
    process::output(boot.args(["--private-network", "--directory"]).arg(&root))?;
    clock.say("switched off");
    Ok(exposed & checked(&root)? & probed(&root)?)
}

/// Whether systemd's own critic is content with the unit.
fn analyzed(folder: &Path) -> anyhow::Result<bool> {
    let units = place::root().join("systemd");
    let mut content = true;
    for (name, drop_ins, most) in EXPOSURE {
        let copy = folder.join(name);
        fs::create_dir_all(copy.join("ctedge.service.d"))?;
        for file in ["ctedge.service"].iter().chain(drop_ins) {
            fs::copy(units.join(file), copy.join(file))?;
        }
        let mut critic = Command::new("systemd-analyze");
        critic.args(["security", "--offline=true", "--no-pager", "--threshold", most]).arg(copy.join("ctedge.service"));
        let told = critic.output()?;
        let text = String::from_utf8_lossy(&told.stdout);
        say(&format!("unit {name}: {}", text.lines().last().unwrap_or_default()));
        content &= told.status.success();
    }
    Ok(content)
}

/// A Debian of its own, kept for the next time; what a run changes goes with the run.
fn debian(folder: &Path, packages: &str, clock: &Elapsed) -> anyhow::Result<PathBuf> {
    let (kept, root) = (folder.join("debian"), folder.join("root"));
    if !kept.join("ready").exists() {
        clock.say("getting a Debian by debootstrap (about 300 MB)");
        let mut get = Command::new("debootstrap");
        get.args(["--variant=minbase", "--include", packages, "bookworm"]).arg(kept.join("root"));
        process::output(&mut get)?;
        fs::write(kept.join("ready"), "")?;
    }
    process::output(Command::new("rm").args(["--recursive", "--force"]).arg(&root))?;
    process::output(Command::new("cp").arg("-a").arg(kept.join("root")).arg(&root))?;
    Ok(root)
}

/// Installs the package as an operator does, and lays a newer one ready.
fn install(root: &Path, package: &Path) -> anyhow::Result<()> {
    let (now, newer) = (root.join("opt/ctedge.deb"), root.join("opt/newer"));
    fs::copy(package, &now)?;
    process::output(Command::new("dpkg-deb").arg("--raw-extract").args([&now, &newer]))?;
    let control = newer.join("DEBIAN/control");
    let text = fs::read_to_string(&control)?;
    let risen = text.lines().map(|line| if line.starts_with("Version: ") { "Version: 99-1" } else { line });
    fs::write(&control, risen.collect::<Vec<_>>().join("\n") + "\n")?;
    process::output(Command::new("dpkg-deb").args(["--build", "-Znone"]).arg(&newer).arg(root.join("opt/newer.deb")))?;
    fs::remove_dir_all(&newer)?;
    let told = process::output(Command::new("chroot").arg(root).args(["dpkg", "--install", "/opt/ctedge.deb"]))?;
    say(&told);
    Ok(())
}

/// Puts in place what the service needs beside its package, and what the guest needs to try it.
fn furnish(root: &Path) -> anyhow::Result<()> {
    let (project, at) = (place::root(), |path: &str| root.join(path));
    let copy = |from: &Path, to: &str, mode: u32| {
        let to = at(to);
        fs::create_dir_all(to.parent().context("a folder")?)?;
        fs::copy(from, &to).with_context(|| from.display().to_string())?;
        fs::set_permissions(&to, fs::Permissions::from_mode(mode))?;
        anyhow::Ok(())
    };
    copy(&project.join("tests/service/probe.py"), "opt/probe.py", 0o644)?;
    copy(&project.join("tests/service/guest.sh"), "opt/guest.sh", 0o755)?;
    copy(&runtime::library()?, "usr/local/lib/libonnxruntime.so", 0o755)?;
    let bundle = place::reference_bundle()?;
    copy(&bundle, "var/lib/ctedge/model.ctb", 0o644)?;
    copy(&bundle.with_added_extension("minisig"), "var/lib/ctedge/model.ctb.minisig", 0o644)?;
    copy(&place::reference_key()?, "etc/ctedge/trust/demo.pub", 0o644)?;
    let files: [(&str, &str); 7] = [
        ("etc/ctedge/config.toml", CONFIG),
        ("etc/ctedge/conf.d/10-site.toml", "series.quiet_s = 2.0\n"),
        ("etc/ctedge/mqtt-password", "secret"),
        ("etc/systemd/system/ctedge.service.d/credentials.conf", CREDENTIALS),
        ("etc/mosquitto/conf.d/test.conf", BROKER),
        ("etc/systemd/system/guest.service", GUEST),
        ("etc/mosquitto/users", USERS),
    ];
    for (path, text) in files {
        let path = at(path);
        fs::create_dir_all(path.parent().context("a folder")?)?;
        fs::write(&path, text)?;
    }
    fs::set_permissions(at("etc/ctedge/mqtt-password"), fs::Permissions::from_mode(0o600))?;
    symlink("../guest.service", at("etc/systemd/system/multi-user.target.wants/guest.service"))?;
    phantom::write(&at("opt/scan")).map(drop)
}

/// How full the disk of the host is must not matter.
const CONFIG: &str = "[disk]\nleast_mib = 16\nmost_mib = 16\n[mqtt]\nhost = \"127.0.0.1\"\nusername = \"device\"\n\
    password_file = \"/run/credentials/ctedge.service/mqtt-password\"\n";
const CREDENTIALS: &str = "[Service]\nLoadCredential=mqtt-password:/etc/ctedge/mqtt-password\n";
const BROKER: &str = "listener 1883 127.0.0.1\nallow_anonymous false\npassword_file /etc/mosquitto/users\n";
/// The guest has Mosquitto's own program put them into its form.
const USERS: &str = "device:secret\nreader:secret\n";
const GUEST: &str = "[Unit]\nAfter=mosquitto.service\n[Service]\nType=oneshot\nTimeoutStartSec=1700\n\
    ExecStartPre=/usr/bin/mosquitto_passwd -U /etc/mosquitto/users\nExecStartPre=/usr/bin/systemctl restart mosquitto\n\
    ExecStart=/opt/guest.sh\nExecStopPost=/usr/bin/systemctl poweroff\n";

/// Whether every check of the guest holds.
fn checked(root: &Path) -> anyhow::Result<bool> {
    let said = fs::read_to_string(root.join("opt/said")).context("the guest said nothing")?;
    say(&said);
    let good = said.lines().filter(|line| line.starts_with("ok ")).count();
    let whole = said.ends_with("end\n") && good + 1 == said.lines().count();
    if !whole {
        say(&fs::read_to_string(root.join("opt/log")).unwrap_or_default());
    }
    say(&format!("checks: {good} of {}", said.lines().count().saturating_sub(1)));
    Ok(whole)
}

/// Whether each attempt is refused inside the unit and possible beside it.
fn probed(root: &Path) -> anyhow::Result<bool> {
    let read = |name: &str| -> anyhow::Result<BTreeMap<String, String>> {
        let path = root.join("opt").join(name);
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let told: Value = serde_json::from_str(&text).with_context(|| text.clone())?;
        Ok(serde_json::from_value(told)?)
    };
    let (inside, outside) = (read("inside")?, read("outside")?);
    let mut good = inside.len() == outside.len() && !inside.is_empty();
    for (name, told) in &inside {
        let control = outside.get(name).map_or("", String::as_str);
        let held = told.starts_with("refused") && control == "done";
        say(&format!("{} {name}: {told}; without the unit: {control}", if held { "ok" } else { "FAIL" }));
        good &= held;
    }
    Ok(good)
}
