//! Every crash point: a machine is crashed at operation 1, 2, 3, … of a whole run, and the run is made again.
//!
//! Tables are on a machine in memory that loses what was not synced. Records are in a metastore that keeps the promise
//! of its trait, and whose calls are operations of the same count (see [`crate::numbered`]); that sled keeps it is
//! proven by `crates/metastore/tests`, and that the two go together by [`crate::abort`].

use std::path::Path;
use std::sync::Arc;

use rowmark::metastore::MemoryMetastore;
use rowmark::warehouse::FileWarehouse;
use rowmark::{Result, Session};
use rowmark_os::{Fault, Loss, Os as _, Simulated};

use crate::calls;
use crate::numbered::{Numbered, RECORDS};
use crate::promises::{Promises, Promising};
use crate::work::{self, Outcome, Unbroken};

/// Rows of a run: enough for several batches, few enough for thousands of runs.
const ROWS: u64 = 9;

/// Of the pairs of crash points there are tens of thousands; so far apart are those that are tried.
const FIRST_STRIDE: usize = 7;
const SECOND_STRIDE: usize = 11;

const TABLES: &str = "state/tables";

/// A machine, and the records on it.
pub(crate) struct Machine {
    pub(crate) files: Simulated,
    records: Arc<MemoryMetastore>,
    promises: Promises,
    pub(crate) log: u64,
}

impl Machine {
    pub(crate) fn new(log: u64) -> Self {
        let files = Simulated::new();
        files.create_folder(Path::new(RECORDS)).unwrap();
        files.sync_folder(Path::new("")).unwrap();
        Self { files, records: Arc::default(), promises: Promises::default(), log }
    }

    fn warehouse(&self) -> Result<FileWarehouse> {
        Ok(FileWarehouse::open_on(Arc::new(self.files.clone()), TABLES)?)
    }

    fn session(&self) -> Result<Session> {
        let metastore = Numbered::new(self.files.clone(), self.records.clone());
        let warehouse = Promising::new(self.warehouse()?, self.promises.clone());
        work::session_on(Box::new(metastore), Arc::new(warehouse))
    }

    /// A process that opens the stores and runs to the end.
    pub(crate) fn run(&self) -> Result<Outcome> {
        work::run(&self.session()?, ROWS, self.log)
    }

    /// The same over other rows.
    fn run_over(&self, rows: &[u64]) -> Result<Outcome> {
        work::run_over(&self.session()?, rows.to_vec(), self.log)
    }

    /// A process that runs again after an operation has failed; nothing when it is not met.
    pub(crate) fn run_with_fault_and_again(&self, operation: u64, fault: Fault) -> Option<Result<Outcome>> {
        let session = self.session().unwrap();
        let before = self.files.operations();
        self.files.fail_at(before + operation, fault);
        let first = work::run(&session, ROWS, self.log);
        (self.files.operations() >= before + operation)
            .then(|| first.or_else(|_| work::run(&session, ROWS, self.log)))
    }

    /// What an unbroken run leaves.
    pub(crate) fn unbroken(log: u64) -> Unbroken {
        let machine = Self::new(log);
        let outcome = machine.run().unwrap();
        assert_eq!(calls::take(log), work::all_calls(ROWS));
        Unbroken::new(outcome, ROWS, &*machine.records, &machine.warehouse().unwrap())
    }

    /// Runs until nothing is missing, and checks that it was nothing more, and that nothing is left over.
    #[track_caller]
    pub(crate) fn check(&self, unbroken: &Unbroken, what: &str) {
        calls::take(self.log);
        let done = unbroken.done(&self.warehouse().unwrap());
        unbroken.check_promises(&self.promises, &done, what);
        let outcome = self.run().unwrap_or_else(|error| panic!("{what}: {error:?}"));
        unbroken.check_outcome(&outcome, what);
        unbroken.check_calls(&calls::take(self.log), &done, what);
        unbroken.check_stores(&*self.records, &self.warehouse().unwrap(), what);
        self.check_files(what);
        let again = self.run().unwrap_or_else(|error| panic!("{what}, run again: {error:?}"));
        unbroken.check_outcome(&again, what);
        assert!(calls::take(self.log).is_empty(), "{what}, run again");
        unbroken.check_stores(&*self.records, &self.warehouse().unwrap(), what);
    }

    /// A run that dies at an operation, counted from its own first, and a crash; tells whether it came so far.
    pub(crate) fn dies(&self, operation: u64, fault: Fault, loss: Loss) -> bool {
        self.dies_in(|| self.run(), operation, fault, loss)
    }

    fn dies_in(&self, run: impl Fn() -> Result<Outcome>, operation: u64, fault: Fault, loss: Loss) -> bool {
        self.files.fail_at(self.files.operations() + operation, fault);
        let ended = run();
        let has_died = self.files.exists(Path::new(RECORDS)).is_err();
        assert!(has_died || ended.is_ok(), "{ended:?}");
        self.files.crash(loss);
        has_died
    }

    /// Nothing is there but tables and their files.
    #[track_caller]
    fn check_files(&self, what: &str) {
        for table in self.files.list(Path::new(TABLES)).unwrap() {
            assert!(!table.starts_with('.'), "{what}: {table} was left over");
            for file in self.files.list(&Path::new(TABLES).join(&table)).unwrap() {
                assert!(
                    file == "footer" || file.ends_with(".seg"),
                    "{what}: {file} was left over in {table}"
                );
            }
        }
    }
}

/// Dies at every operation of a run, each time on a new machine that `prepare` has prepared.
fn dies_everywhere(prepare: impl Fn(&Simulated), fault: Fault, loss: impl Fn(u64) -> Loss) {
    let log = calls::new_log();
    let unbroken = Machine::unbroken(log);
    for operation in 1.. {
        let machine = Machine::new(log);
        prepare(&machine.files);
        if !machine.dies(operation, fault, loss(operation)) {
            println!("{} crash points, {fault:?}", operation - 1);
            assert!(operation > 200, "that is too few");
            return;
        }
        machine.check(&unbroken, &format!("died at operation {operation}, {fault:?}"));
    }
}

#[test]
fn every_crash_point_where_what_was_not_synced_is_lost() {
    dies_everywhere(|_| {}, Fault::Die, |_| Loss::AllUnsynced);
}

#[test]
fn every_crash_point_where_a_part_is_kept_and_the_last_write_is_torn() {
    dies_everywhere(|_| {}, Fault::DieHalfWay, Loss::Random);
}

/// There progress is copied when another job goes on with it.
#[test]
fn every_crash_point_on_a_file_system_without_links() {
    dies_everywhere(Simulated::refuse_links, Fault::DieHalfWay, |_| Loss::AllUnsynced);
}

/// What repairs a death can die as well.
#[test]
fn crash_points_of_the_run_after_a_crash() {
    let log = calls::new_log();
    let unbroken = Machine::unbroken(log);
    let mut pairs = 0;
    for first in (1..).step_by(FIRST_STRIDE) {
        for second in (1 + first % SECOND_STRIDE as u64..).step_by(SECOND_STRIDE) {
            let machine = Machine::new(log);
            let fault = [Fault::Die, Fault::DieHalfWay][pairs % 2];
            let loss = [Loss::AllUnsynced, Loss::Random(pairs as u64), Loss::Nothing][pairs % 3];
            if !machine.dies(first, fault, loss) {
                println!("{pairs} pairs of crash points");
                assert!(pairs > 500, "those are too few");
                return;
            }
            let again = machine.dies(second, fault, loss);
            machine.check(
                &unbroken,
                &format!("died at operation {first}, then at {second}, {fault:?}, {loss:?}"),
            );
            if !again {
                break;
            }
            pairs += 1;
        }
    }
}

/// Rows that are in work and not durable yet when the machine dies: with one worker the one that is computed, and what
/// is in the channel.
const ROWS_AT_RISK: u64 = 12;

/// A run over changed rows, which links or moves those that are as they were, dies at every operation.
fn dies_everywhere_in_a_run_that_reuses_rows(
    before: &[u64],
    after: &[u64],
    fault: Fault,
    loss: fn(u64) -> Loss,
) {
    let log = calls::new_log();
    let unbroken = Machine::new(log);
    unbroken.run_over(before).unwrap();
    let all_calls = calls::take(log);
    let outcome = unbroken.run_over(after).unwrap();
    let new_calls = calls::take(log);
    let rows_of = |calls: &calls::Calls, step: &str| calls.keys().filter(|(of, _)| of == step).count();
    assert!(rows_of(&new_calls, "square") < rows_of(&all_calls, "square") / 2, "{new_calls:?}");
    let unbroken = Unbroken::new(outcome, ROWS, &*unbroken.records, &unbroken.warehouse().unwrap());
    for operation in 1.. {
        let what = format!("died at operation {operation}, {fault:?}");
        let machine = Machine::new(log);
        machine.run_over(before).unwrap();
        calls::take(log);
        if !machine.dies_in(|| machine.run_over(after), operation, fault, loss(operation)) {
            println!("{} crash points, {fault:?}", operation - 1);
            assert!(operation > 200, "that is too few");
            return;
        }
        let mut calls = calls::take(log);
        let outcome = machine.run_over(after).unwrap_or_else(|error| panic!("{what}: {error:?}"));
        unbroken.check_outcome(&outcome, &what);
        for (call, times) in calls::take(log) {
            *calls.entry(call).or_default() += times;
        }
        let again: u64 = calls.values().map(|times| times - 1).sum();
        assert!(calls.keys().eq(new_calls.keys()) && again <= ROWS_AT_RISK, "{what}: {calls:?}");
        unbroken.check_stores(&*machine.records, &machine.warehouse().unwrap(), &what);
        machine.check_files(&what);
    }
}

#[test]
fn every_crash_point_of_a_run_that_links_its_rows() {
    let before: Vec<u64> = (0..ROWS).collect();
    let after: Vec<u64> = (0..ROWS + 2).collect();
    dies_everywhere_in_a_run_that_reuses_rows(&before, &after, Fault::DieHalfWay, Loss::Random);
}

#[test]
fn every_crash_point_of_a_run_that_moves_its_rows() {
    let before: Vec<u64> = (0..ROWS).collect();
    let mut after: Vec<u64> = (0..ROWS).collect();
    after.swap(1, 5);
    after.insert(4, 40);
    dies_everywhere_in_a_run_that_reuses_rows(&before, &after, Fault::Die, |_| Loss::AllUnsynced);
}
