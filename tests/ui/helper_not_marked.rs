fn helper(n: u64) -> u64 {
    n
}

#[rowmark::udf(uses(helper))]
fn double(n: &u64) -> u64 {
    helper(*n) * 2
}

fn main() {}
