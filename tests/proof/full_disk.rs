//! Full disks and failing writes: every operation of a whole run meets one, once.
//!
//! The run must end with an error that says what could not be written, or be whole all the same; what was committed
//! stays, and a run after it goes on, in the same process as well as in another one.

use rowmark_os::{Fault, Loss};

use crate::calls;
use crate::crash::Machine;
use crate::numbered::RECORDS;
use crate::work::text_of;

/// Lets every operation of a run meet a fault, each on a new machine.
fn fails_everywhere(fault: Fault, cause: &str) {
    let log = calls::new_log();
    let unbroken = Machine::unbroken(log);
    let mut errors = 0;
    for operation in 1.. {
        let machine = Machine::new(log);
        machine.files.fail_at(machine.files.operations() + operation, fault);
        let before = machine.files.operations();
        let ended = machine.run();
        let what = format!("operation {operation} failed, {fault:?}");
        if before + operation > machine.files.operations() {
            ended.unwrap();
            println!("{} operations failed, {errors} of them with an error, {fault:?}", operation - 1);
            assert!(errors > 200, "those are too few");
            return;
        }
        match ended {
            Ok(outcome) => unbroken.check_outcome(&outcome, &what),
            Err(error) => {
                errors += 1;
                let text = text_of(&error);
                let names_it = ["state", RECORDS, "folder ."].iter().any(|name| text.contains(name));
                assert!(names_it, "{what}: {text}");
                assert!(text.contains(cause), "{what}: {text}");
            }
        }
        // The process that met it is gone, and its files are as it left them.
        machine.files.crash(Loss::Nothing);
        machine.check(&unbroken, &what);
    }
}

#[test]
fn r14_every_operation_meets_a_full_disk() {
    fails_everywhere(Fault::NoSpace, "no storage space");
}

#[test]
fn r14_every_operation_meets_a_disk_that_takes_a_half() {
    fails_everywhere(Fault::ShortWrite, "no storage space");
}

#[test]
fn r14_every_operation_meets_a_disk_that_does_not_answer() {
    fails_everywhere(Fault::Io, "the disk does not answer");
}

/// A program may try again without ending: it gets the right result, and nothing is left over once it has ended.
#[test]
fn r14_a_process_that_met_a_fault_may_try_again() {
    let log = calls::new_log();
    let unbroken = Machine::unbroken(log);
    for operation in (1..).step_by(3) {
        let machine = Machine::new(log);
        let fault = [Fault::NoSpace, Fault::ShortWrite, Fault::Io][operation as usize % 3];
        let what = format!("operation {operation} failed, {fault:?}, and it was tried again");
        let Some(outcomes) = machine.run_with_fault_and_again(operation, fault) else {
            assert!(operation > 200, "that is too few");
            return;
        };
        let outcome = outcomes.unwrap_or_else(|error| panic!("{what}: {error:?}"));
        unbroken.check_outcome(&outcome, &what);
        machine.files.crash(Loss::Nothing);
        machine.check(&unbroken, &what);
    }
}
