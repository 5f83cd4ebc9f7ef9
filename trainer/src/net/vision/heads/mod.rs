//! What is made of the tokens after the last block: one vector for the volume ([`AttentionPool`]), what each token says in
//! its own place ([`Local`]), what each flag reads by a query of its own ([`FlagQueries`]), and what each token adds to each flag (`flag_saliency`).

mod local;
mod pool;
mod queries;
mod share;

pub use local::Local;
pub use pool::AttentionPool;
pub use queries::FlagQueries;
