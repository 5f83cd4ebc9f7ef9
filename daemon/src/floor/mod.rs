//! What every room stands on. It names no room.

pub(crate) mod clock;
pub(crate) mod disk;
pub(crate) mod durable;
pub(crate) mod fate;
pub(crate) mod limits;
pub(crate) mod phi;
pub(crate) mod power;
pub(crate) mod store;
pub(crate) mod subject;
pub(crate) mod worker;
