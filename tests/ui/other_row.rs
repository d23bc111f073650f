use rowmark::prelude::*;

#[rowmark::udf]
fn shout(text: &String) -> String {
    text.to_uppercase()
}

fn main() {
    let session = Session::open("state").unwrap();
    session.read_values(&[1u64]).map(shout);
}
