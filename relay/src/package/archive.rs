//! The artifact of a directory: the same files give the same bytes, on any machine, at any time.

use flate2::write::GzEncoder;
use flate2::{Compression, GzBuilder};
use ggen_shared::limits;
use tar::{Builder, EntryType, Header};

use super::ggen::read_bounded;
use super::tree::File;
use super::{Error, MAX_UNPACKED_BYTES};

/// The compressor's level is part of the format, and so is the compressor: flate2's default one, in Rust. A test holds an
/// artifact's hash, so that an update that changes the bytes is noticed.
const LEVEL: Compression = Compression::best();
/// Gzip's number for a file made nowhere in particular.
const UNKNOWN_SYSTEM: u8 = 255;

/// Puts files into a `.tar.gz`, below one directory, as `.crate` files have it. They must be sorted.
pub(super) fn build(root: &str, files: &[File]) -> Result<Vec<u8>, Error> {
    let broken = |source| Error::Archive { file: format!("{root}.tar.gz"), source };
    let too_large = |what, limit| Error::TooLarge { file: root.into(), what, limit };
    let gzip = GzBuilder::new().mtime(0).operating_system(UNKNOWN_SYSTEM).write(Vec::new(), LEVEL);
    let mut tar = Builder::new(gzip);
    let mut unpacked = 0;
    for file in files {
        let left = MAX_UNPACKED_BYTES - unpacked;
        // A file may have grown since it was listed: what is read now counts, for the header and for the bound.
        let Some(bytes) = read_bounded(file, left)? else {
            return Err(too_large("bytes of all files together", MAX_UNPACKED_BYTES));
        };
        unpacked += bytes.len() as u64;
        let mut header = header(file.executable, bytes.len() as u64);
        tar.append_data(&mut header, format!("{root}/{}", file.path), &bytes[..]).map_err(broken)?;
        check_size(tar.get_ref(), too_large)?;
    }
    let gzip = tar.into_inner().map_err(broken)?;
    let archive = gzip.finish().map_err(broken)?;
    if archive.len() as u64 > limits::MAX_ARTIFACT_BYTES {
        return Err(too_large("bytes of the packed package", limits::MAX_ARTIFACT_BYTES));
    }
    Ok(archive)
}

/// Everything of a header that is not the file's is fixed: owner, group, time, device.
fn header(executable: bool, size: u64) -> Header {
    let mut header = Header::new_gnu();
    header.set_entry_type(EntryType::Regular);
    header.set_mode(if executable { 0o755 } else { 0o644 });
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_size(size);
    header
}

fn check_size(gzip: &GzEncoder<Vec<u8>>, too_large: impl Fn(&'static str, u64) -> Error) -> Result<(), Error> {
    if gzip.get_ref().len() as u64 > limits::MAX_ARTIFACT_BYTES {
        return Err(too_large("bytes of the packed package", limits::MAX_ARTIFACT_BYTES));
    }
    Ok(())
}
