//! The #[udf] attribute and the udf! macro of rowmark.
