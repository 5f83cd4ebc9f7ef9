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
