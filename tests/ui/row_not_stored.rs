use rowmark::prelude::*;

struct Point {
    x: f64,
}

fn main() {
    let session = Session::open("state").unwrap();
    session.read_values(&[1u64]).map(udf!("point", |n: &u64| Point { x: *n as f64 }));
}
