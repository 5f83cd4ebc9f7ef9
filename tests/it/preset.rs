//! The catalog's experiment with other values.

use ctedge_tests::place;

/// The catalog's experiment, changed by lines of TOML `path.to.key = value`; each value takes the place of the old one whole.
pub(crate) fn changed(lines: &[&str]) -> toml::Table {
    let preset = place::root().join("models/catalog/scale-vlp-tiny/experiment.toml");
    let mut table: toml::Table = std::fs::read_to_string(preset).unwrap().parse().unwrap();
    for line in lines {
        let (path, value) = line.split_once(" = ").unwrap();
        let value: toml::Table = format!("value = {value}").parse().unwrap();
        let names: Vec<&str> = path.split('.').collect();
        let (last, sections) = names.split_last().unwrap();
        let section = sections.iter().fold(&mut table, |table, name| table[*name].as_table_mut().unwrap());
        section.insert((*last).to_owned(), value["value"].clone());
    }
    table
}

/// What makes the catalog's experiment small.
const SMALL: [&str; 13] = [
    "data = { corpus = { phantoms = { count = 24, seed = 1 } }, validation_share = 0.2, test_share = 0.0 }",
    "input.grid.spacing = { size = [16, 32, 32], spacing_mm = [20.0, 12.0, 12.0] }",
    "vision.dim = 24",
    "vision.depth = 1",
    "vision.places = 2",
    "text.dim = 24",
    "text.depth = 1",
    "text.vocabulary = 256",
    "text.max_tokens = 64",
    "decoder.dim = 24",
    "decoder.depth = 2",
    "decoder.max_tokens = 96",
    "export = { precision = \"f32\" }",
];

/// The catalog's experiment made small, with this line for `training`.
pub(crate) fn small(training: &str) -> toml::Table {
    changed(&[&SMALL, [training].as_slice()].concat())
}
