//! Saved datasets: versions 1, 2, 3, … of a name, each a sealed table that is never written again.

use rowmark_hashing::{ContentHash, Fingerprint};
use rowmark_metastore::{Checkpoint, CheckpointKind, CodeRows, DatasetRef, DatasetVersion, Event, EventKind};
use rowmark_rows::{RowSchema, RowType};
use rowmark_warehouse::{DatasetName, Table, TableName, Warehouse};

use crate::input::TableInput;
use crate::read::schema_of;
use crate::report::{Decision, Report};
use crate::session::{Session, now};
use crate::step::Stored;
use crate::{Error, Result, store};

/// What `save` answers: the dataset version, and what was done for it.
#[derive(Clone, Debug)]
pub struct Saved {
    dataset: DatasetVersion,
    is_new: bool,
    report: Report,
}

impl Saved {
    /// Finds the version of a dataset that a chain with this result made before, or makes the next one.
    pub(crate) fn find_or_make(
        session: &Session,
        name: &DatasetName,
        stored: Stored,
        report: &Report,
        dependencies: &[DatasetRef],
    ) -> Result<Self> {
        let Stored { table, checkpoint, report: step } = stored;
        let (metastore, warehouse) = (session.metastore(), session.warehouse());
        let job = session.begin_job()?.id;
        // Versions of one name are made one after the other.
        let _guard = session.enter_step(ContentHash::of(&("rowmark.dataset", name.as_str()))?);
        let told = |dataset: DatasetVersion, is_new: bool| {
            let kind = if is_new { EventKind::SaveNew } else { EventKind::SaveFound };
            let reason = format!("version {}", dataset.version);
            metastore.record_event(Event {
                rows_out: dataset.rows,
                reason,
                ..Event::new(job, now(), dataset.name.as_str(), kind)
            })?;
            tracing::info!(dataset = dataset.name, version = dataset.version, is_new, "saved");
            Ok(Self { dataset, is_new, report: report.clone() })
        };
        if !session.settings().ignore_checkpoints
            && let Some(dataset) = metastore.find_dataset(name.as_str(), checkpoint.identity)?
        {
            // Its segments are those of the step's table. If that had to be made anew, they are looked at whole.
            if is_whole(warehouse, &dataset, step.decision != Decision::Skipped)? {
                return told(dataset, false);
            }
            session.warn(
                name.as_str(),
                format!("the table of version {} is gone or damaged", dataset.version),
            )?;
        }
        let version = free_version(session, name, &checkpoint)?;
        let table_name = TableName::dataset(name.clone(), version);
        // The table comes first: should the program die before its record, the next open makes that.
        warehouse.copy(table.name(), &table_name)?;
        let bytes = warehouse.size_bytes(&table_name)?.unwrap_or(0);
        let dataset = DatasetVersion {
            created_at: now(),
            job,
            dependencies: dependencies.to_vec(),
            ..store::dataset_version(name, version, &checkpoint, &table, bytes)
        };
        metastore.save_dataset(&dataset)?;
        told(dataset, true)
    }

    /// The dataset's name.
    pub fn name(&self) -> &str {
        &self.dataset.name
    }

    /// The dataset's version, from 1.
    pub fn version(&self) -> u32 {
        self.dataset.version
    }

    /// The number of rows.
    pub fn rows(&self) -> u64 {
        self.dataset.rows
    }

    /// The content hash of the rows in their order: the same for the same rows, whatever made them.
    pub fn content_hash(&self) -> ContentHash {
        self.dataset.content_hash
    }

    /// Whether this save made the version; otherwise it was there already.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Which code made how many of the input rows: more than one after code was changed and the step went on.
    pub fn provenance(&self) -> &[CodeRows] {
        &self.dataset.codes
    }

    /// The record of the version.
    pub fn dataset(&self) -> &DatasetVersion {
        &self.dataset
    }

    /// What the run did, step by step.
    pub fn report(&self) -> &Report {
        &self.report
    }
}

/// The next version of a dataset, and no table of it.
///
/// One can be there: of an attempt of this session whose record could not be written, which is dropped; or of a version
/// whose record was lost and could not be made again from its damaged table, which is left as it is.
fn free_version(session: &Session, name: &DatasetName, checkpoint: &Checkpoint) -> Result<u32> {
    let warehouse = session.warehouse();
    let mut version = session.metastore().get_next_dataset_version(name.as_str())?;
    loop {
        let table_name = TableName::dataset(name.clone(), version);
        match warehouse.open_table(&table_name) {
            Ok(None) => return Ok(version),
            Ok(Some(table)) if table.seal().map(|seal| seal.content_hash) == checkpoint.content_hash => {
                warehouse.drop(&table_name)?;
                return Ok(version);
            }
            Err(error) if !store::is_lost(&error) => return Err(error.into()),
            Ok(Some(_)) | Err(_) => version += 1,
        }
    }
}

/// Whether a dataset's table is there and sealed and, if asked, every byte of it is what was written.
fn is_whole(warehouse: &dyn Warehouse, dataset: &DatasetVersion, read_all: bool) -> Result<bool> {
    let whole = warehouse.open_table(&dataset.table.parse()?).and_then(|table| {
        let Some(table) = table.filter(|table| table.seal().is_some()) else { return Ok(false) };
        let mut frames = table.frames().iter().filter(|_| read_all);
        frames.try_for_each(|frame| table.read(frame).map(drop)).map(|()| true)
    });
    match whole {
        Err(error) if store::is_lost(&error) => Ok(false),
        whole => Ok(whole?),
    }
}

/// A dataset version as a source.
pub(crate) struct StoredDataset {
    dataset: DatasetVersion,
    schema: RowSchema,
    session: Session,
}

impl StoredDataset {
    pub(crate) fn open<T: RowType>(session: &Session, name: &str, version: Option<u32>) -> Result<Self> {
        let dataset = session
            .metastore()
            .get_dataset(name, version)?
            .ok_or_else(|| Error::NoDataset { name: name.to_owned(), version })?;
        let found = open_table(session, &dataset)?.schema().clone();
        let schema = schema_of::<T>(&found)?;
        match schema.first_difference(&found) {
            None => Ok(Self { dataset, schema, session: session.clone() }),
            Some(difference) => Err(Error::OtherRows { name: name.to_owned(), difference }),
        }
    }

    pub(crate) fn version(&self) -> DatasetRef {
        DatasetRef { name: self.dataset.name.clone(), version: self.dataset.version }
    }

    pub(crate) fn label(&self) -> String {
        format!("{} version {}", self.dataset.name, self.dataset.version)
    }

    pub(crate) fn table_input(&self) -> Result<TableInput> {
        let content_hash = &self.dataset.content_hash;
        let fingerprint = Fingerprint::new("rowmark.rows")
            .with_hash("dataset content", *content_hash, self.label())
            .with_hash("row schema", self.schema.content_hash(), &self.schema);
        let (session, table) = (&self.session, open_table(&self.session, &self.dataset)?);
        // The step whose table the dataset shares: if the rows are damaged, its next run makes them anew.
        let steps = session.metastore().find_anywhere(self.dataset.chain_hash, CheckpointKind::Final)?;
        let checkpoint = steps.into_iter().find(|step| step.content_hash == Some(self.dataset.content_hash));
        Ok(TableInput::new(session, checkpoint, table, self.schema.clone(), fingerprint))
    }
}

fn open_table(session: &Session, dataset: &DatasetVersion) -> Result<Table> {
    let DatasetVersion { name, version, table, .. } = dataset;
    session
        .warehouse()
        .open_table(&table.parse()?)?
        .ok_or_else(|| Error::NoDataset { name: name.clone(), version: Some(*version) })
}
