//! The program under test: a chain of steps over numbers, of which some rows are bad, and its meaning in a few lines.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use rowmark::BoxError;
use rowmark::prelude::*;
use rowmark::udf::{Code, Identity};

/// A step. Those that call a UDF are counted by their place in the chain.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Op {
    Map,
    FlatMap,
    Agg,
    Filter(u64),
    Limit(u64),
    Offset(u64),
    Union(u64),
    OrderBy,
    Distinct,
}

/// Rows as the next step sees them: numbered by what is stored, some filtered out.
pub(crate) type View = Vec<Option<u64>>;

/// What a row is known by: what its UDF is called with and, of a group, its rows.
pub(crate) type Content = (u64, Vec<u64>);

impl Op {
    pub(crate) fn calls_a_udf(&self) -> bool {
        matches!(self, Self::Map | Self::FlatMap | Self::Agg)
    }

    /// The rows that a UDF is called with: for groups, their keys.
    pub(crate) fn called_with(&self, view: &View) -> View {
        match self {
            Self::Agg => groups(view).into_keys().map(Some).collect(),
            _ => view.clone(),
        }
    }

    /// What the rows are known by: for groups, their keys and rows.
    pub(crate) fn contents(&self, view: &View) -> Vec<Option<Content>> {
        match self {
            Self::Agg => groups(view).into_iter().map(Some).collect(),
            _ => view.iter().map(|row| row.map(|row| (row, Vec::new()))).collect(),
        }
    }

    /// What comes out of the step.
    pub(crate) fn apply(&self, view: &View) -> View {
        let kept: Vec<u64> = view.iter().flatten().copied().collect();
        let mut rows = match self {
            Self::Map => kept.into_iter().map(mapped).collect(),
            Self::FlatMap => kept.into_iter().flat_map(copies).collect(),
            Self::Agg => groups(view).into_iter().map(|(key, rows)| summed(key, rows.into_iter())).collect(),
            Self::Filter(n) => return view.iter().map(|row| row.filter(|row| row % n != 0)).collect(),
            Self::Union(rows) => return view.iter().copied().chain((0..*rows).map(Some)).collect(),
            Self::Limit(rows) => kept.into_iter().take(*rows as usize).collect(),
            Self::Offset(rows) => kept.into_iter().skip(*rows as usize).collect(),
            Self::OrderBy | Self::Distinct => kept,
        };
        match self {
            Self::OrderBy => rows.sort_by_key(|row| row % 7), // stable
            Self::Distinct => {
                let mut seen = BTreeSet::new();
                rows.retain(|row| seen.insert(*row));
            }
            _ => {}
        }
        rows.into_iter().map(Some).collect()
    }
}

fn mapped(n: u64) -> u64 {
    n * 3 + 1
}

fn copies(n: u64) -> Vec<u64> {
    (0..n % 3).map(|copy| n + copy).collect()
}

fn summed(key: u64, rows: impl Iterator<Item = u64>) -> u64 {
    rows.fold(key, |sum, row| sum.wrapping_mul(31).wrapping_add(row) % 10_007)
}

fn groups(view: &View) -> BTreeMap<u64, Vec<u64>> {
    let mut groups: BTreeMap<u64, Vec<u64>> = BTreeMap::new();
    view.iter().flatten().for_each(|row| groups.entry(row % 5).or_default().push(*row));
    groups
}

/// What the UDFs share with the test: no part of their identity.
#[derive(Debug, Default)]
pub(crate) struct World {
    /// Calls that ended well: the step's place, and the row.
    pub(crate) calls: Mutex<Vec<(usize, u64)>>,
    /// Rows at which a step fails.
    pub(crate) bad: Mutex<BTreeSet<(usize, u64)>>,
    /// Rows at which a step fails once more.
    pub(crate) flaky: Mutex<BTreeSet<(usize, u64)>>,
}

struct Work {
    place: usize,
    version: u64,
    world: Arc<World>,
}

impl Work {
    fn call(&self, row: u64) -> Result<(), BoxError> {
        let at = (self.place, row);
        if self.world.bad.lock().unwrap().contains(&at) || self.world.flaky.lock().unwrap().remove(&at) {
            return Err(format!("row {row} of step {} is bad", self.place).into());
        }
        self.world.calls.lock().unwrap().push(at);
        Ok(())
    }

    fn identity(&self) -> Identity {
        identity(self.place, self.version)
    }
}

/// The identity of a step's UDF in one of its versions.
pub(crate) fn identity(place: usize, version: u64) -> Identity {
    Identity::new(name(place)).code(Code::version(version))
}

pub(crate) fn name(place: usize) -> &'static str {
    ["step 0", "step 1", "step 2", "step 3", "step 4"][place]
}

/// A UDF of one input type, made of `Work` and a function.
macro_rules! udf_by_hand {
    ($name:ident, $input:ty, $output:ty, $key:expr, $function:expr) => {
        struct $name(Work);

        impl Udf<$input> for $name {
            type Output = $output;
            type State = ();

            fn setup(&self) -> Result<(), BoxError> {
                Ok(())
            }

            fn call(&self, (): &mut (), input: &$input) -> Result<$output, BoxError> {
                self.0.call($key(input))?;
                Ok($function(input))
            }

            fn identity(&self) -> Identity {
                self.0.identity()
            }
        }
    };
}

udf_by_hand!(MapWork, u64, u64, |n: &u64| *n, |n: &u64| mapped(*n));
udf_by_hand!(FlatWork, u64, Vec<u64>, |n: &u64| *n, |n: &u64| copies(*n));
udf_by_hand!(SumWork, Group<u64, u64>, u64, |group: &Group<u64, u64>| *group.key(), |group: &Group<u64, u64>| {
    summed(*group.key(), group.rows())
});

/// The chain that a program is.
pub(crate) fn chain(
    session: &Session,
    rows: &[u64],
    ops: &[Op],
    versions: &[u64],
    world: &Arc<World>,
) -> Chain<u64> {
    let source = session.read_records(rows.to_vec());
    ops.iter().enumerate().fold(source, |chain, (place, op)| {
        let work = Work { place, version: versions[place], world: Arc::clone(world) };
        match op {
            Op::Map => chain.map(MapWork(work)),
            Op::FlatMap => chain.flat_map(FlatWork(work)),
            Op::Agg => chain.agg(udf!("by five", |n: &u64| n % 5), SumWork(work)),
            Op::Filter(n) => {
                let n = *n;
                chain.filter(udf!("not by", captures(n), |row: &u64| !row.is_multiple_of(n)))
            }
            Op::Limit(rows) => chain.limit(*rows),
            Op::Offset(rows) => chain.offset(*rows),
            Op::Union(rows) => chain.union(&session.read_records((0..*rows).collect())),
            Op::OrderBy => chain.order_by(udf!("by seven", |n: &u64| n % 7)),
            Op::Distinct => chain.distinct(),
        }
    })
}
