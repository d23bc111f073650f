use rowmark::prelude::*;

#[rowmark::udf]
fn count(group: &Group<u64, String>) -> u64 {
    group.len()
}

fn main() {
    let session = Session::open("state").unwrap();
    session.read_values(&[1u64]).agg(udf!("tens", |n: &u64| n / 10), count);
}
