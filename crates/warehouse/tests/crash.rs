//! A script of everything that is done to tables dies at its first operation on the disk, at its second, at its third.
//!
//! After each death the machine has lost what POSIX permits it to lose. What was committed must be there, what was not
//! must be whole or absent, nothing may be left over, and the script must come to its end.

#![allow(clippy::unwrap_used, reason = "helpers of tests may unwrap as tests do")]

mod support;

use rowmark_os::{Fault, Loss};
use rowmark_rows::RowSchema;
use rowmark_warehouse::Warehouse;
use support::history::{Batch, DEATHS, REFUSALS, Step, World, see_all};
use support::{code, dataset, range};

fn script() -> Vec<Step> {
    let batch = |start, end| -> Batch { (range(start, end), code(1)) };
    let other = |start, end| -> Batch { (range(start, end), code(2)) };
    vec![
        Step::Write {
            table: "a",
            commits: vec![vec![batch(0, 4)], vec![batch(6, 8), batch(4, 6)], vec![batch(8, 9)]],
        },
        Step::Write { table: "a", commits: vec![vec![batch(12, 15), batch(9, 10)], vec![batch(15, 16)]] },
        Step::Copy { from: "a", to: "b" },
        Step::Write { table: "b", commits: vec![vec![other(10, 12)], vec![other(16, 20), other(21, 24)]] },
        Step::Write { table: "a", commits: vec![vec![batch(20, 22)]] },
        Step::Seal { table: "b" },
        Step::Rename { from: "b", to: "c" },
        Step::Copy { from: "c", to: "d" },
        Step::CopyWithRecord { from: "c", to: "e" },
        Step::Drop { table: "a" },
        Step::Drop { table: "d" },
        Step::ResumeCopy { from: "c", to: "d" },
        Step::Write { table: "a", commits: vec![vec![batch(0, 1)]] },
        Step::Seal { table: "a" },
    ]
}

/// Runs the script in a world of its own; answers how many operations there were, and how many faults were met.
fn run(prepare: impl FnOnce(&World), loss: Loss) -> (u64, usize) {
    let (mut world, mut faults) = (World::new(), 0);
    let start = world.machine.operations();
    prepare(&world);
    for step in script() {
        if world.step(&step, loss) {
            faults += 1;
        }
    }
    let operations = world.machine.operations() - start;
    world.check();
    (operations, faults)
}

fn fail_at(at: u64, fault: Fault) -> impl Fn(&World) {
    move |world| world.machine.fail_at(world.machine.operations() + at, fault)
}

fn operations() -> u64 {
    let (operations, faults) = run(|_| {}, Loss::Nothing);
    assert_eq!(faults, 0);
    operations
}

#[test]
fn every_death_is_survived_whatever_was_not_synced() {
    let losses = [Loss::Nothing, Loss::AllUnsynced].into_iter().chain((0..4).map(Loss::Random));
    let (operations, mut points) = (operations(), 0);
    for loss in losses {
        for at in 1..=operations {
            for fault in DEATHS {
                let loss = if let Loss::Random(seed) = loss { Loss::Random(seed * 1_000 + at) } else { loss };
                let (_, faults) = run(fail_at(at, fault), loss);
                assert_eq!(faults, 1, "{at}");
                points += 1;
            }
        }
    }
    println!("{points} deaths at {operations} operations");
    assert!(points > 1_000, "{points}");
}

#[test]
fn a_kill_and_then_a_power_failure_are_survived() {
    let mut points = 0;
    for first in 1..=operations() {
        for second in 1..=8 {
            let mut world = World::new();
            fail_at(first, Fault::Die)(&world);
            let mut faults = 0;
            for step in script() {
                // The first death loses nothing, so that the next process sees what is not durable.
                let loss = if faults == 0 { Loss::Nothing } else { Loss::AllUnsynced };
                if world.step(&step, loss) {
                    faults += 1;
                    if faults == 1 {
                        fail_at(second, Fault::Die)(&world);
                    }
                }
            }
            world.check();
            points += 1;
        }
    }
    println!("{points} pairs of deaths");
    assert!(points > 800, "{points}");
}

#[test]
fn a_full_or_failing_disk_is_an_error_and_the_next_writer_goes_on() {
    let mut points = 0;
    for fault in REFUSALS {
        for at in 1..=operations() {
            // A link that is refused is made up for by a copy, and what cannot be swept is swept another time.
            let (_, faults) = run(fail_at(at, fault), Loss::AllUnsynced);
            assert!(faults <= 1);
            points += faults;
        }
    }
    println!("{points} refusals");
    assert!(points > 250, "{points}");
}

#[test]
fn who_renames_a_sealed_table_may_count_on_its_seal() {
    let (mut sealed, mut at) = (0, 0);
    loop {
        at += 1;
        let mut world = World::new();
        let steps = [
            Step::Write { table: "a", commits: vec![vec![(range(0, 4), code(1))]] },
            Step::Seal { table: "a" },
            Step::Rename { from: "a", to: "b" },
        ];
        world.step(&steps[0], Loss::Nothing);
        fail_at(at, Fault::Die)(&world);
        if steps[1].apply(&world.warehouse, &mut 0).is_ok() {
            break;
        }
        world.reboot(Loss::Nothing);
        let was_sealed = world.warehouse.is_sealed(&dataset("a")).unwrap();
        steps[2].apply(&world.warehouse, &mut 0).unwrap();
        world.reboot(Loss::AllUnsynced);
        assert_eq!(world.warehouse.is_sealed(&dataset("b")).unwrap(), was_sealed);
        sealed += usize::from(was_sealed);
    }
    assert!(sealed > 0 && sealed < at as usize - 1, "{sealed} of {at}");
}

#[test]
fn what_a_reader_has_seen_survives_a_power_failure() {
    let mut seen = 0;
    for at in 1..=2 {
        let mut world = World::new();
        Step::Write { table: "a", commits: Vec::new() }.apply(&world.warehouse, &mut 0).unwrap();
        let mut writer = world.warehouse.resume(&dataset("a")).unwrap();
        support::append(&mut *writer, range(0, 4), code(1)).unwrap();
        // Between its write and its sync, or before both.
        fail_at(at, Fault::Die)(&world);
        writer.commit().unwrap_err();
        drop(writer);
        world.reboot(Loss::Nothing);
        let before = see_all(&world.warehouse);
        world.reboot(Loss::AllUnsynced);
        assert_eq!(see_all(&world.warehouse), before);
        seen += before[&dataset("a")].batches.len();
    }
    assert_eq!(seen, 1);
}

#[test]
fn batches_that_gather_are_committed_before_anybody_asks() {
    let mut world = World::new();
    let schema = RowSchema::of::<String>().unwrap();
    let batch = schema.encode(&["x".repeat(9 << 20)]).unwrap();
    let mut writer = world.warehouse.create(&dataset("a"), &schema, b"record").unwrap();
    writer.append(range(0, 1), code(1), &batch).unwrap();
    drop(writer);
    world.reboot(Loss::AllUnsynced);
    let table = world.warehouse.open_table(&dataset("a")).unwrap().unwrap();
    assert_eq!(*table.processed(), range(0, 1).into());
}
