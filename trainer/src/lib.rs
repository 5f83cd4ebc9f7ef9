//! Trains, exports and signs SCALE-VLP models for ctedge appliances.

pub mod batch;
pub mod cli;
pub mod corpus;
pub mod device;
pub mod eval;
pub mod experiment;
pub mod export;
#[cfg(test)]
mod fixture;
pub mod fleet;
pub mod loss;
pub mod net;
pub mod run;
pub mod text;
