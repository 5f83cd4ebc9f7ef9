//! The wire is cut after every single byte of a whole exchange, from the daemon's first byte to the broker's answer to the
//! acknowledged receipt of a result, on both ways.

use super::{CONTROL, RECEIPTS, Stand, control};
use crate::delivery::proxy::{Cut, Way};
use crate::sample::{Sample, side_by_side};
use crate::scene::PATIENCE;
use anyhow::{Context, ensure};
use ctedge_tests::process;
use ctedge_tests::progress::{Elapsed, say};
use std::time::Duration;

/// Cuts on one stand; another begins with a fresh ledger.
const ON_ONE_STAND: usize = 60;
/// How long a connection may take to carry the byte that it is cut after. Numbers in the messages grow, and lengths with
/// them: the last bytes of the longest exchange may never come.
const CARRIED: Duration = Duration::from_secs(4);

/// Cuts after bytes of a sample; all of them if it says so.
pub(crate) fn run(sample: &Sample, clock: &Elapsed) -> anyhow::Result<bool> {
    let (up, down) = exchange()?;
    let all = |way, bytes: usize| (1..=bytes).map(move |byte| (way, byte));
    let bytes: Vec<(Way, usize)> = all(Way::Up, up).chain(all(Way::Down, down)).collect();
    let chosen = sample.of(&bytes);
    let told = format!(
        "wire: cut after {} single bytes of an exchange of {up} up and {down} down, seed {}",
        chosen.len(),
        sample.seed
    );
    clock.say(&told);
    let stands: Vec<&[(Way, usize)]> = chosen.chunks(ON_ONE_STAND).collect();
    let ends = side_by_side(&stands, sample.jobs, |cuts| {
        let (cut, breaches) = play(cuts)?;
        for breach in &breaches {
            clock.say(&format!("FAIL {breach}, cut after bytes {:?} to {:?}", cuts.first(), cuts.last()));
        }
        Ok((cut, breaches.len()))
    })?;
    let cut: usize = ends.iter().map(|(cut, _)| cut).sum();
    let broken: usize = ends.iter().map(|(_, broken)| broken).sum();
    clock.say(&format!("{told}: {cut} connections were cut, {} series, {broken} breaches", chosen.len()));
    let found = control(clock)?;
    // Some at the very end of an exchange may come too late for it, the more the busier the machine is.
    let held = broken == 0 && found && cut * 100 >= chosen.len() * 90;
    say(if held { "PASS" } else { "FAIL" });
    Ok(held)
}

/// Bytes up and down of a whole exchange: a connection, the state of the device, a result and its receipt.
fn exchange() -> anyhow::Result<(usize, usize)> {
    let mut stand = Stand::at(&std::env::temp_dir(), &RECEIPTS)?;
    stand.proxy.cut(Cut::Close);
    stand.feed()?;
    let breaches = stand.breaches()?;
    ensure!(breaches.is_empty(), "{breaches:?}");
    // The last acknowledgement is on its way.
    std::thread::sleep(Duration::from_millis(300));
    let (up, down) = stand.proxy.carried();
    ensure!(up > 500 && down > 50, "only {up} bytes went up and {down} down");
    Ok((up, down))
}

/// One series for each cut. Returns how many connections were cut where they should be, and what is wrong in the end.
fn play(cuts: &[(Way, usize)]) -> anyhow::Result<(usize, Vec<String>)> {
    let mut stand = Stand::at(&std::env::temp_dir(), &RECEIPTS)?;
    for (way, byte) in cuts {
        let before = stand.proxy.planned_cuts();
        stand.proxy.cut_next_after(*way, *byte);
        stand.feed()?;
        stand.proxy.cut(Cut::Close);
        process::wait_until(CARRIED, || {
            let cut = stand.proxy.planned_cuts() > before;
            if !cut {
                stand.receipt()?;
            }
            Ok(cut)
        })?;
        stand.proxy.spare_next();
        // The next connection is a whole one: a daemon that never gets through waits longer and longer between attempts.
        process::wait_until(PATIENCE, || Ok(stand.told().len() == stand.dropped))?;
    }
    let cut = stand.proxy.planned_cuts();
    let breaches = stand.breaches_after(PATIENCE + CONTROL).context("after cuts of the wire")?;
    Ok((cut, breaches))
}
