//! Reads one segment file, whatever state a crash left it in.
//!
//! The argument for what is a torn tail and what is damage is in `docs/format.md`. In short: a
//! frame that was committed is followed by something that says so (a frame written later, whose
//! `durable_bytes` reach beyond it, or a later segment), unless it is in the last commit of all.
//! So a broken frame with such a witness is damage; one without is where the segment ends.

use std::fmt;
use std::path::PathBuf;

use super::disk::ReadFile;
use super::format::FORMAT_VERSION_MAX;
use super::format::footer::FooterSegment;
use super::format::frame::{CHECKED_FROM, FRAME_HEAD_BYTES, FRAME_MARKER_START, FrameHead};
use super::format::header::{HEADER_FIXED_BYTES, Header, header_bytes};
use super::format::needs::Needs;
use crate::Error;
use crate::error::Damage;

/// How much of a file is looked at at once.
const WINDOW_BYTES: u64 = 1 << 20;

/// How much is looked at for the head of a frame: small frames stand close to each other.
const HEAD_WINDOW_BYTES: u64 = 4 << 10;

/// How many bytes of frames are worth a thread that verifies them.
const VERIFIED_BYTES_MIN: u64 = 16 << 20;

/// The end of a segment that was not whole, and is not used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DroppedTail {
    /// The segment's file.
    pub path: PathBuf,
    /// Where the whole frames end.
    pub offset: u64,
    /// How many bytes follow.
    pub bytes: u64,
}

impl fmt::Display for DroppedTail {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, offset, bytes } = self;
        write!(formatter, "{} ends with {bytes} unfinished bytes after byte {offset}", path.display())
    }
}

/// An open segment of a table.
#[derive(Debug)]
pub(super) struct Segment {
    pub(super) file: ReadFile,
    pub(super) number: u32,
    pub(super) identity: u64,
    /// How much of the file holds frames.
    pub(super) bytes: u64,
}

impl Segment {
    /// As a footer lists it.
    pub(super) fn listed(&self) -> FooterSegment {
        FooterSegment { number: self.number, identity: self.identity, bytes: self.bytes }
    }
}

/// What a segment holds.
#[derive(Debug)]
pub(crate) struct SegmentFrames {
    pub(crate) frames: Vec<FrameHead>,
    /// Where the whole frames end.
    pub(crate) bytes: u64,
    pub(crate) dropped: Option<DroppedTail>,
}

/// Reads and checks the header of a segment; answers it and its length.
pub(crate) fn read_header(file: &ReadFile) -> Result<(Header, u64), Error> {
    let damaged = |damage| Error::Damaged { path: file.path().to_owned(), offset: 0, damage };
    if file.bytes() < HEADER_FIXED_BYTES {
        return Err(damaged(Damage::Truncated { expected: HEADER_FIXED_BYTES, found: file.bytes() }));
    }
    let mut fixed = [0; HEADER_FIXED_BYTES as usize];
    file.read_at(&mut fixed, 0)?;
    let bytes = header_bytes(&fixed, file.bytes()).map_err(damaged)?;
    let mut header = vec![0; bytes as usize];
    file.read_at(&mut header, 0)?;
    let newer =
        |found| Error::NewerFormat { path: file.path().to_owned(), found, supported: FORMAT_VERSION_MAX };
    let header = Header::decode(&header).map_err(damaged)?.map_err(newer)?;
    check_features(file, header.needs)?;
    Ok((header, bytes))
}

/// Refuses a file with batches that this program cannot decode.
pub(super) fn check_features(file: &ReadFile, needs: Needs) -> Result<(), Error> {
    match needs.missing_feature() {
        Some(feature) => Err(Error::MissingFeature { path: file.path().to_owned(), feature }),
        None => Ok(()),
    }
}

/// Reads and checks the frames of the newest segment, which may end in a torn one.
pub(crate) fn read_open_end(file: &ReadFile, identity: u64, start: u64) -> Result<SegmentFrames, Error> {
    let (heads, bytes) = read_whole_frames(file, identity, start, file.bytes())?;
    if bytes == file.bytes() {
        return Ok(SegmentFrames { frames: heads, bytes, dropped: None });
    }
    if let Some(witness) = FrameReader::new(file, identity, file.bytes()).find_witness(bytes)? {
        let witness = format!("the frame at byte {witness}");
        return Err(broken_frame(file, bytes, witness));
    }
    let dropped = DroppedTail { path: file.path().to_owned(), offset: bytes, bytes: file.bytes() - bytes };
    // What another process is just writing is not torn.
    let dropped = Some(dropped).filter(|_| !file.is_being_written());
    Ok(SegmentFrames { frames: heads, bytes, dropped })
}

/// Reads and checks the frames of a segment that a later one follows, of which `bytes` were whole.
pub(crate) fn read_followed(
    file: &ReadFile,
    identity: u64,
    start: u64,
    bytes: u64,
    successor: u32,
) -> Result<SegmentFrames, Error> {
    if bytes > file.bytes() {
        return Err(Error::Damaged {
            path: file.path().to_owned(),
            offset: file.bytes(),
            damage: Damage::Truncated { expected: bytes, found: file.bytes() },
        });
    }
    let (frames, whole_bytes) = read_whole_frames(file, identity, start, bytes)?;
    if whole_bytes != bytes {
        return Err(broken_frame(file, whole_bytes, format!("segment {successor}")));
    }
    Ok(SegmentFrames { frames, bytes, dropped: None })
}

fn broken_frame(file: &ReadFile, offset: u64, witness: String) -> Error {
    Error::Damaged { path: file.path().to_owned(), offset, damage: Damage::CommittedFrame { witness } }
}

/// The heads of the whole frames from `start` on, and where the last of them ends.
fn read_whole_frames(
    file: &ReadFile,
    identity: u64,
    start: u64,
    limit: u64,
) -> Result<(Vec<FrameHead>, u64), Error> {
    let mut reader =
        FrameReader { window_bytes: HEAD_WINDOW_BYTES, ..FrameReader::new(file, identity, limit) };
    let (mut heads, mut end) = (Vec::new(), start);
    while let Some(head) = reader.read_head(end)? {
        end = head.end();
        heads.push(head);
    }
    heads.truncate(count_whole(file, identity, limit, &heads)?);
    let end = heads.last().map_or(start, FrameHead::end);
    Ok((heads, end))
}

/// How many frames there are before the first that is not whole, found out on all cores.
fn count_whole(file: &ReadFile, identity: u64, limit: u64, heads: &[FrameHead]) -> Result<usize, Error> {
    let count = |heads: &[FrameHead]| -> Result<usize, Error> {
        let mut reader = FrameReader::new(file, identity, limit);
        for (index, head) in heads.iter().enumerate() {
            if reader.read_frame(head.offset)?.is_none() {
                return Ok(index);
            }
        }
        Ok(heads.len())
    };
    let bytes: u64 = heads.iter().map(|head| head.payload_bytes).sum();
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let threads = cores.min((bytes / VERIFIED_BYTES_MIN) as usize);
    if threads <= 1 {
        return count(heads);
    }
    let parts: Vec<&[FrameHead]> = heads.chunks(heads.len().div_ceil(threads)).collect();
    let counts: Vec<Result<usize, Error>> = std::thread::scope(|scope| {
        let counting: Vec<_> = parts.iter().map(|part| scope.spawn(|| count(part))).collect();
        counting
            .into_iter()
            .map(|thread| thread.join().expect("what verifies frames does not panic"))
            .collect()
    });
    let mut whole = 0;
    for (part, count) in parts.iter().zip(counts) {
        let count = count?;
        whole += count;
        if count < part.len() {
            break;
        }
    }
    Ok(whole)
}

/// Goes through the frames of a segment from its start, through a window of bounded size.
struct FrameReader<'a> {
    file: &'a ReadFile,
    identity: u64,
    /// Nothing from here on is looked at.
    limit: u64,
    window: Vec<u8>,
    window_bytes: u64,
    window_start: u64,
}

impl<'a> FrameReader<'a> {
    fn new(file: &'a ReadFile, identity: u64, limit: u64) -> Self {
        Self { file, identity, limit, window: Vec::new(), window_bytes: WINDOW_BYTES, window_start: 0 }
    }

    /// The head of the frame at `offset`, if there can be one.
    fn read_head(&mut self, offset: u64) -> Result<Option<FrameHead>, Error> {
        let (identity, limit) = (self.identity, self.limit);
        let bytes = self.bytes_at(offset, FRAME_HEAD_BYTES)?;
        Ok(FrameHead::read(bytes, offset, identity, limit))
    }

    /// The head of the frame at `offset`, if there is one and it is whole.
    fn read_frame(&mut self, offset: u64) -> Result<Option<FrameHead>, Error> {
        let Some(head) = self.read_head(offset)? else { return Ok(None) };
        let mut checksum = 0;
        let mut next = offset + CHECKED_FROM as u64;
        while next < head.end() {
            let bytes = self.bytes_at(next, head.end() - next)?;
            checksum = crc32c::crc32c_append(checksum, bytes);
            next += bytes.len() as u64;
        }
        Ok((checksum == head.checksum).then_some(head))
    }

    /// A whole frame beyond `broken` that was written after `broken` had become durable.
    fn find_witness(&mut self, broken: u64) -> Result<Option<u64>, Error> {
        let mut next = broken + 1;
        while next + FRAME_HEAD_BYTES <= self.limit {
            let bytes = self.bytes_at(next, WINDOW_BYTES)?;
            let marker =
                bytes.windows(FRAME_MARKER_START.len()).position(|window| window == FRAME_MARKER_START);
            let Some(marker) = marker else {
                next += (bytes.len() - FRAME_MARKER_START.len() + 1) as u64;
                continue;
            };
            let offset = next + marker as u64;
            if self.read_frame(offset)?.is_some_and(|head| head.durable_bytes > broken) {
                return Ok(Some(offset));
            }
            next = offset + 1;
        }
        Ok(None)
    }

    /// Some of the `wanted` bytes at `offset`: at least one, if there are any before the limit, and
    /// at least a frame's head, if there is that much.
    fn bytes_at(&mut self, offset: u64, wanted: u64) -> Result<&[u8], Error> {
        let available = wanted.min(self.limit.saturating_sub(offset));
        let needed = available.min(FRAME_HEAD_BYTES);
        let window_end = self.window_start + self.window.len() as u64;
        if offset < self.window_start || offset + needed > window_end {
            let length = (self.limit - offset.min(self.limit)).min(self.window_bytes);
            self.window.resize(length as usize, 0);
            self.window_start = offset;
            self.file.read_at(&mut self.window, offset)?;
        }
        let start = (offset - self.window_start) as usize;
        let end = self.window.len().min(start.saturating_add(available as usize));
        Ok(&self.window[start..end])
    }
}
