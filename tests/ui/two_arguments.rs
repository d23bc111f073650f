#[rowmark::udf]
fn add(one: &u64, other: &u64) -> u64 {
    one + other
}

fn main() {}
