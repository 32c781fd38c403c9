//! What is known only when the crate is built: the code of `proto/csi.proto`, and what it is built from.

mod origin;
mod proto;

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    origin::tell();
    proto::compile()
}
