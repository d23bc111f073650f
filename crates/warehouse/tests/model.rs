//! Random histories of tables against a model that keeps its rows in memory.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as tests do")]

mod support;

use std::collections::BTreeMap;

use proptest::prelude::*;
use rowmark_rows::{RowRange, RowRanges};
use rowmark_warehouse::{
    CodeId, Error, FileWarehouse, Table, TableFilter, TableName, TableWriter, Warehouse,
};
use support::{Row, batch_of, code, dataset, open, range, read_all, rows_of_range, schema, seal};

const INPUTS: u64 = 24;
const TABLES: usize = 3;

#[derive(Debug, Clone)]
enum Step {
    Append {
        table: usize,
        start: u64,
        len: u64,
        code: u8,
    },
    Commit {
        table: usize,
    },
    /// Drops the writer, with what it has not committed, and resumes.
    Reopen {
        table: usize,
    },
    Copy {
        from: usize,
        to: usize,
    },
    Rename {
        from: usize,
        to: usize,
    },
    Drop {
        table: usize,
    },
    SetRecord {
        table: usize,
        record: u8,
    },
    /// Appends what is missing, and seals.
    Finish {
        table: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let table = 0..TABLES;
    prop_oneof![
        8 => (table.clone(), 0..INPUTS, 1_u64..6, 0_u8..3)
            .prop_map(|(table, start, len, code)| Step::Append { table, start, len, code }),
        4 => table.clone().prop_map(|table| Step::Commit { table }),
        3 => table.clone().prop_map(|table| Step::Reopen { table }),
        2 => (table.clone(), table.clone()).prop_map(|(from, to)| Step::Copy { from, to }),
        1 => (table.clone(), table.clone()).prop_map(|(from, to)| Step::Rename { from, to }),
        1 => table.clone().prop_map(|table| Step::Drop { table }),
        1 => (table.clone(), any::<u8>()).prop_map(|(table, record)| Step::SetRecord { table, record }),
        1 => table.prop_map(|table| Step::Finish { table }),
    ]
}

type Batches = BTreeMap<u64, (RowRange, CodeId)>;

/// What a table should hold.
#[derive(Debug, Clone, Default)]
struct Model {
    committed: Batches,
    appended: Batches,
    is_sealed: bool,
}

impl Model {
    fn ranges(batches: &Batches) -> RowRanges {
        batches.values().map(|(range, _)| *range).collect()
    }

    fn commit(&mut self) {
        self.committed.append(&mut self.appended);
    }

    fn check(&self, table: &Table) {
        assert_eq!(*table.processed(), Self::ranges(&self.committed));
        let rows: Vec<Row> = self.committed.values().flat_map(|(range, _)| rows_of_range(*range)).collect();
        assert_eq!(table.rows_out(), rows.len() as u64);
        assert_eq!(read_all(table), rows);
        let mut codes = BTreeMap::new();
        for (range, code) in self.committed.values() {
            *codes.entry(*code).or_insert(0) += rows_of_range(*range).len() as u64;
        }
        assert_eq!(*table.codes(), codes);
        assert_eq!(table.seal().is_some(), self.is_sealed);
        assert_eq!(table.dropped_tail(), None);
    }
}

struct World {
    warehouse: FileWarehouse,
    models: [Option<Model>; TABLES],
    writers: [Option<Box<dyn TableWriter>>; TABLES],
}

fn name(table: usize) -> TableName {
    dataset(["a", "b", "c"][table])
}

impl World {
    fn writer(&mut self, table: usize) -> Option<&mut Box<dyn TableWriter>> {
        let model = self.models[table].get_or_insert_default();
        if model.is_sealed {
            let refused = self.warehouse.resume(&name(table));
            assert!(matches!(refused, Err(Error::TableSealed { .. })));
            return None;
        }
        let writer = &mut self.writers[table];
        if writer.is_none() {
            *writer = Some(match self.warehouse.resume(&name(table)) {
                Err(Error::TableMissing { .. }) => {
                    self.warehouse.create(&name(table), &schema(), b"").unwrap()
                }
                resumed => resumed.unwrap(),
            });
        }
        writer.as_mut()
    }

    fn close(&mut self, table: usize) {
        self.writers[table] = None;
        if let Some(model) = &mut self.models[table] {
            model.appended.clear();
        }
    }

    fn append(&mut self, table: usize, range: RowRange, code: CodeId) {
        let Some(writer) = self.writer(table) else { return };
        let answer = writer.append(range, code, &batch_of(range));
        let processed = writer.processed().clone();
        let model = self.models[table].as_mut().unwrap();
        let mut expected = Model::ranges(&model.committed);
        expected.extend(Model::ranges(&model.appended));
        if expected.overlap(range).is_some() {
            assert!(matches!(answer, Err(Error::Overlap { .. })));
        } else {
            answer.unwrap();
            model.appended.insert(range.start(), (range, code));
            expected.insert(range);
        }
        assert_eq!(processed, expected);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Append { table, start, len, code: number } => {
                self.append(table, range(start, (start + len).min(INPUTS)), code(number));
            }
            Step::Commit { table } => {
                if let Some(writer) = self.writer(table) {
                    writer.commit().unwrap();
                    self.models[table].as_mut().unwrap().commit();
                }
            }
            Step::Reopen { table } => {
                self.close(table);
                let _ = self.writer(table);
            }
            Step::Copy { from, to } => {
                self.close(from);
                let copied = self.warehouse.copy(&name(from), &name(to));
                match (&self.models[from], &self.models[to]) {
                    (_, Some(_)) => assert!(matches!(copied, Err(Error::TableExists { .. }))),
                    (None, None) => assert!(matches!(copied, Err(Error::TableMissing { .. }))),
                    (Some(model), None) => {
                        copied.unwrap();
                        self.models[to] = Some(model.clone());
                    }
                }
            }
            Step::Rename { from, to } => {
                self.close(from);
                let renamed = self.warehouse.rename(&name(from), &name(to));
                match (&self.models[from], &self.models[to]) {
                    (_, Some(_)) => assert!(matches!(renamed, Err(Error::TableExists { .. }))),
                    (None, None) => assert!(matches!(renamed, Err(Error::TableMissing { .. }))),
                    (Some(_), None) => {
                        renamed.unwrap();
                        self.models[to] = self.models[from].take();
                    }
                }
            }
            Step::Drop { table } => {
                self.close(table);
                let was_there = self.models[table].take().is_some();
                assert_eq!(self.warehouse.drop(&name(table)).unwrap(), was_there);
            }
            Step::SetRecord { table, record } => {
                if let Some(writer) = self.writer(table) {
                    writer.set_record(&[record]).unwrap();
                    // A record that is there already commits nothing; this makes both cases one.
                    writer.commit().unwrap();
                    self.models[table].as_mut().unwrap().commit();
                }
            }
            Step::Finish { table } => {
                let Some(writer) = self.writer(table) else { return };
                for missing in writer.processed().missing_in(range(0, INPUTS)) {
                    self.append(table, missing, code(9));
                }
                let sealed = self.writers[table].take().unwrap().seal(seal(INPUTS)).unwrap();
                let model = self.models[table].as_mut().unwrap();
                model.commit();
                model.is_sealed = true;
                model.check(&sealed);
            }
        }
    }

    fn check(&self) {
        let expected: Vec<TableName> =
            (0..TABLES).filter(|table| self.models[*table].is_some()).map(name).collect();
        assert_eq!(self.warehouse.list(&TableFilter::All).unwrap(), expected);
        for (table, model) in self.models.iter().enumerate() {
            let opened = self.warehouse.open_table(&name(table)).unwrap();
            match (opened, model) {
                (Some(opened), Some(model)) => model.check(&opened),
                (opened, model) => assert_eq!(opened.is_some(), model.is_some()),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..Default::default() })]

    #[test]
    fn tables_hold_what_was_committed_to_them(steps in prop::collection::vec(step(), 1..40)) {
        let (_folder, warehouse) = open();
        let mut world = World { warehouse, models: Default::default(), writers: Default::default() };
        for step in steps {
            world.step(step);
            world.check();
        }
    }
}
