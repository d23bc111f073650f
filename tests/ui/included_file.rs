use rowmark::prelude::*;

#[rowmark::udf]
fn prompt(question: &String) -> String {
    format!("{} {question}", include_str!("prompt.txt"))
}

fn main() {
    let _ = udf!("debug", |n: &u64| if cfg!(debug_assertions) { *n } else { 0 });
}
