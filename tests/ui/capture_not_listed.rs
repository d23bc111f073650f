use rowmark::prelude::*;

fn main() {
    let session = Session::open("state").unwrap();
    let factor = 2;
    session.read_values(&[1u64]).map(udf!("scale", |n: &u64| n * factor));
}
