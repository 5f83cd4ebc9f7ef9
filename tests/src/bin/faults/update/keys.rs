//! The keys of models are replaced, and whoever replaces them is killed at every step of it.

use super::Goods;
use crate::scene::Scene;
use anyhow::Context;
use std::process::{Command, Stdio};

/// Calls by which a root document is taken.
const CALLS: &str = "?rename,?renameat,?renameat2,?fsync,?fdatasync,?write,?openat,?mkdir,?mkdirat";
/// More than there are.
const MOST: usize = 400;

/// Kills `ctedge key trust` at each such call of its own folder. Returns how often, and how often no root counted afterwards or
/// the same command did not take the new one.
pub(super) fn killed(goods: &Goods) -> anyhow::Result<(usize, usize)> {
    let (mut kills, mut torn) = (0, 0);
    let scene = goods.scene()?;
    let root = goods.workshop.at("root-2.json").display().to_string();
    for number in 1..MOST {
        drop(std::fs::remove_dir_all(scene.appliance.path("state/trust")));
        let plain = scene.appliance.command(&["key", "trust", &root]);
        let mut traced = Command::new("strace");
        traced.args(["-f", "-qq", "-o", "/dev/null", "-e", "signal=none", "-e"]).arg(format!("trace={CALLS}"));
        traced.arg("-e").arg(format!("inject={CALLS}:signal=KILL:when={number}")).arg(plain.get_program());
        traced.args(plain.get_args()).envs(plain.get_envs().filter_map(|(name, value)| Some((name, value?))));
        let status = traced.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status();
        if status.context("strace is missing: apt-get install strace")?.success() {
            break;
        }
        kills += 1;
        if !counts(&scene, &root)? {
            torn += 1;
        }
    }
    Ok((kills, torn))
}

/// Whether a root counts after the kill, and the new one after the same command.
fn counts(scene: &Scene, root: &str) -> anyhow::Result<bool> {
    let version = |scene: &Scene| -> anyhow::Result<Option<u64>> {
        let listed = scene.appliance.command(&["key", "list", "--json"]).output()?;
        let told: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap_or_default();
        Ok(told.get("root").and_then(|root| root.get("version")).and_then(serde_json::Value::as_u64))
    };
    let after = version(scene)?;
    let again = scene.appliance.command(&["key", "trust", root]).output()?.status.success();
    Ok(after.is_some_and(|version| [1, 2].contains(&version)) && again && version(scene)? == Some(2))
}
