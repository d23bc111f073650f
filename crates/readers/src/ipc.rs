//! Rows of Arrow IPC files (also called Feather) and streams. Both are a sequence of messages, one for each record batch,
//! and reading begins at any of them.
//!
//! The lengths that messages say of themselves are checked before anything is made of that size.

use std::collections::HashMap;
use std::fmt;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::marker::PhantomData;
use std::path::PathBuf;
use std::sync::Arc;

use arrow_array::{ArrayRef, RecordBatch};
use arrow_buffer::Buffer;
use arrow_ipc::convert::try_schema_from_flatbuffer_bytes;
use arrow_ipc::reader::{read_dictionary, read_record_batch};
use arrow_ipc::{MessageHeader, root_as_message};
use arrow_schema::SchemaRef;
use rowmark_hashing::Fingerprint;
use rowmark_rows::{RowSchema, RowType};

use crate::columnar::{
    BatchCursor, ColumnarOptions, Parts, Plan, check_not_packed, damaged, guarded, malformed,
};
use crate::file_source::{FileSource, Format};
use crate::files::{DataFile, Files};
use crate::{Error, Place};

/// Endings of the names of Arrow files in a folder.
const EXTENSIONS: [&str; 4] = ["arrow", "arrows", "feather", "ipc"];

const FILE_MAGIC: &[u8; 8] = b"ARROW1\0\0";
const CONTINUATION: u32 = u32::MAX;

/// How many bytes may be unpacked from each byte of a compressed buffer, and from any.
const EXPANSION_MAX: u64 = 500;
const EXPANSION_FREE_BYTES: u64 = 64 * 1024 * 1024;

/// An Arrow IPC file or stream, or many, as a source of rows of type `T`, matched to columns by name, as a
/// [`ArrowSource`](crate::ArrowSource) is.
pub type ArrowIpcSource<T> = FileSource<ArrowIpc<T>>;

/// Arrow IPC as a [`Format`]; see [`ArrowIpcSource`].
pub struct ArrowIpc<T> {
    options: ColumnarOptions,
    schema: RowSchema,
    files: Vec<(SchemaRef, Arc<Plan>)>,
    row: PhantomData<fn() -> T>,
}

impl<T: RowType> FileSource<ArrowIpc<T>> {
    /// Opens files and reads what they say of their columns.
    ///
    /// # Errors
    /// A file cannot be opened, is no Arrow IPC file, or has other columns than `T` or than the first file.
    pub fn open(files: impl Into<Files>, options: ColumnarOptions) -> Result<Self, Error> {
        let paths = files.into().find(&EXTENSIONS)?;
        let files: Vec<DataFile> = paths.iter().map(|path| DataFile::open(path)).collect::<Result<_, _>>()?;
        let mut schema = None;
        let mut opened = Vec::with_capacity(files.len());
        for file in &files {
            check_not_packed(file)?;
            let path = file.path();
            let found = guarded(path, || Messages::open(file)?.schema())?;
            let what = path.display().to_string();
            let plan = match &schema {
                Some(schema) => Plan::matching(&what, &found, schema, &options.selection)?,
                None => Plan::new::<T>(&what, &found, &options.selection)?,
            };
            schema.get_or_insert_with(|| plan.schema().clone());
            opened.push((found, Arc::new(plan)));
        }
        let schema = schema.ok_or_else(|| malformed(files[0].path(), "it has no columns"))?;
        let rows_max = options.selection.rows_max;
        Ok(Self::new(files, ArrowIpc { options, schema, files: opened, row: PhantomData }, rows_max))
    }
}

impl<T> fmt::Debug for ArrowIpc<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ArrowIpc").field("options", &self.options).finish_non_exhaustive()
    }
}

/// Where the messages of a file are.
#[derive(Debug)]
pub struct IpcIndex {
    parts: Parts,
    messages: Arc<[Message]>,
}

impl<T: RowType> Format for ArrowIpc<T> {
    type Row = T;
    type Index = IpcIndex;
    type Cursor = BatchCursor<T>;

    const DOMAIN: &'static str = "rowmark.source.arrow";

    fn identify(&self, fingerprint: Fingerprint) -> Result<Fingerprint, Error> {
        self.options.selection.identify(fingerprint)
    }

    fn schema(&self) -> Result<RowSchema, Error> {
        Ok(self.schema.clone())
    }

    fn index(&self, _number: usize, file: &DataFile) -> Result<(u64, IpcIndex), Error> {
        let messages: Vec<Message> = guarded(file.path(), || Messages::open(file)?.collect())?;
        let mut rows = 0;
        let mut rows_before = Vec::new();
        for batch in messages.iter().filter_map(|message| message.rows) {
            rows_before.push(rows);
            rows += batch;
        }
        let place = |batch, row| Place::Batch { batch, row };
        let parts = Parts { rows_before: rows_before.into(), place };
        Ok((rows, IpcIndex { parts, messages: messages.into() }))
    }

    fn begins_at(&self, index: &IpcIndex, row: u64) -> u64 {
        index.parts.begins_at(row)
    }

    fn open(
        &self,
        number: usize,
        file: &DataFile,
        index: &IpcIndex,
        row: u64,
    ) -> Result<BatchCursor<T>, Error> {
        let (schema, plan) = &self.files[number];
        let batches = Batches {
            path: file.path().to_owned(),
            file: file.file()?,
            schema: Arc::clone(schema),
            messages: Arc::clone(&index.messages),
            next: 0,
            batches_to_skip: index.parts.of(row),
            dictionaries: HashMap::new(),
        };
        Ok(BatchCursor::new(file, plan, &index.parts, row, Box::new(batches)))
    }
}

/// One message of a file.
#[derive(Clone, Copy, Debug)]
struct Message {
    /// Where its metadata begin.
    offset: u64,
    metadata_bytes: u64,
    body_bytes: u64,
    /// The rows of a record batch; nothing for a dictionary.
    rows: Option<u64>,
}

/// The messages of a file from its beginning on.
struct Messages {
    path: PathBuf,
    file: File,
    bytes: u64,
    at: u64,
    is_file: bool,
}

impl Messages {
    fn open(file: &DataFile) -> Result<Self, Error> {
        let mut opened = file.file()?;
        let mut magic = [0; FILE_MAGIC.len()];
        let is_file = file.stamp.bytes >= magic.len() as u64
            && opened.read_exact(&mut magic).is_ok()
            && magic == *FILE_MAGIC;
        let at = if is_file { magic.len() as u64 } else { 0 };
        let mut messages =
            Self { path: file.path().to_owned(), file: opened, bytes: file.stamp.bytes, at, is_file };
        if is_file && !messages.ends_with(&FILE_MAGIC[..6])? {
            return Err(malformed(&messages.path, format!("it is cut off at byte {}", messages.bytes)));
        }
        Ok(messages)
    }

    fn ends_with(&mut self, ending: &[u8]) -> Result<bool, Error> {
        let mut found = vec![0; ending.len()];
        let read = self
            .file
            .seek(SeekFrom::Start(self.bytes - ending.len() as u64))
            .and_then(|_| self.file.read_exact(&mut found));
        read.map_err(|source| Error::read(&self.path, source))?;
        Ok(found == ending)
    }

    /// The schema, which the first message is.
    fn schema(&mut self) -> Result<SchemaRef, Error> {
        let Some((_, metadata)) = self.metadata()? else {
            return Err(malformed(&self.path, "it is no Arrow IPC file: it begins with no schema"));
        };
        try_schema_from_flatbuffer_bytes(&metadata).map(Arc::new).map_err(|error| damaged(&self.path, error))
    }

    /// The messages behind the schema.
    fn collect(&mut self) -> Result<Vec<Message>, Error> {
        self.schema()?;
        let mut messages = Vec::new();
        while let Some((offset, metadata)) = self.metadata()? {
            let message = root_as_message(&metadata)
                .map_err(|error| malformed(&self.path, format!("it is damaged: {error}")))?;
            let rows = match message.header_type() {
                MessageHeader::RecordBatch => message.header_as_record_batch().map(|batch| batch.length()),
                MessageHeader::DictionaryBatch => None,
                other => return Err(malformed(&self.path, format!("it holds a message of type {other:?}"))),
            };
            let rows = rows.map(u64::try_from).transpose();
            let body_bytes = u64::try_from(message.bodyLength());
            let (Ok(rows), Ok(body_bytes)) = (rows, body_bytes) else {
                return Err(malformed(&self.path, "it is damaged: it says that it has less than nothing"));
            };
            let metadata_bytes = metadata.len() as u64;
            self.at = self.end_of(offset + metadata_bytes, body_bytes)?;
            messages.push(Message { offset, metadata_bytes, body_bytes, rows });
        }
        Ok(messages)
    }

    /// The metadata of the next message, and where they begin.
    fn metadata(&mut self) -> Result<Option<(u64, Vec<u8>)>, Error> {
        if self.at == self.bytes && !self.is_file {
            return Ok(None);
        }
        let read_error = |source| Error::read(&self.path, source);
        let end = self.end_of(self.at, 8)?;
        let mut head = [0; 8];
        self.file.seek(SeekFrom::Start(self.at)).map_err(read_error)?;
        self.file.read_exact(&mut head).map_err(read_error)?;
        let [a, b, c, d, e, f, g, h] = head;
        if u32::from_le_bytes([a, b, c, d]) != CONTINUATION {
            return Err(malformed(&self.path, "it is no Arrow IPC file, or one of a version before 0.15"));
        }
        let len = u32::from_le_bytes([e, f, g, h]);
        if len == 0 {
            return Ok(None);
        }
        self.at = self.end_of(end, u64::from(len))?;
        let mut metadata = vec![0; len as usize];
        self.file.read_exact(&mut metadata).map_err(read_error)?;
        Ok(Some((end, metadata)))
    }

    /// The end of so many bytes, if they are there.
    fn end_of(&self, start: u64, len: u64) -> Result<u64, Error> {
        let end = start.checked_add(len).filter(|end| *end <= self.bytes);
        end.ok_or_else(|| malformed(&self.path, format!("it is cut off at byte {}", self.bytes)))
    }
}

/// Decodes the record batches of a file, beginning with any.
struct Batches {
    path: PathBuf,
    file: File,
    schema: SchemaRef,
    messages: Arc<[Message]>,
    next: usize,
    batches_to_skip: usize,
    dictionaries: HashMap<i64, ArrayRef>,
}

impl Batches {
    /// Decodes a message; a dictionary is kept for the batches behind it.
    fn decode(&mut self, message: Message) -> Result<Option<RecordBatch>, Error> {
        let read_error = |source| Error::read(&self.path, source);
        let mut metadata = vec![0; message.metadata_bytes as usize];
        self.file.seek(SeekFrom::Start(message.offset)).map_err(read_error)?;
        self.file.read_exact(&mut metadata).map_err(read_error)?;
        let mut body = vec![0; message.body_bytes as usize];
        self.file.read_exact(&mut body).map_err(read_error)?;
        let body = Buffer::from_vec(body);
        let broken = |error| damaged(&self.path, error);
        let head = root_as_message(&metadata)
            .map_err(|error| malformed(&self.path, format!("it is damaged: {error}")))?;
        if let Some(dictionary) = head.header_as_dictionary_batch() {
            let batch = dictionary.data().ok_or_else(|| malformed(&self.path, "a dictionary is empty"))?;
            self.check_buffers(&batch, &body)?;
            read_dictionary(&body, dictionary, &self.schema, &mut self.dictionaries, &head.version())
                .map_err(broken)?;
            return Ok(None);
        }
        let batch =
            head.header_as_record_batch().ok_or_else(|| malformed(&self.path, "a batch is missing"))?;
        self.check_buffers(&batch, &body)?;
        let schema = Arc::clone(&self.schema);
        read_record_batch(&body, batch, schema, &self.dictionaries, None, &head.version())
            .map(Some)
            .map_err(broken)
    }

    /// Makes sure that the buffers of a batch lie in its body, and do not unpack to far more than it.
    fn check_buffers(&self, batch: &arrow_ipc::RecordBatch<'_>, body: &[u8]) -> Result<(), Error> {
        let mut unpacked: u64 = 0;
        for buffer in batch.buffers().into_iter().flatten() {
            let range = usize::try_from(buffer.offset()).ok().zip(usize::try_from(buffer.length()).ok());
            let bytes = range.and_then(|(start, len)| body.get(start..start.checked_add(len)?));
            let Some(bytes) = bytes else {
                return Err(malformed(&self.path, "it is damaged: a buffer lies outside of its message"));
            };
            if let (Some(_), Some((len, _))) = (batch.compression(), bytes.split_first_chunk()) {
                unpacked = unpacked.saturating_add(u64::try_from(i64::from_le_bytes(*len)).unwrap_or(0));
            }
        }
        if unpacked > (body.len() as u64).saturating_mul(EXPANSION_MAX).max(EXPANSION_FREE_BYTES) {
            let limit = crate::Limit::Expansion { expansion_max: EXPANSION_MAX };
            return Err(Error::Limit { path: self.path.clone(), place: None, limit });
        }
        Ok(())
    }
}

impl Iterator for Batches {
    type Item = Result<RecordBatch, Error>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let message = *self.messages.get(self.next)?;
            self.next += 1;
            if message.rows.is_some() && self.batches_to_skip > 0 {
                self.batches_to_skip -= 1;
                continue;
            }
            if let Some(batch) = self.decode(message).transpose() {
                return Some(batch);
            }
        }
    }
}
