//! Where chains begin: every `read_*` builds a source and reads no more of it than is needed to know its columns.

use std::sync::Arc;

use rowmark_hashing::Fingerprint;
#[cfg(feature = "arrow")]
use rowmark_readers::ColumnarOptions;
use rowmark_readers::{
    CsvOptions, CsvSource, Error as ReadError, File, FileSource, Files, Format, JsonOptions, JsonSource,
    MemorySource, Source, StorageOptions, StorageSource,
};
use rowmark_rows::{Columns, RowSchema, RowType};
use rowmark_warehouse::Table;

use crate::chain::Chain;
use crate::dataset::StoredDataset;
#[cfg(feature = "database")]
use crate::input::QueryStage;
use crate::input::{Input, Once, Spool, TableInput};
use crate::session::Session;
use crate::stage::{Run, SourceStage, Stage};
use crate::{BoxError, Error, Result};

impl Session {
    /// Reads rows from CSV files with a header line and commas: one, a list, a folder or a pattern, compressed or not.
    ///
    /// With [`Row`](rowmark_rows::Row) in the place of a type the columns are the file's and their types are guessed. For
    /// any other type the header is compared with its fields.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let session = rowmark::Session::open(folder.path().join("state"))?;
    /// # let towns = folder.path().join("towns.csv");
    /// use rowmark::prelude::*;
    ///
    /// #[derive(Serialize, Deserialize)]
    /// struct Town { name: String, metres: Option<f64> }
    ///
    /// std::fs::write(&towns, "name,metres\nBern,540\nOz,\n")?;
    /// let metres = udf!("metres", |town: &Town| town.metres.unwrap_or(0.0));
    /// assert_eq!(session.read_csv::<Town>(&towns)?.map(metres).collect()?, [540.0, 0.0]);
    ///
    /// let names = udf!("names", |town: &Row| town["name"].to_string());
    /// assert_eq!(session.read_csv::<Row>(&towns)?.map(names).collect()?, ["\"Bern\"", "\"Oz\""]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A file cannot be opened, has no header or other columns than `T` has fields, or `T` cannot be stored.
    pub fn read_csv<T: RowType>(&self, files: impl Into<Files>) -> Result<Chain<T>> {
        self.read_csv_with(files, CsvOptions::new())
    }

    /// Reads rows from CSV files of another dialect, or some of their columns or rows.
    ///
    /// # Errors
    /// As [`read_csv`](Self::read_csv).
    pub fn read_csv_with<T: RowType>(
        &self,
        files: impl Into<Files>,
        options: CsvOptions,
    ) -> Result<Chain<T>> {
        Ok(self.read_files(CsvSource::<T>::open(files, options)?))
    }

    /// Reads rows from JSON files, which have a row on each line or are an array of rows: one file, a list, a folder or a
    /// pattern, compressed or not.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let session = rowmark::Session::open(folder.path().join("state"))?;
    /// # let towns = folder.path().join("towns.jsonl");
    /// use rowmark::prelude::*;
    ///
    /// std::fs::write(&towns, "{\"name\": \"Bern\", \"at\": [46.9, 7.4]}\n{\"name\": \"Oz\"}\n")?;
    /// let saved = session
    ///     .read_json::<Row>(&towns)?
    ///     .filter(udf!("known", |town: &Row| !town["at"].is_null()))
    ///     .save("known-towns")?;
    /// assert_eq!(saved.rows(), 1);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A file cannot be opened, its first rows are not of type `T`, or `T` cannot be stored.
    pub fn read_json<T: RowType>(&self, files: impl Into<Files>) -> Result<Chain<T>> {
        self.read_json_with(files, JsonOptions::new())
    }

    /// Reads rows from JSON files of a given layout, or some of their columns or rows.
    ///
    /// # Errors
    /// As [`read_json`](Self::read_json).
    pub fn read_json_with<T: RowType>(
        &self,
        files: impl Into<Files>,
        options: JsonOptions,
    ) -> Result<Chain<T>> {
        Ok(self.read_files(JsonSource::<T>::open(files, options)?))
    }

    /// Reads rows from Parquet files: one, a list, a folder or a pattern.
    ///
    /// Only the columns that are read are looked at, and a run that continues begins at the row group in which the first
    /// missing row is. A conversion that could lose something is refused; times, dates and decimals come as texts.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let session = rowmark::Session::open(folder.path().join("state"))?;
    /// use rowmark::prelude::*;
    ///
    /// #[derive(Serialize, Deserialize)]
    /// struct Made { id: u32, day: Option<String>, price: Option<String> }
    ///
    /// let some = rowmark::readers::ColumnarOptions::new().skip_extra_columns();
    /// let made = session.read_parquet_with::<Made>("crates/readers/tests/data/duckdb.parquet", some)?.collect()?;
    /// assert_eq!((made[7].day.as_deref(), made[7].price.as_deref()), (Some("2024-03-06"), Some("8.75")));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A file cannot be opened, is no Parquet file, or has other columns than `T` has fields.
    #[cfg(feature = "parquet")]
    pub fn read_parquet<T: RowType>(&self, files: impl Into<Files>) -> Result<Chain<T>> {
        self.read_parquet_with(files, ColumnarOptions::new())
    }

    /// Reads some columns or rows of Parquet files; see [`read_parquet`](Self::read_parquet).
    ///
    /// # Errors
    /// As [`read_parquet`](Self::read_parquet).
    #[cfg(feature = "parquet")]
    pub fn read_parquet_with<T: RowType>(
        &self,
        files: impl Into<Files>,
        options: ColumnarOptions,
    ) -> Result<Chain<T>> {
        Ok(self.read_files(rowmark_readers::ParquetSource::<T>::open(files, options)?))
    }

    /// Reads rows of a split of a dataset of the Hugging Face hub, from its Parquet files.
    ///
    /// What the hub's cache does not have is downloaded now. Where the hub is, where its cache is, the token, and whether
    /// anything is sent are said by the variables of the hub's other clients (`HF_ENDPOINT`, `HF_HOME`, `HF_HUB_CACHE`,
    /// `HF_TOKEN`, `HF_HUB_OFFLINE`) or by [`read_hf_with`](Self::read_hf_with); the cache is shared with them.
    ///
    /// Rows are known by the content of the files: a commit that changes but the dataset's description recomputes nothing.
    ///
    /// ```no_run
    /// # let folder = tempfile::tempdir()?;
    /// # let session = rowmark::Session::open(folder.path().join("state"))?;
    /// use rowmark::prelude::*;
    ///
    /// #[derive(Serialize, Deserialize)]
    /// struct Review { text: String, label: i64 }
    ///
    /// let length = udf!("length", |review: &Review| review.text.len() as u64);
    /// session.read_hf::<Review>("stanfordnlp/imdb", "train")?.map(length).save("lengths")?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// There is no such dataset or split, it may not be read, the hub is out of reach, or the columns are not the fields of
    /// `T`.
    #[cfg(feature = "hf")]
    pub fn read_hf<T: RowType>(&self, name: &str, split: &str) -> Result<Chain<T>> {
        self.read_hf_with(name, split, rowmark_readers::HfOptions::new())
    }

    /// Reads a configuration, a revision, some columns or some rows of a dataset; see [`read_hf`](Self::read_hf).
    ///
    /// # Errors
    /// As [`read_hf`](Self::read_hf).
    #[cfg(feature = "hf")]
    pub fn read_hf_with<T: RowType>(
        &self,
        name: &str,
        split: &str,
        options: rowmark_readers::HfOptions,
    ) -> Result<Chain<T>> {
        let options = options.or(&self.settings().hub);
        Ok(self.read_files(rowmark_readers::HfDataset::open(name, split, options)?.source::<T>()?))
    }

    /// Reads rows from Arrow IPC files (Feather) or streams: one, a list, a folder or a pattern.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let session = rowmark::Session::open(folder.path().join("state"))?;
    /// use rowmark::prelude::*;
    ///
    /// let made = session.read_arrow_ipc::<Row>("crates/readers/tests/data/pyarrow.arrow")?.collect()?;
    /// assert_eq!(made[2]["at"].as_str(), Some("2024-07-01T12:30:00.123456Z"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// A file cannot be opened, is no Arrow IPC file, or has other columns than `T` has fields.
    #[cfg(feature = "arrow")]
    pub fn read_arrow_ipc<T: RowType>(&self, files: impl Into<Files>) -> Result<Chain<T>> {
        self.read_arrow_ipc_with(files, ColumnarOptions::new())
    }

    /// Reads some columns or rows of Arrow IPC files; see [`read_arrow_ipc`](Self::read_arrow_ipc).
    ///
    /// # Errors
    /// As [`read_arrow_ipc`](Self::read_arrow_ipc).
    #[cfg(feature = "arrow")]
    pub fn read_arrow_ipc_with<T: RowType>(
        &self,
        files: impl Into<Files>,
        options: ColumnarOptions,
    ) -> Result<Chain<T>> {
        Ok(self.read_files(rowmark_readers::ArrowIpcSource::<T>::open(files, options)?))
    }

    /// Reads rows from Arrow record batches, which is what data frames of other libraries hand over. It is the same source
    /// as [`read_records`](Self::read_records) of the same rows.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let session = rowmark::Session::open(folder.path().join("state"))?;
    /// use rowmark::prelude::*;
    /// use rowmark::rows::RowSchema;
    ///
    /// let batch = RowSchema::of::<(u64, String)>()?.encode(&[(7, "seven".to_owned())])?;
    /// let rows = session.read_arrow::<(u64, String)>(vec![batch])?.collect()?;
    /// assert_eq!(rows, [(7, "seven".to_owned())]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// Their columns are not the fields of `T`, or not the same in all batches.
    #[cfg(feature = "arrow")]
    pub fn read_arrow<T: RowType>(&self, batches: Vec<arrow_array::RecordBatch>) -> Result<Chain<T>> {
        Ok(self.read(rowmark_readers::ArrowSource::new(batches)?))
    }

    /// Reads a listing of files: of a folder, a bucket (`s3://`, `gs://`, `az://`, `abfss://`) or a server (`http://`, `https://`). Each
    /// row is a [`File`](rowmark_readers::File), which a UDF opens, reads or reads as text. All but local files need the feature `storage`.
    ///
    /// An address means one file, everything below a folder, or what a pattern matches. A rerun knows the files by their
    /// paths, sizes and what tells their content: the store's entity tags, or hashes of local files. Times do not count, and
    /// a file that is not what was listed is an error of the UDF that reads it.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let folder = folder.path();
    /// # let session = rowmark::Session::open(folder.join("state"))?;
    /// use rowmark::prelude::*;
    /// use rowmark::readers::{Error, File};
    ///
    /// #[rowmark::udf]
    /// fn words(review: &File) -> Result<(String, u64), Error> {
    ///     Ok((review.name().to_owned(), review.text()?.split_whitespace().count() as u64))
    /// }
    ///
    /// std::fs::write(folder.join("1.txt"), "not bad at all")?;
    /// std::fs::write(folder.join("2.txt"), "bad")?;
    /// let reviews = folder.join("*.txt"); // or "s3://bucket/reviews/**/*.txt"
    /// let counted = session.read_storage(reviews)?.map(words).collect()?;
    /// assert_eq!(counted, [("1.txt".to_owned(), 4), ("2.txt".to_owned(), 1)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// An address cannot be understood or means no file, or its store cannot be reached or refuses.
    pub fn read_storage(&self, files: impl Into<Files>) -> Result<Chain<File>> {
        self.read_storage_with(files, StorageOptions::new())
    }

    /// Reads a listing of files in a store that is reached in another way than the environment says, or with their times or
    /// versions. No credential is part of a row, of an identity, or of what is recorded, logged or shown.
    ///
    /// ```no_run
    /// # let session = rowmark::Session::open("state")?;
    /// use rowmark::prelude::*;
    ///
    /// let minio = StorageOptions::new()
    ///     .endpoint("http://localhost:9000")
    ///     .allow_http()
    ///     .option("aws_access_key_id", "me")
    ///     .option("aws_secret_access_key", std::env::var("MINIO_SECRET")?);
    /// let images = session.read_storage_with("s3://bucket/images/**/*.jpg", minio)?;
    /// let public = session.read_storage_with("s3://public/**/*.txt", StorageOptions::new().anonymous())?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// As [`read_storage`](Self::read_storage), or an option is not known.
    pub fn read_storage_with(&self, files: impl Into<Files>, options: StorageOptions) -> Result<Chain<File>> {
        let source = StorageSource::open(files, options)?;
        Ok(self.read(match self.file_hashes() {
            Some(hashes) => source.remember(hashes),
            None => source,
        }))
    }

    /// Reads rows from a slice. The same rows are the same source in any process.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let session = rowmark::Session::open(folder.path().join("state"))?;
    /// assert_eq!(session.read_values(&[1, 2, 3]).collect()?, [1, 2, 3]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read_values<T: RowType + Clone>(&self, rows: &[T]) -> Chain<T> {
        self.read(MemorySource::new(rows))
    }

    /// Reads rows from a vector. The same rows are the same source in any process.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let session = rowmark::Session::open(folder.path().join("state"))?;
    /// let towns = vec![("Bern".to_owned(), 540), ("Biel".to_owned(), 434)];
    /// assert_eq!(session.read_records(towns).save("towns")?.rows(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn read_records<T: RowType + Clone>(&self, rows: Vec<T>) -> Chain<T> {
        self.read(MemorySource::new(rows))
    }

    /// Reads rows from an iterator, which is read once, when the chain runs.
    ///
    /// Its rows are hashed while they are stored; memory is that of one batch. A rerun reads the iterator again, finds that
    /// the rows are what they were, and skips what was computed from them.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let session = rowmark::Session::open(folder.path().join("state"))?;
    /// use rowmark::prelude::*;
    ///
    /// let squares = session.read_records_iter((0u64..1000).map(|n| n * n))?;
    /// assert_eq!(squares.filter(udf!("even", |n: &u64| n % 2 == 0)).count()?, 500);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// `T` cannot be stored.
    pub fn read_records_iter<T: RowType, I>(&self, rows: I) -> Result<Chain<T>>
    where
        I: IntoIterator<Item = T, IntoIter: Send + 'static>,
    {
        self.read_once("records", Box::new(rows.into_iter().map(Ok)))
    }

    /// Reads rows from an iterator that may fail; its first error ends the run. See
    /// [`read_records_iter`](Self::read_records_iter).
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let session = rowmark::Session::open(folder.path().join("state"))?;
    /// let numbers = "1 2 x".split(' ').map(str::parse::<u64>);
    /// let error = session.read_fallible_iter(numbers)?.collect().unwrap_err();
    /// assert_eq!(error.to_string(), "cannot read records");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// `T` cannot be stored.
    pub fn read_fallible_iter<T: RowType, E, I>(&self, rows: I) -> Result<Chain<T>>
    where
        E: Into<BoxError>,
        I: IntoIterator<Item = std::result::Result<T, E>, IntoIter: Send + 'static>,
    {
        let custom = |error: E| ReadError::Custom { name: "records".to_owned(), source: error.into() };
        self.read_once("records", Box::new(rows.into_iter().map(move |row| row.map_err(custom))))
    }

    /// Reads the rows of a query of SQLite or PostgreSQL, which is run once, when the chain runs.
    ///
    /// Its rows are hashed while they are stored, as those of an iterator are. With a
    /// [fingerprint query](rowmark_readers::Query::fingerprint) they stay stored, and the query is not run again while that
    /// answers the same; both are asked in one snapshot of the database, so that what is written meanwhile is in neither.
    ///
    /// Where the database is and the parameters may be secrets: no record, log or error has a password or a parameter in
    /// it. What is recorded of parameters under a fingerprint query is told [there](rowmark_readers::Query::param).
    ///
    /// ```
    /// # #[cfg(feature = "sqlite")] {
    /// # let folder = tempfile::tempdir()?;
    /// # let session = rowmark::Session::open(folder.path().join("state"))?;
    /// use rowmark::prelude::*;
    /// use rowmark::readers::Query;
    ///
    /// let query = Query::new("sqlite::memory:", "select 7 as id, ? as name").param("Bern");
    /// let towns = session.read_database::<Row>(query)?.collect()?;
    /// assert_eq!(towns[0].to_string(), "{id: 7, name: \"Bern\"}");
    /// # }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The database cannot be opened, the query is malformed, or its columns are not the fields of `T`.
    #[cfg(feature = "database")]
    pub fn read_database<T: RowType>(&self, query: rowmark_readers::Query) -> Result<Chain<T>> {
        let has_fingerprint = query.has_fingerprint();
        let rows = rowmark_readers::QueryRows::<T>::open(query)?;
        if has_fingerprint {
            return Ok(Chain::new(self, QueryStage::new(self, rows)));
        }
        let schema = rows.schema().clone();
        Ok(Chain::new(self, Spool::new(self, "rows of a query".to_owned(), schema, Box::new(rows))))
    }

    fn read_once<T: RowType>(&self, name: &str, rows: Once<T>) -> Result<Chain<T>> {
        Ok(Chain::new(self, Spool::new(self, name.to_owned(), RowSchema::of::<T>()?, rows)))
    }

    fn read_files<F: Format + 'static>(&self, source: FileSource<F>) -> Chain<F::Row> {
        match self.file_hashes() {
            Some(hashes) => self.read(source.remember(hashes)),
            None => self.read(source),
        }
    }

    /// Reads rows from a source of the user's own; the example `custom_source` makes one.
    pub fn read<S: Source<Row: RowType> + 'static>(&self, source: S) -> Chain<S::Row> {
        Chain::new(self, SourceStage(Arc::new(source)))
    }

    /// Reads the rows of a saved dataset: of one version, or of the latest.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let session = rowmark::Session::open(folder.path().join("state"))?;
    /// session.read_values(&[1u64, 2]).save("numbers")?;
    /// assert_eq!(session.read_dataset::<u64>("numbers", None)?.collect()?, [1, 2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// There is no such dataset, its table is gone or damaged, or its rows are not of type `T`.
    pub fn read_dataset<T: RowType>(&self, name: &str, version: Option<u32>) -> Result<Chain<T>> {
        Ok(Chain::new(self, StoredDataset::open::<T>(self, name, version)?))
    }

    /// Reads the rows of a finished table, of this store or of another. It is not changed and not copied, and has to be
    /// there whenever the chain runs.
    ///
    /// ```
    /// # let folder = tempfile::tempdir()?;
    /// # let folder = folder.path();
    /// use rowmark::Session;
    /// use rowmark::warehouse::{FileWarehouse, TableFilter, Warehouse};
    ///
    /// Session::open(folder.join("theirs"))?.read_values(&[1u64, 2]).save("numbers")?;
    ///
    /// let theirs = FileWarehouse::open(folder.join("theirs/tables"))?;
    /// let name = theirs.list(&TableFilter::Datasets)?.remove(0);
    /// let table = theirs.open_table(&name)?.expect("it was just listed");
    /// let session = Session::open(folder.join("ours"))?;
    /// assert_eq!(session.read_table::<u64>(&table)?.collect()?, [1, 2]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// The table is not sealed, or its rows are not of type `T`.
    pub fn read_table<T: RowType>(&self, table: &Table) -> Result<Chain<T>> {
        Ok(Chain::new(self, StoredTable::open::<T>(self, table)?))
    }
}

impl<T: RowType> Stage<T> for Spool<T> {
    fn name(&self) -> String {
        Spool::name(self).to_owned()
    }

    fn input(&self, run: &mut Run<'_>) -> Result<Arc<dyn Input<T>>> {
        let input = Spool::input(self)?;
        run.source(Spool::name(self), &input.fingerprint);
        Ok(Arc::new(input))
    }
}

/// A sealed table of any store as a source.
struct StoredTable {
    session: Session,
    table: Table,
    schema: RowSchema,
    fingerprint: Fingerprint,
}

impl StoredTable {
    fn open<T: RowType>(session: &Session, table: &Table) -> Result<Self> {
        let name = table.name().to_string();
        let Some(seal) = table.seal() else { return Err(Error::NotFinished { table: name }) };
        let schema = schema_of::<T>(table.schema())?;
        if let Some(difference) = schema.first_difference(table.schema()) {
            return Err(Error::OtherRows { name, difference });
        }
        let fingerprint = Fingerprint::new("rowmark.rows")
            .with_hash(
                "table content",
                seal.content_hash,
                format_args!("{name} {}", seal.content_hash.short()),
            )
            .with_hash("row schema", schema.content_hash(), &schema);
        Ok(Self { session: session.clone(), table: table.clone(), schema, fingerprint })
    }
}

impl<T: RowType> Stage<T> for StoredTable {
    fn name(&self) -> String {
        self.table.name().to_string()
    }

    fn input(&self, run: &mut Run<'_>) -> Result<Arc<dyn Input<T>>> {
        let Self { session, table, schema, fingerprint } = self;
        run.source(&table.name().to_string(), fingerprint);
        let (table, fingerprint) = (table.clone(), fingerprint.clone());
        Ok(Arc::new(TableInput::new(session, None, table, schema.clone(), fingerprint)))
    }
}

/// The schema of `T`, or where `T` has none the one that was found, if rows without a type can have it.
pub(crate) fn schema_of<T: RowType>(found: &RowSchema) -> Result<RowSchema> {
    RowSchema::of_or::<T, Error>(|| {
        Columns::of(found)?;
        Ok(found.clone())
    })
}
