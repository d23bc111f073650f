//! Histories of tables on a machine that crashes, against the store in memory.

use std::collections::BTreeMap;
use std::sync::Arc;

use rowmark_os::{Fault, Loss, Os, Simulated};
use rowmark_rows::RowRange;
use rowmark_warehouse::{
    CodeId, Error, FileWarehouse, MemoryWarehouse, Seal, Table, TableFilter, TableName, Warehouse,
};

use super::{Row, append, check_inputs, dataset, range, rows_of_range, schema, seal};

/// The folder of the warehouse on the machine.
pub(crate) const FOLDER: &str = "state/tables";
/// Input rows have numbers below this.
pub(crate) const INPUTS: u64 = 24;

pub(crate) type Batch = (RowRange, CodeId);

/// One thing that is done to tables; doing it again goes on where it was left.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// Creates or resumes a table, and appends batches in several commits.
    Write {
        table: &'static str,
        commits: Vec<Vec<Batch>>,
    },
    /// Seals a table; input rows that are in no batch have failed.
    Seal {
        table: &'static str,
    },
    Copy {
        from: &'static str,
        to: &'static str,
    },
    CopyWithRecord {
        from: &'static str,
        to: &'static str,
    },
    ResumeCopy {
        from: &'static str,
        to: &'static str,
    },
    Rename {
        from: &'static str,
        to: &'static str,
    },
    Drop {
        table: &'static str,
    },
}

/// What can be seen of a table.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Seen {
    pub(crate) batches: BTreeMap<RowRange, (CodeId, Vec<Row>)>,
    pub(crate) seal: Option<Seal>,
}

pub(crate) type Tables = BTreeMap<TableName, Seen>;

impl Step {
    /// Does it; `commits_done` counts the commits that were answered.
    pub(crate) fn apply(&self, warehouse: &dyn Warehouse, commits_done: &mut usize) -> Result<(), Error> {
        match self {
            Self::Write { table, commits } => {
                let table = dataset(table);
                let mut writer = match warehouse.resume(&table) {
                    Err(Error::TableMissing { .. }) => warehouse.create(&table, &schema(), b"record")?,
                    resumed => resumed?,
                };
                for batches in commits {
                    for (range, code) in batches {
                        if writer.processed().overlap(*range).is_none() {
                            append(&mut *writer, *range, *code)?;
                        }
                    }
                    writer.commit()?;
                    *commits_done += 1;
                }
            }
            Self::Seal { table } => {
                let writer = warehouse.resume(&dataset(table))?;
                let failed = writer.processed().missing_in(range(0, INPUTS));
                writer.seal(Seal { failed, ..seal(INPUTS) })?;
            }
            Self::Copy { from, to } => warehouse.copy(&dataset(from), &dataset(to))?,
            Self::CopyWithRecord { from, to } => {
                warehouse.copy_with_record(&dataset(from), &dataset(to), b"other")?;
            }
            Self::ResumeCopy { from, to } => {
                let from = dataset(from);
                let table = warehouse.open_table(&from)?.ok_or(Error::TableMissing { table: from })?;
                drop(warehouse.resume_copy(&table, &dataset(to), b"record")?);
            }
            Self::Rename { from, to } => warehouse.rename(&dataset(from), &dataset(to))?,
            Self::Drop { table } => drop(warehouse.drop(&dataset(table))?),
        }
        Ok(())
    }

    /// The step up to one of its commits, if it is one that commits.
    fn up_to(&self, commits_done: usize) -> Option<Self> {
        match self {
            Self::Write { table, commits } => {
                Some(Self::Write { table, commits: commits[..commits_done].to_vec() })
            }
            _ => None,
        }
    }
}

pub(crate) fn see(table: &Table) -> Seen {
    check_inputs(table).unwrap();
    let batches = table
        .frames()
        .iter()
        .map(|frame| {
            let rows: Vec<Row> = schema().decode(&table.read(frame).unwrap()).unwrap();
            assert_eq!(rows, rows_of_range(frame.range()), "what is read is what was written");
            (frame.range(), (frame.code(), rows))
        })
        .collect();
    let seal = table.seal().cloned();
    assert_eq!(seal.as_ref().map_or(b"record".as_slice(), |seal| &seal.record), table.record());
    Seen { batches, seal }
}

pub(crate) fn see_all(warehouse: &dyn Warehouse) -> Tables {
    let names = warehouse.list(&TableFilter::All).unwrap();
    names
        .into_iter()
        .map(|name| (name.clone(), see(&warehouse.open_table(&name).unwrap().unwrap())))
        .collect()
}

/// A store in memory that holds these tables.
fn remember(tables: &Tables) -> MemoryWarehouse {
    let memory = MemoryWarehouse::new();
    for (name, Seen { batches, seal }) in tables {
        let mut writer = memory.create(name, &schema(), b"record").unwrap();
        for (range, (code, _)) in batches {
            append(&mut *writer, *range, *code).unwrap();
        }
        writer.commit().unwrap();
        if let Some(seal) = seal {
            writer.seal(seal.clone()).unwrap();
        }
    }
    memory
}

/// A warehouse on a simulated machine, and what should be in it.
pub(crate) struct World {
    pub(crate) machine: Simulated,
    pub(crate) warehouse: FileWarehouse,
    pub(crate) memory: MemoryWarehouse,
}

impl World {
    pub(crate) fn new() -> Self {
        let machine = Simulated::new();
        let warehouse = FileWarehouse::open_on(Arc::new(machine.clone()), FOLDER).unwrap();
        Self { machine, warehouse, memory: MemoryWarehouse::new() }
    }

    /// Does a step in both stores; answers whether a fault was met on the way. If so, the machine crashes when its
    /// process has died, what is there then is judged, and the step is done to its end.
    pub(crate) fn step(&mut self, step: &Step, loss: Loss) -> bool {
        let mut commits_done = 0;
        let answer = step.apply(&self.warehouse, &mut commits_done);
        let before = matches!(answer, Err(Error::Io { .. })).then(|| see_all(&self.memory));
        let expected = step.apply(&self.memory, &mut 0);
        let Some(before) = before else {
            assert_eq!(kind(&answer), kind(&expected), "{step:?}: {answer:?}");
            return false;
        };
        let least = remember(&before);
        if let Some(step) = step.up_to(commits_done) {
            // What is refused changes nothing.
            let _ = step.apply(&least, &mut 0);
        }
        let (least, after) = (see_all(&least), see_all(&self.memory));
        let judge = |found: &Tables| {
            let is_fine = match step {
                Step::Write { .. } => {
                    commits_done == 0 && *found == before || is_between(&least, found, &after)
                }
                _ => *found == before || *found == after,
            };
            assert!(is_fine, "{step:?}: {found:?}");
        };
        let has_died = self.machine.exists("".as_ref()).is_err();
        if has_died {
            self.reboot(loss);
        }
        let mut found = see_all(&self.warehouse);
        judge(&found);
        if found == after && !has_died {
            // It was answered with an error, so nobody may count on it before the power fails.
            self.reboot(loss);
            found = see_all(&self.warehouse);
            judge(&found);
        }
        self.memory = remember(&found);
        if found != after {
            self.step(step, loss);
        }
        true
    }

    /// Starts the machine again after a crash: whatever was half done then is swept.
    pub(crate) fn reboot(&mut self, loss: Loss) {
        self.machine.crash(loss);
        self.warehouse = FileWarehouse::open_on(Arc::new(self.machine.clone()), FOLDER).unwrap();
        self.warehouse.remove_leftovers().unwrap();
        assert_eq!(self.warehouse.remove_leftovers().unwrap(), 0);
        let tables = self.warehouse.list(&TableFilter::All).unwrap();
        let names: Vec<String> = tables.iter().map(ToString::to_string).collect();
        assert_eq!(self.machine.list(FOLDER.as_ref()).unwrap(), names);
        for name in names {
            let files = self.machine.list(&std::path::Path::new(FOLDER).join(name)).unwrap();
            assert!(files.iter().all(|file| file == "footer" || file.ends_with(".seg")), "{files:?}");
        }
    }

    /// Checks that both stores hold the same, also after the power fails once more.
    pub(crate) fn check(&mut self) {
        // A fault that was set and not met yet is met by nobody.
        self.machine.fail_at(0, Fault::Io);
        let expected = see_all(&self.memory);
        assert_eq!(see_all(&self.warehouse), expected);
        self.reboot(Loss::AllUnsynced);
        assert_eq!(see_all(&self.warehouse), expected);
    }
}

/// Whether each table has at least the batches of `least`, at most those of `most`, and is otherwise the same.
fn is_between(least: &Tables, found: &Tables, most: &Tables) -> bool {
    let holds = |one: &Tables, other: &Tables| {
        other.iter().all(|(name, Seen { batches, seal })| {
            one.get(name).is_some_and(|seen| {
                seen.seal == *seal
                    && batches.iter().all(|(range, batch)| seen.batches.get(range) == Some(batch))
            })
        })
    };
    holds(found, least) && holds(most, found)
}

/// Which error it is, without its details.
fn kind<T>(answer: &Result<T, Error>) -> Option<std::mem::Discriminant<Error>> {
    answer.as_ref().err().map(std::mem::discriminant)
}

/// The faults after which the process goes on.
pub(crate) const REFUSALS: [Fault; 3] = [Fault::NoSpace, Fault::ShortWrite, Fault::Io];
pub(crate) const DEATHS: [Fault; 2] = [Fault::Die, Fault::DieHalfWay];
