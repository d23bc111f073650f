//! The memory of a run is bounded in bytes.
#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rowmark_executor::{Computed, Executor, FailedRow, Options, Progress, Sink, Task, per_row};
use support::{Refused, Store, one, opens, run};

const ROW_BYTES: u64 = 1 << 20;

/// Counts the bytes that are alive, and their peak.
#[derive(Default)]
struct Memory {
    live: AtomicU64,
    peak: AtomicU64,
}

/// A row that stands for 1 MiB while it lives.
struct Large<'a>(&'a Memory);

impl<'a> Large<'a> {
    fn new(memory: &'a Memory) -> Self {
        let live = memory.live.fetch_add(ROW_BYTES, Ordering::SeqCst) + ROW_BYTES;
        memory.peak.fetch_max(live, Ordering::SeqCst);
        Self(memory)
    }
}

impl Drop for Large<'_> {
    fn drop(&mut self) {
        self.0.live.fetch_sub(ROW_BYTES, Ordering::SeqCst);
    }
}

/// Takes its time.
struct Slow<'a>(std::marker::PhantomData<Large<'a>>);

impl<'a> Sink for Slow<'a> {
    type Batch = (std::ops::Range<u64>, Vec<Large<'a>>);
    type Failure = Refused;
    type Error = Refused;

    fn append(&mut self, (_, rows): Self::Batch) -> Result<u64, Refused> {
        std::thread::sleep(Duration::from_millis(5));
        Ok(rows.len() as u64)
    }

    fn record(&mut self, failed: FailedRow<Refused>) -> Result<(), Refused> {
        panic!("{failed:?}")
    }

    fn commit(&mut self) -> Result<(), Refused> {
        Ok(())
    }
}

#[test]
fn a_slow_sink_slows_the_workers_and_memory_stays_flat() {
    for (workers, batch_bytes_max) in [(1, 4 * ROW_BYTES), (4, 4 * ROW_BYTES), (4, ROW_BYTES / 2)] {
        let memory = Memory::default();
        let task = per_row(|_| Ok::<_, Refused>(Large::new(&memory))).row_bytes(|_| ROW_BYTES);
        let options = Options::default().batch_bytes_max(batch_bytes_max);
        let progress = Progress::new(300, 0);
        let mut sink = Slow(std::marker::PhantomData);
        Executor::new(workers)
            .unwrap()
            .run(std::iter::once(0..300), &task, &mut sink, &progress, &options)
            .unwrap();
        assert_eq!(progress.snapshot().rows_done, 300);
        let peak = memory.peak.load(Ordering::SeqCst);
        let bound = workers as u64 * (2 + 2) * batch_bytes_max.max(ROW_BYTES);
        assert!(peak <= bound, "{} rows of 1 MiB, bound {}", peak / ROW_BYTES, bound / ROW_BYTES);
        assert!(peak >= bound / 4, "the sink is slow, so rows wait: {}", peak / ROW_BYTES);
        assert_eq!(memory.live.load(Ordering::SeqCst), 0);
    }
}

#[test]
fn a_batch_is_handed_over_when_it_is_large_enough() {
    let mut task = opens(|range| range.map(one));
    task.row_bytes = 100;
    task.rows_at_once = 100; // long leases, whatever the size of the rows
    let mut store = Store::default();
    run(1, 100, &task, &mut store, &Options::default().batch_bytes_max(1000)).result.unwrap();
    assert_eq!(store.batches, (0..10).map(|batch| batch * 10..batch * 10 + 10).collect::<Vec<_>>());
}

#[test]
fn the_size_is_asked_for_a_sample_of_the_rows() {
    struct Sampled(AtomicU64);
    impl Task for Sampled {
        type Worker = ();
        type Row = u64;
        type Batch = (std::ops::Range<u64>, Vec<u64>);
        type Error = Refused;
        fn setup(&self) -> Result<(), Refused> {
            Ok(())
        }
        fn open<'a>(
            &'a self,
            (): &'a mut (),
            range: std::ops::Range<u64>,
        ) -> Result<impl Iterator<Item = Result<Computed<u64>, Refused>> + 'a, Refused> {
            Ok(range.map(|row| Ok(row.into())))
        }
        fn pack(&self, range: std::ops::Range<u64>, rows: Vec<u64>) -> Result<Self::Batch, Refused> {
            Ok((range, rows))
        }
        fn row_bytes(&self, _: &u64) -> u64 {
            self.0.fetch_add(1, Ordering::Relaxed);
            8
        }
        fn rows_at_once(&self) -> u64 {
            160
        }
    }
    let task = Sampled(AtomicU64::new(0));
    run(1, 320, &task, &mut Store::default(), &Options::default()).result.unwrap();
    assert_eq!(task.0.into_inner(), 20);
}
