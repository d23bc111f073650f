//! A fixed sequence of changes, which one process makes and another one knows.

use rowmark_metastore::{CheckpointKind, JobStatus, Metastore, Result, Timestamp};

use super::{checkpoint, dataset, event, job, job_id};

/// Changes made for each job of the history.
const CHANGES: u64 = 7;

/// Makes change number `number`; each is durable when this returns.
pub fn make(store: &dyn Metastore, number: u64) -> Result<()> {
    let job_number = u32::try_from(number / CHANGES).unwrap();
    let id = job_id(job_number);
    let at = Timestamp::from_millis(number);
    let partial = checkpoint(job_number, "classify", CheckpointKind::Partial);
    let finished = checkpoint(job_number, "classify", CheckpointKind::Final);
    match number % CHANGES {
        0 => store.create_job(&job(job_number, job_number.checked_sub(1))),
        1 => store.get_or_create_checkpoint(partial).map(drop),
        2 => store.promote(id, partial.hash, finished).map(drop),
        3 => store.save_dataset(&dataset("reviews", job_number + 1, "chain")),
        4 => store.record_event(event(job_number, "classify")).and_then(|_| store.flush()),
        5 => store.finish_job(id, JobStatus::Complete, at, None),
        // The checkpoint or the dataset version of an earlier job goes.
        _ => match job_number.checked_sub(3) {
            Some(old) if old % 2 == 0 => {
                store.remove_checkpoint(job_id(old), finished.hash, finished.kind).map(drop)
            }
            Some(old) => store.remove_dataset("reviews", old + 1).map(drop),
            None => Ok(()),
        },
    }
}

/// The number of jobs that the first `changes` changes are about.
pub fn jobs_max(changes: u64) -> u32 {
    u32::try_from(changes / CHANGES).unwrap()
}
