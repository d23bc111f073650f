use rowmark::prelude::*;

#[rowmark::udf]
fn double(n: &u64) -> u64 {
    n * 2
}

fn main() {
    let session = Session::open("state").unwrap();
    session.read_values(&[1u64]).map_batch(16, double);
}
