//! What we write is what other people's readers take it for.

use crate::geometry::compared;
use ctedge_models::phantom::Recipe;
use ctedge_models::scan::write;
use ctedge_tests::phantom;
use ctedge_tests::process;
use std::process::Command;

#[test]
fn a_written_series_is_valid_dicom_and_lies_where_dcm2niix_says() {
    let folder = tempfile::tempdir().unwrap();
    let files = phantom::write(folder.path()).unwrap();
    println!("{}", compared(folder.path()).trim());
    for file in [files.first().unwrap(), files.last().unwrap()] {
        let dump = process::output(Command::new("dcmdump").arg(file)).unwrap();
        assert!(dump.contains("=CTImageStorage") && dump.contains("PHANTOM^SYNTHETIC"), "{dump}");
        // It talks on its standard error; its exit status tells whether there was an error.
        let judged = Command::new("dciodvfy").arg(file).output().unwrap();
        let said = String::from_utf8_lossy(&judged.stderr);
        let faults: Vec<&str> = said.lines().filter(|line| line.starts_with("Error")).collect();
        assert!(judged.status.success() && faults.is_empty(), "{faults:#?}");
        assert!(said.contains("CTImage"), "validated as what it is: {said}");
    }
}

#[test]
fn a_written_nifti_file_lies_where_nibabel_says() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("phantom.nii.gz");
    write::nifti(&Recipe::chest(8).volume().unwrap(), &path).unwrap();
    println!("{}", compared(&path).trim());
}
