//! Rows that take too long are told, once each, and can be seen while they run.
#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use std::fmt;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rowmark_executor::{Executor, Options, Progress, per_row};
use support::{Refused, Store};
use tracing::field::{Field, Visit};

/// Keeps the rows of all warnings.
#[derive(Clone, Default)]
struct Warnings(Arc<Mutex<Vec<u64>>>);

impl Visit for Warnings {
    fn record_u64(&mut self, field: &Field, row: u64) {
        if field.name() == "row" {
            self.0.lock().unwrap().push(row);
        }
    }

    fn record_debug(&mut self, _: &Field, _: &dyn fmt::Debug) {}
}

impl tracing::Subscriber for Warnings {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        *metadata.level() == tracing::Level::WARN
    }

    fn new_span(&self, _: &tracing::span::Attributes<'_>) -> tracing::span::Id {
        tracing::span::Id::from_u64(1)
    }

    fn record(&self, _: &tracing::span::Id, _: &tracing::span::Record<'_>) {}

    fn record_follows_from(&self, _: &tracing::span::Id, _: &tracing::span::Id) {}

    fn event(&self, event: &tracing::Event<'_>) {
        event.record(&mut self.clone());
    }

    fn enter(&self, _: &tracing::span::Id) {}

    fn exit(&self, _: &tracing::span::Id) {}
}

#[test]
fn a_row_that_hangs_is_told_once_and_found_in_the_progress() {
    let progress = Progress::new(100, 0);
    // Row 31 ends only when it was seen from outside to take longer than its timeout.
    let task = per_row(|row| {
        while row == 31 && progress.snapshot().rows_overdue == 0 {
            std::thread::sleep(Duration::from_millis(1));
        }
        if row == 31 {
            std::thread::sleep(Duration::from_millis(300)); // several more looks
            let rows = progress.workers();
            let hanging = rows.iter().find(|work| work.row == 31).ok_or(Refused(31))?;
            assert!(hanging.elapsed >= Duration::from_millis(300), "{hanging:?}");
            assert!(hanging.worker < 2);
        }
        Ok(row)
    });
    let options = Options::default().row_timeout(Duration::from_millis(100));
    let warnings = Warnings::default();
    let mut store = Store::default();
    tracing::subscriber::with_default(warnings.clone(), || {
        Executor::new(2)
            .unwrap()
            .run(std::iter::once(0..100), &task, &mut store, &progress, &options)
            .unwrap();
    });
    let told = warnings.0.lock().unwrap().clone();
    assert_eq!(told.iter().filter(|row| **row == 31).count(), 1, "{told:?}");
    assert_eq!(progress.snapshot().rows_overdue, told.len() as u64);
    assert_eq!(store.rows.len(), 100, "the row was not killed");
    assert_eq!(progress.workers(), []);
}

#[test]
fn without_a_timeout_nothing_is_overdue() {
    let progress = Progress::new(1, 0);
    let task = per_row(|row| {
        std::thread::sleep(Duration::from_millis(100));
        Ok::<_, Refused>(row)
    });
    let executor = Executor::new(1).unwrap();
    executor
        .run(std::iter::once(0..1), &task, &mut Store::default(), &progress, &Options::default())
        .unwrap();
    assert_eq!(progress.snapshot().rows_overdue, 0);
}
