//! Random histories of tables on a machine that fails at random, against the store in memory.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as tests do")]

mod support;

use proptest::prelude::*;
use rowmark_os::{Fault, Loss};
use support::history::{Batch, DEATHS, INPUTS, REFUSALS, Step, World};
use support::{code, range};

fn batch() -> impl Strategy<Value = Batch> {
    (0..INPUTS, 1_u64..6, 0_u8..3)
        .prop_map(|(start, len, made_by)| (range(start, (start + len).min(INPUTS)), code(made_by)))
}

fn step() -> impl Strategy<Value = Step> {
    let table = || prop::sample::select(vec!["a", "b", "c"]);
    let pair = || (table(), table());
    let commits = prop::collection::vec(prop::collection::vec(batch(), 0..3), 0..4);
    prop_oneof![
        6 => (table(), commits).prop_map(|(table, commits)| Step::Write { table, commits }),
        1 => table().prop_map(|table| Step::Seal { table }),
        2 => pair().prop_map(|(from, to)| Step::Copy { from, to }),
        1 => pair().prop_map(|(from, to)| Step::CopyWithRecord { from, to }),
        1 => pair().prop_map(|(from, to)| Step::ResumeCopy { from, to }),
        1 => pair().prop_map(|(from, to)| Step::Rename { from, to }),
        1 => table().prop_map(|table| Step::Drop { table }),
    ]
}

fn loss() -> impl Strategy<Value = Loss> {
    prop_oneof![Just(Loss::Nothing), Just(Loss::AllUnsynced), any::<u64>().prop_map(Loss::Random)]
}

fn fault() -> impl Strategy<Value = Option<(u64, Fault)>> {
    prop::option::of((1_u64..30, prop::sample::select([DEATHS.as_slice(), &REFUSALS].concat())))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..Default::default() })]

    #[test]
    fn tables_hold_what_was_committed_to_them(
        steps in prop::collection::vec((step(), fault(), loss()), 1..30)
    ) {
        let mut world = World::new();
        for (step, fault, loss) in steps {
            if let Some((operations, fault)) = fault {
                world.machine.fail_at(world.machine.operations() + operations, fault);
            }
            world.step(&step, loss);
        }
        world.check();
    }
}
