use rowmark::prelude::*;

fn main() {
    let session = Session::open("state").unwrap();
    let numbers = session.read_values(&[1u64]);
    numbers.fold(0.0, udf!("sum", |sum: &mut u64, n: &u64| *sum += n));
}
