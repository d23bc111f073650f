//! The rows of the cases: the same in every process and every run.

use rowmark::rows::RowType;
use serde::{Deserialize, Serialize};

/// Rows that a case is made of.
pub(crate) trait Sample: RowType + Clone {
    /// Makes a row.
    fn make(row: u64) -> Self;

    /// The trivial UDF: the row with one number changed, so that as many bytes come out as go in.
    fn computed(&self) -> Self;
}

/// Numbers that look random (SplitMix64).
fn scramble(seed: u64) -> u64 {
    let mut z = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

const TEXT: &str = "the room was small and the bed was hard, but the staff was kind and the view was worth it; \
    breakfast came late, the coffee was good, and nobody minded the rain that fell on the bay all week long. ";

/// A text of so many bytes that begins somewhere.
fn text(random: u64, bytes: usize) -> String {
    let mut text = String::with_capacity(bytes);
    let mut begin = random as usize % TEXT.len();
    while text.len() < bytes {
        let end = TEXT.len().min(begin + bytes - text.len());
        text.push_str(&TEXT[begin..end]);
        begin = 0;
    }
    text
}

/// Five fields, about 100 bytes: the row of all cases with a target.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Review {
    pub(crate) id: u64,
    pub(crate) author: u32,
    pub(crate) stars: f32,
    pub(crate) unix_time_ms: i64,
    pub(crate) text: String,
}

impl Sample for Review {
    fn make(row: u64) -> Self {
        let random = scramble(row);
        Self {
            id: row,
            author: random as u32,
            stars: (random % 11) as f32 / 2.0,
            unix_time_ms: 1_700_000_000_000 + (random % 100_000_000) as i64,
            text: text(random, 64 + random as usize % 17),
        }
    }

    fn computed(&self) -> Self {
        Self { stars: self.stars * 2.0, ..self.clone() }
    }
}

/// A row whose text is ten thousand bytes long.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Long {
    id: u64,
    text: String,
}

impl Sample for Long {
    fn make(row: u64) -> Self {
        Self { id: row, text: text(scramble(row), 10_000) }
    }

    fn computed(&self) -> Self {
        Self { id: self.id + 1, ..self.clone() }
    }
}

/// A row with lists of lists.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Nested {
    id: u64,
    words: Vec<String>,
    boxes: Vec<Vec<f64>>,
}

impl Sample for Nested {
    fn make(row: u64) -> Self {
        let random = scramble(row);
        let boxes = (0..random % 4).map(|at| (0..4).map(|side| (at * 4 + side) as f64 / 3.0).collect());
        Self {
            id: row,
            words: (0..random % 6).map(|word| text(random >> word, 8)).collect(),
            boxes: boxes.collect(),
        }
    }

    fn computed(&self) -> Self {
        Self { id: self.id + 1, ..self.clone() }
    }
}

/// A row of which every other field is missing.
#[derive(Clone, Serialize, Deserialize)]
pub(crate) struct Sparse {
    id: u64,
    author: Option<u32>,
    stars: Option<f32>,
    unix_time_ms: Option<i64>,
    text: Option<String>,
}

impl Sample for Sparse {
    fn make(row: u64) -> Self {
        let (Review { id, author, stars, unix_time_ms, text }, random) = (Review::make(row), scramble(!row));
        let is_there = |field: u32| random >> field & 1 == 1;
        Self {
            id,
            author: is_there(0).then_some(author),
            stars: is_there(1).then_some(stars),
            unix_time_ms: is_there(2).then_some(unix_time_ms),
            text: is_there(3).then_some(text),
        }
    }

    fn computed(&self) -> Self {
        Self { id: self.id + 1, ..self.clone() }
    }
}

/// Declares a row with fields of three types.
macro_rules! wide {
    ($name:ident: $($number:ident)+; $($real:ident)+; $($word:ident)+) => {
        /// A row of fifty fields.
        #[derive(Clone, Serialize, Deserialize)]
        pub(crate) struct $name {
            $($number: i64,)+
            $($real: f64,)+
            $($word: String,)+
        }

        impl Sample for $name {
            fn make(row: u64) -> Self {
                let mut seed = row << 6;
                let mut next = || {
                    seed += 1;
                    scramble(seed)
                };
                Self {
                    $($number: next() as i64,)+
                    $($real: next() as f64 / 3.0,)+
                    $($word: text(next(), 8),)+
                }
            }

            fn computed(&self) -> Self {
                Self { n00: self.n00 / 2, ..self.clone() }
            }
        }
    };
}

wide!(Wide:
    n00 n01 n02 n03 n04 n05 n06 n07 n08 n09 n10 n11 n12 n13 n14 n15 n16 n17 n18 n19;
    r00 r01 r02 r03 r04 r05 r06 r07 r08 r09 r10 r11 r12 r13 r14 r15 r16 r17 r18 r19;
    w00 w01 w02 w03 w04 w05 w06 w07 w08 w09
);
