//! How much power a device may take and how fast it may run, as its own tools and the kernel tell, below the root of a filesystem.

use std::fs;
use std::path::{Path, PathBuf};

/// First line of a file, without what surrounds it.
pub(crate) fn line(root: &Path, path: impl AsRef<Path>) -> Option<String> {
    let text = fs::read_to_string(root.join(path)).ok()?;
    text.lines().next().map(|line| line.trim_matches('\0').trim().to_owned())
}

/// The power mode that a Jetson's `nvpmodel` has set, with its name: `2 (MAXN_SUPER)`; `None` where there is no such thing.
///
/// # Errors
/// It tells no number.
pub(crate) fn mode(root: &Path) -> Result<Option<String>, String> {
    let Some(status) = line(root, "var/lib/nvpmodel/status") else { return Ok(None) };
    let digits = status.chars().skip_while(|letter| !letter.is_ascii_digit()).take_while(char::is_ascii_digit);
    let id: u32 = digits.collect::<String>().parse().map_err(|_no_number| format!("nvpmodel tells {status:?}"))?;
    let modes = fs::read_to_string(root.join("etc/nvpmodel.conf")).unwrap_or_default();
    let name = modes.lines().find_map(|line| {
        let (_, rest) = line.split_once("POWER_MODEL ID=")?;
        let (found, rest) = rest.split_once(" NAME=")?;
        (found.trim().parse() == Ok(id)).then(|| rest.trim_end_matches(['>', ' ']).to_owned())
    });
    Ok(Some(format!("{id} ({})", name.unwrap_or_else(|| "without a name".to_owned()))))
}

/// How fast the processor's cores may run. One that `jetson_clocks` has set is locked at its highest.
pub(crate) fn clocks(root: &Path) -> Option<String> {
    let folder = root.join("sys/devices/system/cpu/cpufreq");
    let mut policies: Vec<PathBuf> =
        fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    policies.sort();
    let told = policies.iter().filter_map(|policy| {
        let mhz = |name: &str| Some(line(policy, name)?.parse::<u64>().ok()? / 1000);
        let (least, most, can) = (mhz("scaling_min_freq")?, mhz("scaling_max_freq")?, mhz("cpuinfo_max_freq")?);
        let governor = line(policy, "scaling_governor")?;
        Some(if least == can {
            format!("locked at {can} MHz")
        } else {
            format!("{governor}, {least} to {most} of {can} MHz")
        })
    });
    let mut told: Vec<String> = told.collect();
    told.dedup();
    (!told.is_empty()).then(|| told.join("; "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jetson_tells_its_power_mode_and_its_clocks() {
        let root = tempfile::tempdir().unwrap();
        let write = |path: &str, text: &str| {
            let path = root.path().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        assert_eq!((mode(root.path()), clocks(root.path())), (Ok(None), None));
        write("var/lib/nvpmodel/status", "pmode:0002\n");
        assert_eq!(mode(root.path()).unwrap().unwrap(), "2 (without a name)");
        write("etc/nvpmodel.conf", "< POWER_MODEL ID=0 NAME=15W >\nx\n< POWER_MODEL ID=2 NAME=MAXN_SUPER >\n");
        assert_eq!(mode(root.path()).unwrap().unwrap(), "2 (MAXN_SUPER)");
        write("var/lib/nvpmodel/status", "broken\n");
        assert!(mode(root.path()).unwrap_err().contains("broken"));

        for (name, value) in
            [("scaling_min_freq", "729600"), ("scaling_max_freq", "1728000"), ("cpuinfo_max_freq", "1728000")]
        {
            write(&format!("sys/devices/system/cpu/cpufreq/policy0/{name}"), value);
        }
        write("sys/devices/system/cpu/cpufreq/policy0/scaling_governor", "schedutil");
        assert_eq!(clocks(root.path()).unwrap(), "schedutil, 729 to 1728 of 1728 MHz");
        write("sys/devices/system/cpu/cpufreq/policy0/scaling_min_freq", "1728000");
        assert_eq!(clocks(root.path()).unwrap(), "locked at 1728 MHz");
    }
}
