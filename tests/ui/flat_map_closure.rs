use rowmark::prelude::*;

fn main() {
    let session = Session::open("state").unwrap();
    session.read_values(&[1u64]).flat_map(|n: &u64| vec![*n; 2]);
}
