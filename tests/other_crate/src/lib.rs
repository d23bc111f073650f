//! Helpers, constants and UDFs in another crate than the one whose UDFs use them: two versions of each.

/// As it was.
pub mod v1 {
    /// A constant.
    pub const RADIUS: f64 = 6371.0;

    /// Is used by `doubled`.
    #[rowmark::udf(helper)]
    pub fn twice(n: u64) -> u64 {
        n * 2
    }

    /// Is used by UDFs.
    #[rowmark::udf(helper, uses(twice))]
    pub fn doubled(n: u64) -> u64 {
        twice(n)
    }

    /// A whole UDF.
    #[rowmark::udf]
    pub fn plus(n: &u64) -> u64 {
        n + 1
    }
}

/// As it is after edits.
pub mod v2 {
    /// Edited.
    pub const RADIUS: f64 = 6378.0;

    /// Edited.
    #[rowmark::udf(helper)]
    pub fn twice(n: u64) -> u64 {
        n << 1
    }

    /// Not edited.
    #[rowmark::udf(helper, uses(twice))]
    pub fn doubled(n: u64) -> u64 {
        twice(n)
    }

    /// Not edited.
    #[rowmark::udf]
    pub fn plus(n: &u64) -> u64 {
        n + 1
    }
}
