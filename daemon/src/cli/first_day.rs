//! `ctedge doctor --first-day`: what a device is, before it is trusted: kernel, libraries, power, temperatures, each provider.
//!
//! Every look takes the root of a filesystem, so that a test can show it a device that is not there.

use super::doctor::Check;
use crate::config::Config;
use crate::floor::power::{self, line};
use crate::infer::{Inference, Provider};
use crate::pipeline;
use std::fs;
use std::path::Path;

/// Where libraries of graphics processors lie.
const LIBRARIES: [&str; 7] = [
    "usr/lib/aarch64-linux-gnu",
    "usr/lib/aarch64-linux-gnu/nvidia",
    "usr/lib/aarch64-linux-gnu/tegra",
    "usr/lib/x86_64-linux-gnu",
    "usr/lib64",
    "usr/local/cuda/lib64",
    "usr/local/lib",
];

/// All of it.
pub(super) fn checks(config: &Config) -> Vec<Check> {
    let root = Path::new("/");
    let check = |name, result| Check { name, result };
    let mut checks = vec![
        check("device", Ok(device(root))),
        check("kernel", Ok(line(root, "proc/sys/kernel/osrelease").unwrap_or_default())),
        check("power mode", power_mode(root)),
        check("clocks", Ok(power::clocks(root).unwrap_or_else(|| "the kernel does not tell".to_owned()))),
        check("sensors", sensors(root)),
        check("time", time(root)),
    ];
    if config.infer.providers.iter().any(|provider| *provider != Provider::Cpu) {
        checks.push(check("GPU nodes", nodes(root)));
        checks.push(check("GPU libraries", libraries(root, &config.infer.providers)));
    }
    checks.extend(config.infer.providers.iter().map(|&provider| alone(config, provider)));
    checks
}

/// What it calls itself.
fn device(root: &Path) -> String {
    let model = line(root, "proc/device-tree/model");
    let told = [model, line(root, "etc/nv_tegra_release"), line(root, "proc/driver/nvidia/version")];
    let told: Vec<String> = told.into_iter().flatten().collect();
    let what = if told.is_empty() { "no Jetson, and no NVIDIA driver".to_owned() } else { told.join("; ") };
    format!("{}: {what}", std::env::consts::ARCH)
}

/// The power mode, and where more is told of it.
fn power_mode(root: &Path) -> Result<String, String> {
    let mode = power::mode(root)?;
    Ok(mode.map_or_else(
        || "none: nvpmodel is not here".to_owned(),
        |mode| format!("{mode}; `nvpmodel -q` tells what it allows"),
    ))
}

/// Whether there are sensors that say when it is too hot.
fn sensors(root: &Path) -> Result<String, String> {
    let zones = fs::read_dir(root.join("sys/class/thermal")).into_iter().flatten().flatten().map(|entry| entry.path());
    let zones = zones.filter(|zone| zone.join("temp").is_file());
    let told: Vec<(String, i32, bool)> = zones
        .filter_map(|zone| {
            let celsius = line(&zone, "temp")?.parse::<i32>().ok()? / 1000;
            Some((line(&zone, "type")?, celsius, zone.join("trip_point_0_temp").is_file()))
        })
        .collect();
    let Some((hottest, celsius, _)) = told.iter().max_by_key(|(_, celsius, _)| *celsius) else {
        return Err("none: nothing tells when this device is too hot".to_owned());
    };
    let tripping = told.iter().filter(|(_, _, trips)| *trips).count();
    Ok(format!("{}, {tripping} of them with trip points; the hottest is {hottest} with {celsius} °C", told.len()))
}

/// Whether the clock is set by others.
fn time(root: &Path) -> Result<String, String> {
    let synchronised = ["run/systemd/timesync/synchronized", "run/chrony/chronyd.pid", "run/ntpd.pid"];
    match synchronised.into_iter().find(|path| root.join(path).exists()) {
        Some(path) => Ok(format!("kept by a server (/{path})")),
        None => Err("no server keeps the clock: results carry this device's own time".to_owned()),
    }
}

/// Whether the nodes of a graphics processor are there.
fn nodes(root: &Path) -> Result<String, String> {
    let found = fs::read_dir(root.join("dev")).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let named = found.filter_map(|name| name.into_string().ok()).filter(|name| name.starts_with("nv"));
    let mut named: Vec<String> = named.filter(|name| !name.starts_with("nvme") && name != "nvram").collect();
    named.sort();
    if named.is_empty() {
        return Err("none below /dev: no driver of NVIDIA's runs".to_owned());
    }
    Ok(format!("{}; the unit's drop-in jetson-gpu.conf must list what CUDA opens", named.join(", ")))
}

/// Whether the libraries lie where the loader looks.
fn libraries(root: &Path, providers: &[Provider]) -> Result<String, String> {
    let mut wanted = vec!["libcuda.so", "libcudart.so", "libcudnn.so"];
    wanted.extend(providers.contains(&Provider::Tensorrt).then_some("libnvinfer.so"));
    let folders = LIBRARIES.map(|folder| root.join(folder));
    let find = |name: &str| {
        let files = folders.iter().flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten());
        let named = files.filter_map(|file| file.file_name().into_string().ok());
        named.filter(|file| file.starts_with(name)).max_by_key(String::len)
    };
    let (found, missing): (Vec<_>, Vec<_>) =
        wanted.into_iter().map(|name| find(name).ok_or(name)).partition(Result::is_ok);
    let missing: Vec<&str> = missing.into_iter().filter_map(Result::err).collect();
    if missing.is_empty() {
        return Ok(found.into_iter().flatten().collect::<Vec<_>>().join(", "));
    }
    Err(format!(
        "{} not found in the usual places; infer.library and cross/README.md tell which it takes",
        missing.join(", ")
    ))
}

/// The model on one provider alone.
fn alone(config: &Config, provider: Provider) -> Check {
    let mut setup = config.setup(pipeline::bundle_of(config));
    setup.settings.providers = vec![provider];
    let name = match provider {
        Provider::Tensorrt => "on TensorRT",
        Provider::Cuda => "on CUDA",
        Provider::Cpu => "on the processor",
    };
    let result = match Inference::start(&setup) {
        Ok(inference) => {
            Ok(format!("golden volume within {:.1e} of the trainer's", inference.model().golden_difference))
        }
        Err(error) => Err(error.reason),
    };
    Check { name, result }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tempfile::TempDir;

    fn device_of(files: &[(&str, &str)]) -> TempDir {
        let root = tempfile::tempdir().unwrap();
        for (path, text) in files {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        root
    }

    #[test]
    fn a_jetson_tells_what_it_is() {
        let root = device_of(&[
            ("proc/device-tree/model", "NVIDIA Jetson Orin Nano Developer Kit\0"),
            ("etc/nv_tegra_release", "# R36 (release), REVISION: 4.3\n"),
            ("var/lib/nvpmodel/status", "pmode:0002\n"),
            ("sys/class/thermal/thermal_zone0/temp", "48500"),
            ("sys/class/thermal/thermal_zone0/type", "cpu-thermal"),
            ("sys/class/thermal/thermal_zone0/trip_point_0_temp", "99000"),
            ("run/systemd/timesync/synchronized", ""),
            ("dev/nvmap", ""),
            ("dev/nvme0n1", ""),
            ("usr/lib/aarch64-linux-gnu/nvidia/libcuda.so.1.1", ""),
            ("usr/local/cuda/lib64/libcudart.so.12", ""),
            ("usr/lib/aarch64-linux-gnu/libcudnn.so.9", ""),
        ]);
        let root = root.path();
        assert!(device(root).contains("Orin Nano Developer Kit; # R36"), "{}", device(root));
        assert!(power_mode(root).unwrap().starts_with("2 (without a name);"));
        assert_eq!(sensors(root).unwrap(), "1, 1 of them with trip points; the hottest is cpu-thermal with 48 °C");
        assert!(time(root).is_ok());
        assert!(nodes(root).unwrap().starts_with("nvmap;"));
        assert_eq!(libraries(root, &[Provider::Cuda]).unwrap(), "libcuda.so.1.1, libcudart.so.12, libcudnn.so.9");
        assert!(libraries(root, &[Provider::Tensorrt]).unwrap_err().starts_with("libnvinfer.so not found"));
    }

    #[test]
    fn what_is_not_there_is_said() {
        let root = device_of(&[]);
        let root = root.path();
        assert!(device(root).contains("no Jetson"));
        assert!(power_mode(root).unwrap().contains("not here"));
        assert!(sensors(root).is_err() && time(root).is_err() && nodes(root).is_err());
        assert!(libraries(root, &[Provider::Cuda]).unwrap_err().contains("libcuda.so, libcudart.so, libcudnn.so"));
    }
}
