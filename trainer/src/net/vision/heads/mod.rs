//! What is made of the tokens after the last block: one vector for the volume ([`AttentionPool`]), what each token says in
//! its own place ([`Local`]), and what each token adds to each flag (`flag_saliency`).

mod local;
mod pool;
mod share;

pub use local::Local;
pub use pool::AttentionPool;
