//! Random programs that fail, are mended, edited, retried and crashed, against a model of what may be computed and what
//! must come out: never a wrong row, never a finished row computed again, never one lost.
//!
//! The tables are on a simulated machine, which forgets at a crash what was not synced; the records are kept.
//! An edit here is another version of a UDF that computes the same: results do not depend on it, calls do.

#![expect(clippy::unwrap_used, reason = "a test")]

mod kept;
mod program;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use proptest::prelude::*;
use proptest_state_machine::{ReferenceStateMachine, StateMachineTest};
use rowmark::hashing::ContentHash;
use rowmark::metastore::{CheckpointKind, JobId, Metastore};
use rowmark::prelude::*;
use rowmark::warehouse::{FileWarehouse, Warehouse as _};
use rowmark_os::{Fault, Loss, Simulated};

use kept::Kept;
use program::{Op, View, World, chain, name};

/// Rows that were computed and may not be durable when the machine dies: with two workers a row being handed over by
/// each, four in the channel, five taken for a commit.
const ROWS_AT_RISK: usize = 2 + 4 + 5;

/// The program as its author sees it.
#[derive(Clone, Debug)]
struct Program {
    rows: u64,
    ops: Vec<Op>,
    versions: Vec<u64>,
    bad: BTreeSet<(usize, u64)>,
}

/// What happens next.
#[derive(Clone, Debug)]
enum Event {
    Run {
        threads: usize,
        twice: bool,
    },
    /// A run in which so many operations of the machine go well, and then one does not.
    Crash {
        threads: usize,
        after: u64,
        fault: Fault,
        loss: Loss,
    },
    Break {
        place: usize,
        row: u64,
    },
    MendAll,
    /// A row fails once more, and a run tries it again.
    Flaky {
        place: usize,
        row: u64,
    },
    Edit {
        place: usize,
    },
    EditBack {
        place: usize,
    },
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => Just(Op::Map),
        3 => Just(Op::FlatMap),
        3 => Just(Op::Agg),
        2 => (2..5u64).prop_map(Op::Filter),
        1 => (0..30u64).prop_map(Op::Limit),
        1 => (0..10u64).prop_map(Op::Offset),
        2 => (0..10u64).prop_map(Op::Union),
        1 => Just(Op::OrderBy),
        1 => Just(Op::Distinct),
    ]
}

impl ReferenceStateMachine for Program {
    type State = Self;
    type Transition = Event;

    fn init_state() -> BoxedStrategy<Self> {
        let ops = prop::collection::vec(op(), 1..=5);
        let program = (0..40u64, ops).prop_map(|(rows, ops)| {
            let versions = vec![1; ops.len()];
            Self { rows, ops, versions, bad: BTreeSet::new() }
        });
        program.boxed()
    }

    fn transitions(program: &Self) -> BoxedStrategy<Event> {
        let place = 0..program.ops.len();
        let fault = prop::sample::select(vec![
            Fault::Die,
            Fault::DieHalfWay,
            Fault::NoSpace,
            Fault::ShortWrite,
            Fault::Io,
        ]);
        let loss =
            prop_oneof![Just(Loss::Nothing), Just(Loss::AllUnsynced), any::<u64>().prop_map(Loss::Random)];
        let threads = 1..=2usize;
        prop_oneof![
            3 => (threads.clone(), any::<bool>()).prop_map(|(threads, twice)| Event::Run { threads, twice }),
            4 => (threads, 0..150u64, fault, loss)
                .prop_map(|(threads, after, fault, loss)| Event::Crash { threads, after, fault, loss }),
            3 => (place.clone(), 0..40u64).prop_map(|(place, row)| Event::Break { place, row }),
            2 => Just(Event::MendAll),
            1 => (place.clone(), 0..40u64).prop_map(|(place, row)| Event::Flaky { place, row }),
            2 => place.clone().prop_map(|place| Event::Edit { place }),
            2 => place.prop_map(|place| Event::EditBack { place }),
        ]
        .boxed()
    }

    fn apply(mut program: Self, event: &Event) -> Self {
        match event {
            Event::Break { place, row } => {
                program.bad.insert((*place, *row));
            }
            Event::MendAll => program.bad.clear(),
            Event::Edit { place } => program.versions[*place] += 1,
            Event::EditBack { place } => program.versions[*place] = 1,
            Event::Run { .. } | Event::Crash { .. } | Event::Flaky { .. } => {}
        }
        program
    }
}

/// What a step reads: the versions of the UDFs before it, and whether rows of several are in their results.
type Lineage = Vec<(u64, bool)>;

/// What is known of a step over one input.
#[derive(Clone, Debug, Default)]
struct Known {
    hash_partial: Option<ContentHash>,
    /// The versions that finished it, and whether rows of other versions are in the result.
    finished: BTreeMap<u64, bool>,
    /// Rows of the progress since, with the version that made each.
    progress: BTreeMap<u64, u64>,
}

/// The store, and the model of it.
struct Store {
    machine: Simulated,
    metastore: Kept,
    world: Arc<World>,
    known: BTreeMap<(usize, Lineage), Known>,
}

impl Store {
    fn session(&self, threads: usize) -> rowmark::Result<Session> {
        let warehouse = FileWarehouse::open_on(Arc::new(self.machine.clone()), "tables")?;
        Session::builder()
            .stores(Box::new(self.metastore.clone()), Arc::new(warehouse))
            .job_name("model")
            .threads(threads)
            .durability(Durability::EveryRow)
            .retry(Retry { attempts: 2, delay: Duration::ZERO, ..Retry::default() })
            .progress(ProgressDisplay::Off)
            .open()
    }

    fn run(&mut self, program: &Program, threads: usize, twice: bool, crash: Option<(u64, Fault, Loss)>) {
        self.world.bad.lock().unwrap().clone_from(&program.bad);
        self.world.calls.lock().unwrap().clear();
        if let Some((after, fault, _)) = crash {
            self.machine.fail_at(self.machine.operations() + 1 + after, fault);
        }
        let session = self.session(threads);
        let result = session.as_ref().ok().map(|session| {
            let chain = chain(session, program.rows, &program.ops, &program.versions, &self.world);
            let first = chain.collect();
            if twice { chain.collect() } else { first }
        });
        let job = session.as_ref().ok().and_then(Session::job).map(|job| job.id);
        drop(session);
        if let Some((.., loss)) = crash {
            self.machine.crash(loss);
        }
        let rows = match result {
            Some(Ok(rows)) => Some(rows),
            Some(Err(error)) => {
                assert!(crash.is_some() || !program.bad.is_empty(), "{error:?}");
                None
            }
            None => {
                assert!(crash.is_some(), "a session could not be opened");
                None
            }
        };
        self.check(program, rows, job, crash.is_some());
    }

    /// Checks what came out and what was called, and takes down what is stored now.
    fn check(&mut self, program: &Program, result: Option<Vec<u64>>, job: Option<JobId>, crashed: bool) {
        drop(self.session(1).unwrap()); // makes records and tables agree
        let warehouse = FileWarehouse::open_on(Arc::new(self.machine.clone()), "tables").unwrap();
        let calls = std::mem::take(&mut *self.world.calls.lock().unwrap());
        let mut view: View = (0..program.rows).map(Some).collect();
        let (mut lineage, mut is_open) = (Lineage::new(), true);
        for (place, op) in program.ops.iter().enumerate() {
            if op.calls_a_udf() {
                let input = op.called_with(&view);
                let called: Vec<u64> =
                    calls.iter().filter(|(at, _)| *at == place).map(|(_, row)| *row).collect();
                if !is_open {
                    assert!(
                        called.is_empty(),
                        "step {place} was called though a step before it is not finished"
                    );
                    continue;
                }
                let known = self.known.entry((place, lineage.clone())).or_default();
                let version = program.versions[place];
                let is_bad = |row: &u64| program.bad.contains(&(place, *row));
                let missing = (0..).zip(&input).filter(|(row, _)| !known.progress.contains_key(row));
                let missing: Vec<u64> = missing.filter_map(|(_, value)| *value).collect();
                if known.finished.contains_key(&version) {
                    assert!(called.is_empty(), "step {place} was finished, and called with {called:?}");
                    if !crashed || result.is_some() {
                        known.progress.clear(); // a skip gives it up
                    }
                } else {
                    is_part(&called, &missing)
                        .unwrap_or_else(|row| panic!("step {place}: {row} was called again"));
                    let before = known.progress.clone();
                    let is_finished = job
                        .is_some_and(|job| self.metastore.observe(&warehouse, place, known, (job, version)));
                    let done: Vec<u64> = (0..)
                        .zip(&input)
                        .filter(|(row, _)| known.progress.contains_key(row) && !before.contains_key(row))
                        .filter_map(|(_, value)| *value)
                        .collect();
                    assert!(
                        before.keys().all(|row| known.progress.contains_key(row)),
                        "step {place} lost rows"
                    );
                    is_part(&done, &called)
                        .unwrap_or_else(|row| panic!("step {place}: {row} is done and was not called"));
                    let lost = called.len() - done.len();
                    assert!(lost <= if crashed { ROWS_AT_RISK } else { 0 }, "step {place} lost {lost} rows");
                    if is_finished {
                        assert!(!missing.iter().any(is_bad) && known.progress.len() == input.len());
                        let made = std::mem::take(&mut known.progress);
                        known.finished.insert(version, made.values().any(|made| *made != version));
                    } else if !crashed {
                        assert!(missing.iter().any(is_bad), "step {place} did not finish");
                    }
                }
                match known.finished.get(&version) {
                    Some(is_mixed) => lineage.push((version, *is_mixed)),
                    None => is_open = false,
                }
            }
            view = op.apply(&view);
        }
        if let Some(rows) = result {
            assert!(is_open);
            assert_eq!(rows, view.into_iter().flatten().collect::<Vec<_>>());
        } else {
            assert!(crashed || !is_open, "the run failed for no reason");
        }
    }
}

impl Kept {
    /// Takes down the rows that are stored of a step after a job; answers whether that finished it.
    fn observe(
        &self,
        warehouse: &FileWarehouse,
        place: usize,
        known: &mut Known,
        (job, version): (JobId, u64),
    ) -> bool {
        let records = self.list_checkpoints(job).unwrap();
        if let Some(record) = records.iter().find(|record| record.step == name(place)) {
            known.hash_partial = Some(record.hash_partial);
        }
        let Some(hash_partial) = known.hash_partial else { return false };
        let records = self.find_by_partial(hash_partial).unwrap();
        let newest =
            |kind| records.iter().filter(move |record| record.kind == kind).max_by_key(|record| record.job);
        let finished = newest(CheckpointKind::Final).filter(|record| record.job == job);
        let Some(record) = finished.or(newest(CheckpointKind::Partial)) else { return false };
        let table = warehouse.open_table(&record.table.parse().unwrap()).unwrap().unwrap();
        for row in table.processed().iter().flat_map(|range| range.start()..range.end()) {
            known.progress.entry(row).or_insert(version);
        }
        finished.is_some()
    }
}

/// Whether all of the rows are among others, as often as there; else one that is not.
fn is_part(rows: &[u64], of: &[u64]) -> Result<(), u64> {
    let mut left: BTreeMap<u64, usize> = BTreeMap::new();
    of.iter().for_each(|row| *left.entry(*row).or_default() += 1);
    rows.iter().try_for_each(|row| match left.get_mut(row) {
        Some(times) if *times > 0 => {
            *times -= 1;
            Ok(())
        }
        _ => Err(*row),
    })
}

impl StateMachineTest for Store {
    type SystemUnderTest = Self;
    type Reference = Program;

    fn init_test(_: &Program) -> Self {
        let (machine, metastore) = (Simulated::new(), Kept::default());
        Self { machine, metastore, world: Arc::default(), known: BTreeMap::new() }
    }

    fn apply(mut store: Self, program: &Program, event: Event) -> Self {
        match event {
            Event::Run { threads, twice } => store.run(program, threads, twice, None),
            Event::Crash { threads, after, fault, loss } => {
                store.run(program, threads, false, Some((after, fault, loss)));
            }
            Event::Flaky { place, row } => {
                store.world.flaky.lock().unwrap().insert((place, row));
            }
            Event::Break { .. } | Event::MendAll | Event::Edit { .. } | Event::EditBack { .. } => {}
        }
        store
    }

    /// In the end, mended, every program gives what it means.
    fn teardown(mut store: Self, program: Program) {
        let program = Program { bad: BTreeSet::new(), ..program };
        store.run(&program, 2, true, None);
    }
}

proptest_state_machine::prop_state_machine! {
    #![proptest_config(ProptestConfig { max_shrink_iters: 3000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_programs_do_what_they_mean(sequential 1..30 => Store);
}
