//! Opens a table: from its footer when it is sealed, else from its segments, each of them verified.

use std::path::Path;
use std::sync::Arc;

use rowmark_rows::RowSchema;

use super::batches::SegmentBatches;
use super::disk::{Disk, ReadFile};
use super::format::batch::{BatchEncoder, decode_schema};
use super::format::footer::{Footer, FooterSegment};
use super::format::header::{Header, Predecessor};
use super::format::needs::Needs;
use super::segment::{Segment, check_features, read_followed, read_header, read_open_end};
use crate::error::Damage;
use crate::table::{Contents, Frame, Place, Seal, Table};
use crate::{Compression, DroppedTail, Error, TableName};

/// The file that makes a table sealed.
pub(crate) const FOOTER_FILE: &str = "footer";

/// The file name of a segment; segments are numbered from 1.
pub(crate) fn segment_file(number: u32) -> String {
    format!("{number:06}.seg")
}

/// The number of the segment that a file of this name is.
pub(crate) fn segment_number(file: &str) -> Option<u32> {
    let number = file.strip_suffix(".seg")?.parse().ok()?;
    (segment_file(number) == file).then_some(number)
}

/// A table whose files are open.
pub(super) struct Opened {
    pub(super) table: Table,
    /// How its batches are compressed.
    pub(super) needs: Needs,
    pub(super) segments: Arc<[Segment]>,
}

/// Opens a table, or answers `None` when there is no such folder.
pub(super) fn open_table(disk: &Disk, name: &TableName, folder: &Path) -> Result<Option<Opened>, Error> {
    let Some(files) = disk.list(folder)? else { return Ok(None) };
    // Whoever gave the names, and wrote the newest segment, may be between that and its sync, or may have died there.
    // Who has seen a seal or rows may count on them, so they are durable first; where they are, this costs nothing.
    disk.sync_folder(folder)?;
    let found = match disk.open_file(&folder.join(FOOTER_FILE))? {
        Some(footer) => open_sealed(disk, folder, &footer)?,
        None => open_unsealed(disk, folder, &files)?,
    };
    let Found { needs, schema, record, seal, segments, frames, dropped_tail } = found;
    let segments: Arc<[Segment]> = segments.into();
    let batches = Box::new(SegmentBatches { segments: segments.clone(), schema: schema.clone(), needs });
    let contents = Contents { name: name.clone(), schema, record, seal, frames, dropped_tail, batches };
    Ok(Some(Opened { table: Table::new(contents), needs, segments }))
}

impl Opened {
    /// The footer of the table, sealed in this way.
    pub(super) fn footer(&self, seal: Seal) -> Result<Footer, Error> {
        let encoder = BatchEncoder::new(self.table.name(), self.table.schema(), Compression::None)?;
        Ok(Footer {
            needs: self.needs,
            schema_ipc: encoder.schema_ipc().to_vec(),
            seal,
            segments: self.segments.iter().map(Segment::listed).collect(),
            frames: self.table.frames().to_vec(),
        })
    }
}

/// What the files of a table say.
struct Found {
    needs: Needs,
    schema: RowSchema,
    record: Vec<u8>,
    seal: Option<Seal>,
    segments: Vec<Segment>,
    frames: Vec<Frame>,
    dropped_tail: Option<DroppedTail>,
}

fn open_sealed(disk: &Disk, folder: &Path, footer: &ReadFile) -> Result<Found, Error> {
    let mut bytes = vec![0; footer.bytes() as usize];
    footer.read_at(&mut bytes, 0)?;
    let Footer { needs, schema_ipc, seal, segments, frames } =
        Footer::decode(&bytes).map_err(|error| error.into_error(footer.path()))?;
    check_features(footer, needs)?;
    let schema = read_schema(footer, &schema_ipc)?;
    let segments = open_listed(disk, folder, &segments)?;
    let record = seal.record.clone();
    Ok(Found { needs, schema, record, seal: Some(seal), segments, frames, dropped_tail: None })
}

/// Opens segments of which it is known how much of them holds frames; what they hold is verified when it is read.
pub(super) fn open_listed(
    disk: &Disk,
    folder: &Path,
    listed: &[FooterSegment],
) -> Result<Vec<Segment>, Error> {
    let open = |&FooterSegment { number, identity, bytes }: &FooterSegment| {
        let file = open_segment(disk, folder, number)?;
        if file.bytes() < bytes {
            return Err(Error::Damaged {
                path: file.path().to_owned(),
                offset: file.bytes(),
                damage: Damage::Truncated { expected: bytes, found: file.bytes() },
            });
        }
        Ok(Segment { file, number, identity, bytes })
    };
    listed.iter().map(open).collect()
}

fn open_segment(disk: &Disk, folder: &Path, number: u32) -> Result<ReadFile, Error> {
    disk.open_file(&folder.join(segment_file(number)))?.ok_or_else(|| Error::Damaged {
        path: folder.to_owned(),
        offset: 0,
        damage: Damage::MissingSegment { number },
    })
}

fn open_unsealed(disk: &Disk, folder: &Path, files: &[String]) -> Result<Found, Error> {
    let last = files.iter().filter_map(|file| segment_number(file)).max().unwrap_or(1);
    let mut opened = Vec::new();
    for number in 1..=last {
        let file = open_segment(disk, folder, number)?;
        let (header, header_bytes) = read_header(&file)?;
        if header.number != number {
            return Err(foreign(&file, number));
        }
        opened.push((file, header, header_bytes));
    }
    let needs = opened.iter().fold(Needs::NOTHING, |needs, (_, header, _)| needs.and(header.needs));
    let schema = check_schemas(&opened)?;
    let record = opened.last().map(|(_, header, _)| header.record.clone()).unwrap_or_default();

    let mut successors: Vec<Option<Predecessor>> =
        opened.iter().skip(1).map(|(_, header, _)| header.predecessor).collect();
    successors.push(None);
    let (mut segments, mut frames, mut dropped_tail) = (Vec::new(), Vec::new(), None);
    for (index, ((file, header, header_bytes), successor)) in opened.into_iter().zip(successors).enumerate() {
        let is_chained = header.predecessor.is_some() == (index > 0);
        let is_expected = successor.is_none_or(|successor| successor.identity == header.identity);
        if !is_chained || !is_expected {
            return Err(foreign(&file, header.number));
        }
        let found = match successor {
            Some(successor) => {
                read_followed(&file, header.identity, header_bytes, successor.bytes, header.number + 1)?
            }
            None => {
                let found = read_open_end(&file, header.identity, header_bytes)?;
                file.sync()?;
                found
            }
        };
        frames.extend(found.frames.iter().map(|head| head.indexed(index as u32)));
        dropped_tail = found.dropped;
        segments.push(Segment { file, number: header.number, identity: header.identity, bytes: found.bytes });
    }
    refuse_overlap(&mut frames, &segments)?;
    Ok(Found { needs, schema, record, seal: None, segments, frames, dropped_tail })
}

/// Refuses a table in which an input row was committed twice.
fn refuse_overlap(frames: &mut [Frame], segments: &[Segment]) -> Result<(), Error> {
    frames.sort_unstable_by_key(Frame::range);
    let Some(pair) = frames.windows(2).find(|pair| pair[0].range.end() > pair[1].range.start()) else {
        return Ok(());
    };
    let range = pair[0].range.intersect(pair[1].range).unwrap_or(pair[1].range);
    let later = pair.iter().map(|frame| frame.place).max_by_key(|place| (place.segment, place.offset));
    let Place { segment, offset, .. } = later.unwrap_or_default();
    let path = segments[segment as usize].file.path().to_owned();
    Err(Error::Damaged { path, offset, damage: Damage::Overlap { range } })
}

/// All segments of a table have the schema of the first.
fn check_schemas(opened: &[(ReadFile, Header, u64)]) -> Result<RowSchema, Error> {
    let mut schema: Option<RowSchema> = None;
    for (file, header, _) in opened {
        let found = read_schema(file, &header.schema_ipc)?;
        if let Some(difference) = schema.as_ref().and_then(|schema| schema.first_difference(&found)) {
            let damage = Damage::Schema { difference: Box::new(difference) };
            return Err(Error::Damaged { path: file.path().to_owned(), offset: 0, damage });
        }
        schema.get_or_insert(found);
    }
    Ok(schema.expect("a table that opens has its first segment"))
}

fn read_schema(file: &ReadFile, schema_ipc: &[u8]) -> Result<RowSchema, Error> {
    decode_schema(schema_ipc).map_err(|source| Error::Damaged {
        path: file.path().to_owned(),
        offset: 0,
        damage: Damage::Arrow { part: "schema", source },
    })
}

fn foreign(file: &ReadFile, number: u32) -> Error {
    let damage = Damage::ForeignSegment { number };
    Error::Damaged { path: file.path().to_owned(), offset: 0, damage }
}
