//! The values that leaves are offered, plain ones first.
//!
//! A type that checks its text wants a date, an address or an identifier more often than not; one of
//! each common kind is here. A longer list costs nothing until a type refuses what comes before.

pub(super) const BOOLS: &[bool] = &[false, true];
pub(super) const INTEGERS: &[u8] = &[0, 1, 2, 3, 4, 5, 7, 8, 10, 12, 16, 24, 32, 50, 64, 100, 127];
pub(super) const FLOATS: &[f32] = &[0.0, 1.0, 0.5, 2.0, 10.0, 100.0, -1.0];
pub(super) const CHARS: &[char] = &['\0', 'a', 'A', '0', ' ', '-'];
pub(super) const BYTES: &[&[u8]] =
    &[&[], &[0; 16], &[0; 32], &[0; 4], &[0; 8], &[0; 12], &[0; 20], &[0; 64], &[1]];
pub(super) const STRINGS: &[&str] = &[
    "",
    "a",
    "0",
    "1",
    "1970-01-01T00:00:00Z",
    "1970-01-01T00:00:00",
    "1970-01-01 00:00:00",
    "1970-01-01 00:00:00.0 +00:00:00",
    "1970-01-01T00:00:00+00:00[UTC]",
    "1970-01-01",
    "00:00:00",
    "00:00:00.0",
    "PT0S",
    "P0D",
    "1s",
    "UTC",
    "Monday",
    "January",
    "127.0.0.1",
    "::1",
    "127.0.0.1:80",
    "[::1]:80",
    "127.0.0.0/8",
    "00000000-0000-0000-0000-000000000000",
    "00000000000000000000000000",
    "http://example.com/",
    "example.com",
    "a@example.com",
    "+12025550123",
    "1.0.0",
    "^1.0",
    "true",
    "0.0",
    "en",
    "en-US",
    "EUR",
    "#000000",
    "a/b",
    "text/plain",
    "00",
    "0000000000000000",
    "00000000000000000000000000000000",
    "0000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000000",
];
