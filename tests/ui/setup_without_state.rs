use rowmark::prelude::*;

#[derive(Serialize)]
struct Model {
    path: String,
}

#[rowmark::udf]
impl Model {
    fn setup(&self) -> Vec<f32> {
        vec![self.path.len() as f32]
    }

    fn call(&self, text: &String) -> u64 {
        text.len() as u64
    }
}

fn main() {}
