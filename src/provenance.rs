//! What a table carries about itself, so that the metastore can be rebuilt from the tables.
//!
//! The bytes are the record of the job and the record of the checkpoint, each behind its length as a
//! little-endian `u32`. The warehouse keeps them without looking into them.

use rowmark_metastore::{Checkpoint, Error, Job, Record};

/// The job that made a table and the checkpoint that names it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Provenance {
    pub(crate) job: Job,
    pub(crate) checkpoint: Checkpoint,
}

impl Provenance {
    pub(crate) fn to_bytes(&self) -> Result<Vec<u8>, Error> {
        let mut bytes = Vec::new();
        for record in [self.job.to_bytes()?, self.checkpoint.to_bytes()?] {
            let len = u32::try_from(record.len()).expect("records are bounded far below 4 GiB");
            bytes.extend(len.to_le_bytes());
            bytes.extend(record);
        }
        Ok(bytes)
    }

    /// `None` when the bytes are not whole records; then the table cannot speak for itself.
    pub(crate) fn from_bytes(mut bytes: &[u8]) -> Option<Self> {
        let mut next = || {
            let (len, rest) = bytes.split_first_chunk()?;
            let (record, rest) = rest.split_at_checked(u32::from_le_bytes(*len) as usize)?;
            bytes = rest;
            Some(record)
        };
        let (job, checkpoint) = (next()?, next()?);
        Some(Self { job: Job::from_bytes(job).ok()?, checkpoint: Checkpoint::from_bytes(checkpoint).ok()? })
    }
}
