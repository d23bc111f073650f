use rowmark::prelude::*;

fn main() {
    let session = Session::open("state").unwrap();
    session.read_values(&[1.5]).agg(
        udf!("value", |n: &f64| *n),
        udf!("count", |group: &Group<f64, f64>| group.len()),
    );
    session.read_values(&[1.5]).order_by(udf!("value", |n: &f64| *n));
}
