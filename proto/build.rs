//! What is known only when the crate is built: the code of `proto/csi.proto`, and what it is built from.

mod messages;
mod origin;

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    origin::tell();
    messages::compile()
}
