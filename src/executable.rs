//! Which build of the program runs: evidence that is recorded with each job.
//!
//! The identity of a step is made of what its code says. What that code calls and does not list can change all the
//! same, and then so does the executable. It is known by the build id that the linker put into it or, where there is
//! none, by its content hash, which is remembered in the state folder.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use rowmark_hashing::{ContentHash, par_hash_reader};
use rowmark_metastore::Build;
use rowmark_readers::FileHashes;

use crate::error::BoxError;

/// The most bytes of notes, or of load commands, that are looked through.
const NOTES_BYTES_MAX: u64 = 64 * 1024;

/// The build that runs, if its executable can be read.
pub(crate) fn running_build(hashes: Option<&FileHashes>) -> Option<Build> {
    let path = executable()?;
    let executable = match known_by(&path, hashes) {
        Ok(executable) => executable,
        Err(error) => {
            tracing::warn!(path = %path.display(), "the running program cannot be read: {error}");
            return None;
        }
    };
    let (compiler, target) = (env!("ROWMARK_COMPILER").to_owned(), env!("ROWMARK_TARGET").to_owned());
    Some(Build { executable, compiler, target })
}

/// The file that runs. Where it was removed or replaced since, Linux still gives it.
fn executable() -> Option<PathBuf> {
    let of_system = || Some(PathBuf::from("/proc/self/exe")).filter(|link| link.exists());
    std::env::current_exe().ok().filter(|path| path.exists()).or_else(of_system)
}

fn known_by(path: &Path, hashes: Option<&FileHashes>) -> Result<String, BoxError> {
    if let Some(id) = linker_id(&mut File::open(path)?)? {
        let id: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
        return Ok(format!("build id {id}"));
    }
    let content: ContentHash = match hashes {
        Some(hashes) => hashes.hash_file(path)?,
        None => par_hash_reader(File::open(path)?)?,
    };
    Ok(format!("content {content}"))
}

/// The id that the linker gave: the GNU build id of an ELF file, the UUID of a Mach-O file, both of 64 bits and little
/// endian. Any other file has none that is looked for.
fn linker_id(file: &mut (impl Read + Seek)) -> io::Result<Option<Vec<u8>>> {
    let head = bytes_at(file, 0, 64)?;
    match head.get(..6) {
        Some([0x7f, b'E', b'L', b'F', 2, 1]) => gnu_build_id(file, &head),
        Some([0xcf, 0xfa, 0xed, 0xfe, ..]) => {
            let commands = bytes_at(file, 32, number(&head, 20, 4).min(NOTES_BYTES_MAX))?;
            Ok(mach_o_uuid(&commands))
        }
        _ => Ok(None),
    }
}

/// The first GNU build id in the notes that the program headers name (ELF-64, "Program Header" and "Note Section").
fn gnu_build_id(file: &mut (impl Read + Seek), head: &[u8]) -> io::Result<Option<Vec<u8>>> {
    const NOTE: u64 = 4;
    let (offset, bytes, count) = (number(head, 32, 8), number(head, 54, 2), number(head, 56, 2));
    let headers = bytes_at(file, offset, (bytes * count).min(NOTES_BYTES_MAX))?;
    for header in headers.chunks(bytes.max(56) as usize).filter(|header| number(header, 0, 4) == NOTE) {
        let notes = bytes_at(file, number(header, 8, 8), number(header, 32, 8).min(NOTES_BYTES_MAX))?;
        if let Some(id) = build_id_in(&notes) {
            return Ok(Some(id));
        }
    }
    Ok(None)
}

fn build_id_in(mut notes: &[u8]) -> Option<Vec<u8>> {
    const BUILD_ID: u64 = 3;
    loop {
        let (head, rest) = notes.split_at_checked(12)?;
        let padded = |bytes: u64| usize::try_from(bytes.next_multiple_of(4)).ok();
        let (name, rest) = rest.split_at_checked(padded(number(head, 0, 4))?)?;
        let id = rest.get(..usize::try_from(number(head, 4, 4)).ok()?)?;
        if number(head, 8, 4) == BUILD_ID && name == b"GNU\0" && !id.is_empty() {
            return Some(id.to_vec());
        }
        notes = rest.get(padded(number(head, 4, 4))?..)?;
    }
}

/// The UUID among a Mach-O file's load commands (Apple's `mach-o/loader.h`).
fn mach_o_uuid(mut commands: &[u8]) -> Option<Vec<u8>> {
    const UUID: u64 = 0x1b;
    loop {
        let bytes = usize::try_from(number(commands.get(..8)?, 4, 4)).ok()?.max(8);
        let command = commands.get(..bytes)?;
        if number(command, 0, 4) == UUID {
            return Some(command.get(8..24)?.to_vec());
        }
        commands = &commands[bytes..];
    }
}

/// At most so many bytes of a file from a place on: fewer where it ends.
fn bytes_at(file: &mut (impl Read + Seek), offset: u64, bytes: u64) -> io::Result<Vec<u8>> {
    let mut read = Vec::new();
    file.seek(SeekFrom::Start(offset.min(i64::MAX as u64)))?;
    file.take(bytes).read_to_end(&mut read)?;
    Ok(read)
}

/// The little-endian number of so many bytes at a place, 0 where there are not as many.
fn number(bytes: &[u8], at: usize, len: usize) -> u64 {
    let bytes = bytes.get(at..at + len).unwrap_or_default();
    bytes.iter().rev().fold(0, |number, byte| number << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn id_of(bytes: &[u8]) -> Option<Vec<u8>> {
        linker_id(&mut Cursor::new(bytes)).unwrap()
    }

    /// An ELF file of a header, two program headers and two notes; the second has the id.
    fn elf() -> Vec<u8> {
        let mut file = vec![0; 64];
        file[..6].copy_from_slice(b"\x7fELF\x02\x01");
        (file[32], file[54], file[56]) = (64, 56, 2);
        for (kind, notes) in [(1, 0), (4, 176)] {
            let mut header = vec![0; 56];
            (header[0], header[8], header[32]) = (kind, notes, 20 + 16 + 4);
            file.extend(header);
        }
        file.extend([4, 0, 0, 0, 3, 0, 0, 0, 1, 0, 0, 0, b'G', b'N', b'U', 0, 9, 9, 9, 0]);
        file.extend([4, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0, b'G', b'N', b'U', 0, 1, 2, 3, 0]);
        file
    }

    fn mach_o() -> Vec<u8> {
        let mut file = vec![0; 32];
        file[..4].copy_from_slice(&[0xcf, 0xfa, 0xed, 0xfe]);
        (file[16], file[20]) = (2, 40);
        file.extend([0x19, 0, 0, 0, 16, 0, 0, 0, 7, 7, 7, 7, 7, 7, 7, 7]);
        file.extend([0x1b, 0, 0, 0, 24, 0, 0, 0]);
        file.extend(1..=16);
        file
    }

    #[test]
    fn the_linkers_id_is_found() {
        assert_eq!(id_of(&elf()), Some(vec![1, 2, 3]));
        assert_eq!(id_of(&mach_o()), Some((1..=16).collect()));
    }

    #[test]
    fn a_file_that_is_cut_or_is_something_else_has_none() {
        for whole in [elf(), mach_o()] {
            (0..whole.len() - 1).for_each(|bytes| assert_eq!(id_of(&whole[..bytes]), None, "{bytes}"));
        }
        assert_eq!(id_of(b"#!/bin/sh\n"), None);
    }

    #[test]
    fn any_number_in_a_header_is_answered() {
        for whole in [elf(), mach_o()] {
            for place in 0..whole.len() {
                let mut changed = whole.clone();
                changed[place] = 0xff;
                id_of(&changed);
            }
        }
    }

    #[test]
    fn a_program_without_an_id_is_known_by_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        std::fs::write(&program, "one").unwrap();
        let one = known_by(&program, None).unwrap();
        assert!(one.starts_with("content "), "{one}");
        let hashes = FileHashes::open(folder.path().join("file-hashes"), std::time::SystemTime::now);
        assert_eq!(known_by(&program, Some(&hashes)).unwrap(), one);
        std::fs::write(&program, "two").unwrap();
        assert_ne!(known_by(&program, Some(&hashes)).unwrap(), one);
    }

    #[test]
    fn this_program_is_known() {
        let build = running_build(None).unwrap();
        assert!(build.compiler.starts_with("rustc 1."), "{build:?}");
        assert!(build.target.contains(std::env::consts::ARCH), "{build:?}");
        assert_eq!(running_build(None), Some(build));
    }
}
