//! Random programs that fail, are mended, edited, retried and crashed, over rows that change, against a model of what may
//! be computed and what must come out: never a wrong row, never a finished row computed again, never one lost, and of
//! changed rows no more computed than there are.
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
use rowmark::rows::RowRanges;
use rowmark::warehouse::{FileWarehouse, Frame, Warehouse as _};
use rowmark_os::{Fault, Loss, Simulated};

use kept::Kept;
use program::{Content, Op, View, World, chain, identity, name};

/// Rows that were computed and may not be durable when the machine dies: with two workers a row being handed over by
/// each, four in the channel, five taken for a commit.
const ROWS_AT_RISK: usize = 2 + 4 + 5;

/// The program as its author sees it.
#[derive(Clone, Debug)]
struct Program {
    rows: Vec<u64>,
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
    /// The source gets one row more, or two equal ones, loses one, or has two in other places.
    Insert {
        at: usize,
        row: u64,
        twice: bool,
    },
    Remove {
        at: usize,
    },
    Swap {
        at: usize,
        with: usize,
    },
}

/// The most tables that rows are reused from.
const DONORS_MAX: usize = 4;

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
            Self { rows: (0..rows).collect(), ops, versions, bad: BTreeSet::new() }
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
            2 => (0..40usize, 0..60u64, any::<bool>()).prop_map(|(at, row, twice)| Event::Insert { at, row, twice }),
            1 => (0..40usize).prop_map(|at| Event::Remove { at }),
            1 => (0..40usize, 0..40usize).prop_map(|(at, with)| Event::Swap { at, with }),
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
            Event::Insert { at, row, twice } => {
                let at = (*at).min(program.rows.len());
                let new = vec![*row; if *twice { 2 } else { 1 }];
                program.rows.splice(at..at, new);
            }
            Event::Remove { at } if *at < program.rows.len() => {
                program.rows.remove(*at);
            }
            Event::Swap { at, with } if (*at).max(*with) < program.rows.len() => {
                program.rows.swap(*at, *with);
            }
            Event::Remove { .. } | Event::Swap { .. } => {}
            Event::Run { .. } | Event::Crash { .. } | Event::Flaky { .. } => {}
        }
        program
    }
}

/// What a step reads: the rows of the source, the versions of the UDFs before it, and whether rows of several are in
/// their results.
type Lineage = (Vec<u64>, Vec<(u64, bool)>);

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
    /// The inputs of steps, by the hashes of what was stored over them.
    inputs: BTreeMap<ContentHash, Vec<Option<Content>>>,
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
            let chain = chain(session, &program.rows, &program.ops, &program.versions, &self.world);
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
        let mut view: View = program.rows.iter().copied().map(Some).collect();
        let (mut lineage, mut is_open): (Lineage, _) = ((program.rows.clone(), Vec::new()), true);
        for (place, op) in program.ops.iter().enumerate() {
            if op.calls_a_udf() {
                let (input, contents) = (op.called_with(&view), op.contents(&view));
                let called: Vec<u64> =
                    calls.iter().filter(|(at, _)| *at == place).map(|(_, row)| *row).collect();
                if !is_open {
                    assert!(
                        called.is_empty(),
                        "step {place} was called though a step before it is not finished"
                    );
                    continue;
                }
                let version = program.versions[place];
                let of_input = self.known.get(&(place, lineage.clone())).and_then(|known| known.hash_partial);
                let stored = self.stored(place, version, (job, of_input), &warehouse);
                let known = self.known.entry((place, lineage.clone())).or_default();
                let is_bad = |row: &u64| program.bad.contains(&(place, *row));
                let missing = (0..).zip(&input).filter(|(row, _)| !known.progress.contains_key(row));
                let missing: Vec<u64> = missing.filter_map(|(_, value)| *value).collect();
                if known.finished.contains_key(&version) {
                    assert!(called.is_empty(), "step {place} was finished, and called with {called:?}");
                    if !crashed || result.is_some() {
                        known.progress.clear(); // a skip gives it up
                    }
                } else {
                    let before = known.progress.clone();
                    let is_finished = job
                        .is_some_and(|job| self.metastore.observe(&warehouse, place, known, (job, version)));
                    if let Some(hash_partial) = known.hash_partial {
                        self.inputs.insert(hash_partial, contents.clone());
                    }
                    let is_before = |row: u64| before.contains_key(&row);
                    assert!(
                        before.keys().all(|row| known.progress.contains_key(row)),
                        "step {place} lost rows"
                    );
                    let done =
                        rows_where(&contents, |row| known.progress.contains_key(&row) && !is_before(row));
                    let rows = Rows {
                        all: rows_where(&contents, |_| true),
                        before: rows_where(&contents, is_before),
                        called: count(&called),
                        done,
                        stored,
                    };
                    rows.check(is_finished, if crashed { ROWS_AT_RISK } else { 0 })
                        .unwrap_or_else(|told| panic!("step {place}: {told}\n{rows:?}"));
                    if is_finished {
                        assert!(known.progress.len() == input.len());
                        let made = std::mem::take(&mut known.progress);
                        known.finished.insert(version, made.values().any(|made| *made != version));
                    } else if !crashed {
                        assert!(missing.iter().any(is_bad), "step {place} did not finish");
                    }
                }
                match known.finished.get(&version) {
                    Some(is_mixed) => lineage.1.push((version, *is_mixed)),
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

impl Store {
    /// How many rows of each content this version of a step has done in the tables that its rows are reused from: the
    /// most that one of them has.
    fn stored(
        &self,
        place: usize,
        version: u64,
        (job, of_input): (Option<JobId>, Option<ContentHash>),
        warehouse: &FileWarehouse,
    ) -> Count<Content> {
        let code = identity(place, version).code_fingerprint().unwrap().hash();
        let mut most: Count<Content> = Count::new();
        let jobs = self.metastore.list_jobs().unwrap().into_iter().rev();
        let records = jobs.filter(|earlier| Some(earlier.id) != job).flat_map(|earlier| {
            let records = self.metastore.list_checkpoints(earlier.id).unwrap();
            records.into_iter().rev().filter(|record| record.step == name(place) && record.is_active())
        });
        let donors = records.filter(|record| {
            let version = version.to_string();
            let is_mine = |shown: &str| record.kind == CheckpointKind::Partial || shown == version;
            let made = record.fingerprint.get("udf version");
            Some(record.hash_partial) != of_input && made.is_none_or(|made| is_mine(&made.shown))
        });
        let donors = donors.filter_map(|record| {
            let table = warehouse.open_table(&record.table.parse().unwrap()).unwrap().unwrap();
            let input = self.inputs.get(&record.hash_partial)?;
            let frames = table.frames().iter().filter(|frame| frame.code().hash() == code);
            let rows: RowRanges = frames.map(Frame::range).collect();
            (!rows.is_empty()).then(|| rows_where(input, |row| rows.contains(row)))
        });
        for (content, rows) in donors.take(DONORS_MAX).flatten() {
            let known = most.entry(content).or_default();
            *known = rows.max(*known);
        }
        most
    }
}

/// How often something is there.
type Count<T> = BTreeMap<T, usize>;

fn count<T: Ord + Clone>(rows: &[T]) -> Count<T> {
    let mut count = Count::new();
    rows.iter().for_each(|row| *count.entry(row.clone()).or_default() += 1);
    count
}

/// The contents of the rows that are chosen by their number and not filtered out.
fn rows_where(contents: &[Option<Content>], chosen: impl Fn(u64) -> bool) -> Count<Content> {
    let rows = (0..).zip(contents).filter(|(row, _)| chosen(*row));
    count(&rows.filter_map(|(_, content)| content.clone()).collect::<Vec<_>>())
}

/// The rows of a step before and after a run, by content, and the calls.
#[derive(Debug)]
struct Rows {
    all: Count<Content>,
    /// Done before the run.
    before: Count<Content>,
    called: Count<u64>,
    /// Done by the run.
    done: Count<Content>,
    /// Done over other inputs.
    stored: Count<Content>,
}

impl Rows {
    /// Checks that what was missing was computed, unless it is stored, and nothing else; so many calls may be lost.
    fn check(&self, is_finished: bool, lost_max: usize) -> Result<(), String> {
        let mut lost = 0;
        if let Some(row) = self.called.keys().find(|row| !self.all.keys().any(|(key, _)| key == *row)) {
            return Err(format!("{row} was called and is not there"));
        }
        for (content, &all) in &self.all {
            let of = |rows: &Count<Content>| rows.get(content).copied().unwrap_or_default();
            let (before, done, stored) = (of(&self.before), of(&self.done), of(&self.stored).min(all));
            let called = self.called.get(&content.0).copied().unwrap_or_default();
            // Of rows that are equal, those that were done before may be the ones that stored ones stand for.
            let most = all - before - stored.saturating_sub(before);
            let least = (all - before).saturating_sub(stored);
            if called > most || (is_finished && called < least) {
                return Err(format!("{content:?} was called {called} times instead of {least} to {most}"));
            }
            if done > called + stored {
                return Err(format!("{content:?} is done and was not called"));
            }
            lost += called.saturating_sub(done);
        }
        if lost > lost_max { Err(format!("{lost} rows are lost")) } else { Ok(()) }
    }
}

impl StateMachineTest for Store {
    type SystemUnderTest = Self;
    type Reference = Program;

    fn init_test(_: &Program) -> Self {
        let (machine, metastore) = (Simulated::new(), Kept::default());
        Self { machine, metastore, world: Arc::default(), known: BTreeMap::new(), inputs: BTreeMap::new() }
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
            Event::Break { .. }
            | Event::MendAll
            | Event::Edit { .. }
            | Event::EditBack { .. }
            | Event::Insert { .. }
            | Event::Remove { .. }
            | Event::Swap { .. } => {}
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
