use rowmark::prelude::*;

fn main() {
    let _ = udf!("double", |n: &Vec<_>| n.len() as u64);
}
