//! Nothing breaks: models change on a box that is busy, and no series is lost, misnamed or made to wait.

use ctedge_tests::busy::{self, Course, Step, Wait};
use ctedge_tests::progress::{Elapsed, say};
use std::time::Duration;

/// How often a series comes.
const EVERY: Duration = Duration::from_millis(150);
/// What the machine may take beside: a stopwatch of milliseconds, and two cores on which others run as well.
const ALLOWANCE_MS: u64 = 50;

/// Plays it once, and holds every series against what the box shows in the same run while nothing changes.
pub(crate) fn run(clock: &Elapsed) -> anyhow::Result<bool> {
    let course = busy::play(EVERY)?;
    let (breaches, waits) = (course.breaches(), course.waits());
    for breach in &breaches {
        clock.say(&format!("FAIL {breach}"));
    }
    let of = |step: Step| waits.iter().filter(move |wait| wait.step == step);
    let longest = |step: Step| of(step).map(|wait| wait.waited_ms).max().unwrap_or_default();
    let run = waits.iter().map(|wait| wait.run_ms).max().unwrap_or_default();
    let bar = longest(Step::Calm) + run + ALLOWANCE_MS;
    let steps = [Step::Shadow, Step::Activate, Step::Install, Step::Rollback, Step::Staged];
    let told: Vec<String> = steps.iter().map(|step| format!("{step:?} {} ms", longest(*step))).collect();
    let is_late = |wait: &&Wait| steps.contains(&wait.step) && wait.waited_ms > bar;
    let late = waits.iter().filter(is_late).count();
    let (sent, loss, calm) = (course.sent(), longest(Step::Loss), longest(Step::Calm));
    let found = [loss > bar, is_found(course)];
    let words = found.map(|found| if found { "found" } else { "NOT found" });
    clock.say(&format!(
        "busy: {sent} series, one each {} ms: {} breaches; longest wait while nothing changes {calm} ms, longest run {run} ms, bar \
         {bar} ms; {}: {late} over the bar; control: a model that is loaded while series wait, {loss} ms, {}, a lost result and a \
         wrong name {}",
        EVERY.as_millis(),
        breaches.len(),
        told.join(", "),
        words[0],
        words[1],
    ));
    let held = breaches.is_empty() && late == 0 && found == [true, true];
    say(if held { "PASS" } else { "FAIL" });
    Ok(held)
}

/// Whether a result that is taken away, and then a change that comes too late, are found.
fn is_found(course: Course) -> bool {
    let late = course.with_a_late_change();
    let misnamed = late.breaches().iter().any(|breach| breach.contains(" names "));
    misnamed && late.without_a_result().breaches().iter().any(|breach| breach.contains("no result has the number"))
}
