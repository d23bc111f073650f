#[rowmark::udf]
fn first<T: Clone>(rows: &Vec<T>) -> Option<T> {
    rows.first().cloned()
}

fn main() {}
