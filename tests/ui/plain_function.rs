use rowmark::prelude::*;

fn double(n: &u64) -> u64 {
    n * 2
}

fn main() {
    let session = Session::open("state").unwrap();
    session.read_values(&[1u64]).map(double);
}
