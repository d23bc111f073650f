//! Opens a table: from its footer when it is sealed, else from its segments, each of them verified.

use std::path::Path;

use rowmark_rows::RowSchema;

use crate::disk::{Disk, ReadFile};
use crate::error::Damage;
use crate::format::batch::{BatchEncoder, decode_schema};
use crate::format::footer::{Footer, FooterSegment};
use crate::format::header::{Header, Predecessor};
use crate::segment::{read_followed, read_header, read_open_end};
use crate::table::{Contents, Frame, Seal, Segment, Table};
use crate::{Error, TableName};

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

/// Opens a table, or answers `None` when there is no such folder.
pub(crate) fn open_table(disk: &Disk, name: &TableName, folder: &Path) -> Result<Option<Table>, Error> {
    let Some(files) = disk.list(folder)? else { return Ok(None) };
    let contents = match disk.open_file(&folder.join(FOOTER_FILE))? {
        Some(footer) => open_sealed(disk, name, folder, &footer)?,
        None => open_unsealed(disk, name, folder, &files)?,
    };
    Ok(Some(Table::new(contents)))
}

fn open_sealed(disk: &Disk, name: &TableName, folder: &Path, footer: &ReadFile) -> Result<Contents, Error> {
    let mut bytes = vec![0; footer.bytes() as usize];
    footer.read_at(&mut bytes, 0)?;
    let Footer { schema_ipc, seal, segments, frames } =
        Footer::decode(&bytes).map_err(|error| error.into_error(footer.path()))?;
    let schema = read_schema(footer, &schema_ipc)?;
    let segments =
        segments.iter().map(|segment| open_listed(disk, folder, segment)).collect::<Result<_, _>>()?;
    let mut contents = Contents::new(name.clone(), schema, segments, frames)?;
    contents.record.clone_from(&seal.record);
    contents.seal = Some(seal);
    Ok(contents)
}

/// Opens a segment that a footer lists; what it holds is verified when it is read.
fn open_listed(disk: &Disk, folder: &Path, listed: &FooterSegment) -> Result<Segment, Error> {
    let FooterSegment { number, identity, bytes } = *listed;
    let file = open_segment(disk, folder, number)?;
    if file.bytes() < bytes {
        return Err(Error::Damaged {
            path: file.path().to_owned(),
            offset: file.bytes(),
            damage: Damage::Truncated { expected: bytes, found: file.bytes() },
        });
    }
    Ok(Segment { file, number, identity, bytes })
}

fn open_segment(disk: &Disk, folder: &Path, number: u32) -> Result<ReadFile, Error> {
    disk.open_file(&folder.join(segment_file(number)))?.ok_or_else(|| Error::Damaged {
        path: folder.to_owned(),
        offset: 0,
        damage: Damage::MissingSegment { number },
    })
}

fn open_unsealed(disk: &Disk, name: &TableName, folder: &Path, files: &[String]) -> Result<Contents, Error> {
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
    let schema = check_schemas(&opened)?;
    let record = opened.last().map(|(_, header, _)| header.record.clone()).unwrap_or_default();

    let mut successors: Vec<Option<Predecessor>> =
        opened.iter().skip(1).map(|(_, header, _)| header.predecessor).collect();
    successors.push(None);
    let (mut segments, mut frames, mut dropped) = (Vec::new(), Vec::new(), None);
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
            None => read_open_end(&file, header.identity, header_bytes)?,
        };
        frames.extend(found.frames.iter().map(|head| Frame::new(head, index as u32)));
        dropped = found.dropped;
        segments.push(Segment { file, number: header.number, identity: header.identity, bytes: found.bytes });
    }
    let mut contents = Contents::new(name.clone(), schema, segments, frames)?;
    contents.record = record;
    contents.dropped = dropped;
    Ok(contents)
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

impl Footer {
    /// The footer of a table, sealed in this way.
    pub(crate) fn of_table(table: &Table, seal: Seal) -> Result<Self, Error> {
        let Contents { name, schema, segments, frames, .. } = table.contents();
        let encoder = BatchEncoder::new(schema).map_err(|source| Error::Encode {
            table: name.clone(),
            what: "the schema",
            source,
        })?;
        let segments = segments
            .iter()
            .map(|Segment { number, identity, bytes, .. }| FooterSegment {
                number: *number,
                identity: *identity,
                bytes: *bytes,
            })
            .collect();
        Ok(Self { schema_ipc: encoder.schema_ipc().to_vec(), seal, segments, frames: frames.clone() })
    }
}
