use rowmark::prelude::*;

fn main() {
    let session = Session::open("state").unwrap();
    session.read_values(&[1u64]).flat_map(udf!("one", |n: &u64| *n));
}
