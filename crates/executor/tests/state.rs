//! A worker's state is made once on its thread, never leaves it, and is made again after a panic.
#![expect(clippy::unwrap_used, reason = "a test")]

mod support;

use std::ops::Range;
use std::rc::Rc;
use std::sync::Mutex;
use std::thread::ThreadId;
use std::time::Duration;

use rowmark_executor::{Computed, OnError, Options, Task};
use support::{Refused, Store, run};

/// What is neither `Send` nor `Sync`.
struct State<'a> {
    made_on: Rc<ThreadId>,
    rows: u64,
    dropped: &'a Mutex<Vec<u64>>,
}

impl Drop for State<'_> {
    fn drop(&mut self) {
        assert_eq!(*self.made_on, std::thread::current().id());
        self.dropped.lock().unwrap().push(self.rows);
    }
}

#[derive(Default)]
struct Stateful {
    panics_at: Option<u64>,
    setups: Mutex<Vec<ThreadId>>,
    /// How many rows each state saw.
    dropped: Mutex<Vec<u64>>,
}

/// A state with the task that it is borrowed from.
struct Run<'a>(&'a Stateful);

impl<'a> Task for Run<'a> {
    type Worker = State<'a>;
    type Row = u64;
    type Batch = (Range<u64>, Vec<u64>);
    type Error = Refused;

    fn setup(&self) -> Result<State<'a>, Refused> {
        let thread = std::thread::current().id();
        self.0.setups.lock().unwrap().push(thread);
        Ok(State { made_on: Rc::new(thread), rows: 0, dropped: &self.0.dropped })
    }

    fn open<'b>(
        &'b self,
        state: &'b mut State<'a>,
        range: Range<u64>,
    ) -> Result<impl Iterator<Item = Result<Computed<u64>, Refused>> + 'b, Refused> {
        Ok(range.map(|row| {
            assert_eq!(*state.made_on, std::thread::current().id());
            state.rows += 1;
            assert!(self.0.panics_at != Some(row), "row {row} is bad");
            std::thread::sleep(Duration::from_micros(100));
            Ok(row.into())
        }))
    }

    fn pack(&self, range: Range<u64>, rows: Vec<u64>) -> Result<Self::Batch, Refused> {
        Ok((range, rows))
    }
}

#[test]
fn each_worker_is_set_up_once() {
    let task = Stateful::default();
    run(4, 1000, &Run(&task), &mut Store::default(), &Options::default()).result.unwrap();
    let mut setups = task.setups.into_inner().unwrap();
    let count = setups.len();
    setups.sort_by_key(|thread| format!("{thread:?}"));
    setups.dedup();
    assert_eq!(setups.len(), count, "once on each thread");
    assert!((1..=4).contains(&count));
    let dropped = task.dropped.into_inner().unwrap();
    assert_eq!((dropped.len(), dropped.iter().sum::<u64>()), (count, 1000));
}

#[test]
fn a_worker_without_rows_is_not_set_up() {
    let task = Stateful::default();
    run(4, 0, &Run(&task), &mut Store::default(), &Options::default()).result.unwrap();
    assert_eq!(task.setups.into_inner().unwrap(), []);
}

#[test]
fn after_a_panic_the_state_is_made_again() {
    let task = Stateful { panics_at: Some(17), ..Stateful::default() };
    let options = Options::default().on_error(OnError::Record { failures_max: 1 });
    run(1, 40, &Run(&task), &mut Store::default(), &options).result.unwrap();
    assert_eq!(task.setups.into_inner().unwrap().len(), 2);
    assert_eq!(task.dropped.into_inner().unwrap(), [18, 22]);
}
