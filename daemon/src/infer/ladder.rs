//! What is done about an execution provider that hangs: a pure state machine over hung runs, boots and time.
//!
//! A hung run costs its worker. So many of them in an hour, and the provider is bad: the next one is tried. Where none is
//! left the machine is restarted, if the site allows it and not too often; else there is safe mode, in which nothing is
//! inferred and everything else goes on, until one run is tried again.
//!
//! A run that takes more memory than there is costs its worker, too. At first whatever else holds memory is let go; a provider to which
//! that happens again is left out, if there is another. The last one is never: its series fail, and say why.
//!
//! Times are ms since 1970, since they have to be told across restarts. A clock that was set back makes what it was set back
//! over count as new: that keeps the budget of restarts, whatever the clock does.

use super::Provider;
use crate::floor::limits::{MARK, REBOOT_WINDOW, REBOOTS, SAFE_REST, STARVED, WEDGE_WINDOW, WEDGES};
use crate::floor::worker::Killed;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Where a device stands with its providers. Kept in the ledger of series, so that no restart forgets it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Ladder {
    /// The run of the machine to which `wedges` and `marks` belong: its restart may have cured what they tell.
    boot: String,
    wedges: Vec<Wedge>,
    /// Bad providers, and since when they are.
    marks: BTreeMap<Provider, i64>,
    /// Runs that took more memory than there is.
    #[serde(default)]
    starved: Vec<(Provider, i64)>,
    /// Which of the bad providers are so for that.
    #[serde(default)]
    hungry: BTreeSet<Provider>,
    /// When the machine was restarted for this.
    reboots: Vec<i64>,
    stance: Stance,
}

/// A run that hung, and what became of its worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Wedge {
    provider: Provider,
    at_ms: i64,
    worker: Killed,
}

/// Whether there is inference.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Stance {
    /// By every provider that is not bad.
    #[default]
    Working,
    /// By any provider, and the next run decides.
    Probing,
    /// None, since this time.
    Safe(i64),
}

/// Whether the site allows that the machine is restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reboots {
    /// Within the budget.
    Allowed,
    /// Never.
    Off,
}

/// What is to be done next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rung {
    /// Another worker, the same provider.
    Replace,
    /// The same, and whatever else holds memory for models is let go.
    Lighten,
    /// Another worker, without this provider.
    Without(Provider),
    /// The machine is restarted; until that has happened it is in safe mode.
    Reboot,
    /// Nothing: safe mode.
    Safe,
}

impl Rung {
    /// Name in messages and logs.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Replace => "worker_replaced",
            Self::Lighten => "memory_freed",
            Self::Without(_) => "provider_bad",
            Self::Reboot => "reboot",
            Self::Safe => "safe_mode",
        }
    }
}

/// Whether `since` lies less than `span` before `now`.
fn within(span: Duration, since: i64, now_ms: i64) -> bool {
    now_ms.saturating_sub(since) < i64::try_from(span.as_millis()).unwrap_or(i64::MAX)
}

impl Ladder {
    /// The daemon starts. After a restart of the machine its providers are as good as new, and safe mode ends with a try.
    pub(crate) fn starts(&mut self, boot: &str) {
        if self.boot != boot {
            boot.clone_into(&mut self.boot);
            self.lift();
        }
    }

    /// The daemon is stopped in good order: whoever starts it again wants to see whether it works.
    pub(crate) fn stops(&mut self) {
        if matches!(self.stance, Stance::Safe(_)) {
            self.lift();
        }
    }

    /// A run hung, and its worker was killed.
    pub(crate) fn wedged(
        &mut self,
        (provider, worker): (Provider, Killed),
        configured: &[Provider],
        reboots: Reboots,
        now_ms: i64,
    ) -> Rung {
        self.wedges.retain(|wedge| within(WEDGE_WINDOW, wedge.at_ms, now_ms));
        self.wedges.push(Wedge { provider, at_ms: now_ms, worker });
        if self.stance == Stance::Probing {
            return self.none_left(reboots, now_ms);
        }
        if self.wedges.iter().filter(|wedge| wedge.provider == provider).count() < WEDGES {
            return Rung::Replace;
        }
        self.wedges.retain(|wedge| wedge.provider != provider);
        self.hungry.remove(&provider);
        self.marks.insert(provider, now_ms);
        if self.allowed(configured).is_empty() { self.none_left(reboots, now_ms) } else { Rung::Without(provider) }
    }

    /// A run took more memory than there is, and its worker is dead.
    pub(crate) fn starved(&mut self, provider: Provider, configured: &[Provider], now_ms: i64) -> Rung {
        self.starved.retain(|(_, at_ms)| within(WEDGE_WINDOW, *at_ms, now_ms));
        self.starved.push((provider, now_ms));
        if self.starved.iter().filter(|(starved, _)| *starved == provider).count() < STARVED {
            return Rung::Lighten;
        }
        // Those before it do not run the model, or it would not run here.
        let after = configured.iter().skip_while(|other| **other != provider).skip(1);
        if !after.into_iter().any(|other| !self.marks.contains_key(other)) {
            return Rung::Replace;
        }
        self.starved.retain(|(starved, _)| *starved != provider);
        self.hungry.insert(provider);
        self.marks.insert(provider, now_ms);
        Rung::Without(provider)
    }

    /// Loading hung, most of an hour perhaps, with this provider as the first to be tried: it gets no second chance.
    pub(crate) fn load_hung(
        &mut self,
        provider: Provider,
        configured: &[Provider],
        reboots: Reboots,
        now_ms: i64,
    ) -> Rung {
        self.marks.insert(provider, now_ms);
        let is_last = self.stance == Stance::Probing || self.allowed(configured).is_empty();
        if is_last { self.none_left(reboots, now_ms) } else { Rung::Without(provider) }
    }

    /// No provider is left that runs the model.
    pub(crate) fn none_left(&mut self, reboots: Reboots, now_ms: i64) -> Rung {
        self.stance = Stance::Safe(now_ms);
        self.reboots.retain(|at| within(REBOOT_WINDOW, *at, now_ms));
        if reboots == Reboots::Off || self.reboots.len() >= REBOOTS {
            return Rung::Safe;
        }
        self.reboots.push(now_ms);
        Rung::Reboot
    }

    /// A run came to an end by itself, or when it was asked to: the provider obeys.
    pub(crate) fn ran(&mut self) {
        if self.stance == Stance::Probing {
            self.stance = Stance::Working;
        }
    }

    /// Time passes: marks fade, and safe mode ends with a try.
    pub(crate) fn passes(&mut self, now_ms: i64) {
        match self.stance {
            Stance::Safe(since) if since > now_ms => self.stance = Stance::Safe(now_ms),
            Stance::Safe(since) if !within(SAFE_REST, since, now_ms) => self.lift(),
            Stance::Safe(_) => {}
            Stance::Working | Stance::Probing => {
                self.marks.retain(|_, since| within(MARK, *since, now_ms));
                self.hungry.retain(|provider| self.marks.contains_key(provider));
                self.starved.retain(|(_, at_ms)| within(WEDGE_WINDOW, *at_ms, now_ms));
                self.wedges.retain(|wedge| within(WEDGE_WINDOW, wedge.at_ms, now_ms));
            }
        }
    }

    /// Forgets what it holds against the providers. The budget of restarts stays.
    fn lift(&mut self) {
        self.wedges.clear();
        self.starved.clear();
        self.hungry.clear();
        self.marks.clear();
        if matches!(self.stance, Stance::Safe(_)) {
            self.stance = Stance::Probing;
        }
    }

    /// Those of the configured providers that may be tried.
    pub(crate) fn allowed(&self, configured: &[Provider]) -> Vec<Provider> {
        match self.stance {
            Stance::Safe(_) => Vec::new(),
            Stance::Working | Stance::Probing => {
                configured.iter().copied().filter(|provider| !self.marks.contains_key(provider)).collect()
            }
        }
    }

    /// Bad providers, and since when they are.
    pub(crate) fn marks(&self) -> &BTreeMap<Provider, i64> {
        &self.marks
    }

    /// Whether a bad provider is so because its runs took more memory than there is.
    pub(crate) fn is_hungry(&self, provider: Provider) -> bool {
        self.hungry.contains(&provider)
    }

    /// Whether there is inference.
    pub(crate) fn stance(&self) -> Stance {
        self.stance
    }

    /// Hung runs of the last hour that have marked no provider yet, and how many of their workers could not be killed.
    pub(crate) fn hung(&self) -> (usize, usize) {
        (self.wedges.len(), self.wedges.iter().filter(|wedge| wedge.worker == Killed::Left).count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [Provider; 3] = [Provider::Tensorrt, Provider::Cuda, Provider::Cpu];
    const MINUTE: i64 = 60_000;
    const HOUR: i64 = 60 * MINUTE;

    fn hang(ladder: &mut Ladder, provider: Provider, configured: &[Provider], at: i64) -> Rung {
        ladder.wedged((provider, Killed::Gone), configured, Reboots::Off, at)
    }

    #[test]
    fn three_hung_runs_in_an_hour_mark_a_provider_and_the_last_one_ends_in_safe_mode() {
        let (mut ladder, configured) = (Ladder::default(), [Provider::Cuda, Provider::Cpu]);
        ladder.starts("a");
        assert_eq!(hang(&mut ladder, Provider::Cuda, &configured, 0), Rung::Replace);
        assert_eq!(hang(&mut ladder, Provider::Cuda, &configured, 10 * MINUTE), Rung::Replace);
        // The first is more than an hour old by now.
        assert_eq!(hang(&mut ladder, Provider::Cuda, &configured, 61 * MINUTE), Rung::Replace);
        assert_eq!(hang(&mut ladder, Provider::Cuda, &configured, 62 * MINUTE), Rung::Without(Provider::Cuda));
        assert_eq!(ladder.allowed(&configured), [Provider::Cpu]);
        for minute in 63..65 {
            assert_eq!(hang(&mut ladder, Provider::Cpu, &configured, minute * MINUTE), Rung::Replace);
        }
        assert_eq!(hang(&mut ladder, Provider::Cpu, &configured, 65 * MINUTE), Rung::Safe);
        assert_eq!(ladder.allowed(&configured), []);
        // It is kept, and a restart of the daemon alone changes nothing.
        let mut kept: Ladder = serde_json::from_str(&serde_json::to_string(&ladder).unwrap()).unwrap();
        kept.starts("a");
        assert_eq!(kept, ladder);
    }

    fn safe() -> Ladder {
        let mut ladder = Ladder::default();
        ladder.starts("a");
        ladder.none_left(Reboots::Off, 0);
        ladder
    }

    #[test]
    fn safe_mode_ends_with_one_run_that_decides() {
        let mut rested = safe();
        rested.passes(HOUR - 1);
        assert_eq!(rested.stance(), Stance::Safe(0));
        rested.passes(HOUR);
        let mut restarted = safe();
        restarted.starts("b");
        let mut stopped = safe();
        stopped.stops();
        for mut ladder in [rested, restarted, stopped] {
            assert_eq!((ladder.stance(), ladder.allowed(&ALL)), (Stance::Probing, ALL.to_vec()));
            let mut again = ladder.clone();
            assert_eq!(hang(&mut again, Provider::Cpu, &ALL, 2 * HOUR), Rung::Safe, "one is enough");
            ladder.ran();
            assert_eq!(ladder.stance(), Stance::Working);
        }
    }

    #[test]
    fn the_machine_is_restarted_twice_a_day_at_most_and_then_there_is_safe_mode() {
        let mut ladder = safe();
        for (boot, rung) in [("b", Rung::Reboot), ("c", Rung::Reboot), ("d", Rung::Safe)] {
            ladder.starts(boot);
            let hung = (Provider::Cuda, Killed::Left);
            assert_eq!(ladder.wedged(hung, &ALL, Reboots::Allowed, HOUR), rung, "{boot}");
        }
        ladder.starts("e");
        assert_eq!(ladder.wedged((Provider::Cuda, Killed::Gone), &ALL, Reboots::Allowed, 25 * HOUR), Rung::Reboot);
    }

    #[test]
    fn a_mark_fades_after_a_day() {
        let mut ladder = Ladder::default();
        for minute in 0..3 {
            hang(&mut ladder, Provider::Cuda, &ALL, minute * MINUTE);
        }
        assert_eq!(ladder.marks().len(), 1);
        ladder.passes(24 * HOUR + MINUTE);
        assert_eq!(ladder.marks().len(), 1);
        ladder.passes(24 * HOUR + 2 * MINUTE);
        assert_eq!((ladder.marks().len(), ladder.stance()), (0, Stance::Working));
    }

    #[test]
    fn want_of_memory_leaves_a_provider_out_and_never_the_last() {
        let (mut ladder, configured) = (Ladder::default(), [Provider::Cuda, Provider::Cpu]);
        ladder.starts("a");
        assert_eq!(ladder.starved(Provider::Cuda, &configured, 0), Rung::Lighten);
        assert_eq!(ladder.starved(Provider::Cuda, &configured, 2 * HOUR), Rung::Lighten, "the first is forgotten");
        assert_eq!(ladder.starved(Provider::Cuda, &configured, 2 * HOUR), Rung::Without(Provider::Cuda));
        assert!(ladder.is_hungry(Provider::Cuda) && ladder.allowed(&configured) == [Provider::Cpu]);
        for rung in [Rung::Lighten, Rung::Replace, Rung::Replace] {
            assert_eq!(ladder.starved(Provider::Cpu, &configured, 2 * HOUR), rung);
        }
        assert_eq!((ladder.stance(), ladder.allowed(&configured)), (Stance::Working, vec![Provider::Cpu]));
        let mut behind = Ladder::default();
        for rung in [Rung::Lighten, Rung::Replace, Rung::Replace] {
            assert_eq!(behind.starved(Provider::Cpu, &ALL, 0), rung, "those before it were passed over");
        }
        ladder.passes(27 * HOUR);
        assert!(!ladder.is_hungry(Provider::Cuda) && ladder.allowed(&configured) == configured);
    }

    /// What can happen to a ladder.
    #[derive(Debug, Clone)]
    enum Step {
        Starve(usize),
        Hang(usize),
        LoadHangs,
        NoneLeft,
        Ran,
        Passes(i64),
        Starts(u8),
        Stops,
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0usize..3).prop_map(Step::Hang),
            2 => (0usize..3).prop_map(Step::Starve),
            1 => Just(Step::LoadHangs),
            1 => Just(Step::NoneLeft),
            1 => Just(Step::Ran),
            3 => (0i64..3 * HOUR).prop_map(Step::Passes),
            1 => (0u8..4).prop_map(Step::Starts),
            1 => Just(Step::Stops),
        ];
        prop::collection::vec(step, 0..80)
    }

    proptest! {
        #[test]
        fn whatever_happens_the_budgets_hold(steps in steps(), off in any::<bool>(), count in 1usize..4) {
            let configured = &ALL[..count];
            let reboots = if off { Reboots::Off } else { Reboots::Allowed };
            let (mut ladder, mut now, mut rebooted) = (Ladder::default(), 0, Vec::<i64>::new());
            for step in steps {
                let before = ladder.clone();
                let rung = match step {
                    Step::Hang(which) => {
                        let allowed = ladder.allowed(configured);
                        let Some(&provider) = allowed.get(which % allowed.len().max(1)) else { continue };
                        let rung = ladder.wedged((provider, Killed::Gone), configured, reboots, now);
                        if let Rung::Without(bad) = rung {
                            prop_assert!(bad == provider && !ladder.allowed(configured).contains(&bad));
                        }
                        Some(rung)
                    }
                    Step::Starve(which) => {
                        let allowed = ladder.allowed(configured);
                        let Some(&provider) = allowed.get(which % allowed.len().max(1)) else { continue };
                        let rung = ladder.starved(provider, configured, now);
                        prop_assert!(!ladder.allowed(configured).is_empty(), "want of memory is no safe mode");
                        Some(rung)
                    }
                    Step::LoadHangs => {
                        let Some(first) = ladder.allowed(configured).first().copied() else { continue };
                        let rung = ladder.load_hung(first, configured, reboots, now);
                        prop_assert!(!ladder.allowed(configured).contains(&first));
                        Some(rung)
                    }
                    Step::NoneLeft => Some(ladder.none_left(reboots, now)),
                    Step::Ran => { ladder.ran(); None }
                    Step::Passes(ms) => { now += ms; ladder.passes(now); None }
                    Step::Starts(boot) => { ladder.starts(&boot.to_string()); None }
                    Step::Stops => { ladder.stops(); None }
                };
                let is_safe = matches!(ladder.stance(), Stance::Safe(_));
                prop_assert_eq!(is_safe, ladder.allowed(configured).is_empty(), "{:?}", ladder);
                match rung {
                    Some(Rung::Reboot) => { prop_assert!(!off && is_safe); rebooted.push(now); }
                    Some(Rung::Safe) => prop_assert!(is_safe),
                    Some(Rung::Replace | Rung::Lighten | Rung::Without(_)) => prop_assert!(!is_safe),
                    None => {}
                }
                prop_assert!(rebooted.iter().filter(|at| now - **at < 24 * HOUR).count() <= REBOOTS);
                for provider in ALL {
                    let hung = ladder.wedges.iter().filter(|wedge| wedge.provider == provider).count();
                    prop_assert!(hung < WEDGES || is_safe, "{:?} after {:?}", ladder, before);
                }
                let kept: Ladder = serde_json::from_str(&serde_json::to_string(&ladder).unwrap()).unwrap();
                prop_assert_eq!(&kept, &ladder);
            }
        }
    }
}
