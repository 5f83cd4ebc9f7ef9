#![expect(clippy::as_conversions, reason = "small counts")]

use super::*;
use std::collections::BTreeMap;
use std::fs;

fn tarred(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = ::tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = ::tar::Header::new_ustar();
        header.set_size(content.len() as u64);
        archive.append_data(&mut header, name, *content).unwrap();
    }
    archive.into_inner().unwrap()
}

/// What becomes of an archive: contents by number, and what was left out.
fn unpacked(bytes: &[u8], limits: &Limits) -> Result<(BTreeMap<String, Vec<u8>>, usize), Reason> {
    let folder = tempfile::tempdir().unwrap();
    let (path, into) = (folder.path().join("archive"), folder.path().join("into"));
    fs::write(&path, bytes).unwrap();
    fs::create_dir(&into).unwrap();
    let unpacked = unpack(&path, &into, limits).map_err(|error| error.reason)?;
    let entries = fs::read_dir(into).unwrap().map(|entry| entry.unwrap());
    let files: BTreeMap<_, _> =
        entries.map(|entry| (entry.file_name().into_string().unwrap(), fs::read(entry.path()).unwrap())).collect();
    assert_eq!(files.len(), unpacked.members);
    Ok((files, unpacked.left_out))
}

const FILES: [(&str, &[u8]); 3] = [("b", b"second"), ("a", b""), ("c", &[7; 2000])];

#[test]
fn members_of_a_tar_come_in_order_however_it_is_packed() {
    use flate2::{Compression, write::GzEncoder};
    let plain = tarred(&FILES);
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&plain).unwrap();
    let zstd = zstd::encode_all(plain.as_slice(), 1).unwrap();
    for bytes in [plain, gzip.finish().unwrap(), zstd] {
        let (files, left_out) = unpacked(&bytes, &Limits::default()).unwrap();
        let expected = [("00000001", b"second".to_vec()), ("00000002", vec![7; 2000])];
        assert_eq!(files, expected.map(|(name, content)| (name.to_owned(), content)).into());
        assert_eq!(left_out, 1);
    }
}

#[test]
fn each_limit_refuses() {
    let bytes = tarred(&FILES);
    let refused = |limits: Limits| unpacked(&bytes, &limits).unwrap_err();
    assert_eq!(refused(Limits { files: 1, ..Limits::default() }), Reason::LimitExceeded);
    assert_eq!(refused(Limits { file_bytes: 1999, ..Limits::default() }), Reason::LimitExceeded);
    assert_eq!(refused(Limits { archive_bytes: 2005, ..Limits::default() }), Reason::LimitExceeded);
    let just = Limits { files: 2, file_bytes: 2000, archive_bytes: bytes.len() as u64, ..Limits::default() };
    assert!(unpacked(&bytes, &just).is_ok());
    let folders = vec![("d", b"".as_slice()); 6];
    assert_eq!(
        unpacked(&tarred(&folders), &Limits { files: 1, ..Limits::default() }).unwrap_err(),
        Reason::LimitExceeded
    );
    let zeros = zstd::encode_all(tarred(&[("z", &vec![0; 1 << 22])]).as_slice(), 1).unwrap();
    assert_eq!(unpacked(&zeros, &Limits::default()).unwrap_err(), Reason::LimitExceeded, "a ratio that no scan has");
}

#[test]
fn a_tar_that_is_cut_off_anywhere_is_refused() {
    let bytes = tarred(&FILES);
    for length in (512..bytes.len() - 1024).step_by(100) {
        assert_eq!(unpacked(&bytes[..length], &Limits::default()).unwrap_err(), Reason::Truncated, "{length}");
    }
}
