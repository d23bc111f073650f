//! A metastore that outlives the session that uses it.

use std::sync::Arc;

use rowmark::hashing::ContentHash;
use rowmark::metastore::{
    Checkpoint, CheckpointKind, CheckpointStatus, DatasetVersion, Event, Job, JobId, JobStatus,
    MemoryMetastore, Metastore, Result, Timestamp,
};

#[derive(Clone, Debug, Default)]
pub(crate) struct Kept(Arc<MemoryMetastore>);

macro_rules! forward {
    ($(fn $name:ident($($argument:ident: $type:ty),*) -> $answer:ty;)*) => {
        impl Metastore for Kept {
            $(fn $name(&self, $($argument: $type),*) -> $answer {
                self.0.$name($($argument),*)
            })*
        }
    };
}

forward! {
    fn create_job(job: &Job) -> Result<()>;
    fn finish_job(id: JobId, status: JobStatus, at: Timestamp, error: Option<&str>) -> Result<()>;
    fn get_job(id: JobId) -> Result<Option<Job>>;
    fn find_last_job(name: &str) -> Result<Option<Job>>;
    fn list_jobs() -> Result<Vec<Job>>;
    fn get_or_create_checkpoint(checkpoint: Checkpoint) -> Result<Checkpoint>;
    fn find_checkpoint(job: JobId, hash: ContentHash, kind: CheckpointKind) -> Result<Option<Checkpoint>>;
    fn find_in(jobs: &[JobId], hash: ContentHash, kind: CheckpointKind) -> Result<Option<Checkpoint>>;
    fn find_anywhere(hash: ContentHash, kind: CheckpointKind) -> Result<Vec<Checkpoint>>;
    fn find_by_partial(hash_partial: ContentHash) -> Result<Vec<Checkpoint>>;
    fn list_checkpoints(job: JobId) -> Result<Vec<Checkpoint>>;
    fn get_last_checkpoint(job: JobId) -> Result<Option<Checkpoint>>;
    fn set_checkpoint_status(job: JobId, hash: ContentHash, kind: CheckpointKind, status: CheckpointStatus) -> Result<bool>;
    fn remove_checkpoint(job: JobId, hash: ContentHash, kind: CheckpointKind) -> Result<bool>;
    fn expire(older_than: Timestamp) -> Result<Vec<Checkpoint>>;
    fn promote(job: JobId, hash_partial: ContentHash, checkpoint: Checkpoint) -> Result<Checkpoint>;
    fn save_dataset(dataset: &DatasetVersion) -> Result<()>;
    fn get_dataset(name: &str, version: Option<u32>) -> Result<Option<DatasetVersion>>;
    fn get_next_dataset_version(name: &str) -> Result<u32>;
    fn find_dataset(name: &str, chain_hash: ContentHash) -> Result<Option<DatasetVersion>>;
    fn find_datasets_by_chain(chain_hash: ContentHash) -> Result<Vec<DatasetVersion>>;
    fn list_datasets() -> Result<Vec<DatasetVersion>>;
    fn remove_dataset(name: &str, version: u32) -> Result<bool>;
    fn record_event(event: Event) -> Result<u64>;
    fn list_events(job: JobId) -> Result<Vec<Event>>;
    fn flush() -> Result<()>;
}
