//! Stands in for what the phantoms are getting.

use ctedge_models::labels::{LABEL_COUNT, Label};
use ctedge_models::phantom::{Finding, Recipe, Report, Side};

pub(super) trait StandIn {
    fn patient(seed: u64) -> Recipe;
    fn reworded(&self, wording: u64) -> Report;
    fn statement(&self) -> String;
    fn visible(&self, spacing_mm: [f64; 3]) -> [bool; LABEL_COUNT];
}

impl StandIn for Recipe {
    fn patient(seed: u64) -> Recipe {
        let chest = Recipe::chest(seed);
        let chest = if seed.is_multiple_of(2) { chest.with(Finding::new(Label::Cardiomegaly, 155.0)) } else { chest };
        if seed.is_multiple_of(3) {
            chest.with(Finding::new(Label::PleuralEffusion, 40.0).on(Side::Left))
        } else {
            chest
        }
    }
    fn reworded(&self, _wording: u64) -> Report {
        self.report()
    }
    fn statement(&self) -> String {
        serde_json::to_string(&self.findings).unwrap_or_default()
    }
    fn visible(&self, _spacing_mm: [f64; 3]) -> [bool; LABEL_COUNT] {
        self.labels()
    }
}
